"""Conversion of NumPy arrays, PIL images and torch tensors to frame pixels and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from videostyle.errors import UsageError

Restore = Callable[[Tensor], Any]
"""Converts pixels (C, H, W), uint8 or uint16, back to the type of the caller's picture."""

_FULL = 65535


def pictures_to_pixels(value: Any) -> tuple[list[Tensor], Callable[[list[Tensor]], Any]]:
    """Return the pixels of the pictures in `value`, and a function that converts stylized ones back to its type.

    `value` is one picture, see `picture_to_pixels`, or a batch: an array (N, H, W, C) or a tensor (N, C, H, W). Raises
    UsageError for any other value.
    """
    if isinstance(value, np.ndarray | Tensor) and value.ndim == 4:
        read = [picture_to_pixels(one) for one in value]
        if not read:
            raise UsageError("the batch has no pictures; give one at least")
        join = np.stack if isinstance(value, np.ndarray) else torch.stack
        to_type = [restore for _, restore in read]
        return [pixels for pixels, _ in read], lambda done: join([f(one) for f, one in zip(to_type, done, strict=True)])
    pixels, restore = picture_to_pixels(value)
    return [pixels], lambda done: restore(done[0])


def picture_to_pixels(value: Any) -> tuple[Tensor, Restore]:
    """Return the pixels (C, H, W), uint8 or uint16, of one picture, and a function that converts such pixels back.

    The picture is a PIL image of any mode, a NumPy array (H, W, C) or a tensor (C, H, W); C is 3 for RGB or 4 for RGB
    and straight alpha. Values are uint8, uint16, or floating in 0..1. Raises UsageError for any other value.
    """
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, Tensor):
        return _tensor(value)
    if hasattr(value, "getbands") and hasattr(value, "convert"):
        return _image(value)
    raise UsageError(
        f"a {type(value).__name__} is not a picture; give a NumPy array (H, W, 3), a PIL image or a tensor (3, H, W)"
    )


def _image(image: Any) -> tuple[Tensor, Restore]:
    from PIL import Image

    transparent = image.has_transparency_data if hasattr(image, "has_transparency_data") else "A" in image.getbands()
    array = np.array(image.convert("RGBA" if transparent else "RGB"))

    def restore(pixels: Tensor) -> Any:
        return Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()))

    return torch.from_numpy(array).permute(2, 0, 1), restore


def _array(array: np.ndarray[Any, Any]) -> tuple[Tensor, Restore]:
    if array.ndim != 3 or array.shape[2] not in (3, 4) or 0 in array.shape:
        raise UsageError(f"an array of shape {array.shape} is not a picture; give (H, W, 3) RGB or (H, W, 4) RGBA")
    if not array.flags.writeable:
        array = array.copy()  # torch warns of memory that is read-only, although no code writes to it
    if array.dtype == np.uint8 or array.dtype == np.uint16:
        pixels = torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1)
        return pixels, lambda done: np.ascontiguousarray(done.permute(1, 2, 0).numpy())
    if not np.issubdtype(array.dtype, np.floating):
        raise UsageError(f"an array of {array.dtype} is not a picture; give uint8, uint16, or floats in 0..1")
    pixels, restore = _tensor(torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1))
    return pixels, lambda done: np.ascontiguousarray(restore(done).permute(1, 2, 0).numpy())


def _tensor(tensor: Tensor) -> tuple[Tensor, Restore]:
    if tensor.ndim != 3 or tensor.shape[0] not in (3, 4) or 0 in tensor.shape:
        shape = tuple(tensor.shape)
        raise UsageError(f"a tensor of shape {shape} is not a picture; give (3, H, W) RGB or (4, H, W) RGBA")
    here = tensor.device
    if tensor.dtype in (torch.uint8, torch.uint16):
        return tensor.cpu(), lambda done: done.to(here)
    if not tensor.is_floating_point():
        raise UsageError(f"a tensor of {tensor.dtype} is not a picture; give uint8, uint16, or floats in 0..1")
    low, high = (float(end) for end in tensor.detach().float().aminmax())
    if not -1e-3 <= low <= high <= 1 + 1e-3:
        raise UsageError(f"a floating-point picture has values in 0..1, got {low:g}..{high:g}; divide by 255 if 8-bit")
    kind = tensor.dtype
    scaled = (tensor.detach().cpu().double().clamp(0, 1) * _FULL).round().to(torch.int32).to(torch.uint16)
    return scaled, lambda done: (done.to(torch.int32).double() / _FULL).to(kind).to(here)
