"""Ghosts: remains of an old picture in a new one, after a cut and in disocclusions."""

from __future__ import annotations

import math

from torch import Tensor


class GhostShare:
    """Share of old pictures in new ones, over all that were added: 0 is none, 1 is all.

    Every picture is modelled as its unblended stylization plus a share of the difference to the old picture; the share
    is fitted by least squares. The energy of a ghost is proportional to its square. A negative share points away from
    the old picture.
    """

    def __init__(self) -> None:
        self._along = 0.0
        self._length = 0.0

    def add(self, picture: Tensor, fresh: Tensor, old: Tensor, where: Tensor | None = None) -> None:
        """Add pictures (1, C, H, W) in 0..1: the output, the unblended stylization, and the old output.

        `where`, (1, 1, H, W) bool, selects the pixels.
        """
        way = old - fresh
        if where is not None:
            way = way * where
        self._along += ((picture - fresh) * way).sum().item()
        self._length += way.square().sum().item()

    @property
    def share(self) -> float:
        """Share so far; nan if nothing was added, or old and unblended pictures are equal."""
        return self._along / self._length if self._length > 0 else math.nan
