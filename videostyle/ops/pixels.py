"""Pixel conversion between the integers of stored frames and the floats of computation; sizes and borders.

`to_float` and `to_pixels` are the only two conversions. Float pictures are (N, 3, H, W) float32 in 0..1 with the memory
layout height, width, channel (torch's channels_last), like the integers: `picture[0].permute(1, 2, 0)` is the layout of
OpenCV and NumPy, without a copy.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from videostyle.types import Frame

FULL_SCALE = {torch.uint8: 255, torch.uint16: 65535}
"""Integer that stands for 1.0, by type."""
_DEPTHS = {torch.uint8: cv2.CV_8U, torch.uint16: cv2.CV_16U}


def to_float(frames: Frame | Tensor | Sequence[Frame | Tensor], device: str | torch.device = "cpu") -> Tensor:
    """Convert integer pictures of one size to one (N, 3, H, W) float32 batch in 0..1, channels_last, on `device`.

    Takes frames or their `pixels` (3 or 4, H, W), uint8 or uint16; a fourth channel, alpha, is dropped (see
    `split_alpha`). The integers are copied to the device, a quarter of the bytes. Raises ValueError for anything else.
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
            raise ValueError(
                f"pictures of one batch must have one size, got {tuple(first.shape[1:])} and {tuple(pixels.shape[1:])}"
            )
    _, h, w = first.shape
    if torch.device(device).type == "cpu":
        # OpenCV casts and divides in one pass, with the same result.
        rows = [np.ascontiguousarray(pixels[:3].permute(1, 2, 0).numpy()) for pixels in pictures]
        scales = [(FULL_SCALE[pixels.dtype],) * 4 for pixels in pictures]
        found = [
            cv2.divide(row, scale, dtype=cv2.CV_32F)  # type: ignore[call-overload]  # its stubs leave scalars out
            for row, scale in zip(rows, scales, strict=True)
        ]
        stacked = found[0][None] if len(found) == 1 else np.stack(found)
        return torch.from_numpy(stacked.reshape(len(found), h, w, 3)).permute(0, 3, 1, 2)
    batch = torch.empty((len(pictures), h, w, 3), dtype=torch.float32, device=device).permute(0, 3, 1, 2)
    for row, pixels in zip(batch, pictures, strict=True):
        # Contiguous as height, width, channel before the copy: copying a strided view to another device is slow.
        flat = pixels[:3].permute(1, 2, 0).contiguous().to(device)
        row.permute(1, 2, 0).copy_(flat).div_(FULL_SCALE[pixels.dtype])
    return batch


def to_pixels(picture: Tensor, dtype: torch.dtype = torch.uint8) -> Tensor:
    """Convert floats in 0..1 to integers on the CPU, same shape and memory layout: clamped, rounded to the nearest.

    This undoes `to_float` exactly for both integer types.
    """
    scale = FULL_SCALE.get(dtype)
    if scale is None:
        raise ValueError(f"pixels are uint8 or uint16, not {dtype}")
    # In float32, whatever the precision of the network.
    if picture.device.type == "cpu" and picture.ndim == 3 and picture.shape[0] <= 4:
        # OpenCV scales, rounds, clamps and casts in one pass, in a tenth of the time of four.
        row = np.ascontiguousarray(picture.float().permute(1, 2, 0).numpy(force=True))
        found = cv2.multiply(row, (scale,) * 4, dtype=_DEPTHS[dtype])  # type: ignore[call-overload]  # its stubs leave scalars out
        return torch.from_numpy(found.reshape(row.shape)).permute(2, 0, 1)
    # Casting drops the fraction, so adding a half first rounds.
    return picture.float().mul(scale).add_(0.5).clamp_(0, scale).to(dtype).cpu()


def split_alpha(pixels: Tensor) -> tuple[Tensor, Tensor | None]:
    """Split (3 or 4, H, W) into colours (3, H, W) and alpha (1, H, W), None if there is none. Views, no copy."""
    return pixels[:3], pixels[3:4] if pixels.shape[0] == 4 else None


def alpha_to_float(alpha: Tensor) -> Tensor:
    """Convert an integer alpha (1, H, W) to (1, 1, H, W) float in 0..1."""
    return to_float(alpha.expand(3, -1, -1))[:, :1]


def join_alpha(colors: Tensor, alpha: Tensor | None) -> Tensor:
    """Undo `split_alpha`: (3 or 4, H, W), with height, width, channel as its memory layout."""
    if alpha is None:
        return colors
    return torch.cat((colors, alpha)).permute(1, 2, 0).contiguous().permute(2, 0, 1)


def resize(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (N, C, h, w) in 0..1 to `size` (H, W), bicubic, with antialiasing where it shrinks, clamped to 0..1.

    A picture that has this size already is returned as it is.
    """
    if tuple(picture.shape[-2:]) == tuple(size):
        return picture
    h, w = picture.shape[-2:]
    larger = size[0] >= h and size[1] >= w
    if larger and picture.device.type == "cpu" and picture.shape[1] <= 4 and not picture.requires_grad:
        # Nothing has to be smoothed, and OpenCV takes a tenth of torch's time.
        rows = [np.ascontiguousarray(row.permute(1, 2, 0).float().numpy()) for row in picture]
        found = [cv2.resize(row, size[::-1], interpolation=cv2.INTER_CUBIC) for row in rows]
        return torch.from_numpy(np.stack(found).reshape(len(rows), *size, -1)).permute(0, 3, 1, 2).clamp_(0, 1)
    resized = F.interpolate(picture, size=size, mode="bicubic", antialias=True, align_corners=False)
    return resized.clamp_(0, 1)


def pad_to_multiple(picture: Tensor, multiple: int, minimum: int = 0) -> Tensor:
    """Pad (N, C, h, w) at the right and bottom to multiples of `multiple`, at least `minimum` pixels a side.

    The border is repeated. Crop with `[..., :h, :w]`.
    """
    h, w = picture.shape[-2:]
    height, width = (-(-max(side, minimum) // multiple) * multiple for side in (h, w))
    if (height, width) == (h, w):
        return picture
    return F.pad(picture, (0, width - w, 0, height - h), mode="replicate")


def same_pixels(one: Tensor, other: Tensor) -> bool:
    """Return True if two pictures have the same colours, bit for bit; alpha is ignored."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    # Most pictures differ, and a few rows show it.
    a, b = one[:3].numpy(), other[:3].numpy()
    return np.array_equal(a[:, ::16], b[:, ::16]) and np.array_equal(a, b)
