"""Source of films: decodes frames upright, progressive and in RGB, each at the time at which a player shows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from fractions import Fraction
from types import TracebackType
from typing import Self, cast

import av
from av.container import InputContainer
from av.filter import Graph
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.stream import VideoStream

from videostyle import interrupt
from videostyle.errors import SourceError, too_little
from videostyle.io.canvas import Canvas
from videostyle.io.clock import Clock, makes_times, may_restart
from videostyle.io.colors import APPROXIMATE
from videostyle.io.info import decoder_of, film_stream, open_container, probe_video
from videostyle.io.pipes import PipeInput
from videostyle.io.pyav import fraction, time_base_of
from videostyle.io.side_data import side_data
from videostyle.timeline import Span
from videostyle.types import Frame

_READ_ERRORS_IN_A_ROW = 64  # after these the file counts as ended
_NO_PICTURE = 8  # bytes at most; recorders write such samples where the previous picture stays
_TINY_PICTURES = ("vp8", "libvpx", "vp9", "libvpx-vp9", "av1", "libdav1d", "libaom-av1")  # two bytes repeat a picture
_WAITING_BYTES = 64_000_000  # of packets, after which a film without key frames is decoded from its beginning


# More than 200 lines: seeking, damage, interlacing and time stamps decide together which picture comes next, and when.
class VideoSource:
    """A film or animated GIF, read with FFmpeg.

    Frames that cannot be decoded are skipped and counted in `warnings`. A film without colour tags is read as BT.601
    up to 576 lines and as BT.709 above, in limited range, as players do.
    """

    is_live = False

    def __init__(self, path: str | PipeInput) -> None:
        """Probe the file, or the pipe, which can be read once; raise SourceError where there is no film."""
        self.pipe = path if isinstance(path, PipeInput) else None
        if isinstance(path, PipeInput):
            self.info, self._decoder_delay, self._orientation = path.info()
            path = path.name
        else:
            self.info, self._decoder_delay, self._orientation = probe_video(path)
        self.warnings: list[str] = []
        if self.info.color.space in APPROXIMATE:
            space = self.info.color.space
            self.warnings.append(f"{path}: hues are not exact: the colour matrix {space} is replaced by another")
        self._path = path
        self._damaged = 0
        self._shortage = ""
        """Resource that FFmpeg said it lacked; a damaged file can also ask it for too much memory."""
        self._corrupt = 0
        self._corrupt_from: Fraction | None = None
        self._repaired = 0
        self._clock: Clock | None = None
        self._announced = 0
        self._failures = 0
        self._open: Iterator[Frame] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            self._open.close()  # type: ignore[attr-defined]  # a generator: closing it closes the container
        if self.pipe is not None:
            self.pipe.close()

    def stop(self) -> None:
        """Let a wait for a pipe end, in whatever thread: the film counts as ended there."""
        if self.pipe is not None:
            self.pipe.stop()

    def frames(self, span: Span = Span()) -> Iterator[Frame]:  # noqa: B008 - frozen
        """Yield the frames shown from `span.start` to before `span.end`, in seconds from the first frame's time.

        Raises SourceError where no frame can be decoded.
        """
        self._open = self._frames(span)
        return self._open

    def _frames(self, span: Span) -> Iterator[Frame]:
        info = self.info
        origin = info.start or Fraction(0)
        start = origin + span.start
        end = None if span.end is None else origin + span.end
        count, ends = 0, origin
        complete = not span.start
        canvas: Canvas | None = None
        for picture in self._pictures(start if span.start else None):
            assert picture.pts is not None  # set by _timed
            time = picture.pts * info.time_base
            if time < start:
                continue
            if end is not None and time >= end:
                complete = False
                break
            if picture.is_corrupt:
                self._note_corrupt(time - origin)
            if canvas is None:
                canvas = Canvas(info, self._orientation)
            pixels = canvas(picture, cast(Fraction | None, picture.opaque))
            shown, length = picture.pts, picture.duration or None
            yield Frame(pixels, shown, info.time_base, length, count, side_data=side_data(picture))
            count += 1
            ends = time + (picture.duration or 0) * info.time_base
        if canvas is not None and canvas.changes:
            others = ", ".join(canvas.changes)
            self.warnings.append(f"{self._path}: {others} in mid-film, fitted inside with black bars")
        self._report(count, complete and self._ends_early(ends))
        if not count and not span.start:
            problem = self._shortage or "the file is damaged or cut off"
            raise SourceError(f"{self._path}: none of its frames can be decoded; {problem}")

    def _note_corrupt(self, time: Fraction) -> None:
        self._corrupt += 1
        if self._corrupt_from is None:
            self._corrupt_from = time

    def _ends_early(self, ends: Fraction) -> bool:
        """Return True if the last frame ends long before the duration that the container states."""
        info = self.info
        if not info.duration:
            return True
        return ends - (info.start or 0) < info.duration * Fraction(99, 100) - 2 / (info.average_rate or Fraction(25))

    def _report(self, count: int, early: bool) -> None:
        expected = self._announced
        if self._damaged:
            line = f"{self._path}: {self._damaged} damaged packets skipped; {count} frames decoded"
            self.warnings.append(f"{line}; {self._shortage}" if self._shortage else line)
        elif early and count < expected * 0.99 - 2:
            self.warnings.append(f"{self._path}: {count} of {expected} frames could be read; it may be cut off")
        if self._corrupt_from is not None:
            since = f"the first {float(self._corrupt_from):.2f} s from the beginning"
            self.warnings.append(f"{self._path}: {self._corrupt} frames are damaged, {since}")
        if self._repaired:
            self.warnings.append(f"{self._path}: {self._repaired} frames had no usable timestamp; it was estimated")
        if self._clock is not None and self._clock.restarts:
            restarts = self._clock.restarts
            times = "once" if restarts == 1 else f"{restarts} times"
            self.warnings.append(f"{self._path}: its clock starts again {times}; the parts were joined without a gap")

    def _pictures(self, start: Fraction | None) -> Iterator[av.VideoFrame]:
        """Yield decoded, progressive pictures, from one shown at or before `start` seconds.

        The file is entered by a seek where it can. If the seek lands too late or the pictures after it are damaged, the
        file is read from its beginning: some films need their first packet, and the damage may come from the seek.
        """
        shown: int | None = None
        if start is not None and self.pipe is None:
            try:
                for picture in self._read(start):
                    yield picture
                    shown = picture.pts
            except _SeekError:
                self._damaged = self._corrupt = self._repaired = 0
                self._corrupt_from = None
            else:
                return
        for picture in self._read(None):
            assert picture.pts is not None
            if shown is None or picture.pts > shown:
                yield picture

    def _read(self, start: Fraction | None) -> Iterator[av.VideoFrame]:
        """Yield decoded, progressive pictures with increasing times, after a seek where `start` is given.

        Raises _SeekError where the film cannot be entered there.
        """
        with open_container(self._path) if self.pipe is None else nullcontext(self.pipe.container) as container:
            stream = film_stream(container, self._path)
            self._announced = stream.frames
            self._clock = clock = Clock(container, stream) if self.pipe is None else self.pipe.clock
            if start is None:
                packets = self._packets(container, stream, clock)
            elif may_restart(container):
                packets = _from_key_frame(self._packets(container, stream, clock), start)
            elif self._seek(container, stream, start + clock.origin):
                packets = self._packets(container, stream, clock)
            else:
                raise _SeekError
            decoded = self._decoded(packets, decoder_of(stream), start is not None)
            unstamped = makes_times(container)
            found = deinterlaced(self._timed(decoded, unstamped), self.info.time_base)
            first = next(found, None)
            if start is not None and (first is None or (first.pts or 0) * self.info.time_base > start):
                raise _SeekError
            if first is not None:
                yield first
                yield from found

    def _seek(self, container: InputContainer, stream: VideoStream, start: Fraction) -> bool:
        try:
            container.seek(int(start / self.info.time_base), stream=stream)
        except (av.FFmpegError, OSError):
            return False
        return True

    def _packets(self, container: InputContainer, stream: VideoStream, clock: Clock) -> Iterator[Packet[VideoStream]]:
        """Yield every packet of the film with corrected times; unreadable stretches are counted and skipped."""
        self._failures = 0
        while self._failures < _READ_ERRORS_IN_A_ROW:
            try:
                for packet in container.demux(stream) if self.pipe is None else self.pipe.demux():
                    interrupt.check()
                    clock.correct_film(packet)
                    yield packet
                return
            except (av.FFmpegError, OSError) as error:
                # demux ends at an unreadable stretch; called again it continues after it
                self._shortage = too_little(error) or self._shortage
                self._failures += 1
                self._damaged += 1

    def _decoded(
        self, packets: Iterator[Packet[VideoStream]], decoder: VideoCodecContext, after_seek: bool
    ) -> Iterator[av.VideoFrame]:
        """Yield every picture that can be decoded, in presentation order; damage is counted and skipped.

        Raises _SeekError at the first damage `after_seek`, and where the first picture needs one before the seek.
        """
        tiny = 0 if decoder.name in _TINY_PICTURES else _NO_PICTURE
        first = True
        empty = 0  # samples without a picture; threaded decoders report one some packets later
        for packet in packets:
            empty += 0 < packet.size <= tiny
            try:
                pictures = decoder.decode(packet)
            except (av.FFmpegError, ValueError) as error:
                if empty:
                    empty -= 1
                    continue
                if after_seek:
                    raise _SeekError from error
                self._shortage = too_little(error) or self._shortage
                self._damaged += 1
                continue
            self._failures = 0
            for picture in pictures:
                if after_seek and (picture.is_corrupt or (first and _is_dependent(picture, decoder.name))):
                    raise _SeekError
                first = False
                picture.opaque = fraction(decoder.sample_aspect_ratio)  # filters preserve it
                yield picture

    def _timed(self, pictures: Iterator[av.VideoFrame], unstamped: bool) -> Iterator[av.VideoFrame]:
        """Yield the pictures with increasing times; `unstamped` is true where the file states only their order.

        One picture is buffered, because a wrong time shows only beside the following one.
        """
        held: av.VideoFrame | None = None
        previous: int | None = None
        for picture in pictures:
            if unstamped:
                picture.pts = None if picture.dts is None else picture.dts - self._decoder_delay
            elif picture.pts is None:
                picture.pts = picture.dts
            if held is not None:
                previous = self._set_time(held, previous, picture.pts, unstamped)
                yield held
            held = picture
        if held is not None:
            self._set_time(held, previous, None, unstamped)
            yield held

    def _set_time(self, picture: av.VideoFrame, previous: int | None, following: int | None, unstamped: bool) -> int:
        """Return the picture's time; it is estimated where it is missing or not between those of its neighbours."""
        pts = picture.pts
        if pts is not None and previous is None:
            return pts
        if pts is not None and previous is not None and pts > previous:
            wrong = following is not None and previous < following < pts
            if not wrong:
                return pts
        if pts is not None or not unstamped:
            self._repaired += 1
        if previous is None:
            picture.pts = 0 if following is None else min(following - 1, 0)
            return picture.pts
        usual = 1 / ((self.info.average_rate or Fraction(25)) * self.info.time_base)
        # Durations of one tick come from containers that count in packets.
        estimate = previous + max(picture.duration if picture.duration > usual / 2 else round(usual), 1)
        if following is not None and following > previous + 1:
            estimate = min(estimate, (previous + following) // 2)
        picture.pts = estimate
        return estimate


class _SeekError(Exception):
    """A seek after which the film cannot be decoded."""


def _is_dependent(picture: av.VideoFrame, decoder: str) -> bool:
    """Return True for a picture that is predicted from others, though the container calls it a key picture.

    Most decoders show it without a word. Those of H.264 and HEVC wait until the picture has recovered.
    """
    predicted = picture.pict_type in (PictureType.P, PictureType.B)
    return predicted and not picture.key_frame and decoder not in ("h264", "hevc")


def _from_key_frame(packets: Iterator[Packet[VideoStream]], start: Fraction) -> Iterator[Packet[VideoStream]]:
    """Yield the packets from the last key frame but one before `start` seconds.

    This is for containers that cannot seek by time: the packets before are read, but not decoded.
    """
    waiting: list[Packet[VideoStream]] = []
    last_key, size = 0, 0
    for packet in packets:
        if packet.is_keyframe and packet.size:
            waiting, last_key = waiting[last_key:], len(waiting) - last_key
            size = sum(one.size for one in waiting)
        waiting.append(packet)
        size += packet.size
        ticks = packet.dts if packet.dts is not None else packet.pts
        late = ticks is not None and ticks * time_base_of(packet) > start
        if late or size > _WAITING_BYTES:
            break
    yield from waiting
    yield from packets


def deinterlaced(pictures: Iterator[av.VideoFrame], time_base: Fraction) -> Iterator[av.VideoFrame]:
    """Yield one progressive picture for each given one, with its time; interlaced ones are filtered by bwdif.

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
