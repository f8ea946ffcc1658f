"""Settings of `batch` and the segments of a film, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from videostyle.errors import UsageError
from videostyle.plan import RenderPlan


@dataclass(frozen=True)
class Segment:
    """A stretch of a film that is painted on its own. Frames are counted from 0 in the part that the plan asks for."""

    start: int
    end: int
    """Frames from `start` to before `end` are kept."""
    warm: int
    """Painting begins at this frame, that what is remembered at `start` is what the whole film's painter remembers."""
    ahead: int
    """Frames to before this one are painted, for those who look ahead."""
    pts: int
    """Of the frame `warm`."""
    check: int
    """CRC-32 of the pixels of the frame `warm`: not every film gives the same frames when it is entered midway."""
    cuts: tuple[int, ...] = ()
    """Frames at which shots begin."""


@dataclass(frozen=True)
class BatchPlan:
    """Films to paint into one folder."""

    films: tuple[RenderPlan, ...]
    folder: Path
    workers: int | None = None
    """How many paint at a time; None asks the machine."""
    executor: str = "local"
    """What carries the work out, by name: local (processes) or ray."""
    address: str | None = None
    """Of the Ray cluster; None is the one this machine belongs to, or a new one."""
    retries: int = 1
    """How often a segment is tried again before its film has failed."""
    segment: int = 240
    """Frames of a segment, at least: what starting one costs is then small against painting it. Fewer where workers
    would have nothing to do."""
    whole_shots: bool = False
    """Never split within a shot, however long: the film is then the single run's to the bit."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers must be at least 1, got {self.workers}")
        if self.segment < 1:
            raise UsageError(f"segment must be at least 1 frame, got {self.segment}")
        if self.retries < 0:
            raise UsageError(f"retries must not be negative, got {self.retries}")
