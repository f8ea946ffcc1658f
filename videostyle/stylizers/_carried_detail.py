"""Detail of the warped previous output: it is kept at what the paint had where it was new."""

from __future__ import annotations

from torch import Tensor

from videostyle.ops.detail import DETAIL_FLOOR, detail_energy, restore_detail
from videostyle.ops.filters import shrink
from videostyle.ops.warp import resize_flow, warp

# Least and greatest factor of the detail of a prior. Over 20 frames of great-wave and starry-night the Laplacian energy
# of a still film was 1.9 times that of its frames stylized alone, of three moving clips 0.66 to 0.83 times. With these
# it is 1.2 and 0.72 to 0.83, and what remains of a still film's flicker is halved. A greatest factor of 1.5 gains a
# hundredth more where things move, and costs a twentieth more flicker.
GAINS = (0.7, 1.2)
# A place counts as new by the complement of its confidence, to this power: what is half new is an average of two
# paintings, and has less detail than either.
NEW = 3


class CarriedDetail:
    """Keeps the finest detail of a recurrent network's prior at the energy that the paint had where it was new.

    Each frame, resampling takes detail from what moves, and a network that learned to restore it adds detail to what
    stands still, until a raster shows. The energy of each place moves with the paint along the flow.
    """

    def __init__(self) -> None:
        self._energy: Tensor | None = None
        """Energy to keep on the last frame, (N, 1, H / 4, W / 4); None before the first prior of a shot."""
        self._mask: Tensor | None = None
        """Confidence mask of the last frame, of the same size."""

    def restart(self) -> None:
        """Forget the shot."""
        self._energy = self._mask = None

    def __call__(self, prior: Tensor, output: Tensor, flow: Tensor, mask: Tensor) -> Tensor:
        """Return `prior`, which is `output` (N, 3, H, W) warped along `flow` (1, 2, H, W), with its detail restored.

        `mask` (1, 1, H, W) is the confidence mask of the flow.
        """
        energy = detail_energy(output)
        if self._energy is not None and self._mask is not None and self._energy.shape == energy.shape:
            energy = self._energy + (1 - self._mask) ** NEW * (energy - self._energy)
        size = energy.shape[2], energy.shape[3]
        moved = warp(energy, resize_flow(flow, size).expand(len(energy), -1, -1, -1))
        self._energy, self._mask = moved.clamp_(min=DETAIL_FLOOR), shrink(mask, size)
        return restore_detail(prior, self._energy, GAINS)
