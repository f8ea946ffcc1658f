"""Dense inverse search (Kroeger et al. 2016) from OpenCV: fast enough for every frame on one CPU core."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from videostyle.ops.pixels import pad_to_multiple, resize_area
from videostyle.ops.warp import confidence, resize_flow
from videostyle.plan import FlowOptions
from videostyle.types import Flow

# Half resolution, at least 320 px where there are as many: 640x360 costs 2 ms for both directions on one core.
SHRINK = 2
SMALLEST_SIDE = 320
# OpenCV refuses pictures without a side of 12 px, and returns NaN for some below 32 px.
MINIMUM = 32


class DIS:
    """Both directions on shrunk grey pictures; the disagreement of the two is the confidence. No weights."""

    def __init__(self, preset: int = cv2.DISOPTICAL_FLOW_PRESET_FAST, shrink: float = SHRINK) -> None:
        self._dis = cv2.DISOpticalFlow.create(preset)
        self._shrink = shrink

    def __call__(self, current: Tensor, previous: Tensor) -> Flow:
        h, w = current.shape[-2:]
        scale = min(max(1 / self._shrink, SMALLEST_SIDE / max(h, w)), 1)
        size = max(round(h * scale), 1), max(round(w * scale), 1)
        pairs = zip(_gray(current, size), _gray(previous, size), strict=True)
        flows = [(self._calc(now, before, size), self._calc(before, now, size)) for now, before in pairs]
        backward, forward = (torch.cat(direction) for direction in zip(*flows, strict=True))
        trust = confidence(backward, forward)
        return Flow(
            backward=resize_flow(backward, (h, w)).to(current.device),
            confidence=F.interpolate(trust, (h, w), mode="bilinear").to(current.device),
        )

    def _calc(self, start: np.ndarray, end: np.ndarray, size: tuple[int, int]) -> Tensor:
        flow = torch.from_numpy(self._dis.calc(start, end, None)).permute(2, 0, 1)[None, :, : size[0], : size[1]]
        return torch.nan_to_num(flow)


def _gray(pictures: Tensor, size: tuple[int, int]) -> list[np.ndarray]:
    """(N, 3, H, W) as N grey uint8 arrays (h, w) of `size`, padded to what DIS can take."""
    small = pad_to_multiple(resize_area(pictures, size), 1, MINIMUM).cpu()
    return [
        cv2.convertScaleAbs(cv2.cvtColor(row.permute(1, 2, 0).contiguous().numpy(), cv2.COLOR_RGB2GRAY), alpha=255)
        for row in small
    ]


def build(options: FlowOptions, device: str) -> DIS:
    return DIS()
