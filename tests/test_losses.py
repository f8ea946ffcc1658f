from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videostyle.ops import losses


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
