from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from itertools import pairwise

import moving
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from videostyle.confidence import motion_confidence
from videostyle.flow import load_flow
from videostyle.metrics.temporal import TemporalMetrics, laplacian_energy
from videostyle.ops.detail import detail_energy, restore_detail
from videostyle.plan import FlowOptions, StabilizeOptions
from videostyle.stabilize import (
    LATENCY,
    WINDOW,
    CausalStabilizer,
    Motion,
    Stabilizer,
    compensated_energy,
    load_stabilizer,
)
from videostyle.types import Flow

modes = pytest.mark.parametrize("mode", ["causal", "lookahead"])


def make(mode: str = "causal", amount: float = StabilizeOptions.amount, flow: str = "dis") -> Stabilizer:
    return load_stabilizer(StabilizeOptions(amount, mode), FlowOptions(flow), "cpu")


def flickering(film: list[Tensor], strength: float = 0.15) -> list[Tensor]:
    """The film with strokes on it that are drawn anew in every frame."""
    return [
        (picture + strength * (moving.pan(1, (0, 0), seed=100 + n, size=tuple(picture.shape[2:]))[0] - 0.5)).clamp(0, 1)
        for n, picture in enumerate(film)
    ]


def run(
    stabilizer: Stabilizer, film: list[Tensor], painted: Sequence[Tensor | None], cuts: tuple[int, ...] = (0,)
) -> list[Tensor]:
    pairs = zip(film, painted, strict=True)
    moving = (
        (number, paint, stabilizer.motion(number in cuts, content)) for number, (content, paint) in enumerate(pairs)
    )
    numbers, steady = zip(*stabilizer.stabilize(moving), strict=True)
    assert numbers == tuple(range(len(film)))
    return list(steady)


def scores(content: list[Tensor], **versions: list[Tensor]) -> dict[str, tuple[float, float]]:
    metrics = TemporalMetrics()
    for number, picture in enumerate(content):
        metrics.add(number == 0, picture, {name: frames[number] for name, frames in versions.items()})
    return {name: (score.warping_error, score.laplacian_energy) for name, score in metrics.result().items()}


@modes
@pytest.mark.parametrize("step", [(0.0, 0.0), (2.3, 0.6), (-5.0, 1.5)])
def test_a_panning_film_flickers_less_and_keeps_its_detail(step: tuple[float, float], mode: str) -> None:
    film = moving.pan(12, step)
    painted = flickering(film)
    found = scores(film, film=film, painted=painted, steady=run(make(mode), film, painted))
    assert found["steady"][0] < 0.4 * found["painted"][0]
    assert found["steady"][1] > 0.7 * found["painted"][1]
    assert found["film"][0] < found["painted"][0]


def test_more_amount_is_steadier() -> None:
    film = moving.pan(10, (1.5, -1.0))
    painted = flickering(film)
    versions = {f"amount {amount}": run(make(amount=amount), film, painted) for amount in (0.0, 0.3, 0.6, 0.9)}
    errors = [error for error, _ in scores(film, **versions).values()]
    assert errors == sorted(errors, reverse=True)


@modes
def test_nothing_of_one_shot_is_in_another(mode: str) -> None:
    film = moving.pan(5, (1, 0), seed=1) + moving.pan(5, (1, 0), seed=2)
    painted = flickering(film)
    steady = run(make(mode), film, painted, cuts=(0, 5))
    alone = run(make(mode), film[:5], painted[:5]) + run(make(mode), film[5:], painted[5:])
    assert all(torch.equal(a, b) for a, b in zip(steady, alone, strict=True))


@modes
def test_a_cut_nobody_marked_leaves_hardly_a_ghost(mode: str) -> None:
    film = moving.pan(3, (1, 0), seed=1) + moving.pan(3, (1, 0), seed=2)
    black_then_white = [torch.zeros_like(f) for f in film[:3]] + [torch.ones_like(f) for f in film[3:]]
    steady = run(make(mode), film, black_then_white)
    assert steady[3].mean() > 0.9


@modes
def test_the_first_frame_is_its_painting(mode: str) -> None:
    film = moving.pan(1, (0, 0))
    painted = flickering(film)
    (first,) = run(make(mode), film, painted, cuts=())
    assert torch.allclose(first, painted[0], atol=1e-3)


def test_without_motion_or_amount_every_painting_is_left_as_it_is() -> None:
    film = moving.pan(4, (2, 1))
    painted = flickering(film)
    for stabilizer in (make(flow="none"), make(amount=0)):
        steady = run(stabilizer, film, painted)
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(steady, painted, strict=True))


@pytest.mark.parametrize("amount", [0.5, 1.0])
def test_a_still_picture_settles_on_its_painting(amount: float) -> None:
    film = moving.pan(1, (0, 0)) * 2
    wrong, right = flickering(film)
    *_, steady = run(make(amount=amount), film[:1] * 300, [wrong, *[right] * 299])
    # Far below what eight bits can show: no rounding on the way holds it back.
    assert (steady - right).abs().max() < 1e-3


@modes
def test_a_still_film_painted_steadily_is_not_touched(mode: str) -> None:
    film = moving.pan(1, (0, 0)) * 30
    painted = flickering(film[:1]) * 30
    rounding = 1e-6 if mode == "causal" else 3e-4  # what waits is held in half precision
    assert all(torch.allclose(steady, painted[0], atol=rounding) for steady in run(make(mode), film, painted))


@modes
def test_a_long_pan_does_not_drift(mode: str) -> None:
    film = moving.pan(60, (1.3, 0.4), size=(64, 96))
    painted = flickering(film, 0.05)
    steady = run(make(mode), film, painted)
    # Brightness and detail stay those of the paintings, at the end as at the beginning.
    for number in (5, 30, 59):
        assert (steady[number].mean() - painted[number].mean()).abs() < 0.01
        assert 0.7 < laplacian_energy(steady[number]) / laplacian_energy(painted[number]) < 1.2


@modes
def test_what_a_passing_thing_uncovers_is_painted_fresh(mode: str) -> None:
    background = moving.pan(1, (0, 0), seed=3)[0] * 0.5
    film, painted = [], []
    for number in range(8):
        picture = background.clone()
        picture[..., 40:90, 20 + 8 * number : 60 + 8 * number] = 0.9
        film.append(picture)
        marked = torch.zeros_like(picture)
        marked[..., 40:90, 20 + 8 * number : 60 + 8 * number] = 1
        painted.append(marked)
    steady = run(make(mode), film, painted)
    # The thing is painted white, all else black: no white may trail behind it.
    behind = steady[-1][..., 45:85, 20 : 20 + 8 * 7 - 12]
    assert behind.max() < 0.2
    assert behind.mean() < 0.02


def test_a_change_of_exposure_is_not_taken_for_another_scene() -> None:
    previous, current = moving.pan(2, (2.0, 0.0))
    brighter = (current * 1.12).clamp(0, 1)
    estimate = load_flow(FlowOptions("dis"), "cpu")
    alike = motion_confidence(estimate(current, previous), current, previous)
    lit = motion_confidence(estimate(brighter, previous), brighter, previous)
    assert alike[..., 16:-16, 16:-16].mean() > 0.85
    assert lit[..., 16:-16, 16:-16].mean() > 0.7


def test_what_only_looks_moved_is_not_trusted() -> None:
    previous = moving.pan(1, (0, 0), seed=4)[0]
    current = previous.clone()
    current[..., 40:80, 60:120] = 1 - current[..., 40:80, 60:120]
    flow = Flow(torch.zeros(1, 2, *current.shape[2:]), torch.ones(1, 1, *current.shape[2:]))
    trusted = motion_confidence(flow, current, previous)
    assert trusted[..., 44:76, 64:116].mean() < 0.35
    assert trusted[..., :30, :].min() > 0.9


def test_the_size_may_change() -> None:
    stabilizer = make()
    run(stabilizer, moving.pan(2, (1, 0)), flickering(moving.pan(2, (1, 0))))
    smaller = moving.pan(2, (1, 0), size=(64, 96))
    painted = flickering(smaller)
    steady = run(stabilizer, smaller, painted, cuts=())
    assert torch.equal(steady[0], painted[0])
    assert steady[1].shape == (1, 3, 64, 96)


def test_layers_larger_than_the_film_are_refused() -> None:
    film = moving.pan(3, (1, 0))
    larger = [torch.rand(1, 3, 256, 384) for _ in film]
    with pytest.raises(ValueError, match="flow must be"):
        run(make(), film, larger)


@modes
@pytest.mark.parametrize("size", [(1, 1), (16, 9), (2, 200), (33, 17)])
def test_small_pictures_pass(size: tuple[int, int], mode: str) -> None:
    film = [torch.rand(1, 3, *size) for _ in range(3)]
    steady = run(make(mode), film, film)
    assert all(picture.shape == (1, 3, *size) and picture.isfinite().all() for picture in steady)


@modes
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_blank_frames_pass(value: float, mode: str) -> None:
    film = [torch.full((1, 3, 48, 64), value)] * 4
    assert all(torch.equal(picture, film[0]) for picture in run(make(mode), film, film))


@modes
def test_the_paintings_and_the_film_are_left_as_they_were(mode: str) -> None:
    film = moving.pan(4, (2, 1))
    painted = flickering(film)
    copies = [picture.clone() for picture in film + painted]
    run(make(mode), film, painted)
    assert all(torch.equal(a, b) for a, b in zip(film + painted, copies, strict=True))


@modes
def test_outputs_already_handed_out_do_not_change(mode: str) -> None:
    film = moving.pan(6, (2, 1))
    painted = flickering(film)
    stabilizer = make(mode)
    moves = [stabilizer.motion(number == 0, content) for number, content in enumerate(film)]
    handed, copies = [], []
    for _, steady in stabilizer.stabilize(zip(range(6), painted, moves, strict=True)):
        handed.append(steady)
        copies.append(steady.clone())
    assert all(torch.equal(a, b) for a, b in zip(handed, copies, strict=True))


@given(st.integers(0, 99), st.floats(0, 1))
@settings(max_examples=10, deadline=None)
def test_outputs_stay_in_range(seed: int, amount: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    film = moving.pan(3, (1.5, 0.5), seed=seed, size=(48, 64))
    harsh = [torch.rand(1, 3, 48, 64, generator=generator).round() for _ in film]
    assert all(0 <= steady.min() <= steady.max() <= 1 for steady in run(make(amount=amount), film, harsh))


def test_motion_and_blending_may_run_apart() -> None:
    film = moving.pan(6, (2, 1))
    painted = flickering(film)
    together = run(make(), film, painted)
    apart = CausalStabilizer(load_flow(FlowOptions("dis"), "cpu"), StabilizeOptions())
    motions: list[Motion | None] = []
    watcher = threading.Thread(target=lambda: motions.extend(apart.motion(n == 0, f) for n, f in enumerate(film)))
    watcher.start()
    watcher.join()
    steady = [apart.blend(paint, motion) for paint, motion in zip(painted, motions, strict=True)]
    assert motions[0] is None
    assert all(torch.equal(a, b) for a, b in zip(steady, together, strict=True))


def test_the_first_frame_after_amount_zero_has_no_motion_to_compute() -> None:
    class Unasked:
        def __call__(self, current: Tensor, previous: Tensor) -> Flow:
            raise AssertionError("the flow was asked for")

    film = moving.pan(3, (1, 0))
    run(CausalStabilizer(Unasked(), StabilizeOptions(0)), film, film)


# Looking ahead


def test_what_a_recurrent_network_painted_is_blended_with_later_frames_only() -> None:
    film = moving.pan(8, (2, 1))
    painted = flickering(film)
    recurrent = load_stabilizer(StabilizeOptions(mode="lookahead"), FlowOptions("dis"), "cpu", recurrent=True)
    backward = run(recurrent, film, painted)
    assert torch.equal(backward[-1], painted[-1])
    both = run(make("lookahead"), film, painted)
    assert not torch.equal(both[-1], painted[-1])
    found = scores(film[:-2], painted=painted[:-2], backward=backward[:-2])
    assert found["backward"][0] < 0.5 * found["painted"][0]
    assert found["backward"][1] > 0.7 * found["painted"][1]


def test_looking_ahead_is_steadier() -> None:
    film = moving.pan(24, (1.7, -0.6))
    painted = flickering(film)
    found = scores(film, **{mode: run(make(mode), film, painted) for mode in ("causal", "lookahead")})
    assert found["lookahead"][0] < 0.9 * found["causal"][0]


def test_looking_ahead_the_first_frame_is_steady_already() -> None:
    film = moving.pan(1, (0, 0)) * 12
    painted = flickering(film)
    usual = torch.stack(painted).mean(0)
    first = run(make("lookahead"), film, painted)[0]
    assert (first - usual).abs().mean() < 0.7 * (painted[0] - usual).abs().mean()


@given(st.integers(1, 3 * WINDOW), st.sets(st.integers(1, 3 * WINDOW), max_size=3), st.booleans())
@settings(max_examples=12, deadline=None)
def test_every_frame_comes_out_once_and_in_order(count: int, cuts: set[int], ahead: bool) -> None:
    film = moving.pan(1, (0, 0), size=(32, 48)) * count
    painted = [picture * (number % 5) / 5 for number, picture in enumerate(film)]
    steady = run(make("lookahead" if ahead else "causal"), film, painted, (0, *cuts))  # asserts the order itself
    assert len(steady) == count


@modes
def test_a_repeated_frame_comes_out_as_the_one_before(mode: str) -> None:
    film = moving.pan(2 * WINDOW, (1, 0), size=(32, 48))
    painted: list[Tensor | None] = list(flickering(film))
    once = run(make(mode), film[::2], painted[::2])
    stabilizer = make(mode)
    moves = [stabilizer.motion(number == 0, content) for number, content in enumerate(film[::2])]
    doubled = ((n, None if n % 2 else painted[n], None if n % 2 else moves[n // 2]) for n in range(len(film)))
    found = dict(stabilizer.stabilize(doubled))
    assert list(found) == list(range(len(film)))
    assert all(torch.equal(found[number], found[number - 1]) for number in range(1, len(film), 2))
    # How far the window reaches ahead may differ, so this is not to the last bit.
    assert all((found[2 * number] - steady).abs().mean() < 0.02 for number, steady in enumerate(once))


def test_a_picture_may_stand_for_minutes() -> None:
    picture = moving.pan(1, (0, 0), size=(32, 48))[0]
    again: list[Tensor | None] = [None] * (3 * WINDOW)
    steady = run(make("lookahead"), [picture] * (2 + 6 * WINDOW), [picture, *again, picture, *again])
    assert len(steady) == 2 + 6 * WINDOW
    assert all((one - picture).abs().max() < 1e-3 for one in steady)


def test_where_windows_meet_cannot_be_seen() -> None:
    film = moving.pan(1, (0, 0), size=(64, 96)) * (4 * WINDOW)
    steady = run(make("lookahead"), film, flickering(film))
    changes = [(after - before).abs().mean().item() for before, after in pairwise(steady[: 3 * WINDOW])]
    seams = [change for number, change in enumerate(changes) if (number + 1) % (WINDOW - LATENCY) == 0]
    assert max(seams) < 1.5 * max(change for change in changes if change not in seams)


def test_it_holds_a_window_and_no_more() -> None:
    film = moving.pan(1, (0, 0), size=(32, 48)) * (4 * WINDOW)
    stabilizer, asked = make("lookahead"), 0

    def counted() -> Iterator[tuple[int, Tensor, Motion | None]]:
        nonlocal asked
        for number, picture in enumerate(film):
            asked += 1
            yield number, picture, stabilizer.motion(number == 0, picture)

    for number, _ in stabilizer.stabilize(counted()):
        assert asked - number <= WINDOW


# Detail


def test_more_detail_is_asked_for_only_where_something_moves_and_is_carried() -> None:
    energy = torch.rand(1, 1, 6, 9) + 0.1
    flow, trusted = torch.zeros(1, 2, 24, 36), torch.ones(1, 1, 24, 36)
    assert torch.equal(compensated_energy(energy, Flow(flow, trusted)), energy)
    assert torch.equal(compensated_energy(energy, Flow(flow + 3, 0 * trusted)), energy)
    slow, fast = (compensated_energy(energy, Flow(flow + speed, trusted)) / energy for speed in (0.3, 30.0))
    assert (slow > 1).all()
    assert (fast > slow).all()
    assert fast.max() < 1.2


def test_detail_that_is_there_is_left_alone() -> None:
    picture = moving.pan(1, (0, 0))[0]
    assert torch.allclose(restore_detail(picture.clone(), detail_energy(picture)), picture, atol=1e-6)


def test_lost_detail_comes_back_in_part_and_never_beyond_the_original() -> None:
    fresh = moving.pan(1, (0, 0), finest=1.0)[0]
    dull = torch.nn.functional.avg_pool2d(fresh, 3, stride=1, padding=1, count_include_pad=False)
    restored = restore_detail(dull.clone(), detail_energy(fresh))
    assert 1.3 * laplacian_energy(dull) < laplacian_energy(restored) < laplacian_energy(fresh)


@given(st.floats(0, 1))
@settings(max_examples=10, deadline=None)
def test_flat_stays_flat(value: float) -> None:
    flat = torch.full((1, 3, 24, 32), value)
    assert torch.allclose(restore_detail(flat.clone(), detail_energy(torch.rand(1, 3, 24, 32))), flat, atol=1e-5)
