"""Tasks of batch workers: plain data in and out; films are read and written by path, frames are never sent."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from videostyle.batch.plan import Segment
from videostyle.batch.segments import SegmentSource, scan
from videostyle.errors import SinkError, SourceError, UsageError, VideostyleError
from videostyle.files import is_disk_full
from videostyle.io import open_sink, open_source
from videostyle.io.codecs import CODECS, choose_codec, container_for
from videostyle.io.images import ImageSink, is_picture
from videostyle.io.writer import VideoSink
from videostyle.pipeline import fit, render
from videostyle.plan import RenderPlan
from videostyle.progress import OnProgress
from videostyle.types import Frame, Sink, VideoInfo
from videostyle.written_files import WrittenFiles, file_crc32


@dataclass(frozen=True)
class ScanTask:
    """Find a film's shots."""

    plan: RenderPlan


@dataclass(frozen=True)
class PaintTask:
    """Render one segment of a film into a file of its own, without sound."""

    plan: RenderPlan
    segment: Segment
    path: str


@dataclass(frozen=True)
class JoinTask:
    """Join the segments of a film, and add sound and all other streams of the source.

    An existing output is replaced if the plan allows that, or if it is on record in the file `written`.
    """

    plan: RenderPlan
    paths: tuple[str, ...]
    written: str


@dataclass(frozen=True)
class WholeTask:
    """Render an output that cannot be joined from parts in one run: pictures, sequences and GIFs."""

    plan: RenderPlan
    written: str


Task = ScanTask | PaintTask | JoinTask | WholeTask


OnFrame = Callable[[Frame | None], object]
"""Function that is called with each stylized frame, and with None while there is none."""


def carry_out(task: Task, on_frame: OnFrame) -> dict[str, Any]:
    """Carry out a task, and return its result in plain values.

    `on_frame` is called with each stylized frame, and with None in between; an exception from it ends the task.

    The result of a failure has the keys `error`, a line; `retryable`, False if another try would not help; and
    `disk_full`.
    """
    started = time.perf_counter()
    try:
        if isinstance(task, ScanTask):
            done = asdict(scan(task.plan, lambda progress: on_frame(None)))
        elif isinstance(task, PaintTask):
            done = _paint(task, on_frame)
        elif isinstance(task, JoinTask):
            done = _join(task)
        else:
            done = _whole(task, on_frame)
    except Exception as error:  # any error concerns this film only; the others go on
        line = " ".join(str(error).split()) or type(error).__name__
        if not isinstance(error, VideostyleError):
            line = f"unexpected {type(error).__name__}: {line}"
        return {"error": line, "retryable": not isinstance(error, UsageError), "disk_full": is_disk_full(error)}
    return {**done, "seconds": round(time.perf_counter() - started, 3)}


def part_suffix(plan: RenderPlan, info: VideoInfo) -> str:
    """Return the file suffix of segments: a container that keeps exact times, which Matroska does not."""
    name = container_for(plan.output)
    codec_name, codec = choose_codec(name, plan.encode)
    if name in ("mp4", "mov") or (codec_name == "vp9" and info.has_alpha):  # only Matroska has alpha in VP9
        return f".{name}"
    return ".mp4" if "mp4" in codec.containers else ".mov"


def is_joinable(plan: RenderPlan) -> bool:
    """Return True if the output can be joined from segments; raise UsageError for an invalid output."""
    if is_picture(plan.output):
        return False
    codec, _ = choose_codec(container_for(plan.output), plan.encode)
    return "gif" not in CODECS[codec].containers and "apng" not in CODECS[codec].containers


def _paint(task: PaintTask, on_frame: OnFrame) -> dict[str, Any]:
    segment, plan = task.segment, task.plan
    final = Path(task.path)
    # A name for this try only: on systems where workers survive their master, an old one may still be writing.
    partial = final.with_name(f"{final.stem}.{uuid.uuid4().hex[:8]}.partial{final.suffix}")
    source = SegmentSource(plan, segment, final.parent)
    name, _ = choose_codec(container_for(plan.output), plan.encode)
    size = fit(plan.size, source.info.width, source.info.height)
    sink = VideoSink(str(partial), source.info, replace(plan.encode, codec=name, overwrite=True), size=size)
    try:
        kept = _SegmentSink(sink, segment)
        report = render(plan, source=source, sink=kept, on_progress=_latest(on_frame), cuts_known=True)
        try:
            os.replace(partial, final)
        except OSError as error:
            raise SinkError(f"{final}: cannot be written ({error.strerror})") from error
    finally:
        partial.unlink(missing_ok=True)
        if sink.partial is not None:
            Path(sink.partial).unlink(missing_ok=True)
    return {
        "frames": segment.end - segment.start,
        "painted": report.frames,
        "bytes": final.stat().st_size,
        "file_crc32": file_crc32(final),
        "warnings": report.warnings,
    }


def open_output(plan: RenderPlan, info: VideoInfo, written: WrittenFiles | None) -> VideoSink | ImageSink:
    """Make the sink for the output of a plan whose source has this `info`; raises as `open_sink`."""
    size = fit(plan.size, info.width, info.height)
    return open_sink(
        plan.output,
        info,
        plan.encode,
        plan.span,
        size=size,
        copy_from=plan.source,
        sources=plan.files,
        written=written,
    )


def _whole(task: WholeTask, on_frame: OnFrame) -> dict[str, Any]:
    plan = task.plan
    sink = open_output(plan, open_source(plan.source).info, WrittenFiles(task.written))
    try:
        report = render(plan, sink=sink, on_progress=_latest(on_frame))
    finally:
        # The film is rendered again from its beginning.
        if sink.partial is not None:
            Path(sink.partial).unlink(missing_ok=True)
    return {"frames": report.frames, "warnings": report.warnings, "painted": report.frames}


def _latest(on_frame: OnFrame) -> OnProgress:
    """Return a callback for `render` that hands its frames on."""
    return lambda progress: on_frame(progress.latest)


class _SegmentSink:
    """A sink that keeps only the frames of a segment."""

    def __init__(self, sink: Sink, segment: Segment) -> None:
        self._sink = sink
        self._segment = segment
        self.warnings = sink.warnings

    def __enter__(self) -> Self:
        self._sink.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sink.__exit__(kind, error, trace)

    def write(self, frame: Frame) -> None:
        if self._segment.start <= frame.index < self._segment.end:
            self._sink.write(frame)


def _join(task: JoinTask) -> dict[str, Any]:
    plan = task.plan
    info = open_source(plan.source).info
    size = fit(plan.size, info.width, info.height)
    copy_from = None if info.container == "pictures" else plan.source
    written = WrittenFiles(task.written)
    with VideoSink(plan.output, info, plan.encode, plan.span, size, copy_from, written=written) as sink:
        try:
            sink.concat(task.paths)
        except SourceError as error:
            raise SourceError(f"{error}; remove {Path(task.paths[0]).parent} to start the film again") from error
    return {"warnings": sink.warnings, "streams": sink.streams}
