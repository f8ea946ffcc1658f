"""Canvas of a film: all its pictures cropped, upright, and of the first one's size and format."""

from __future__ import annotations

from collections import OrderedDict
from fractions import Fraction

import av
import torch
from torch import Tensor

from videostyle.io.colors import Orientation, ToTensor, orientation_of
from videostyle.types import VideoInfo

# Kinds of pictures beside the first whose converters are kept; and those that a warning lists.
_KEPT, _NAMED = 4, 8


class Canvas:
    """Converts a film's pictures to tensors of the size and format of its first one.

    A picture of another size or pixel aspect is fitted inside with black bars, its proportions kept. A display matrix
    in mid-film applies to its picture and to those after it.
    """

    def __init__(self, info: VideoInfo, orientation: Orientation) -> None:
        """Set the canvas up for the film of `info`; `orientation` is that of its first picture."""
        left, right, top, bottom = info.crop
        shown = (info.height, info.width) if orientation.transpose else (info.width, info.height)
        self._stored = shown[0] + left + right, shown[1] + top + bottom
        self._size = info.width, info.height
        self._crop = info.crop
        self._orientation = self._turned = orientation
        self._channels = 4 if info.has_alpha else 3
        self._dtype = torch.uint8 if info.bit_depth <= 8 else torch.uint16
        self._first_aspect: Fraction | None = None
        self._whole = {orientation: ToTensor(*self._stored, orientation, info.crop)}
        self._fitted: OrderedDict[tuple[int, int, Fraction, Orientation], tuple[ToTensor, int, int]] = OrderedDict()
        self.changes: list[str] = []
        """Descriptions of the other kinds of pictures in the film; the first few, where there are many."""

    def __call__(self, picture: av.VideoFrame, aspect: Fraction | None = None) -> Tensor:
        """Convert a picture to pixels; `aspect` is the decoder's sample aspect ratio, None where it states none."""
        if self._first_aspect is None:
            self._first_aspect = aspect
        self._turned = turned = orientation_of(picture, self._turned)
        first = self._first_aspect or Fraction(1)
        mine = aspect or first
        stretch = (1 / mine if turned.transpose else mine) * (first if self._orientation.transpose else 1 / first)
        same_shape = turned.transpose == self._orientation.transpose and stretch == 1
        if same_shape and (picture.width, picture.height) == self._stored:
            if turned not in self._whole:
                self._whole[turned] = ToTensor(*self._stored, turned, self._crop)
            return self._match_format(self._whole[turned](picture))
        return self._match_format(self._fit(picture, stretch))

    def _fit(self, picture: av.VideoFrame, stretch: Fraction) -> Tensor:
        """Fit the picture upright inside the canvas; `stretch` is the pixel aspect relative to the first picture's."""
        turned = self._turned
        kind = (picture.width, picture.height, stretch, turned)
        width, height = self._size
        if kind not in self._fitted:
            upright = (picture.height, picture.width) if turned.transpose else (picture.width, picture.height)
            wide = upright[0] * stretch
            scale = min(width / wide, Fraction(height, upright[1]))
            inner = max(round(wide * scale), 1), max(round(upright[1] * scale), 1)
            self._fitted[kind] = ToTensor(*(inner[::-1] if turned.transpose else inner), turned), *inner
            shape = f"{picture.width}x{picture.height}" + (f" with pixels {stretch} as wide" if stretch != 1 else "")
            if shape not in self.changes and len(self.changes) <= _NAMED:
                self.changes.append(shape if len(self.changes) < _NAMED else "others")
            if len(self._fitted) > _KEPT:
                self._fitted.popitem(last=False)
        self._fitted.move_to_end(kind)
        convert, inner_width, inner_height = self._fitted[kind]
        pixels = convert(picture)
        canvas = torch.zeros((height, width, len(pixels)), dtype=pixels.dtype).permute(2, 0, 1)
        if len(pixels) == 4:
            canvas[3] = torch.iinfo(pixels.dtype).max
        x, y = (width - inner_width) // 2, (height - inner_height) // 2
        canvas[:, y : y + inner_height, x : x + inner_width] = pixels
        return canvas

    def _match_format(self, pixels: Tensor) -> Tensor:
        """Convert pixels to the number of channels and bits of the first picture's."""
        if pixels.dtype != self._dtype:
            wide = pixels.to(torch.int32)
            pixels = (wide * 257 if self._dtype == torch.uint16 else (wide * 255 + 32767) // 65535).to(self._dtype)
        if len(pixels) > self._channels:
            return pixels[:3]
        if len(pixels) < self._channels:
            opaque = torch.full_like(pixels[:1], torch.iinfo(self._dtype).max)
            return torch.cat([pixels, opaque]).permute(1, 2, 0).contiguous().permute(2, 0, 1)
        return pixels
