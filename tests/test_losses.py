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


def test_the_mean_of_the_quadrants_is_the_whole() -> None:
    features = torch.rand(2, 5, 12, 16)
    quadrants = losses.quadrant_grams(features)
    assert len(quadrants) == 4
    assert torch.allclose(torch.stack(quadrants).mean(0), losses.gram(features), atol=1e-6)
    busy = torch.zeros(1, 3, 8, 8)
    busy[..., :4, :4] = 1
    assert [gram.abs().max().item() > 0 for gram in losses.quadrant_grams(busy)] == [True, False, False, False]


def test_content_counts_beside_edges_and_little_in_flats() -> None:
    picture = torch.full((1, 3, 64, 64), 0.2)
    picture[..., 32:] = 0.8
    weight = losses.edge_weight(picture, 0.2)
    assert weight.shape == (1, 1, 8, 8)
    assert weight[..., 4].min() == pytest.approx(1)
    assert weight[..., 0].max() == pytest.approx(0.2, rel=1e-4)
    features = torch.rand(1, 4, 16, 16)
    flat, edge = features.clone(), features.clone()
    flat[..., 0] += 1
    edge[..., 8] += 1
    distances = [losses.content_distance(changed, features, weight).item() for changed in (flat, edge)]
    assert distances[1] > 2 * distances[0]


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


@given(st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_every_distance_is_zero_for_equals_and_never_negative(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.rand(2, 3, 32, 32, generator=generator) for _ in range(2))
    everywhere = torch.ones(2, 1, 32, 32)
    for distance in (
        losses.content_distance,
        losses.fidelity_distance,
        lambda x, y: losses.gram_distance(losses.gram(x), losses.gram(y)),
        lambda x, y: losses.temporal_distance(x, y, everywhere),
    ):
        assert distance(a, a).abs().max() < 1e-6
        assert (distance(a, b) > 0).all()
    assert (losses.total_variation(a) > 0).all()
    assert losses.total_variation(torch.full_like(a, 0.3)).abs().max() == 0


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


@given(st.floats(0.1, 3))
@settings(max_examples=10, deadline=None)
def test_motion_scales(scale: float) -> None:
    one = losses.random_motion(1, 16, 16, torch.Generator().manual_seed(7))[0]
    more = losses.random_motion(1, 16, 16, torch.Generator().manual_seed(7), scale=scale)[0]
    assert torch.allclose(more, scale * one, atol=1e-4)
