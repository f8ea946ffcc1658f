"""One canvas for a whole film: its pictures cropped, upright, of the first one's size and kind, whatever changes."""

from __future__ import annotations

from collections import OrderedDict
from fractions import Fraction

import av
import torch
from torch import Tensor

from videostyle.io.colors import UPRIGHT, Orientation, ToTensor
from videostyle.types import VideoInfo

# Kinds of pictures beside the first that converters are kept for; and that are told by name.
_KEPT, _NAMED = 4, 8


class Canvas:
    """Turns a film's pictures into tensors like its first one.

    A picture of another size or pixel aspect is fitted inside, its shape kept, with black bars.
    """

    def __init__(self, info: VideoInfo, orientation: Orientation) -> None:
        left, right, top, bottom = info.crop
        shown = (info.height, info.width) if orientation.transpose else (info.width, info.height)
        self._stored = shown[0] + left + right, shown[1] + top + bottom
        self._shown = shown
        self._crop = info.crop
        self._orientation = orientation
        self._channels = 4 if info.has_alpha else 3
        self._dtype = torch.uint8 if info.bit_depth <= 8 else torch.uint16
        self._first_aspect: Fraction | None = None
        self._usual = ToTensor(*self._stored, orientation, info.crop)
        self._fitted: OrderedDict[tuple[int, int, Fraction], tuple[ToTensor, int, int]] = OrderedDict()
        self.changes: list[str] = []
        """What other kinds of pictures there were, in words; of many, the first few."""

    def __call__(self, picture: av.VideoFrame, aspect: Fraction | None = None) -> Tensor:
        """The picture's pixels; `aspect` is what the decoder says of its pixels' shape, None where it does not."""
        if self._first_aspect is None:
            self._first_aspect = aspect
        stretch = aspect / self._first_aspect if aspect and self._first_aspect else Fraction(1)
        if (picture.width, picture.height) == self._stored and stretch == 1:
            return self._alike(self._usual(picture))
        return self._alike(self._orientation.of(self._fit(picture, stretch)))

    def _fit(self, picture: av.VideoFrame, stretch: Fraction) -> Tensor:
        """The whole picture inside the canvas, not yet upright; `stretch` is how much wider its pixels are shown."""
        kind = (picture.width, picture.height, stretch)
        width, height = self._shown
        if kind not in self._fitted:
            wide = picture.width * stretch
            scale = min(width / wide, Fraction(height, picture.height))
            inner = max(round(wide * scale), 1), max(round(picture.height * scale), 1)
            self._fitted[kind] = ToTensor(*inner, UPRIGHT), *inner
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

    def _alike(self, pixels: Tensor) -> Tensor:
        """The pixels with as many channels and bits as the first picture's."""
        if pixels.dtype != self._dtype:
            wide = pixels.to(torch.int32)
            pixels = (wide * 257 if self._dtype == torch.uint16 else (wide * 255 + 32767) // 65535).to(self._dtype)
        if len(pixels) > self._channels:
            return pixels[:3]
        if len(pixels) < self._channels:
            opaque = torch.full_like(pixels[:1], torch.iinfo(self._dtype).max)
            return torch.cat([pixels, opaque]).permute(1, 2, 0).contiguous().permute(2, 0, 1)
        return pixels
