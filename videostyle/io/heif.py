"""Photographs stored in tiles, as phones write HEIC and AVIF (ISO/IEC 23008-12), joined to one picture.

FFmpeg reads each tile as a stream of its own; their layout is in a part of the file that PyAV does not expose.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import torch
from torch import Tensor

from videostyle.errors import SourceError
from videostyle.io.colors import EXIF_ORIENTATIONS, UPRIGHT, Orientation, ToTensor
from videostyle.io.info import open_container, pictures_info
from videostyle.io.picture_tags import DAMAGED, PictureTags, descriptive_exif
from videostyle.timeline import Span
from videostyle.types import Frame, NothingOpen, StreamInfo

EXTENSIONS = (".heic", ".heif", ".hif", ".avif")
_LARGEST_INDEX = 1 << 24  # bytes of the largest meta box that is read


@dataclass(frozen=True, slots=True)
class Grid:
    """Layout of a photograph's tiles."""

    rows: int
    columns: int
    width: int
    height: int
    """Size of the photograph; the last tiles may extend beyond it."""
    tiles: tuple[int, ...]
    """Item numbers of the tiles, row by row; FFmpeg's stream ids."""
    turns: tuple[Orientation, ...]
    """Transformations that lay it upright, in order."""
    profile: bytes
    """The ICC profile; b"" where there is none."""
    exif: bytes
    """EXIF data, as in `PictureTags`."""
    lost: tuple[str, ...]
    """Descriptions of metadata in the file that cannot be used."""


def read_grid(path: str) -> Grid | None:
    """Read the layout of a photograph's tiles; None for a file of another kind, or a photograph without tiles."""
    try:
        data = Path(path).read_bytes()
        meta = next((body for kind, body in _boxes(data) if kind == b"meta"), None)
        return None if meta is None or len(meta) > _LARGEST_INDEX else _grid(dict(_boxes(meta[4:])), data)
    except DAMAGED:
        return None


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            (size,), head = struct.unpack_from(">Q", data, at + 8), 16
        size = size or len(data) - at
        if size < head:
            return
        yield kind, data[at + head : at + size]
        at += size


def _grid(meta: dict[bytes, bytes], data: bytes) -> Grid | None:
    primary = int.from_bytes(meta[b"pitm"][4 : 8 if meta[b"pitm"][0] else 6])
    kinds = _kinds(meta[b"iinf"])
    if kinds.get(primary) != b"grid":
        return None
    stored = _item(meta, primary, data)
    rows, columns = stored[2] + 1, stored[3] + 1
    width, height = struct.unpack_from(">II" if stored[1] & 1 else ">HH", stored, 4)
    wide = meta[b"iref"][0] == 1
    tiles: tuple[int, ...] = ()
    for kind, body in _boxes(meta[b"iref"][4:]):
        numbers = [n for (n,) in struct.iter_unpack(">I" if wide else ">H", body[:4] + body[6:] if wide else body)]
        if wide:
            numbers.insert(1, 0)  # stands for the count, which has two bytes in any case
        if kind == b"dimg" and numbers[0] == primary:
            tiles = tuple(numbers[2:])
    turns, profile = [], b""
    for kind, body in _properties(meta[b"iprp"], primary):
        if kind == b"irot":
            turns.append(EXIF_ORIENTATIONS[{0: 1, 1: 8, 2: 3, 3: 6}[body[0] & 3]])
        elif kind == b"imir":
            turns.append(Orientation(flip_x=bool(body[0] & 1), flip_y=not body[0] & 1))
        elif kind == b"colr" and body[:4] in (b"prof", b"rICC"):
            profile = body[4:]
    if len(tiles) != rows * columns or not width or not height:
        return None
    exif = b""
    for item, kind in kinds.items():
        if kind == b"Exif":
            stored = _item(meta, item, data)
            exif = descriptive_exif(stored[4 + int.from_bytes(stored[:4]) :])
    lost = ("XMP data",) if b"mime" in kinds.values() else ()
    return Grid(rows, columns, width, height, tiles, tuple(turns), profile, exif, lost)


def _kinds(iinf: bytes) -> dict[int, bytes]:
    """Return the type of each item."""
    found = {}
    for kind, body in _boxes(iinf[6 if iinf[0] == 0 else 8 :]):
        if kind == b"infe" and body[0] in (2, 3):
            size = 2 if body[0] == 2 else 4
            found[int.from_bytes(body[4 : 4 + size])] = body[6 + size : 10 + size]
    return found


def _item(meta: dict[bytes, bytes], wanted: int, data: bytes) -> bytes:
    """Return the bytes of an item."""
    iloc = meta[b"iloc"]
    version = iloc[0]
    offset_size, length_size, base_size = iloc[4] >> 4, iloc[4] & 15, iloc[5] >> 4
    index_size = iloc[5] & 15 if version else 0
    at = 6

    def number(size: int) -> int:
        nonlocal at
        at += size
        return int.from_bytes(iloc[at - size : at])

    for _ in range(number(4 if version == 2 else 2)):
        item = number(4 if version == 2 else 2)
        method = number(2) & 15 if version else 0
        number(2)
        base = number(base_size)
        parts = []
        for _ in range(number(2)):
            number(index_size)
            offset, length = base + number(offset_size), number(length_size)
            parts.append((meta[b"idat"] if method == 1 else data)[offset : offset + length])
        if item == wanted:
            return b"".join(parts)
    raise KeyError(wanted)


def _properties(iprp: bytes, item: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the properties of an item, in its order."""
    boxes = list(_boxes(iprp))
    known = list(_boxes(next(body for kind, body in boxes if kind == b"ipco")))
    for ipma in (body for kind, body in boxes if kind == b"ipma"):
        id_size, index_size = 4 if ipma[0] else 2, 2 if ipma[3] & 1 else 1
        at = 8
        for _ in range(int.from_bytes(ipma[4:8])):
            owner, count = int.from_bytes(ipma[at : at + id_size]), ipma[at + id_size]
            at += id_size + 1
            for _ in range(count):
                index = int.from_bytes(ipma[at : at + index_size]) & (0x7FFF if index_size == 2 else 0x7F)
                at += index_size
                if owner == item and 0 < index <= len(known):
                    yield known[index - 1]


class TiledSource(NothingOpen):
    """A photograph in tiles, as a film of one picture."""

    is_live = False

    def __init__(self, path: str, grid: Grid, rate: Fraction | int = 24) -> None:
        """Read and join the tiles; raise SourceError where one is missing or damaged."""
        self.warnings = [f"{path}: {kind} dropped: it is not copied" for kind in grid.lost]
        self._frame = Frame(_join_tiles(path, grid), 0, 1 / Fraction(rate), 1)
        info = pictures_info(path, self._frame, Fraction(rate), 1, codec="heif", container="pictures")
        stream = StreamInfo(0, "video", "heif", detail=f"{info.width}x{info.height} in {len(grid.tiles)} tiles")
        side_data = PictureTags(profile=grid.profile, exif=grid.exif).side_data()
        self.info = replace(info, duration=1 / Fraction(rate), streams=(stream,), side_data=side_data)

    def frames(self, span: Span = Span()) -> Iterator[Frame]:  # noqa: B008 - frozen
        """Yield the one picture, unless `span` begins after it."""
        if not span.start:
            yield self._frame


def _join_tiles(path: str, grid: Grid) -> Tensor:
    canvas: Tensor | None = None
    with open_container(path) as container:
        tiles = {stream.id: stream for stream in container.streams.video}
        convert: ToTensor | None = None
        for number, item in enumerate(grid.tiles):
            container.seek(0)
            try:
                decoded = container.decode(tiles[item])
                picture = next(frame for frame in decoded if isinstance(frame, av.VideoFrame))
            except (KeyError, StopIteration, av.FFmpegError, OSError, ValueError) as error:
                raise SourceError(f"{path}: tile {number + 1} of {len(grid.tiles)} cannot be decoded") from error
            if convert is None:
                convert = ToTensor(picture.width, picture.height, UPRIGHT)
            pixels = convert(picture)
            _, height, width = pixels.shape
            if canvas is None:
                whole = (grid.rows * height, grid.columns * width, len(pixels))
                canvas = torch.zeros(whole, dtype=pixels.dtype).permute(2, 0, 1)
            y, x = (side * place for side, place in zip((height, width), divmod(number, grid.columns), strict=True))
            canvas[:, y : y + height, x : x + width] = pixels
    if canvas is None or canvas.shape[1] < grid.height or canvas.shape[2] < grid.width:
        raise SourceError(f"{path}: its tiles do not fill {grid.width}x{grid.height}; save it again as JPEG or PNG")
    canvas = canvas[:, : grid.height, : grid.width]
    for turn in grid.turns:
        canvas = turn.apply_to_tensor(canvas)
    return canvas
