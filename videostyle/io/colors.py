"""Conversion between FFmpeg's frames and tensors: colour matrix and range, chroma, depth, alpha and orientation.

Both matrices and both ranges are passed to swscale, because PyAV 18 takes the matrix from the frame but leaves the
range unspecified. Full-resolution chroma with accurate rounding restores 4:2:0 from 8-bit RGB at over 60 dB on natural
film; without these flags luma alone falls to 47 dB.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import av
import cv2
import numpy as np
import torch
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from torch import Tensor

from videostyle.io.pyav import side_data_of
from videostyle.types import Color

SPACES = {
    0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc",
    10: "bt2020c", 11: "smpte2085", 12: "chroma-derived-nc", 13: "chroma-derived-c", 14: "ictcp", 15: "ipt-c2",
    16: "ycgco-re", 17: "ycgco-ro",
}  # fmt: skip
RANGES = {1: "tv", 2: "pc"}
PRIMARIES = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020", 10: "smpte428",
    11: "smpte431", 12: "smpte432", 22: "ebu3213",
}  # fmt: skip
TRANSFERS = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100", 10: "log316",
    11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084",
    17: "smpte428", 18: "arib-std-b67",
}  # fmt: skip
"""AVColor numbers of H.273 and FFmpeg's words for them; 2, unspecified, is missing and stands for ""."""

HDR_TRANSFERS = ("smpte2084", "arib-std-b67")

_MATRICES = {
    "bt709": Colorspace.ITU709,
    "fcc": Colorspace.FCC,
    "bt470bg": Colorspace.ITU601,
    "smpte170m": Colorspace.ITU601,
    "smpte240m": Colorspace.SMPTE240M,
    "bt2020nc": Colorspace.BT2020,
    "bt2020c": Colorspace.BT2020,
}
# Matrices that swscale lacks: the factors of red, green and blue for Y and for the first and second chroma plane.
_OWN_MATRICES = {
    "ycgco": ((1.0, -1.0, 1.0), (1.0, 1.0, 0.0), (1.0, -1.0, -1.0)),
    # The matrix derived from Display P3's primaries and white; those of BT.709 and BT.2020 give their own matrices.
    "smpte432": ((1.0, 0.0, 1.5421), (1.0, -0.2111, -0.5104), (1.0, 1.8414, 0.0)),
}
APPROXIMATE = ("bt2020c", "smpte2085", "chroma-derived-c", "ictcp", "ipt-c2", "ycgco-re", "ycgco-ro")
"""Matrices that are replaced by another one in reading, so that hues come out wrong."""
_EXACT = Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP | Interpolation.ACCURATE_RND
# Of all pairs of filters this one loses least in a round trip, on soft chroma and on hard edges.
_CHROMA_UP = Interpolation.BICUBIC | _EXACT
_CHROMA_DOWN = Interpolation.AREA | _EXACT


def number_of(table: dict[int, str], word: str) -> int:
    """Return the AVColor number of one of FFmpeg's words; 2, unspecified, for any other word."""
    return next((number for number, name in table.items() if name == word), 2)


def assumed_space(space: str, height: int) -> str:
    """Return the matrix to compute with: the stated one where swscale has it, else BT.601 or BT.709.

    BT.601 is assumed up to 576 lines, BT.709 above. Players do the same with films that state no matrix.
    """
    if space in _MATRICES:
        return space
    return "smpte170m" if height <= 576 else "bt709"


def _derived(color: Color) -> str:
    """Return the matrix that "chroma-derived-nc" stands for, by the primaries; the stated one otherwise."""
    if color.space != "chroma-derived-nc":
        return color.space
    return {"bt709": "bt709", "bt2020": "bt2020nc", "smpte432": "smpte432"}.get(color.primaries, "")


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """Properties of a pixel format."""

    name: str
    depth: int
    alpha: bool
    chroma: str
    """rgb, gray, 444, 422, 420, 440, 411 or 410."""
    full_range: bool
    """True for RGB and the yuvj formats, which are full range whatever their tag states."""


@lru_cache(maxsize=256)
def pixel_format(name: str) -> PixelFormat:
    """Describe an FFmpeg pixel format by name; raises ValueError for a name FFmpeg does not know."""
    described = av.VideoFormat(name, 16, 16)
    planar = [c for c in described.components if not c.is_alpha]
    if described.is_rgb or name == "pal8":
        chroma = "rgb"
    elif len(planar) < 3:
        chroma = "gray"
    else:
        shape = (described.chroma_width(16), described.chroma_height(16))
        known = {(16, 16): "444", (8, 16): "422", (8, 8): "420", (16, 8): "440", (4, 16): "411", (4, 4): "410"}
        chroma = known.get(shape, "444")
    return PixelFormat(
        name=name,
        depth=max(c.bits for c in described.components),
        alpha=any(c.is_alpha for c in described.components),
        chroma=chroma,
        full_range=chroma == "rgb" or name.startswith("yuvj"),
    )


@dataclass(frozen=True, slots=True)
class Orientation:
    """Orientation of a decoded picture; to lay it upright, transpose first, then mirror."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def rotation(self) -> int:
        """Rotation in degrees clockwise, 0, 90, 180 or 270, without the mirroring."""
        if self.transpose:
            return 90 if self.flip_x else 270
        return 180 if self.flip_y else 0

    def apply(self, picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Lay a picture (H, W, C) upright; it is copied unless it is upright already."""
        if self.transpose:
            picture = cv2.transpose(picture)
        if self.flip_x or self.flip_y:
            picture = cv2.flip(picture, -1 if self.flip_x and self.flip_y else int(self.flip_x))
        return picture

    def apply_to_tensor(self, pixels: Tensor) -> Tensor:
        """Lay pixels (C, H, W) upright."""
        return torch.from_numpy(self.apply(pixels.permute(1, 2, 0).contiguous().numpy())).permute(2, 0, 1)


UPRIGHT = Orientation()
EXIF_ORIENTATIONS = {
    1: UPRIGHT,
    2: Orientation(flip_x=True),
    3: Orientation(flip_x=True, flip_y=True),
    4: Orientation(flip_y=True),
    5: Orientation(transpose=True),
    6: Orientation(transpose=True, flip_x=True),
    7: Orientation(transpose=True, flip_x=True, flip_y=True),
    8: Orientation(transpose=True, flip_y=True),
}


def orientation_of(frame: av.VideoFrame, otherwise: Orientation = UPRIGHT) -> Orientation:
    """Return the orientation in a frame's display matrix, to the nearest right angle, mirroring included.

    Without a display matrix it is `otherwise`.
    """
    matrix = next((data for data in side_data_of(frame) if data.type == SideDataType.DISPLAYMATRIX), None)
    if matrix is None:
        return otherwise
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix))
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(flip_x=a < 0, flip_y=d < 0)
    return Orientation(transpose=True, flip_x=c < 0, flip_y=b < 0)


def color_of(frame: av.VideoFrame) -> Color:
    """Return the colour tags of a decoded frame."""
    space = SPACES.get(frame.colorspace, "")
    pixels = pixel_format(frame.format.name)
    return Color(
        # Number 0 is RGB, but it is also the value of decoders that do not set it.
        space="" if space == "gbr" and pixels.chroma != "rgb" else space,
        range="pc" if pixels.full_range else RANGES.get(frame.color_range, ""),
        primaries=PRIMARIES.get(frame.color_primaries, ""),
        transfer=TRANSFERS.get(frame.color_trc, ""),
    )


# White in swscale's 16-bit RGB when it is converted from or to YUV; ours is 65535.
_SWSCALE_WHITE = 65280


def _scale_levels(picture: np.ndarray[Any, Any], color: float, alpha: float) -> np.ndarray[Any, Any]:
    """Multiply the colours and the alpha of a 16-bit picture (H, W, C); round, and clip to 16 bits."""
    if color == alpha == 1:
        return picture
    factors = (color, color, color, alpha)
    return cv2.multiply(picture, factors)  # type: ignore[call-overload]  # its stubs leave scalars out


_BIG_ENDIAN = ("rgb444be", "rgb555be", "rgb565be", "bgr444be", "bgr555be", "bgr565be")
"""RGB in two bytes, as QuickTime stores thousands of colours; FFmpeg 8's swscale reads it with its bytes swapped."""


def _to_little_endian(frame: av.VideoFrame) -> av.VideoFrame:
    """Convert a frame of big-endian RGB in two bytes to little-endian; return any other frame itself."""
    if frame.format.name not in _BIG_ENDIAN:
        return frame
    exchanged = av.VideoFrame(frame.width, frame.height, frame.format.name.removesuffix("be") + "le")
    numbers = np.frombuffer(bytes(frame.planes[0]), np.uint16).byteswap().reshape(frame.height, -1)
    rows = np.zeros((frame.height, exchanged.planes[0].line_size // 2), np.uint16)
    rows[:, : frame.width] = numbers[:, : frame.width]
    exchanged.planes[0].update(rows.tobytes())
    return exchanged


def _apply_matrix(frame: av.VideoFrame, matrix: np.ndarray[Any, Any], depth: int, full: bool) -> np.ndarray[Any, Any]:
    """Convert a 4:4:4 frame to RGB (H, W, C) by a matrix of our own; deep samples are the high bits of 16."""
    wide = depth > 8
    kind, white = (np.uint16, 65535) if wide else (np.uint8, 255)
    planes = []
    for plane in frame.planes:
        rows = np.frombuffer(bytes(plane), kind).reshape(plane.height, -1)
        planes.append(rows[:, : plane.width].astype(np.float32) / (1 << (8 if wide else 0)))
    top = ((1 << depth) - 1) / (1 << (depth - 8)) if wide else 255  # white in units of 8 bits
    luma = planes[0] / top if full else (planes[0] - 16) / 219
    chroma = [(plane - 128) / (top if full else 224) for plane in planes[1:3]]
    colors = np.stack([luma, *chroma], axis=-1) @ matrix.T.astype(np.float32)
    if len(planes) == 4:
        colors = np.concatenate([colors, (planes[3] / top)[..., None]], axis=-1)
    return np.clip(np.rint(colors * white), 0, white).astype(kind)


class ToTensor:
    """Converts decoded frames to upright RGB tensors; keeps one swscale context."""

    def __init__(
        self, width: int, height: int, orientation: Orientation, crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    ) -> None:
        """Set the converter up for stored pictures of `width` and `height`, before the crop and the rotation.

        `crop` is in pixels, left, right, top and bottom.
        """
        self._size = (width, height)
        left, right, top, bottom = crop
        self._inside = slice(top, height - bottom), slice(left, width - right)
        self._orientation = orientation
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> Tensor:
        """Convert a frame to (3, H, W), or (4, H, W) where its format has alpha; uint8, or uint16 above 8 bits.

        uint16 uses the full scale. The tensor is a permuted view of the (H, W, C) memory that swscale wrote. Gray and
        full-range formats are scaled correctly.
        """
        frame = _to_little_endian(frame)
        source = pixel_format(frame.format.name)
        shallow, deep = ("rgba", "rgba64le") if source.alpha else ("rgb24", "rgb48le")
        color = color_of(frame)
        space = _derived(color)
        own = _OWN_MATRICES.get(space) if source.chroma not in ("rgb", "gray") else None
        if own is not None:
            shallow, deep = ("yuva444p", "yuva444p16le") if source.alpha else ("yuv444p", "yuv444p16le")
        matrix = _MATRICES[assumed_space(space, frame.height)]
        range_ = ColorRange.JPEG if color.range == "pc" else ColorRange.MPEG
        reformatted = self._reformatter.reformat(
            frame,
            *self._size,
            format=shallow if source.depth <= 8 else deep,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=range_,
            dst_color_range=ColorRange.JPEG if own is None else range_,
            interpolation=_CHROMA_UP,
            threads=1,  # more is slower at these sizes; decoding already keeps the cores busy
        )
        if own is not None:
            picture = _apply_matrix(reformatted, np.array(own), source.depth, color.range == "pc")
            return torch.from_numpy(self._orientation.apply(picture[self._inside])).permute(2, 0, 1)
        picture = reformatted.to_ndarray()
        if source.depth > 8 and source.chroma != "rgb":
            top = ((1 << source.depth) - 1) << (16 - source.depth)  # full-range samples are only shifted up
            limited = color.range != "pc" and source.chroma != "gray"
            picture = _scale_levels(picture, 65535 / (_SWSCALE_WHITE if limited else top), 65535 / top)
        return torch.from_numpy(self._orientation.apply(picture[self._inside])).permute(2, 0, 1)


class FromTensor:
    """Converts RGB tensors to frames for an encoder; keeps one swscale context."""

    def __init__(self, pix_fmt: str, color: Color) -> None:
        self._pix_fmt = pix_fmt
        self._rgb = pixel_format(pix_fmt).chroma == "rgb"
        self._matrix = _MATRICES.get(color.space, Colorspace.ITU709)
        self._range = ColorRange.JPEG if color.range == "pc" else ColorRange.MPEG
        self._tags = (
            number_of(SPACES, color.space),
            number_of(RANGES, color.range) if color.range else 0,
            number_of(PRIMARIES, color.primaries),
            number_of(TRANSFERS, color.transfer),
        )
        self._reformatter = VideoReformatter()

    def __call__(self, pixels: Tensor) -> av.VideoFrame:
        """Convert pixels (3 or 4, H, W), uint8 or uint16, full-range RGB with straight alpha, to a frame."""
        picture = pixels.permute(1, 2, 0).contiguous().numpy()
        wide = picture.dtype == np.uint16
        deep = "rgba64le" if wide else "rgba"
        if wide and not self._rgb:
            picture = _scale_levels(picture, _SWSCALE_WHITE / 65535, 1)
        name = deep if picture.shape[2] == 4 else "rgb48le" if wide else "rgb24"
        # swscale's SIMD reads past rows that are not padded, so only aligned memory is passed without a copy.
        aligned = picture.strides[0] % 64 == 0 and picture.ctypes.data % 64 == 0
        make = av.VideoFrame.from_numpy_buffer if aligned else av.VideoFrame.from_ndarray
        frame = self._reformatter.reformat(
            make(picture, name),
            format=self._pix_fmt,
            src_colorspace=self._matrix,
            dst_colorspace=self._matrix,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.JPEG if self._rgb else self._range,
            interpolation=_CHROMA_DOWN,
            threads=1,
        )
        frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc = self._tags
        return frame


def over_black(pixels: Tensor) -> tuple[Tensor, bool]:
    """Composite (4, H, W) pixels over black; return the three colour channels, and whether any were transparent."""
    alpha, full = pixels[3:].float(), torch.iinfo(pixels.dtype).max
    if not bool((alpha < full).any()):
        return pixels[:3], False
    return (pixels[:3].float() * (alpha / full)).round().to(pixels.dtype), True
