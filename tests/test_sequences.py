"""Films that are hard to keep steady, each with what must hold when its painting flickers."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from moving import pan
from torch import Tensor

import videostyle.step
from videostyle.confidence import MOST_GAIN, exposure_gain, motion_confidence
from videostyle.cuts import mark_cuts
from videostyle.flow import load_flow
from videostyle.io.memory import MemorySink, MemorySource
from videostyle.metrics.temporal import TemporalMetrics, laplacian_energy
from videostyle.ops.pixels import to_float, to_pixels
from videostyle.pipeline import render
from videostyle.plan import FlowOptions, RenderPlan, StabilizeOptions
from videostyle.stabilize import CausalStabilizer
from videostyle.style import Style
from videostyle.timeline import Span
from videostyle.types import ALONE, Flow, Frame, Moment


def strokes(number: int, film: Tensor, strength: float = 0.15) -> Tensor:
    """Strokes (1, 3, H, W) around 0 that are drawn anew in every frame."""
    return strength * (pan(1, (0, 0), seed=100 + number, size=tuple(film.shape[2:]))[0] - 0.5)


def flickering(film: list[Tensor]) -> list[Tensor]:
    return [(picture + strokes(number, picture)).clamp(0, 1) for number, picture in enumerate(film)]


def stabilize(film: list[Tensor], painted: list[Tensor], cuts: tuple[int, ...] = (0,)) -> list[Tensor]:
    stabilizer = CausalStabilizer(load_flow(FlowOptions("dis"), "cpu"), StabilizeOptions())
    pairs = zip(film, painted, strict=True)
    return [
        stabilizer.blend(paint, stabilizer.motion(number in cuts, content))
        for number, (content, paint) in enumerate(pairs)
    ]


def noise(like: Tensor, sigma: float, seed: int) -> Tensor:
    return sigma * torch.randn(like.shape, generator=torch.Generator().manual_seed(seed))


def unrest(frames: list[Tensor]) -> float:
    """Mean squared change from frame to frame, for films that stand still."""
    return sum((a - b).square().mean().item() for a, b in itertools.pairwise(frames)) / (len(frames) - 1)


def scores(film: list[Tensor], **versions: list[Tensor]) -> dict[str, float]:
    metrics = TemporalMetrics()
    for number, picture in enumerate(film):
        metrics.add(number == 0, picture, {name: frames[number] for name, frames in versions.items()})
    return {name: score.warping_error for name, score in metrics.result().items()}


def test_fast_motion_leaves_no_ghost_in_what_it_uncovers() -> None:
    """A thing of 40 px crosses at 20 px a frame, while the camera pans the other way."""
    film, painted = [], []
    wall = pan(6, (-4.0, 0.0), seed=3)
    thing = 0.2 + 0.8 * pan(1, (0, 0), seed=4, size=(60, 40))[0]
    for number, picture in enumerate(wall):
        left = 10 + 20 * number
        picture = 0.5 * picture
        picture[..., 30:90, left : left + 40] = thing
        film.append(picture)
        marked = torch.zeros_like(picture)
        marked[..., 30:90, left : left + 40] = 1
        painted.append(marked)
    steady = stabilize(film, painted)
    for number in range(1, 6):
        behind = steady[number][..., 34:86, 10 : 10 + 20 * number - 8]
        assert behind.mean() < 0.02
        assert behind.quantile(0.99) < 0.1


def test_a_fade_to_black_and_back_is_followed() -> None:
    levels = [*torch.linspace(1, 0, 12).tolist(), 0.0, 0.0, *torch.linspace(0, 1, 12).tolist()]
    wall = pan(len(levels), (1.0, 0.5))
    film = [level * picture for level, picture in zip(levels, wall, strict=True)]
    painted = [level * picture for level, picture in zip(levels, flickering(wall), strict=True)]
    steady = stabilize(film, painted)
    step = wall[0].mean() / 11
    for number, (out, fresh) in enumerate(zip(steady, painted, strict=True)):
        # Never more than two and a half frames behind; and black when the film has been black for a frame.
        assert (out.mean() - fresh.mean()).abs() < 2.5 * step
        if number == 13:
            assert out.max() < 0.05
    # Both halves of the fade are steadier than the paintings all the same.
    slow = scores(film, painted=painted, steady=steady)
    assert slow["steady"] < 0.9 * slow["painted"]


@pytest.mark.parametrize("light", [0.5, 0.75])
def test_a_flash_of_one_frame_stays_in_its_frame(light: float) -> None:
    wall = pan(9, (1.0, 0.0))
    dark = [0.6 * picture for picture in wall]
    film = [picture + light * (1 - picture) if number == 5 else picture for number, picture in enumerate(dark)]
    painted = [
        picture if number == 5 else fresh
        for number, (picture, fresh) in enumerate(zip(film, flickering(dark), strict=True))
    ]
    steady = stabilize(film, painted)
    assert (steady[5] - painted[5]).abs().mean() < 0.03
    for number in (6, 7):
        assert (steady[number].mean() - painted[number].mean()).abs() < 0.01


def test_film_grain_is_not_taken_for_motion() -> None:
    clean = pan(10, (2.0, 0.5))
    film = [(picture + noise(picture, 0.04, seed)).clamp(0, 1) for seed, picture in enumerate(clean)]
    painted = flickering(film)
    found = scores(clean, painted=painted, steady=stabilize(film, painted))
    assert found["steady"] < 0.55 * found["painted"]


def test_a_still_camera_with_noise_is_much_steadier_and_nothing_drifts() -> None:
    wall = pan(1, (0, 0), size=(96, 128))[0]
    film = [(wall + noise(wall, 0.02, seed)).clamp(0, 1) for seed in range(40)]
    painted = flickering([wall] * 40)
    steady = stabilize(film, painted)
    assert unrest(steady[5:]) < 0.2 * unrest(painted[5:])
    early, late = torch.cat(steady[5:20]).mean(0), torch.cat(steady[25:]).mean(0)
    middle = torch.cat(painted).mean(0)
    # What stays, stays where it is and as light as it is, and as sharp.
    assert (late - middle).abs().mean() < 1.3 * (early - middle).abs().mean() + 0.005
    assert (late.mean() - middle.mean()).abs() < 0.01
    assert 0.6 < laplacian_energy(steady[-1]) / laplacian_energy(painted[-1]) < 1.2


def test_a_cut_every_second_starts_afresh_every_second() -> None:
    """The cuts are found, not given: five shots of one second at 12 frames a second."""
    shots = [pan(12, (1.5, 0.0), seed=seed, size=(96, 128), finest=3.0) for seed in range(5)]
    film = [to_pixels((0.2 + 0.15 * seed) * picture[0]) for seed, shot in enumerate(shots) for picture in shot]
    frames = list(mark_cuts(MemorySource(film, rate=12).frames(Span())))
    assert [frame.index for frame in frames if frame.is_cut] == [0, 12, 24, 36, 48]
    content = [to_float(frame) for frame in frames]
    painted = flickering(content)
    steady = stabilize(content, painted, tuple(frame.index for frame in frames if frame.is_cut))
    for frame, out, fresh in zip(frames, steady, painted, strict=True):
        assert torch.equal(out, fresh) == frame.is_cut


def test_black_frames_are_black_and_what_follows_is_clean() -> None:
    black = [torch.zeros(1, 3, 128, 192)] * 3
    one, other = pan(4, (1, 0), seed=1), pan(4, (1, 0), seed=2)
    film = one + black + other
    painted = flickering(one) + black + flickering(other)
    steady = stabilize(film, painted)  # no cut is marked
    assert all(picture.max() < 0.01 for picture in steady[4:7])
    assert (steady[7] - painted[7]).abs().mean() < 0.005
    assert all(picture.isfinite().all() for picture in steady)


class Flickering:
    """A stylizer whose strokes differ at every call, and that counts its calls."""

    recurrent = False

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, content: Tensor, moment: Moment = ALONE) -> Tensor:
        self.calls += 1
        return (content + strokes(self.calls, content)).clamp(0, 1)


# Which drawing each frame shows: animation on twos, 3:2 pull-down, a screen where something happens now and then.
REPEATS = {"twos": "aabbccddee", "pull-down": "aaabbcccdd", "screen": "aaaaaaaabc"}


@pytest.mark.parametrize("pattern", REPEATS.values(), ids=REPEATS.keys())
def test_repeated_frames_are_neither_painted_nor_moved_again(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stylizer = Flickering()
    monkeypatch.setattr(videostyle.step, "load_stylizer", lambda *_: stylizer)
    drawings = [to_pixels(picture[0]) for picture in pan(5, (2.0, 0.0), size=(48, 64))]
    times = [0, 41, 84, 125, 166, 210, 250, 291, 333, 375]
    film = [
        Frame(drawings[ord(letter) - ord("a")].clone(), pts, Fraction(1, 1000), None, index)
        for index, (letter, pts) in enumerate(zip(pattern, times, strict=True))
    ]
    sink = MemorySink()
    plan = RenderPlan("memory", "memory", style=Style((("any", 1.0),)), engine="torch")
    report = render(plan, source=MemorySource(film), sink=sink)
    assert [frame.pts for frame in sink.frames] == times
    assert stylizer.calls == len(set(pattern))
    assert report.repeated == len(pattern) - len(set(pattern))
    for (one, two), (before, after) in zip(itertools.pairwise(pattern), itertools.pairwise(sink.frames), strict=True):
        assert torch.equal(before.pixels, after.pixels) == (one == two)


# Exposure


@given(st.tuples(*[st.floats(1 / MOST_GAIN, MOST_GAIN)] * 3), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_a_change_of_exposure_and_of_white_balance_is_measured(gains: tuple[float, ...], seed: int) -> None:
    before = 0.5 * pan(1, (0, 0), seed=seed, size=(64, 96))[0]
    factor = torch.tensor(gains).view(1, 3, 1, 1)
    known = torch.ones(1, 1, 64, 96)
    assert torch.allclose(exposure_gain((factor * before).clamp(0, 1), before, known), factor, rtol=0.03)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=20, deadline=None)
def test_a_gain_is_always_a_number_and_bounded(now: float, before: float, known: float) -> None:
    pictures = (torch.full((2, 3, 9, 7), value) for value in (now, before))
    gain = exposure_gain(*pictures, torch.full((2, 1, 9, 7), known))
    assert gain.shape == (2, 3, 1, 1)
    assert ((gain >= 1 / MOST_GAIN - 1e-6) & (gain <= MOST_GAIN + 1e-6)).all()
    if min(now, before) < 0.1:  # too dark to tell
        assert (gain == 1).all()


def still(content: Tensor, previous: Tensor) -> Tensor:
    """Trust where the flow says, with full confidence, that nothing moved."""
    h, w = content.shape[2:]
    return motion_confidence(Flow(torch.zeros(1, 2, h, w), torch.ones(1, 1, h, w)), content, previous)


def test_a_small_change_of_exposure_is_forgiven_and_a_great_one_is_not() -> None:
    wall = 0.6 * pan(1, (0, 0))[0]
    trusted = [still(wall * gain, wall).mean().item() for gain in (1.0, 1.08, 1.2, 1.5, 1.66)]
    assert trusted == sorted(trusted, reverse=True)
    assert trusted[0] == pytest.approx(1)
    assert trusted[1] > 0.95
    assert trusted[-1] < 0.5


def test_something_large_that_came_into_view_is_not_taken_for_light() -> None:
    wall = 0.6 * pan(1, (0, 0))[0]
    current = wall * 1.05
    current[..., : int(0.4 * current.shape[3])] = 0.9
    trusted = still(current, wall)
    assert trusted[..., :64].mean() < 0.1
    assert trusted[..., 90:].mean() > 0.95


def test_a_vignette_that_closes_slowly_stays_trusted() -> None:
    wall = 0.8 * pan(1, (0, 0))[0]
    h, w = wall.shape[2:]
    y, x = torch.linspace(-1, 1, h).view(h, 1), torch.linspace(-1, 1, w)
    radius = (x.square() + y.square()) / 2
    closing = [wall * (1 - min(number / 48, 1) * radius) for number in range(10)]
    assert all(still(b, a).mean() > 0.97 for a, b in itertools.pairwise(closing))


def test_from_black_nothing_is_carried_over() -> None:
    wall = pan(1, (0, 0))[0]
    for content, previous in ((wall, torch.zeros_like(wall)), (torch.zeros_like(wall), wall)):
        trusted = still(content, previous)
        assert trusted.isfinite().all()
        assert trusted.mean() < 0.02
    assert math.isclose(still(torch.zeros_like(wall), torch.zeros_like(wall)).mean().item(), 1, rel_tol=1e-5)
