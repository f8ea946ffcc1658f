"""Detail of the warped previous output: it is kept at what the paint had where it was new."""

from __future__ import annotations

import torch
from torch import Tensor

from videostyle.ops.detail import DETAIL_AREA, DETAIL_FLOOR, detail_energy, restore_detail
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
# What comes in at the rim of the picture is dull at first, stretched from the rim, and finds its detail within so many
# frames. In a slow pan (1 px a frame) that kept the dull detail, a third was missing after 300 frames.
FRAMES = 16
# Motion across the rim, in pixels, that brings something in.
ACROSS = 0.05


class CarriedDetail:
    """Keeps the finest detail of a recurrent network's prior at the energy that the paint had where it was new.

    Each frame, resampling takes detail from what moves, and a network that learned to restore it adds detail to what
    stands still, until a raster shows. The energy of each place moves with the paint along the flow.
    """

    def __init__(self) -> None:
        self._kept: Tensor | None = None
        """Energy to keep on the last frame and age in 0..1, (N, 2, H / 4, W / 4); None before a shot's first prior."""
        self._mask: Tensor | None = None
        """Confidence mask of the last frame, of the same size."""

    def restart(self) -> None:
        """Forget the shot."""
        self._kept = self._mask = None

    def __call__(self, prior: Tensor, output: Tensor, flow: Tensor, mask: Tensor) -> Tensor:
        """Return `prior`, which is `output` (N, 3, H, W) warped along `flow` (1, 2, H, W), with its detail restored.

        `mask` (1, 1, H, W) is the confidence mask of the flow.
        """
        energy = detail_energy(output)
        age = torch.ones_like(energy)
        size = energy.shape[2], energy.shape[3]
        small = resize_flow(flow, size)
        if self._kept is not None and self._mask is not None and self._kept[:, :1].shape == energy.shape:
            kept, age = self._kept[:, :1], self._kept[:, 1:]
            new = torch.where(age < 1, 1.0, (1 - self._mask) ** NEW)
            energy = kept + new * (energy - kept)
        moved = warp(torch.cat([energy, age], 1), small.expand(len(energy), -1, -1, -1))
        moved[:, :1].clamp_(min=DETAIL_FLOOR)
        moved[:, 1:] = torch.where(_comes_in(small), 0.0, (moved[:, 1:] + 1 / FRAMES).clamp(max=1))
        self._kept, self._mask = moved, shrink(mask, size)
        # What is young stays as the network paints it.
        return restore_detail(prior, torch.where(moved[:, 1:] < 1, detail_energy(prior), moved[:, :1]), GAINS)


def _comes_in(flow: Tensor) -> Tensor:
    """Find the areas of DETAIL_AREA pixels with a side that comes from beyond the rim: (N, 1, h, w) bool.

    `flow` (N, 2, h, w) is that of the areas, in their size.
    """
    h, w = flow.shape[-2:]
    x = flow[:, :1] + torch.arange(w, device=flow.device)
    y = flow[:, 1:] + torch.arange(h, device=flow.device).view(h, 1)
    across = ACROSS / DETAIL_AREA
    return (x < -across) | (x > w - 1 + across) | (y < -across) | (y > h - 1 + across)
