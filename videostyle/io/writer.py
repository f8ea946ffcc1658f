"""Films out: encoding with the source's times and colours, beside everything else the source holds."""

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
from av.filter import Graph
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from videostyle.errors import SinkError, SourceError, UsageError
from videostyle.files import AnyPath, sink_error
from videostyle.io.animations import end_animation
from videostyle.io.codecs import (
    CONTAINERS,
    choose_codec,
    choose_pix_fmt,
    container_for,
    encoder_options,
)
from videostyle.io.colors import (
    HDR_TRANSFERS,
    PRIMARIES,
    RANGES,
    SPACES,
    TRANSFERS,
    FromTensor,
    assumed_space,
    number_of,
    pixel_format,
)
from videostyle.io.comparison import Written, settle
from videostyle.io.info import hdr_metadata, open_container
from videostyle.io.picture_tags import with_tags
from videostyle.io.pyav import open_output, time_base_of
from videostyle.io.remux import StreamCopier, Window
from videostyle.io.side_data import PICTURE_BY_PICTURE, stereo_mode, with_side_data
from videostyle.partial_files import PartialFile
from videostyle.plan import EncodeOptions
from videostyle.timeline import Span
from videostyle.types import Color, Frame, VideoInfo

os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 writes to stderr by itself; errors only


@contextmanager
def _ordinary_priority() -> Iterator[None]:
    """Leave the thread's scheduling as it was.

    Run as root, SVT-AV1 gives the thread that opens it real-time priority, before which all others wait.
    """
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    yield
    if os.sched_getscheduler(0) != policy:
        os.sched_setscheduler(0, policy, parameters)


_MOST_REORDERED = 3600
"""Seconds that a frame may be decoded before it is shown: sixteen frames of a film of one in three minutes."""


class VideoSink:
    """A film being written with FFmpeg, inside its `with` block.

    It grows under a name of its own beside the final one and takes the final name only when it is whole. Left by an
    error or Ctrl-C with frames in it, it is closed properly, so it plays, and is kept under a third name: `partial`.

    Times are the source's: pts and time base go to the encoder as they are, and mp4 and mov keep them to the tick.
    Containers with a coarser clock round, and say so in `warnings`. With a span, the first frame written is at 0.
    """

    def __init__(
        self,
        path: str,
        info: VideoInfo,
        options: EncodeOptions = EncodeOptions(),  # noqa: B008 - frozen
        span: Span = Span(),  # noqa: B008 - frozen
        size: tuple[int, int] | None = None,
        copy_from: str | None = None,
        average_rate: Fraction | None = None,
        sources: Iterable[AnyPath | None] = (),
    ) -> None:
        """`size` is (width, height) of the frames, the source's by default; `copy_from` the file to take sound from.

        What `sources` name is not overwritten, as the source itself is not. Raises UsageError for what cannot be,
        SinkError where the folder cannot be written to or another run is writing the file.
        """
        self.warnings: list[str] = []
        self.partial: str | None = None
        """Where an unfinished film was left; None while all is well."""
        self.settings: dict[str, str] = {}
        """How the film is encoded; filled in at the first frame."""
        self.streams: list[str] = []
        """What goes along with the picture; filled in at the first frame."""
        self._path = path
        self._name = container_for(path)
        self._container = CONTAINERS[self._name]
        self._codec_name, self._codec = choose_codec(self._name, options)
        self._options = options
        self._info = info
        self._span = span
        self._size = size or (info.width, info.height)
        # The pictures' alpha and depth are known at the first frame; a size no encoder takes is known now.
        choose_pix_fmt(self._codec_name, self._codec, options, self._size, info.pix_fmt, info.bit_depth, info.has_alpha)
        self._file = PartialFile(path, overwrite=options.overwrite, sources=[info.path, copy_from, *sources])
        self._copy_from = copy_from
        self._rate = average_rate or info.average_rate
        self._inside = False
        self._output: OutputContainer | None = None
        self._copier: StreamCopier | None = None
        self._palette: _Palette | None = None
        self._stream: VideoStream
        self._convert: FromTensor
        self._window = Window(None, None, Fraction(0))
        self._time_base = info.time_base
        self._channels = 3
        self._last: Frame | None = None
        self._rounded = False
        self._see_through = False
        self._spliced = False
        self._kinds = dict.fromkeys(info.side_data.keys() - {*PICTURE_BY_PICTURE}, Fraction(0))
        """Kinds of side data in the source, and at what time in the output each should be."""

    def __enter__(self) -> Self:
        self._file.claim()
        self._inside = True
        return self

    def __del__(self) -> None:
        # Dropped inside its block, by a generator that nobody finishes for example: nothing stays open, or on the disk.
        if getattr(self, "_inside", False):
            self._discard()

    def write(self, frame: Frame) -> None:
        """Encode one frame; the first one fixes depth, alpha and time base. Raises SinkError."""
        self._check_inside()
        with self._plainly():
            if self._output is None:
                self._start(frame)
            if self._channels == 4 and not self._keeps_alpha:
                frame = self._without_alpha(frame)
            picture = self._convert(frame.pixels)
            if frame.side_data is not None:
                for kind in frame.side_data.kinds:
                    self._kinds.setdefault(kind, frame.pts * frame.time_base - self._window.shift)
                if frame.side_data.carrier is not None and self._palette is None:
                    picture = with_side_data(picture, frame.side_data.carrier)
            picture.pts, picture.time_base = self._ticks(frame), self._time_base
            picture.duration = self._duration(frame)
            self._mux(picture)
            self._last = frame
            if self._copier is not None:
                self._copier.advance(frame.pts * frame.time_base)

    def splice(self, parts: Sequence[str]) -> None:
        """Take over, packet by packet, the pictures of films that sinks like this one encoded; in place of `write`.

        Together they are the film: frames in order, at the source's times, whatever the span. Raises SinkError where
        they were not encoded alike.
        """
        self._check_inside()
        self._spliced = True
        with self._plainly():
            shown: list[Fraction] = []
            end = Fraction(0)
            for part in parts:
                with open_container(part) as container:
                    film = container.streams.video[0]
                    shown += [_shown(packet) for packet in container.demux(film) if packet.size]
                    end = ((film.start_time or 0) + (film.duration or 0)) * time_base_of(film, self._time_base)
            order = sorted(shown)
            until = dict(zip(order, [*order[1:], max(end, order[-1])], strict=True))
            decoded = _decoding_times(shown, order)
            header: bytes | None = None
            for part in parts:
                with open_container(part) as container:
                    film = container.streams.video[0]
                    if self._output is None:
                        header = film.codec_context.extradata
                        self._open(order[0], self._info.time_base, partial(self._add_spliced, film))
                    elif film.codec_context.extradata != header:
                        raise SinkError(f"{self._path}: {part} was encoded in another way; paint it again")
                    for packet in container.demux(film):
                        if packet.size:
                            self._copy(packet, next(decoded), until[_shown(packet)])

    def _check_inside(self) -> None:
        if not self._inside:
            raise RuntimeError("a sink is written to inside its with block")

    def _copy(self, packet: Packet[VideoStream], decoded: Fraction, until: Fraction) -> None:
        """Mux a picture encoded elsewhere, to be decoded at and shown until so many of the source's seconds."""
        assert self._output is not None
        time, base = _shown(packet), time_base_of(packet)
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
                self._break_off()
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
        # Many formats always carry alpha; that it is lost matters only once a picture uses it.
        self._alpha_warning = next((line for line in lost if line.startswith("transparency")), "")
        self.warnings += [line for line in lost if line != self._alpha_warning]
        self._keeps_alpha = pixel_format(pix_fmt).alpha or pix_fmt == "pal8"
        self._open(frame.pts * frame.time_base, frame.time_base, lambda: self._add_film(pix_fmt))

    def _open(self, first: Fraction, time_base: Fraction, add_film: Callable[[], None]) -> None:
        """Begin the file; `first` is the first frame's time in seconds, `add_film` adds the stream of the pictures."""
        if self._span.start or self._span.end is not None:
            origin = self._info.start or Fraction(0)
            end = None if self._span.end is None else origin + self._span.end
            self._window = Window(first if self._span.start else None, end, first if self._span.start else Fraction(0))
        # A GIF's clock is fixed; every other encoder counts in the source's ticks.
        self._time_base = Fraction(1, 100) if self._name == "gif" else time_base
        with self._plainly():
            self._output = open_output(
                f"file:{self._file.partial}",
                format=self._container.format,
                container_options=self._muxer_options(),
            )
            add_film()
            if self._container.format in ("matroska", "webm"):
                mode = stereo_mode(self._info.side_data, self._container.format)
                self._stream.metadata.update({"stereo_mode": mode} if mode else {})
            if self._copy_from is not None:
                self._copier = StreamCopier(
                    self._copy_from,
                    self._output,
                    self._stream,
                    self._name,
                    self._container,
                    self._window,
                    self.warnings,
                )
                self.streams = self._copier.streams
            with _ordinary_priority():
                self._output.start_encoding()

    def _muxer_options(self) -> dict[str, str]:
        if self._container.format in ("matroska", "webm"):
            # Sound often starts a little before 0, to be skipped; moving everything to make it 0 would move the film.
            return {"avoid_negative_ts": "disabled"}
        plays = self._info.plays or 0  # how often an animation plays; a film as one plays for ever
        if self._container.format in ("gif", "webp"):
            return {"loop": "-1" if plays == 1 and self._container.format == "gif" else str(plays)}
        if self._container.format == "apng":
            return {"plays": str(plays)}
        if self._container.format not in ("mp4", "mov"):
            return {}
        # Both clocks must tick as finely as the source's: the track's for each frame, the film's for where it starts.
        ticks = str(self._time_base.denominator)
        return {"movflags": "+faststart", "video_track_timescale": ticks, "movie_timescale": ticks}

    def _add_film(self, pix_fmt: str) -> None:
        assert self._output is not None
        color = self._color(pix_fmt)
        options = encoder_options(self._codec_name, self._codec, self._options)
        if color.transfer in HDR_TRANSFERS:
            options |= self._hdr_options(options)
        rate = (self._rate or Fraction(25)).limit_denominator(1_000_000)
        stream = self._output.add_stream(self._codec.encoder, rate=rate, options=options, time_base=self._time_base)
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.width, context.height = self._size
        context.pix_fmt = pix_fmt
        context.thread_type = "AUTO"
        context.flags |= Flags.frame_duration
        self._describe(context, color)
        self.settings = {"container": self._name, "codec": self._codec_name, "pix_fmt": pix_fmt, **options}
        self._palette = _Palette() if pix_fmt == "pal8" else None
        self._convert = FromTensor("rgba" if self._palette else pix_fmt, color)
        self._stream = stream

    def _describe(self, context: VideoCodecContext, color: Color) -> None:
        """What the container says of the pictures."""
        context.sample_aspect_ratio = self._info.sample_aspect_ratio
        context.colorspace = number_of(SPACES, color.space)
        context.color_range = number_of(RANGES, color.range)
        context.color_primaries = number_of(PRIMARIES, color.primaries)
        context.color_trc = number_of(TRANSFERS, color.transfer)
        if self._codec_name == "hevc" and self._container.format in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # QuickTime shows no hev1

    def _add_spliced(self, film: VideoStream) -> None:
        """Add the stream of pictures that are encoded already, like `film`."""
        assert self._output is not None
        self._stream = self._output.add_stream_from_template(film, opaque=True)
        self._stream.time_base = self._time_base
        context = self._stream.codec_context
        context.framerate = (self._rate or Fraction(25)).limit_denominator(1_000_000)
        if self._codec_name == "prores":  # the tag tells the profile
            context.codec_tag = film.codec_context.codec_tag
        # Not every container that pictures wait in can say this.
        self._describe(context, self._color(context.pix_fmt or ""))

    def _color(self, pix_fmt: str) -> Color:
        """What to convert to and to tag: the source's own, its matrix and range stated even where it left them open."""
        mine = self._info.color
        kept = pixel_format(pix_fmt)
        if kept.chroma == "rgb":
            return Color("gbr", "pc", mine.primaries, mine.transfer)
        was_rgb = pixel_format(self._info.pix_fmt).chroma == "rgb"
        space = assumed_space("" if was_rgb else mine.space, self._info.height)
        limited = was_rgb or mine.range != "pc"
        full = kept.full_range or (not limited and self._codec_name != "prores")
        return Color(space, "pc" if full else "tv", mine.primaries, mine.transfer)

    def _hdr_options(self, options: dict[str, str]) -> dict[str, str]:
        """Encoder options that carry the source's mastering display and light level."""
        display, light = hdr_metadata(self._info.side_data)
        if not display and not light:
            return {}
        if self._codec_name == "hevc":
            more = [f"master-display={display}"] * bool(display) + [f"max-cll={light}"] * bool(light)
            return {"x265-params": ":".join([options["x265-params"], "hdr10=1", "repeat-headers=1", *more])}
        if self._codec_name == "h264":
            more = [f"mastering-display={display}"] * bool(display) + [f"cll={light}"] * bool(light)
            return {"x264-params": ":".join(more)}
        return {}

    # Writing

    def _ticks(self, frame: Frame) -> int:
        time = frame.pts * frame.time_base - self._window.shift
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
        """How long the frame is shown; where the source does not say, as long as the one before it."""
        if frame.duration:
            return max(round(frame.duration * frame.time_base / self._time_base), 1)
        if self._last is not None and frame.pts > self._last.pts:
            return max(round((frame.pts - self._last.pts) * frame.time_base / self._time_base), 1)
        return max(round(1 / ((self._rate or Fraction(25)) * self._time_base)), 1)

    def _without_alpha(self, frame: Frame) -> Frame:
        """The frame over black, its three colours only."""
        alpha = frame.pixels[3:].float()
        full = torch.iinfo(frame.pixels.dtype).max
        if self._see_through or bool((alpha < full).any()):
            if not self._see_through:
                self._see_through = True
                self.warnings.append(self._alpha_warning)
            colors = (frame.pixels[:3].float() * (alpha / full)).round()
            return frame.with_pixels(colors.to(frame.pixels.dtype))
        return frame.with_pixels(frame.pixels[:3])

    def _mux(self, picture: av.VideoFrame | None) -> None:
        assert self._output is not None
        for ready in self._palette(picture) if self._palette else (picture,):
            for packet in self._stream.encode(ready):
                self._output.mux(_decodable(packet))

    # Ending

    def _commit(self) -> None:
        if self._output is None:
            raise SinkError(f"{self._path}: no frame was written, so there is no film; check the span")
        try:
            with self._plainly():
                self._close(None)
                if self._name in ("apng", "webp"):
                    self._finish_animation(self._name)
                self._settle()
            self._file.commit()
        except Exception:
            self._discard()
            raise
        except BaseException:  # Ctrl-C at the very end: a file already closed is a whole film
            if self._output is None:
                with suppress(OSError):
                    self.partial = str(self._file.keep())
            self._discard()
            raise

    def _finish_animation(self, name: str) -> None:
        """Set the last picture's delay, which muxers guess, and put in the source's colour profile and EXIF data."""
        if self._last is not None and self._last.duration:
            end_animation(str(self._file.partial), name, self._last.duration * self._last.time_base)
        tags = {kind: self._info.side_data.get(kind, b"") for kind in ("ICC_PROFILE", "EXIF")}
        if any(tags.values()):
            extension = ".png" if name == "apng" else ".webp"
            data, lost = with_tags(self._file.partial.read_bytes(), extension, tags["ICC_PROFILE"], tags["EXIF"])
            self._file.write(data)
            for kind in tags.keys() - lost:
                self._kinds.pop(kind, None)

    def _break_off(self) -> None:
        """Close what there is so that it plays; delete it where there is nothing or it cannot be closed."""
        if self._output is None or self._last is None:
            self._discard()
            return
        try:
            self._close(self._last.pts * self._last.time_base)
            with open_container(str(self._file.partial)):
                pass
            self.partial = str(self._file.keep())
        except (av.FFmpegError, OSError, ValueError):
            self._discard()

    def _close(self, until: Fraction | None) -> None:
        assert self._output is not None
        if not self._spliced:
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

    def _settle(self) -> None:
        """Compare what was written with the source; add what the muxer left out, name what is lost."""
        written = Written(
            path=str(self._file.partial),
            container=self._name,
            codec=self._codec_name,
            info=self._info,
            kinds=self._kinds,
            source=self._copy_from,
            twins=self._copier.twins if self._copier else {},
            chapters=self._copier.chapters if self._copier else 0,
        )
        self.warnings += settle(written)

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        """Turn FFmpeg's errors into a SinkError of one line."""
        try:
            yield
        except (av.FFmpegError, OSError, ValueError) as error:
            if isinstance(error, (SinkError, SourceError, UsageError)):
                raise
            raise sink_error(self._path, error, f"{self._codec_name} in {self._name} failed") from error


def _decodable(packet: Packet[VideoStream]) -> Packet[VideoStream]:
    """The packet, with a time at which it can be decoded: x265 leaves that to chance for films of one or two frames."""
    if packet.pts is not None and packet.dts is not None:
        early = (packet.pts - packet.dts) * time_base_of(packet)
        if not 0 <= early <= _MOST_REORDERED:
            packet.dts = packet.pts
    return packet


def _shown(packet: Packet[VideoStream]) -> Fraction:
    """When the picture is shown, in seconds."""
    return (packet.pts or 0) * time_base_of(packet)


def _decoding_times(shown: Sequence[Fraction], order: Sequence[Fraction]) -> Iterator[Fraction]:
    """When each picture is to be decoded, given when each is `shown`, in the order they are decoded, and `order`.

    As encoders count: when the picture is shown that comes as many pictures before as the worst reordering needs. Each
    part counted by itself; where times vary, they would run backwards at the joints.
    """
    place = {time: number for number, time in enumerate(order)}
    delay = max((number - place[time] for number, time in enumerate(shown)), default=0)
    for number in range(len(shown)):
        yield order[number - delay] if number >= delay else order[0] - (order[delay] - order[number])


class _Palette:
    """Reduces pictures to 256 colours for GIF, one palette for each picture, so that memory stays bounded.

    Ordered dithering keeps still areas still from picture to picture, which error diffusion does not.
    """

    def __init__(self) -> None:
        self._graph: Graph | None = None

    def __call__(self, picture: av.VideoFrame | None) -> Iterator[av.VideoFrame | None]:
        """Pictures ready for the encoder; None, the end, is passed on."""
        if picture is None:
            yield None
            return
        if self._graph is None:
            self._graph = self._build(picture)
        base, duration = time_base_of(picture), picture.duration
        self._graph.vpush(picture)
        while True:
            try:
                ready = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            ready.time_base, ready.duration = base, duration
            yield ready

    def _build(self, picture: av.VideoFrame) -> Graph:
        graph = Graph()
        source = graph.add_buffer(
            width=picture.width, height=picture.height, format=picture.format, time_base=time_base_of(picture)
        )
        split = graph.add("split")
        colors = graph.add("palettegen", stats_mode="single", reserve_transparent="1")
        use = graph.add("paletteuse", new="1", dither="bayer", bayer_scale="3", alpha_threshold="128")
        sink = graph.add("buffersink")
        source.link_to(split)
        split.link_to(use, 0, 0)
        split.link_to(colors, 1, 0)
        colors.link_to(use, 0, 1)
        use.link_to(sink)
        graph.configure()
        return graph
