"""Which frames of a film to paint as pictures of their own: the ends of each shot, and wherever too much is new."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from torch import Tensor

from videostyle.cuts import mark_cuts
from videostyle.ops.pixels import resize, to_float
from videostyle.optimize.motion import Reach, coverage, view
from videostyle.types import Flow, Frame

# A frame that is covered less than this by the last keyframe is the next one. Frames between are reached from both.
MIN_COVERAGE = 0.6
# Trusted or not, motion over more frames than this drifts.
LONGEST = 48
# Keyframes are at least so far apart: water and leaves are out of reach after a few frames whatever is painted. A shot
# that ends sooner after one needs no other.
SHORTEST = 12
# A painted keyframe agrees with so many before it (Ruder et al. 2016, short and long term).
EARLIER = 2


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """A keyframe, before it is painted."""

    number: int
    """Of the frame, from 0 at the start of the part that is painted."""
    time: Fraction
    """Seconds from the film's first frame."""
    is_cut: bool
    """The first of its shot."""
    content: Tensor
    """(1, 3, H, W) in 0..1."""
    earlier: tuple[Flow, ...]
    """On it, to the keyframes before it in its shot, the last first."""


def choose_keys(
    frames: Iterable[Frame],
    origin: Fraction,
    size: tuple[int, int],
    every: int | None = None,
    given: Collection[int] = (),
) -> Iterator[Key]:
    """The keyframes of a film, as they come; `size` is (H, W) of what is painted, `origin` the time of frame 0.

    `every`: one every so many frames of a shot. `given`: those of these numbers, and no others.
    """
    reaches: deque[Reach] = deque(maxlen=EARLIER)
    since = 0
    last: Key | None = None
    for number, frame in enumerate(mark_cuts(frames)):
        content = resize(to_float(frame), size)
        seen = view(content)
        if frame.is_cut:
            if last is not None and since >= SHORTEST:
                yield last
            reaches.clear()
        flows = tuple(reach(seen) for reach in reaches)
        key = Key(number, frame.pts * frame.time_base - origin, frame.is_cut, content, flows)
        since += 1
        if number in given if given else not flows or _is_due(flows[0], since, every):
            yield key
            reaches.appendleft(Reach(seen))
            since = 0
        # Where keyframes are chosen by what is new, the last of a shot is one: else nothing would be known of what
        # comes into view after the one before.
        last = None if given or every is not None else key
    if last is not None and since >= SHORTEST:
        yield last


def _is_due(flow: Flow, since: int, every: int | None) -> bool:
    if every is not None:
        return since >= every
    return since >= LONGEST or (since >= SHORTEST and coverage(flow) < MIN_COVERAGE)
