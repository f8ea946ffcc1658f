"""Selection of keyframes: the ends of each shot, and frames that show too much new content."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from torch import Tensor

from videostyle.cuts import mark_cuts
from videostyle.ops.pixels import resize, to_float
from videostyle.optimize.motion import KeyframeTracker, coverage, view
from videostyle.types import Flow, Frame

# A frame whose coverage by the last keyframe is below this is the next one. Frames between are reached from both.
MIN_COVERAGE = 0.6
# Motion over more frames than this drifts, whatever its confidence.
LONGEST = 48
# Least distance of keyframes in frames: the motion of water and leaves is lost after a few frames in any case. A shot
# that ends sooner after a keyframe needs no other.
SHORTEST = 12
# Number of earlier keyframes with which a painted one has to agree (Ruder et al. 2016, short and long term).
EARLIER = 2


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """A keyframe, before it is painted."""

    number: int
    """Number of the frame, from 0 at the start of the span."""
    time: Fraction
    """Seconds from the film's first frame."""
    is_cut: bool
    """True for the first frame of a shot."""
    content: Tensor
    """(1, 3, H, W) in 0..1."""
    earlier: tuple[Flow, ...]
    """Flows on it, to the previous keyframes of its shot, the last first."""


def choose_keys(
    frames: Iterable[Frame],
    origin: Fraction,
    size: tuple[int, int],
    every: int | None = None,
    given: Collection[int] = (),
) -> Iterator[Key]:
    """Yield the keyframes of a film as they come; `size` is their (H, W), `origin` the time of frame 0.

    `every` asks for one every so many frames of a shot; `given` for the frames of these numbers, and no others.
    """
    trackers: deque[KeyframeTracker] = deque(maxlen=EARLIER)
    since = 0
    last: Key | None = None
    for number, frame in enumerate(mark_cuts(frames)):
        content = resize(to_float(frame), size)
        seen = view(content)
        if frame.is_cut:
            if last is not None and since >= SHORTEST:
                yield last
            trackers.clear()
        flows = tuple(tracker(seen) for tracker in trackers)
        key = Key(number, frame.pts * frame.time_base - origin, frame.is_cut, content, flows)
        since += 1
        if number in given if given else not flows or _is_due(flows[0], since, every):
            yield key
            trackers.appendleft(KeyframeTracker(seen))
            since = 0
        # If keyframes are chosen by coverage, the last frame of a shot is one: else the content that comes into view
        # after the previous keyframe would be in none.
        last = None if given or every is not None else key
    if last is not None and since >= SHORTEST:
        yield last


def _is_due(flow: Flow, since: int, every: int | None) -> bool:
    if every is not None:
        return since >= every
    return since >= LONGEST or (since >= SHORTEST and coverage(flow) < MIN_COVERAGE)
