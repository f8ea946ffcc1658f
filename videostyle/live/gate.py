"""A gate for the camera's noise: where nothing moves, the picture is the mean of the last ones."""

from __future__ import annotations

import torch
from torch import Tensor

from videostyle.ops.filters import box, erode, luma, mix

# Differences are looked at over squares of 2 * RADIUS + 1 pixels, and what moves keeps this distance from the gate.
RADIUS = 2
# Of what is still, so much comes from the frames before: the mean of some fifteen, a quarter of the noise.
KEEP = 0.875
# The level of noise is what the stillest fifth of the picture changes by: up to the one of these times that, it is
# noise, from the other on, movement. Means of |x| over 25 pixels of noise stay within 1.6 times their lowest fifth.
QUANTILE, STILL, MOVING = 0.2, 1.8, 2.7
# Every third pixel will do to find that, and from frame to frame there is the noise of two.
SPARSE, BOTH = 3, 2**0.5
# The level of noise falls at once, and rises by no more than this a frame: a pan is not taken for noise.
RISE = 1.02
# Differences of brightness, in 0..1: rounding to 8 bits makes so much, and no camera worth gating more.
LEAST, MOST = 0.3 / 255, 5 / 255


class NoiseGate:
    """Small changes that noise explains are averaged away; all that moves passes unchanged.

    A painting made of a noisy picture boils although nothing moves: the network draws strokes where noise is. The level
    of noise is read off the stillest parts of the picture. What comes out differs from what came in by `MOVING` times
    that level at most, over any small square: slow changes are followed.
    """

    def __init__(self) -> None:
        self._mean: Tensor | None = None
        self._last: Tensor
        self._level: float | None = None

    def __call__(self, content: Tensor, is_cut: bool = False) -> Tensor:
        """The picture (1, 3, H, W) in 0..1 without its noise; after a cut, or of a new size, as it is."""
        if is_cut or self._mean is None or self._mean.shape != content.shape:
            self._mean, self._last = content, _sparse(content)
            return content
        level = self._measured(_sparse(content))
        apart = _apart(content, self._mean)
        share = apart.mul_(-1 / ((MOVING - STILL) * level)).add_(MOVING / (MOVING - STILL)).clamp_(0, 1)
        self._mean = mix(content, self._mean, erode(share, RADIUS).mul_(KEEP)).clamp_(0, 1)
        return self._mean

    def _measured(self, content: Tensor) -> float:
        last, self._last = self._last, content
        changes = _apart(content, last).flatten()
        found = float(changes.kthvalue(max(round(QUANTILE * len(changes)), 1)).values) / BOTH
        if self._level is not None:
            found = min(found, RISE * self._level)
        self._level = min(max(found, LEAST), MOST)
        return self._level


def _sparse(content: Tensor) -> Tensor:
    return content[..., ::SPARSE, ::SPARSE].contiguous(memory_format=torch.channels_last)


def _apart(one: Tensor, other: Tensor) -> Tensor:
    """How much two pictures differ in brightness, the mean over small squares: (1, 1, H, W)."""
    return box(luma((one - other).abs_()), RADIUS)
