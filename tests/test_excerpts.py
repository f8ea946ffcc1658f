from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from media import Planes, flat, natural, write_film

from videostyle.metrics.excerpts import FrameStatistics, choose, measure_frames


def calm(time: float, **more: float) -> FrameStatistics:
    return FrameStatistics(time, **{"motion": 1.0, "light": 100.0, "detail": 5.0, **more})  # type: ignore[arg-type]


def film(seconds: int, rate: int = 10) -> list[FrameStatistics]:
    return [calm(number / rate) for number in range(seconds * rate)]


def starts(found: list[FrameStatistics], seconds: float = 4.0) -> dict[str, float]:
    return {one.reason: one.start for one in choose(found, seconds, found[-1].time + 0.1)}


def test_each_reason_finds_its_moment() -> None:
    found = film(60)
    for number, one in enumerate(found):
        if 10 <= one.time < 14:
            found[number] = calm(one.time, motion=20.0)
        elif 25 <= one.time < 29:
            found[number] = calm(one.time, light=30.0)
        elif 45 <= one.time < 49:
            found[number] = calm(one.time, detail=40.0)
    found[350] = FrameStatistics(35.0, math.nan, 100.0, 5.0, is_cut=True)
    chosen = starts(found)
    assert chosen["the most motion"] == pytest.approx(10, abs=0.3)
    assert chosen["the darkest"] == pytest.approx(25, abs=0.3)
    assert chosen["across a cut"] == pytest.approx(33, abs=0.3)
    assert chosen["a face-sized detail"] == pytest.approx(45, abs=0.3)


def test_black_is_not_dark() -> None:
    found = film(40)
    for number, one in enumerate(found):
        if one.time < 10:
            found[number] = calm(one.time, light=1.0)
        elif 20 <= one.time < 24:
            found[number] = calm(one.time, light=40.0)
    assert starts(found)["the darkest"] == pytest.approx(20, abs=0.3)


def test_a_cut_is_not_motion() -> None:
    found = film(40)
    found[100] = FrameStatistics(10.0, math.nan, 100.0, 5.0, is_cut=True)
    found[300] = calm(30.0, motion=8.0)
    assert starts(found)["the most motion"] == pytest.approx(28, abs=2)


def test_no_two_excerpts_are_half_the_same_and_none_leaves_the_film() -> None:
    chosen = choose(film(9), 4.0, 9.0)
    begins = sorted(one.start for one in chosen)
    assert len(begins) > 1
    assert all(later - earlier >= 2 for earlier, later in pairwise(begins))
    assert all(one.start >= 0 and one.start + one.seconds <= 9 for one in chosen)


def test_a_short_film_is_its_own_excerpt() -> None:
    (only,) = choose(film(3), 4.0, 3.0)
    assert (only.start, only.seconds) == (0.0, 3.0)
    assert choose([], 4.0) == []


def test_a_film_is_seen_as_it_is(tmp_path: Path) -> None:
    """A second of grey, then a cut to a second of something like a photograph that moves."""
    size = (96, 64)
    grey = [flat(size, "yuv420p", (60, 128, 128))] * 10
    lively: list[Planes] = [natural(size, "yuv420p", 4 * number) for number in range(10)]
    path = write_film(tmp_path / "two.mp4", [*grey, *lively], rate=10)  # type: ignore[arg-type]
    shares: list[float] = []
    found = measure_frames(str(path), lambda progress: shares.append(progress.share))
    assert [one.time for one in found] == pytest.approx(np.arange(20) / 10)
    assert [one.time for one in found if one.is_cut] == [1.0]
    assert found[5].motion == 0 < found[15].motion
    assert found[5].light < found[15].light
    assert found[5].detail < 1 < found[15].detail
    assert shares == sorted(shares)
    assert shares[-1] <= 1
