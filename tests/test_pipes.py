"""Whatever file a user names may be a named pipe: no command waits for what might come through it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import media
import numpy as np
import pytest
from command import failing, told
from training import tiny

from videostyle.train.config import write_config

STYLIZE = ["stylize", "{film}", "-o", "{folder}/new.mp4", "-q", "--engine", "torch"]
DOTS = [*STYLIZE, "--style", "dots"]
EVALUATE = ["evaluate", "{film}", "{film}", "--perceptual-every", "0", "-q"]
LEARN = ["learn", "{picture}", "-o", "{folder}/new.safetensors", "--steps", "1", "-q"]
PAINT = ["paint", "{picture}", "{painting}", "-o", "{folder}/new.png", "--steps", "1", "-q"]
KEYFRAMES = ["keyframes", "{film}", "-o", "{folder}/new.mp4", "-q"]
RAFT = ["--flow", "raft", "--flow-weights", "{pipe}"]
VGG = ["--loss-network", "vgg19", "--loss-network-weights", "{pipe}"]
# The file of each place where one can be named, as the suffix that it is known by, and the command.
PLACES: dict[str, tuple[str, list[str]]] = {
    "film to paint": (".mp4", ["stylize", "{pipe}", "-o", "{folder}/new.mp4", "--style", "dots"]),
    "picture to paint": (".png", ["stylize", "{pipe}", "-o", "{folder}/new.png", "--style", "dots"]),
    "animation to paint": (".gif", ["stylize", "{pipe}", "-o", "{folder}/new.gif", "--style", "dots"]),
    "photo of a phone": (".heic", ["stylize", "{pipe}", "-o", "{folder}/new.png", "--style", "dots"]),
    "picture of a sequence": ("1.png", ["stylize", "{folder}/%d.png", "-o", "{folder}/new.mp4", "--style", "dots"]),
    "mask": (".png", [*DOTS, "--mask", "{pipe}"]),
    "mask that is a film": (".mp4", [*DOTS, "--mask", "{pipe}"]),
    "mask of a region": (".png", [*DOTS, "--region", "waves={pipe}"]),
    "style": (".safetensors", [*STYLIZE, "--style", "{pipe}"]),
    "style image": (".jpg", [*STYLIZE, "--style", "{pipe}"]),
    "weights of the flow": (".pth", [*DOTS, *RAFT]),
    "job list": (".toml", ["batch", "{pipe}", "-o", "{folder}/out", "--style", "dots"]),
    "film of a batch": (".mp4", ["batch", "{pipe}", "-o", "{folder}/out", "--style", "dots"]),
    "film to probe": (".mkv", ["probe", "{pipe}"]),
    "film to preview": (".mp4", ["preview", "{pipe}", "--style", "dots", "--port", "0", "--no-browser"]),
    "source to evaluate": (".mp4", ["evaluate", "{pipe}", "{film}", "-q"]),
    "painted film to evaluate": (".mp4", ["evaluate", "{film}", "{pipe}", "-q"]),
    "film of single frames": (".mp4", [*EVALUATE, "--reference", "{pipe}"]),
    "weights of the evaluation flow": (".pth", [*EVALUATE, *RAFT]),
    "weights of LPIPS": (".pth", [*EVALUATE, "--lpips-weights", "{pipe}"]),
    "true motion": ("0001.npz", [*EVALUATE, "--exact-flow", "{folder}"]),
    "painting to learn": (".jpg", ["learn", "{pipe}", "-o", "{folder}/new.safetensors"]),
    "film to learn on": (".mp4", [*LEARN, "--content", "{pipe}"]),
    "weights to learn with": (".pt", [*LEARN, *VGG]),
    "weights to learn with, packed": (".safetensors", [*LEARN, *VGG]),
    "picture for paint": (".png", ["paint", "{pipe}", "{picture}", "-o", "{folder}/new.png"]),
    "style image for paint": (".png", ["paint", "{picture}", "{pipe}", "-o", "{folder}/new.png"]),
    "start of paint": (".png", [*PAINT, "--start", "{pipe}"]),
    "region of paint": (".png", [*PAINT, "--region", "{painting}={pipe}"]),
    "part for paint": (".png", [*PAINT, "--part", "{painting}={pipe}"]),
    "weights for paint": (".pt", [*PAINT, *VGG]),
    "film of keyframes": (".mp4", ["keyframes", "{pipe}", "--style", "{picture}", "-o", "{folder}/new.mp4"]),
    "list of keyframes": ("keys.json", [*KEYFRAMES, "--keys", "{folder}"]),
    "style image of keyframes": (".png", [*KEYFRAMES, "--style", "{pipe}"]),
    "settings of one's own": (".toml", DOTS),
    "configuration": (".toml", ["train", "{pipe}"]),
    "configuration to tune": (".toml", ["tune", "{pipe}"]),
}


@contextmanager
def reported(pipe: Path) -> Iterator[list[str]]:
    """Report in the list whoever opens the pipe in the block; they read that it has ended."""
    os.mkfifo(pipe)
    found: list[str] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.01):
            try:
                os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:  # nobody reads
                continue
            found.append("opened")

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        ended.set()
        watcher.join()


def test_the_test_sees_who_waits(tmp_path: Path) -> None:
    with reported(tmp_path / "pipe") as found:
        assert (tmp_path / "pipe").read_bytes() == b""
    assert found


@pytest.mark.parametrize("place", PLACES)
def test_no_command_waits_for_a_pipe(
    place: str, toy_gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, argv = PLACES[place]
    film = media.film(tmp_path / "film.mp4", 4, (64, 48))
    picture, painting = tmp_path / "picture.png", tmp_path / "painting.png"
    for path in (picture, painting):
        cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8))
    folder = tmp_path / "folder"
    folder.mkdir()
    pipe = folder / (f"pipe{name}" if name.startswith(".") else name)
    if place == "settings of one's own":
        monkeypatch.setenv("VIDEOSTYLE_CONFIG", str(pipe))
    named = {"film": film, "picture": picture, "painting": painting, "folder": folder, "pipe": pipe}
    with reported(pipe) as found:
        status, text = failing(capsys, *(word.format(**named) for word in argv))
    assert not found
    assert status in (1, 2)
    assert "unexpected" not in text
    assert pipe.name in told(text) or str(folder) in told(text)
    assert [path.name for path in folder.iterdir()] == [pipe.name] or argv[0] in ("batch", "learn")


def test_a_pipe_among_photographs_is_not_read(
    pictures: Path, vgg_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    config = tmp_path / "run.toml"
    config.write_text(write_config(tiny(pictures, vgg_file, tmp_path / "run", photographs=photographs, held_back=1)))
    with reported(photographs / "a.jpg") as found:
        os.mkfifo(photographs / "b.jpg")
        assert failing(capsys, "train", str(config))[0] == 1
    assert not found
