"""What is left of an old picture where a new one should be: after a cut, and where something has just moved away."""

from __future__ import annotations

import math

from torch import Tensor


class Leftover:
    """How much of old pictures shows in new ones: 0 is nothing, 1 is all of it; summed over what was added.

    Every picture is taken as its fresh painting plus some share of the way to the old one; that share is found by
    least squares. Energy goes with its square. Below 0 it leads away from the old picture.
    """

    def __init__(self) -> None:
        self._along = 0.0
        self._length = 0.0

    def add(self, picture: Tensor, fresh: Tensor, old: Tensor, where: Tensor | None = None) -> None:
        """Pictures (1, C, H, W) in 0..1: as shown, as painted afresh, and as it was; `where` is (1, 1, H, W) bool."""
        way = old - fresh
        if where is not None:
            way = way * where
        self._along += ((picture - fresh) * way).sum().item()
        self._length += way.square().sum().item()

    @property
    def share(self) -> float:
        """The share; nan where nothing was added, or old and fresh pictures are the same."""
        return self._along / self._length if self._length > 0 else math.nan
