"""No flow: zero confidence everywhere, so that no previous output is used."""

from __future__ import annotations

from torch import Tensor

from videostyle.plan import FlowOptions
from videostyle.types import Flow


class NoFlow:
    """Zero flow with zero confidence: the stabilizer returns every stylized frame unchanged."""

    def __call__(self, current: Tensor, previous: Tensor) -> Flow:
        """Return zeros."""
        n, _, h, w = current.shape
        return Flow(vectors=current.new_zeros(n, 2, h, w), confidence=current.new_zeros(n, 1, h, w))

    def both(self, current: Tensor, previous: Tensor) -> tuple[Flow, Flow]:
        """Return zeros for both directions."""
        return self(current, previous), self(previous, current)


def build(options: FlowOptions, device: str) -> NoFlow:
    """Make the estimator; it has no settings."""
    return NoFlow()
