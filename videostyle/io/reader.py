"""Films in: decoding, upright, progressive, in RGB, with every timestamp as the container has it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from types import TracebackType
from typing import Self, cast

import av
from av.container import InputContainer
from av.filter import Graph
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from videostyle.errors import SourceError
from videostyle.io.canvas import Canvas
from videostyle.io.colors import APPROXIMATE, orientation_of
from videostyle.io.info import decoder_of, film_stream, open_container, probe_video
from videostyle.io.pyav import fraction, time_base_of
from videostyle.io.side_data import side_data
from videostyle.plan import Span
from videostyle.types import Frame

_READ_ERRORS_IN_A_ROW = 64  # then the file is taken to end here


class VideoSource:
    """A film (or animated GIF) read with FFmpeg.

    Frames that cannot be decoded are skipped and counted in `warnings`. A film whose colours are not tagged is read as
    BT.601 up to 576 lines and as BT.709 above, limited range, as players do.
    """

    is_live = False

    def __init__(self, path: str) -> None:
        """Raises SourceError where the file cannot be read or holds no film."""
        self.info = probe_video(path)
        self.warnings: list[str] = []
        if self.info.color.space in APPROXIMATE:
            self.warnings.append(f"{path}: hues are not exact: its matrix, {self.info.color.space}, is read as another")
        self._path = path
        self._damaged = 0
        self._repaired = 0
        self._announced = 0
        self._open: Iterator[Frame] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            self._open.close()  # type: ignore[attr-defined]  # a generator: closing it closes the container

    def frames(self, span: Span = Span()) -> Iterator[Frame]:  # noqa: B008 - frozen
        """The frames shown from `span.start` to before `span.end`, counted from the first frame's time.

        Raises SourceError where nothing can be decoded.
        """
        self._open = self._frames(span)
        return self._open

    def _frames(self, span: Span) -> Iterator[Frame]:
        info = self.info
        origin = info.start or Fraction(0)
        start = origin + span.start
        end = None if span.end is None else origin + span.end
        count = 0
        previous: int | None = None
        canvas: Canvas | None = None
        for picture in self._pictures(start if span.start else None):
            pts = self._repair(picture, previous)
            previous = pts
            time = pts * info.time_base
            if time < start:
                continue
            if end is not None and time >= end:
                self._announced = 0
                break
            if canvas is None:
                canvas = Canvas(info, orientation_of(picture))
            pixels = canvas(picture, cast(Fraction | None, picture.opaque))
            yield Frame(pixels, pts, info.time_base, picture.duration or None, count, side_data=side_data(picture))
            count += 1
        if canvas is not None and canvas.changes:
            others = ", ".join(canvas.changes)
            self.warnings.append(f"{self._path}: {others} in mid-film, fitted inside with black bars")
        self._report(count)
        if not count and not span.start:
            raise SourceError(f"{self._path}: none of its frames can be decoded; the file is damaged or cut off")

    def _repair(self, picture: av.VideoFrame, previous: int | None) -> int:
        """The picture's pts, made up where it is missing and moved one tick on where it does not increase."""
        pts = picture.pts if picture.pts is not None else picture.dts
        if pts is not None and (previous is None or pts > previous):
            return pts
        self._repaired += 1
        if previous is None:
            return 0
        if pts is not None:
            return previous + 1
        rate = self.info.average_rate or Fraction(25)
        return previous + max(picture.duration or round(1 / (rate * self.info.time_base)), 1)

    def _report(self, count: int) -> None:
        expected = self._announced
        if self._damaged:
            self.warnings.append(f"{self._path}: {self._damaged} damaged packets skipped; {count} frames decoded")
        elif count < expected * 0.99 - 2:
            self.warnings.append(f"{self._path}: {count} of {expected} frames could be read; it may be cut off")
        if self._repaired:
            self.warnings.append(f"{self._path}: {self._repaired} frames had no usable timestamp; times were made up")

    def _pictures(self, start: Fraction | None) -> Iterator[av.VideoFrame]:
        """Decoded, progressive pictures; from a key frame at or before `start` seconds where the file can seek."""
        with open_container(self._path) as container:
            stream = film_stream(container, self._path)
            self._announced = stream.frames if start is None else 0
            if start is None or self._seek(container, stream, start):
                decoded = self._decoded(container, stream, decoder_of(stream))
                found = deinterlaced(decoded, self.info.time_base)
                first = next(found, None)
                if first is not None and (start is None or self._is_by(first, start)):
                    yield first
                    yield from found
                    return
        if start is not None:  # it cannot seek, or it landed late: read from the beginning instead
            yield from self._pictures(None)

    def _is_by(self, picture: av.VideoFrame, time: Fraction) -> bool:
        pts = picture.pts if picture.pts is not None else picture.dts
        return pts is not None and pts * self.info.time_base <= time

    def _seek(self, container: InputContainer, stream: VideoStream, start: Fraction) -> bool:
        try:
            container.seek(int(start / self.info.time_base), stream=stream)
        except (av.FFmpegError, OSError):
            return False
        return True

    def _decoded(
        self, container: InputContainer, stream: VideoStream, decoder: VideoCodecContext
    ) -> Iterator[av.VideoFrame]:
        """Every picture that decodes, in the order shown; damage is counted and passed over."""
        failures = 0
        while failures < _READ_ERRORS_IN_A_ROW:
            try:
                for packet in container.demux(stream):
                    try:
                        pictures = decoder.decode(packet)
                    except (av.FFmpegError, ValueError):
                        self._damaged += 1
                        continue
                    failures = 0
                    for picture in pictures:
                        picture.opaque = fraction(decoder.sample_aspect_ratio)  # filters hand it on
                        yield picture
                return
            except (av.FFmpegError, OSError):  # demux ends at an unreadable stretch; asked again it goes on after it
                failures += 1
                self._damaged += 1


def deinterlaced(pictures: Iterator[av.VideoFrame], time_base: Fraction) -> Iterator[av.VideoFrame]:
    """One progressive picture for each given, with its time; bwdif on those marked interlaced.

    The filter is set up at the first interlaced picture, so progressive films do not pass through it.
    """
    graph: Graph | None = None
    shape: tuple[int, int, str] | None = None
    for picture in pictures:
        now = (picture.width, picture.height, picture.format.name)
        if graph is not None and now != shape:
            graph.vpush(None)
            yield from _pulled(graph, time_base)
            graph = None
        if graph is None:
            if not picture.interlaced_frame or picture.width < 4 or picture.height < 8:  # too small for bwdif
                yield picture
                continue
            graph, shape = _bwdif(picture, time_base), now
        picture.time_base = time_base
        graph.vpush(picture)
        yield from _pulled(graph, time_base)
    if graph is not None:
        graph.vpush(None)
        yield from _pulled(graph, time_base)


def _bwdif(picture: av.VideoFrame, time_base: Fraction) -> Graph:
    graph = Graph()
    graph.threads = 1
    graph.link_nodes(
        graph.add_buffer(width=picture.width, height=picture.height, format=picture.format, time_base=time_base),
        graph.add("bwdif", mode="send_frame", parity="auto", deint="interlaced"),
        graph.add("buffersink"),
    ).configure()
    return graph


def _pulled(graph: Graph, time_base: Fraction) -> Iterator[av.VideoFrame]:
    while True:
        try:
            picture = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        if picture.pts is not None:  # bwdif counts in half ticks
            factor = time_base_of(picture, time_base) / time_base
            picture.pts, picture.duration = round(picture.pts * factor), round(picture.duration * factor)
        yield picture
