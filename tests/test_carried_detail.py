"""The prior of a recurrent network keeps the detail that the paint had where it was new."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from moving import pan
from torch import Tensor

from videostyle.metrics.temporal import laplacian_energy
from videostyle.ops.detail import detail_energy
from videostyle.ops.filters import soften
from videostyle.style import Style
from videostyle.stylizers import load_stylizer
from videostyle.stylizers._carried_detail import FRAMES, GAINS, CarriedDetail
from videostyle.timeline import Key, Timeline
from videostyle.types import Flow, Moment, Motion

PICTURE = pan(1, (0, 0), size=(64, 96), finest=1.0)[0] * 0.5 + 0.25
STILL, TRUSTED = torch.zeros(1, 2, 64, 96), torch.ones(1, 1, 64, 96)


def energy(picture: Tensor) -> float:
    return detail_energy(picture).mean().item()


@pytest.mark.parametrize("factor", [0.9, 1.25])
def test_detail_lost_or_added_each_frame_does_not_add_up(factor: float) -> None:
    keep, picture = CarriedDetail(), PICTURE
    for _ in range(12):
        blurred = soften(picture)
        changed = (blurred + factor * (picture - blurred)).clamp(0, 1)
        picture = keep(changed, picture, STILL, TRUSTED)
    assert 0.85 < energy(picture) / energy(PICTURE) < 1.3  # 0.08 and 210, if it added up


@pytest.mark.parametrize("factor", [0.2, 4.0])
def test_factors_are_bounded(factor: float) -> None:
    warped = ((PICTURE - 0.5) * factor + 0.5).clamp(0, 1)
    change = energy(CarriedDetail()(warped, PICTURE, STILL, TRUSTED)) / energy(warped)
    assert 1.05 < change <= GAINS[1] ** 2 if factor < 1 else GAINS[0] ** 2 <= change < 0.8


def test_what_is_new_is_measured_anew() -> None:
    keep, smooth = CarriedDetail(), soften(soften(PICTURE))
    keep(PICTURE, PICTURE, STILL, torch.zeros_like(TRUSTED))
    assert energy(keep(smooth, smooth, STILL, TRUSTED)) == pytest.approx(energy(smooth), rel=0.02)


def test_after_a_restart_nothing_is_kept() -> None:
    keep, smooth = CarriedDetail(), soften(soften(PICTURE))
    keep(PICTURE, PICTURE, STILL, TRUSTED)
    assert energy(keep(smooth, smooth, STILL, TRUSTED)) > 1.05 * energy(smooth)
    keep.restart()
    assert torch.allclose(keep(smooth, smooth, STILL, TRUSTED), smooth, atol=1e-3)


def test_what_comes_in_at_the_rim_is_left_alone_until_it_has_found_its_detail() -> None:
    keep, smooth, pan_right = CarriedDetail(), soften(PICTURE), torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
    changed = []
    for _ in range(FRAMES + 6):
        prior = keep(smooth, PICTURE, pan_right.expand_as(STILL), TRUSTED)
        changed.append((prior - smooth).abs().mean(dim=(0, 1, 2)))
    assert (changed[0][-4:] < 1e-3).all()
    assert changed[0][:-12].min() > 0
    late = changed[-1]
    assert (late[-4:] < 1e-3).all(), "what has just come in"
    assert late[-FRAMES:].mean() < 0.5 * late[:-FRAMES].mean()


@pytest.mark.parametrize("style", ["great-wave", "starry-night"])
def test_a_still_film_stays_as_sharp_as_it_begins(style: str) -> None:
    stylizer, motion = load_stylizer(Style(((style, 1.0),)), "torch", "cpu"), Motion(Flow(STILL, TRUSTED))
    outputs = [stylizer(PICTURE, Moment(Fraction(n, 24), n == 0, motion if n else None)) for n in range(24)]
    assert laplacian_energy(outputs[-1]) < 1.5 * laplacian_energy(outputs[0])


def test_another_strength_has_detail_of_its_own() -> None:
    """A film that turns from its own pictures into paint gets as much detail as one that is paint from the start."""
    rising = Timeline((Key(0.0, Fraction(0)), Key(1.0, Fraction(1, 2))))
    fading = load_stylizer(
        Style((("great-wave", 1.0),), strength=rising),
        "torch",
        "cpu",
    )
    painting = load_stylizer(Style((("great-wave", 1.0),)), "torch", "cpu")
    moment, faded, painted = Moment(Fraction(0), True, None), PICTURE, PICTURE
    for number in range(24):
        faded, painted = fading(PICTURE, moment), painting(PICTURE, moment)
        moment = replace(moment, time=Fraction(number + 1, 24), is_cut=False, motion=Motion(Flow(STILL, TRUSTED)))
    assert energy(faded) > 0.7 * energy(painted)
