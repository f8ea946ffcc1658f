"""Motion over many frames: where each frame of a shot lies on a keyframe of it."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from videostyle.confidence import motion_confidence
from videostyle.flow.dis import gray, search, working_size
from videostyle.ops.filters import enlarge, shrink, stack_rows
from videostyle.ops.warp import confidence, resize_flow
from videostyle.stabilize import SHRINK
from videostyle.types import Flow

_ANY_MAP = np.empty(0, np.float32)


class View(NamedTuple):
    """What is needed of a frame to find its motion: a fraction of it, so that whole shots can be held."""

    size: tuple[int, int]
    """Height and width of the frame."""
    gray: np.ndarray
    """(h, w) uint8, of the size at which motion is estimated."""
    small: Tensor
    """(1, 3, H / 4, W / 4) in 0..1, on which trust is judged."""


def view(content: Tensor) -> View:
    """Of a frame (1, 3, H, W) in 0..1."""
    h, w = content.shape[-2:]
    (picture,) = gray(content, working_size(h, w))
    return View((h, w), picture, shrink(content, (-(-h // SHRINK), -(-w // SHRINK))))


class Reach:
    """Follows a keyframe through the frames after it, or, given in reverse, before it.

    The motion from each frame straight to the keyframe is searched from a start: the motion found for the frame before,
    taken one frame further. Adding up motions from frame to frame alone would drift, and searching alone would not find
    what is far. Where the two directions contradict each other, or the pictures differ, it is not trusted.
    """

    def __init__(self, key: View) -> None:
        self.key = key
        self._last = key.gray
        still = np.zeros((*key.gray.shape, 2), np.float32)
        self._to, self._from = still, still.copy()
        self._search = search(finest=1, stride=5, refinements=5)

    def __call__(self, frame: View) -> Flow:
        """On the frame, to the keyframe, with trust for confidence; of the size at which motion is estimated."""
        now, last, key = frame.gray, self._last, self.key.gray
        still = np.zeros_like(self._to)
        back, ahead = self._search.calc(now, last, still), self._search.calc(last, now, still.copy())
        to = self._search.calc(now, key, back + _sampled(self._to, back))
        of = self._search.calc(key, now, self._from + _sampled(ahead, self._from))
        self._last, self._to, self._from = now, np.nan_to_num(to), np.nan_to_num(of)
        h, w = working_size(*frame.size)
        backward, forward = (stack_rows([flow])[..., :h, :w] for flow in (self._to, self._from))
        found = Flow(backward, confidence(backward, forward))
        return Flow(backward, motion_confidence(found, frame.small, self.key.small))


def _sampled(field: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """`field` where `flow` points."""
    flags = cv2.INTER_LINEAR | cv2.WARP_RELATIVE_MAP
    return cv2.remap(field, flow, _ANY_MAP, flags, borderMode=cv2.BORDER_REPLICATE)


def coverage(flow: Flow) -> float:
    """The share of a frame that a keyframe reaches."""
    return float((flow.confidence > 0.5).float().mean())


def packed(flow: Flow) -> Flow:
    """In half the memory."""
    return Flow(flow.vectors.half(), flow.confidence.half())


def at_size(flow: Flow, size: tuple[int, int]) -> Flow:
    """The flow, packed or not, for pictures of `size` (H, W)."""
    return Flow(resize_flow(flow.vectors.float(), size), enlarge(flow.confidence.float(), size))


def nowhere(size: tuple[int, int]) -> Flow:
    """The flow of a keyframe that is not there: trusted nowhere."""
    h, w = working_size(*size)
    return Flow(torch.zeros(1, 2, h, w), torch.zeros(1, 1, h, w))
