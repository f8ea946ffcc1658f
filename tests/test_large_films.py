"""Films larger than what is stylized: stabilized at that size and enlarged last; where the film shows, it is whole."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from videostyle.io.memory import MemorySink, MemorySource
from videostyle.ops.filters import shrink
from videostyle.ops.pixels import to_float
from videostyle.pipeline import render
from videostyle.plan import RenderPlan, StabilizeOptions
from videostyle.stabilize import CausalStabilizer, LookaheadStabilizer
from videostyle.style import Style
from videostyle.stylizers import feedforward, load_stylizer
from videostyle.types import EnlargingStylizer, Frame

SIDE = 24
"""Lines at which the films of these tests, of 48, are stylized."""


@pytest.fixture(autouse=True)
def small_gallery(toy_gallery: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedforward, "GALLERY_SIDE", SIDE)


def film(count: int = 6, top: int = 255) -> list[Frame]:
    """A wall of noise that moves by a pixel a frame; its brightest pixel has `top`."""
    wall = np.random.default_rng(0).integers(0, top + 1, (48, 80, 3), dtype=np.uint8)
    return [
        Frame(torch.from_numpy(wall[:, at : at + 64].copy()).permute(2, 0, 1), at, Fraction(1, 24), index=at)
        for at in range(count)
    ]


def painted(frames: list[Frame], **settings: Any) -> list[torch.Tensor]:
    sink = MemorySink()
    plan = RenderPlan.of("film", "film", **{"style": "dots", "engine": "torch", **settings})
    render(plan, source=MemorySource(frames), sink=sink)
    return [frame.pixels for frame in sink.frames]


@pytest.mark.parametrize(("mode", "stabilizer"), [("causal", CausalStabilizer), ("lookahead", LookaheadStabilizer)])
def test_a_large_film_is_stabilized_at_the_size_of_its_paint(
    mode: str, stabilizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set()
    motion, stabilize = stabilizer.motion, stabilizer.stabilize

    def watched(self: Any, frames: Any) -> Any:
        for item, layers, how in frames:
            seen.add(tuple(layers.shape))
            yield item, layers, how

    def noted(self: Any, is_cut: bool, content: torch.Tensor) -> Any:
        seen.add(tuple(content.shape))
        return motion(self, is_cut, content)

    monkeypatch.setattr(stabilizer, "motion", noted)
    monkeypatch.setattr(stabilizer, "stabilize", lambda self, frames: stabilize(self, watched(self, frames)))
    outputs = painted(film(), stabilize=StabilizeOptions(mode=mode))
    assert seen == {(1, 3, 24, 32)}
    assert {tuple(one.shape) for one in outputs} == {(3, 48, 64)}


@pytest.mark.parametrize(
    ("brush", "size", "stabilized"),
    [
        (1, (48, 64), (24, 32)),
        (2, (48, 64), (24, 32)),
        (0.75, (48, 64), (32, 43)),
        (0.5, (48, 64), (48, 64)),
        (1, (20, 30), (20, 30)),
        (2, (20, 30), (20, 30)),
    ],
)
def test_brushes_paint_a_large_film_at_the_size_that_they_paint_a_picture(
    brush: float, size: tuple[int, int], stabilized: tuple[int, int]
) -> None:
    stylizer = load_stylizer(Style("dots", brush=brush), "torch", "cpu")
    assert isinstance(stylizer, EnlargingStylizer)
    assert stylizer.stabilized_size(*size) == stabilized
    assert stylizer.working_size(*stabilized) == stylizer.working_size(*size)


def test_strength_zero_is_the_film_bit_for_bit() -> None:
    frames = film()
    outputs = painted(frames, strength=0)
    assert all(torch.equal(one.pixels, other) for one, other in zip(frames, outputs, strict=True))


def test_black_stays_the_film_bit_for_bit() -> None:
    frames = film(top=6)
    outputs = painted(frames)
    assert all(torch.equal(one.pixels, other) for one, other in zip(frames, outputs, strict=True))


def test_where_the_film_shows_its_finest_detail_shows() -> None:
    def detail(pixels: torch.Tensor) -> torch.Tensor:
        picture = to_float(pixels)
        small = torch.nn.functional.interpolate(shrink(picture, (24, 32)), (48, 64), mode="bilinear")
        return (picture - small).flatten()

    frames = film()
    alike = {}
    for strength in (0.1, 1.0):
        outputs = painted(frames, strength=strength, stabilize=StabilizeOptions(0))
        pair = torch.stack([detail(frames[-1].pixels), detail(outputs[-1])])
        alike[strength] = float(torch.corrcoef(pair)[0, 1])
    assert alike[0.1] > 0.7
    assert alike[1.0] < 0.3


def test_kept_colors_are_those_of_the_film_and_not_of_a_smaller_one() -> None:
    def chroma(pixels: torch.Tensor) -> torch.Tensor:
        picture = to_float(pixels)
        return (picture - picture.mean(1, keepdim=True)).flatten()

    frames = film()
    outputs = painted(frames, keep_colors=True)
    pair = torch.stack([chroma(frames[-1].pixels), chroma(outputs[-1])])
    assert torch.corrcoef(pair)[0, 1] > 0.6


def test_a_film_that_repeats_a_frame_repeats_its_output() -> None:
    frames = film(4)
    frames.insert(2, frames[1].with_pixels(frames[1].pixels.clone()))
    frames = [Frame(one.pixels, number, one.time_base, index=number) for number, one in enumerate(frames)]
    outputs = painted(frames, strength=0.5)
    assert torch.equal(outputs[1], outputs[2])
