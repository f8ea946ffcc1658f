"""Adaptive resolution: the size at which frames are stylized, chosen so that the frame rate holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from statistics import mean

# Sides of the rungs, as shares of the full size; with fewer lines than FEWEST_LINES nothing is recognised any more.
RUNGS = (1.0, 0.8, 0.65, 0.5, 0.4, 0.3)
FEWEST_LINES = 120
# Frames measured before a step down, SOON, and before a step up, LATER. If frames are slow, a step down needs only
# FEWEST of them that took LONG seconds together.
SOON, LATER = 12, 72
# Frames whose costs are kept at most.
HISTORY = 8 * LATER
FEWEST, LONG = 3, 0.5
# Frames after a step that are not measured: the network is compiled again, and the queues hold frames of the old size.
SETTLING = 4
# Shares of a frame's period: above TOO_MUCH it steps down, to a rung that should need ENOUGH or less; it steps up if
# the larger size should need LITTLE or less.
TOO_MUCH, ENOUGH, LITTLE = 1.0, 0.9, 0.75


class Ladder:
    """Chooses the size of frames from their costs, without a clock of its own.

    Cost grows with the area. The ladder steps down soon and as far as necessary, and up late and one rung at a time; a
    rung that proved too high is tried again only after twice as many frames as the time before.
    """

    def __init__(self, size: tuple[int, int], fps: float, easy: int | None = None) -> None:
        """Begin on the first rung of at most `easy` pixels; `size` is the full (width, height)."""
        rungs = [_scaled(size, share) for share in RUNGS]
        self.sizes = [rung for rung in rungs if min(rung) >= FEWEST_LINES] or rungs[:1]
        fitting = (rung for rung, (w, h) in enumerate(self.sizes) if easy is None or w * h <= easy)
        self.rung = next(fitting, len(self.sizes) - 1)
        self._period = 1 / fps
        self._costs: deque[float] = deque(maxlen=HISTORY)
        self._count = 0
        self._settling = SETTLING
        self._patience = LATER
        self._climbed = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height at which to stylize."""
        return self.sizes[self.rung]

    def add(self, cost: float) -> bool:
        """Add the seconds that one frame took; return True if the size changes."""
        if self._settling:
            self._settling -= 1
            return False
        self._costs.append(cost)
        self._count += 1
        rung = self.rung
        recent = list(self._costs)[-SOON:]
        enough = len(recent) == SOON or (len(recent) >= FEWEST and sum(recent) >= LONG)
        if enough and typical(recent) > TOO_MUCH * self._period:
            rung = self._below(typical(recent))
        elif self._count >= self._patience:
            if rung and self._expected(rung - 1, typical(self._costs)) <= LITTLE * self._period:
                rung -= 1
            elif self._climbed:  # the rung above held
                self._climbed, self._patience = False, LATER
            self._begin()
        return self._step(rung)

    def _step(self, rung: int) -> bool:
        if rung == self.rung:
            return False
        if rung > self.rung and self._climbed:
            self._patience *= 2
        self._climbed = rung < self.rung
        self.rung = rung
        self._begin()
        self._settling = SETTLING
        return True

    def _begin(self) -> None:
        self._costs.clear()
        self._count = 0

    def _below(self, cost: float) -> int:
        """Return the highest rung on which a frame should cost ENOUGH or less, or else the lowest."""
        lower = range(self.rung + 1, len(self.sizes))
        last = len(self.sizes) - 1
        return next((rung for rung in lower if self._expected(rung, cost) <= ENOUGH * self._period), last)

    def _expected(self, rung: int, cost: float) -> float:
        (width, height), (wide, tall) = self.sizes[rung], self.size
        return cost * width * height / (wide * tall)


def typical(costs: Sequence[float]) -> float:
    """Compute the mean cost without the slowest of every dozen: one hiccup is no reason to step down, many are."""
    return mean(sorted(costs)[: len(costs) - -(-len(costs) // SOON)])


def _scaled(size: tuple[int, int], share: float) -> tuple[int, int]:
    """Scale a size to even sides, which the network and codecs need; the full size stays as it is."""
    if share == 1:
        return size
    return max(2 * round(size[0] * share / 2), 2), max(2 * round(size[1] * share / 2), 2)
