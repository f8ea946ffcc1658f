"""A gate for the camera's noise: where nothing moves, the picture is the mean of the last ones."""

from __future__ import annotations

from torch import Tensor

from videostyle.ops.filters import box, erode, luma, mix

# Differences are looked at over squares of 2 * RADIUS + 1 pixels, and what moves keeps this distance from the gate.
RADIUS = 2
# Of what is still, so much comes from the frames before: the mean of some fifteen, a quarter of the noise.
KEEP = 0.875
# In a picture whose stillest fifth differs by so much, twice that is still noise, and three times is movement. Means of
# |x| over 25 pixels of Gaussian noise stay within 1.6 times their lowest fifth.
QUANTILE, STILL, MOVING = 0.2, 1.8, 2.7
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
        self._level: float | None = None

    def __call__(self, content: Tensor, is_cut: bool = False) -> Tensor:
        """The picture (1, 3, H, W) in 0..1 without its noise; after a cut, or of a new size, as it is."""
        if is_cut or self._mean is None or self._mean.shape != content.shape:
            self._mean = content
            return content
        apart = box(luma((content - self._mean).abs_()), RADIUS)
        level = self._measured(apart)
        share = apart.mul_(-1 / ((MOVING - STILL) * level)).add_(MOVING / (MOVING - STILL)).clamp_(0, 1)
        self._mean = mix(content, self._mean, erode(share, RADIUS).mul_(KEEP)).clamp_(0, 1)
        return self._mean

    def _measured(self, apart: Tensor) -> float:
        few = apart[0, 0, ::8, ::8].flatten()
        found = float(few.kthvalue(max(round(QUANTILE * len(few)), 1)).values)
        if self._level is not None:
            found = min(found, RISE * self._level)
        self._level = min(max(found, LEAST), MOST)
        return self._level
