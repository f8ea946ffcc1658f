from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from videostyle.ops.warp import confidence, consistency_error, inside, motion_boundaries, resize_flow, warp

sizes = st.tuples(st.integers(1, 24), st.integers(1, 24))
seeds = st.integers(0, 999)
both = pytest.mark.parametrize("resampling", ["bilinear", "bicubic"])


def picture(h: int, w: int, seed: int = 0, channels: int = 3) -> Tensor:
    return torch.rand(1, channels, h, w, generator=torch.Generator().manual_seed(seed))


def everywhere(x: float, y: float, h: int, w: int) -> Tensor:
    return torch.tensor((x, y)).view(1, 2, 1, 1).expand(1, 2, h, w).contiguous()


@both
@given(sizes, seeds)
@settings(max_examples=30, deadline=None)
def test_no_motion_changes_nothing(resampling: str, size: tuple[int, int], seed: int) -> None:
    image = picture(*size, seed)
    assert torch.equal(warp(image, torch.zeros(1, 2, *size), resampling), image)


@both
@given(st.integers(-5, 5), st.integers(-5, 5), seeds)
@settings(max_examples=30, deadline=None)
def test_whole_pixels_are_moved_exactly_and_the_border_is_repeated(resampling: str, x: int, y: int, seed: int) -> None:
    h, w = 9, 11
    image = picture(h, w, seed)
    rows = (torch.arange(h) + y).clamp(0, h - 1)
    columns = (torch.arange(w) + x).clamp(0, w - 1)
    moved = warp(image, everywhere(x, y, h, w), resampling)
    if resampling == "bilinear" or (x == 0 and y == 0):
        assert torch.equal(moved, image[:, :, rows][:, :, :, columns])
    else:  # bicubic looks one pixel further at the border
        inner = (slice(None), slice(None), slice(abs(y) + 1, h - abs(y) - 1), slice(abs(x) + 1, w - abs(x) - 1))
        assert torch.equal(moved[inner], image[:, :, rows][:, :, :, columns][inner])


def test_half_a_pixel_is_the_mean_of_two() -> None:
    image = torch.tensor([[0.0, 1.0, 0.5]]).view(1, 1, 1, 3)
    assert torch.allclose(warp(image, everywhere(0.5, 0, 1, 3)), torch.tensor([0.5, 0.75, 0.5]).view(1, 1, 1, 3))


@both
@given(seeds)
@settings(max_examples=20, deadline=None)
def test_with_and_without_gradients_is_the_same(resampling: str, seed: int) -> None:
    image = picture(17, 23, seed)
    flow = torch.randn(1, 2, 17, 23, generator=torch.Generator().manual_seed(seed)) * 4
    differentiable = warp(image.clone().requires_grad_(), flow, resampling)
    assert differentiable.requires_grad
    assert torch.allclose(warp(image, flow, resampling), differentiable.detach(), atol=1e-4)


def test_batches_channels_and_types_are_kept() -> None:
    image = torch.rand(3, 7, 8, 6)
    flow = torch.randn(3, 2, 8, 6)
    one_by_one = torch.cat([warp(image[i : i + 1], flow[i : i + 1]) for i in range(3)])
    assert torch.allclose(warp(image, flow), one_by_one, atol=1e-5)
    assert warp(image.half(), flow).dtype == torch.float16


def test_a_flow_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"flow must be \(1, 2, 8, 6\)"):
        warp(torch.rand(1, 3, 8, 6), torch.zeros(1, 2, 6, 8))


@given(sizes, st.floats(-9, 9), st.floats(-9, 9))
@settings(max_examples=30, deadline=None)
def test_a_resized_flow_moves_by_the_same_share_of_the_picture(size: tuple[int, int], x: float, y: float) -> None:
    resized = resize_flow(everywhere(x, y, 10, 20), size)
    assert resized.shape == (1, 2, *size)
    assert torch.allclose(resized[:, 0], torch.tensor(x * size[1] / 20), atol=1e-4)
    assert torch.allclose(resized[:, 1], torch.tensor(y * size[0] / 10), atol=1e-4)


@given(st.floats(-4, 4), st.floats(-4, 4))
@settings(max_examples=30, deadline=None)
def test_a_motion_that_is_undone_is_believed_wherever_it_stays_inside(x: float, y: float) -> None:
    flow = everywhere(x, y, 20, 24)
    believed = confidence(flow, -flow)
    assert torch.equal(believed, inside(flow).float())
    assert believed[..., 6:-6, 6:-6].min() == 1


def test_the_occlusion_test_is_the_published_one() -> None:
    # |f + b|² against 0.01 (|f|² + |b|²) + 0.5, at the middle of uniform flows.
    flow, back = everywhere(3, 0, 9, 9), everywhere(-2, 0, 9, 9)
    expected = 1 / (0.01 * (9 + 4) + 0.5)
    assert consistency_error(flow, back)[0, 0, 4, 4].item() == pytest.approx(expected)
    assert confidence(flow, back)[0, 0, 4, 4] == 0  # the ratio is above 1
    # Belief falls from half of that on.
    assert confidence(flow, everywhere(-2.6, 0, 9, 9))[0, 0, 4, 4] == 1
    ratio = 0.36 / (0.01 * (9 + 5.76) + 0.5)
    assert confidence(flow, everywhere(-2.4, 0, 9, 9))[0, 0, 4, 4].item() == pytest.approx(2 - 2 * ratio)


def test_what_comes_into_view_is_not_believed() -> None:
    # A square moved 8 px to the right; what it uncovers points into the square's old place and contradicts itself.
    backward, forward = torch.zeros(1, 2, 40, 60), torch.zeros(1, 2, 40, 60)
    backward[:, 0, 10:30, 28:48] = -8
    forward[:, 0, 10:30, 20:40] = 8
    believed = confidence(backward, forward)
    assert believed[0, 0, 12:28, 21:27].max() == 0  # uncovered
    assert believed[0, 0, 12:28, 30:46].min() == 1  # the square itself
    assert believed[0, 0, :8].min() == 1  # the still background


def test_boundaries_are_where_the_motion_changes() -> None:
    flow = torch.zeros(1, 2, 20, 20)
    assert not motion_boundaries(flow).any()
    flow[:, 0, :, 10:] = 3
    marked = motion_boundaries(flow)
    assert marked[..., 9].all()
    assert marked.sum() == 20
    slope = torch.arange(20.0).view(1, 1, 1, 20).expand(1, 2, 20, 20) * 0.03  # a slow zoom
    assert not motion_boundaries(slope).any()


def test_a_picture_of_one_pixel_can_be_warped() -> None:
    image = torch.rand(1, 3, 1, 1)
    assert torch.equal(warp(image, everywhere(2, -3, 1, 1)), image)
    assert math.isfinite(confidence(torch.zeros(1, 2, 1, 1), torch.zeros(1, 2, 1, 1)).item())
