"""Noise that moves with the surfaces: statistics, motion, repeatability."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from videostyle.nets.style_network import NOISE_CHANNELS, RECURRENT_CHANNELS
from videostyle.noise import Particles, initial_recurrent_input, noise_field
from videostyle.types import Flow

SIZE = (96, 128)


def flow(right: float, down: float, confidence: float = 1.0) -> Flow:
    """The flow to the previous frame of a picture that moved by so many pixels."""
    backward = torch.tensor([-right, -down], dtype=torch.float32).view(1, 2, 1, 1).expand(1, 2, *SIZE).clone()
    return Flow(backward, torch.full((1, 1, *SIZE), confidence))


def correlation(one: Tensor, other: Tensor) -> float:
    pair = torch.stack([one.flatten(), other.flatten()])
    return torch.corrcoef(pair)[0, 1].item()


def test_a_field_has_mean_0_and_deviation_1_in_every_channel() -> None:
    field = Particles()(SIZE, None)
    assert field.shape == (1, NOISE_CHANNELS, SIZE[0] // 2, SIZE[1] // 2)
    assert field.mean((2, 3)).abs().max() < 0.35
    assert torch.allclose(field.std((2, 3)), torch.ones(1, NOISE_CHANNELS), atol=0.01)
    plain = noise_field(*SIZE, np.random.default_rng(0))
    assert plain.shape == (*SIZE, NOISE_CHANNELS)
    assert np.allclose(plain.std((0, 1)), 1, atol=0.3)


def test_the_same_seed_gives_the_same_noise_and_another_gives_other_noise() -> None:
    def last(seed: int) -> Tensor:
        particles = Particles(seed)
        particles(SIZE, None)
        return [particles(SIZE, flow(1.5, 0.5)) for _ in range(8)][-1]

    assert torch.equal(last(3), last(3))
    assert abs(correlation(last(3), last(4))) < 0.5


def test_a_shot_starts_with_what_its_moment_gives_whatever_was_before() -> None:
    fresh, used = Particles(), Particles()
    used(SIZE, None, (1,))
    used(SIZE, flow(2, 0))
    assert torch.equal(fresh(SIZE, None, (5,)), used(SIZE, None, (5,)))
    assert not torch.equal(fresh(SIZE, None, (5,)), used(SIZE, None, (6,)))


@pytest.mark.parametrize(("right", "down"), [(4.0, 0.0), (0.0, -4.0), (2.0, 2.0)])
def test_noise_moves_with_the_picture(right: float, down: float) -> None:
    particles = Particles()
    before = particles(SIZE, None)
    after = particles(SIZE, flow(right, down))
    # The field is half as large: so is the motion in it.
    moved = before.roll((int(down / 2), int(right / 2)), (2, 3))
    inside = (..., slice(8, -8), slice(8, -8))
    assert correlation(after[inside], moved[inside]) > 0.97
    assert correlation(after[inside], before[inside]) < 0.9


def test_where_the_motion_is_unknown_the_noise_is_new() -> None:
    particles = Particles()
    before = particles(SIZE, None)
    unknown = flow(0, 0)
    unknown.confidence[..., SIZE[1] // 2 :] = 0
    for _ in range(8):  # new particles fade in
        after = particles(SIZE, unknown)
    left, right = (..., slice(0, SIZE[1] // 4 - 8)), (..., slice(SIZE[1] // 4 + 8, None))
    assert correlation(after[left], before[left]) > 0.95
    assert correlation(after[right], before[right]) < 0.5


def test_however_long_a_pan_is_the_picture_stays_evenly_covered() -> None:
    particles = Particles()
    particles(SIZE, None)
    counts = []
    for _ in range(40):
        field = particles(SIZE, flow(3, 1))
        counts.append(len(particles._positions))
    assert 0.6 * counts[0] < counts[-1] < 1.8 * counts[0]
    quarters = field.unfold(2, 24, 24).unfold(3, 32, 32).std((4, 5))
    assert quarters.min() > 0.4


def test_a_picture_alone_has_no_prior_and_no_confidence() -> None:
    recurrent_input = initial_recurrent_input(torch.rand(1, 3, *SIZE), np.random.default_rng(0))
    assert recurrent_input.shape == (1, RECURRENT_CHANNELS, *SIZE)
    assert not recurrent_input[:, :4].any()
    assert recurrent_input[:, 4:].std() > 0.5
