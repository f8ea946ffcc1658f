"""Source and sink of pictures and numbered sequences, by OpenCV."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
import torch
from torch import Tensor

from videostyle import interrupt
from videostyle.errors import SinkError, SourceError, UsageError
from videostyle.files import PLACEHOLDER, AnyPath, check_sequence, sequence_pattern, sink_error
from videostyle.io.colors import EXIF_ORIENTATIONS, UPRIGHT, Orientation
from videostyle.io.info import check_readable, pictures_info
from videostyle.io.picture_tags import cmyk_to_rgb, read_tags, with_tags
from videostyle.io.side_data import kind_names
from videostyle.ops.pixels import to_pixels
from videostyle.partial_files import PartialFile, atomic_write
from videostyle.plan import EncodeOptions
from videostyle.timeline import Span
from videostyle.types import Frame, NothingOpen, StreamInfo
from videostyle.written_files import WrittenFiles

# OpenCV prints the faults of a picture on stderr, with positions in its own source; errors here have one line.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

EXTENSIONS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")
_DEEP = (".png", ".tif", ".tiff")
_ALPHA = (".png", ".tif", ".tiff", ".webp")
_PARAMETERS = {
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 95],
    ".png": [cv2.IMWRITE_PNG_COMPRESSION, 3],
}


def is_picture(path: str) -> bool:
    """Return True if the extension of `path` is a picture's."""
    return Path(path).suffix.lower() in EXTENSIONS


def is_pattern(path: str) -> bool:
    """Return True for a name such as shots/%05d.png that is not itself a file."""
    return PLACEHOLDER.search(Path(path).name) is not None and not os.path.exists(path)


def numbered_path(pattern: str, number: int) -> str:
    """Return the path of one picture of a numbered sequence such as shots/%05d.png."""
    folder, name = os.path.split(pattern)
    return os.path.join(folder, PLACEHOLDER.sub(lambda m: f"{number:{m[1] or ''}d}", name, count=1))


def read_picture(path: str) -> Tensor:
    """Read a picture file, upright: (3 or 4, H, W) RGB with straight alpha, uint8 or uint16 as stored.

    The tensor is a permuted view of (H, W, C) memory. Raises SourceError.
    """
    check_readable(path)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); check the disk") from error
    try:
        stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        stored = None
    if stored is None:
        raise SourceError(f"{path}: is not a picture that can be read, or is cut off; open and save it again as PNG")
    if stored.dtype not in (np.uint8, np.uint16):
        raise SourceError(f"{path}: holds {stored.dtype} numbers; save it with 8 or 16 bits a channel")
    if Path(path).suffix.lower() not in (".png", ".webp", ".bmp") and (screen := cmyk_to_rgb(data)) is not None:
        stored = cv2.cvtColor(screen, cv2.COLOR_RGB2BGR)
    channels = 1 if stored.ndim == 2 else stored.shape[2]
    order = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
    if channels == 2:  # grey with alpha
        stored, channels = cv2.merge([stored[..., 0]] * 3 + [stored[..., 1]]), 4
    if channels not in order:
        raise SourceError(f"{path}: has {channels} channels; save it as grey, RGB or RGBA")
    return torch.from_numpy(_orientation(data).apply(cv2.cvtColor(stored, order[channels]))).permute(2, 0, 1)


def write_picture(path: Path, picture: Tensor, *, overwrite: bool = True) -> None:
    """Write (3, H, W) RGB in 0..1 with 8 bits, in the format of the extension; the file is written atomically.

    Raises SinkError, and UsageError where the file exists and may not be overwritten.
    """
    pixels = to_pixels(picture).permute(1, 2, 0).contiguous().numpy()
    data = _encoded(str(path), path.suffix, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [])
    atomic_write(path, data, overwrite=overwrite, sync=False)


def _encoded(path: str, suffix: str, picture: np.ndarray[Any, Any], parameters: list[int]) -> bytes:
    """Encode a picture (H, W, C) in OpenCV's channel order as a file of this kind; raise SinkError, naming `path`."""
    try:
        whole, data = cv2.imencode(suffix, picture, parameters)
    except cv2.error as error:
        raise sink_error(path, error) from error
    if not whole:
        raise SinkError(f"{path}: OpenCV cannot write this picture as {suffix}; choose .png")
    return data.tobytes()


def draw_label(picture: np.ndarray, text: str, at: tuple[int, int], scale: float) -> None:
    """Draw `text` into a picture (H, W, 3) uint8, white with a dark rim; its base line begins `at` (x, y)."""
    # The rim is the same text, shifted: bolder letters are wider, too, and would not lie under these.
    rim = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)]
    for color, (x, y) in [*(((0, 0, 0), step) for step in rim), ((255, 255, 255), (0, 0))]:
        place = at[0] + x, at[1] + y
        cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, color, 1, cv2.LINE_AA)


def _orientation(data: bytes) -> Orientation:
    """Return the orientation in a file's EXIF data; upright for a TIFF, which OpenCV has turned already."""
    for mark in (b"Exif\0\0", b"eXIf", b"EXIF"):
        at = data.find(mark)
        if at >= 0:
            at += len(mark) + (4 if mark == b"EXIF" else 0)  # WebP puts the chunk's length between
            break
    else:
        return UPRIGHT
    orders = {b"II*\0": "<", b"MM\0*": ">"}
    order = orders.get(data[at : at + 4])
    if order is None or data[:4] in orders:
        return UPRIGHT
    try:
        (first,) = struct.unpack_from(order + "I", data, at + 4)
        (count,) = struct.unpack_from(order + "H", data, at + first)
        for entry in range(at + first + 2, at + first + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(order + "HHIH", data, entry)
            if tag == 0x0112:
                return EXIF_ORIENTATIONS.get(value, UPRIGHT)
    except struct.error:
        pass
    return UPRIGHT


def _files(path: str) -> list[str]:
    """List the pictures of a path in order: one file, the files of a folder, or those of a numbered pattern."""
    if os.path.isdir(path):
        found = sorted((str(p) for p in Path(path).iterdir() if is_picture(str(p)) and p.is_file()), key=_natural)
        if not found:
            raise SourceError(f"{path}: is a folder without pictures; it should hold {', '.join(EXTENSIONS)} files")
        return found
    if not is_pattern(path):
        return [path]
    folder, name = Path(path).parent, Path(path).name
    shape = sequence_pattern(name)
    if not folder.is_dir():
        raise SourceError(f"{path}: there is no folder {folder}; check the name")
    numbered = {int(m[1]): str(p) for p in folder.iterdir() if (m := shape.fullmatch(p.name))}
    if not numbered:
        raise SourceError(f"{path}: no file in {folder} has a name of this pattern; check it")
    return [numbered[n] for n in sorted(numbered)]


def _natural(path: str) -> list[Any]:
    """Return a sort key in which 9.png comes before 10.png."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", Path(path).name)]


class ImageSource(NothingOpen):
    """One picture, a folder of pictures, or a numbered sequence such as shots/%05d.png, as a film."""

    is_live = False

    def __init__(self, path: str, rate: Fraction | int = 24) -> None:
        """Open the pictures; `rate` is in frames per second. Raises SourceError where no picture can be read."""
        self._paths = _files(path)
        self._rate = Fraction(rate)
        self.warnings: list[str] = []
        kind = Path(self._paths[0]).suffix.lower().lstrip(".")
        first = Frame(read_picture(self._paths[0]), 0, 1 / self._rate)
        info = pictures_info(path, first, self._rate, len(self._paths), codec=kind, container="pictures")
        stream = StreamInfo(0, "video", kind, detail=f"{info.width}x{info.height} {info.pix_fmt}")
        tags = read_tags(self._paths[0])
        duration = len(self._paths) / self._rate
        self.info = replace(info, duration=duration, streams=(stream,), side_data=tags.side_data())
        self.warnings += [f"{self._paths[0]}: {kind} dropped: it is not copied" for kind in tags.lost]
        self._warn_of_gaps()

    def _warn_of_gaps(self) -> None:
        if len(self._paths) > 1 and is_pattern(self.info.path):
            numbers = [int(re.findall(r"\d+", Path(p).name)[-1]) for p in (self._paths[0], self._paths[-1])]
            missing = numbers[1] - numbers[0] + 1 - len(self._paths)
            if missing > 0:
                self.warnings.append(f"{self.info.path}: {missing} numbers are missing and are skipped")

    def frames(self, span: Span = Span()) -> Iterator[Frame]:  # noqa: B008 - frozen
        """Yield the pictures from `span.start` to before `span.end`.

        Raises SourceError where one has another size or number of channels than the first.
        """
        expected = (4 if self.info.has_alpha else 3, self.info.height, self.info.width)
        count = 0
        for pts, path in enumerate(self._paths):
            time = pts / self._rate
            interrupt.check()
            if time < span.start or (span.end is not None and time >= span.end):
                continue
            pixels = read_picture(path)
            if tuple(pixels.shape) != expected:
                shape = f"{pixels.shape[2]}x{pixels.shape[1]} with {pixels.shape[0]} channels"
                wanted = f"{expected[2]}x{expected[1]} with {expected[0]}"
                raise SourceError(f"{path}: is {shape}, the pictures before it {wanted}; make all of one size and kind")
            yield Frame(pixels, pts, 1 / self._rate, 1, count)
            count += 1


class ImageSink:
    """Writes pictures: one file, or a numbered sequence from 1. Each takes its final name only when it is complete.

    An interrupted sequence keeps the pictures written so far; a single picture takes its name when the block is left.
    """

    def __init__(
        self,
        path: str,
        options: EncodeOptions = EncodeOptions(),  # noqa: B008 - frozen
        source: str | None = None,
        sources: Iterable[AnyPath | None] = (),
        expected: int | None = None,
        side_data: Mapping[str, bytes] | None = None,
        first_only: bool = False,
        written: WrittenFiles | None = None,
    ) -> None:
        """Check the path and the options; `path` is a picture's name or a pattern such as frames/%05d.png.

        `source` and `sources` are never overwritten. `expected` is the estimated number of pictures; `side_data` is
        that of the source's first one: its colour profile is written to all, its EXIF data to a single picture. With
        `first_only` all but the first picture are left out. `written` is as in `PartialFile`.

        Raises UsageError for an invalid name or option, SinkError where the folder cannot be written to or another run
        is writing there.
        """
        self.warnings: list[str] = []
        self.partial: str | None = None
        self._path = path
        self._options = options
        self._sources = (source, *sources)
        self._written = written
        self._extension = Path(path).suffix.lower()
        self._numbered = is_pattern(path)
        self._count = 0
        self._left_out = 0
        self._first_only = first_only
        self._side_data = dict(side_data or {})
        self._inside = False
        if not is_picture(path):
            raise UsageError(f"{path}: is not the name of a picture; it should end in {', '.join(EXTENSIONS)}")
        for name, value in (("codec", options.codec != "auto"), ("crf", options.crf), ("preset", options.preset)):
            if value not in (None, False):
                raise UsageError(f"{name} is for films; {self._extension} pictures have none, leave it out")
        if options.pix_fmt is not None:
            raise UsageError(f"pix_fmt is for films; {self._extension} pictures have none, leave it out")
        # Containers state their number of frames to within one or two.
        if not self._numbered and expected is not None and expected > 3:
            raise self._too_many()
        # For a sequence this file is never written to: it only locks the name against other runs.
        self._file = PartialFile(path, overwrite=options.overwrite, sources=self._sources, written=written)
        self._existing: set[str] = set()
        if self._numbered:
            self._existing = check_sequence(
                path, overwrite=options.overwrite, sources=self._sources, written=written or ()
            )

    def _too_many(self) -> UsageError:
        name = Path(self._path)
        return UsageError(f"{self._path}: holds one picture; name a sequence, {name.stem}-%05d{name.suffix}")

    def __enter__(self) -> Self:
        self._file.claim()
        self._inside = True
        return self

    def __del__(self) -> None:
        if getattr(self, "_inside", False):
            self._file.discard()

    def write(self, frame: Frame) -> None:
        """Write one picture; raise SinkError, and UsageError for a second one where `path` is a single picture."""
        if not self._inside:
            raise RuntimeError("a sink is written to inside its with block")
        if self._count and self._first_only:
            self._left_out += 1
            return
        if self._count and not self._numbered:
            raise self._too_many()
        target = numbered_path(self._path, self._count + 1) if self._numbered else self._path
        data = _encoded(target, self._extension, self._fit(frame.pixels), _PARAMETERS.get(self._extension, []))
        profile, exif = self._side_data.get("ICC_PROFILE", b""), self._side_data.get("EXIF", b"")
        data, lost = with_tags(data, self._extension, profile, b"" if self._numbered else exif)
        kept = {"ICC_PROFILE", "EXIF"} - lost - ({"EXIF"} if self._numbered else set())
        for name in kind_names(self._side_data.keys() - kept):
            self._warn(f"{name} dropped: {self._extension} is written without it")
        if self._numbered:
            overwrite = self._options.overwrite
            atomic_write(target, data, overwrite=overwrite, sources=self._sources, sync=False, written=self._written)
            self._existing.discard(Path(target).name)
        else:
            self._file.write(data)
        self._count += 1

    def _fit(self, pixels: Tensor) -> np.ndarray[Any, Any]:
        """(H, W, C) in OpenCV's channel order, in a depth and with an alpha the format can hold."""
        picture = pixels.permute(1, 2, 0).contiguous().numpy()
        if picture.dtype == np.uint16 and self._extension not in _DEEP:
            self._warn(f"16-bit colour stored as 8-bit: {self._extension} cannot hold more; .png can")
            picture = ((picture.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
        if picture.shape[2] == 3:
            return cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        if self._extension in _ALPHA:
            return cv2.cvtColor(picture, cv2.COLOR_RGBA2BGRA)
        full = np.iinfo(picture.dtype).max
        alpha = picture[..., 3:]
        if (alpha < full).any():
            self._warn(f"transparency dropped: {self._extension} cannot hold it; transparent parts become black")
        black = np.round(picture[..., :3] * (alpha / full)).astype(picture.dtype)
        return cv2.cvtColor(black, cv2.COLOR_RGB2BGR)

    def _warn(self, line: str) -> None:
        if line not in self.warnings:
            self.warnings.append(line)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and not self._count:
                raise SinkError(f"{self._path}: no frame was written, so there is no picture; check the span")
            if self._left_out:
                whole = self._left_out + 1
                self._warn(f"only the first of {whole} pictures is kept: {self._extension} holds one")
            if kind is None and not self._numbered:
                self._file.commit(sync=False)
            if kind is None and self._existing:
                count, folder = len(self._existing), Path(self._path).parent
                self._warn(f"{folder} holds {count} more pictures of an earlier sequence of this name")
        finally:
            self._inside = False
            self._file.discard()
