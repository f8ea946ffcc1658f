"""The boxes of mp4 and mov files: reads those that PyAV does not expose, adds those that FFmpeg's muxer does not write.

Formats: ISO/IEC 14496-12; Google's Spherical Video V2 (st3d, sv3d); Apple's QuickTime File Format (keys, ilst, clap).
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

_PARENTS = {b"moov": 0, b"trak": 0, b"tref": 0, b"mdia": 0, b"minf": 0, b"stbl": 0, b"stsd": 8}
"""Boxes that are parsed into children, with the size in bytes of the fields before these."""
_SAMPLE_ENTRY = 78
"""Size in bytes of the fields of a visual sample entry."""
_LARGEST_INDEX = 1 << 28
"""Largest moov box that is read, in bytes; that of a ten-hour film has some 20 million."""


@dataclass(slots=True)
class Box:
    """One box: its fields, then its children; a box that is not parsed consists of fields only."""

    kind: bytes
    fields: bytes
    children: list[Box] = field(default_factory=list)

    def __bytes__(self) -> bytes:
        body = self.fields + b"".join(map(bytes, self.children))
        return struct.pack(">I4s", 8 + len(body), self.kind) + body

    def find_all(self, *path: bytes) -> Iterator[Box]:
        """Yield the boxes at the end of `path`, which has one kind for each level; b"" stands for any kind."""
        if not path:
            yield self
            return
        for child in self.children:
            if path[0] in (b"", child.kind):
                yield from child.find_all(*path[1:])


@dataclass(frozen=True, slots=True)
class _TopLevelBox:
    """Position of a box at the top level of a file."""

    kind: bytes
    start: int
    size: int
    head: int
    """Size of its header in bytes."""


def _top_level_boxes(file: BinaryIO) -> list[_TopLevelBox]:
    """List the boxes at the top level of a file; raise ValueError where their sizes are invalid."""
    end = file.seek(0, os.SEEK_END)
    found, at = [], 0
    while at + 8 <= end:
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if size == 1:
            (size,), head = struct.unpack(">Q", file.read(8)), 16
        elif size == 0:
            size = end - at
        if size < head or at + size > end:
            raise ValueError(f"a box of {size} bytes at {at}")
        found.append(_TopLevelBox(kind, at, size, head))
        at += size
    return found


def _parse(kind: bytes, body: bytes, parent: bytes = b"", handler: bytes = b"") -> Box:
    head = _PARENTS.get(kind)
    if parent == b"stsd" and handler == b"vide":
        head = _SAMPLE_ENTRY
    if head is None or len(body) < head:
        return Box(kind, body)
    children, at = [], head
    while at + 8 <= len(body):
        size, inner = struct.unpack_from(">I4s", body, at)
        if size < 8 or at + size > len(body):
            break
        child = _parse(inner, body[at + 8 : at + size], kind, handler)
        if inner == b"hdlr" and kind == b"mdia":
            handler = child.fields[8:12]
        children.append(child)
        at += size
    # QuickTime ends some lists with four zero bytes, which belong to no child.
    return Box(kind, body[:head], [*children, *([_RawBytes(b"", body[at:])] if at < len(body) else [])])


class _RawBytes(Box):
    """Bytes between boxes, kept unchanged."""

    __slots__ = ()

    def __bytes__(self) -> bytes:
        return self.fields


def read_movie(path: str) -> Box | None:
    """Read the moov box of an mp4 or mov file; None where the file is of another kind, has none or is damaged."""
    try:
        with Path(path).open("rb") as file:
            if file.read(8)[4:] not in (b"ftyp", b"moov", b"wide", b"mdat", b"free", b"skip", b"pnot"):
                return None
            place = next((p for p in _top_level_boxes(file) if p.kind == b"moov"), None)
            if place is None or place.size > _LARGEST_INDEX:
                return None
            file.seek(place.start + place.head)
            return _parse(b"moov", file.read(place.size - place.head))
    except (OSError, ValueError, struct.error):
        return None


def track(movie: Box, number: int) -> Box | None:
    """Return the trak box of a track number, which is the stream's id in FFmpeg; None where there is none."""
    for one in movie.find_all(b"trak"):
        for header in one.find_all(b"tkhd"):
            at = 20 if header.fields[:1] == b"\1" else 12
            if header.fields[at : at + 4] == struct.pack(">I", number):
                return one
    return None


def _entries(trak: Box) -> Iterator[Box]:
    return trak.find_all(b"mdia", b"minf", b"stbl", b"stsd", b"")


def sample_entry_types(path: str) -> dict[int, str]:
    """Return the sample entry type ("avc1", "gpmd"...) of each track of an mp4 or mov file, by track number.

    Tracks that hold chapter titles have the type "chapters".
    """
    movie = read_movie(path)
    if movie is None:
        return {}
    chapters = {
        number
        for reference in movie.find_all(b"trak", b"tref", b"chap")
        for (number,) in struct.iter_unpack(">I", reference.fields[: len(reference.fields) // 4 * 4])
    }
    found = {}
    for trak in movie.find_all(b"trak"):
        for header in trak.find_all(b"tkhd"):
            (number,) = struct.unpack_from(">I", header.fields, 20 if header.fields[:1] == b"\1" else 12)
            kind = next((entry.kind.decode("latin-1") for entry in _entries(trak)), "")
            found[number] = "chapters" if number in chapters else kind
    return found


def clean_aperture(path: str, number: int, width: int, height: int) -> tuple[int, int, int, int] | None:
    """Return the crop of a track's pictures, left, right, top and bottom in pixels; None where there is none.

    The clap box states the size of the visible part and the offset of its centre from the picture's.
    """
    movie = read_movie(path)
    trak = movie and track(movie, number)
    for entry in _entries(trak) if trak else ():
        for box in entry.find_all(b"clap"):
            try:
                values = struct.unpack(">IIIIiIiI", box.fields[:32])
                shown = [values[0] / values[1], values[2] / values[3]]
                moved = [values[4] / values[5], values[6] / values[7]]
            except (struct.error, ZeroDivisionError):
                return None
            left = round((width - shown[0]) / 2 + moved[0])
            top = round((height - shown[1]) / 2 + moved[1])
            return left, width - left - round(shown[0]), top, height - top - round(shown[1])
    return None


# Adding


def stereo_box(kind: int, inverted: bool) -> bytes:
    """Make the st3d box for an AVStereo3DType; b"" for a layout without a number in it."""
    mode = {0: 0, 1: 2, 2: 1}.get(kind)
    if mode is None or inverted:
        return b""
    return bytes(Box(b"st3d", struct.pack(">IB", 0, mode)))


def spherical_box(mapping: bytes) -> bytes:
    """Make the sv3d box for an AVSphericalMapping; b"" for a projection without a box."""
    projection, yaw, pitch, roll, left, top, right, bottom, padding = struct.unpack("=4i5I", mapping[:36])
    if projection in (0, 2):
        drawn = Box(b"equi", struct.pack(">5I", 0, top, bottom, left, right))
    elif projection == 1:
        drawn = Box(b"cbmp", struct.pack(">3I", 0, 0, padding))
    else:
        return b""
    pose = Box(b"prhd", struct.pack(">I3i", 0, yaw, pitch, roll))
    return bytes(Box(b"sv3d", b"", [Box(b"svhd", bytes(4) + b"videostyle\0"), Box(b"proj", b"", [pose, drawn])]))


def _pack_language(language: str) -> bytes:
    """Pack three letters in five bits each, which QuickTime also accepts for a language without a number."""
    code = 0
    for letter in language:
        code = code << 5 | ord(letter) - 0x60
    return struct.pack(">H", code)


def _keys(tags: Mapping[str, str], name: str) -> Box:
    """Make a box of QuickTime metadata, which takes any key, where iTunes' list has fixed keys only."""
    names, values = b"", []
    for number, (key, value) in enumerate(tags.items(), start=1):
        label = key.encode("utf-8", "surrogateescape")
        names += struct.pack(">I4s", 8 + len(label), b"mdta") + label
        data = Box(b"data", struct.pack(">II", 1, 0) + value.encode("utf-8", "surrogateescape"))
        values.append(Box(struct.pack(">I", number), b"", [data]))
    handler = Box(b"hdlr", struct.pack(">II4s", 0, 0, b"mdta") + bytes(13))
    children = [handler, Box(b"keys", struct.pack(">II", 0, len(tags)) + names), Box(b"ilst", b"", values)]
    return Box(b"meta", b"" if name == "mov" else bytes(4), children)


def add_to_movie(
    path: str,
    name: str,
    number: int,
    entry: bytes = b"",
    tags: Mapping[str, str] | None = None,
    languages: Mapping[int, str] | None = None,
) -> None:
    """Add boxes, tags and languages that FFmpeg's muxer does not write to a finished mp4 or mov file.

    `name` is the container's, "mp4" or "mov"; `entry` are boxes for the sample entries of track `number`; `tags` are
    added under their own names, `languages` are ISO 639-2 codes by track number. Where the file gets longer, it is
    written anew beside the old one, which it replaces when it is complete.

    Raises OSError where the file cannot be written, ValueError or struct.error for an unexpected structure.
    """
    with Path(path).open("rb") as file:
        places = _top_level_boxes(file)
        place = next((p for p in places if p.kind == b"moov"), None)
        if place is None or any(p.kind == b"moof" for p in places):
            raise ValueError("no index, or one in fragments")
        file.seek(place.start + place.head)
        movie = _parse(b"moov", file.read(place.size - place.head))
        trak = track(movie, number)
        if trak is None:
            raise ValueError(f"no track {number}")
        if entry:
            for one in _entries(trak):
                one.children.append(_RawBytes(b"", entry))
        for other, language in (languages or {}).items():
            for header in (box for one in [track(movie, other)] if one for box in one.find_all(b"mdia", b"mdhd")):
                at = 32 if header.fields[:1] == b"\1" else 20
                header.fields = header.fields[:at] + _pack_language(language) + header.fields[at + 2 :]
        if tags:
            movie.children.append(_keys(tags, name))
        new = bytes(movie)
        if len(new) == place.size:
            with Path(path).open("r+b") as out:
                out.seek(place.start)
                out.write(new)
            return
        for _ in range(2):  # a second time where 32-bit offsets had to become 64-bit ones, which makes the box longer
            grown = len(new) - place.size
            moved = _with_offsets_shifted(movie, place.start, grown)
            if len(bytes(moved)) == len(new):
                break
            new = bytes(moved)
        beside = f"{path}.boxes"
        try:
            with Path(beside).open("wb") as out:
                file.seek(0)
                _copy(file, out, place.start)
                out.write(bytes(moved))
                file.seek(place.start + place.size)
                shutil.copyfileobj(file, out, 1 << 20)
            os.replace(beside, path)
        finally:
            Path(beside).unlink(missing_ok=True)


def _copy(file: BinaryIO, out: BinaryIO, size: int) -> None:
    while size > 0:
        part = file.read(min(size, 1 << 20))
        out.write(part)
        size -= len(part)


def _with_offsets_shifted(box: Box, after: int, by: int) -> Box:
    """Copy a box with all chunk offsets greater than `after` increased by `by` bytes."""
    if box.kind in (b"stco", b"co64"):
        wide = box.kind == b"co64"
        (count,) = struct.unpack_from(">I", box.fields, 4)
        offsets = struct.unpack_from(f">{count}{'Q' if wide else 'I'}", box.fields, 8)
        offsets = tuple(o + by if o > after else o for o in offsets)
        wide = wide or max(offsets, default=0) >= 1 << 32
        packed = struct.pack(f">{count}{'Q' if wide else 'I'}", *offsets)
        return Box(b"co64" if wide else b"stco", box.fields[:8] + packed)
    if not box.children:
        return box
    return Box(box.kind, box.fields, [_with_offsets_shifted(child, after, by) for child in box.children])
