"""The mask of the people in a film: found by a segmenter in each frame, and carried along the optical flow."""

from __future__ import annotations

import math
from fractions import Fraction

from torch import Tensor

from videostyle.ops.filters import enlarge, shrink
from videostyle.ops.warp import resize_flow, warp
from videostyle.segmenters import Segmenter
from videostyle.types import Moment

# Time constant of the average along the flow, in seconds. A segmenter that misses somebody in one frame of 24 a second
# lowers the probability by a fifth.
SECONDS = 0.2
# Contrast of the mask: probabilities below 1/4 are 0, those above 3/4 are 1.
CONTRAST = 2.0


class PeopleMask:
    """Averages the probabilities of a segmenter along the flow that a render estimates anyway.

    Where the confidence of the flow is 0, and where a frame comes without motion (at a cut, and where none is
    estimated), they are those of the frame alone.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self._average: Tensor | None = None
        self._time = Fraction(0)

    def __call__(self, content: Tensor, moment: Moment) -> Tensor:
        """Return the mask of people (1, 1, h, w) in 0..1 in the next frame, `content` (1, 3, H, W) in 0..1."""
        fresh = self._segmenter(content)
        elapsed, self._time = float(moment.time - self._time), moment.time
        before = self._average
        if before is not None and moment.motion is not None and before.shape == fresh.shape:
            size = fresh.shape[2], fresh.shape[3]
            back = moment.motion.backward
            confidence = enlarge(shrink(back.confidence, _smaller(back.confidence, size)), size)
            warped = warp(before, resize_flow(back.vectors, size))
            fresh = fresh + (warped - fresh) * confidence * math.exp(-max(elapsed, 0) / SECONDS)
        self._average = fresh
        return ((fresh - 0.5) * CONTRAST + 0.5).clamp(0, 1)


def _smaller(picture: Tensor, size: tuple[int, int]) -> tuple[int, int]:
    return min(picture.shape[2], size[0]), min(picture.shape[3], size[1])
