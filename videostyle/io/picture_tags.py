"""Metadata of picture files: colour profile, EXIF data, number of pictures, and number of plays."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image, ImageCms

_DESCRIPTIVE = (
    ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.Software,
    ExifTags.Base.DateTime, ExifTags.Base.Artist, ExifTags.Base.Copyright, ExifTags.Base.DateTimeOriginal,
    ExifTags.Base.XPTitle, ExifTags.Base.XPComment, ExifTags.Base.XPAuthor, ExifTags.Base.XPKeywords,
    ExifTags.Base.XPSubject, ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo,
)  # fmt: skip
"""Tags of the first directory that describe the picture; the others describe its storage in this file."""
DAMAGED = (
    OSError, ValueError, SyntaxError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError, EOFError,
    RuntimeError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
"""Exceptions that Pillow raises at damaged files; they depend on the format and on the position of the damage."""
_SEGMENT = 65533
"""Capacity in bytes of a segment of a JPEG file."""


@dataclass(frozen=True, slots=True)
class PictureTags:
    """Metadata of one picture file."""

    profile: bytes = b""
    """An ICC profile for RGB."""
    exif: bytes = b""
    """EXIF data as a TIFF structure, without orientation and thumbnail, which describe the stored picture."""
    pictures: int = 1
    plays: int = 1
    """Number of times that an animation plays; 0 means for ever."""
    lost: tuple[str, ...] = ()
    """Descriptions of metadata in the file that cannot be used."""

    def side_data(self) -> dict[str, bytes]:
        """Return the colour profile and EXIF data by FFmpeg's names of the kinds."""
        return {kind: data for kind, data in (("ICC_PROFILE", self.profile), ("EXIF", self.exif)) if data}


def read_tags(path: str) -> PictureTags:
    """Read the tags of a picture file; return empty ones where it cannot be read."""
    try:
        with Image.open(path) as picture:
            profile: bytes = picture.info.get("icc_profile") or b""
            space = profile[16:20].decode("latin-1").strip()
            lost = []
            if space not in ("", "RGB") and picture.mode != "CMYK":
                lost.append(f"{space} colour profile")
            if "xmp" in picture.info or "XML:com.adobe.xmp" in picture.info:
                lost.append("XMP data")
            if "photoshop" in picture.info:
                lost.append("IPTC data")
            return PictureTags(
                profile=profile if space == "RGB" else b"",
                exif=_exif(picture.getexif()),
                # An MPO file is one photograph, with depth or a gain map beside it.
                pictures=1 if picture.format == "MPO" else getattr(picture, "n_frames", 1) - default_images(picture),
                plays=picture.info.get("loop", 0 if picture.format == "TIFF" else 1),
                lost=tuple(lost),
            )
    except DAMAGED:
        return PictureTags()


def default_images(picture: Image.Image) -> int:
    """Count the default images of an animated PNG: first pictures for viewers without animation, not part of it."""
    return int(bool(picture.info.get("default_image")))


def descriptive_exif(exif: bytes) -> bytes:
    """Return the EXIF tags that describe the picture, without orientation and thumbnail."""
    found = Image.Exif()
    try:
        found.load(exif)
        return _exif(found)
    except DAMAGED:
        return b""


def _exif(found: Image.Exif) -> bytes:
    kept = Image.Exif()
    for tag in _DESCRIPTIVE:
        if tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            inner = found.get_ifd(tag)
            if inner:
                kept.get_ifd(tag).update(inner)
                kept[tag] = dict(inner)
        elif tag in found:
            kept[tag] = found[tag]
    try:
        return kept.tobytes().removeprefix(b"Exif\0\0") if len(kept) else b""
    except DAMAGED:  # values that do not fit their types, which some programs write
        return b""


def cmyk_to_rgb(data: bytes) -> np.ndarray | None:
    """Convert a CMYK picture with a colour profile to (H, W, 3) uint8 RGB; None for any other picture."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            profile = picture.info.get("icc_profile")
            if picture.mode != "CMYK" or not profile:
                return None
            source, screen = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(picture, source, screen, outputMode="RGB")
            return None if converted is None else np.asarray(converted)
    except (*DAMAGED, ImageCms.PyCMSError):
        return None


def with_tags(data: bytes, extension: str, profile: bytes, exif: bytes) -> tuple[bytes, set[str]]:
    """Insert a colour profile and EXIF data into an encoded picture; return it and the kinds that it cannot hold."""
    place = {".jpg": _in_jpeg, ".jpeg": _in_jpeg, ".png": _in_png, ".webp": _in_webp, ".tif": _in_tiff}
    put = place.get(".tif" if extension == ".tiff" else extension)
    if put is not None and (profile or exif):
        with suppress(ValueError, IndexError, struct.error):  # a file of unexpected structure stays unchanged
            data, profile, exif = put(data, profile, exif)
    return data, {kind for kind, left in (("ICC_PROFILE", profile), ("EXIF", exif)) if left}


# Each of these functions returns the file, and the profile and EXIF data that it could not hold.


def _in_jpeg(data: bytes, profile: bytes, exif: bytes) -> tuple[bytes, bytes, bytes]:
    at = 2  # after the start marker, and after the segment of JFIF
    if data[2:4] == b"\xff\xe0":
        at += 2 + int.from_bytes(data[4:6])
    parts = []
    if exif and len(exif) + 6 <= _SEGMENT:
        parts.append(b"\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\0\0" + exif)
        exif = b""
    size = _SEGMENT - 14
    count = -(-len(profile) // size)
    if count <= 255:
        for number in range(count):
            part = profile[number * size : (number + 1) * size]
            head = b"ICC_PROFILE\0" + bytes([number + 1, count])
            parts.append(b"\xff\xe2" + struct.pack(">H", 2 + len(head) + len(part)) + head + part)
        profile = b""
    return data[:at] + b"".join(parts) + data[at:], profile, exif


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _in_png(data: bytes, profile: bytes, exif: bytes) -> tuple[bytes, bytes, bytes]:
    at = 8 + 12 + int.from_bytes(data[8:12])  # after the header
    added = _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)) if profile else b""
    added += _chunk(b"eXIf", exif) if exif else b""
    return data[:at] + added + data[at:], b"", b""


def _in_webp(data: bytes, profile: bytes, exif: bytes) -> tuple[bytes, bytes, bytes]:
    def part(kind: bytes, body: bytes) -> bytes:
        return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)

    chunks, at = [], 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        chunks.append((data[at : at + 4], data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    extended = dict(chunks).get(b"VP8X")
    if extended is None:
        with Image.open(io.BytesIO(data)) as picture:
            (width, height), alpha = picture.size, "A" in picture.mode
        sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        extended = bytes([0x10 * alpha, 0, 0, 0]) + sides
    flags = extended[0] | (0x20 if profile else 0) | (0x08 if exif else 0)
    body = part(b"VP8X", bytes([flags]) + extended[1:]) + (part(b"ICCP", profile) if profile else b"")
    body += b"".join(part(kind, inner) for kind, inner in chunks if kind not in (b"VP8X", b"ICCP", b"EXIF"))
    body += part(b"EXIF", exif) if exif else b""
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body, b"", b""


def _in_tiff(data: bytes, profile: bytes, exif: bytes) -> tuple[bytes, bytes, bytes]:
    """Append a new directory with the entries of the old one and the profile (tag 34675)."""
    if data[:4] != b"II*\0":
        raise ValueError("not in the layout of OpenCV")
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    entries = [data[first + 2 + 12 * i : first + 14 + 12 * i] for i in range(count)]
    data += bytes(len(data) % 2)
    if profile:
        entries.append(struct.pack("<HHII", 34675, 7, len(profile), len(data)))
        data += profile + bytes(len(profile) % 2)
    entries.sort(key=lambda entry: int.from_bytes(entry[:2], "little"))
    after = data[first + 2 + 12 * count : first + 6 + 12 * count]
    data = (
        data[:4] + struct.pack("<I", len(data)) + data[8:] + struct.pack("<H", len(entries)) + b"".join(entries) + after
    )
    return data, b"", exif
