"""Sink of films: encodes frames with the source's times and colours, and copies its other streams."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from functools import partial
from types import TracebackType
from typing import Self

import av
import torch
from av.codec.context import Flags
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from videostyle.errors import SinkError, SourceError, UsageError
from videostyle.files import AnyPath, sink_error
from videostyle.io.animations import finish_animation
from videostyle.io.codecs import ALL_CONTAINERS, choose_codec, choose_pix_fmt, container_for, encoder_options
from videostyle.io.colors import HDR_TRANSFERS, FromTensor, over_black, pixel_format
from videostyle.io.comparison import Written, add_missing, compare_head
from videostyle.io.film_properties import hdr_options, muxer_options, output_color, tag_film
from videostyle.io.gif import GifQuantizer
from videostyle.io.info import open_container
from videostyle.io.packet_times import FrameCounter, packet_times, presentation_time, with_valid_dts
from videostyle.io.packets import TimeRange
from videostyle.io.pipes import PipeInput, PipeOutput
from videostyle.io.pyav import open_output, time_base_of
from videostyle.io.remux import StreamCopier
from videostyle.io.side_data import PER_FRAME, stereo_mode, with_side_data
from videostyle.partial_files import PartialFile
from videostyle.plan import EncodeOptions
from videostyle.threads import ordinary_priority
from videostyle.timeline import Span
from videostyle.types import Frame, VideoInfo
from videostyle.written_files import WrittenFiles

os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 writes to stderr by itself; 1 means errors only


# More than 200 lines: the states of one output, from partial file to final name, which encoding and joining share.
class VideoSink:
    """Writes a film with FFmpeg, inside its `with` block.

    The film grows in a partial file and takes its final name only when it is complete. After an error or Ctrl-C with
    frames written, it is closed properly, so that it plays, and is kept under a third name: `partial`.

    Times are the source's: pts and time base go to the encoder unchanged, and mp4 and mov keep them to the tick.
    Containers with a coarser clock round them, with a line in `warnings`. With a span, the first frame is at 0.
    """

    def __init__(
        self,
        path: str | PipeOutput,
        info: VideoInfo,
        options: EncodeOptions = EncodeOptions(),  # noqa: B008 - frozen
        span: Span = Span(),  # noqa: B008 - frozen
        size: tuple[int, int] | None = None,
        copy_from: str | PipeInput | None = None,
        average_rate: Fraction | None = None,
        sources: Iterable[AnyPath | None] = (),
        written: WrittenFiles | None = None,
    ) -> None:
        """Check the request; no file is created before the `with` block.

        `size` is the (width, height) of the frames, by default the source's; the other streams are copied from
        `copy_from`. The files of `sources` and the source itself are never overwritten; `written` is as in
        `PartialFile`. Raises UsageError for an invalid request, SinkError where the folder cannot be written to or
        another run is writing the file.
        """
        self.warnings: list[str] = []
        self.partial: str | None = None
        """Path of an unfinished film that was kept; None otherwise."""
        self.settings: dict[str, str] = {}
        """Settings of the encoder; filled in at the first frame."""
        self.streams: list[str] = []
        """One line for each stream beside the film's; filled in at the first frame."""
        self._path = str(path)
        self._name = path.container if isinstance(path, PipeOutput) else container_for(path)
        self._container = ALL_CONTAINERS[self._name]
        self._codec_name, self._codec = choose_codec(self._name, options)
        self._options = options
        self._info = info
        self._span = span
        self._size = size or (info.width, info.height)
        # The frames' alpha and depth are known at the first one; a size that no encoder accepts is known now.
        choose_pix_fmt(self._codec_name, self._codec, options, self._size, info.pix_fmt, info.bit_depth, info.has_alpha)
        sources = [info.path, copy_from if isinstance(copy_from, str) else None, *sources]
        overwrite = options.overwrite
        self._file: PartialFile | PipeOutput = (
            path
            if isinstance(path, PipeOutput)
            else PartialFile(path, overwrite=overwrite, sources=sources, written=written)
        )
        self._copy_from = copy_from
        if isinstance(copy_from, PipeInput):
            copy_from.want(None)
        self._rate = average_rate or info.average_rate
        self._inside = False
        self._output: OutputContainer | None = None
        self._copier: StreamCopier | None = None
        self._quantizer: GifQuantizer | None = None
        self._stream: VideoStream
        self._convert: FromTensor
        self._window = TimeRange(None, None, Fraction(0))
        self._time_base = info.time_base
        self._channels = 3
        self._last: Frame | None = None
        self._rounded = False
        self._counter: FrameCounter | None = None
        self._concatenated = False
        self._kinds = dict.fromkeys(info.side_data.keys() - {*PER_FRAME}, Fraction(0))
        """Kinds of side data in the source, each with a time in the output at which it should be."""

    def __enter__(self) -> Self:
        self._file.claim()
        self._inside = True
        return self

    def __del__(self) -> None:
        # A sink can be dropped inside its block, by an unfinished generator for example: no file stays open or is left.
        if getattr(self, "_inside", False):
            self._discard()

    def write(self, frame: Frame) -> None:
        """Encode one frame; the first one determines depth, alpha and time base. Raises SinkError."""
        with self._as_sink_error():
            if self._output is None:
                self._start(frame)
            if self._channels == 4 and not self._keeps_alpha:
                frame = self._without_alpha(frame)
            picture = self._convert(frame.pixels)
            if frame.side_data is not None:
                for kind in frame.side_data.kinds:
                    self._kinds.setdefault(kind, frame.pts * frame.time_base - self._window.shift)
                if frame.side_data.carrier is not None and self._quantizer is None:
                    picture = with_side_data(picture, frame.side_data.carrier)
            picture.pts, picture.time_base = self._ticks(frame), self._time_base
            picture.duration = self._duration(frame)
            self._mux(picture)
            self._last = frame
            if self._copier is not None:
                self._copier.advance(frame.pts * frame.time_base)

    def concat(self, parts: Sequence[str]) -> None:
        """Concatenate the encoded films `parts`, packet by packet, instead of calling `write`.

        The parts were encoded by sinks with the same settings. Together they are the film: frames in order, at the
        source's times, whatever the span. Raises SinkError where their encoder settings differ.
        """
        self._concatenated = True
        with self._as_sink_error():
            times = packet_times(parts, self._time_base)
            header: bytes | None = None
            for part in parts:
                with open_container(part) as container:
                    film = container.streams.video[0]
                    if self._output is None:
                        header = film.codec_context.extradata
                        self._open(times.first, self._info.time_base, partial(self._add_encoded, film))
                    elif film.codec_context.extradata != header:
                        raise SinkError(f"{self._path}: {part} was encoded in another way; stylize it again")
                    for packet in container.demux(film):
                        if packet.size:
                            self._copy(packet, next(times.decoded), times.until[presentation_time(packet)])

    def _copy(self, packet: Packet[VideoStream], decoded: Fraction, until: Fraction) -> None:
        """Mux an encoded picture that is decoded at `decoded` and shown until `until`, in the source's seconds."""
        assert self._output is not None
        time, base = presentation_time(packet), time_base_of(packet)
        self._check_clock(time - self._window.shift, self._time_base)
        if until > time:
            packet.duration = round((until - time) / base)
        packet.pts = round((time - self._window.shift) / base)
        packet.dts = min(round((decoded - self._window.shift) / base), packet.pts)
        packet.stream = self._stream
        self._output.mux(packet)
        if self._copier is not None:
            self._copier.advance(time)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._commit()
            else:
                self._interrupt()
        finally:
            self._inside = False
            self._file.discard()

    # Starting

    def _start(self, frame: Frame) -> None:
        channels, height, width = frame.pixels.shape
        if (width, height) != self._size:
            raise SinkError(f"{self._path}: the first frame is {width}x{height}, not {self._size[0]}x{self._size[1]}")
        self._channels = channels
        deep = frame.pixels.dtype == torch.uint16
        depth = max(self._info.bit_depth, 10 if deep else 8)
        pix_fmt, lost = choose_pix_fmt(
            self._codec_name, self._codec, self._options, self._size, self._info.pix_fmt, depth, channels == 4
        )
        # Many formats always have an alpha channel; its loss matters only once a frame uses it.
        self._alpha_warning = next((line for line in lost if line.startswith("transparency")), "")
        self.warnings += [line for line in lost if line != self._alpha_warning]
        self._keeps_alpha = pixel_format(pix_fmt).alpha or pix_fmt == "pal8"
        self._open(frame.pts * frame.time_base, frame.time_base, lambda: self._add_film(pix_fmt))

    def _open(self, first: Fraction, time_base: Fraction, add_film: Callable[[], None]) -> None:
        """Begin the file; `first` is the first frame's time in seconds, `add_film` adds the film's stream."""
        if self._span.start or self._span.end is not None:
            origin = self._info.start or Fraction(0)
            end = None if self._span.end is None else origin + self._span.end
            start = first if self._span.start else None
            self._window = TimeRange(start, end, start or Fraction(0))
        # A GIF's clock is fixed, and raw frames are counted; every other encoder counts in the source's ticks.
        self._time_base = Fraction(1, 100) if self._name == "gif" else time_base
        if self._container.frames_only:
            self._time_base = 1 / (self._rate or Fraction(25)).limit_denominator(1_000_000)
            self._counter = FrameCounter(self._time_base)
        with self._as_sink_error():
            options = muxer_options(self._container.format, self._info, self._time_base) | self._file.muxer_options
            self._output = open_output(self._file.target, format=self._container.format, container_options=options)
            add_film()
            if self._container.format in ("matroska", "webm"):
                mode = stereo_mode(self._info.side_data, self._container.format)
                self._stream.metadata.update({"stereo_mode": mode} if mode else {})
            if self._copy_from is not None:
                window, warnings = self._window, self.warnings
                self._copier = StreamCopier(
                    self._copy_from, self._output, self._stream, self._name, self._container, window, warnings
                )
                self.streams = self._copier.streams
            with ordinary_priority():
                self._output.start_encoding()

    def _add_film(self, pix_fmt: str) -> None:
        assert self._output is not None
        color = output_color(self._info, pix_fmt, self._codec_name)
        options = encoder_options(self._codec_name, self._codec, self._options)
        if color.transfer in HDR_TRANSFERS:
            options |= hdr_options(self._info, self._codec_name, options)
        rate = (self._rate or Fraction(25)).limit_denominator(1_000_000)
        stream = self._output.add_stream(self._codec.encoder, rate=rate, options=options, time_base=self._time_base)
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.width, context.height = self._size
        context.pix_fmt = pix_fmt
        context.thread_type = "AUTO"
        context.flags |= Flags.frame_duration
        tag_film(context, self._info, color, self._codec_name, self._container.format)
        self.settings = {"container": self._name, "codec": self._codec_name, "pix_fmt": pix_fmt, **options}
        self._quantizer = GifQuantizer() if pix_fmt == "pal8" else None
        self._convert = FromTensor("rgba" if self._quantizer else pix_fmt, color)
        self._stream = stream

    def _add_encoded(self, film: VideoStream) -> None:
        """Add a stream for pictures that are encoded already, with the parameters of `film`."""
        assert self._output is not None
        self._stream = self._output.add_stream_from_template(film, opaque=True)
        self._stream.time_base = self._time_base
        context = self._stream.codec_context
        context.framerate = (self._rate or Fraction(25)).limit_denominator(1_000_000)
        if self._codec_name == "prores":  # the tag states the profile
            context.codec_tag = film.codec_context.codec_tag
        # Not every container of the parts can store these tags.
        color = output_color(self._info, context.pix_fmt or "", self._codec_name)
        tag_film(context, self._info, color, self._codec_name, self._container.format)

    # Writing

    def _ticks(self, frame: Frame) -> int:
        time = frame.pts * frame.time_base - self._window.shift
        if self._counter is not None:
            return self._counter(time)
        self._check_clock(time, frame.time_base)
        return round(time / self._time_base)

    def _check_clock(self, time: Fraction, time_base: Fraction) -> None:
        clock = self._container.tick
        exact = (time / self._time_base).denominator == 1 and (clock is None or (time * clock).denominator == 1)
        if not exact and not self._rounded:
            self._rounded = True
            unit = f"1/{clock} s" if clock else f"{self._time_base} s"
            self.warnings.append(f"frame times rounded to {unit}: {self._name} cannot hold {time_base} s")

    def _duration(self, frame: Frame) -> int:
        """Return the frame's duration in ticks; the previous frame's where the source does not state it."""
        seconds = 1 / (self._rate or Fraction(25))
        if frame.duration:
            seconds = frame.duration * frame.time_base
        elif self._last is not None and frame.pts > self._last.pts:
            seconds = (frame.pts - self._last.pts) * frame.time_base
        return max(round(seconds / self._time_base), 1)

    def _without_alpha(self, frame: Frame) -> Frame:
        """Composite a frame with alpha over black; return its three colour channels."""
        pixels, is_transparent = over_black(frame.pixels)
        if is_transparent and self._alpha_warning:
            self.warnings.append(self._alpha_warning)
            self._alpha_warning = ""
        return frame.with_pixels(pixels)

    def _mux(self, picture: av.VideoFrame | None) -> None:
        assert self._output is not None
        for ready in self._quantizer(picture) if self._quantizer else (picture,):
            for packet in self._stream.encode(ready):
                self._output.mux(with_valid_dts(packet))

    # Ending

    def _commit(self) -> None:
        if self._output is None:
            raise SinkError(f"{self._path}: no frame was written, so there is no film; check the span")
        try:
            with self._as_sink_error():
                self._close(None)
                if self._name in ("apng", "webp") and isinstance(self._file, PartialFile):
                    for kind in finish_animation(self._file, self._name, self._last, self._info.side_data):
                        self._kinds.pop(kind, None)
                self._add_missing()
            self._file.commit()
        except Exception:
            self._discard()
            raise
        except BaseException:  # Ctrl-C at the very end: a file that is closed already is a complete film
            if self._output is None:
                with suppress(OSError):
                    self.partial = str(self._file.keep())
            self._discard()
            raise

    def _interrupt(self) -> None:
        """Close the unfinished film so that it plays; delete it where it has no frames or cannot be closed."""
        if self._output is None or self._last is None:
            self._discard()
            return
        try:
            self._close(self._last.pts * self._last.time_base)
            if isinstance(self._file, PipeOutput):
                return
            with open_container(str(self._file.partial)):
                pass
            self.partial = str(self._file.keep())
        except (av.FFmpegError, OSError, ValueError):
            self._discard()

    def _close(self, until: Fraction | None) -> None:
        assert self._output is not None
        if not self._concatenated:
            self._mux(None)
        if self._copier is not None:
            self._copier.finish(until)
            self._copier.close()
        self._output.close()
        self._output = None

    def _discard(self) -> None:
        if self._copier is not None:
            self._copier.close()
        if self._output is not None:
            with suppress(av.FFmpegError, OSError, ValueError):
                self._output.close()
        self._output = None
        self._file.discard()

    def _add_missing(self) -> None:
        """Compare the film with its source, add the properties that the muxer left out, and warn of lost ones."""
        if self._counter is not None:
            self.warnings += self._counter.remarks(self._name)
        written = Written(
            path=str(self._file.partial),
            container=self._name,
            codec=self._codec_name,
            info=self._info,
            kinds=self._kinds,
            source=self._copy_from.container if isinstance(self._copy_from, PipeInput) else self._copy_from,
            stream_map=self._copier.stream_map if self._copier else {},
            chapters=self._copier.chapters if self._copier else 0,
        )
        head = self._file.head if isinstance(self._file, PipeOutput) else None
        self.warnings += add_missing(written) if head is None else compare_head(written, head)

    @contextmanager
    def _as_sink_error(self) -> Iterator[None]:
        """Convert FFmpeg's errors to a SinkError of one line; raise RuntimeError outside the sink's block."""
        if not self._inside:
            raise RuntimeError("a sink is written to inside its with block")
        try:
            yield
        except (av.FFmpegError, OSError, ValueError) as error:
            if isinstance(error, (SinkError, SourceError, UsageError)):
                raise
            raise sink_error(self._path, error, f"{self._codec_name} in {self._name} failed") from error
