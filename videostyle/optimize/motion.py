"""Long-range optical flow: from each frame of a shot to a keyframe of the shot."""

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
    """Reduced copies of a frame for motion estimation, small enough to hold whole shots in memory."""

    size: tuple[int, int]
    """Height and width of the frame."""
    gray: np.ndarray
    """(h, w) uint8, of the size at which motion is estimated."""
    small: Tensor
    """(1, 3, H / 4, W / 4) in 0..1, for the confidence mask."""


def view(content: Tensor) -> View:
    """Return the view of a frame (1, 3, H, W) in 0..1."""
    h, w = content.shape[-2:]
    (picture,) = gray(content, working_size(h, w))
    return View((h, w), picture, shrink(content, (-(-h // SHRINK), -(-w // SHRINK))))


class KeyframeTracker:
    """Tracks a keyframe through the frames after it, or, given in reverse, before it.

    The flow from each frame to the keyframe is searched from an initial flow: that of the previous frame, extended by
    the motion between the two. Accumulated motion alone would drift, and search alone would not find distant matches.
    The confidence is low where forward and backward flow are inconsistent, or the pictures differ.
    """

    def __init__(self, key: View) -> None:
        self.key = key
        self._last = key.gray
        still = np.zeros((*key.gray.shape, 2), np.float32)
        self._to, self._from = still, still.copy()
        self._search = search(finest=1, stride=5, refinements=5)

    def __call__(self, frame: View) -> Flow:
        """Return the flow on the frame, to the keyframe, with its confidence, at the size of motion estimation."""
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
    """Sample `field` where `flow` points."""
    flags = cv2.INTER_LINEAR | cv2.WARP_RELATIVE_MAP
    return cv2.remap(field, flow, _ANY_MAP, flags, borderMode=cv2.BORDER_REPLICATE)


def coverage(flow: Flow) -> float:
    """Compute the share of a frame that the keyframe covers: that with a confidence above one half."""
    return float((flow.confidence > 0.5).float().mean())


def packed(flow: Flow) -> Flow:
    """Store a flow in half the memory, in half precision."""
    return Flow(flow.vectors.half(), flow.confidence.half())


def at_size(flow: Flow, size: tuple[int, int]) -> Flow:
    """Resize a flow, packed or not, for pictures of `size` (H, W)."""
    return Flow(resize_flow(flow.vectors.float(), size), enlarge(flow.confidence.float(), size))


def no_flow(size: tuple[int, int]) -> Flow:
    """Return a flow with confidence 0, for a keyframe that does not exist."""
    h, w = working_size(*size)
    return Flow(torch.zeros(1, 2, h, w), torch.zeros(1, 1, h, w))
