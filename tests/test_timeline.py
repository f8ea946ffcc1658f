"""Styles that change along a film: timelines, and the codes they give."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from videostyle.errors import UnknownNameError, UsageError
from videostyle.style import Blend, Style
from videostyle.timeline import Key, Timeline
from videostyle.weights import Codes, load_codes, load_style

DOTS: Blend = (("dots", 1.0),)
LINES: Blend = (("lines", 1.0),)
WAVES: Blend = (("waves", 1.0),)

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
times = st.fractions(0, 100, max_denominator=1000)


@st.composite
def timelines(draw: st.DrawFn, values: st.SearchStrategy[float]) -> Timeline[float]:
    steps = draw(st.lists(st.tuples(times, times), min_size=1, max_size=5))
    edges = list(accumulate(part for step in steps for part in step))
    return Timeline(tuple(Key(draw(values), a, b - a) for a, b in zip(edges[::2], edges[1::2], strict=True)))


def value_at(timeline: Timeline[float], time: Fraction) -> float:
    first, second, share = timeline.around(time)
    return first + share * (second - first)


@given(timelines(st.floats(0, 1)), times)
@quick
def test_a_timeline_stays_between_its_neighbouring_keys(timeline: Timeline[float], time: Fraction) -> None:
    first, second, share = timeline.around(time)
    assert 0 <= share < 1
    values = [key.value for key in timeline.keys]
    assert first in values
    assert second in values
    if time >= timeline.keys[-1].start:
        assert (first, share) == (values[-1], 0)
    if time <= timeline.keys[0].start and timeline.keys[0].start < timeline.keys[-1].start:
        assert share == 0


@given(timelines(st.floats(0, 1)))
@quick
def test_a_key_is_reached_when_it_starts_and_held_until_it_ends(timeline: Timeline[float]) -> None:
    for key, after in zip(timeline.keys, [*timeline.keys[1:], None], strict=True):
        if after is not None and after.start == key.start:
            continue  # passed over at once
        for time in (key.start, key.start + key.hold / 2):
            assert value_at(timeline, time) == key.value
        if after is None or after.start > key.end:
            assert value_at(timeline, key.end) == key.value


@given(st.floats(0, 1), st.floats(0, 1), times, times, st.fractions(0, 1), st.fractions(0, 1))
@quick
def test_a_glide_is_straight(
    a: float, b: float, start: Fraction, length: Fraction, one: Fraction, two: Fraction
) -> None:
    timeline = Timeline((Key(a, start), Key(b, start + length + 1)))
    near, far = (value_at(timeline, start + share * (length + 1)) for share in sorted((one, two)))
    assert min(a, b) - 1e-9 <= near <= max(a, b) + 1e-9
    assert (far - near) * (b - a) >= -1e-9
    assert near == pytest.approx(a + float(min(one, two)) * (b - a), abs=1e-9)


def test_a_glide_that_no_frame_sees_is_a_jump() -> None:
    jump = Timeline((Key("a", Fraction(0), Fraction(12)), Key("b", Fraction(12))))
    frames = [Fraction(number, 24) for number in range(24 * 20)]
    assert [now for before, now in pairwise(frames) if jump.jumps(before, now)] == [12]
    assert jump.around(Fraction(12))[0] == "b"
    quick_glide = Timeline((Key("a", Fraction("11.99")), Key("b", Fraction(12))))
    assert quick_glide.jumps(Fraction(287, 24), Fraction(12))
    glide = Timeline((Key("a", Fraction(11)), Key("b", Fraction(12))))
    same = Timeline((Key("a", Fraction(12)), Key("a", Fraction(12))))
    for calm in (glide, same, Timeline.of("a")):
        assert not any(calm.jumps(before, now) for before, now in pairwise(frames))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Timeline(()), "at least one key"),
        (lambda: Timeline((Key(0.0, Fraction(5)), Key(1.0, Fraction(4)))), "out of order: 5 s, then 4 s"),
        (lambda: Timeline((Key(0.0, Fraction(0), Fraction(3)), Key(1.0, Fraction(2)))), "overlap"),
        (lambda: Key(1.0, Fraction(-1)), "before the film"),
        (lambda: Style(strength=Timeline((Key(2.0),))), "strength must be between 0 and 1"),
        (lambda: Style(Timeline((Key(()),))), "name at least one style"),
        (lambda: Style(Timeline((Key((("a", 0.0),)),))), "weights"),
    ],
)
def test_timelines_that_make_no_sense_are_refused(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match=message):
        make()


def glide() -> Timeline[Blend]:
    keys = (Key(DOTS, Fraction(1)), Key(LINES, Fraction(3), Fraction(2)), Key((*DOTS, *WAVES), Fraction(10)))
    return Timeline(keys)


def test_at_each_key_the_code_is_that_of_its_blend(toy_gallery: Path) -> None:
    _, codes = load_codes(Style(glide()))
    for time, blend in ((0, DOTS), (1, DOTS), (3, LINES), (4, LINES), (5, LINES), (10, (*DOTS, *WAVES)), (99, None)):
        expected = load_style(Style(blend or (*DOTS, *WAVES)))[1]
        assert torch.equal(codes.at(Fraction(time)), expected)


@given(st.fractions(0, 12))
@quick
def test_between_keys_the_code_is_on_the_segment(toy_gallery: Path, time: Fraction) -> None:
    _, codes = load_codes(Style(glide()))
    start, end, share = codes.blends.around(time)
    assert torch.allclose(codes.at(time), start + share * (end - start), atol=1e-5)


@given(st.floats(0, 1), st.fractions(0, 12))
@quick
def test_strength_is_the_way_from_the_film_to_the_painting(toy_gallery: Path, strength: float, time: Fraction) -> None:
    network, codes = load_codes(Style(glide(), strength=strength))
    full = Codes(network.identity, codes.blends, (), Timeline.of(1.0)).at(time)
    assert torch.allclose(codes.at(time), network.identity + strength * (full - network.identity), atol=1e-5)
    if strength == 0:
        assert torch.equal(codes.at(time), network.identity)


def test_strength_and_style_have_times_of_their_own(toy_gallery: Path) -> None:
    network, codes = load_codes(Style(DOTS, strength=Timeline((Key(0.0, Fraction(0)), Key(1.0, Fraction(4))))))
    full = load_style(Style(DOTS))[1]
    assert torch.equal(codes.at(Fraction(0)), network.identity)
    assert torch.allclose(codes.at(Fraction(1)), torch.lerp(network.identity, full, 0.25))
    assert torch.allclose(codes.at(Fraction(5)), full)


def test_every_style_of_a_timeline_is_looked_up_before_painting(toy_gallery: Path) -> None:
    keys = (Key(DOTS), Key((("linse", 1.0),), Fraction(60)))
    with pytest.raises(UnknownNameError, match="did you mean lines"):
        load_codes(Style(Timeline(keys)))
