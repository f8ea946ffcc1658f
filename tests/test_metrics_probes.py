"""Probes of painters whose answers are known: one that copies, one that remembers, one that freezes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import moving
import pytest
import torch
from torch import Tensor

from videostyle.metrics.ghosts import GhostShare
from videostyle.metrics.probes import after_cut, drift, frames_of, ghosts, light_step, noise_gain, probe
from videostyle.metrics.temporal import ExactMotion
from videostyle.ops.pixels import to_float, to_pixels
from videostyle.types import Frame


def copies(frames: Iterable[Frame]) -> Iterable[Frame]:
    return frames


def blends(share: float, *, amplified: float = 1.0):
    """A painter that keeps `share` of its last output, wherever things went."""

    def paint(frames: Iterable[Frame]) -> Iterator[Frame]:
        last: Tensor | None = None
        for frame in frames:
            new = 0.5 + amplified * (to_float(frame) - 0.5)
            last = new if last is None else share * last + (1 - share) * new
            yield frame.with_pixels(to_pixels(last, torch.uint16)[0])

    return paint


def fades(frames: Iterable[Frame]) -> Iterator[Frame]:
    """A painter whose film darkens by a thousandth a frame."""
    for number, frame in enumerate(frames):
        yield frame.with_pixels(to_pixels(to_float(frame) * (1 - number / 1000), torch.uint16)[0])


def picture(seed: int = 0) -> Tensor:
    return 0.1 + 0.8 * moving.pan(1, (0, 0), seed=seed, size=(48, 64))[0]


def test_noise_comes_out_as_loud_as_it_is_made() -> None:
    assert noise_gain(copies, picture()) == pytest.approx(1, rel=1e-3)
    assert noise_gain(blends(0, amplified=0.5), picture()) == pytest.approx(0.5, rel=0.01)
    # What keeps a share s has a variance of (1 - s) / (1 + s) when it has settled.
    assert noise_gain(blends(0.5), picture(), count=48) == pytest.approx((0.5 / 1.5) ** 0.5, rel=0.1)


def test_a_copy_follows_the_light_at_once_and_a_memory_late() -> None:
    at_once, late = light_step(copies, picture()), light_step(blends(0.8), picture())
    assert at_once.gain == pytest.approx(1, rel=0.01)
    assert at_once.frames == 0
    # 0.8^n falls below a tenth after 10.3 frames; the first light frame is one of them.
    assert late.frames == pytest.approx(10, abs=1)
    assert late.gain == pytest.approx(1, rel=0.02)


def test_light_that_is_ignored_is_not_followed() -> None:
    def ignores(frames: Iterable[Frame]) -> Iterator[Frame]:
        for frame in frames:
            yield frame.with_pixels(torch.zeros_like(frame.pixels))

    assert light_step(ignores, picture()).gain == 0
    assert light_step(ignores, picture()).frames == 0


def test_a_frozen_film_does_not_drift_and_a_fading_one_does() -> None:
    frozen, faded = drift(copies, picture(), count=20), drift(fades, picture(), count=20)
    assert (frozen.last, frozen.most, frozen.brightness) == (0, 0, 0)
    assert len(faded.curve) == 20
    assert faded.most == faded.last > 0.005
    assert faded.brightness < 0


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8])
def test_after_a_cut_what_is_kept_is_found(share: float) -> None:
    found = after_cut(blends(share), picture(), picture(1), count=4)
    assert found == pytest.approx([share, share**2, share**3, share**4], abs=0.01)


def test_a_ghost_in_what_came_into_view_is_found() -> None:
    # A bright square moves right by 8 px over a still picture; what it leaves behind was hidden.
    background = picture()
    films, motions = [], []
    for number in range(4):
        film = background.clone()
        left = 8 + 8 * number
        film[..., 16:32, left : left + 16] = 1
        films.append(film)
        if number:
            hidden = torch.zeros(1, 1, 48, 64, dtype=torch.bool)
            hidden[..., 16:32, left - 8 : left] = True
            backward = torch.zeros(1, 2, 48, 64)
            backward[:, 0, 16:32, left : left + 16] = -8
            motions.append(ExactMotion(backward, hidden))
    assert ghosts(copies, copies, films, motions) == pytest.approx(0, abs=1e-3)
    assert ghosts(blends(0.3), copies, films, motions) == pytest.approx(0.3, abs=0.02)


def test_left_over_is_a_share_of_the_way_and_only_where_asked() -> None:
    old, fresh = picture(), picture(1)
    where = torch.zeros(1, 1, 48, 64, dtype=torch.bool)
    where[..., :20] = True
    shown = fresh.lerp(old, 0.25)
    shown[..., 20:] = 1
    left = GhostShare()
    left.add(shown, fresh, old, where)
    assert left.share == pytest.approx(0.25, abs=1e-5)
    assert GhostShare().share != GhostShare().share  # nothing added: nan


def test_all_probes_together_are_plain_data() -> None:
    told = probe(copies, picture(), picture(1), still_frames=3).to_json()
    assert told["noise_gain"] == pytest.approx(1, rel=1e-3)
    assert told["drift"]["curve"] == [0, 0, 0]
    assert told["after_cut"][0] == pytest.approx(0, abs=1e-3)
    assert probe(copies, picture(), picture(), still_frames=1).to_json()["after_cut"][0] is None  # no cut


def test_frames_of_pictures_are_precise() -> None:
    (frame,) = frames_of([picture()])
    assert (to_float(frame) - picture()).abs().max() < 1e-5
