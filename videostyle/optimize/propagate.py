"""Propagation of painted keyframes to the frames between them, by warping along long-range flow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from fractions import Fraction
from types import TracebackType
from typing import Self

from torch import Tensor

from videostyle.io import open_source
from videostyle.ops.detail import detail_energy, restore_detail
from videostyle.ops.filters import mix
from videostyle.ops.pixels import resize, to_float
from videostyle.ops.warp import warp
from videostyle.optimize.motion import KeyframeTracker, View, at_size, no_flow, packed, view
from videostyle.timeline import Span
from videostyle.types import ALONE, Flow, Moment, Stylizer

# Confidence from which on the warped keyframes are used alone: the mask is strict, and a tenth of another painting
# mixed into a correct warp is more visible than a slightly wrong warp.
FULL_CONFIDENCE = 0.6


@dataclass(frozen=True, slots=True, eq=False)
class PaintedKey:
    """A keyframe and its painting."""

    number: int
    """Number of the frame, from 0 at the start of the span."""
    is_cut: bool
    """True for the first frame of a shot."""
    picture: Tensor
    """(1, 3, H, W) in 0..1."""


@dataclass(frozen=True, slots=True, eq=False)
class _Link:
    """Flows from one frame to the keyframes around it."""

    time: Fraction
    before: int
    """Index of the keyframe before."""
    to_before: Flow
    to_after: Flow
    share: float
    """Position between the keyframe before and the one after, in 0..1."""


class KeyframePropagator(AbstractContextManager["KeyframePropagator"]):
    """A stylizer that propagates the painted keyframes of one film to its frames, in order.

    The keyframes on both sides of a frame are warped onto it and weighted by confidence and distance, so that the
    transition from one to the next is not visible. An average of two paintings is soft: its detail energy is restored.
    Where neither has confidence, the stylizer `fill` is used.

    It reads the film itself, one keyframe ahead, because the flow to the next keyframe is needed before it comes.
    """

    def __init__(
        self, path: str, span: Span, size: tuple[int, int], keys: Sequence[PaintedKey], fill: Stylizer
    ) -> None:
        """Propagate `keys` of `size` (H, W) through the span of the film."""
        self._path = path
        self._span = span
        self._size = size
        self._keys = keys
        self._fill = fill
        self._filled = False
        self.recurrent = fill.recurrent
        self._links: Iterator[_Link] = iter(())

    def __enter__(self) -> Self:
        self._links = self._follow()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        close = getattr(self._links, "close", None)
        if close is not None:
            close()

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the working size of the stylizer that fills in."""
        return self._fill.working_size(height, width)

    def __call__(self, content: Tensor, moment: Moment = ALONE) -> Tensor:
        """See `videostyle.types.Stylizer`; times rise, and are those of the film's frames."""
        link = next(link for link in self._links if link.time >= moment.time)
        size = content.shape[2], content.shape[3]
        to_before, to_after = (at_size(flow, size) for flow in (link.to_before, link.to_after))
        first = self._keys[link.before].picture
        near, far = to_before.confidence * (1 - link.share), to_after.confidence * link.share
        warped = warp(first, to_before.vectors, "lanczos").clamp(0, 1)
        energy = detail_energy(warped)
        if far.any():
            other = warp(self._keys[link.before + 1].picture, to_after.vectors, "lanczos").clamp(0, 1)
            share = far / (near + far).clamp(min=1e-6)
            warped = mix(warped, other, share)
            small = resize(share, (energy.shape[2], energy.shape[3]))
            energy = mix(energy, detail_energy(other), small)
            warped = restore_detail(warped, energy)
        covered = (1 - (1 - to_before.confidence) * (1 - to_after.confidence)).div(FULL_CONFIDENCE).clamp(max=1)
        if float(covered.min()) > 0.99:
            self._filled = False
            return warped
        # An output from before the last frame is of no use as prior: the motion is that since the last frame.
        fresh = self._fill(content, moment if self._filled else replace(moment, is_cut=True, motion=None))
        self._filled = True
        return mix(fresh, warped, covered)

    def _follow(self) -> Iterator[_Link]:
        with open_source(self._path) as film:
            origin = film.info.start or Fraction(0)
            numbers = {key.number: place for place, key in enumerate(self._keys)}
            place = 0
            waiting: list[tuple[Fraction, View]] = []
            for number, frame in enumerate(film.frames(self._span)):
                seen = view(resize(to_float(frame), self._size))
                if number in numbers and waiting:
                    new = self._keys[numbers[number]]
                    yield from self._between(place, waiting, None if new.is_cut else seen)
                    place, waiting = numbers[number], []
                waiting.append((frame.pts * frame.time_base - origin, seen))
            yield from self._between(place, waiting, None)

    def _between(self, place: int, frames: Sequence[tuple[Fraction, View]], after: View | None) -> Iterator[_Link]:
        """Yield the links from a keyframe, the first of `frames`, to the next one, `after`; None ends the shot."""
        tracker = KeyframeTracker(frames[0][1])
        to_befores = [packed(tracker(seen)) for _, seen in frames]
        to_afters = [no_flow(self._size)] * len(frames)
        if after is not None:
            tracker = KeyframeTracker(after)
            to_afters = [packed(tracker(seen)) for _, seen in reversed(frames)][::-1]
        for number, ((time, _), to_before, to_after) in enumerate(zip(frames, to_befores, to_afters, strict=True)):
            yield _Link(time, place, to_before, to_after, number / len(frames) if after is not None else 0.0)
