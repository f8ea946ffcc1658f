from __future__ import annotations

import moving
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from videostyle.metrics.appearance import FeatureExtractor, content_of, gradient_energy, ssim, style_distance
from videostyle.metrics.temporal import laplacian_energy
from videostyle.nets.vgg import LossNetwork
from videostyle.ops.filters import box


@pytest.fixture(scope="module")
def extractor() -> FeatureExtractor:
    torch.manual_seed(0)
    return FeatureExtractor(LossNetwork((2, 2, 4, 4, 1), (8, 8, 16, 16, 16)).eval().requires_grad_(False), side=96)


def picture(seed: int = 0) -> Tensor:
    return moving.pan(1, (0, 0), seed=seed)[0]


def test_a_slope_has_the_energy_of_its_steps() -> None:
    slope = (0.01 * torch.arange(32.0)).expand(1, 3, 32, 32)
    assert gradient_energy(slope) == pytest.approx(1e-4, rel=1e-4)
    assert gradient_energy(slope.transpose(2, 3)) == pytest.approx(1e-4, rel=1e-4)


@given(st.floats(0.1, 1))
@settings(max_examples=10, deadline=None)
def test_energies_go_with_the_square_of_contrast(contrast: float) -> None:
    full = picture()
    weak = 0.5 + contrast * (full - 0.5)
    assert gradient_energy(weak) == pytest.approx(contrast**2 * gradient_energy(full), rel=1e-3)
    assert laplacian_energy(weak) == pytest.approx(contrast**2 * laplacian_energy(full), rel=1e-3)


def test_blur_costs_the_finest_detail_most() -> None:
    sharp, blurred = picture(), box(picture(), 1)
    edges = gradient_energy(blurred) / gradient_energy(sharp)
    assert laplacian_energy(blurred) / laplacian_energy(sharp) < edges < 1


def test_a_picture_is_like_itself_and_less_like_others() -> None:
    noisy = picture() + 0.05 * torch.randn(
        1, 3, moving.HEIGHT, moving.WIDTH, generator=torch.Generator().manual_seed(0)
    )
    assert ssim(picture(), picture()) == pytest.approx(1, abs=1e-5)
    assert ssim(picture(), noisy) == pytest.approx(ssim(noisy, picture()))
    assert 0.3 < ssim(picture(), noisy) < 0.99
    assert ssim(picture(), picture(seed=1)) < 0.3


def test_style_stays_when_the_picture_is_mirrored_and_content_does_not(extractor: FeatureExtractor) -> None:
    film, mirrored, other = (extractor(one) for one in (picture(), picture().flip(3), box(picture(), 3)))
    assert style_distance(film, film) == 0
    assert content_of(film, film) == 0
    assert style_distance(mirrored, film) < 0.5 * style_distance(other, film)
    assert content_of(mirrored, film) > content_of(other, film)


def test_pictures_smaller_than_the_network_sees_are_enlarged(extractor: FeatureExtractor) -> None:
    assert style_distance(extractor(picture()[..., :12, :12]), extractor(picture()[..., :12, :12])) == 0
