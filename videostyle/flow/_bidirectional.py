"""Base class of flow estimators that search both directions at once."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from videostyle.ops.warp import checked_flow
from videostyle.types import Flow


class Bidirectional(ABC):
    """Estimates backward and forward flow; their forward-backward consistency is the confidence of each."""

    def __call__(self, current: Tensor, previous: Tensor) -> Flow:
        """Return the backward flow: on `current`, to `previous`."""
        return checked_flow(*self._search(current, previous), current)

    def both(self, current: Tensor, previous: Tensor) -> tuple[Flow, Flow]:
        """See `videostyle.types.TwoWayEstimator`."""
        backward, forward = self._search(current, previous)
        return checked_flow(backward, forward, current), checked_flow(forward, backward, current)

    @abstractmethod
    def _search(self, current: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        """Estimate backward and forward flow, of the size at which they are estimated."""
