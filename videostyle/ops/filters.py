"""Small image filters, by OpenCV on the CPU and by torch elsewhere.

For pictures (N, C, H, W) in channels_last, as `to_float` makes them, OpenCV needs a third to a twentieth of the time
torch takes for these on the CPU (640x360, one core: a 5x5 blur 0.4 against 15 ms). No gradients pass through.
Borders are repeated.
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
    """(N, 3, H, W) RGB as its brightness (N, 1, H, W), BT.601 weights."""
    if picture.device.type == "cpu":
        return _each(picture, lambda row: cv2.cvtColor(row, cv2.COLOR_RGB2GRAY))
    return (picture * picture.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def soften(picture: Tensor) -> Tensor:
    """A binomial blur over 5x5 pixels: a Gaussian of one pixel."""
    if picture.device.type == "cpu":
        taps = np.array(_BINOMIAL, np.float32)
        return _each(picture, lambda row: cv2.sepFilter2D(row, -1, taps, taps, borderType=cv2.BORDER_REPLICATE))
    channels = picture.shape[1]
    row = picture.new_tensor(_BINOMIAL).view(1, 1, 1, 5).expand(channels, 1, 1, 5)
    padded = F.pad(picture, (2, 2, 2, 2), mode="replicate")
    return F.conv2d(F.conv2d(padded, row, groups=channels), row.transpose(2, 3), groups=channels)


def box(picture: Tensor, radius: int) -> Tensor:
    """The mean over squares of 2 `radius` + 1 pixels."""
    side = 2 * radius + 1
    if picture.device.type == "cpu":
        return _each(picture, lambda row: cv2.blur(row, (side, side), borderType=cv2.BORDER_REPLICATE))
    return F.avg_pool2d(F.pad(picture, (radius,) * 4, mode="replicate"), side, stride=1)


def erode(mask: Tensor, radius: int) -> Tensor:
    """The least over squares of 2 `radius` + 1 pixels."""
    side = 2 * radius + 1
    if mask.device.type == "cpu":
        square = np.ones((side, side), np.uint8)
        return _each(mask, lambda row: cv2.erode(row, square, borderType=cv2.BORDER_REPLICATE))
    return -F.max_pool2d(-mask, side, stride=1, padding=radius)


def enlarge(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, h, w) resampled bilinearly to `size` (H, W)."""
    if tuple(picture.shape[-2:]) == tuple(size):
        return picture
    if picture.device.type == "cpu":
        return _each(picture, lambda row: cv2.resize(row, size[::-1], interpolation=cv2.INTER_LINEAR))
    return F.interpolate(picture, size=size, mode="bilinear", align_corners=False)


def mix(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """`first` + `share` * (`second` - `first`), a share (N, 1, H, W) for pictures (N, 3, H, W); it may leave 0..1."""
    if first.device.type != "cpu":
        return torch.lerp(first, second, share)
    # blendLinear divides by the sum of the weights plus 1e-5: against 10,000 that is nothing.
    weights = zip((1e4 - 1e4 * share).numpy(force=True), (1e4 * share).numpy(force=True), strict=True)
    return stack_rows(
        [cv2.blendLinear(_row(a), _row(b), u[0], v[0]) for a, b, (u, v) in zip(first, second, weights, strict=True)]
    )


def shrink(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, h, w) scaled down to `size` (H, W), each pixel the mean of the area it covers; never overshoots."""
    if tuple(picture.shape[-2:]) == tuple(size):
        return picture
    if picture.device.type == "cpu":
        return _each(picture, lambda row: cv2.resize(row, size[::-1], interpolation=cv2.INTER_AREA))
    return F.interpolate(picture, size=size, mode="area")


def stack_rows(pictures: list[np.ndarray]) -> Tensor:
    """Arrays (H, W, C) or (H, W) as one batch (N, C, H, W) in channels_last; one alone is not copied."""
    rows = [torch.from_numpy(picture if picture.ndim == 3 else picture[..., None]) for picture in pictures]
    return (rows[0][None] if len(rows) == 1 else torch.stack(rows)).permute(0, 3, 1, 2)


def _each(pictures: Tensor, filtered: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """Apply an OpenCV function to each picture as a (H, W, C) array."""
    return stack_rows([filtered(_row(picture)) for picture in pictures])


def _row(picture: Tensor) -> np.ndarray:
    """(C, H, W) as (H, W, C), without a copy where it lies so."""
    return np.ascontiguousarray(picture.permute(1, 2, 0).numpy(force=True))
