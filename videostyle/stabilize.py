"""Keeps a painting from flickering: what is painted is carried along the film's motion, and only wears off slowly."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from torch import Tensor

from videostyle.flow import load_flow
from videostyle.ops.filters import box, enlarge, luma, mix, shrink, soften
from videostyle.ops.warp import Resampling, resize_flow, warp
from videostyle.plan import FlowOptions, StabilizeOptions
from videostyle.trust import trust
from videostyle.types import Flow, FlowEstimator, Motion, TwoWayEstimator

T = TypeVar("T")

# Trust is judged on pictures shrunk by this: where paint meets paint, edges finer than it would show.
SHRINK = 4
# However much is carried over, this share of every fresh painting comes in: what was wrong once fades.
LEAK = 0.06
# Colour and light, what is left of a picture shrunk by COARSE, follow the fresh painting faster than strokes do.
COARSE, FOLLOW = 4, 0.15
# Detail is compared over squares of this many pixels, and strengthened this many times at most.
DETAIL_AREA = 4
MOST_GAIN = 1.5
# (1/255)², a detail nobody sees: keeps noise in flat areas from being strengthened.
DETAIL_FLOOR = 1.5e-5
# Look-ahead works on so many frames at a time, and is done with those that so many others follow.
WINDOW, AHEAD = 24, 8
# Of a picture on the way back, so much comes from those that follow; half of it from the next four.
BACK = 0.85
# Where things move by a pixel and more, so much more detail is asked for than the fresh painting has: what follows will
# wear some off. The way back asks for less than all of it, lest it draw again what it has just calmed.
SURPLUS, DETAIL_BACK = 0.12, 0.95


Painting = tuple[T, Tensor | None, Motion | None]
"""Anything that belongs to a frame; its fresh paintings (N, 3, H, W), None where it repeats the frame before; and its
motion, None where a shot begins."""


class Steadier(Protocol):
    """The two modes have one interface."""

    def motion(self, is_cut: bool, content: Tensor) -> Motion | None:
        """How this frame (1, 3, H, W) moved since the previous one; looks at the film only, so may run in a thread.

        None at a cut, at the first frame and when the size changes: then there is nothing to carry over.
        """

    def steadied(self, paintings: Iterable[Painting[T]]) -> Iterator[tuple[T, Tensor]]:
        """The steady paintings (N, 3, H, W) in 0..1, each with what belongs to its frame, in the same order."""


def load_stabilizer(options: StabilizeOptions, flow: FlowOptions, device: str) -> Steadier:
    """The one that `options` asks for; its mode is "causal" or "lookahead"."""
    if options.mode == "causal" or options.amount == 0:
        return Stabilizer(load_flow(flow, device), options)
    return LookAhead(load_flow(flow, device), options)


class Stabilizer:
    """Causal: blends each painting with the previous output, moved to where things are now, where that can be trusted.

    Where it cannot, behind what moved away, at the rim, where the film itself changed, the fresh painting stays as it
    is (Ruder et al. 2016). Averaging paintings blurs them, and moving a picture by fractions of a pixel again and
    again blurs it more. So nearly all of what can be trusted is carried over, and detail is strengthened to the fresh
    painting's local energy, a little beyond where things move: what is strengthened is the detail that stayed, so it
    stays. Colour and light follow the fresh painting three times faster than strokes do, lest what moves smears.
    """

    def __init__(self, flow: FlowEstimator, options: StabilizeOptions) -> None:
        self._flow = flow
        self._watch = _Watch()
        self._share = options.amount * (1 - LEAK)
        self._output: Tensor | None = None

    def motion(self, is_cut: bool, content: Tensor) -> Motion | None:
        """See `Steadier`."""
        if self._share == 0:
            return None
        seen = self._watch(is_cut, content)
        if seen is None:
            return None
        now, before = seen
        return Motion(_trusted(self._flow(now.content, before.content), now, before))

    def blend(self, painted: Tensor, motion: Motion | None) -> Tensor:
        """Fresh paintings (N, 3, H, W) of one frame with their previous outputs blended in along `motion`; in 0..1."""
        previous, self._output = self._output, painted
        if motion is None or previous is None or previous.shape != painted.shape:
            return painted
        blended = carry(painted, previous, motion.back, self._share, "bicubic")
        self._output = restore_detail(blended, lasting(detail_energy(painted), motion.back))
        return self._output

    def steadied(self, paintings: Iterable[Painting[T]]) -> Iterator[tuple[T, Tensor]]:
        """See `Steadier`; each painting comes out before the next is asked for."""
        for item, painted, motion in paintings:
            if painted is not None:
                self.blend(painted, motion)
            assert self._output is not None  # no film begins with a repetition
            yield item, self._output


class LookAhead:
    """Steadier than the causal one, for films: goes forth as that does, then back from the frames that follow.

    An average over past and future has no lag, and the first frames of a shot are as steady as the last. It holds
    WINDOW frames, and lets go those for which the way back began at least AHEAD frames later. Pictures are moved with a
    sharper filter than there is time for in `Stabilizer`.
    """

    def __init__(self, flow: TwoWayEstimator, options: StabilizeOptions) -> None:
        self._flow = flow
        self._watch = _Watch()
        self._share = options.amount * (1 - LEAK)
        # Of n pictures and more that follow, weighed 1, b, b², ... b^n: all but the first's share of the whole. So the
        # last of a window weighs no more than others, and where it lies, which moves on by leaps, cannot be seen.
        b = options.amount * BACK
        self._shares = [b * (1 - b**n) / (1 - b ** (n + 1)) for n in range(WINDOW + 1)]

    def motion(self, is_cut: bool, content: Tensor) -> Motion | None:
        """See `Steadier`."""
        seen = self._watch(is_cut, content)
        if seen is None:
            return None
        now, before = seen
        back, ahead = self._flow.both(now.content, before.content)
        return Motion(_trusted(back, now, before), _trusted(ahead, before, now))

    def steadied(self, paintings: Iterable[Painting[T]]) -> Iterator[tuple[T, Tensor]]:
        """See `Steadier`; a painting comes out up to WINDOW frames after it went in."""
        held: deque[_Held[T]] = deque()
        forth: Tensor | None = None
        steady: Tensor | None = None
        for item, painted, motion in paintings:
            if painted is None and held:
                held[-1].items.append(item)
            elif painted is None:
                assert steady is not None  # no film begins with a repetition
                yield item, steady
            else:
                energy = detail_energy(painted)
                if motion is None or forth is None or forth.shape != painted.shape:
                    for one, steady in self._back(held, len(held)):
                        yield one, steady
                    forth = painted
                else:
                    assert motion.ahead is not None
                    if held:
                        held[-1].ahead = _packed(motion.ahead)
                    forth = carry(painted, forth, motion.back, self._share, "lanczos")
                    forth = restore_detail(forth, lasting(energy, motion.back))
                if held:
                    held[-1].forth = held[-1].forth.half()
                held.append(_Held([item], forth, energy))
            if sum(len(waiting.items) for waiting in held) >= WINDOW:
                for one, steady in self._back(held, max(len(held) - AHEAD, 1)):
                    yield one, steady
        yield from self._back(held, len(held))

    def _back(self, held: deque[_Held[T]], count: int) -> Iterator[tuple[T, Tensor]]:
        """The way back through all that is held; the oldest `count` are done with, and given up."""
        done: list[Tensor] = []
        back: Tensor | None = None
        for number in range(len(held) - 1, -1, -1):
            one = held[number]
            forth = one.forth.float()
            if back is None or one.ahead is None:
                back = forth
            else:
                # What follows has followed colour and light already.
                following = min(len(held) - 1 - number, WINDOW)
                back = carry(forth, back, _unpacked(one.ahead, forth), self._shares[following], "lanczos", follow=0)
                back = restore_detail(back, DETAIL_BACK * one.energy)
            if number < count:
                done.append(back)
        for picture in reversed(done):
            for item in held.popleft().items:
                yield item, picture


@dataclass(slots=True, eq=False)
class _Held(Generic[T]):
    """A painting that waits for those that follow it."""

    items: list[T]
    """Of its frame, and of those that repeat it."""
    forth: Tensor
    """What the way forth made of it, (N, 3, H, W); all but the last in half precision, for a window in 4K is large."""
    energy: Tensor
    """Of the fresh painting's detail."""
    ahead: Flow | None = None
    """To the frame that follows; None at the end of a shot."""


class _Watch:
    """Remembers the last frame, at both sizes that are needed of it."""

    def __init__(self) -> None:
        self._last: _View | None = None

    def __call__(self, is_cut: bool, content: Tensor) -> tuple[_View, _View] | None:
        """The frame given and the one before it; None where none of the same shot and size was before."""
        size = tuple(-(-side // SHRINK) for side in content.shape[-2:])
        before, self._last = self._last, _View(content, shrink(content, (size[0], size[1])))
        if is_cut or before is None or before.content.shape != content.shape:
            return None
        return self._last, before


class _View(NamedTuple):
    content: Tensor
    small: Tensor


def _trusted(flow: Flow, frame: _View, other: _View) -> Flow:
    """The flow on `frame` to `other`, its confidence replaced by the trust in what was painted there."""
    return Flow(flow.backward, trust(flow, frame.small, other.small))


def _packed(flow: Flow) -> Flow:
    """In an eighth of the memory: half the size, half the precision."""
    h, w = (-(-side // 2) for side in flow.backward.shape[-2:])
    return Flow(resize_flow(flow.backward, (h, w)).half(), shrink(flow.confidence, (h, w)).half())


def _unpacked(flow: Flow, picture: Tensor) -> Flow:
    h, w = picture.shape[-2:]
    return Flow(resize_flow(flow.backward.float(), (h, w)), enlarge(flow.confidence.float(), (h, w)))


def carry(
    fresh: Tensor, other: Tensor, flow: Flow, share: float, resampling: Resampling, follow: float = FOLLOW
) -> Tensor:
    """Paintings (N, 3, H, W) with those of another frame blended in along `flow`, as far as it is trusted.

    `share`, in 0..1, is how much of what is carried over stands where trust is full; `follow`, in 0..1, how much of its
    colour and light, in the large, is brought to that of `fresh`. The result may leave 0..1 by a little.
    """
    h, w = fresh.shape[-2:]
    moved = warp(other, flow.backward.expand(len(fresh), -1, -1, -1), resampling)
    if follow:
        coarse = -(-h // COARSE), -(-w // COARSE)
        moved = moved + enlarge(follow * (shrink(fresh, coarse) - shrink(moved, coarse)), (h, w))
    return mix(fresh, moved, (flow.confidence * share).expand(len(fresh), -1, -1, -1))


def restore_detail(blended: Tensor, energy: Tensor) -> Tensor:
    """`blended` (N, 3, H, W) with its finest detail strengthened to a local `energy`, in 0..1.

    Detail is what a blur of one pixel takes away; `energy` is `detail_energy`'s of another picture. Where `blended` has
    as much it is left alone, so with its own energy it is returned as it is.
    """
    blended = blended.clamp(0, 1)
    gain = (energy / detail_energy(blended)).sqrt_().clamp_(1, MOST_GAIN)
    h, w = blended.shape[-2:]
    # Away from the blurred picture by as much again as detail is wanting.
    return mix(blended, soften(blended), enlarge(1 - gain, (h, w))).clamp_(0, 1)


def lasting(energy: Tensor, flow: Flow) -> Tensor:
    """The `detail_energy` to ask for in what was carried along `flow` (1, 2, H, W), so that enough of it stays.

    Unchanged where nothing moves or nothing was carried: there is nothing to make up for.
    """
    moved = shrink(flow.backward, (energy.shape[2], energy.shape[3])).norm(dim=1, keepdim=True).clamp_(max=1)
    carried = shrink(flow.confidence, (energy.shape[2], energy.shape[3]))
    return energy * (1 + SURPLUS * moved * carried)


def detail_energy(picture: Tensor) -> Tensor:
    """The energy of the finest detail in brightness, over some ten pixels: (N, 1, H / 4, W / 4)."""
    brightness = luma(picture)
    detail = soften(brightness).sub_(brightness)
    h, w = picture.shape[-2:]
    areas = -(-h // DETAIL_AREA), -(-w // DETAIL_AREA)
    return box(shrink(detail.square_(), areas), 1) + DETAIL_FLOOR
