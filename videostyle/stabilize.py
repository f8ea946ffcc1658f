"""Temporal stabilization: blends stylized frames with their neighbours, warped along the film's optical flow."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from torch import Tensor

from videostyle.confidence import motion_confidence
from videostyle.flow import load_flow
from videostyle.ops.detail import detail_energy, restore_detail
from videostyle.ops.filters import enlarge, mix, shrink
from videostyle.ops.warp import Resampling, resize_flow, warp
from videostyle.plan import FlowOptions, StabilizeOptions
from videostyle.types import Flow, FlowEstimator, Motion, TwoWayEstimator

T = TypeVar("T")

# Confidence masks are computed on frames shrunk by this factor: at full size, edges finer than it would show.
SHRINK = 4
# The least weight of the new stylized frame where the confidence is 1: an error that was blended in once fades.
MIN_FRESH = 0.06
# Before blending, the low frequencies of the warped output (of a picture shrunk by COARSE) are moved by this share to
# those of the new frame: colour and light follow it faster than strokes do.
COARSE, COLOR_FRESH = 4, 0.15
# The lookahead stabilizer buffers WINDOW frames; a frame leaves the buffer when LATENCY frames follow it.
WINDOW, LATENCY = 24, 8
# Weight of the following frames in the backward pass; half of it comes from the next four.
BACKWARD_SHARE = 0.85
# Where things move by a pixel or more, the forward pass asks for this share of detail beyond that of the new frame,
# because later resampling will blur some of it. The backward pass after a forward pass asks for less than all of the
# detail, so that it does not sharpen what it has just averaged.
DETAIL_SURPLUS, DETAIL_BACK = 0.12, 0.95


Stylized: TypeAlias = tuple[T, Tensor | None, Motion | None]
"""An item of a frame; its stylized layers (N, 3, H, W), None where the frame repeats the one before; and its
motion, None where a shot begins."""


class Stabilizer(Protocol):
    """The interface of both modes, causal and lookahead."""

    def motion(self, is_cut: bool, content: Tensor) -> Motion | None:
        """Estimate the motion of a frame (1, 3, H, W) in 0..1 since the previous one.

        This reads the film only, so it may run in a thread of its own. It returns None at a cut, at the first frame and
        when the size changes: then there is no previous output to blend.
        """

    def stabilize(self, frames: Iterable[Stylized[T]]) -> Iterator[tuple[T, Tensor]]:
        """Yield the stabilized layers (N, 3, H, W) in 0..1, each with what belongs to its frame, in the same order."""


def load_stabilizer(options: StabilizeOptions, flow: FlowOptions, device: str, recurrent: bool = False) -> Stabilizer:
    """Make the stabilizer that `options` asks for; its mode is "causal" or "lookahead".

    `recurrent` is True for frames of a stylizer that reads its previous output.
    """
    if options.mode == "causal" or options.amount == 0:
        return CausalStabilizer(load_flow(flow, device), options)
    return LookaheadStabilizer(load_flow(flow, device), options, recurrent)


class CausalStabilizer:
    """Blends each stylized frame with the previous output, warped along the flow, by the confidence mask.

    Where the confidence is 0 (disocclusions, the rim of the picture, changes of the film itself) the new stylized frame
    stays as it is (Ruder et al. 2016). Averaging stylized frames blurs them, and repeated resampling blurs them more.
    So nearly all of the previous output is kept where the confidence is 1, and the detail of the result is amplified to
    the local energy of the new frame, a little beyond it where things move. Colour and light follow the new frame three
    times faster than strokes do, which keeps moving objects from smearing.
    """

    def __init__(self, flow: FlowEstimator, options: StabilizeOptions) -> None:
        self._flow = flow
        self._frames = _FramePairs()
        self._share = options.amount * (1 - MIN_FRESH)
        self._output: Tensor | None = None

    def motion(self, is_cut: bool, content: Tensor) -> Motion | None:
        """See `Stabilizer.motion`."""
        if self._share == 0:
            return None
        pair = self._frames(is_cut, content)
        if pair is None:
            return None
        now, before = pair
        return Motion(_with_confidence(self._flow(now.content, before.content), now, before))

    def blend(self, layers: Tensor, motion: Motion | None) -> Tensor:
        """Blend the stylized layers (N, 3, H, W) of one frame with their previous outputs along `motion`; in 0..1."""
        previous, self._output = self._output, layers
        if motion is None or previous is None or previous.shape != layers.shape:
            return layers
        blended = blend_previous(layers, previous, motion.backward, self._share, "bicubic")
        self._output = restore_detail(blended, compensated_energy(detail_energy(layers), motion.backward))
        return self._output

    def stabilize(self, frames: Iterable[Stylized[T]]) -> Iterator[tuple[T, Tensor]]:
        """See `Stabilizer.stabilize`; each frame is yielded before the next is asked for."""
        for item, layers, motion in frames:
            if layers is not None:
                self.blend(layers, motion)
            assert self._output is not None  # no film begins with a repetition
            yield item, self._output


class LookaheadStabilizer:
    """Runs a causal forward pass, then a backward pass from the frames that follow: steadier, and some frames late.

    An average over past and future has no lag, and the first frames of a shot are as steady as the last. The buffer
    holds WINDOW frames. A frame leaves it once the backward pass has begun at least LATENCY frames later. Frames are
    warped with a sharper filter than `CausalStabilizer` has time for.

    There is no forward pass over frames of a `recurrent` stylizer: they have been blended with the frames before them
    by the network itself, and the pass gained nothing but its cost (benchmarks/recurrence.py).
    """

    def __init__(self, flow: TwoWayEstimator, options: StabilizeOptions, recurrent: bool = False) -> None:
        self._flow = flow
        self._frames = _FramePairs()
        self._recurrent = recurrent
        self._share = options.amount * (1 - MIN_FRESH)
        # With n or more following frames, weighed 1, b, b², ... b^n, this is the share of all but the first. So the
        # last frame of a window weighs no more than others, and the window's end, which moves by leaps, is not seen.
        b = options.amount * BACKWARD_SHARE
        self._shares = [b * (1 - b**n) / (1 - b ** (n + 1)) for n in range(WINDOW + 1)]

    def motion(self, is_cut: bool, content: Tensor) -> Motion | None:
        """See `Stabilizer.motion`."""
        pair = self._frames(is_cut, content)
        if pair is None:
            return None
        now, before = pair
        backward, forward = self._flow.both(now.content, before.content)
        return Motion(_with_confidence(backward, now, before), _with_confidence(forward, before, now))

    def stabilize(self, frames: Iterable[Stylized[T]]) -> Iterator[tuple[T, Tensor]]:
        """See `Stabilizer.stabilize`; a frame is yielded up to WINDOW frames after it was read."""
        buffer: deque[_Buffered[T]] = deque()
        forward: Tensor | None = None
        stabilized: Tensor | None = None
        for item, layers, motion in frames:
            if layers is None and buffer:
                buffer[-1].items.append(item)
            elif layers is None:
                assert stabilized is not None  # no film begins with a repetition
                yield item, stabilized
            else:
                energy = detail_energy(layers)
                if motion is None or forward is None or forward.shape != layers.shape:
                    for one, stabilized in self._backward_pass(buffer, len(buffer)):
                        yield one, stabilized
                    forward = layers
                else:
                    assert motion.forward is not None
                    if buffer:
                        buffer[-1].to_next = _packed(motion.forward)
                    if self._recurrent:
                        forward = layers
                    else:
                        forward = blend_previous(layers, forward, motion.backward, self._share, "lanczos")
                        forward = restore_detail(forward, compensated_energy(energy, motion.backward))
                if buffer:
                    buffer[-1].layers = buffer[-1].layers.half()
                buffer.append(_Buffered([item], forward, energy))
            if sum(len(waiting.items) for waiting in buffer) >= WINDOW:
                for one, stabilized in self._backward_pass(buffer, max(len(buffer) - LATENCY, 1)):
                    yield one, stabilized
        yield from self._backward_pass(buffer, len(buffer))

    def _backward_pass(self, buffer: deque[_Buffered[T]], count: int) -> Iterator[tuple[T, Tensor]]:
        """Blend the buffered frames from the last to the first; remove and yield the oldest `count`."""
        done: list[Tensor] = []
        blended: Tensor | None = None
        for number in range(len(buffer) - 1, -1, -1):
            one = buffer[number]
            layers = one.layers.float()
            if blended is None or one.to_next is None:
                blended = layers
            else:
                # The following frames have followed colour and light already, in the forward pass or in the network.
                share = self._shares[min(len(buffer) - 1 - number, WINDOW)]
                flow = _unpacked(one.to_next, layers)
                blended = blend_previous(layers, blended, flow, share, "lanczos", color_fresh=0)
                energy = compensated_energy(one.energy, flow) if self._recurrent else DETAIL_BACK * one.energy
                blended = restore_detail(blended, energy)
            if number < count:
                done.append(blended)
        for picture in reversed(done):
            for item in buffer.popleft().items:
                yield item, picture


@dataclass(slots=True, eq=False)
class _Buffered(Generic[T]):
    """A frame that waits for those that follow it."""

    items: list[T]
    """Items of the frame and of those that repeat it."""
    layers: Tensor
    """The result of the forward pass, (N, 3, H, W); all but the last in half precision, for a 4K window is large."""
    energy: Tensor
    """The detail energy of the stylized frame before blending."""
    to_next: Flow | None = None
    """Flow on this frame, to the one that follows; None at the end of a shot."""


class _FramePairs:
    """Remembers the last frame, at both sizes that are needed."""

    def __init__(self) -> None:
        self._last: _View | None = None

    def __call__(self, is_cut: bool, content: Tensor) -> tuple[_View, _View] | None:
        """Return the given frame and the one before it; None if that was of another shot or size."""
        size = tuple(-(-side // SHRINK) for side in content.shape[-2:])
        before, self._last = self._last, _View(content, shrink(content, (size[0], size[1])))
        if is_cut or before is None or before.content.shape != content.shape:
            return None
        return self._last, before


class _View(NamedTuple):
    content: Tensor
    small: Tensor


def _with_confidence(flow: Flow, frame: _View, other: _View) -> Flow:
    """Return the flow on `frame` to `other` with the mask of `motion_confidence`."""
    return Flow(flow.vectors, motion_confidence(flow, frame.small, other.small))


def _packed(flow: Flow) -> Flow:
    """Store a flow in an eighth of the memory: half the size, half the precision."""
    h, w = (-(-side // 2) for side in flow.vectors.shape[-2:])
    return Flow(resize_flow(flow.vectors, (h, w)).half(), shrink(flow.confidence, (h, w)).half())


def _unpacked(flow: Flow, picture: Tensor) -> Flow:
    h, w = picture.shape[-2:]
    return Flow(resize_flow(flow.vectors.float(), (h, w)), enlarge(flow.confidence.float(), (h, w)))


def blend_previous(
    fresh: Tensor, other: Tensor, flow: Flow, share: float, resampling: Resampling, color_fresh: float = COLOR_FRESH
) -> Tensor:
    """Blend stylized layers (N, 3, H, W) with those of another frame, warped along `flow`, by its confidence mask.

    `share`, in 0..1, is the weight of the warped layers where the confidence is 1; `color_fresh`, in 0..1, how far
    their low-frequency colour and light is first moved to that of `fresh`. The result may leave 0..1 by a little.
    """
    h, w = fresh.shape[-2:]
    warped = warp(other, flow.vectors.expand(len(fresh), -1, -1, -1), resampling)
    if color_fresh:
        coarse = -(-h // COARSE), -(-w // COARSE)
        warped = warped + enlarge(color_fresh * (shrink(fresh, coarse) - shrink(warped, coarse)), (h, w))
    return mix(fresh, warped, (flow.confidence * share).expand(len(fresh), -1, -1, -1))


def compensated_energy(energy: Tensor, flow: Flow) -> Tensor:
    """Return the `detail_energy` to ask for after a warp along `flow` (1, 2, H, W), so that enough of it remains.

    It is `energy` where nothing moves or nothing was blended in: there is no loss to compensate.
    """
    moved = shrink(flow.vectors, (energy.shape[2], energy.shape[3])).norm(dim=1, keepdim=True).clamp_(max=1)
    confidence = shrink(flow.confidence, (energy.shape[2], energy.shape[3]))
    return energy * (1 + DETAIL_SURPLUS * moved * confidence)
