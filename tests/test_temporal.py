from __future__ import annotations

import math

import moving
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videostyle.metrics.temporal import Judge, JudgeFlow, laplacian_energy, valid_motion, warping_error


def test_a_film_that_only_moves_has_hardly_an_error() -> None:
    film = moving.pan(4, (3.0, 1.0))
    judge = Judge()
    for number, picture in enumerate(film):
        judge.add(number == 0, picture, {"film": picture, "flicker": picture + 0.1 * (number % 2)})
    result = judge.result()
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
    ahead, valid = valid_motion(first, second, JudgeFlow())
    assert ahead[:, 0, 20:-20, 20:-20].mean().item() == pytest.approx(-6, abs=0.2)
    assert valid[..., 20:-20, 20:-20].mean() > 0.9
    assert not valid[..., :4].any()  # goes out on the left


def test_pairs_across_cuts_and_changes_of_size_are_left_out() -> None:
    film = moving.pan(3, (1, 0), seed=1) + moving.pan(3, (1, 0), seed=2) + moving.pan(2, (1, 0), size=(64, 96))
    judge = Judge()
    for number, picture in enumerate(film):
        judge.add(number in (0, 3), picture, {"film": picture})
    result = judge.result()["film"]
    assert result.pairs == 2 + 2 + 1
    assert result.warping_error < 1e-3


def test_one_frame_alone_has_no_error_but_an_energy() -> None:
    judge = Judge()
    picture = moving.pan(1, (0, 0))[0]
    judge.add(True, picture, {"film": picture})
    assert math.isnan(judge.result()["film"].warping_error)
    assert judge.result()["film"].laplacian_energy == pytest.approx(laplacian_energy(picture))


def test_energy_is_that_of_the_four_neighbour_laplacian() -> None:
    checks = (torch.arange(16).view(-1, 1) + torch.arange(16)).remainder(2).float().expand(1, 3, 16, 16)
    inner = laplacian_energy(checks)
    assert inner == pytest.approx(16.0, rel=0.01)  # each pixel differs by 1 from its four neighbours
    assert laplacian_energy(torch.full((1, 3, 16, 16), 0.7)) == pytest.approx(0, abs=1e-9)


def test_blur_has_less_energy() -> None:
    picture = moving.pan(1, (0, 0))[0]
    blurred = torch.nn.functional.avg_pool2d(picture, 3, stride=1, padding=1, count_include_pad=False)
    assert laplacian_energy(blurred) < 0.9 * laplacian_energy(picture)
