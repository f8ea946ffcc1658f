"""No motion estimate: nothing is known of where things were, so nothing is carried over."""

from __future__ import annotations

from torch import Tensor

from videostyle.plan import FlowOptions
from videostyle.types import Flow


class NoFlow:
    """Zero motion with zero confidence: the stabiliser leaves every frame as it was painted."""

    def __call__(self, current: Tensor, previous: Tensor) -> Flow:
        """Zeros."""
        n, _, h, w = current.shape
        return Flow(vectors=current.new_zeros(n, 2, h, w), confidence=current.new_zeros(n, 1, h, w))

    def both(self, current: Tensor, previous: Tensor) -> tuple[Flow, Flow]:
        """Zeros, twice."""
        return self(current, previous), self(previous, current)


def build(options: FlowOptions, device: str) -> NoFlow:
    """Nothing to set."""
    return NoFlow()
