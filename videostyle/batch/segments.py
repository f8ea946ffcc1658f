"""Segments of a film that are rendered independently, with the output of a single run.

Temporal state is reset at a cut, so a segment that begins with a shot needs no earlier frames. Within a shot the state
fades but has no end, and the lookahead stabilizer needs the frames that follow. Therefore a segment that begins within
a shot also stylizes some frames before it and after it, which are not kept.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from torch import Tensor

from videostyle.batch.plan import Segment
from videostyle.cuts import mark_cuts
from videostyle.errors import SourceError
from videostyle.io import open_source
from videostyle.ops.pixels import same_pixels
from videostyle.plan import RenderPlan
from videostyle.progress import OnProgress, Progress, ignore
from videostyle.stabilize import LATENCY, WINDOW
from videostyle.stylizers import passes_through
from videostyle.threads import prefetch
from videostyle.timeline import Span
from videostyle.types import Frame

# The lookahead stabilizer advances by STEP frames: only at these can a shot be entered in step with a single run.
STEP = WINDOW - LATENCY
# Longer shots are split into pieces of about LONGEST / 2. The warm-up before each is a tenth of it, and leaves
# differences of at most 12 steps of 255, on average 0.012 (docs/guide/batch.md).
LONGEST = 2560
WARMUP = 128
# Seconds read before the first frame, for filters over several frames, such as the deinterlacer.
LEAD = Fraction(1, 5)


@dataclass(frozen=True)
class Point:
    """A frame at which rendering of a segment may begin."""

    frame: int
    pts: int
    crc32: int
    """CRC-32 of its pixels."""
    is_cut: bool


@dataclass(frozen=True)
class Scan:
    """Properties of a film that are needed to split it."""

    frames: int
    points: tuple[Point, ...]
    """The first frame of each shot, and every STEP frames from there, up to the shot's first repetition."""
    warnings: tuple[str, ...]

    @property
    def shots(self) -> list[Point]:
        """First frames of the shots."""
        return [point for point in self.points if point.is_cut]

    @classmethod
    def of(cls, values: dict[str, Any]) -> Scan:
        """Make a scan from the plain values of `dataclasses.asdict`."""
        return cls(values["frames"], tuple(Point(**point) for point in values["points"]), tuple(values["warnings"]))


def scan(plan: RenderPlan, on_progress: OnProgress = ignore) -> Scan:
    """Decode the film once, as a render does, and find its shots. Raises SourceError."""
    points: list[Point] = []
    count = start = 0
    last: Tensor | None = None
    repeats = False
    with open_source(plan.source) as video, prefetch(video.frames(plan.span), plan.queue_depth) as frames:
        total = video.info.frames_in(plan.span)
        for frame in mark_cuts(frames):
            if frame.is_cut:
                start, repeats = frame.index, False
            elif not repeats and last is not None and same_pixels(frame.pixels, last):
                # Repeated frames are not stylized, and from here on the lookahead windows are out of step.
                repeats = True
                while points[-1].frame + LATENCY >= frame.index and not points[-1].is_cut:
                    points.pop()
            if not repeats and (frame.index - start) % STEP == 0:
                points.append(Point(frame.index, frame.pts, checksum(frame.pixels), frame.is_cut))
            last = frame.pixels
            count += 1
            on_progress(Progress("finding shots", count, total, "frames"))
    if not count:
        raise SourceError(f"{plan.source}: no frame in the part asked for")
    return Scan(count, tuple(points), tuple(video.warnings))


def split(found: Scan, plan: RenderPlan, shortest: int, whole_shots: bool = False) -> tuple[Segment, ...]:
    """Split a film into segments, in order: whole shots, joined to at least `shortest` frames, and pieces of very long
    shots.
    """
    shots = found.shots
    first = shots[0]
    if found.warnings:
        # A damaged film decodes to other frames after a seek.
        return (Segment(0, found.frames, 0, found.frames, first.pts, first.crc32, _within(shots, 0, found.frames)),)
    stylizes = not passes_through(plan.style)
    is_stabilized = stylizes and plan.stabilize.amount > 0
    has_shot_statistics = stylizes and plan.style.statistics == "shot"
    warmup = WARMUP if is_stabilized else 0
    lookahead = LATENCY if is_stabilized and plan.stabilize.mode != "causal" else 0
    starts = [first]
    entered = {0: first}
    for shot, end in zip(shots, [*(following.frame for following in shots[1:]), found.frames], strict=True):
        if shot.frame - starts[-1].frame >= shortest:
            starts.append(shot)
            entered[shot.frame] = shot
        if whole_shots or has_shot_statistics or end - shot.frame <= LONGEST:
            continue
        inside = {point.frame: point for point in found.points if shot.frame <= point.frame < end}
        pieces = round((end - shot.frame) / (LONGEST / 2))
        for number in range(1, pieces):
            at = shot.frame + number * (end - shot.frame) // pieces // STEP * STEP
            enter = max(at - warmup, shot.frame)
            if at in inside and enter in inside and at - starts[-1].frame >= shortest:
                starts.append(inside[at])
                entered[at] = inside[enter]
    cuts = {shot.frame for shot in shots}
    ends = [*(point.frame for point in starts[1:]), found.frames]
    segments = []
    for begin, end in zip(starts, ends, strict=True):
        first = entered[begin.frame]
        # The lookahead ends at a cut.
        until = end if end in cuts else min(end + lookahead, found.frames)
        inner = _within(shots, first.frame, until)
        segments.append(Segment(begin.frame, end, first.frame, until, first.pts, first.crc32, inner))
    return tuple(segments)


def _within(shots: list[Point], start: int, end: int) -> tuple[int, ...]:
    return tuple(shot.frame for shot in shots if start <= shot.frame < end)


class SegmentSource:
    """A source of one segment's frames, with its warm-up and lookahead, as in a render of the whole film."""

    is_live = False

    def __init__(self, plan: RenderPlan, segment: Segment, journal: Path) -> None:
        """Open the film; `journal` is the folder of its journal, for the message if the film has changed.

        Raises SourceError if the film cannot be read.
        """
        self._journal = journal
        self._video = open_source(plan.source)
        self._plan = plan
        self._segment = segment
        self.info = self._video.info
        self.warnings = self._video.warnings

    def __enter__(self) -> Self:
        self._video.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._video.__exit__(kind, error, trace)

    def frames(self, span: Span = Span()) -> Iterator[Frame]:  # noqa: B008 - frozen
        """Yield the frames from `warmup_start` to `lookahead_end`, numbered as in the whole film, with cuts marked.

        `span` is ignored: it is the plan's. Raises SourceError if frames are missing.
        """
        segment = self._segment
        count = segment.lookahead_end - segment.warmup_start
        for number, frame in enumerate(self._from_warmup(), segment.warmup_start):
            yield replace(frame, index=number, is_cut=number in segment.cuts)
            count -= 1
            if count == 0:
                return
        raise self._changed(f"{count} frames of it are missing")

    def _from_warmup(self) -> Iterator[Frame]:
        """Yield the frames from `warmup_start` on: after a seek if that gives the same frame, else from the start."""
        segment, span = self._segment, self._plan.span
        first = segment.pts * self.info.time_base - (self.info.start or 0)
        for start in dict.fromkeys((max(first - LEAD, span.start), span.start)):
            frames = self._video.frames(Span(start, span.end))
            frame = next((frame for frame in frames if frame.pts >= segment.pts), None)
            if frame is not None and frame.pts == segment.pts and checksum(frame.pixels) == segment.crc32:
                yield frame
                yield from frames
                return
        raise self._changed(f"frame {segment.warmup_start} is another one")

    def _changed(self, reason: str) -> SourceError:
        message = f"is not the film that was split ({reason}); remove {self._journal} to start it again"
        return SourceError(f"{self._plan.source}: {message}")


def checksum(pixels: Tensor) -> int:
    """Compute the CRC-32 of a picture in memory order."""
    return zlib.crc32(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()).data)
