"""Films through pipes: a source that is read once, without a seek, and an output that nobody goes back in.

    ffmpeg ─▶ PipeInput ─▶ film's packets ─▶ VideoSource ─▶ ... ─▶ VideoSink ─▶ PipeOutput ─▶ ffmpeg
                    └────▶ sound, subtitles ─────────────────────▶ StreamCopier ┘

The thread that decodes reads the packets of all streams. Those beside the film's wait in memory, compressed, until the
frames of their time have been painted.
"""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, cast

import av
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from videostyle import interrupt
from videostyle.errors import SourceError, UnknownNameError, UsageError
from videostyle.files import sink_error
from videostyle.io.clock import Clock
from videostyle.io.codecs import PIPES
from videostyle.io.colors import Orientation
from videostyle.io.info import film_info, film_stream, first_frame
from videostyle.io.packets import PacketTimer, TimeRange, clip
from videostyle.io.pyav import open_input
from videostyle.types import VideoInfo

STDIN, STDOUT = "standard input", "standard output"
_BLOCK = 1 << 18  # bytes that are read at once, at most
_HEAD = 16_000_000  # bytes of the beginning that are kept: boxes of the input, and the output to compare with it


@dataclass(frozen=True)
class InputFormat:
    """Format of what comes through a pipe, where it does not say so itself; in the terms of FFmpeg's demuxers."""

    name: str | None = None
    """FFmpeg's name, "rawvideo" for example; None lets FFmpeg find out."""
    video_size: str | None = None
    """WxH of raw pictures."""
    framerate: str | None = None
    """Frames per second of raw pictures: 24, 30000/1001. FFmpeg's default is 25."""
    pixel_format: str | None = None
    """FFmpeg's name of the format of raw pictures; its default is yuv420p."""

    def __post_init__(self) -> None:
        for name in self.options:
            if self.name != "rawvideo":
                raise UsageError(f"{name} is for the input format rawvideo; any other states its own")
        if self.name == "rawvideo" and self.video_size is None:
            raise UsageError("the input format rawvideo needs a video_size, 640x360 for example")
        if self.demuxer is not None and self.demuxer not in av.formats_available:
            raise UsageError(f"no input format named {self.name!r}; nut, matroska, yuv4mpegpipe and rawvideo are usual")

    @property
    def demuxer(self) -> str | None:
        """FFmpeg's name of its demuxer."""
        return {"y4m": "yuv4mpegpipe", "mkv": "matroska"}.get(self.name or "", self.name)

    @property
    def options(self) -> dict[str, str]:
        """Options of FFmpeg's demuxer."""
        raw = {"video_size": self.video_size, "framerate": self.framerate, "pixel_format": self.pixel_format}
        return {name: value for name, value in raw.items() if value is not None}


class PipeInput:
    """A film that comes through a pipe. It is opened once, and each packet is read once."""

    def __init__(self, stream: BinaryIO, name: str = STDIN, format: InputFormat | None = None) -> None:
        """Read the header from `stream`; raise SourceError where there is no film, UsageError for invalid options.

        `name` stands for the path in messages.
        """
        self.name = name
        self._bytes = PipeBytes(stream)
        format = format or InputFormat()
        # Nothing that the data names may be opened: a playlist could name files and addresses.
        options = {"protocol_whitelist": "pipe", **format.options}
        file = cast(BinaryIO, self._bytes)
        try:
            self.container = open_input(file, format=format.demuxer, options=options, buffer_size=_BLOCK)
        except (av.FFmpegError, OSError, ValueError) as error:
            interrupt.check()
            raise self._unreadable(format) from error
        self._ahead: deque[Packet[Any]] = deque()
        """Packets that were read to describe the film."""
        self._ended = False
        """True once these include the film's last."""
        self._others: deque[Packet[Any]] = deque()
        self._wanted: Container[int] | None = ()
        """Numbers of the streams whose packets are kept beside the film's; None keeps all."""
        try:
            self.film: VideoStream = film_stream(self.container, name)
            self.clock = Clock(self.container, self.film)
        except BaseException:
            self.close()
            raise

    def _unreadable(self, format: InputFormat) -> SourceError | UsageError:
        if self._bytes.error is not None:
            return SourceError(f"{self.name}: cannot be read ({self._bytes.error.strerror or self._bytes.error})")
        if not self._bytes.count:
            return SourceError(f"{self.name}: is empty (0 bytes); see what the program before the pipe says")
        if self._bytes.head[4:8] == b"ftyp":
            return SourceError(
                f"{self.name}: its index (moov) is at the end, and a pipe cannot be sought; "
                "send nut or matroska, or name the file itself"
            )
        if format.name == "rawvideo":
            return UsageError(f"{self.name}: cannot be read as rawvideo with {format.options}; see ffmpeg -pix_fmts")
        kind = f"is not {format.name}" if format.name else "is not a film that FFmpeg knows"
        return SourceError(f"{self.name}: {kind}; send nut, matroska or y4m, or say the input format")

    def info(self) -> tuple[VideoInfo, int, Orientation]:
        """Describe the film by its first frame, as `probe_video` does; the packets up to it are kept to be read again.

        Raises SourceError.
        """
        stream, frame = first_frame(self.container, self.name, self._read_ahead())
        interrupt.check()
        stream.codec_context.flush_buffers()
        with self.head() as file:
            return film_info(self.name, self.container, stream, frame, file)

    @contextmanager
    def head(self) -> Iterator[str]:
        """Make a temporary file of the first bytes that were read, for what FFmpeg does not tell."""
        with TemporaryDirectory() as folder:
            file = Path(folder) / "head"
            file.write_bytes(bytes(self._bytes.head))  # a copy: another thread may be reading the pipe
            yield str(file)

    def _read_ahead(self) -> Iterator[Packet[VideoStream]]:
        for packet in self.container.demux():
            self._ahead.append(packet)
            if packet.stream.index == self.film.index:  # a flush packet has the index 0
                self._ended = not packet.size and packet.dts is None
                yield cast("Packet[VideoStream]", packet)
        interrupt.check()

    def demux(self) -> Iterator[Packet[VideoStream]]:
        """Yield the film's packets, whose times the caller corrects by `clock`; the others wait for `others`."""
        timer = PacketTimer(self.clock)
        for packet in chain(self._replayed(), () if self._ended else self.container.demux()):
            interrupt.check()
            if packet.stream.index == self.film.index:  # a flush packet has the index 0
                yield packet
            elif self._wanted is None or packet.stream_index in self._wanted:
                timer.add(packet)
            self._others.extend(timer.timed())
        interrupt.check()
        if self._bytes.error is not None:
            raise SourceError(f"{self.name}: cannot be read on ({self._bytes.error.strerror})")
        self.clock.end()
        self._others.extend(timer.timed())

    def _replayed(self) -> Iterator[Packet[Any]]:
        while self._ahead:
            yield self._ahead.popleft()

    # The other streams, for the thread that encodes

    def want(self, streams: Container[int] | None) -> None:
        """Keep the packets of these streams from now on; None keeps all, and before the first call none are kept."""
        self._wanted = streams

    def waiting(self, stream: Stream) -> list[Packet[Any]]:
        """List the packets of a stream that were read and not taken."""
        return [packet for packet in self._others.copy() if packet.stream_index == stream.index]

    def others(self, window: TimeRange) -> Iterator[Packet[Any]]:
        """Return an iterator of the packets of the wanted streams inside the window, as `PacketReader.demux` does.

        It ends where no packet waits, and goes on once the film has been read further.
        """
        return _Others(self, window)

    def take(self) -> Packet[Any] | None:
        """Return the next packet of a wanted stream that has been read; None where there is none yet."""
        while self._others:
            packet = self._others.popleft()
            if self._wanted is None or packet.stream_index in self._wanted:
                return packet
        return None

    def stop(self) -> None:
        """Let a wait for data end, in whatever thread, as if the input had ended."""
        self._bytes.stopped = True

    def close(self) -> None:
        """Close the container; the pipe itself stays open."""
        self.stop()
        self.container.close()


class _Others(Iterator["Packet[Any]"]):
    def __init__(self, pipe: PipeInput, window: TimeRange) -> None:
        self._pipe = pipe
        self._window = window

    def __next__(self) -> Packet[Any]:
        while (packet := self._pipe.take()) is not None:
            if clip(packet, self._window):
                return packet
        raise StopIteration


class PipeBytes:
    """The bytes of a pipe, for FFmpeg: a file without `seek`."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._descriptor: int | None = None
        if os.name == "posix":  # elsewhere one cannot wait for a pipe with a limit
            with suppress(OSError, ValueError, AttributeError):
                self._descriptor = stream.fileno()
        self.name = ""
        self.count = 0
        self.head = bytearray()
        self.error: OSError | None = None
        """Error of the operating system, which PyAV may hide."""
        self.stopped = False

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes as soon as there are some; none at the end, and after a request to stop."""
        try:
            data = self._stream.read(size) if self._descriptor is None else self._poll(self._descriptor, size)
        except OSError as error:
            self.error = error
            raise
        if len(self.head) < _HEAD:
            self.head += data
        self.count += len(data)
        return data

    def _poll(self, descriptor: int, size: int) -> bytes:
        # PyAV loses a KeyboardInterrupt that is raised here, so the data ends, and `PipeInput` raises it.
        while not self.stopped and not interrupt.stop_requested():
            if select.select([descriptor], [], [], interrupt.POLL)[0]:
                return os.read(descriptor, size)
        return b""


class PipeOutput:
    """A pipe as the file of a `VideoSink`; the beginning of the output is kept, to be compared with the source."""

    def __init__(self, stream: BinaryIO, format: str, name: str = STDOUT) -> None:
        """Write to `stream` in the `format` of one of `codecs.PIPES`; raise UsageError for another."""
        if format not in PIPES:
            raise UnknownNameError.among("format for a pipe", format, PIPES)
        self.container = PIPES[format]
        self.head = bytearray()
        self.partial = name
        self.target = cast(BinaryIO, self)
        """Object that PyAV writes to."""
        self.muxer_options = {"flush_packets": "1"}
        self._name = name
        self._stream = stream

    def __str__(self) -> str:
        return self._name

    def write(self, data: bytes) -> int:
        """Write all of `data`; raise OSError, EPIPE where the reader has gone."""
        if len(self.head) < _HEAD:
            self.head += data
        left = memoryview(data)
        while left:
            left = left[self._stream.write(left) :]
        return len(data)

    def claim(self) -> None:
        """Do nothing: there is no file to create."""

    def commit(self) -> None:
        """Flush the pipe; raise SinkError where its reader has gone."""
        try:
            self._stream.flush()
        except OSError as error:
            raise sink_error(self._name, error) from error

    def discard(self) -> None:
        """Do nothing: what was written is gone."""
