"""Keeps a painting from flickering: the previous output is moved along the film's motion and blended in."""

from __future__ import annotations

from torch import Tensor

from videostyle.ops.filters import box, enlarge, luma, mix, shrink, soften
from videostyle.ops.warp import warp
from videostyle.plan import StabilizeOptions
from videostyle.trust import trust
from videostyle.types import Flow, FlowEstimator

# Trust is judged on pictures shrunk by this: where paint meets paint, edges finer than it would show.
SHRINK = 4
# However much is carried over, this share of every fresh painting comes in: what was wrong once fades.
LEAK = 0.03
# Detail is compared over squares of this many pixels, and strengthened this many times at most.
DETAIL_AREA = 4
MOST_GAIN = 1.5
# (1/255)², a detail nobody sees: keeps noise in flat areas from being strengthened.
DETAIL_FLOOR = 1.5e-5


class Stabilizer:
    """Blends each painting with the previous output, moved to where things are now, where that can be trusted.

    Where it cannot, behind what moved away, at the rim, where the film itself changed, the fresh painting stays as it
    is (Ruder et al. 2016). Averaging paintings blurs them, and moving a picture by fractions of a pixel again and
    again blurs it more: after the blend, detail is strengthened to the fresh painting's local energy, never beyond.
    What is strengthened is the detail that stayed, so it stays.

    `motion` looks at the film only and `blend` at the paintings, so the two may run in different threads, each in
    the order of the frames. Calling the stabiliser does both.
    """

    def __init__(self, flow: FlowEstimator, options: StabilizeOptions) -> None:
        self._flow = flow
        self._weight = min(options.amount, 1 - LEAK)
        self._content: Tensor | None = None
        self._small: Tensor | None = None
        self._output: Tensor | None = None

    def __call__(self, is_cut: bool, content: Tensor, painted: Tensor) -> Tensor:
        """The steady painting (1, 3, H, W) of one frame, from the frame and its fresh painting."""
        return self.blend(painted, self.motion(is_cut, content))

    def motion(self, is_cut: bool, content: Tensor) -> Flow | None:
        """How this frame (1, 3, H, W) moved since the previous, and where the previous painting still applies.

        None at a cut, at the first frame and when the size changes: then there is nothing to carry over.
        """
        if self._weight == 0:
            return None
        previous, self._content = self._content, content
        small_before, self._small = self._small, shrink(content, _small_size(content))
        if is_cut or previous is None or small_before is None or previous.shape != content.shape:
            return None
        flow = self._flow(content, previous)
        return Flow(flow.backward, trust(flow, self._small, small_before))

    def blend(self, painted: Tensor, motion: Flow | None) -> Tensor:
        """Fresh paintings (N, 3, H, W) of one frame with their previous outputs blended in along `motion`; in 0..1."""
        previous, self._output = self._output, painted
        if motion is None or previous is None or previous.shape != painted.shape:
            return painted
        moved = warp(previous, motion.backward.expand(len(painted), -1, -1, -1), "bicubic")
        share = (motion.confidence * self._weight).expand(len(painted), -1, -1, -1)
        self._output = restore_detail(mix(painted, moved, share), painted)
        return self._output


def restore_detail(blended: Tensor, fresh: Tensor) -> Tensor:
    """`blended` with its finest detail strengthened to the local energy of `fresh`'s; both (N, 3, H, W) in 0..1.

    Detail is what a blur of one pixel takes away; its energy is taken from brightness, over some ten pixels. Where
    `blended` has as much as `fresh` it is left alone, so a blend that equals its fresh painting is returned as it is.
    """
    gain = (_detail_energy(fresh) / _detail_energy(blended)).sqrt_().clamp_(1, MOST_GAIN)
    h, w = blended.shape[-2:]
    # Away from the blurred picture by as much again as detail is wanting.
    return mix(blended, soften(blended), enlarge(1 - gain, (h, w))).clamp_(0, 1)


def _detail_energy(picture: Tensor) -> Tensor:
    brightness = luma(picture)
    detail = soften(brightness).sub_(brightness)
    h, w = picture.shape[-2:]
    areas = -(-h // DETAIL_AREA), -(-w // DETAIL_AREA)
    return box(shrink(detail.square_(), areas), 1) + DETAIL_FLOOR


def _small_size(picture: Tensor) -> tuple[int, int]:
    h, w = picture.shape[-2:]
    return -(-h // SHRINK), -(-w // SHRINK)
