"""Warping along optical flow, and the forward-backward consistency of flows.

One convention throughout: a flow is (N, 2, H, W) float32 in pixels of its own size, x then y; pixel centres are at
integers (align_corners=True). `backward` points from the current frame to the previous one, `forward` from the
previous to the current; each lies on the frame it starts from.
"""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from videostyle.ops.filters import as_row, enlarge, stack_rows
from videostyle.types import Flow

Resampling = Literal["bilinear", "bicubic", "lanczos"]
NO_SECOND_MAP: Any = None  # the first holds both coordinates; OpenCV's types do not know that it may
_OPENCV = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}

# Sundaram, Brox and Keutzer 2010, as used by Ruder et al. 2016 and Lai et al. 2018. On squared lengths.
CONSISTENT_SHARE, CONSISTENT_FLOOR = 0.01, 0.5
BOUNDARY_SHARE, BOUNDARY_FLOOR = 0.01, 0.002


def warp(image: Tensor, flow: Tensor, resampling: Resampling = "bilinear") -> Tensor:
    """Sample `image` where `flow` points: out(p) = image(p + flow(p)).

    Convention: image (N, C, H, W); flow (N, 2, H, W) in pixels, x then y, current frame to previous;
    pixel centres at integers, align_corners=True; outside, the border is repeated. The positions are computed in
    float32 whatever the image's type. bicubic (a = -0.75) keeps more detail and may overshoot the image's range;
    lanczos (8x8 pixels) keeps nearly all, takes five times as long, and is OpenCV's: elsewhere it is bicubic, and of
    three channels, taken for RGB, only the brightness is moved by it.
    """
    n, channels, h, w = image.shape
    if flow.shape != (n, 2, h, w):
        raise ValueError(f"flow must be {(n, 2, h, w)} to match the image, got {tuple(flow.shape)}")
    plain = image.dtype == torch.float32 and not (image.requires_grad or flow.requires_grad)
    if plain and image.device.type == "cpu" and channels <= 4 and max(h, w) < 32768:
        return _warp_opencv(image, flow.float(), resampling)
    # grid_sample wants -1 at the first pixel's centre and 1 at the last's; one row alone has any scale.
    scale = torch.tensor((2 / max(w - 1, 1), 2 / max(h - 1, 1)), device=flow.device)
    x = torch.arange(w, device=flow.device) * scale[0] - 1
    y = torch.arange(h, device=flow.device).view(h, 1) * scale[1] - 1
    home = torch.stack((x.expand(h, w), y.expand(h, w)), dim=-1)
    grid = torch.addcmul(home, flow.float().permute(0, 2, 3, 1), scale)
    mode = "bilinear" if resampling == "bilinear" else "bicubic"
    moved = F.grid_sample(image.float(), grid, mode=mode, padding_mode="border", align_corners=True)
    return moved.to(image.dtype)


def _warp_opencv(image: Tensor, flow: Tensor, resampling: Resampling) -> Tensor:
    """Do the same within 1e-5, in half of grid_sample's time on the CPU; the result is in channels_last."""
    rows = []
    for picture, way in zip(image, flow, strict=True):
        row, steps = as_row(picture), as_row(way)
        if resampling == "lanczos" and row.shape[2] == 3:
            rows.append(_brightness_sharper(row, steps))
        else:
            rows.append(_remap(row, steps, resampling))
    return stack_rows(rows)


def _brightness_sharper(row: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Warp an RGB picture with Lanczos's filter in luma, where detail is seen, and a bicubic one in colour."""
    moved = _remap(row, steps, "bicubic")
    sharper = _remap(cv2.cvtColor(row, cv2.COLOR_RGB2GRAY), steps, "lanczos")
    more = sharper - cv2.cvtColor(moved, cv2.COLOR_RGB2GRAY)
    return cv2.add(moved, cv2.merge([more, more, more]))


def _remap(row: np.ndarray, steps: np.ndarray, resampling: Resampling) -> np.ndarray:
    flags = _OPENCV[resampling] | cv2.WARP_RELATIVE_MAP
    return cv2.remap(row, steps, NO_SECOND_MAP, flags, borderMode=cv2.BORDER_REPLICATE)


def resize_flow(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample a flow (N, 2, h, w) for pictures of `size` (H, W) and scale its vectors accordingly: (N, 2, H, W)."""
    h, w = flow.shape[-2:]
    if (h, w) == tuple(size):
        return flow
    scale = flow.new_tensor((size[1] / w, size[0] / h)).view(1, 2, 1, 1)
    # Scaling before enlarging and after shrinking: where there are fewer pixels.
    if size[0] * size[1] > h * w:
        return enlarge(flow * scale, size)
    return enlarge(flow, size) * scale


def consistency_error(flow: Tensor, back: Tensor) -> Tensor:
    """Compute the forward-backward consistency error of `flow`: (N, 1, H, W); 1 and above counts as occluded.

    This is the test of Sundaram et al. 2010, |f + b|² > 0.01 (|f|² + |b|²) + 0.5 with b sampled where f lands, as the
    ratio of its two sides. `flow` lies on the frame in question, `back` on the other one; both (N, 2, H, W) in pixels.
    """
    returned = warp(back, flow)
    lengths = _squared_length(flow) + _squared_length(returned)
    return _squared_length(flow + returned) / (CONSISTENT_SHARE * lengths + CONSISTENT_FLOOR)


def _squared_length(flow: Tensor) -> Tensor:
    squares = flow.square()
    # Five times faster than summing over a dimension of two.
    return squares[:, :1] + squares[:, 1:]


def inside(flow: Tensor) -> Tensor:
    """Return where the flow lands within the picture (half a pixel of grace at the rim): (N, 1, H, W) bool."""
    h, w = flow.shape[-2:]
    x = flow[:, :1] + torch.arange(w, device=flow.device)
    y = flow[:, 1:] + torch.arange(h, device=flow.device).view(h, 1)
    return (x >= -0.5) & (x <= w - 0.5) & (y >= -0.5) & (y <= h - 0.5)


def confidence(flow: Tensor, back: Tensor) -> Tensor:
    """Compute the confidence of `flow`, (N, 1, H, W) in 0..1: 1 where `back` undoes it, 0 where occluded or outside.

    Confidence is 1 up to a consistency error of one half and falls linearly to 0 at an error of 1.
    """
    return (2 - 2 * consistency_error(flow, back)).clamp(0, 1) * inside(flow)


def checked_flow(flow: Tensor, back: Tensor, picture: Tensor) -> Flow:
    """Return `flow` with its forward-backward confidence, resized to `picture` and on its device."""
    size = picture.shape[-2], picture.shape[-1]
    mask = enlarge(confidence(flow, back), size)
    return Flow(resize_flow(flow, size).to(picture.device), mask.to(picture.device))


def motion_boundaries(flow: Tensor) -> Tensor:
    """Return where the flow changes abruptly, |∇u|² + |∇v|² > 0.01 |f|² + 0.002 (Sundaram et al. 2010): bool.

    Differences are taken to the next pixel; the last row and column count as smooth.
    """
    right = F.pad((flow[..., :, 1:] - flow[..., :, :-1]).square(), (0, 1))
    down = F.pad((flow[..., 1:, :] - flow[..., :-1, :]).square(), (0, 0, 0, 1))
    change = (right + down).sum(1, keepdim=True)
    return change > BOUNDARY_SHARE * _squared_length(flow) + BOUNDARY_FLOOR
