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


def spread(mask: Tensor, channels: int = 3) -> Tensor:
    """(N, 1, H, W) repeated to (N, channels, H, W) in channels_last: torch broadcasts over it ten times slower."""
    if mask.device.type == "cpu":
        return _each(mask, lambda row: cv2.merge([row] * channels))
    return mask.expand(-1, channels, -1, -1)


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
    rows = (np.ascontiguousarray(picture.permute(1, 2, 0).numpy(force=True)) for picture in pictures)
    return stack_rows([filtered(row) for row in rows])
