"""Properties of films, pictures and sequences that are known before their frames are decoded."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from fractions import Fraction
from typing import Any, cast

import av
import torch
from av.codec.context import CodecContext
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from videostyle.errors import SourceError, too_little
from videostyle.io import matroska
from videostyle.io.boxes import clean_aperture
from videostyle.io.clock import Clock, makes_times, rate_of
from videostyle.io.colors import Orientation, color_of, orientation_of, pixel_format
from videostyle.io.picture_tags import read_tags
from videostyle.io.pyav import codec_of, fraction, kind_of, open_input, printable, time_base_of
from videostyle.io.side_data import kind_names, side_data_by_kind
from videostyle.text import sanitize_line
from videostyle.types import Color, Frame, StreamInfo, VideoInfo

_PROGRESSIVE_OR_UNKNOWN = (0, 1)  # AVFieldOrder


def check_readable(path: str) -> None:
    """Raise SourceError, in one line, unless `path` is a readable file that is not empty."""
    if not os.path.exists(path):
        raise SourceError(f"{path}: {_missing(path)}")
    if os.path.isdir(path):
        raise SourceError(f"{path}: is a folder, not a film; name a file in it, or a pattern such as {path}/%05d.png")
    if not os.path.isfile(path):
        raise SourceError(f"{path}: is a pipe or a device, which cannot be read twice; save its data as a file")
    if not os.access(path, os.R_OK):
        raise SourceError(f"{path}: permission denied; ask for the right to read it")
    if os.path.getsize(path) == 0:
        raise SourceError(f"{path}: is empty (0 bytes); copy or download it again")


def _missing(path: str) -> str:
    """Return the reason why there is no such file."""
    if "://" in path:
        return "is an address, and files are read here; download it first, or paint a stream with `videostyle live`"
    if path == "-":
        return "only `stylize` and `probe` read standard input; save its data as a file"
    return "no such file; check the name and the folder"


@contextmanager
def open_container(path: str) -> Iterator[InputContainer]:
    """Open a media file for reading.

    Raises SourceError where it is missing, empty, not permitted, cut off before its index, or of a format that FFmpeg
    does not know.
    """
    check_readable(path)
    try:
        # "file:" keeps FFmpeg from reading a name such as "a:b.mp4" or "-x.mp4" as a protocol or an option.
        container = open_input(f"file:{path}")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SourceError(_why_unreadable(path, error)) from error
    try:
        yield container
    finally:
        container.close()


def pictures_info(
    path: str, first: Frame, rate: Fraction, count: int | None, *, codec: str, container: str
) -> VideoInfo:
    """Describe a film of RGB pictures with the size and format of `first`, at `rate` frames per second."""
    channels, height, width = first.pixels.shape
    deep = first.pixels.dtype == torch.uint16
    return VideoInfo(
        path=path,
        width=width,
        height=height,
        time_base=first.time_base,
        average_rate=rate,
        frame_count=count,
        start=first.pts * first.time_base,
        duration=None,
        rotation=0,
        sample_aspect_ratio=Fraction(1),
        color=Color(range="pc"),
        bit_depth=16 if deep else 8,
        has_alpha=channels == 4,
        interlaced=False,
        codec=codec,
        pix_fmt={(3, False): "rgb24", (4, False): "rgba", (3, True): "rgb48le"}.get((channels, deep), "rgba64le"),
        container=container,
    )


def _why_unreadable(path: str, error: BaseException) -> str:
    if isinstance(error, PermissionError):
        return f"{path}: permission denied; ask for the right to read it"
    with open(path, "rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp":
        return f"{path}: is cut off, its index (moov) is missing; copy or download it again, or record it anew"
    return f"{path}: is not a film or picture that FFmpeg can read; check that it is the right file"


def film_stream(container: InputContainer, path: str) -> VideoStream:
    """Return the video stream of the film: FFmpeg's best one that is not cover art.

    Raises SourceError where there is none, or no decoder for it.
    """
    films = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not films:
        covers = {s.index for s in container.streams.video}
        kinds = ", ".join(sorted({"cover art" if s.index in covers else kind_of(s) for s in container.streams}))
        raise SourceError(f"{path}: has no video stream, only {kinds or 'nothing'}; choose a file with a picture")
    best = container.streams.best("video")
    stream = best if isinstance(best, VideoStream) and best in films else films[0]
    if stream.codec_context is None:
        raise SourceError(f"{path}: no decoder for its video in this FFmpeg; convert it to H.264 first")
    return stream


def decoder_of(stream: VideoStream) -> VideoCodecContext:
    """Return the decoder for a film's packets, set to use all cores.

    VP8 and VP9 store alpha beside the picture, which only libvpx decodes.
    """
    canonical = stream.codec_context.codec.canonical_name
    decoder = stream.codec_context
    if stream.metadata.get("alpha_mode") == "1" and canonical in ("vp8", "vp9"):
        decoder = cast(VideoCodecContext, CodecContext.create({"vp8": "libvpx", "vp9": "libvpx-vp9"}[canonical], "r"))
    if not decoder.is_open:
        decoder.thread_type = "AUTO"
    return decoder


def first_frame(
    container: InputContainer, path: str, packets: Iterable[Packet[VideoStream]] | None = None
) -> tuple[VideoStream, av.VideoFrame]:
    """Return the film's stream and the first frame that can be decoded; raise SourceError where there is none.

    `packets` are the film's, where they are not read from the container here.
    """
    stream = film_stream(container, path)
    decoder = decoder_of(stream)
    shortage = ""
    try:
        for packet in container.demux(stream) if packets is None else packets:
            try:
                frames = decoder.decode(packet)
            except (av.FFmpegError, ValueError) as error:  # PyAV forgets a codec that could not be opened
                shortage = too_little(error) or shortage
                continue
            if frames:
                return stream, frames[0]
    except av.FFmpegError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); copy or download it again") from error
    raise SourceError(f"{path}: none of its frames can be decoded; {shortage or 'the file is damaged or cut off'}")


def probe_video(path: str) -> tuple[VideoInfo, int, Orientation]:
    """Describe a film; one frame is decoded, because rotation, alpha and interlacing are known only then.

    Returns the properties; the delay of the decoder in ticks, for formats whose times are derived from the order of
    packets; and the first frame's orientation. Raises SourceError.
    """
    with open_container(path) as container:
        return film_info(path, container, *first_frame(container, path), path)


def film_info(
    name: str, container: InputContainer, stream: VideoStream, frame: av.VideoFrame, file: str
) -> tuple[VideoInfo, int, Orientation]:
    """Describe the film `stream` by its first `frame`, as `probe_video` does.

    `name` is its path in messages; `file` begins with its bytes, for what FFmpeg does not tell.
    """
    orientation = orientation_of(frame)
    crop = _crop(file, container, stream, frame)
    width, height = frame.width - crop[0] - crop[1], frame.height - crop[2] - crop[3]
    if orientation.transpose:
        width, height = height, width
    pixels = pixel_format(frame.format.name)
    aspect = fraction(stream.sample_aspect_ratio) or Fraction(1)
    if aspect <= 0:
        aspect = Fraction(1)
    time_base = time_base_of(stream, Fraction(1, 1000))
    pts, late = frame.pts if frame.pts is not None else stream.start_time, 0
    if makes_times(container):
        pts = stream.start_time or 0
        late = pts if frame.dts is None else frame.dts - pts
    rate, duration = rate_of(stream), _duration(container, stream)
    info = VideoInfo(
        path=name,
        width=width,
        height=height,
        time_base=time_base,
        average_rate=rate,
        frame_count=stream.frames or (round(duration * rate) if duration and rate else None),
        start=None if pts is None else pts * time_base - Clock(container, stream).origin,
        duration=duration,
        rotation=orientation.rotation,
        sample_aspect_ratio=1 / aspect if orientation.transpose else aspect,
        color=_film_color(stream, frame),
        bit_depth=pixels.depth,
        has_alpha=pixels.alpha,
        interlaced=frame.interlaced_frame or stream.codec_context.field_order not in _PROGRESSIVE_OR_UNKNOWN,
        codec=stream.codec_context.codec.canonical_name,
        pix_fmt=frame.format.name,
        container=container.format.name,
        streams=tuple(_describe_stream(s) for s in container.streams),
        crop=crop,
        side_data=side_data_by_kind(frame),
        plays=read_tags(file).plays if container.format.name in ("gif", "apng") else None,
    )
    return info, late, orientation


def _crop(path: str, container: InputContainer, stream: VideoStream, frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """Return the container's crop, left, right, top and bottom in pixels; zeros where it is missing or invalid."""
    crop: tuple[int, int, int, int] | None = None
    if "matroska" in container.format.name:
        films = [s.index for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        found = matroska.crops(path)
        crop = found[films.index(stream.index)] if len(found) == len(films) else None
    elif "mov" in container.format.name:
        crop = clean_aperture(path, stream.id, frame.width, frame.height)
    if crop is None or min(crop) < 0 or crop[0] + crop[1] >= frame.width or crop[2] + crop[3] >= frame.height:
        return 0, 0, 0, 0
    return crop


def _duration(container: InputContainer, stream: VideoStream) -> Fraction | None:
    if stream.duration:
        return stream.duration * time_base_of(stream)
    return Fraction(container.duration, 1_000_000) if container.duration else None


def _film_color(stream: VideoStream, frame: av.VideoFrame) -> Color:
    """Return the frame's colour tags, and the container's where the frame has none."""
    mine = color_of(frame)
    context = stream.codec_context
    frame.color_primaries = frame.color_primaries if mine.primaries else context.color_primaries
    frame.color_trc = frame.color_trc if mine.transfer else context.color_trc
    return color_of(frame)


def _describe_stream(stream: Stream) -> StreamInfo:
    context: Any = stream.codec_context  # its attributes depend on the kind of stream
    kind, detail = kind_of(stream), ""
    if kind == "video" and context:
        picture = ", cover art" if stream.disposition & Disposition.attached_pic else ""
        detail = f"{context.width}x{context.height} {context.pix_fmt or ''}".rstrip() + picture
    elif kind == "audio" and context:
        detail = f"{context.sample_rate} Hz {context.layout.name}"
    language = printable(stream.metadata.get("language", ""))
    return StreamInfo(stream.index, kind, codec_of(stream), "" if language == "und" else language, detail)


def hdr_metadata(side_data: Mapping[str, bytes]) -> tuple[str, str]:
    """Return the mastering display and light level of an HDR film, in x265's notation, from its first side data.

    Units are x265's: chromaticity in 0.00002, luminance in 0.0001 cd/m2. Each is "" where the film does not state it.
    """
    display, light = "", ""
    if len(raw := side_data.get("MASTERING_DISPLAY_METADATA", b"")) >= 88:
        numbers = struct.unpack("=22i", raw[:88])
        values = [Fraction(n, d or 1) for n, d in zip(numbers[0:20:2], numbers[1:20:2], strict=True)]
        r, g, b, white = ([round(v * 50000) for v in values[i : i + 2]] for i in (0, 2, 4, 6))
        low, high = (round(v * 10000) for v in values[8:10])
        if numbers[20] and numbers[21]:
            points = {"G": g, "B": b, "R": r, "WP": white}
            display = "".join(f"{name}({x},{y})" for name, (x, y) in points.items()) + f"L({high},{low})"
    if len(raw := side_data.get("CONTENT_LIGHT_LEVEL", b"")) >= 8:
        light = "{},{}".format(*struct.unpack("=2I", raw[:8]))
    return display, light


def to_json(info: VideoInfo) -> dict[str, Any]:
    """Convert `info` to values for JSON: exact fractions as text ("1001/30000"), and seconds as numbers too."""
    values = asdict(info)
    for name in ("time_base", "average_rate", "sample_aspect_ratio", "start", "duration"):
        values[name] = None if values[name] is None else str(values[name])
    values["start_seconds"] = None if info.start is None else float(info.start)
    values["duration_seconds"] = None if info.duration is None else float(info.duration)
    values["frames_per_second"] = None if info.average_rate is None else float(info.average_rate)
    values["streams"] = [asdict(stream) for stream in info.streams]
    values["side_data"] = kind_names(info.side_data)
    return values


def describe(info: VideoInfo) -> str:
    """Describe the properties in text for people, one in each line."""
    color = info.color
    tags = [f"{name} {word}" for name, word in asdict(color).items() if word]
    rate = "rate not stated" if info.average_rate is None else f"{float(info.average_rate):g} frames a second"
    frames = "number of frames not stated" if info.frame_count is None else f"{info.frame_count} frames"
    notes = [
        f"turned {info.rotation} degrees clockwise" if info.rotation else "",
        "interlaced" if info.interlaced else "",
        "transparency" if info.has_alpha else "",
        f"pixel aspect {info.sample_aspect_ratio}" if info.sample_aspect_ratio != 1 else "",
        "cropped by {} left, {} right, {} top, {} bottom".format(*info.crop) if any(info.crop) else "",
        *kind_names(info.side_data),
    ]
    lines = [
        sanitize_line(f"{info.path}: {info.container}"),
        f"  picture   {info.width}x{info.height} {info.codec} {info.pix_fmt}, {info.bit_depth} bits a channel",
        f"  time      {rate}, {frames}, time base {info.time_base}",
        "  colours   " + (", ".join(tags) or "not stated"),
    ]
    if info.duration is not None:
        lines.insert(3, f"  duration  {float(info.duration):.3f} s")
    if any(notes):
        lines.append("  note      " + sanitize_line(", ".join(note for note in notes if note)))
    for stream in info.streams:
        language = f" [{stream.language}]" if stream.language else ""
        lines.append(
            "  " + sanitize_line(f"stream {stream.index}  {stream.kind} {stream.codec}{language} {stream.detail}")
        )
    return "\n".join(lines)
