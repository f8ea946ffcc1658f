"""The crop of Matroska and WebM films, which FFmpeg reads and PyAV does not expose (RFC 9559, PixelCrop elements)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT, _TRACKS, _TRACK = 0x1A45DFA3, 0x18538067, 0x1654AE6B, 0xAE
_TYPE, _VIDEO = 0x83, 0xE0
_CROPS = (0x54CC, 0x54DD, 0x54BB, 0x54AA)
"""Left, right, top, bottom."""
_CLUSTER = 0x1F43B675
_LARGEST = 1 << 24
"""Bytes of the largest Tracks element that is read; fonts and covers are elsewhere."""


def crops(path: str) -> list[tuple[int, int, int, int]]:
    """Return the crop of each video track, left, right, top and bottom in pixels, in the file's order.

    The list is empty where the file is not Matroska, or no tracks are found before its first pictures.
    """
    try:
        with Path(path).open("rb") as file:
            if _number(file, keep_marker=True) != _EBML:
                return []
            file.seek(_number(file) or 0, 1)
            if _number(file, keep_marker=True) != _SEGMENT:
                return []
            _number(file)
            tracks = _tracks(file)
    except (OSError, ValueError):
        return []
    found = []
    for _, track in (pair for pair in _elements(tracks) if pair[0] == _TRACK):
        fields = dict(_elements(track))
        if int.from_bytes(fields.get(_TYPE, b"")) == 1:
            video = dict(_elements(fields.get(_VIDEO, b"")))
            left, right, top, bottom = (int.from_bytes(video.get(crop, b"")) for crop in _CROPS)
            found.append((left, right, top, bottom))
    return found


def _tracks(file: BinaryIO) -> bytes:
    """Read the body of the Tracks element; raise ValueError where there is none before the first pictures."""
    while True:
        element, size = _number(file, keep_marker=True), _number(file)
        if element == _TRACKS and size is not None and size <= _LARGEST:
            return file.read(size)
        if element == _CLUSTER or size is None:
            raise ValueError("no tracks before the first pictures")
        file.seek(size, 1)


def _number(file: BinaryIO, keep_marker: bool = False) -> int | None:
    """Read a number of EBML's variable width; None for the unknown size, all ones. Raises ValueError at the end."""
    first = file.read(1)
    if not first or not first[0]:
        raise ValueError("not a number")
    width = 9 - first[0].bit_length()
    rest = file.read(width - 1)
    value = int.from_bytes(first + rest)
    if keep_marker:
        return value
    value &= (1 << 7 * width) - 1
    return None if value == (1 << 7 * width) - 1 else value


def _elements(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the elements that follow each other in `body`, up to the first incomplete one."""
    at = 0
    while at < len(body):
        numbers = []
        for marker in (True, False):
            width = 9 - body[at].bit_length() if at < len(body) and body[at] else 9
            if at + width > len(body):
                return
            value = int.from_bytes(body[at : at + width])
            numbers.append(value if marker else value & (1 << 7 * width) - 1)
            at += width
        element, size = numbers
        yield element, body[at : at + size]
        at += size
