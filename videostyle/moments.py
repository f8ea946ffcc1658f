"""Moments: the motion and the noise of each frame, for film, live and web."""

from __future__ import annotations

from fractions import Fraction

from torch import Tensor

from videostyle.flow import load_flow
from videostyle.noise import Particles
from videostyle.plan import FlowOptions, StabilizeOptions
from videostyle.stabilize import CausalStabilizer, Stabilizer
from videostyle.types import Moment, Stylizer


class Moments:
    """Computes the moment of each frame from the film alone, so it may run in a thread ahead of the stylizer."""

    def __init__(
        self,
        stylizer: Stylizer,
        stabilizer: Stabilizer,
        flow: FlowOptions,
        device: str,
        *,
        with_motion: bool,
        seed: int,
    ) -> None:
        """Prepare moments for `stylizer`; `stabilizer` estimates the motion, by `flow`.

        Without `with_motion` the moments contain no motion, so the previous output is not used; the noise moves with
        the surfaces all the same. Raises WeightsError, UnknownNameError.
        """
        self._stylizer = stylizer
        self._with_motion = with_motion
        self._particles = Particles(seed) if stylizer.recurrent else None
        still = self._particles is not None and not with_motion
        self._watch = (
            CausalStabilizer(load_flow(flow, device), StabilizeOptions(1.0, "causal")) if still else stabilizer
        )

    def __call__(self, content: Tensor, time: Fraction, is_cut: bool) -> Moment:
        """Return the moment of the next frame, `content` (1, 3, H, W) in 0..1, at `time` seconds into the film."""
        motion = self._watch.motion(is_cut, content)
        noise = None
        if self._particles is not None:
            size = self._stylizer.working_size(content.shape[2], content.shape[3])
            # The random numbers depend on the time at which the shot begins, not on the first frame that is stylized.
            noise = self._particles(size, motion.backward if motion else None, (round(abs(time) * 1000),))
        return Moment(time, is_cut, motion if self._with_motion else None, noise)
