from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from moving import pan
from torch import Tensor

from videostyle.cuts import mark_cuts
from videostyle.ops.pixels import to_pixels
from videostyle.types import Frame

both = pytest.mark.parametrize("live", [False, True], ids=["film", "live"])


def film(pictures: Iterable[Tensor], dtype: torch.dtype = torch.uint8) -> Iterator[Frame]:
    for number, picture in enumerate(pictures):
        pixels = to_pixels(picture, dtype)[0] if picture.is_floating_point() else picture
        yield Frame(pixels, pts=number, time_base=Fraction(1, 25), index=number)


def cuts(frames: Iterable[Frame], live: bool = False) -> list[int]:
    return [frame.index for frame in mark_cuts(frames, live) if frame.is_cut]


def shots(*lengths: int, step: tuple[float, float] = (1.0, 0.5)) -> list[Tensor]:
    return [picture for seed, length in enumerate(lengths) for picture in shot(seed, length, step)]


def shot(seed: int, length: int, step: tuple[float, float] = (1.0, 0.5)) -> list[Tensor]:
    """A moving texture in a colour of its own."""
    tint = torch.rand(1, 3, 1, 1, generator=torch.Generator().manual_seed(seed)) * 0.8 + 0.2
    return [picture * tint for picture in pan(length, step, seed)]


@both
def test_every_frame_comes_out_once_and_in_order(live: bool) -> None:
    frames = list(mark_cuts(film(shots(5, 4)), live))
    assert [frame.index for frame in frames] == list(range(9))
    assert all(frame.pixels.shape == (3, 128, 192) for frame in frames)


@both
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16], ids=["uint8", "uint16"])
def test_each_shot_begins_with_a_cut(live: bool, dtype: torch.dtype) -> None:
    assert cuts(film(shots(7, 5, 9), dtype), live) == [0, 7, 12]


@both
def test_quick_motion_is_no_cut(live: bool) -> None:
    assert cuts(film(shots(12, step=(17, 6))), live)[:1] == [0]
    assert len(cuts(film(shots(12, step=(17, 6))), live)) <= (2 if live else 1)


def test_a_flash_is_no_cut() -> None:
    pictures = shots(12)
    pictures[5] = torch.full_like(pictures[5], 0.95)
    assert cuts(film(pictures)) == [0]


@pytest.mark.parametrize("repeats", [2, 3])
def test_a_film_on_twos_or_threes_is_not_all_cuts(repeats: int) -> None:
    drawings = [picture for picture in shots(10, step=(14, 5)) for _ in range(repeats)]
    assert cuts(film(drawings)) == [0]
    two_shots = [picture for picture in shots(6, 6) for _ in range(repeats)]
    assert cuts(film(two_shots)) == [0, 6 * repeats]


@both
def test_still_and_black_pictures_hold_no_cuts(live: bool) -> None:
    assert cuts(film(shots(1) * 12), live) == [0]
    assert cuts(film([torch.zeros(1, 3, 40, 60)] * 12), live) == [0]


def test_fading_in_is_no_cut() -> None:
    assert cuts(film(picture * min(n / 12, 1) for n, picture in enumerate(shots(20)))) == [0]


@pytest.mark.parametrize(("live", "behind"), [(False, 1), (True, 0)])
def test_the_delay(live: bool, behind: int) -> None:
    taken = 0

    def counted() -> Iterator[Frame]:
        nonlocal taken
        for frame in film(shots(8, 8)):
            taken += 1
            yield frame

    for frame in mark_cuts(counted(), live):
        assert taken - frame.index - 1 <= behind


def test_the_delay_is_bounded_in_a_still_film() -> None:
    taken = 0

    def still() -> Iterator[Frame]:
        nonlocal taken
        for frame in film(shots(1) * 40):
            taken += 1
            yield frame

    assert max(taken - frame.index - 1 for frame in mark_cuts(still())) <= 4


@both
def test_a_change_of_size_is_a_cut(live: bool) -> None:
    pictures = pan(4, (1, 0)) + pan(4, (1, 0), size=(96, 96))
    frames = list(mark_cuts(film(pictures), live))
    assert [frame.index for frame in frames] == list(range(8))
    assert [frame.index for frame in frames if frame.is_cut] == [0, 4]


@both
@pytest.mark.parametrize("size", [(1, 1), (16, 9), (400, 2)])
def test_small_pictures_pass(live: bool, size: tuple[int, int]) -> None:
    assert cuts(film([torch.rand(1, 3, *size)] * 3), live) == [0]


@both
def test_alpha_marks_and_emptiness(live: bool) -> None:
    rgba = [torch.randint(0, 9, (4, 20, 30), dtype=torch.uint8)] * 4
    assert cuts(film(rgba), live) == [0]
    marked = (Frame(f.pixels, f.pts, f.time_base, index=f.index, is_cut=f.index == 2) for f in film(rgba))
    assert cuts(marked, live) == [0, 2]
    assert list(mark_cuts([], live)) == []


REAL = {
    "bikes.mp4": [0, 30, 76, 137, 187, 242],
    "chaplin.mp4": [0],
    "cockatoo.mp4": [0],
    "davis_scooter-black": [0],
    "davis_motocross-jump": [0],
}


def real_pictures(path: Path) -> Iterator[Tensor]:
    if path.is_dir():
        arrays: Iterable[np.ndarray] = (cv2.imread(str(file))[..., ::-1] for file in sorted(path.glob("*.jpg")))
    else:
        arrays = (frame.to_ndarray(format="rgb24") for frame in av.open(str(path)).decode(video=0))
    for array in arrays:
        yield torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1)


@pytest.mark.parametrize("name", list(REAL))
def test_the_shots_of_real_films(data: Path, name: str) -> None:
    assert cuts(film(real_pictures(data / "clips" / name))) == REAL[name]
