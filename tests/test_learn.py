from __future__ import annotations

import errno
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from command import failing, told

from videostyle import weights
from videostyle.cli import main
from videostyle.errors import UsageError
from videostyle.files import sink_error
from videostyle.io.style_image import read_on_white
from videostyle.nets.style_network import ARCHITECTURES, StyleNetwork
from videostyle.partial_files import PartialFile
from videostyle.progress import OnProgress, ignore
from videostyle.style import Style
from videostyle.train import contents
from videostyle.train import learn as learning
from videostyle.train.learn import learn
from videostyle.train.plan import LearnPlan, TrainConfig, TrainingStyle
from videostyle.train.scenes import scene


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small VGG-19 of random numbers."""
    torch.manual_seed(0)
    state = {"conv0.weight": torch.eye(3)[:, :, None, None], "conv0.bias": torch.zeros(3)}
    for stage, widths in {"1": (3, 16, 16), "2": (16, 32, 32), "3": (32, *(64,) * 4), "4": (64, *(128,) * 4)}.items():
        for number, (inputs, outputs) in enumerate(pairwise(widths), 1):
            state[f"conv{stage}{number}.weight"] = torch.randn(outputs, inputs, 3, 3) * math.sqrt(2 / (9 * inputs))
            state[f"conv{stage}{number}.bias"] = torch.zeros(outputs)
    state["conv51.weight"] = torch.randn(128, 128, 3, 3) * math.sqrt(2 / (9 * 128))
    state["conv51.bias"] = torch.zeros(128)
    path = tmp_path_factory.mktemp("small loss network") / "small.pt"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder: `fast` at its own size, untrained, and the style `dots`."""
    folder = tmp_path_factory.mktemp("untrained")
    torch.manual_seed(0)
    net = StyleNetwork(ARCHITECTURES["fast"])
    digest = weights.save_network(folder / "network.safetensors", "fast", net, torch.zeros(1, net.code_size), {})
    code = torch.cat([0.1 * torch.randn(1, net.code_size - 1), torch.ones(1, 1)], 1)
    weights.save_style(folder / "dots.safetensors", code, "fast", digest, {"name": "dots", "title": "Dots"})
    weights.write_manifest(folder)
    return folder


@pytest.fixture(autouse=True)
def home(untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's own styles; training is made quick."""
    folder = tmp_path / "data" / "styles"
    monkeypatch.setenv("VIDEOSTYLE_MODELS", str(untrained))
    monkeypatch.setenv("VIDEOSTYLE_STYLES", str(folder))

    def quick(config: TrainConfig, on_progress: OnProgress = ignore) -> Path:
        return train(replace(config, crop=64, save_every=1, bf16=False), on_progress)

    train = learning.train
    monkeypatch.setattr(learning, "train", quick)
    monkeypatch.setattr(contents, "_SCENES", 6)
    return folder


@pytest.fixture
def argv(pictures: Path, vgg_file: Path) -> list[str]:
    """A command that learns `mine` in two steps."""
    content = ["--content", str(pictures / "photographs"), "--steps", "2"]
    return ["learn", str(pictures / "stripes.png"), "--name", "mine", *content, *loss_network_of(vgg_file)]


def loss_network_of(vgg_file: Path) -> list[str]:
    return ["--loss-network", "vgg19-distilled", "--loss-network-weights", str(vgg_file)]


def painted(picture: Path, style: str, *more: str) -> np.ndarray[Any, Any]:
    output = picture.with_name("painted.png")
    argv = ["stylize", str(picture), "-o", str(output), "--style", style, "--engine", "torch", "--overwrite", "-q"]
    assert main([*argv, *more]) == 0
    return cv2.imread(str(output))


def test_a_learned_style_can_be_used_at_once(
    argv: list[str], home: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*argv, "--title", "Stripes", "--painter", "Nobody"]) == 0
    told = capsys.readouterr()
    assert told.out.strip() == str(home / "mine.safetensors")
    assert "loss network: vgg19-distilled" in told.err
    assert "content: photographs from photographs" in told.err
    assert sorted(path.name for path in home.iterdir()) == ["mine-samples.jpg", "mine.safetensors"]
    assert cv2.imread(str(home / "mine-samples.jpg")) is not None
    assert (home / "mine.safetensors").stat().st_size < 16_000

    picture = tmp_path / "picture.png"
    picture.write_bytes((pictures / "photographs" / "0.png").read_bytes())
    film = cv2.imread(str(picture))
    full = painted(picture, "mine")
    assert (full != film).any()
    assert (painted(picture, "mine", "--strength", "0") == film).all()
    assert (painted(picture, str(home / "mine.safetensors")) == full).all()

    assert main(["styles"]) == 0
    assert "mine  Stripes, Nobody  (yours, fast" in capsys.readouterr().out
    card = weights.read_style(home / "mine.safetensors")[1]
    assert card["recipe"]["steps"] == 2
    assert card["recipe"]["loss_network"] == "vgg19-distilled"
    assert set(card["losses"]) == {"style", "content"}
    assert str(tmp_path) not in str(card)


def test_a_style_from_a_friend_has_the_name_of_its_file(argv: list[str], home: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    assert main([*argv, "-o", str(file)]) == 0
    assert weights.own_styles() == []
    home.mkdir(parents=True)
    file.rename(home / "theirs.safetensors")
    (home / "broken.safetensors").write_bytes(b"no style")
    (entry,) = weights.own_styles()
    assert (entry.name, entry.own) == ("theirs", True)
    weights.load_style(Style((("theirs", 1), ("dots", 1))))


@pytest.mark.slow
def test_the_whole_network_can_be_learned(argv: list[str], home: Path) -> None:
    assert main([*argv, "--whole"]) == 0
    assert weights.own_network(home / "mine.safetensors").is_file()
    assert [entry.name for entry in weights.own_styles()] == ["mine"]
    network, code = weights.load_style(Style((("mine", 1),)))
    assert network.sha256 != weights.load_network("fast").sha256
    assert code.shape == (1, network.net.code_size)
    with pytest.raises(UsageError, match="another network"):
        weights.load_style(Style((("mine", 1), ("dots", 1))))
    # A code learned in its place is for the installed network again.
    assert main([*argv, "--overwrite"]) == 0
    assert weights.load_style(Style((("mine", 1),)))[0].sha256 == weights.load_network("fast").sha256


@pytest.mark.parametrize("stopped", [0, 1, 2])
def test_an_interrupted_run_goes_on(
    stopped: int, argv: list[str], home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main([*argv, "--steps", "3", "-o", str(home / "whole.safetensors")]) == 0
    before = sorted(home.iterdir())
    step, left = torch.optim.Adam.step, iter(range(stopped))

    def interrupted(optimizer: torch.optim.Adam) -> object:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return step(optimizer)

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", interrupted)
        status, text = failing(capsys, *argv, "--steps", "3")
    assert status == 130
    assert "the same command continues from it" in text
    assert sorted(path for path in home.iterdir() if path.suffix == ".safetensors") == before[1:]
    assert [entry.name for entry in weights.own_styles()] == ["whole"]
    assert main([*argv, "--steps", "3"]) == 0
    assert (f"continuing from step {stopped}" in capsys.readouterr().err) == (stopped > 0)
    codes = [weights.read_style(home / f"{name}.safetensors")[0] for name in ("whole", "mine")]
    assert torch.equal(*codes)
    assert not list(home.glob("*.learning"))


def test_two_do_not_learn_one_name_at_once(
    argv: list[str], home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses: list[tuple[int, str]] = []
    finish = learning._finish

    def meanwhile(plan: LearnPlan, work: Path) -> Path:
        statuses.append(failing(capsys, *argv))
        return finish(plan, work)

    monkeypatch.setattr(learning, "_finish", meanwhile)
    assert main(argv) == 0
    ((status, text),) = statuses
    assert status == 1
    assert told(text).endswith("another run of learn is at work there; wait until it ends")
    assert sorted(path.name for path in home.iterdir()) == ["mine-samples.jpg", "mine.safetensors"]


def test_another_painting_does_not_go_on_with_the_last(
    argv: list[str], home: Path, pictures: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(learning, "_finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert main(argv) == 130
    argv[1] = str(pictures / "photographs" / "1.png")
    assert main(argv) == 0
    assert "learning begins again" in capsys.readouterr().err


def test_it_ends_when_it_should(argv: list[str], home: Path) -> None:
    at = argv.index("--steps")
    argv[at : at + 2] = ["--minutes", "0.03"]
    assert main(argv) == 0
    assert weights.read_style(home / "mine.safetensors")[1]["recipe"]["steps"] < 1000


def test_a_film_or_nothing_will_do_to_learn_on(
    argv: list[str], home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = tmp_path / "film.mp4"
    with av.open(str(film), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 96, 80, "yuv420p"
        for index in range(12):
            picture = np.add.outer(np.arange(80) * 3, np.arange(96) * 2 + 5 * index) % 256
            frame = av.VideoFrame.from_ndarray(np.repeat(picture[..., None], 3, 2).astype(np.uint8), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    at = argv.index("--content")
    argv[at + 1] = str(film)
    assert main(argv) == 0
    assert "content: frames of film.mp4" in capsys.readouterr().err
    del argv[at : at + 2]
    assert main([*argv, "--overwrite"]) == 0
    assert "content: made-up scenes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("grey", (80, 100)), ("alpha", (80, 100, 4)), ("16-bit", (80, 100, 3)), ("one colour", (90, 70, 3))],
)
def test_any_picture_is_a_painting(
    kind: str, shape: tuple[int, ...], argv: list[str], home: Path, tmp_path: Path
) -> None:
    painting = np.random.default_rng(0).integers(0, 65536, shape).astype(np.uint16)
    painting = np.full_like(painting, 40_000) if kind == "one colour" else painting
    argv[1] = str(tmp_path / "painting.png")
    cv2.imwrite(argv[1], painting if kind == "16-bit" else (painting >> 8).astype(np.uint8))
    assert main(argv) == 0


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    painting = np.zeros((80, 80, 4), np.uint8)
    painting[:40, :, 3] = 255
    cv2.imwrite(str(tmp_path / "painting.png"), painting)
    seen = read_on_white(tmp_path / "painting.png")
    assert (seen[0, :, :40] == 0).all()
    assert (seen[0, :, 40:] == 1).all()


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"painting": "{folder}/gone.jpg"}, 1, "gone.jpg: no such file"),
        ({"painting": "{folder}/text.jpg"}, 1, "text.jpg: is not a picture"),
        (
            {"painting": "{folder}/small.png"},
            2,
            "100x40 pixels show no brush strokes; choose an image of 64x64 at least",
        ),
        ({"painting": "{folder}"}, 1, "is a folder"),
        ({"--name": "dots"}, 2, "in the gallery already"),
        ({"--name": "none"}, 2, "cannot be named 'none'"),
        ({"--name": "a/b"}, 2, "cannot be named 'a/b'"),
        ({"--name": "taken"}, 2, "exists already"),
        ({"--minutes": "-1"}, 2, "minutes must be 0 or more"),
        ({"--steps": "0"}, 2, "steps must be at least 1"),
        ({"--size": "8"}, 2, "size"),
        ({"--network": "huge"}, 2, "no network named 'huge'"),
        ({"--loss-network": "vgg12"}, 2, "no loss network named 'vgg12'"),
        ({"--loss-network-weights": "{folder}/text.jpg"}, 1, "text.jpg"),
        ({"--content": "{folder}/empty"}, 1, "no pictures found"),
        ({"--content": "{folder}/gone"}, 1, "gone"),
        ({"--content": "{folder}/broken"}, 1, "0 pictures can be read, 5 are needed"),
        ({"--content": "{folder}/text.mp4"}, 1, "text.mp4"),
        ({"-o": "{folder}/text.jpg/mine.safetensors"}, 1, "the folder cannot be created"),
        ({"-o": "{folder}/mine.pt"}, 2, "should end in .safetensors"),
    ],
)
def test_mistakes_get_one_clear_line(
    change: dict[str, str],
    status: int,
    message: str,
    argv: list[str],
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "given"
    for name in ("empty", "broken"):
        (folder / name).mkdir(parents=True)
    for name in ("text.jpg", "text.mp4", "broken/a.jpg"):
        (folder / name).write_text("this is no picture, whatever its name says\n" * 20)
    cv2.imwrite(str(folder / "small.png"), np.zeros((40, 100, 3), np.uint8))
    home.mkdir(parents=True)
    (home / "taken.safetensors").write_bytes(b"precious")
    for option, value in change.items():
        value = value.format(folder=folder)
        argv = [argv[0], value, *argv[2:]] if option == "painting" else [*argv, option, value]
    got, text = failing(capsys, *argv)
    assert got == status
    assert message in told(text)
    assert len(told(text).splitlines()) == 1
    assert (home / "taken.safetensors").read_bytes() == b"precious"
    assert [path.name for path in home.iterdir()] == ["taken.safetensors"], "nothing is left to go on from"


def test_a_full_disk_is_said_in_one_line(
    argv: list[str], home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = PartialFile.write

    def full(growing: PartialFile, data: bytes) -> None:
        if growing.path.name.startswith("checkpoint"):
            raise sink_error(growing.path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        write(growing, data)

    monkeypatch.setattr(PartialFile, "write", full)
    status, text = failing(capsys, *argv)
    assert status == 1
    assert "the disk is full" in text
    assert list(home.iterdir()) == []


def test_a_stop_while_the_pictures_are_prepared_leaves_nothing(
    argv: list[str], home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(content: Path | None) -> Iterator[torch.Tensor]:
        yield torch.zeros(1, 3, 96, 96)
        raise KeyboardInterrupt

    monkeypatch.setattr(learning, "read_contents", stopped)
    status, text = failing(capsys, *argv)
    assert status == 130
    assert "continues" not in text
    assert list(home.iterdir()) == []


def test_what_was_learned_before_a_failure_is_gone_on_from(
    argv: list[str], home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full at the second checkpoint."""
    write, left = PartialFile.write, iter([True])

    def full(growing: PartialFile, data: bytes) -> None:
        if growing.path.name == "checkpoint.pt" and not next(left, False):
            raise sink_error(growing.path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        write(growing, data)

    with monkeypatch.context() as patch:
        patch.setattr(PartialFile, "write", full)
        assert failing(capsys, *argv)[0] == 1
    assert main(argv) == 0
    assert "continuing from step 1" in capsys.readouterr().err


def test_quiet_learning_prints_the_file_only(argv: list[str], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*argv, "-q"]) == 0
    told = capsys.readouterr()
    assert told.out.strip() == str(home / "mine.safetensors")
    assert told.err == ""


def test_scenes_are_always_the_same_and_all_different() -> None:
    scenes = [scene(seed, 96) for seed in range(8)]
    assert all(picture.shape == (96, 96, 3) and picture.dtype == np.uint8 for picture in scenes)
    assert (scene(3, 96) == scenes[3]).all()
    assert len({picture.tobytes() for picture in scenes}) == 8
    # Edges and flat parts, as in photographs: differences of neighbours are mostly small, and some very large.
    steps = np.concatenate([np.diff(picture.astype(float).mean(2)).ravel() for picture in scenes])
    kurtosis = (steps**4).mean() / (steps**2).mean() ** 2
    assert kurtosis > 6


def test_the_better_judge_is_used_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pictures: Path) -> None:
    plan = LearnPlan(TrainingStyle("mine", pictures / "stripes.png"), tmp_path / "mine.safetensors")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    config = learning._config(plan, tmp_path, torch.zeros(1, 3, 80, 80))
    assert config.loss_network == "vgg19-small"
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "vgg19-dcbb9e9d.pth").touch()
    assert learning._config(plan, tmp_path, torch.zeros(1, 3, 80, 80)).loss_network == "vgg19"


def test_help_needs_no_torch() -> None:
    code = "import sys; sys.argv[1:] = ['learn', '--help']; import videostyle.cli as c\ntry: c.main()\n"
    code += "except SystemExit: pass\nsys.exit(bool({'torch', 'av', 'cv2', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.slow
def test_the_plan_finds_learn_without_the_command(pictures: Path, vgg_file: Path, tmp_path: Path) -> None:
    plan = LearnPlan(
        TrainingStyle("mine", pictures / "stripes.png"),
        tmp_path / "mine.safetensors",
        steps=1,
        loss_network="vgg19-distilled",
        loss_network_weights=vgg_file,
    )
    assert learn(plan) == plan.output
