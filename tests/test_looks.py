"""What the looks do to a film: each alone, all together, and what they leave as it is."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moving import pan, texture, to_tensor
from torch import Tensor

import videostyle
import videostyle.engines
from videostyle.engines import load_engine
from videostyle.errors import SourceError, UsageError
from videostyle.io.memory import MemorySink, MemorySource
from videostyle.ops.pixels import to_pixels
from videostyle.pipeline import render
from videostyle.plan import RenderPlan, StabilizeOptions
from videostyle.plugins import available
from videostyle.style import Blend, Region, Style
from videostyle.stylizers import load_stylizer
from videostyle.timeline import Key, Span, Timeline
from videostyle.types import Frame, Moment
from videostyle.weights import load_style

DOTS: Blend = (("dots", 1.0),)
LINES: Blend = (("lines", 1.0),)
WAVES: Blend = (("waves", 1.0),)
NONE: Blend = (("none", 1.0),)
SIZE = (48, 64)
FILM = [to_pixels(picture[0]) for picture in pan(5, (2, 0), size=SIZE)]
LEFT, RIGHT = slice(0, 28), slice(36, 64)  # but for the feather


def painted(style: Style, film: list[Tensor] = FILM, **plan) -> list[Tensor]:  # type: ignore[no-untyped-def]
    sink = MemorySink()
    plan = {"engine": "torch", **plan}
    render(RenderPlan("memory", "memory", style=style, **plan), source=MemorySource(film), sink=sink)
    return [frame.pixels for frame in sink.frames]


def same(one: list[Tensor], two: list[Tensor], part: slice = slice(None)) -> bool:
    return all(torch.equal(a[..., part], b[..., part]) for a, b in zip(one, two, strict=True))


@pytest.fixture
def halves(tmp_path: Path) -> str:
    """White on the right."""
    picture = np.zeros(SIZE, np.uint8)
    picture[:, 32:] = 255
    cv2.imwrite(str(tmp_path / "right.png"), picture)
    return str(tmp_path / "right.png")


@pytest.fixture
def white(tmp_path: Path) -> str:
    cv2.imwrite(str(tmp_path / "white.png"), np.full((11, 7, 3), 255, np.uint8))
    return str(tmp_path / "white.png")


EVERYTHING = Style(
    Timeline((Key(DOTS), Key(LINES, Fraction(1, 12)))), strength=0.7, keep_colors=True, brush=1.5, statistics="shot"
)


def test_strength_zero_is_the_film_bit_for_bit_whatever_else_is_asked(toy_gallery: Path, white: str) -> None:
    deep = [picture.to(torch.int32).mul(257).to(torch.uint16) for picture in FILM]
    style = replace(EVERYTHING, strength=0.0, regions=(Region(WAVES, white),))
    assert same(painted(style, deep), deep)


def test_what_is_none_for_a_while_is_the_film_for_that_while(toy_gallery: Path) -> None:
    keys = (Key(NONE, Fraction(0), Fraction(2, 24)), Key(DOTS, Fraction(4, 24)))
    frames = painted(Style(Timeline(keys)))
    assert same(frames[:3], FILM[:3])
    assert not torch.equal(frames[3], FILM[3])


def test_each_frame_of_a_glide_has_the_code_of_its_own_time(toy_gallery: Path) -> None:
    """Times of variable rate, and counted from the film's first frame, wherever its own times begin."""
    start, ticks = 7000, [0, 10, 15, 90, 100]
    frames = [
        Frame(picture, start + tick, Fraction(1, 100), 1, index)
        for index, (picture, tick) in enumerate(zip(FILM, ticks, strict=True))
    ]
    style = Style(Timeline((Key(DOTS), Key(LINES, Fraction(1)))))
    got = painted(style, frames, stabilize=StabilizeOptions(0))  # type: ignore[arg-type]
    for picture, tick, result in zip(FILM, ticks, got, strict=True):
        (alone,) = painted(Style((("dots", 100 - tick), ("lines", tick))), [picture])
        assert (alone.int() - result.int()).abs().max() <= 1


def test_a_part_is_painted_as_it_is_in_the_whole_film(toy_gallery: Path) -> None:
    style = Style(
        Timeline((Key(DOTS), Key(LINES, Fraction(4, 24)))), strength=Timeline((Key(0.2), Key(1.0, Fraction(1))))
    )
    steady = {"stabilize": StabilizeOptions(0)}
    assert same(painted(style, span=Span(Fraction(2, 24)), **steady), painted(style, **steady)[2:])


def test_a_jump_of_style_starts_afresh_as_a_cut_does(toy_gallery: Path) -> None:
    jump = Style(Timeline((Key(DOTS, Fraction(0), Fraction(3, 24)), Key(LINES, Fraction(3, 24)))), statistics="shot")
    frames = painted(jump)
    assert same(frames[:3], painted(Style(DOTS, statistics="shot"), FILM[:3]))
    # The search for motion starts from the last flow, so only the first frame is the same to the last bit.
    causal = {"stabilize": StabilizeOptions(mode="causal")}
    assert torch.equal(painted(jump, **causal)[3], painted(Style(LINES, statistics="shot"), FILM[3:], **causal)[0])


def test_a_mask_of_ones_is_no_mask(toy_gallery: Path, white: str) -> None:
    for style in (Style(DOTS), EVERYTHING):
        assert same(painted(replace(style, mask=white)), painted(style))


@pytest.mark.parametrize("style", [Style(DOTS), EVERYTHING], ids=["plain", "everything"])
def test_where_the_mask_is_black_the_film_is_left_bit_for_bit(toy_gallery: Path, halves: str, style: Style) -> None:
    """Also with the stabiliser on, in a film that moves across the mask's edge."""
    frames = painted(replace(style, mask=halves), stabilize=StabilizeOptions(1))
    assert same(frames, FILM, LEFT)
    assert same(frames, painted(style, stabilize=StabilizeOptions(1)), RIGHT)


def test_regions_are_each_the_painting_they_would_be_alone(toy_gallery: Path, halves: str) -> None:
    for statistics in ("frame", "shot"):
        base = Style(DOTS, statistics=statistics)  # type: ignore[arg-type]
        frames = painted(replace(base, regions=(Region(LINES, halves),)))
        for blend, part in ((DOTS, LEFT), (LINES, RIGHT)):
            for one, two in zip(frames, painted(replace(base, blend=blend)), strict=True):
                assert (one.int() - two.int())[..., part].abs().max() <= 1


def test_a_later_region_lies_over_an_earlier_one(toy_gallery: Path, white: str) -> None:
    both = Style(DOTS, regions=(Region(LINES, white), Region(WAVES, white)))
    for one, two in zip(painted(both), painted(Style(WAVES)), strict=True):
        assert (one.int() - two.int()).abs().max() <= 1


def test_a_region_of_none_is_the_film(toy_gallery: Path, halves: str) -> None:
    frames = painted(Style(DOTS, regions=(Region(NONE, halves),)))
    assert same(frames, FILM, RIGHT)
    assert not same(frames, FILM, LEFT)


def test_a_short_mask_is_told_of_in_the_report(toy_gallery: Path, tmp_path: Path) -> None:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full(SIZE, 255, np.uint8))
    plan = RenderPlan("memory", "memory", style=Style(DOTS, mask=str(tmp_path / "%d.png")), engine="torch")
    report = render(plan, source=MemorySource(FILM), sink=MemorySink())
    assert any("its last frame is used" in warning for warning in report.warnings)
    assert "mask" in report.stages
    assert report.to_json()["style"]["mask"] == str(tmp_path / "%d.png")


def test_a_report_of_a_timeline_is_plain_data(toy_gallery: Path) -> None:
    plan = RenderPlan("memory", "memory", style=EVERYTHING, engine="torch")
    told = render(plan, source=MemorySource(FILM), sink=MemorySink()).to_json()
    assert told["style"]["blend"]["keys"][1] == {"value": [["lines", 1.0]], "start": pytest.approx(1 / 12), "hold": 0}


def test_masks_that_cannot_be_read_fail_before_painting(toy_gallery: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture, whatever its name says")
    for mask, message in (("missing.png", "no such file"), ("text.png", "not a picture")):
        for style in (
            Style(DOTS, mask=str(tmp_path / mask)),
            Style(DOTS, regions=(Region(LINES, str(tmp_path / mask)),)),
        ):
            with pytest.raises(SourceError, match=message):
                painted(style)


@pytest.mark.parametrize(
    "bad", [{"brush": 0}, {"brush": -1}, {"brush": 5}, {"statistics": "film"}, {"feather": -1}, {"brush": float("nan")}]
)
def test_looks_that_make_no_sense_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"brush|statistics|feather"):
        Style(DOTS, **bad)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at least one style"):
        Region((), "mask.png")


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.floats(0.25, 4),
    st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    st.booleans(),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_brush_paints_any_size(
    toy_gallery: Path, height: int, width: int, brush: float, strength: float, keep: bool
) -> None:
    content = torch.rand(1, 3, height, width)
    result = load_stylizer(Style(DOTS, strength, keep, brush=brush), "torch", "cpu")(content)
    assert result.shape == content.shape
    assert 0 <= result.min() <= result.max() <= 1
    if strength == 0:
        assert torch.equal(result, content)


def test_a_brush_of_one_is_no_brush_and_a_larger_one_coarser(toy_gallery: Path) -> None:
    picture = to_tensor(texture(96, 128))

    def with_brush(brush: float) -> Tensor:
        return load_stylizer(Style(DOTS, brush=brush), "torch", "cpu")(picture)

    def detail(painting: Tensor) -> float:
        return (painting - torch.nn.functional.avg_pool2d(painting, 3, 1, 1)).square().mean().item()

    assert torch.equal(with_brush(1), load_stylizer(Style(DOTS), "torch", "cpu")(picture))
    fine, plain, coarse = (detail(with_brush(brush)) for brush in (0.5, 1, 2))
    assert coarse < plain
    assert coarse < fine


def test_a_weak_painting_with_a_coarse_brush_keeps_the_films_detail(toy_gallery: Path) -> None:
    """Strength fades in from the film, not from a blurred copy of it."""
    picture = to_tensor(texture(96, 128, finest=1.0))
    weak = load_stylizer(Style(DOTS, 0.001, brush=3), "torch", "cpu")(picture)
    assert (weak - picture).abs().max() < 0.02


ENGINES = available(videostyle.engines)


def spotlight(frames: int = 8) -> list[Tensor]:
    """A textured wall, and something bright that comes in from the right; (1, 3, 96, 192) each."""
    wall = 0.1 + 0.5 * texture(96, 192)
    pictures = []
    for number in range(frames):
        picture = wall.copy()
        picture[8:88, 192 - 10 * number :] = 1.0
        pictures.append(to_tensor(picture))
    return pictures


def test_nothing_pumps_with_the_shots_statistics() -> None:
    """Farther away from what comes in than the network sees, the wall should stay as it was painted."""

    def change(statistics: str) -> float:
        stylizer = load_stylizer(Style((("great-wave", 1.0),), statistics=statistics), "torch", "cpu")  # type: ignore[arg-type]
        film = [
            stylizer(one, Moment(Fraction(number, 24), number == 0))[..., :50] for number, one in enumerate(spotlight())
        ]
        return (film[-1] - film[0]).abs().mean().item()

    assert change("shot") < 0.9 * change("frame")


@pytest.mark.parametrize("engine", ENGINES)
def test_the_first_frame_of_a_shot_is_painted_by_its_own_statistics(engine: str, toy_gallery: Path) -> None:
    shot, frame = (load_stylizer(Style(DOTS, statistics=s), engine, "cpu") for s in ("shot", "frame"))  # type: ignore[arg-type]
    one, two = spotlight(8)[0], 1 - spotlight(8)[7]
    first = shot(one, Moment(Fraction(0), True))
    assert torch.allclose(first, frame(one), atol=2e-2)
    assert not torch.allclose(shot(two, Moment(Fraction(1, 24), False)), frame(two), atol=5e-2)
    assert torch.allclose(shot(two, Moment(Fraction(2, 24), True)), frame(two), atol=2e-2)
    assert torch.allclose(shot(one, Moment(Fraction(1000), False)), frame(one), atol=2e-2)  # all is forgotten by then


@pytest.mark.parametrize("engine", ENGINES)
def test_what_follows_black_is_painted_as_if_nothing_had_been(engine: str, toy_gallery: Path) -> None:
    shot, frame = (load_stylizer(Style(DOTS, statistics=s), engine, "cpu") for s in ("shot", "frame"))  # type: ignore[arg-type]
    picture = spotlight(8)[7]
    shot(torch.zeros_like(picture), Moment(Fraction(0), True))
    for number in range(1, 4):
        assert torch.allclose(shot(picture, Moment(Fraction(number, 24), False)), frame(picture), atol=2e-2)


@pytest.mark.parametrize("engine", ENGINES)
def test_black_stays_black_and_in_the_dark_the_painting_follows_the_light(engine: str, toy_gallery: Path) -> None:
    stylizer = load_stylizer(Style(DOTS), engine, "cpu")
    picture = to_tensor(texture(48, 64))
    black = torch.full_like(picture, 2 / 255)
    assert torch.equal(stylizer(black), black)
    assert not torch.allclose(stylizer(0.2 * picture), 0.2 * picture, atol=0.1)
    difference = [(stylizer(light * picture) - light * picture).abs().mean() for light in (0.02, 0.05, 0.08, 0.12)]
    assert difference == sorted(difference)
    fade = [stylizer(light * picture) for light in (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)]
    light = [painting.mean().item() for painting in fade]
    assert light == sorted(light)
    # Half way down to black it has half of its light, no more; by day it does not go by the film's.
    assert light[3] < 0.6 * light[-1]
    assert torch.allclose(fade[-1], stylizer(0.8 * picture), atol=2e-2)


def test_with_the_whole_pictures_statistics_its_halves_agree_with_it(toy_gallery: Path) -> None:
    network, code = load_style(Style(DOTS))
    paint = load_engine("torch", network, "cpu", running_norm=True)
    content = to_tensor(texture(64, 160))
    nothing = torch.zeros(1, network.net.code_size - 1)
    whole, used = paint(content, code, nothing, torch.zeros(1, 1))
    assert torch.allclose(whole, load_engine("torch", network, "cpu")(content, code)[0], atol=1e-5)
    left, right = (
        paint(content[..., part], code, used, torch.ones(1, 1))[0] for part in (slice(0, 112), slice(48, 160))
    )
    # The network sees less than 32 pixels around each.
    assert torch.allclose(left[..., :80], whole[..., :80], atol=1e-4)
    assert torch.allclose(right[..., 32:], whole[..., 80:], atol=1e-4)
    alone = load_engine("torch", network, "cpu")(content[..., :112], code)[0]
    assert not torch.allclose(alone[..., :80], whole[..., :80], atol=1e-3)


def test_python_takes_every_look(toy_gallery: Path, tmp_path: Path, halves: str) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), FILM[0].permute(1, 2, 0).numpy())
    report = videostyle.stylize(
        str(tmp_path / "a.png"),
        str(tmp_path / "b.png"),
        Timeline((Key(DOTS), Key(LINES, Fraction(1)))),
        strength=0.5,
        brush=2,
        mask=halves,
        engine="torch",
    )
    assert report.style["brush"] == 2
    assert np.array_equal(cv2.imread(str(tmp_path / "b.png"))[:, LEFT], cv2.imread(str(tmp_path / "a.png"))[:, LEFT])
