"""Pairs of frames from films made here, whose motion is known."""

from __future__ import annotations

from pathlib import Path

import cv2
import moving
import numpy as np
import pytest
import torch
from torch import Tensor
from training import lines, tiny

from videostyle.errors import TrainingError
from videostyle.flow.dis import DIS
from videostyle.ops.warp import warp
from videostyle.train.films import Films, list_films
from videostyle.train.loop import train


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pair(films: Films, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two frames in a row, the flow from the second to the first, and where it holds."""
    clip = films(generator(seed))
    (before, now), (flow,), (valid,) = clip.frames, clip.flows, clip.valid
    return before, now, flow, valid


def write_frames(folder: Path, frames: list[Tensor]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames):
        pixels = (frame[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        cv2.imwrite(str(folder / f"{number:03d}.png"), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return folder


def write_film(path: Path, frames: list[Tensor]) -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "12"})
        stream.height, stream.width = frames[0].shape[2:]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            pixels = (frame[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())
    return path


def test_the_motion_of_a_pan_is_found(tmp_path: Path) -> None:
    write_film(tmp_path / "pan.mp4", moving.pan(6, (3.0, -2.0)))
    films = Films(tmp_path, 128, DIS())  # as high as the film: nothing is scaled
    for seed in range(4):
        before, now, flow, valid = pair(films, seed)
        assert before.shape == now.shape == (1, 3, 128, 128)
        seen = valid > 0
        assert seen.float().mean() > 0.7
        # Mirrored for half of the seeds.
        assert flow[:, :1][seen].abs().mean().item() == pytest.approx(3, abs=0.2)
        assert flow[:, 1:][seen].mean().item() == pytest.approx(-2, abs=0.2)
        assert ((warp(before, flow) - now).abs() * valid).mean() < 0.02


def test_what_was_hidden_is_not_valid(tmp_path: Path) -> None:
    back = moving.texture(moving.HEIGHT, moving.WIDTH, seed=1)
    thing = moving.texture(64, 48, seed=2)
    frames = []
    for number in range(4):
        picture = back.copy()
        picture[32:96, 40 + 10 * number : 88 + 10 * number] = thing
        frames.append(moving.to_tensor(picture))
    write_frames(tmp_path / "thing", frames)
    before, now, flow, valid = pair(Films(tmp_path, 128, DIS()), 2)
    wrong = (warp(before, flow) - now).abs().mean(1, keepdim=True) > 0.1
    assert wrong.float().mean() > 0.005  # behind the thing
    assert wrong[valid > 0].float().mean() < 0.2 * wrong.float().mean()
    assert valid.mean() > 0.5


def test_no_pair_lies_across_a_cut(tmp_path: Path) -> None:
    shots = [moving.pan(2, (1.0, 0.0), seed=seed) for seed in range(4)]
    write_frames(tmp_path / "cuts", [frame for shot in shots for frame in shot])
    films = Films(tmp_path, 64, DIS())
    for seed in range(12):
        before, now, flow, _ = pair(films, seed)
        assert (now - before).abs().mean() < 0.1
        assert flow.abs().mean() < 3
    write_frames(tmp_path / "cuts", [shot[0] for shot in shots])
    for number in range(4, 8):
        (tmp_path / "cuts" / f"{number:03d}.png").unlink()
    with pytest.raises(TrainingError, match="none showed one scene"):
        films(generator(0))


def test_the_same_generator_chooses_the_same_pair(tmp_path: Path) -> None:
    write_film(tmp_path / "film.mp4", moving.pan(6, (2.0, 1.0)))
    write_frames(tmp_path / "frames", moving.pan(3, (1.0, 2.0), seed=5))
    films = Films(tmp_path, 64, DIS())
    films(generator(1))
    for one, two in zip(pair(films, 7), pair(Films(tmp_path, 64, DIS()), 7), strict=True):
        assert torch.equal(one, two)


def test_films_that_cannot_be_read_are_skipped_and_counted(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    (tmp_path / "notes.txt").write_text("not taken for a film at all")
    films = Films(tmp_path, 64, DIS())
    with pytest.raises(TrainingError, match="none of the 1 films can be read"):
        films(generator(0))
    write_frames(tmp_path / "frames", moving.pan(3, (1.0, 0.0)))
    films = Films(tmp_path, 64, DIS())
    for seed in range(6):
        films(generator(seed))
    assert films.unreadable == {tmp_path / "broken.mp4"}


def test_folders_without_films_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(TrainingError, match="no films found"):
        list_films(tmp_path)


def test_films_are_trained_on(pictures: Path, vgg_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "films"
    write_frames(folder / "frames", moving.pan(3, (1.0, 0.0)))
    for name in ("a", "b", "c"):
        (folder / f"{name}.mp4").write_bytes(b"no film")
    config = tiny(pictures, vgg_file, tmp_path / "run", films=folder, film_share=1.0, steps=2)
    train(config)
    assert [row["step"] for row in lines(config.folder / "log.jsonl")] == [0, 1]
    assert any("unreadable films were skipped" in line for line in caplog.messages)
