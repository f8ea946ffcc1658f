"""Small image filters, by OpenCV on the CPU and by torch elsewhere.

For pictures (N, C, H, W) in channels_last, as `to_float` returns them, OpenCV takes a third to a twentieth of torch's
time on the CPU (640x360, one core: a 5x5 blur 0.4 against 15 ms). No gradients pass through. Borders are repeated.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

_BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
# BT.709 would do as well; OpenCV's grey is BT.601.
_LUMA = (0.299, 0.587, 0.114)


def luma(picture: Tensor) -> Tensor:
    """Compute the luma (N, 1, H, W) of RGB pictures (N, 3, H, W), with BT.601 weights."""
    if picture.device.type == "cpu":
        return _each(picture, lambda row: cv2.cvtColor(row, cv2.COLOR_RGB2GRAY))
    return (picture * picture.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def soften(picture: Tensor) -> Tensor:
    """Blur by a 5x5 binomial kernel, a Gaussian of one pixel."""
    if picture.device.type == "cpu":
        taps = np.array(_BINOMIAL, np.float32)
        return _each(picture, lambda row: cv2.sepFilter2D(row, -1, taps, taps, borderType=cv2.BORDER_REPLICATE))
    channels = picture.shape[1]
    row = picture.new_tensor(_BINOMIAL).view(1, 1, 1, 5).expand(channels, 1, 1, 5)
    padded = F.pad(picture, (2, 2, 2, 2), mode="replicate")
    return F.conv2d(F.conv2d(padded, row, groups=channels), row.transpose(2, 3), groups=channels)


def box(picture: Tensor, radius: int) -> Tensor:
    """Blur by a box: the mean over squares of 2 `radius` + 1 pixels."""
    side = 2 * radius + 1
    if picture.device.type == "cpu":
        return _each(picture, lambda row: cv2.blur(row, (side, side), borderType=cv2.BORDER_REPLICATE))
    return F.avg_pool2d(F.pad(picture, (radius,) * 4, mode="replicate"), side, stride=1)


def erode(mask: Tensor, radius: int) -> Tensor:
    """Erode `mask`: the minimum over squares of 2 `radius` + 1 pixels."""
    side = 2 * radius + 1
    if mask.device.type == "cpu":
        square = np.ones((side, side), np.uint8)
        return _each(mask, lambda row: cv2.erode(row, square, borderType=cv2.BORDER_REPLICATE))
    return -F.max_pool2d(-mask, side, stride=1, padding=radius)


def enlarge(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample (N, C, h, w) bilinearly to `size` (H, W)."""
    if tuple(picture.shape[-2:]) == tuple(size):
        return picture
    if picture.device.type == "cpu":
        return _each(picture, lambda row: cv2.resize(row, size[::-1], interpolation=cv2.INTER_LINEAR))
    return F.interpolate(picture, size=size, mode="bilinear", align_corners=False)


def mix(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Interpolate: `first` + `share` * (`second` - `first`); the result may leave 0..1.

    `share` is (N, 1, H, W), the pictures are (N, 3, H, W).
    """
    if first.device.type != "cpu":
        return torch.lerp(first, second, share)
    # blendLinear divides by the sum of the weights plus 1e-5, which is negligible against 10,000.
    weights = zip((1e4 - 1e4 * share).numpy(force=True), (1e4 * share).numpy(force=True), strict=True)
    return stack_rows(
        [cv2.blendLinear(as_row(a), as_row(b), u[0], v[0]) for a, b, (u, v) in zip(first, second, weights, strict=True)]
    )


def shrink(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """Scale (N, C, h, w) down to `size` (H, W), each pixel the mean of the area it covers; it never overshoots."""
    if tuple(picture.shape[-2:]) == tuple(size):
        return picture
    if picture.device.type == "cpu":
        return _each(picture, lambda row: cv2.resize(row, size[::-1], interpolation=cv2.INTER_AREA))
    return F.interpolate(picture, size=size, mode="area")


def stack_rows(pictures: list[np.ndarray]) -> Tensor:
    """Stack arrays (H, W, C) or (H, W) to one batch (N, C, H, W) in channels_last; a single one is not copied."""
    rows = [torch.from_numpy(picture if picture.ndim == 3 else picture[..., None]) for picture in pictures]
    return (rows[0][None] if len(rows) == 1 else torch.stack(rows)).permute(0, 3, 1, 2)


def _each(pictures: Tensor, filtered: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """Apply an OpenCV function to each picture as a (H, W, C) array."""
    return stack_rows([filtered(as_row(picture)) for picture in pictures])


def as_row(picture: Tensor) -> np.ndarray:
    """Return (C, H, W) as (H, W, C), without a copy if its memory layout is that already."""
    if 1 < picture.shape[0] <= 4 and picture.is_contiguous() and picture.dtype == torch.float32:
        # In a sixth of NumPy's time.
        return cv2.merge([plane.numpy(force=True) for plane in picture])
    return np.ascontiguousarray(picture.permute(1, 2, 0).numpy(force=True))
