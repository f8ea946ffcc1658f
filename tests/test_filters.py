from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from videostyle.ops import filters

FILTERS: dict[str, Callable[[Tensor], Tensor]] = {
    "luma": filters.luma,
    "soften": filters.soften,
    "box": lambda x: filters.box(x, 2),
    "erode": lambda x: filters.erode(x, 1),
    "enlarge": lambda x: filters.enlarge(x, (37, 50)),
    "shrink": lambda x: filters.shrink(x, (6, 8)),
    "mix": lambda x: filters.mix(x, x.flip(3), 2 * x[:, :1] - 0.5),
}
each = pytest.mark.parametrize("name", list(FILTERS))


class Elsewhere(Tensor):
    """A CPU tensor that says it is not on the CPU, so that the code for other devices can be tested here."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("meta")


@each
def test_opencv_and_torch_agree(name: str) -> None:
    picture = torch.rand(2, 3, 24, 32)
    elsewhere = FILTERS[name](picture.as_subclass(Elsewhere))
    assert torch.allclose(FILTERS[name](picture), elsewhere.as_subclass(Tensor), atol=1e-5)


@each
@pytest.mark.parametrize("value", [0.0, 0.25, 1.0])
def test_a_flat_picture_stays_flat(name: str, value: float) -> None:
    assert torch.allclose(FILTERS[name](torch.full((1, 3, 24, 32), value)), torch.tensor(value), atol=1e-5)


@each
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (16, 2)])
def test_small_pictures_pass(name: str, size: tuple[int, int]) -> None:
    picture = torch.rand(1, 3, *size)
    if name != "shrink":
        assert FILTERS[name](picture).isfinite().all()


@each
def test_the_picture_is_left_as_it_was(name: str) -> None:
    picture = torch.rand(1, 3, 24, 32)
    before = picture.clone()
    FILTERS[name](picture)
    assert torch.equal(picture, before)


def test_results_lie_as_height_width_channel() -> None:
    picture = torch.rand(1, 3, 24, 32).to(memory_format=torch.channels_last)
    for name in ("soften", "box", "enlarge", "shrink", "mix"):
        assert FILTERS[name](picture)[0].permute(1, 2, 0).is_contiguous()
