from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videostyle.errors import SourceError
from videostyle.io import open_source
from videostyle.io.memory import MemorySource
from videostyle.masks import Mask, compose, mask_from_pixels
from videostyle.types import Frame

WHITE, BLACK = (torch.full((3, 6, 8), value, dtype=torch.uint8) for value in (255, 0))


def film(levels: list[int], rate: int = 24) -> MemorySource:
    return MemorySource([torch.full((3, 6, 8), level, dtype=torch.uint8) for level in levels], rate)


def levels(mask: Mask, times: list[Fraction]) -> list[int]:
    return [round(mask.at(time, (6, 8)).mean().item() * 245 + 5) for time in times]


def test_white_is_one_and_black_is_nothing_exactly() -> None:
    for feather in (0, 2, 50):
        for size in ((6, 8), (3, 5), (31, 17)):
            assert torch.equal(mask_from_pixels(WHITE, size, feather), torch.ones(1, *size))
            assert torch.equal(mask_from_pixels(BLACK, size, feather), torch.zeros(1, *size))


def test_what_a_codec_makes_of_black_and_white_counts_as_such() -> None:
    nearly = torch.randint(0, 4, (3, 6, 8), dtype=torch.uint8)
    assert torch.equal(mask_from_pixels(nearly, (6, 8), 1), torch.zeros(1, 6, 8))
    assert torch.equal(mask_from_pixels(255 - nearly, (6, 8), 1), torch.ones(1, 6, 8))


def test_grey_is_partial_and_alpha_counts() -> None:
    assert mask_from_pixels(torch.full((3, 6, 8), 128, dtype=torch.uint8), (6, 8), 0).mean() == pytest.approx(
        0.5, abs=0.01
    )
    assert mask_from_pixels(torch.full((3, 6, 8), 32768, dtype=torch.uint16), (6, 8), 0).mean() == pytest.approx(
        0.5, abs=0.01
    )
    cut_out = torch.full((4, 6, 8), 255, dtype=torch.uint8)
    cut_out[3, :, :4] = 0
    assert torch.equal(mask_from_pixels(cut_out, (6, 8), 0)[0, 0], torch.tensor([0.0] * 4 + [1.0] * 4))


def test_feathering_softens_the_edge_and_ends() -> None:
    half = torch.zeros(3, 64, 64, dtype=torch.uint8)
    half[:, :, 32:] = 255
    hard, soft = (mask_from_pixels(half, (64, 64), feather)[0, 32] for feather in (0, 2))
    assert ((hard > 0) & (hard < 1)).sum() == 0
    assert 4 <= ((soft > 0) & (soft < 1)).sum() <= 16
    assert torch.equal(soft, soft.sort().values)
    assert torch.allclose(soft + soft.flip(0), torch.ones(64), atol=1e-5)


def test_a_mask_film_runs_in_step_by_time() -> None:
    """Twelve pictures a second against twenty-four, and the other way round: the nearest in time."""
    twelve = Mask(film([10, 60, 110, 160], rate=12), 0)
    assert levels(twelve, [Fraction(n, 24) for n in range(8)]) == [10, 60, 60, 110, 110, 160, 160, 160]
    assert twelve.warnings == []
    fast = Mask(film(list(range(10, 250, 10)), rate=48), 0)
    assert levels(fast, [Fraction(n, 24) for n in range(5)]) == [10, 30, 50, 70, 90]


def test_rounded_times_do_not_slip_by_a_frame() -> None:
    """Matroska counts milliseconds: 0.041 s and 1/24 s are the same moment."""
    mask = Mask(film([10, 60, 110, 160, 210]), 0)
    rounded = [Fraction(round(1000 * n / 24) - (n % 2), 1000) for n in range(5)]
    assert levels(mask, [max(time, Fraction(0)) for time in rounded]) == [10, 60, 110, 160, 210]


def test_a_mask_that_ends_early_keeps_its_last_picture_and_says_so() -> None:
    mask = Mask(film([10, 60, 110]), 0)
    assert levels(mask, [Fraction(n, 24) for n in (0, 1, 2)]) == [10, 60, 110]
    assert mask.warnings == []
    assert levels(mask, [Fraction(n, 24) for n in (3, 4, 60)]) == [110, 110, 110]
    assert mask.warnings == ["memory: the mask ends at 0.12 s, before the film; its last frame is used from there on"]


def test_a_single_picture_lasts_and_needs_no_warning() -> None:
    mask = Mask(film([110]), 0)
    assert levels(mask, [Fraction(0), Fraction(5000)]) == [110, 110]
    assert mask.warnings == []


def test_a_mask_is_read_from_where_it_is_asked_for(tmp_path: Path) -> None:
    for number in range(60):
        cv2.imwrite(str(tmp_path / f"{number:03d}.png"), np.full((6, 8), 4 * number, np.uint8))
    for time, level in ((Fraction(3, 2), 144), (Fraction(59, 24), 236), (Fraction(100), 236)):
        with open_source(str(tmp_path)) as pictures:
            assert levels(Mask(pictures, 0), [time]) == [level]


def test_a_mask_without_pictures_is_an_error() -> None:
    class Empty(MemorySource):
        def frames(self, span=None):  # type: ignore[no-untyped-def]
            return iter(())

    with pytest.raises(SourceError, match="no frame"):
        Mask(Empty([WHITE]), 0).at(Fraction(0), (6, 8))


def test_the_mask_follows_the_size_of_the_picture() -> None:
    mask = Mask(film([255]), 2)
    assert mask.at(Fraction(0), (6, 8)).shape == (1, 6, 8)
    assert mask.at(Fraction(0), (5, 3)).shape == (1, 5, 3)


def test_times_count_from_the_masks_own_first_picture() -> None:
    late = [Frame(torch.full((3, 6, 8), 50 * n + 10, dtype=torch.uint8), 1000 + n, Fraction(1, 24)) for n in range(3)]
    assert levels(Mask(MemorySource(late), 0), [Fraction(n, 24) for n in range(3)]) == [10, 60, 110]


@given(st.integers(0, 2**32 - 1), st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_layers_lie_over_one_another(seed: int, regions: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    film, *layers = torch.rand(2 + regions, 3, 5, 7, generator=generator)
    masks = list((torch.rand(regions + 1, 1, 5, 7, generator=generator) * 3 - 1).clamp(0, 1))
    picture = compose(film, layers, masks[1:], masks[0])
    shares = torch.cat([film[None], *[layer[None] for layer in layers]])
    assert (picture <= shares.amax(0) + 1e-6).all()
    assert (picture >= shares.amin(0) - 1e-6).all()
    outside = (masks[0] == 0).expand(3, -1, -1)
    assert torch.equal(picture[outside], film[outside])
    top = compose(film, layers, masks[1:], None)
    inside = (masks[0] == 1).expand(3, -1, -1)
    assert torch.equal(picture[inside], top[inside])
    if regions:
        covered = (masks[-1] == 1).expand(3, -1, -1)
        assert torch.equal(top[covered], layers[-1][covered])
