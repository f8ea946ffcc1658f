"""Makes the moment of each frame: how it moved, and noise that moves along. Film, live and web share it."""

from __future__ import annotations

from fractions import Fraction

from torch import Tensor

from videostyle.flow import load_flow
from videostyle.noise import Particles
from videostyle.plan import FlowOptions, StabilizeOptions
from videostyle.stabilize import CausalStabilizer, Stabilizer
from videostyle.types import Moment, Stylizer


class Moments:
    """Looks at the film only, frame after frame, so that it may run in a thread ahead of the stylizer."""

    def __init__(
        self, stylizer: Stylizer, stabilizer: Stabilizer, flow: FlowOptions, device: str, *, steady: bool, seed: int
    ) -> None:
        """`stabilizer` estimates the motion, by `flow`. Unless `steady`, moments come without motion: nothing that was
        painted before is used; noise moves with the surfaces all the same. Raises WeightsError, UnknownNameError.
        """
        self._stylizer = stylizer
        self._steady = steady
        self._particles = Particles(seed) if stylizer.recurrent else None
        still = self._particles is not None and not steady
        self._watch = (
            CausalStabilizer(load_flow(flow, device), StabilizeOptions(1.0, "causal")) if still else stabilizer
        )

    def __call__(self, content: Tensor, time: Fraction, is_cut: bool) -> Moment:
        """The moment of the next frame, `content` (1, 3, H, W) in 0..1, `time` seconds into the film."""
        motion = self._watch.motion(is_cut, content)
        noise = None
        if self._particles is not None:
            size = self._stylizer.working_size(content.shape[2], content.shape[3])
            # What is random depends on when the shot begins, not on where in the film painting began.
            noise = self._particles(size, motion.backward if motion else None, (round(abs(time) * 1000),))
        return Moment(time, is_cut, motion if self._steady else None, noise)
