"""Settings of `batch` and the segments of a film, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from videostyle.errors import UsageError
from videostyle.plan import RenderPlan


@dataclass(frozen=True)
class Segment:
    """A part of a film that is rendered on its own. Frames are counted from 0 in the span of the plan."""

    start: int
    end: int
    """Frames from `start` to before `end` are kept."""
    warmup_start: int
    """First frame that is stylized, so that the temporal state at `start` is that of a single run."""
    lookahead_end: int
    """End of the frames that are stylized, for the lookahead stabilizer; frames from `end` on are not kept."""
    pts: int
    """Presentation time of the frame `warmup_start`."""
    crc32: int
    """CRC-32 of the pixels of the frame `warmup_start`: some films decode differently after a seek."""
    cuts: tuple[int, ...] = ()
    """Frames at which shots begin."""


@dataclass(frozen=True)
class BatchPlan:
    """Films to render into one folder."""

    films: tuple[RenderPlan, ...]
    folder: Path
    workers: int | None = None
    """Number of workers; None chooses by the machine."""
    executor: str = "local"
    """Name of the executor: local (processes) or ray."""
    address: str | None = None
    """Address of the Ray cluster; None is the one this machine belongs to, or a new one."""
    retries: int = 1
    """Number of times that a segment is tried again before its film fails."""
    segment: int = 240
    """Least number of frames in a segment, so that its start-up costs little beside its rendering. Segments are shorter
    if workers would be idle otherwise."""
    whole_shots: bool = False
    """Never split within a shot, however long: the output is then that of a single run to the bit."""

    self_contained: bool = False
    """Refuse films of formats that name other files: they are strangers'."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers must be at least 1, got {self.workers}")
        if self.segment < 1:
            raise UsageError(f"segment must be at least 1 frame, got {self.segment}")
        if self.retries < 0:
            raise UsageError(f"retries must not be negative, got {self.retries}")
