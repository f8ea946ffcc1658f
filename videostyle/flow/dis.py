"""Dense inverse search (Kroeger et al. 2016) from OpenCV: fast enough for every frame on one CPU core."""

from __future__ import annotations

import cv2
import numpy as np
from torch import Tensor

from videostyle.flow._both import BothWays
from videostyle.ops.filters import luma, shrink, stack_rows
from videostyle.ops.pixels import pad_to_multiple
from videostyle.plan import FlowOptions

# Half resolution; the longer side at least 320 px where there are as many, and at most 640: paint does not show more,
# and the cost stays that of 720p whatever the film.
SHRINK = 2
SMALLEST_SIDE, LARGEST_SIDE = 320, 640
# OpenCV refuses pictures without a side of 12 px, and returns NaN for some below 32 px.
MINIMUM = 32


class DIS(BothWays):
    """Both directions on shrunk grey pictures; no weights.

    OpenCV's presets are not the best trade (docs/notes/flow.md): a search that ends at half of the shrunk picture, in patches
    close together, and is smoothed five times over. Finer searches are more exact, but their two directions agree in
    fewer places, and then less can be carried over. For 640x360 the two take 5 ms of one core.

    A film goes on as it did: where `previous` is the very tensor that was `current` in the last call, the search
    starts from the last flow. In a quick pan (40 px a frame) that halves the error and more. DIS compares the start
    with what it found patch by patch and takes the better, so moving it along, or forgetting it where it contradicts
    itself, gains nothing (docs/notes/flow.md); across a cut nobody asks for motion. Pictures below 32 px a side are padded,
    and little is found in them.
    """

    def __init__(self) -> None:
        # Not quite alike: what only one of the two finds is not checked_flow, and fewer ghosts are left (docs/notes/flow.md).
        self._backward = search(finest=1, stride=5, refinements=5)
        self._forward = search(finest=1, stride=6, refinements=5)
        self._seen: Tensor | None = None
        self._found: list[tuple[np.ndarray, np.ndarray]] = []

    def _search(self, current: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        h, w = current.shape[-2:]
        size = working_size(h, w)
        pairs = list(zip(gray(current, size), gray(previous, size), strict=True))
        goes_on = self._seen is previous and previous.shape == current.shape
        start = self._found if goes_on else [(_still(now), _still(now)) for now, _ in pairs]
        self._seen = current
        self._found = [
            (self._backward.calc(now, before, back), self._forward.calc(before, now, ahead))
            for (now, before), (back, ahead) in zip(pairs, start, strict=True)
        ]
        backward, forward = (
            stack_rows(list(flows))[..., : size[0], : size[1]].nan_to_num() for flows in zip(*self._found, strict=True)
        )
        return backward, forward


def working_size(height: int, width: int) -> tuple[int, int]:
    """Height and width at which the motion in a picture is estimated."""
    longer = max(height, width)
    scale = min(max(1 / SHRINK, SMALLEST_SIDE / longer), LARGEST_SIDE / longer, 1)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def search(finest: int, stride: int, refinements: int) -> cv2.DISOpticalFlow:
    """OpenCV's DIS, from coarse down to pictures halved `finest` times; a patch every `stride` pixels of these."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    search.setFinestScale(finest)
    search.setGradientDescentIterations(6)
    search.setPatchStride(stride)
    search.setVariationalRefinementIterations(refinements)
    return search


def _still(picture: np.ndarray) -> np.ndarray:
    return np.zeros((*picture.shape, 2), np.float32)


def gray(pictures: Tensor, size: tuple[int, int]) -> list[np.ndarray]:
    """(N, 3, H, W) as N grey uint8 arrays (h, w) of `size`, padded to what DIS can take."""
    small = pad_to_multiple(shrink(luma(pictures), size), 1, MINIMUM).cpu()
    return [cv2.convertScaleAbs(picture[0].contiguous().numpy(), alpha=255) for picture in small]


def build(options: FlowOptions, device: str) -> DIS:
    """DIS has nothing to set and runs on the CPU whatever the device."""
    return DIS()
