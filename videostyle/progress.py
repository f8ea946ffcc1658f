"""Progress of long operations: rendering, learning, training, painting by optimization, measuring.

Each takes `on_progress`, a function that it calls with a `Progress` in the caller's thread. An exception from that
function ends the operation in the same way as Ctrl-C does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, eq=False)
class Progress:
    """Progress of a long operation: its stage, and the share of it that is done."""

    stage: str
    """Name of the current work, for people: "painting", "choosing keyframes"."""
    done: float = 0.0
    total: float | None = 1.0
    """Units in all; None if that is unknown."""
    unit: str = ""
    """Unit of `done`: "frames", "steps"; "" where it is a share of 1."""
    note: str = ""
    """Details for people: losses, sizes."""
    latest: Any = None
    """The newest result: the output frame of a render, the loss terms of an optimization; None before the first."""

    @property
    def share(self) -> float:
        """Share of the stage that is done, in 0..1; 0 if it is unknown."""
        return min(self.done / self.total, 1.0) if self.total else 0.0


OnProgress = Callable[[Progress], object]


def ignore(progress: Progress) -> None:
    """Do nothing: the callback of an operation that nobody watches."""


@contextmanager
def log_to(handler: logging.Handler, level: int = logging.INFO) -> Iterator[None]:
    """Give `handler` what the library logs in the block, from `level` on."""
    logger = logging.getLogger("videostyle")
    before = logger.level
    logger.setLevel(level)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
