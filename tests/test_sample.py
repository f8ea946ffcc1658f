"""The sample film is what its README says, and the fixture's flow explains its pictures."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from scenedetect import AdaptiveDetector, ContentDetector, detect
from torch import Tensor

from videostyle.ops.warp import warp

FILM = Path(__file__).parents[1] / "samples" / "harbour.mp4"
FIXTURE = Path(__file__).parent / "fixtures" / "exact_flow.npz"
CUT = 108


@pytest.fixture(scope="module")
def exact() -> dict[str, Tensor]:
    """Frames (6, 3, H, W) in 0..1, backward flow (5, 2, H, W) and the points (5, H, W) the frame before shows."""
    with np.load(FIXTURE) as stored:
        return {
            "frames": torch.from_numpy(stored["frames"]).permute(0, 3, 1, 2).float() / 255,
            "backward": torch.from_numpy(stored["backward"].astype(np.float32)).permute(0, 3, 1, 2),
            "seen": torch.from_numpy(~stored["occlusion"]),
        }


def error(pictures: Tensor, others: Tensor, where: Tensor) -> float:
    return float((pictures - others).abs().mean(1)[where].mean())


def test_the_exact_flow_explains_the_next_frame(exact):
    before, now = exact["frames"][:-1], exact["frames"][1:]
    unwarped = error(before, now, exact["seen"])
    warped = error(warp(before, exact["backward"]), now, exact["seen"])
    assert warped < 0.025
    assert warped < 0.5 * unwarped


@pytest.mark.parametrize("signs", [(-1, 1), (1, -1), (-1, -1)])
def test_no_other_sign_of_the_flow_does(exact, signs):
    before, now = exact["frames"][:-1], exact["frames"][1:]
    turned = exact["backward"] * torch.tensor(signs).view(1, 2, 1, 1)
    assert error(warp(before, turned), now, exact["seen"]) > 1.05 * error(
        warp(before, exact["backward"]), now, exact["seen"]
    )


def test_hidden_points_are_the_ones_it_cannot_explain(exact):
    before, now = exact["frames"][:-1], exact["frames"][1:]
    warped = warp(before, exact["backward"])
    h, w = exact["seen"].shape[1:]
    inside = torch.zeros(h, w, dtype=torch.bool)
    inside[8:-8, 8:-8] = True  # points that entered through the border may look alike by chance
    hidden = ~exact["seen"] & inside
    assert 0.002 < hidden.float().mean() < 0.2
    assert error(warped, now, hidden) > 3 * error(warped, now, exact["seen"])


def test_the_film_has_the_size_rate_length_and_sound_it_promises():
    with av.open(str(FILM)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        context = video.codec_context
        assert (video.width, video.height, video.average_rate) == (640, 360, 24)
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.color_primaries, context.color_trc, context.colorspace) == (1, 1, 1)  # all BT.709
        assert (audio.codec_context.name, audio.codec_context.channels) == ("aac", 2)
        assert sum(1 for _ in container.decode(video=0)) == 192
    with av.open(str(FILM)) as container:
        loudness = [float(np.abs(block.to_ndarray()).max()) for block in container.decode(audio=0)]
    assert 0.1 < max(loudness) <= 1
    assert FILM.stat().st_size < 4e6


@pytest.mark.parametrize("detector", [ContentDetector, AdaptiveDetector])
def test_the_film_has_one_cut(detector):
    shots = detect(str(FILM), detector())
    assert [first.frame_num for first, _ in shots] == [0, CUT]
