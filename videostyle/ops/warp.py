"""Warping pictures along optical flow, and how far a flow can be believed.

One convention throughout: a flow is (N, 2, H, W) float32 in pixels of its own size, x then y; pixel centres are at
integers (align_corners=True). `backward` points from the current frame to the previous one, `forward` from the
previous to the current; each lies on the frame it starts from.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Resampling = Literal["bilinear", "bicubic", "nearest"]

# Sundaram, Brox and Keutzer 2010, as used by Ruder et al. 2016 and Lai et al. 2018. On squared lengths.
CONSISTENT_SHARE, CONSISTENT_FLOOR = 0.01, 0.5
BOUNDARY_SHARE, BOUNDARY_FLOOR = 0.01, 0.002


def warp(image: Tensor, flow: Tensor, resampling: Resampling = "bilinear") -> Tensor:
    """Sample `image` where `flow` points: out(p) = image(p + flow(p)).

    Convention: image (N, C, H, W); flow (N, 2, H, W) in pixels, x then y, current frame to previous;
    pixel centres at integers, align_corners=True; outside, the border is repeated. The positions are computed in
    float32 whatever the image's type. bicubic (a = -0.75) keeps more detail and may overshoot the image's range.
    """
    n, _, h, w = image.shape
    if flow.shape != (n, 2, h, w):
        raise ValueError(f"flow must be {(n, 2, h, w)} to match the image, got {tuple(flow.shape)}")
    flow = flow.float()
    x = torch.arange(w, device=flow.device, dtype=torch.float32)
    y = torch.arange(h, device=flow.device, dtype=torch.float32).view(h, 1)
    # One row or column has no extent to divide by: any position is its centre.
    at_x = (flow[:, 0] + x) * (2 / max(w - 1, 1)) - 1
    at_y = (flow[:, 1] + y) * (2 / max(h - 1, 1)) - 1
    grid = torch.stack((at_x, at_y), dim=-1)
    moved = F.grid_sample(image.float(), grid, mode=resampling, padding_mode="border", align_corners=True)
    return moved.to(image.dtype)


def resize_flow(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """A flow (N, 2, h, w) as (N, 2, H, W) for pictures of `size` (H, W): resampled, and its lengths scaled along."""
    h, w = flow.shape[-2:]
    if (h, w) == tuple(size):
        return flow
    # Shrinking needs no prefilter here: flows are smooth but for motion boundaries, where averaging two motions
    # would give a third that is nobody's.
    resized = F.interpolate(flow, size=size, mode="bilinear", align_corners=False)
    return resized * resized.new_tensor((size[1] / w, size[0] / h)).view(1, 2, 1, 1)


def compose(first: Tensor, second: Tensor) -> Tensor:
    """Follow `first`, then `second` from where it lands: p to p + first(p) to + second(there). Both (N, 2, H, W)."""
    return first + warp(second, first)


def contradiction(flow: Tensor, back: Tensor) -> Tensor:
    """How badly going along `flow` and `back` again misses the start: (N, 1, H, W), 1 and above is occluded.

    The test of Sundaram et al. 2010, |f + b|² > 0.01 (|f|² + |b|²) + 0.5 with b taken where f lands, as the ratio of
    its two sides. `flow` lies on the frame judged, `back` on the other one.
    """
    returned = warp(back, flow)
    miss = (flow + returned).square().sum(1, keepdim=True)
    lengths = flow.square().sum(1, keepdim=True) + returned.square().sum(1, keepdim=True)
    return miss / (CONSISTENT_SHARE * lengths + CONSISTENT_FLOOR)


def inside(flow: Tensor) -> Tensor:
    """(N, 1, H, W) bool: the flow lands within the picture (half a pixel of grace at the rim)."""
    h, w = flow.shape[-2:]
    x = flow[:, :1] + torch.arange(w, device=flow.device)
    y = flow[:, 1:] + torch.arange(h, device=flow.device).view(h, 1)
    return (x >= -0.5) & (x <= w - 0.5) & (y >= -0.5) & (y <= h - 0.5)


def confidence(flow: Tensor, back: Tensor) -> Tensor:
    """How far `flow` can be believed, (N, 1, H, W) in 0..1: 1 where `back` undoes it, 0 where occluded or outside.

    Falls linearly with the squared miss and reaches 0 exactly where the test of Sundaram et al. 2010 says occluded.
    """
    return (1 - contradiction(flow, back)).clamp(0, 1) * inside(flow)


def motion_boundaries(flow: Tensor) -> Tensor:
    """(N, 1, H, W) bool: the flow changes abruptly, |∇u|² + |∇v|² > 0.01 |f|² + 0.002 (Sundaram et al. 2010).

    Differences are taken to the next pixel; the last row and column count as smooth.
    """
    right = F.pad((flow[..., :, 1:] - flow[..., :, :-1]).square(), (0, 1))
    down = F.pad((flow[..., 1:, :] - flow[..., :-1, :]).square(), (0, 0, 0, 1))
    change = (right + down).sum(1, keepdim=True)
    return change > BOUNDARY_SHARE * flow.square().sum(1, keepdim=True) + BOUNDARY_FLOOR
