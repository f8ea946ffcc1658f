"""What estimators share that search both directions at once."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from videostyle.ops.warp import checked_flow
from videostyle.types import Flow


class BothWays(ABC):
    """The disagreement of the two directions is the confidence in each."""

    def __call__(self, current: Tensor, previous: Tensor) -> Flow:
        """On `current`, to `previous`."""
        return checked_flow(*self._search(current, previous), current)

    def both(self, current: Tensor, previous: Tensor) -> tuple[Flow, Flow]:
        """See `videostyle.types.TwoWayEstimator`."""
        backward, forward = self._search(current, previous)
        return checked_flow(backward, forward, current), checked_flow(forward, backward, current)

    @abstractmethod
    def _search(self, current: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        """Backward and forward, of the size at which they are estimated."""
