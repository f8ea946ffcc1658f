"""Which few seconds of a film tell most: where a painting flickers, smears, sinks into the dark or loses a face."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from videostyle.cuts import mark_cuts, small_bgr
from videostyle.io import open_source
from videostyle.timeline import Span

# A film longer than this is looked into here and there: so many looks of so many seconds, evenly spread.
_WHOLE, _LOOKS, _LOOK = 60, 40, Fraction(1)
# Mean brightness, of 255, below which there is nothing to see: leaders, fades, the pause between titles.
_BLACK = 8
# A face that matters is about a third of the picture's height.
_FACE = 1 / 3


@dataclass(frozen=True, slots=True)
class Glance:
    """What one frame is like, seen small."""

    time: float
    """Seconds from the film's first frame."""
    motion: float
    """Mean difference to the frame before, of 255; nan where there is none, or another shot."""
    light: float
    """Mean brightness, of 255."""
    detail: float
    """Mean edge strength of the most detailed part that is as large as a face."""
    is_cut: bool = False
    """The first frame of a shot that is not the film's first."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A few seconds of a film, and why."""

    start: float
    seconds: float
    reason: str


def glance(path: str, on_share: Callable[[float], None] | None = None) -> list[Glance]:
    """Look through a film once; into a long one here and there. `on_share` is told how far it is, 0..1."""
    found: list[Glance] = []
    with open_source(path) as film:
        origin = film.info.start or Fraction(0)
        duration = film.info.duration
        spans = _spans(duration)
        for number, span in enumerate(spans):
            before: np.ndarray | None = None
            for frame in mark_cuts(film.frames(span)):
                picture = cv2.cvtColor(small_bgr(frame.pixels), cv2.COLOR_BGR2GRAY)
                time = float(frame.pts * frame.time_base - origin)
                is_cut = frame.is_cut and before is not None
                motion = np.nan if before is None or is_cut else float(cv2.absdiff(picture, before).mean())
                found.append(Glance(time, motion, float(picture.mean()), _detail(picture), is_cut))
                before = picture
                if on_share is not None and duration:
                    on_share(min(time / float(duration), 1) if len(spans) == 1 else number / len(spans))
    return found


def _spans(duration: Fraction | None) -> list[Span]:
    if duration is None or duration <= _WHOLE:
        return [Span()]
    starts = [(duration - _LOOK) * number / (_LOOKS - 1) for number in range(_LOOKS)]
    return [Span(start, start + _LOOK) for start in starts]


def _detail(picture: np.ndarray) -> float:
    edges = cv2.Laplacian(picture, cv2.CV_32F)
    side = max(round(picture.shape[0] * _FACE), 1)
    return float(cv2.blur(np.abs(edges), (side, side)).max())


def choose(glances: Sequence[Glance], seconds: float, duration: float | None = None) -> list[Excerpt]:
    """Up to four excerpts of `seconds`, no two of them half the same: most motion, darkest, across a cut, most detail.

    `duration` is the film's, where it is known. A film no longer than an excerpt is one.
    """
    if not glances:
        return []
    end = duration or glances[-1].time
    if end <= seconds:
        return [Excerpt(0.0, end, "the whole film")]
    times = np.array([one.time for one in glances])
    motion, light, detail = (_around(times, [getattr(one, name) for one in glances], seconds) for name in _MEASURES)
    black = _around(times, [float(one.light < _BLACK) for one in glances], seconds)
    cuts = [number for number, one in enumerate(glances) if one.is_cut]
    wanted = {
        "the most motion": _best(motion),
        "the darkest": _best(np.where(black == 0, -light, np.nan)),
        "across a cut": iter(sorted(cuts, key=lambda number: -detail[number])),
        "a face-sized detail": _best(detail),
    }
    chosen: list[Excerpt] = []
    for reason, numbers in wanted.items():
        for number in numbers:
            start = round(min(max(times[number] - seconds / 2, 0), end - seconds), 2)
            if all(abs(start - other.start) >= seconds / 2 for other in chosen):
                chosen.append(Excerpt(float(start), seconds, reason))
                break
    return chosen


_MEASURES = ("motion", "light", "detail")


def _around(times: np.ndarray, values: Sequence[float], seconds: float) -> np.ndarray:
    """The mean of what is known within half of `seconds` of each time; nan where nothing is."""
    known = np.nan_to_num(np.array(values)), ~np.isnan(np.array(values))
    sums, counts = (np.concatenate([[0], np.cumsum(row)]) for row in known)
    first = np.searchsorted(times, times - seconds / 2, "left")
    last = np.searchsorted(times, times + seconds / 2, "right")
    count = counts[last] - counts[first]
    return np.where(count > 0, (sums[last] - sums[first]) / np.maximum(count, 1), np.nan)


def _best(scores: np.ndarray) -> Iterator[int]:
    """Numbers of the frames with a score, the highest first."""
    return (int(number) for number in np.argsort(-scores, kind="stable") if not np.isnan(scores[number]))
