"""Limits of uploaded films and pictures, checked before anything is decoded."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

from videostyle.errors import UsageError
from videostyle.io import probe
from videostyle.io.images import is_picture
from videostyle.io.info import film_stream, open_container
from videostyle.io.pyav import open_input, time_base_of
from videostyle.types import VideoInfo

LARGEST = 40_000_000
"""Pixels of an uploaded picture or a film's frame: somewhat more than 8K."""


def check_upload(path: Path, minutes: float, pixels: int | None = None) -> VideoInfo:
    """Probe an uploaded file; raise UsageError if it has more `pixels` (LARGEST) or is longer than is allowed.

    The declared values are not relied on: sizes are read before anything is decoded, and a film is as long as its
    packets last.
    """
    if is_picture(str(path)):
        _check_size(path, pixels, *_picture_size(path))
        return probe(str(path))
    with open_container(str(path)) as container:
        stream = film_stream(container, str(path))
        _check_size(path, pixels, stream.width, stream.height)
        tick = time_base_of(stream)
        first: int | None = None
        for packet in container.demux(stream):
            at = packet.pts if packet.pts is not None else packet.dts
            if at is None:
                continue
            first = at if first is None else min(first, at)
            _check_length(path, float((at - first + (packet.duration or 0)) * tick), minutes)
    info = probe(str(path))
    if info.duration is None:
        raise UsageError(f"{path.name}: does not say how long it is; convert it to MP4 first")
    _check_length(path, float(info.duration), minutes)
    return info


def _check_length(path: Path, seconds: float, minutes: float) -> None:
    if seconds > float(Fraction(minutes) * 60):
        raise UsageError(
            f"{path.name}: lasts {seconds / 60:.1f} minutes or more, {minutes:g} are allowed; "
            "cut it, or start with a larger --max-minutes"
        )


def _check_size(path: Path, pixels: int | None, width: int, height: int) -> None:
    most = LARGEST if pixels is None else pixels
    if width * height > most:
        raise UsageError(
            f"{path.name}: {width}x{height} are {width * height / 1e6:.0f} million pixels, {most / 1e6:.0f} are "
            "allowed; make it smaller"
        )


def _picture_size(path: Path) -> tuple[int, int]:
    """Read width and height from a picture's header, before anything is decoded."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return picture.size
    except Image.DecompressionBombError as error:
        raise UsageError(f"{path.name}: has far more pixels than the {LARGEST / 1e6:.0f} million allowed") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        pass
    try:
        with open_input(f"file:{path}") as container:
            stream = container.streams.video[0]
            if stream.width * stream.height == 0:
                raise ValueError("its header tells no size")
            return stream.width, stream.height
    except (av.FFmpegError, OSError, ValueError, IndexError) as error:
        raise UsageError(f"{path.name}: is no picture that can be read; save it again as PNG or JPEG") from error
