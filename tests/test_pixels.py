from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from videostyle.ops.pixels import join_alpha, pad_to_multiple, resize, split_alpha, to_float, to_pixels
from videostyle.types import Frame

TYPES = {torch.uint8: 255, torch.uint16: 65535}
each_type = pytest.mark.parametrize("dtype", list(TYPES), ids=["uint8", "uint16"])


def decoded(values: Tensor, dtype: torch.dtype) -> Tensor:
    """(C, H, W) integers lying in memory as a decoder leaves them: height, width, channel."""
    return values.permute(1, 2, 0).contiguous().to(dtype).permute(2, 0, 1)


def every_level(dtype: torch.dtype) -> Tensor:
    levels = torch.arange(TYPES[dtype] + 1, dtype=torch.int32)
    side = 16 if dtype == torch.uint8 else 256
    return decoded(levels.view(1, side, side).repeat(3, 1, 1), dtype)


@each_type
def test_every_level_survives_the_way_in_and_out(dtype: torch.dtype) -> None:
    pixels = every_level(dtype)
    back = to_pixels(to_float(pixels), dtype)
    assert back.dtype == dtype
    assert torch.equal(back[0].to(torch.int32), pixels.to(torch.int32))


@each_type
def test_the_full_range_becomes_0_to_1(dtype: torch.dtype) -> None:
    picture = to_float(every_level(dtype))
    assert picture.dtype == torch.float32
    assert picture.min() == 0
    assert picture.max() == 1


@each_type
def test_pixels_are_rounded_to_the_nearest_and_clamped(dtype: torch.dtype) -> None:
    scale = TYPES[dtype]
    wanted = torch.tensor([0, 0, 1, 1, scale, scale, 0]).view(1, 1, 1, 7)
    values = torch.tensor([0.0, 0.49, 0.51, 1.49, scale - 0.49, 2 * scale, -5]).view(1, 1, 1, 7) / scale
    assert torch.equal(to_pixels(values, dtype).to(torch.int64), wanted)


@each_type
def test_both_ways_keep_height_width_channel_in_memory(dtype: torch.dtype) -> None:
    pixels = decoded(torch.randint(0, 255, (3, 6, 10)), dtype)
    picture = to_float([pixels, pixels])
    assert picture.shape == (2, 3, 6, 10)
    assert picture[0].permute(1, 2, 0).is_contiguous()
    assert to_pixels(picture, dtype)[1].permute(1, 2, 0).is_contiguous()


def test_a_batch_may_mix_types_and_take_frames() -> None:
    eight = decoded(torch.full((3, 2, 2), 51), torch.uint8)
    sixteen = decoded(torch.full((3, 2, 2), 13107), torch.uint16)
    frames = [Frame(eight, pts=0, time_base=Fraction(1, 25)), Frame(sixteen, pts=1, time_base=Fraction(1, 25))]
    assert torch.allclose(to_float(frames), torch.full((2, 3, 2, 2), 0.2))


def test_pixels_are_left_as_they_were() -> None:
    pixels = every_level(torch.uint8)
    before = pixels.clone()
    picture = to_float(pixels)
    to_pixels(picture, torch.uint8)
    picture.zero_()
    assert torch.equal(pixels, before)


@each_type
def test_alpha_is_left_out_and_put_back(dtype: torch.dtype) -> None:
    pixels = decoded(torch.randint(0, 255, (4, 5, 7)), dtype)
    assert to_float(pixels).shape == (1, 3, 5, 7)
    colors, alpha = split_alpha(pixels)
    assert alpha is not None
    joined = join_alpha(colors, alpha)
    assert torch.equal(joined, pixels)
    assert joined.permute(1, 2, 0).is_contiguous()
    assert join_alpha(*split_alpha(colors)) is not None
    assert split_alpha(colors)[1] is None


@pytest.mark.parametrize(
    "pixels",
    [torch.zeros(3, 4, 4), torch.zeros(2, 4, 4, dtype=torch.uint8), torch.zeros(1, 3, 4, 4, dtype=torch.uint8)],
)
def test_what_is_no_picture_is_refused(pixels: Tensor) -> None:
    with pytest.raises(ValueError, match="pixels must be"):
        to_float(pixels)


def test_a_batch_has_one_size() -> None:
    with pytest.raises(ValueError, match="one size"):
        to_float([torch.zeros(3, 4, 4, dtype=torch.uint8), torch.zeros(3, 4, 5, dtype=torch.uint8)])
    with pytest.raises(ValueError, match="no frames"):
        to_float([])
    with pytest.raises(ValueError, match="uint8 or uint16"):
        to_pixels(torch.zeros(1, 3, 2, 2), torch.int32)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_padding_reaches_the_multiple_and_keeps_the_picture(h: int, w: int, multiple: int, minimum: int) -> None:
    picture = torch.rand(1, 3, h, w)
    padded = pad_to_multiple(picture, multiple, minimum)
    height, width = padded.shape[2:]
    assert height % multiple == width % multiple == 0
    assert max(h, minimum) <= height < max(h, minimum) + multiple
    assert max(w, minimum) <= width < max(w, minimum) + multiple
    assert torch.equal(padded[..., :h, :w], picture)
    assert torch.equal(padded[..., h:, :w], picture[..., -1:, :].expand(1, 3, height - h, w))


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_resizing_keeps_a_flat_colour_and_the_range(h: int, w: int, value: float) -> None:
    assert torch.allclose(resize(torch.full((1, 3, 12, 17), value), (h, w)), torch.tensor(value), atol=1e-5)
    checks = (torch.arange(12).view(-1, 1) + torch.arange(17)).remainder(2).float().expand(1, 3, 12, 17)
    resized = resize(checks, (h, w))
    assert resized.shape == (1, 3, h, w)
    assert 0 <= resized.min() <= resized.max() <= 1


def test_shrinking_does_not_alias() -> None:
    stripes = torch.arange(64).remainder(2).float().expand(1, 3, 64, 64)
    assert (resize(stripes, (24, 24)) - 0.5).abs()[..., 2:-2].max() < 0.05


def test_the_same_size_costs_nothing() -> None:
    picture = torch.rand(1, 3, 8, 8)
    assert resize(picture, (8, 8)) is picture
    assert pad_to_multiple(picture, 4) is picture
