"""Noise gate for cameras: where nothing moves, the picture is the mean of the last ones."""

from __future__ import annotations

import torch
from torch import Tensor

from videostyle.ops.filters import box, erode, luma, mix

# Differences are averaged over squares of 2 * RADIUS + 1 pixels, and the gate keeps this distance from moving things.
RADIUS = 2
# Share of the previous frames where the picture is still: the mean of some fifteen, with a quarter of the noise.
KEEP = 0.875
# The noise level is the change of the stillest fifth of the picture. Changes up to STILL times the level are noise,
# from MOVING times on, motion. Means of |x| over 25 pixels of noise stay within 1.6 times their lowest fifth.
QUANTILE, STILL, MOVING = 0.2, 1.8, 2.7
# The level is measured on every third pixel; a difference of two frames has sqrt(2) times the noise of one.
SPARSE, BOTH = 3, 2**0.5
# Greatest rise of the noise level from frame to frame; it falls at once. So a pan is not taken for noise.
RISE = 1.02
# Bounds of the noise level, differences of brightness in 0..1: rounding to 8 bits, and the worst usable cameras.
LEAST, MOST = 0.3 / 255, 5 / 255


class NoiseGate:
    """Averages small changes that noise explains; moving parts pass unchanged.

    The stylized frames of a noisy camera flicker although nothing moves: the network draws strokes where noise is. The
    noise level is measured in the stillest parts of the picture. The output differs from the input by `MOVING` times
    that level at most, over any small square, so slow changes are followed.
    """

    def __init__(self) -> None:
        self._mean: Tensor | None = None
        self._last: Tensor
        self._level: float | None = None

    def __call__(self, content: Tensor, is_cut: bool = False) -> Tensor:
        """Return the picture (1, 3, H, W) in 0..1 without its noise; after a cut or a change of size, unchanged."""
        if is_cut or self._mean is None or self._mean.shape != content.shape:
            self._mean, self._last = content, _sparse(content)
            return content
        level = self._measured(_sparse(content))
        difference = _difference(content, self._mean)
        share = difference.mul_(-1 / ((MOVING - STILL) * level)).add_(MOVING / (MOVING - STILL)).clamp_(0, 1)
        self._mean = mix(content, self._mean, erode(share, RADIUS).mul_(KEEP)).clamp_(0, 1)
        return self._mean

    def _measured(self, content: Tensor) -> float:
        last, self._last = self._last, content
        changes = _difference(content, last).flatten()
        found = float(changes.kthvalue(max(round(QUANTILE * len(changes)), 1)).values) / BOTH
        if self._level is not None:
            found = min(found, RISE * self._level)
        self._level = min(max(found, LEAST), MOST)
        return self._level


def _sparse(content: Tensor) -> Tensor:
    return content[..., ::SPARSE, ::SPARSE].contiguous(memory_format=torch.channels_last)


def _difference(one: Tensor, other: Tensor) -> Tensor:
    """Compute the mean difference in brightness over small squares: (1, 1, H, W)."""
    return box(luma((one - other).abs_()), RADIUS)
