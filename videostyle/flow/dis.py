"""DIS flow estimator, dense inverse search (Kroeger et al. 2016), from OpenCV: real time on one CPU core."""

from __future__ import annotations

import cv2
import numpy as np
from torch import Tensor

from videostyle.flow._bidirectional import Bidirectional
from videostyle.ops.filters import luma, shrink, stack_rows
from videostyle.ops.pixels import pad_to_multiple
from videostyle.plan import FlowOptions

# Half resolution up to 640 px, three quarters beyond: at 480 lines, warping errors were a fifth to a third lower than
# with half (docs/notes/speed.md). The longer side is at least 320 px if the picture has as many, and at most 640:
# stylized frames show no more, and the cost stays that of 720p whatever the film.
SHRINK, SHRINK_LARGE = 2, 4 / 3
SMALLEST_SIDE, LARGEST_SIDE = 320, 640
# OpenCV rejects pictures without a side of 12 px, and returns NaN for some below 32 px.
MINIMUM = 32


class DIS(Bidirectional):
    """Estimates both directions on shrunk grey pictures; it has no weights.

    The search is not one of OpenCV's presets (docs/notes/flow.md): it ends at half of the shrunk picture, with patches
    close together, and has five rounds of variational refinement. Finer searches are more exact, but their two
    directions agree in fewer places, and then less of the previous output can be blended in. For 640x360 both take 5 ms
    of one core.

    Warm start: if `previous` is the tensor that was `current` in the last call, the search starts from the last flow.
    In a quick pan (40 px a frame) this more than halves the error. DIS compares the start with its own result patch by
    patch and takes the better, so warping it, or dropping it where it is inconsistent, gains nothing
    (docs/notes/flow.md); no flow is estimated across a cut. Pictures below 32 px a side are padded, and little motion
    is found in them.
    """

    def __init__(self) -> None:
        # The searches differ a little: motion that only one of them finds is inconsistent, and fewer ghosts are left
        # (docs/notes/flow.md).
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
    """Return the height and width at which the flow of a picture is estimated."""
    longer = max(height, width)
    shrink = SHRINK if longer <= LARGEST_SIDE else SHRINK_LARGE
    scale = min(max(1 / shrink, SMALLEST_SIDE / longer), LARGEST_SIDE / longer, 1)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def search(finest: int, stride: int, refinements: int) -> cv2.DISOpticalFlow:
    """Make OpenCV's DIS: from coarse to pictures halved `finest` times, with a patch every `stride` pixels of these."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    search.setFinestScale(finest)
    search.setGradientDescentIterations(6)
    search.setPatchStride(stride)
    search.setVariationalRefinementIterations(refinements)
    return search


def _still(picture: np.ndarray) -> np.ndarray:
    return np.zeros((*picture.shape, 2), np.float32)


def gray(pictures: Tensor, size: tuple[int, int]) -> list[np.ndarray]:
    """Convert (N, 3, H, W) to N grey uint8 arrays (h, w) of `size`, padded to the smallest size that DIS accepts."""
    small = pad_to_multiple(shrink(luma(pictures), size), 1, MINIMUM).cpu()
    return [cv2.convertScaleAbs(picture[0].contiguous().numpy(), alpha=255) for picture in small]


def build(options: FlowOptions, device: str) -> DIS:
    """Make the estimator; DIS has no settings and runs on the CPU, whatever the device."""
    return DIS()
