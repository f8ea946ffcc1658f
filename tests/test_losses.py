from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videostyle.ops import losses
from videostyle.ops.warp import warp


@given(st.integers(1, 3), st.integers(1, 8), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_gram_agrees_with_its_definition(n: int, c: int, h: int, w: int, seed: int) -> None:
    features = torch.randn(n, c, h, w, generator=torch.Generator().manual_seed(seed))
    expected = torch.einsum("nihw,njhw->nij", features.double(), features.double()) / (h * w)
    assert torch.allclose(losses.gram(features).double(), expected, atol=1e-4)


def test_gram_does_not_depend_on_where_things_are() -> None:
    features = torch.rand(1, 5, 6, 7)
    shuffled = features.flatten(2)[:, :, torch.randperm(42)].reshape(1, 5, 6, 7)
    assert torch.allclose(losses.gram(features), losses.gram(shuffled), atol=1e-5)


def test_distances_are_zero_for_equals_and_one_for_nothing() -> None:
    features = torch.rand(2, 4, 8, 8)
    gram = losses.gram(features)
    assert torch.allclose(losses.gram_distance(gram, gram), torch.zeros(2))
    assert torch.allclose(losses.gram_distance(torch.zeros_like(gram), gram), torch.ones(2))
    assert torch.allclose(losses.content_distance(features, features), torch.zeros(2))
    assert torch.allclose(losses.content_distance(torch.zeros_like(features), features), torch.ones(2))


@given(st.floats(0.1, 1000))
@settings(max_examples=20, deadline=None)
def test_distances_do_not_depend_on_the_scale_of_the_features(scale: float) -> None:
    a, b = torch.rand(1, 4, 8, 8), torch.rand(1, 4, 8, 8)
    assert losses.content_distance(a * scale, b * scale) == pytest.approx(losses.content_distance(a, b), rel=1e-3)
    assert losses.gram_distance(losses.gram(a * scale), losses.gram(b * scale)) == pytest.approx(
        losses.gram_distance(losses.gram(a), losses.gram(b)), rel=1e-2, abs=1e-5
    )


def test_total_variation_of_a_step_edge() -> None:
    picture = torch.zeros(1, 3, 4, 5)
    picture[..., 2:] = 1
    assert losses.total_variation(picture).item() == pytest.approx(1 / 4)
    assert losses.total_variation(picture.mT).item() == pytest.approx(1 / 4)


def test_grid_energy_sees_rasters_and_not_strokes() -> None:
    y, x = torch.meshgrid(torch.arange(64), torch.arange(96), indexing="ij")
    flat = torch.full((1, 3, 64, 96), 0.5)
    strokes = 0.5 + 0.1 * torch.sin(0.9 * x + 1.3 * y).expand(1, 3, -1, -1)
    assert losses.grid_energy(flat).item() == pytest.approx(0, abs=1e-6)
    for raster in (
        (-1.0) ** x,
        (-1.0) ** y,
        (-1.0) ** (x + y),
        torch.cos(torch.pi / 2 * x),
        torch.sin(torch.pi / 2 * y),
    ):
        assert losses.grid_energy(flat + 0.05 * raster).item() > 2 * losses.grid_energy(strokes).item()


def test_temporal_distance_looks_only_where_the_motion_is_valid() -> None:
    a, b, valid = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4), torch.ones(1, 1, 4, 4)
    b[..., 0] = 1
    assert losses.temporal_distance(a, b, valid).item() == pytest.approx(0.25)
    valid[..., 0] = 0
    assert losses.temporal_distance(a, b, valid).item() == 0
    assert losses.temporal_distance(a, b, valid * 0).item() == 0


def test_random_motion_is_smooth_and_marks_what_leaves_the_picture() -> None:
    flow, valid = losses.random_motion(3, 48, 64, torch.Generator().manual_seed(1))
    assert flow.shape == (3, 2, 48, 64)
    assert valid.shape == (3, 1, 48, 64)
    assert (flow[..., 1:] - flow[..., :-1]).abs().max() < 1
    y, x = torch.meshgrid(torch.arange(48), torch.arange(64), indexing="ij")
    inside = (flow[:, 0] + x >= 0) & (flow[:, 0] + x <= 63) & (flow[:, 1] + y >= 0) & (flow[:, 1] + y <= 47)
    assert torch.equal(valid[:, 0] > 0, inside)
    still, everywhere = losses.random_motion(1, 48, 64, torch.Generator().manual_seed(1), scale=0)
    assert still.abs().max() == 0
    assert everywhere.min() == 1


def test_the_same_seed_gives_the_same_motion() -> None:
    one = losses.random_motion(2, 16, 16, torch.Generator().manual_seed(7))[0]
    two = losses.random_motion(2, 16, 16, torch.Generator().manual_seed(7))[0]
    assert torch.equal(one, two)


def still(count: int, side: int) -> torch.Tensor:
    return torch.zeros(count, 2, side, side)


@given(st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_every_distance_is_zero_for_equals_and_never_negative(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.rand(2, 3, 32, 32, generator=generator) for _ in range(2))
    everywhere = torch.ones(2, 1, 32, 32)
    for distance in (
        losses.content_distance,
        losses.noise_distance,
        losses.fidelity_distance,
        lambda x, y: losses.gram_distance(losses.gram(x), losses.gram(y)),
        lambda x, y: losses.temporal_distance(x, y, everywhere),
        lambda x, y: losses.temporal_feature_distance(x, y, still(2, 64), torch.ones(2, 1, 64, 64)),
    ):
        assert distance(a, a).abs().max() < 1e-6
        assert (distance(a, b) > 0).all()
    assert (losses.total_variation(a) > 0).all()
    assert losses.total_variation(torch.full_like(a, 0.3)).abs().max() == 0


@given(st.floats(0.1, 100))
@settings(max_examples=20, deadline=None)
def test_feature_motion_does_not_depend_on_the_scale_of_the_features(scale: float) -> None:
    a, b = torch.rand(1, 4, 16, 16) + 0.1, torch.rand(1, 4, 16, 16) + 0.1
    flow, valid = losses.random_motion(1, 64, 64, torch.Generator().manual_seed(0))
    plain = losses.temporal_feature_distance(a, b, flow, valid)
    assert losses.temporal_feature_distance(scale * a, scale * b, flow, valid) == pytest.approx(plain, rel=1e-3)


@given(st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_a_painter_that_moves_with_the_picture_has_no_temporal_distance(seed: int) -> None:
    picture = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(seed))
    flow, valid = losses.random_motion(1, 48, 64, torch.Generator().manual_seed(seed))

    def negative(content: torch.Tensor) -> torch.Tensor:
        return 1 - content

    moved = warp(picture, flow)
    assert losses.temporal_distance(warp(negative(picture), flow), negative(moved), valid).item() < 1e-5
    # One that paints by the place in the picture does not move along.
    fixed = torch.linspace(0, 1, 64).expand(1, 3, 48, 64)
    assert losses.temporal_distance(warp(fixed, flow), fixed, valid).item() > 1e-3


def test_features_that_move_with_the_picture_have_no_distance() -> None:
    # Cells of 4 pixels; the picture moves by two cells.
    features = torch.rand(1, 5, 12, 12)
    later = features.roll(-2, dims=3)
    flow = still(1, 48)
    flow[:, 0] = 8
    valid = torch.ones(1, 1, 48, 48)
    valid[..., -8:] = 0
    assert losses.temporal_feature_distance(features, later, flow, valid).item() < 1e-9
    assert losses.temporal_feature_distance(features, later, still(1, 48), valid).item() > 0.1


@given(st.floats(0.5, 1.5), st.floats(-0.2, 0.2))
@settings(max_examples=20, deadline=None)
def test_a_change_of_light_is_recovered(gain: float, offset: float) -> None:
    before = torch.full((1, 3, 40, 40), 0.4)
    change = losses.light_change(gain * before + offset, before)
    assert change.shape == (1, 1, 40, 40)
    assert torch.allclose(change, torch.full_like(change, 0.4 * gain + offset - 0.4), atol=1e-5)
    # A painting that follows it is as steady as one of a film without.
    painted = torch.rand(1, 3, 40, 40)
    everywhere = torch.ones(1, 1, 40, 40)
    assert losses.temporal_distance(painted + change, painted + 0.4 * gain + offset - 0.4, everywhere).item() < 1e-5


def test_a_change_of_light_is_not_noise() -> None:
    noise = 0.05 * torch.randn(1, 3, 80, 80, generator=torch.Generator().manual_seed(0))
    assert losses.light_change(0.5 + noise, torch.full_like(noise, 0.5)).abs().mean() < 0.1 * noise.abs().mean()


def test_noise_is_measured_by_what_it_changes() -> None:
    painting = torch.rand(2, 3, 8, 8)
    assert torch.allclose(losses.noise_distance(painting, painting + 0.03), torch.full((2,), 0.03), atol=1e-6)


@given(st.floats(0.1, 3))
@settings(max_examples=10, deadline=None)
def test_motion_scales(scale: float) -> None:
    one = losses.random_motion(1, 16, 16, torch.Generator().manual_seed(7))[0]
    more = losses.random_motion(1, 16, 16, torch.Generator().manual_seed(7), scale=scale)[0]
    assert torch.allclose(more, scale * one, atol=1e-4)
