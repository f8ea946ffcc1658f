"""Splits a film into segments that are painted apart and come out as if the film had been painted in one go.

What a painter remembers ends at a cut, so a segment that begins with a shot needs nothing of what was before. Within a
shot memory fades but has no end; what comes after matters too, to those who look ahead. A segment that begins within a
shot therefore paints some frames before it and after it, which are thrown away.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
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
from videostyle.stabilize import LATENCY, WINDOW
from videostyle.threads import prefetch
from videostyle.timeline import Span
from videostyle.types import Frame

# Look-ahead is done with so many frames at a time: only there can a shot be entered in step with the whole film.
STEP = WINDOW - LATENCY
# Longer shots are split into pieces of about LONGEST / 2. What is painted in vain before each is a tenth of it, and
# leaves differences of at most 12 steps of 255, on average 0.012 (docs/guide/batch.md).
LONGEST = 2560
WARM = 128
# Filters over several frames, such as the deinterlacer's, need some before the first that counts.
LEAD = Fraction(1, 5)


@dataclass(frozen=True)
class Point:
    """A frame at which a segment may begin to be painted."""

    frame: int
    pts: int
    check: int
    """CRC-32 of its pixels."""
    is_cut: bool


@dataclass(frozen=True)
class Scan:
    """What is to be known of a film to split it."""

    frames: int
    points: tuple[Point, ...]
    """The first frame of each shot, and every STEP frames from there, up to the shot's first repetition."""
    warnings: tuple[str, ...]

    @property
    def shots(self) -> list[Point]:
        """Where shots begin."""
        return [point for point in self.points if point.is_cut]

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Scan:
        """The scan that was told as plain values."""
        return cls(plain["frames"], tuple(Point(**point) for point in plain["points"]), tuple(plain["warnings"]))


def scan(plan: RenderPlan, on_frame: Callable[[], None]) -> Scan:
    """Decode the film once, as a render would, and find its shots; `on_frame` may end it. Raises SourceError."""
    points: list[Point] = []
    count = start = 0
    last: Tensor | None = None
    repeats = False
    with open_source(plan.source) as video, prefetch(video.frames(plan.span), plan.queue_depth) as frames:
        for frame in mark_cuts(frames):
            if frame.is_cut:
                start, repeats = frame.index, False
            elif not repeats and last is not None and same_pixels(frame.pixels, last):
                # Repeated frames are not painted, and from here on the windows of look-ahead are out of step.
                repeats = True
                while points[-1].frame + LATENCY >= frame.index and not points[-1].is_cut:
                    points.pop()
            if not repeats and (frame.index - start) % STEP == 0:
                points.append(Point(frame.index, frame.pts, checksum(frame.pixels), frame.is_cut))
            last = frame.pixels
            count += 1
            on_frame()
    if not count:
        raise SourceError(f"{plan.source}: no frame in the part asked for")
    return Scan(count, tuple(points), tuple(video.warnings))


def split(found: Scan, plan: RenderPlan, shortest: int, whole_shots: bool = False) -> tuple[Segment, ...]:
    """The segments of a film, in order: whole shots, gathered until they have `shortest` frames, and pieces of shots
    that are very long.
    """
    shots = found.shots
    first = shots[0]
    if found.warnings:
        # A damaged film decodes to other frames when it is entered midway.
        return (Segment(0, found.frames, 0, found.frames, first.pts, first.check, _within(shots, 0, found.frames)),)
    steadied = not plan.style.is_none and plan.stabilize.amount > 0
    remembers = plan.style.statistics == "shot" and not plan.style.is_none
    warm = WARM if steadied else 0
    ahead = LATENCY if steadied and plan.stabilize.mode != "causal" else 0
    starts = [first]
    entered = {0: first}
    for shot, end in zip(shots, [*(following.frame for following in shots[1:]), found.frames], strict=True):
        if shot.frame - starts[-1].frame >= shortest:
            starts.append(shot)
            entered[shot.frame] = shot
        if whole_shots or remembers or end - shot.frame <= LONGEST:
            continue
        inside = {point.frame: point for point in found.points if shot.frame <= point.frame < end}
        pieces = round((end - shot.frame) / (LONGEST / 2))
        for number in range(1, pieces):
            at = shot.frame + number * (end - shot.frame) // pieces // STEP * STEP
            enter = max(at - warm, shot.frame)
            if at in inside and enter in inside and at - starts[-1].frame >= shortest:
                starts.append(inside[at])
                entered[at] = inside[enter]
    cuts = {shot.frame for shot in shots}
    ends = [*(point.frame for point in starts[1:]), found.frames]
    segments = []
    for begin, end in zip(starts, ends, strict=True):
        first = entered[begin.frame]
        # Nobody looks ahead over a cut.
        until = end if end in cuts else min(end + ahead, found.frames)
        inner = _within(shots, first.frame, until)
        segments.append(Segment(begin.frame, end, first.frame, until, first.pts, first.check, inner))
    return tuple(segments)


def _within(shots: list[Point], start: int, end: int) -> tuple[int, ...]:
    return tuple(shot.frame for shot in shots if start <= shot.frame < end)


class SegmentSource:
    """The frames of one segment, and those painted in vain before and after it, as a render of the whole sees them."""

    is_live = False

    def __init__(self, plan: RenderPlan, segment: Segment, journal: Path) -> None:
        """`journal` is the folder of the film's journal, to be named where the film is not the one that was split.

        Raises SourceError where the film cannot be read.
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
        """The frames from `warm` to before `ahead`, numbered as in the whole film, cuts marked; `span` is the plan's.

        Raises SourceError where the film does not have them any more.
        """
        segment = self._segment
        count = segment.ahead - segment.warm
        for number, frame in enumerate(self._entered(), segment.warm):
            yield replace(frame, index=number, is_cut=number in segment.cuts)
            count -= 1
            if count == 0:
                return
        raise self._changed(f"{count} frames of it are missing")

    def _entered(self) -> Iterator[Frame]:
        """Frames from `warm` on: by a jump there where that gives the same frame, else read from the beginning."""
        segment, span = self._segment, self._plan.span
        first = segment.pts * self.info.time_base - (self.info.start or 0)
        for start in dict.fromkeys((max(first - LEAD, span.start), span.start)):
            frames = self._video.frames(Span(start, span.end))
            frame = next((frame for frame in frames if frame.pts >= segment.pts), None)
            if frame is not None and frame.pts == segment.pts and checksum(frame.pixels) == segment.check:
                yield frame
                yield from frames
                return
        raise self._changed(f"frame {segment.warm} is another one")

    def _changed(self, reason: str) -> SourceError:
        told = f"is not the film that was split ({reason}); remove {self._journal} to start it again"
        return SourceError(f"{self._plan.source}: {told}")


def checksum(pixels: Tensor) -> int:
    """CRC-32 of a picture as it lies in memory."""
    return zlib.crc32(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()).data)
