"""Encoders and containers, and the formats that each of them supports."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import av

from videostyle.errors import UnknownNameError, UsageError
from videostyle.io.colors import pixel_format
from videostyle.plan import EncodeOptions

_X26X_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Codec:
    """One way to encode a film."""

    encoder: str
    """FFmpeg's name."""
    containers: tuple[str, ...]
    lossless: bool = False
    """Keeps the source's chroma sampling and depth as they are."""
    chroma: tuple[str, ...] = ("420",)
    """Chroma subsampling of the automatic choice, best compatibility first; lossless codecs take the source's."""
    depths: tuple[int, ...] = (8,)
    alpha: bool = False
    odd_sizes: bool = True
    """True if the encoder takes odd widths and heights in 4:2:0; otherwise 4:4:4 is chosen for them."""
    smallest: int = 1
    """Smallest side in pixels; below it the encoder fails or crashes."""
    crf: int | None = None
    """Default constant rate factor, lower is better; None where the encoder has no such setting."""
    crf_range: tuple[int, int] = (0, 51)
    presets: tuple[str, ...] = ()
    preset: str | None = None
    preset_option: str = "preset"
    options: tuple[tuple[str, str], ...] = ()


CODECS = {
    # veryfast reaches film rate on a few CPU cores, and at crf 18 it costs file size, not quality.
    "h264": Codec(
        "libx264", ("mp4", "mov", "mkv"), depths=(8, 10), odd_sizes=False,
        crf=18, presets=_X26X_PRESETS, preset="veryfast",
    ),
    "hevc": Codec(
        "libx265", ("mp4", "mov", "mkv"), depths=(8, 10, 12), odd_sizes=False, smallest=16,
        crf=20, presets=_X26X_PRESETS, preset="veryfast",
    ),
    "av1": Codec(
        "libsvtav1", ("mp4", "mkv", "webm"), depths=(8, 10), smallest=16,
        crf=28, crf_range=(0, 63), presets=tuple(map(str, range(14))), preset="9",
    ),
    "vp9": Codec(
        "libvpx-vp9", ("webm", "mkv", "mp4"), alpha=True,
        crf=24, crf_range=(0, 63), presets=tuple(map(str, range(9))), preset="5", preset_option="cpu-used",
        options=(("deadline", "good"), ("row-mt", "1"), ("b", "0")),
    ),
    "prores": Codec(
        "prores_ks", ("mov", "mkv"), chroma=("422", "444"), depths=(10,), alpha=True,
        presets=("proxy", "lt", "standard", "hq", "4444", "4444xq"), preset_option="profile",
        options=(("vendor", "apl0"),),
    ),
    "ffv1": Codec(
        "ffv1", ("mkv", "mp4"), lossless=True, chroma=("420", "422", "444", "rgb"), depths=(8, 10, 12, 16), alpha=True,
        options=(("level", "3"), ("slicecrc", "1")),
    ),
    "mjpeg": Codec("mjpeg", ("mov", "mkv", "mp4"), options=(("qmin", "1"), ("q", "2"))),
    "gif": Codec("gif", ("gif",), chroma=("rgb",), alpha=True),
    "webp": Codec("libwebp_anim", ("webp",), alpha=True, options=(("quality", "90"),)),
    "apng": Codec("apng", ("apng",), lossless=True, chroma=("rgb",), depths=(8, 16), alpha=True),
    "rawvideo": Codec(
        "rawvideo", ("nut", "y4m", "rawvideo"), lossless=True,
        chroma=("420", "422", "444", "rgb"), depths=(8, 10, 12, 16), alpha=True,
    ),
}  # fmt: skip

# Other names of the same codecs: those of the encoders, of their libraries and of the standards.
_ALIASES = {codec.encoder: name for name, codec in CODECS.items()} | {
    "x264": "h264", "avc": "h264", "avc1": "h264", "h265": "hevc", "x265": "hevc", "hvc1": "hevc", "svt-av1": "av1",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Container:
    """A file format and the streams that it holds beside the film's."""

    format: str
    """FFmpeg's muxer."""
    codec: str
    """Codec that `auto` stands for."""
    audio: tuple[str, ...] = ()
    """Audio codecs that are copied; ("*",) is all. A trailing * stands for any ending."""
    audio_fallback: str = ""
    """Encoder for audio that cannot be copied."""
    subtitles: tuple[str, ...] = ()
    text: tuple[str, str] | None = None
    """Encoder and codec of text subtitles that cannot be copied."""
    attachments: bool = False
    cover: bool = False
    tick: int | None = None
    """Ticks per second of the container's clock; None keeps any time base."""
    frames_only: bool = False
    """True for frames without times, one after the other at a constant rate."""


_MP4_AUDIO = ("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac", "dts")
CONTAINERS = {
    # FFmpeg also writes PCM and Vorbis into mp4, but most players then stay silent.
    "mp4": Container("mp4", "h264", _MP4_AUDIO, "aac", ("mov_text",), ("mov_text", "mov_text"), cover=True),
    "mov": Container(
        "mov", "h264", ("aac", "mp3", "ac3", "eac3", "alac", "pcm_*"), "aac", ("mov_text",), ("mov_text", "mov_text")
    ),
    "mkv": Container(
        "matroska", "h264", ("*",), "aac",
        ("subrip", "ass", "webvtt", "hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle"), ("srt", "subrip"),
        attachments=True, cover=True, tick=1000,
    ),
    "webm": Container("webm", "vp9", ("opus", "vorbis"), "libopus", ("webvtt",), ("webvtt", "webvtt"), tick=1000),
    "gif": Container("gif", "gif", tick=100),
    "webp": Container("webp", "webp", tick=1000),
    "apng": Container("apng", "apng", tick=None),
}  # fmt: skip
_EXTENSIONS = {"m4v": "mp4", "png": "apng"}

# Formats for pipes, in which the writer cannot go back; no file name asks for them.
ONLY_PIPES = {
    "nut": Container("nut", "h264", ("*",), "flac"),
    "y4m": Container("yuv4mpegpipe", "rawvideo", frames_only=True),
    "rawvideo": Container("rawvideo", "rawvideo", frames_only=True),
}
ALL_CONTAINERS = CONTAINERS | ONLY_PIPES
PIPES = {"nut": "nut", "matroska": "mkv", "mkv": "mkv", "y4m": "y4m", "yuv4mpegpipe": "y4m", "rawvideo": "rawvideo"}
"""Container of each format for pipes, by FFmpeg's name of the muxer and by its common one."""
_IN_NUT = ("h264", "hevc", "av1", "vp9", "prores", "ffv1", "mjpeg")
# A program reads what goes through a pipe in nut and encodes it once more: h264 without loss also states the colours.
_LOSSLESS_H264 = Codec(
    "libx264", CODECS["h264"].containers, lossless=True, chroma=("420", "422", "444"), depths=(8, 10), odd_sizes=False,
    presets=_X26X_PRESETS, preset="ultrafast", options=(("qp", "0"),),
)  # fmt: skip


def container_for(path: str) -> str:
    """Return the container's name for the file's extension; raise UsageError, which lists the names, for others."""
    extension = Path(path).suffix.lower().lstrip(".")
    name = _EXTENSIONS.get(extension, extension)
    if name not in CONTAINERS:
        shown = f"does not write .{extension} files" if extension else "needs a file name with an extension"
        raise UsageError(f"{path}: videostyle {shown}; choose from {', '.join('.' + c for c in CONTAINERS)}")
    return name


def choose_codec(container: str, options: EncodeOptions) -> tuple[str, Codec]:
    """Choose the codec for `container`; return its name and the codec.

    Raises UnknownNameError for an unknown codec, and UsageError where this FFmpeg lacks it, the container cannot hold
    it, or its encoder does not support the crf, preset or pix_fmt.
    """
    asked = options.codec.lower().replace(".", "")
    name = ALL_CONTAINERS[container].codec if asked == "auto" else _ALIASES.get(asked, asked)
    if name not in CODECS:
        raise UnknownNameError.among("codec", options.codec, CODECS)
    codec = CODECS[name]
    if not _installed(codec.encoder):
        usable = ", ".join(n for n, c in CODECS.items() if _installed(c.encoder))
        raise UsageError(f"this FFmpeg has no {codec.encoder} encoder for {name}; choose from {usable}")
    if container == "nut" and (asked, options.crf) == ("auto", None):
        codec = _LOSSLESS_H264
    elif container == "y4m" and name == "rawvideo":
        codec = replace(codec, chroma=("420", "422", "444"), alpha=False)
    elif container not in codec.containers and not (container == "nut" and name in _IN_NUT):
        raise UsageError(f"video codec {name} cannot go into {container}; it can go into {', '.join(codec.containers)}")
    low, high = codec.crf_range
    if options.crf is not None and codec.crf is None:
        raise UsageError(f"codec {name} has no crf setting; leave it out or choose h264, hevc, av1 or vp9")
    if options.crf is not None and not low <= options.crf <= high:
        raise UsageError(f"crf for {name} must be between {low} and {high}, got {options.crf}")
    if options.preset is not None and options.preset not in codec.presets:
        allowed = f"must be one of {', '.join(codec.presets)}" if codec.presets else "cannot be set"
        raise UsageError(f"preset for {name} {allowed}, got {options.preset!r}")
    formats = _pixel_formats(codec.encoder)
    if container == "y4m":
        formats = tuple(one for one in formats if one.startswith("yuv"))
    if options.pix_fmt is not None and options.pix_fmt not in formats:
        raise UsageError(f"pix_fmt for {name} must be one of {', '.join(formats)}, got {options.pix_fmt!r}")
    return name, codec


@lru_cache(maxsize=64)
def _installed(encoder: str) -> bool:
    try:
        av.Codec(encoder, "w")
    except (av.codec.codec.UnknownCodecError, ValueError):
        return False
    return True


# Raw video may have any format, and its encoder lists none: those that programs ask for.
_RAW_FORMATS = (
    *(f"yuv{chroma}p{depth}" for depth in ("", "10le", "12le", "16le") for chroma in ("420", "422", "444")),
    *("nv12", "rgb24", "bgr24", "rgba", "bgra", "rgb48le", "rgba64le", "gray", "gray16le"),
)


@lru_cache(maxsize=64)
def _pixel_formats(encoder: str) -> tuple[str, ...]:
    listed = av.Codec(encoder, "w").video_formats
    return _RAW_FORMATS if listed is None else tuple(f.name for f in listed)


def encoder_options(name: str, codec: Codec, options: EncodeOptions) -> dict[str, str]:
    """Return FFmpeg's private options for the encoder."""
    chosen = dict(codec.options)
    crf = codec.crf if options.crf is None else options.crf
    preset = options.preset or codec.preset
    if crf is not None:
        chosen["crf"] = str(crf)
    if preset is not None:
        chosen[codec.preset_option] = preset
    if name == "hevc":
        chosen |= {"x265-params": "log-level=none", "a53cc": "1"}  # closed captions, which x264 writes by itself
    return chosen


def choose_pix_fmt(
    name: str, codec: Codec, options: EncodeOptions, size: tuple[int, int], source: str, depth: int, alpha: bool
) -> tuple[str, list[str]]:
    """Choose the pixel format for pictures of `size` (width, height); return it and one line for each property lost.

    `source` is the source's pixel format, `depth` its bits per channel, `alpha` whether the pictures have an alpha
    channel. Lossy codecs for viewing (h264, hevc, av1, vp9) get 4:2:0, the only one that most players and hardware
    decoders show; prores keeps 4:2:2 or 4:4:4, and lossless codecs keep the source's.

    Raises UsageError where the codec cannot encode this size.
    """
    width, height = size
    if min(width, height) < codec.smallest:
        raise UsageError(
            f"codec {name} cannot encode {width}x{height}, only {codec.smallest} pixels a side and more; choose h264"
        )
    odd = width % 2 == 1 or height % 2 == 1
    if options.pix_fmt is not None:
        if odd and not codec.odd_sizes and pixel_format(options.pix_fmt).chroma != "444":
            raise UsageError(f"{name} cannot hold {width}x{height} as {options.pix_fmt}; choose yuv444p or even sides")
        return options.pix_fmt, _losses(name, options.pix_fmt, source, depth, alpha, remark_chroma=False)
    chroma = pixel_format(source).chroma
    if codec.alpha and alpha and name == "prores":
        chroma = "444"
    if chroma == "gray" and codec.lossless:
        chroma = "444"  # a stylized grey film may have colours
    if chroma not in codec.chroma:
        chroma = "444" if chroma in ("rgb", "440") and "444" in codec.chroma else codec.chroma[0]
    if odd and not codec.odd_sizes:
        chroma = "444"
    bits = min((d for d in codec.depths if d >= depth), default=max(codec.depths))
    chosen = _format_name(name, chroma, bits, alpha and codec.alpha)
    lost = _losses(name, chosen, source, depth, alpha, remark_chroma=not codec.lossless)
    if odd and not codec.odd_sizes:
        lost.append(f"{width}x{height} is odd, so {name} stores it as 4:4:4, which not every player shows")
    return chosen, lost


def _format_name(name: str, chroma: str, bits: int, alpha: bool) -> str:
    if name == "gif":
        return "pal8"
    if name == "apng":
        return ("rgba" if alpha else "rgb24") if bits == 8 else "rgba64be" if alpha else "rgb48be"
    if chroma == "rgb":
        if bits == 8:
            return "bgra" if alpha else "bgr0"
        return f"gbr{'a' if alpha else ''}p{bits}le"
    deep = "" if bits == 8 else f"{bits}le"
    return f"yuv{'j' if name == 'mjpeg' else 'a' if alpha else ''}{chroma}p{deep}"


def _losses(name: str, chosen: str, source: str, depth: int, alpha: bool, *, remark_chroma: bool) -> list[str]:
    kept, had = pixel_format(chosen), pixel_format(source)
    lost = []
    if alpha and not kept.alpha and chosen != "pal8":
        lost.append(f"transparency dropped: {name} as {chosen} cannot hold it; transparent parts become black")
    if kept.depth < min(depth, 12) and chosen != "pal8":
        lost.append(f"{depth}-bit colour stored as {kept.depth}-bit: {name} as {chosen} cannot hold more")
    finer = {"444": ("422", "420"), "422": ("420",), "440": ("420",)}
    if remark_chroma and kept.chroma in finer.get(had.chroma, ()):
        lost.append(f"chroma stored as {kept.chroma}, not the source's {had.chroma}, for players; pix_fmt can keep it")
    return lost
