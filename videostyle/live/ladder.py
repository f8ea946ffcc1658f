"""How large to paint, so that the frame rate holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from statistics import mean

# Sides of the rungs, as shares of the full size; with fewer lines than these nothing is recognised any more.
RUNGS = (1.0, 0.8, 0.65, 0.5, 0.4, 0.3)
FEWEST_LINES = 120
# Frames that are looked at before a step down, and before a step up; where they are slow, fewer that took so long.
SOON, LATER = 12, 72
# Frames whose costs are remembered, however many are waited for.
REMEMBERED = 8 * LATER
FEWEST, LONG = 3, 0.5
# Frames after a step that are not looked at: the network is compiled anew, and the queues hold frames of the old size.
SETTLING = 4
# Of the time there is for a frame: down where more is needed, to where this much or less is expected; up where even
# the larger picture would need no more than this.
TOO_MUCH, ENOUGH, LITTLE = 1.0, 0.9, 0.75


class Ladder:
    """Takes what frames cost, says what size they should have; knows no clock.

    Cost grows with the area. It steps down soon and as far as it takes, and up late and one rung at a time; a rung that
    proved too high is tried again only after twice as many frames as the time before.
    """

    def __init__(self, size: tuple[int, int], fps: float, easy: int | None = None) -> None:
        """`size` is the full (width, height); it begins on the first rung of at most `easy` pixels."""
        rungs = [_scaled(size, share) for share in RUNGS]
        self.sizes = [rung for rung in rungs if min(rung) >= FEWEST_LINES] or rungs[:1]
        fitting = (rung for rung, (w, h) in enumerate(self.sizes) if easy is None or w * h <= easy)
        self.rung = next(fitting, len(self.sizes) - 1)
        self._period = 1 / fps
        self._costs: deque[float] = deque(maxlen=REMEMBERED)
        self._count = 0
        self._settling = SETTLING
        self._patience = LATER
        self._climbed = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height to paint at."""
        return self.sizes[self.rung]

    def judge(self, cost: float) -> bool:
        """Take in the seconds that one frame kept the painter busy; True where this changes the size."""
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
            elif self._climbed:  # the rung it climbed to holds
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
        """The highest rung on which a frame should cost little enough, or else the lowest."""
        lower = range(self.rung + 1, len(self.sizes))
        last = len(self.sizes) - 1
        return next((rung for rung in lower if self._expected(rung, cost) <= ENOUGH * self._period), last)

    def _expected(self, rung: int, cost: float) -> float:
        (width, height), (wide, tall) = self.sizes[rung], self.size
        return cost * width * height / (wide * tall)


def typical(costs: Sequence[float]) -> float:
    """Their mean, the slowest of every dozen left out: one hiccup is no reason, many are."""
    return mean(sorted(costs)[: len(costs) - -(-len(costs) // SOON)])


def _scaled(size: tuple[int, int], share: float) -> tuple[int, int]:
    """Even sides, as the network and codecs like them, unless they are the full ones."""
    if share == 1:
        return size
    return max(2 * round(size[0] * share / 2), 2), max(2 * round(size[1] * share / 2), 2)
