"""Between the integers frames wait in and the floats they are computed in; sizes and borders.

`to_float` and `to_pixels` are the only two doors. Pictures inside are (N, 3, H, W) float32 in 0..1 and lie in memory
as height, width, channel (torch's channels_last), like the integers outside: `picture[0].permute(1, 2, 0)` is what
OpenCV and NumPy want, without a copy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from videostyle.types import Frame

FULL_SCALE = {torch.uint8: 255, torch.uint16: 65535}
"""The integer that stands for 1.0."""


def to_float(frames: Frame | Tensor | Sequence[Frame | Tensor], device: str | torch.device = "cpu") -> Tensor:
    """Integer pictures of one size as one (N, 3, H, W) float32 batch in 0..1, channels_last, on `device`.

    Takes frames or their `pixels` (3 or 4, H, W), uint8 or uint16; a fourth channel, alpha, is left behind (see
    `split_alpha`). The integers travel to the device, a quarter of the bytes. ValueError for anything else.
    """
    several = frames if isinstance(frames, Sequence) else [frames]
    pictures = [item.pixels if isinstance(item, Frame) else item for item in several]
    if not pictures:
        raise ValueError("no frames to convert")
    first = pictures[0]
    for pixels in pictures:
        if pixels.dtype not in FULL_SCALE or pixels.ndim != 3 or pixels.shape[0] not in (3, 4):
            raise ValueError(
                f"pixels must be (3, H, W) or (4, H, W), uint8 or uint16, got {tuple(pixels.shape)} {pixels.dtype}"
            )
        if pixels.shape[1:] != first.shape[1:]:
            raise ValueError(f"one batch, one size: got {tuple(first.shape[1:])} and {tuple(pixels.shape[1:])}")
    _, h, w = first.shape
    batch = torch.empty((len(pictures), h, w, 3), dtype=torch.float32, device=device).permute(0, 3, 1, 2)
    for row, pixels in zip(batch, pictures, strict=True):
        # Contiguous as height, width, channel first: copying a strided view to another device is slow.
        flat = pixels[:3].permute(1, 2, 0).contiguous().to(device)
        row.permute(1, 2, 0).copy_(flat).div_(FULL_SCALE[pixels.dtype])
    return batch


def to_pixels(picture: Tensor, dtype: torch.dtype = torch.uint8) -> Tensor:
    """Floats in 0..1 as integers on the CPU, same shape and memory layout: clamped, rounded to the nearest.

    Undoes `to_float` exactly for both integer types.
    """
    scale = FULL_SCALE.get(dtype)
    if scale is None:
        raise ValueError(f"pixels are uint8 or uint16, not {dtype}")
    # Casting drops the fraction, so adding a half first rounds; in float32 whatever the network computed in.
    return picture.float().mul(scale).add_(0.5).clamp_(0, scale).to(dtype).cpu()


def split_alpha(pixels: Tensor) -> tuple[Tensor, Tensor | None]:
    """(3 or 4, H, W) as its colours (3, H, W) and its alpha (1, H, W), None where there is none. Views, no copy."""
    return pixels[:3], pixels[3:4] if pixels.shape[0] == 4 else None


def alpha_to_float(alpha: Tensor) -> Tensor:
    """An alpha (1, H, W) of integers as (1, 1, H, W) float in 0..1."""
    return to_float(alpha.expand(3, -1, -1))[:, :1]


def join_alpha(colors: Tensor, alpha: Tensor | None) -> Tensor:
    """Undo `split_alpha`: (3 or 4, H, W), lying as height, width, channel in memory."""
    if alpha is None:
        return colors
    return torch.cat((colors, alpha)).permute(1, 2, 0).contiguous().permute(2, 0, 1)


def resize(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, h, w) in 0..1 at `size` (H, W): bicubic with antialiasing, kept in 0..1; itself where the size agrees."""
    if tuple(picture.shape[-2:]) == tuple(size):
        return picture
    resized = F.interpolate(picture, size=size, mode="bicubic", antialias=True, align_corners=False)
    return resized.clamp_(0, 1)


def pad_to_multiple(picture: Tensor, multiple: int, minimum: int = 0) -> Tensor:
    """(N, C, h, w) grown at the right and bottom to multiples of `multiple`, at least `minimum` pixels a side.

    The border is repeated. Crop with `[..., :h, :w]`.
    """
    h, w = picture.shape[-2:]
    height, width = (-(-max(side, minimum) // multiple) * multiple for side in (h, w))
    if (height, width) == (h, w):
        return picture
    return F.pad(picture, (0, width - w, 0, height - h), mode="replicate")


def same_pixels(one: Tensor, other: Tensor) -> bool:
    """True for the same picture to the last bit, alpha aside."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    # Hardly ever the same, and then a few rows tell.
    a, b = one[:3].numpy(), other[:3].numpy()
    return np.array_equal(a[:, ::16], b[:, ::16]) and np.array_equal(a, b)
