"""Excerpts: the few seconds of a film in which stylization is most likely to flicker, smear, darken or lose a face."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from videostyle.cuts import mark_cuts, small_bgr
from videostyle.io import open_source
from videostyle.progress import OnProgress, Progress, ignore
from videostyle.timeline import Span

# A film longer than _WHOLE seconds is sampled: _SAMPLES samples of _SAMPLE seconds, evenly spread.
_WHOLE, _SAMPLES, _SAMPLE = 60, 40, Fraction(1)
# Mean brightness, of 255, below which there is nothing to see: leaders, fades, the pause between titles.
_BLACK = 8
# A face that matters is about a third of the picture's height.
_FACE = 1 / 3


@dataclass(frozen=True, slots=True)
class FrameStatistics:
    """Statistics of one frame, measured on a small copy."""

    time: float
    """Seconds from the film's first frame."""
    motion: float
    """Mean difference to the previous frame, of 255; nan for the first frame of a shot."""
    light: float
    """Mean brightness, of 255."""
    detail: float
    """Mean edge strength of the most detailed square of a face's size."""
    is_cut: bool = False
    """True for the first frame of a shot that is not the film's first."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A few seconds of a film, and the reason for choosing them."""

    start: float
    seconds: float
    reason: str


def measure_frames(path: str, on_progress: OnProgress = ignore) -> list[FrameStatistics]:
    """Measure the frames of a film, or samples of a long one."""
    found: list[FrameStatistics] = []
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
                found.append(FrameStatistics(time, motion, float(picture.mean()), _detail(picture), is_cut))
                before = picture
                done = (time / float(duration or 1)) if len(spans) == 1 else number / len(spans)
                on_progress(Progress("looking for telling moments", done, 1 if duration else None))
    return found


def _spans(duration: Fraction | None) -> list[Span]:
    if duration is None or duration <= _WHOLE:
        return [Span()]
    starts = [(duration - _SAMPLE) * number / (_SAMPLES - 1) for number in range(_SAMPLES)]
    return [Span(start, start + _SAMPLE) for start in starts]


def _detail(picture: np.ndarray) -> float:
    edges = cv2.Laplacian(picture, cv2.CV_32F)
    side = max(round(picture.shape[0] * _FACE), 1)
    return float(cv2.blur(np.abs(edges), (side, side)).max())


def choose(frames: Sequence[FrameStatistics], seconds: float, duration: float | None = None) -> list[Excerpt]:
    """Choose up to four excerpts of `seconds`: most motion, darkest, across a cut, most detail.

    No two of them overlap by half. `duration` is the film's, if it is known. A film no longer than an excerpt is one.
    """
    if not frames:
        return []
    end = duration or frames[-1].time
    if end <= seconds:
        return [Excerpt(0.0, end, "the whole film")]
    times = np.array([one.time for one in frames])
    motion, light, detail = (_around(times, [getattr(one, name) for one in frames], seconds) for name in _MEASURES)
    black = _around(times, [float(one.light < _BLACK) for one in frames], seconds)
    cuts = [number for number, one in enumerate(frames) if one.is_cut]
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
    """Return the mean of the known values within half of `seconds` of each time; nan if there are none."""
    known = np.nan_to_num(np.array(values)), ~np.isnan(np.array(values))
    sums, counts = (np.concatenate([[0], np.cumsum(row)]) for row in known)
    first = np.searchsorted(times, times - seconds / 2, "left")
    last = np.searchsorted(times, times + seconds / 2, "right")
    count = counts[last] - counts[first]
    return np.where(count > 0, (sums[last] - sums[first]) / np.maximum(count, 1), np.nan)


def _best(scores: np.ndarray) -> Iterator[int]:
    """Yield the numbers of the frames that have a score, the highest first."""
    return (int(number) for number in np.argsort(-scores, kind="stable") if not np.isnan(scores[number]))
