"""Carries painted keyframes to the frames between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from fractions import Fraction
from types import TracebackType
from typing import Self

from torch import Tensor

from videostyle.io import open_source
from videostyle.ops.filters import mix
from videostyle.ops.pixels import resize, to_float
from videostyle.ops.warp import warp
from videostyle.optimize.motion import Reach, View, at_size, nowhere, packed, view
from videostyle.stabilize import detail_energy, restore_detail
from videostyle.timeline import Span
from videostyle.types import ALONE, Flow, Moment, Stylizer

# Trust from which on what is carried stands alone: it is judged strictly, and a tenth of another painting mixed into
# what moved rightly shows more than what moved a little wrong.
FULL_CONFIDENCE = 0.6


@dataclass(frozen=True, slots=True, eq=False)
class PaintedKey:
    """A keyframe and its painting."""

    number: int
    """Of the frame, from 0 at the start of the part."""
    is_cut: bool
    """The first of its shot."""
    picture: Tensor
    """(1, 3, H, W) in 0..1."""


@dataclass(frozen=True, slots=True, eq=False)
class _Way:
    """From one frame to the keyframes around it."""

    time: Fraction
    before: int
    """The keyframe, by its place among them."""
    to_before: Flow
    to_after: Flow
    share: float
    """Of the way from the keyframe before to the one after, in 0..1."""


class KeyframePropagator(AbstractContextManager["KeyframePropagator"]):
    """A stylizer that paints the frames of one film by the keyframes of it, in order.

    Each frame is reached from the keyframes on both sides of it, whose paintings are moved onto it and weighed by trust
    and nearness, so that one gives way to the next without a change that can be seen. An average of two paintings is
    soft: its detail is brought back to theirs. Where neither is trusted, `fill` paints.

    It reads the film itself, a keyframe ahead: motion from the one after has to be known before it comes.
    """

    def __init__(
        self, path: str, span: Span, size: tuple[int, int], keys: Sequence[PaintedKey], fill: Stylizer
    ) -> None:
        """`size` is (H, W) of what is painted."""
        self._path = path
        self._span = span
        self._size = size
        self._keys = keys
        self._fill = fill
        self._filled = False
        self.recurrent = fill.recurrent
        self._ways: Iterator[_Way] = iter(())

    def __enter__(self) -> Self:
        self._ways = self._follow()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        close = getattr(self._ways, "close", None)
        if close is not None:
            close()

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """That of what fills in."""
        return self._fill.working_size(height, width)

    def __call__(self, content: Tensor, moment: Moment = ALONE) -> Tensor:
        """See `videostyle.types.Stylizer`; times rise, and are those of the film's frames."""
        way = next(way for way in self._ways if way.time >= moment.time)
        size = content.shape[2], content.shape[3]
        to_before, to_after = (at_size(flow, size) for flow in (way.to_before, way.to_after))
        first = self._keys[way.before].picture
        near, far = to_before.confidence * (1 - way.share), to_after.confidence * way.share
        carried = warp(first, to_before.vectors, "lanczos").clamp(0, 1)
        energy = detail_energy(carried)
        if far.any():
            other = warp(self._keys[way.before + 1].picture, to_after.vectors, "lanczos").clamp(0, 1)
            share = far / (near + far).clamp(min=1e-6)
            carried = mix(carried, other, share)
            small = resize(share, (energy.shape[2], energy.shape[3]))
            energy = mix(energy, detail_energy(other), small)
            carried = restore_detail(carried, energy)
        covered = (1 - (1 - to_before.confidence) * (1 - to_after.confidence)).div(FULL_CONFIDENCE).clamp(max=1)
        if float(covered.min()) > 0.99:
            self._filled = False
            return carried
        # What was filled in before the last frame is of no use: the motion is that since the last frame.
        fresh = self._fill(content, moment if self._filled else replace(moment, is_cut=True, motion=None))
        self._filled = True
        return mix(fresh, carried, covered)

    def _follow(self) -> Iterator[_Way]:
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

    def _between(self, place: int, frames: Sequence[tuple[Fraction, View]], after: View | None) -> Iterator[_Way]:
        """From a keyframe, the first of `frames`, to before the next one, `after`; None where the shot ends."""
        reach = Reach(frames[0][1])
        forth = [packed(reach(seen)) for _, seen in frames]
        back = [nowhere(self._size)] * len(frames)
        if after is not None:
            reach = Reach(after)
            back = [packed(reach(seen)) for _, seen in reversed(frames)][::-1]
        for number, ((time, _), to_before, to_after) in enumerate(zip(frames, forth, back, strict=True)):
            yield _Way(time, place, to_before, to_after, number / len(frames) if after is not None else 0.0)
