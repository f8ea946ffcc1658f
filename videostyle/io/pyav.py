"""One interface to PyAV 18 and PyAV 19, which differ in fractions, kinds of streams, side data and options."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from stat import S_ISREG
from typing import Any, BinaryIO, Protocol, cast

import av
from av.container import Container, InputContainer, OutputContainer
from av.format import Flags
from av.sidedata.sidedata import SideData, Type
from av.stream import AttachmentStream, DataStream, Stream

from videostyle.threads import silence_ffmpeg

_VERSION = int(av.__version__.split(".")[0])
_TICK = Fraction(1, av.time_base)
"""FFmpeg's own time base, which applies where a stream states none."""
_LONGEST_LISTING = 30.0  # seconds
_PRINT_LISTING = """
import sys, av
av.logging.set_level(av.logging.INFO)
options = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}
with av.open("file:" + sys.argv[1], **options) as container:
    sys.stdout.buffer.write(container.dumps_format().encode(errors="replace"))
"""


def _unknown(cls: type[Type], value: object) -> Type | None:
    """Make an enum member for a kind of side data without a name in PyAV 18, as PyAV 19 does."""
    if not isinstance(value, int):
        return None
    member: Any = object.__new__(cls)
    newer = {28: "LCEVC", 29: "VIEW_ID", 30: "THREE_D_REFERENCE_DISPLAYS", 31: "EXIF"}
    member._name_, member._value_ = newer.get(value, f"UNKNOWN_{value}"), value
    known: dict[Any, Any] = cls._value2member_map_
    return cast(Type, known.setdefault(value, member))


if _VERSION < 19:  # it hides all side data of a frame if one kind has no name
    Type._missing_ = classmethod(_unknown)  # type: ignore[assignment,method-assign]


class _Rational(Protocol):
    """A number with a numerator and a denominator: Fraction in PyAV 18, AVRational in PyAV 19."""

    @property
    def numerator(self) -> int: ...
    @property
    def denominator(self) -> int: ...


class _Timed(Protocol):
    """A stream, packet or frame."""

    @property
    def time_base(self) -> _Rational | None: ...


def fraction(number: _Rational | None) -> Fraction | None:
    """Convert a rate or an aspect ratio to an exact fraction; None where FFmpeg has not set it.

    An unset number is None in PyAV 18, and FFmpeg's 0/1, 0/0 or 1/0 in PyAV 19, whose AVRational rounds products.
    """
    if number is None or not number.numerator or not number.denominator:
        return None
    return Fraction(number.numerator, number.denominator)


def time_base_of(timed: _Timed, unset: Fraction = _TICK) -> Fraction:
    """Return the time base of a stream, packet or frame, in seconds; `unset` where it states none."""
    return fraction(timed.time_base) or unset


def kind_of(stream: Stream) -> str:
    """Return the kind of a stream: "video", "audio", "subtitle", "data", "attachment" or "unknown"."""
    return str(stream.type)


def codec_of(stream: Stream) -> str:
    """Return FFmpeg's name for a stream's codec, or an attachment's file name; "unknown" where there is neither.

    A codec without a decoder has the name in FFmpeg's list, or the container's tag ("apac").
    """
    if stream.codec_context is not None:
        return stream.codec_context.codec.canonical_name
    name = stream.name if isinstance(stream, (DataStream, AttachmentStream)) else _codec_listed(stream)
    return printable(name) if name else "unknown"


def _codec_listed(stream: Stream) -> str:
    """Return the codec's name in FFmpeg's own listing of the container, the only source where there is no decoder."""
    found = re.search(
        rf"^ +Stream #0:{stream.index}\b[^:]*: [A-Z]\w+: (\w+)(?: \([^/]*\))*(?: \((\S+) / 0x)?",
        _listing(Path(stream.container.name.removeprefix("file:"))),
        re.M,
    )
    if found is None:
        return ""
    return found[1] if found[1] not in ("none", "unknown") else (found[2] or "")


def _listing(path: Path) -> str:
    """Return FFmpeg's listing of a film's streams; "" where it cannot be had."""
    try:
        about = path.stat()
    except (OSError, ValueError):
        return ""
    return _list_in_a_process(path, about.st_size, about.st_mtime_ns) if S_ISREG(about.st_mode) else ""


@lru_cache(maxsize=8)
def _list_in_a_process(path: Path, size: int, modified: int) -> str:
    """Let another process print the listing of a film of this `size`, last `modified` then.

    PyAV keeps the listing only while its log callback is installed, and with that a decoder thread of this process that
    logs could wait for ever: see `silence_ffmpeg`.
    """
    if not Path(sys.executable or "").name.startswith("python"):
        return ""  # Python runs inside another program
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _PRINT_LISTING, path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_LONGEST_LISTING,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace")


def has_flag(container: Container, flag: Flags) -> bool:
    """Return True if FFmpeg sets this flag for the container's format."""
    return bool(container.format.flags & int(cast(Any, flag).value))


def side_data_of(frame: av.VideoFrame) -> list[SideData]:
    """List the side data that FFmpeg attached to a frame, in its order."""
    # Iterating yields the data in PyAV 18 and their kinds in PyAV 19; indices mean the same in both.
    attached: Any = frame.side_data
    found: list[SideData] = []
    try:
        while True:
            found.append(attached[len(found)])
    except IndexError:
        return found


def open_input(name: str | BinaryIO, **options: Any) -> InputContainer:
    """Open a container for reading, like `av.open`; bytes of a tag that are not UTF-8 become lone surrogates.

    See `printable`.
    """
    silence_ffmpeg()
    if _self_contained:
        options = {**options, "options": {**_refusing_references(), **options.get("options", {})}}
    return av.open(name, "r", **_as_bytes(options))


# Formats that name other files or addresses, which FFmpeg opens: playlists, session descriptions, and parts in the same
# folder. Devices and scripts are among them.
_REFERRING = {
    *("concat", "hls", "applehttp", "dash", "webm_dash_manifest", "imf", "mlv", "vobsub"),
    *("sdp", "rtp", "rtsp", "sap", "rtp_mpegts", "lavfi", "avisynth", "vapoursynth", "dvdvideo", "libgme"),
}
_self_contained = 0


@contextmanager
def self_contained_only() -> Iterator[None]:
    """Refuse formats that name other files or addresses, in all threads, in the block: the files are strangers'."""
    global _self_contained
    _self_contained += 1
    try:
        yield
    finally:
        _self_contained -= 1


@lru_cache(maxsize=1)
def _refusing_references() -> dict[str, str]:
    formats = sorted(av.formats_available - _REFERRING)
    return {"protocol_whitelist": "file", "format_whitelist": ",".join(formats)}


def open_output(name: str | BinaryIO, **options: Any) -> OutputContainer:
    """Open a container for writing, like `av.open`; tags from `open_input` are written as the same bytes."""
    silence_ffmpeg()
    return av.open(name, "w", **_as_bytes(options))


def _as_bytes(options: dict[str, Any]) -> dict[str, Any]:
    return options if _VERSION >= 19 else options | {"metadata_errors": "surrogateescape"}


def printable(tag: str) -> str:
    """Replace the bytes of a tag that are not UTF-8 by U+FFFD, so that it can be printed."""
    return tag.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
