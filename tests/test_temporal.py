from __future__ import annotations

import math

import moving
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videostyle.metrics.temporal import (
    EvaluationFlow,
    ExactMotion,
    Pairs,
    TemporalMetrics,
    flicker,
    instability,
    laplacian_energy,
    still,
    valid_motion,
    warping_error,
)
from videostyle.types import Flow


def test_a_film_that_only_moves_has_hardly_an_error() -> None:
    film = moving.pan(4, (3.0, 1.0))
    metrics = TemporalMetrics()
    for number, picture in enumerate(film):
        metrics.add(number == 0, picture, {"film": picture, "flicker": picture + 0.1 * (number % 2)})
    result = metrics.result()
    assert result["film"].warping_error < 1e-3
    # A change of 0.1 in every channel is 0.01 of squared error, per channel and not summed.
    assert result["flicker"].warping_error == pytest.approx(0.01, rel=0.15)
    assert result["film"].pairs == 3


@given(st.floats(-0.3, 0.3), st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_the_error_is_a_mean_per_channel_over_what_is_valid(change: float, channels: int) -> None:
    still = torch.zeros(1, 2, 8, 8)
    valid = torch.zeros(1, 1, 8, 8)
    valid[..., :4] = 1
    picture = torch.full((1, channels, 8, 8), 0.5)
    following = picture + change
    following[..., 4:] = 99  # not valid, so not seen
    assert warping_error(picture, following, still, valid) == pytest.approx(change**2, abs=1e-6)


def test_nothing_valid_is_no_error_at_all() -> None:
    blank = torch.zeros(1, 3, 8, 8)
    assert math.isnan(warping_error(blank, blank, torch.zeros(1, 2, 8, 8), torch.zeros(1, 1, 8, 8)))


def test_motion_is_judged_from_each_frame_to_the_next_inside_the_picture() -> None:
    first, second = moving.pan(2, (6.0, 0.0))  # what is shown moves 6 px to the left
    ahead, valid = valid_motion(first, second, EvaluationFlow())
    assert ahead[:, 0, 20:-20, 20:-20].mean().item() == pytest.approx(-6, abs=0.2)
    assert valid[..., 20:-20, 20:-20].mean() > 0.9
    assert not valid[..., :4].any()  # goes out on the left


def test_pairs_across_cuts_and_changes_of_size_are_left_out() -> None:
    film = moving.pan(3, (1, 0), seed=1) + moving.pan(3, (1, 0), seed=2) + moving.pan(2, (1, 0), size=(64, 96))
    metrics = TemporalMetrics()
    for number, picture in enumerate(film):
        metrics.add(number in (0, 3), picture, {"film": picture})
    result = metrics.result()["film"]
    assert result.pairs == 2 + 2 + 1
    assert result.warping_error < 1e-3


def test_one_frame_alone_has_no_error_but_an_energy() -> None:
    metrics = TemporalMetrics()
    picture = moving.pan(1, (0, 0))[0]
    metrics.add(True, picture, {"film": picture})
    assert math.isnan(metrics.result()["film"].warping_error)
    assert metrics.result()["film"].laplacian_energy == pytest.approx(laplacian_energy(picture))


def test_energy_is_that_of_the_four_neighbour_laplacian() -> None:
    checks = (torch.arange(16).view(-1, 1) + torch.arange(16)).remainder(2).float().expand(1, 3, 16, 16)
    inner = laplacian_energy(checks)
    assert inner == pytest.approx(16.0, rel=0.01)  # each pixel differs by 1 from its four neighbours
    assert laplacian_energy(torch.full((1, 3, 16, 16), 0.7)) == pytest.approx(0, abs=1e-9)


def test_blur_has_less_energy() -> None:
    picture = moving.pan(1, (0, 0))[0]
    blurred = torch.nn.functional.avg_pool2d(picture, 3, stride=1, padding=1, count_include_pad=False)
    assert laplacian_energy(blurred) < 0.9 * laplacian_energy(picture)


def test_distant_frames_are_judged_in_the_same_pass() -> None:
    film = moving.pan(12, (1.0, 0.0))
    metrics = TemporalMetrics(gaps=(1, 10))
    for number, picture in enumerate(film):
        # A creep that neighbours hardly show: 0.01 a frame.
        metrics.add(number == 0, picture, {"film": picture, "creeps": picture + 0.01 * number})
    near, far = metrics.result(1), metrics.result(10)
    assert (near["film"].pairs, far["film"].pairs) == (11, 2)
    assert near["creeps"].warping_error - near["film"].warping_error == pytest.approx(1e-4, rel=0.5)
    assert far["creeps"].warping_error == pytest.approx(0.01, rel=0.15)


@given(st.lists(st.integers(1, 11), unique=True), st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_no_pair_spans_a_cut(cuts: list[int], gap: int) -> None:
    class Stands:
        def __call__(self, current: torch.Tensor, previous: torch.Tensor) -> Flow:
            return Flow(torch.zeros(1, 2, 8, 8), torch.ones(1, 1, 8, 8))

    pairs = Pairs(Stands(), (gap,))
    for number in range(12):
        # Each shot has a brightness of its own: a pair across a cut would have an error.
        picture = torch.full((1, 3, 8, 8), sum(cut <= number for cut in cuts) / 16)
        compared = pairs.add(number in cuts, picture, {"film": picture})
        longest = number - max((cut for cut in cuts if cut <= number), default=0)
        assert len(compared) == (longest >= gap)
        assert all(one.errors["film"] == 0 for one in compared)


def test_gaps_are_at_least_one_frame() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Pairs(gaps=(1, 0))


def exact(shift: float, size: tuple[int, int]) -> ExactMotion:
    """Everything came from `shift` px to the right; what comes in on the right was hidden."""
    backward = torch.zeros(1, 2, *size)
    backward[:, 0] = shift
    hidden = torch.zeros(1, 1, *size, dtype=torch.bool)
    return ExactMotion(backward, hidden)


def test_a_painting_moved_exactly_is_stable_and_noise_is_not() -> None:
    picture = moving.pan(1, (0, 0))[0]
    moved = torch.roll(picture, -4, 3)
    motion = exact(4.0, (moving.HEIGHT, moving.WIDTH))
    motion.hidden[..., -4:] = True
    assert instability(moved, picture, motion) == pytest.approx(0, abs=1e-10)
    changed = instability(moved + 0.1, picture, motion)
    # Over all pixels, the hidden ones included, as the published figures are.
    assert changed == pytest.approx(0.01 * (moving.WIDTH - 4) / moving.WIDTH, rel=1e-3)


def test_known_motion_takes_the_place_of_the_flow() -> None:
    def refuses(current: torch.Tensor, previous: torch.Tensor) -> Flow:
        raise AssertionError("the flow was asked")

    film = moving.pan(2, (4.0, 0.0))
    pairs = Pairs(refuses)
    pairs.add(True, film[0], {"film": film[0]})
    (compared,) = pairs.add(False, film[1], {"film": film[1]}, exact(4.0, (moving.HEIGHT, moving.WIDTH)))
    assert compared.on_later
    assert compared.errors["film"] < 1e-4
    assert not compared.valid[..., -4:].any()  # comes in on the right


def test_what_stands_still_is_found_and_a_flat_sky_is_not() -> None:
    first, second = moving.pan(2, (2.0, 0.0), finest=0.7)
    first, second = first.clone(), second.clone()
    for picture in (first, second):
        picture[..., :64, :] = 0.7  # sky
    second[..., 64:, :96] = first[..., 64:, :96]  # a half that stands still
    where = still(second, first)
    assert where[..., 70:-4, 4:90].float().mean() > 0.8
    assert where[..., 70:-4, 102:].float().mean() < 0.1
    assert not where[..., :60, :].any()


def test_flicker_is_the_change_of_what_stands_still() -> None:
    picture = moving.pan(1, (0, 0))[0]
    where = torch.zeros(1, 1, moving.HEIGHT, moving.WIDTH, dtype=torch.bool)
    assert math.isnan(flicker(picture, picture, where))
    where[..., :32] = True
    later = picture + 0.02
    later[..., 32:] = 9
    assert flicker(later, picture, where) == pytest.approx(0.02, rel=1e-3)
