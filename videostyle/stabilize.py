"""Keeps a painting from flickering: the previous output is moved along the film's motion and blended in."""

from __future__ import annotations

import torch
from torch import Tensor

from videostyle.ops.warp import warp
from videostyle.plan import StabilizeOptions
from videostyle.types import Flow, FlowEstimator


class Stabilizer:
    """Blends each painting with the previous output, moved to where things are now, where that can be trusted.

    `motion` looks at the film only and `blend` at the paintings, so the two may run in different threads, each in
    the order of the frames. Calling the stabiliser does both.
    """

    def __init__(self, flow: FlowEstimator, options: StabilizeOptions) -> None:
        self._flow = flow
        self._amount = options.amount
        self._content: Tensor | None = None
        self._output: Tensor | None = None

    def __call__(self, is_cut: bool, content: Tensor, painted: Tensor) -> Tensor:
        """The steady painting (1, 3, H, W) of one frame, from the frame and its fresh painting."""
        return self.blend(painted, self.motion(is_cut, content))

    def motion(self, is_cut: bool, content: Tensor) -> Flow | None:
        """How this frame (1, 3, H, W) moved since the previous, and where the previous painting still applies.

        None at a cut, at the first frame and when the size changes: then there is nothing to carry over.
        """
        previous, self._content = self._content, content
        if is_cut or previous is None or previous.shape != content.shape or self._amount == 0:
            return None
        return self._flow(content, previous)

    def blend(self, painted: Tensor, motion: Flow | None) -> Tensor:
        """The fresh painting (1, 3, H, W) with the previous output blended in along `motion`; (1, 3, H, W) in 0..1."""
        previous, self._output = self._output, painted
        if motion is None or previous is None or previous.shape != painted.shape:
            return painted
        moved = warp(previous, motion.backward, "bicubic").clamp_(0, 1)
        self._output = torch.lerp(painted, moved, self._amount * motion.confidence)
        return self._output
