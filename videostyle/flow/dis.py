"""Dense inverse search (Kroeger et al. 2016) from OpenCV: fast enough for every frame on one CPU core."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from videostyle.ops.filters import enlarge, luma, shrink
from videostyle.ops.pixels import pad_to_multiple
from videostyle.ops.warp import confidence, resize_flow
from videostyle.plan import FlowOptions
from videostyle.types import Flow

# Half resolution, at least 320 px where there are as many.
SHRINK = 2
SMALLEST_SIDE = 320
# OpenCV refuses pictures without a side of 12 px, and returns NaN for some below 32 px.
MINIMUM = 32


class DIS:
    """Both directions on shrunk grey pictures; the disagreement of the two is the confidence. No weights.

    For 640x360 the two take 2.8 ms of one core. Against RAFT-small on six films, mean end-point error in pixels:
    this 0.74, ultrafast 1.25, fast 1.03 (2 ms), medium 0.62 (8 ms). Starting the search at half of the shrunk
    picture instead of a quarter is what pays, six steps of descent are enough, and the direction that serves only
    to check the other may be coarser.
    """

    def __init__(self) -> None:
        self._backward = _search(stride=5, refinements=1)
        self._forward = _search(stride=6, refinements=0)

    def __call__(self, current: Tensor, previous: Tensor) -> Flow:
        """Pictures of any size; below 32 px a side they are padded, and little is found in them."""
        h, w = current.shape[-2:]
        scale = min(max(1 / SHRINK, SMALLEST_SIDE / max(h, w)), 1)
        size = max(round(h * scale), 1), max(round(w * scale), 1)
        pairs = list(zip(_gray(current, size), _gray(previous, size), strict=True))
        backward = torch.cat([_calc(self._backward, now, before, size) for now, before in pairs])
        forward = torch.cat([_calc(self._forward, before, now, size) for now, before in pairs])
        trust = confidence(backward, forward)
        return Flow(
            backward=resize_flow(backward, (h, w)).to(current.device),
            confidence=enlarge(trust, (h, w)).to(current.device),
        )


def _search(stride: int, refinements: int) -> cv2.DISOpticalFlow:
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    search.setFinestScale(1)
    search.setGradientDescentIterations(6)
    search.setPatchStride(stride)
    search.setVariationalRefinementIterations(refinements)
    return search


def _calc(search: cv2.DISOpticalFlow, start: np.ndarray, end: np.ndarray, size: tuple[int, int]) -> Tensor:
    # A flow of zeros to start from is what None means, but for the type checker.
    flow = search.calc(start, end, np.zeros((*start.shape, 2), np.float32))
    return torch.from_numpy(flow).permute(2, 0, 1)[None, :, : size[0], : size[1]].nan_to_num()


def _gray(pictures: Tensor, size: tuple[int, int]) -> list[np.ndarray]:
    """(N, 3, H, W) as N grey uint8 arrays (h, w) of `size`, padded to what DIS can take."""
    small = pad_to_multiple(luma(shrink(pictures, size)), 1, MINIMUM).cpu()
    return [cv2.convertScaleAbs(picture[0].contiguous().numpy(), alpha=255) for picture in small]


def build(options: FlowOptions, device: str) -> DIS:
    """DIS has nothing to set and runs on the CPU whatever the device."""
    return DIS()
