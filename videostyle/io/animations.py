"""Animated WebP and PNG files, and TIFF files of several pages."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import torch
from PIL import Image, ImageSequence

from videostyle.errors import SourceError
from videostyle.io.info import check_readable, pictures_info
from videostyle.io.picture_tags import DAMAGED, PictureTags, default_images, with_tags
from videostyle.partial_files import PartialFile
from videostyle.timeline import Span
from videostyle.types import Frame, NothingOpen, StreamInfo

EXTENSIONS = (".png", ".webp", ".tif", ".tiff")
_TICK = Fraction(1, 1000)
_DEFAULT_DELAY = 100  # milliseconds that browsers show a picture whose delay is 0


class AnimationSource(NothingOpen):
    """An animated WebP or PNG with its delays, or the pages of a TIFF, so many a second, as a film.

    Animations are read with 8 bits. Of a TIFF with pages of several sizes the first alone is read.
    """

    is_live = False

    def __init__(self, path: str, tags: PictureTags, rate: Fraction | int = 24) -> None:
        """Open the file; `rate` is in pages per second. Raises SourceError where no picture can be read."""
        check_readable(path)
        self.warnings = [f"{kind} dropped: it is not kept" for kind in tags.lost]
        self._path = path
        self._paged = Path(path).suffix.lower() in (".tif", ".tiff")
        self._rate = Fraction(rate)
        self._count = tags.pictures
        first = next(self._decoded(), None)
        if first is None:
            raise SourceError(f"{path}: is not a picture that can be read, or is cut off; open and save it again")
        if self._paged and not self._is_uniform():
            self._count = 1
            self.warnings.append(f"{path}: only the first of {tags.pictures} pages is stylized: they differ in size")
        kind = Path(path).suffix.lower().lstrip(".")
        stated_rate = self._rate if self._paged else Fraction(1000, first.duration or _DEFAULT_DELAY)
        info = pictures_info(path, first, stated_rate, self._count, codec=kind, container="pictures")
        stream = StreamInfo(0, "video", kind, detail=f"{info.width}x{info.height} {info.pix_fmt}")
        plays = None if self._paged else tags.plays
        self.info = replace(info, streams=(stream,), side_data=tags.side_data(), plays=plays)

    def frames(self, span: Span = Span()) -> Iterator[Frame]:  # noqa: B008 - frozen
        """Yield the pictures shown from `span.start` to before `span.end`."""
        count = 0
        for frame in self._decoded():
            time = frame.pts * frame.time_base
            if span.end is not None and time >= span.end:
                break
            if time >= span.start:
                yield replace(frame, index=count)
                count += 1
        if count < self._count and not span.start and span.end is None:
            self.warnings.append(f"{self._path}: {count} of {self._count} pictures could be read; it may be cut off")

    def _decoded(self) -> Iterator[Frame]:
        return self._pages() if self._paged else self._animated()

    def _pages(self) -> Iterator[Frame]:
        for number in range(self._count):
            try:
                whole, pages = cv2.imreadmulti(self._path, start=number, count=1, flags=cv2.IMREAD_UNCHANGED)
            except cv2.error:
                return
            if not whole or not pages or pages[0].dtype not in (np.uint8, np.uint16):
                return
            page = pages[0] if pages[0].ndim == 3 else pages[0][..., None]
            order = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}.get(page.shape[2])
            if order is None:
                return
            yield Frame(torch.from_numpy(cv2.cvtColor(page, order)).permute(2, 0, 1), number, 1 / self._rate, 1, number)

    def _is_uniform(self) -> bool:
        return len({(tuple(frame.pixels.shape), frame.pixels.dtype) for frame in self._pages()}) == 1

    def _animated(self) -> Iterator[Frame]:
        pts = 0
        try:
            with Image.open(self._path) as file:
                mode = "RGBA" if file.has_transparency_data else "RGB"
                shown = itertools.islice(ImageSequence.Iterator(file), default_images(file), None)
                for number, picture in enumerate(shown):
                    array = np.array(picture.convert(mode))
                    duration = round(picture.info.get("duration", 0)) or _DEFAULT_DELAY
                    yield Frame(torch.from_numpy(array).permute(2, 0, 1), pts, _TICK, duration, number)
                    pts += duration
        except DAMAGED:
            return  # the rest is damaged


def finish_animation(
    file: PartialFile, name: str, last: Frame | None, side_data: Mapping[str, bytes]
) -> frozenset[str]:
    """Set the last picture's delay, which muxers guess, and insert the source's colour profile and EXIF data.

    `name` is "apng" or "webp". Return the kinds of `side_data` that the file has now.
    """
    if last is not None and last.duration:
        end_animation(str(file.partial), name, last.duration * last.time_base)
    tags = {kind: side_data.get(kind, b"") for kind in ("ICC_PROFILE", "EXIF")}
    if not any(tags.values()):
        return frozenset()
    extension = ".png" if name == "apng" else ".webp"
    data, lost = with_tags(file.partial.read_bytes(), extension, tags["ICC_PROFILE"], tags["EXIF"])
    file.write(data)
    return frozenset(tags.keys() - lost)


def end_animation(path: str, name: str, delay: Fraction) -> None:
    """Set the delay, in seconds, of the last picture of an "apng" or "webp" file, which FFmpeg guesses."""
    with Path(path).open("r+b") as file:
        if name == "webp":
            _end_webp(file, delay)
        else:
            _end_apng(file, delay)


def _end_webp(file: BinaryIO, delay: Fraction) -> None:
    file.seek(12)
    last = None
    while len(head := file.read(8)) == 8:
        if head[:4] == b"ANMF":
            last = file.tell()
        size = int.from_bytes(head[4:], "little")
        file.seek(size + size % 2, 1)
    if last is not None:
        file.seek(last + 12)  # after position and size
        file.write(min(round(delay * 1000), 0xFFFFFF).to_bytes(3, "little"))


def _end_apng(file: BinaryIO, delay: Fraction) -> None:
    file.seek(8)
    last = None
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        if kind == b"fcTL":
            last = file.tell()
        file.seek(size + 4, 1)
    if last is None:
        return
    file.seek(last)
    body = bytearray(file.read(26))
    short = delay.limit_denominator(1000)
    struct.pack_into(">HH", body, 20, min(short.numerator, 65535), short.denominator)
    file.seek(last)
    file.write(body + struct.pack(">I", zlib.crc32(b"fcTL" + body)))
