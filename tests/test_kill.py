"""Killed outright, at moments nobody chose: nothing half made bears a final name, and the next run makes it good."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import media
import numpy as np
import pytest
import torch

from videostyle import weights
from videostyle.stages import recorded

pytestmark = pytest.mark.slow

ROUNDS = 4


@pytest.fixture
def environment(toy_gallery: Path, tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "VIDEOSTYLE_MODELS": str(toy_gallery), "VIDEOSTYLE_STYLES": str(tmp_path / "own styles")}


def kill_in_the_middle(argv: list[str], environment: dict[str, str], begun: Callable[[], bool], wait: float) -> bool:
    """Kill a run some time after it has `begun`; False where it had ended before."""
    process = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not begun():
        time.sleep(0.01)
    time.sleep(wait)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def film_of(path: Path, count: int, size: tuple[int, int] = (160, 120), **more: Any) -> Path:
    return media.write_film(path, [media.natural(size, "yuv420p", i % 60) for i in range(count)], "yuv420p", **more)


def videostyle(*argv: object) -> list[str]:
    return [sys.executable, "-m", "videostyle", *map(str, argv)]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.gif", "f%03d.png"])
def test_a_film_is_whole_or_not_there(environment: dict[str, str], tmp_path: Path, name: str) -> None:
    film = film_of(tmp_path / "film.mp4", 200, tone="aac")
    out = tmp_path / "out"
    out.mkdir()
    argv = videostyle("stylize", film, "-o", out / name, "--style", "dots", "-q", "--report", out / "r.json")
    rng = random.Random(1)
    killed = 0
    for _ in range(ROUNDS):
        wait = rng.random() * 2
        killed += kill_in_the_middle([*argv, "--overwrite"], environment, lambda: bool(names(out)), wait)
        for path in out.iterdir():
            if path.suffix in (".mp4", ".mkv", ".gif"):
                assert len(media.times(path)) == 200
            elif path.suffix == ".png":
                assert cv2.imread(str(path)) is not None
            elif path.suffix == ".json":
                json.loads(path.read_text())
            else:
                assert path.name.startswith(".")
    assert killed
    subprocess.run([*argv, "--overwrite"], env=environment, check=True)
    made = {f"f{number:03}.png" for number in range(1, 201)} if "%" in name else {name}
    assert names(out) == {"r.json", *made}


def test_a_recording_that_was_killed_is_not_in_the_way_of_the_next(environment: dict[str, str], tmp_path: Path) -> None:
    film = film_of(tmp_path / "film.mp4", 240)
    out = tmp_path / "out"
    out.mkdir()
    argv = videostyle("live", "--camera", film, "--headless", "-o", out / "r.mp4", "--style", "dots", "-q")
    for wait in (0.2, 1.0, 2.0):
        assert kill_in_the_middle([*argv, "--loop"], environment, lambda: bool(names(out)), wait)
        assert not (out / "r.mp4").exists()
    subprocess.run([*argv, "--seconds", "1"], env=environment, check=True)
    assert names(out) == {"r.mp4"}
    assert media.times(out / "r.mp4")


def test_training_goes_on_to_the_same_weights(vgg_file: Path, pictures: Path, tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from training import tiny
        from videostyle.train.loop import train
        pictures, vgg_file, folder = map(Path, sys.argv[1:])
        train(tiny(pictures, vgg_file, folder, steps=30, save_every=3, validate_every=4, sheet_every=5))
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}

    def argv(folder: Path) -> list[str]:
        return [sys.executable, "-c", textwrap.dedent(code), str(pictures), str(vgg_file), str(folder)]

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run(argv(whole), env=environment, check=True)
    rng = random.Random(2)
    for turn in range(ROUNDS):
        goal = turn * 5
        kill_in_the_middle(argv(broken), environment, lambda goal=goal: steps(broken) >= goal, rng.random())  # type: ignore[misc]
    subprocess.run(argv(broken), env=environment, check=True)
    states = [torch.load(folder / "checkpoint.pt", weights_only=True)["model"] for folder in (whole, broken)]
    assert all(torch.equal(states[1][key], value) for key, value in states[0].items())
    for name in ("log.jsonl", "validation.jsonl"):
        assert (broken / name).read_text() == (whole / name).read_text()


def steps(folder: Path) -> int:
    path = folder / "log.jsonl"
    return path.read_text().count("\n") if path.exists() else -1


def test_learning_goes_on_to_the_same_code(vgg_file: Path, pictures: Path, tmp_path: Path) -> None:
    """Killed in its preparations, between its steps and while it writes what it found, under load and without."""
    code = """
        import os, sys
        from dataclasses import replace
        from videostyle.cli import main
        from videostyle.train import learn as learning
        train = learning.train
        learning.train = lambda config, show: train(replace(config, crop=64, save_every=3, validate_every=4), show)
        learning._SCENES = 6
        sys.exit(main(["learn", *sys.argv[1:]]))
    """
    torch.manual_seed(0)
    from videostyle.nets.style_network import ARCHITECTURES, StyleNetwork

    models = tmp_path / "models"
    net = StyleNetwork(ARCHITECTURES["fast"])
    digest = weights.save_network(models / "network.safetensors", "fast", net, torch.zeros(1, net.code_size), {})
    start = torch.cat([0.1 * torch.randn(1, net.code_size - 1), torch.ones(1, 1)], 1)
    weights.save_style(models / "dots.safetensors", start, "fast", digest, {"name": "dots"})
    weights.write_manifest(models)
    own = tmp_path / "own"
    environment = {**os.environ, "VIDEOSTYLE_MODELS": str(models), "VIDEOSTYLE_STYLES": str(own)}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)

    def argv(name: str) -> list[str]:
        given = [str(pictures / "stripes.png"), "--name", name, "--content", str(pictures / "photographs")]
        given += ["--steps", "12", "--loss-network", "vgg16", "--loss-network-weights", str(vgg_file)]
        return [sys.executable, "-c", textwrap.dedent(code), *given]

    subprocess.run(argv("whole"), env=environment, check=True)
    work = own / ".broken.learning"
    moments: list[Callable[[], bool]] = [
        work.exists,
        lambda: (work / "content").exists(),
        lambda: steps(work) >= 0,
        lambda: steps(work) >= 5,
        lambda: (work / "models").exists(),
    ]
    broken = own / "broken.safetensors"
    for moment in moments:
        kill_in_the_middle(argv("broken"), environment, moment, 0.05)
        assert not broken.exists() or moment is moments[-1], "only what is nearly done may end before the blow"
    if not broken.exists():
        subprocess.run(argv("broken"), env=environment, check=True)
    codes = [weights.read_style(own / f"{name}.safetensors")[0] for name in ("whole", "broken")]
    assert torch.equal(*codes)
    assert not work.exists()


def test_keyframes_go_on_to_the_same_film(environment: dict[str, str], tmp_path: Path) -> None:
    film = film_of(tmp_path / "film.mp4", 24, (160, 128))
    painting = tmp_path / "painting.png"
    cv2.imwrite(str(painting), np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8))
    environment.pop("VIDEOSTYLE_MODELS")  # the network that judges comes with the package

    def argv(folder: str) -> list[str]:
        given = ["keyframes", film, "--style", painting, "-o", tmp_path / folder / "out.mkv", "--codec", "ffv1", "-q"]
        return videostyle(*given, "--steps", "4", "--every", "8", "--propagate", "warp")

    for folder in ("whole", "broken"):
        (tmp_path / folder).mkdir()
    subprocess.run(argv("whole"), env=environment, check=True)
    broken = tmp_path / "broken"
    work = broken / "out.keyframes"
    moments: list[Callable[[], bool]] = [
        (work / "chosen").exists,
        (work / "painted").exists,
        lambda: any(work.glob("painted/key-*.png")),
        lambda: recorded(work / "painted").get("done", False),
    ]
    for moment in moments:
        kill_in_the_middle(argv("broken"), environment, moment, 0.1)
        assert not (broken / "out.mkv").exists()
    subprocess.run(argv("broken"), env=environment, check=True)
    one, other = (media.decode(tmp_path / folder / "out.mkv") for folder in ("whole", "broken"))
    assert len(one) == len(other) == 24
    assert all((p == q).all() for (_, x), (_, y) in zip(one, other, strict=True) for p, q in zip(x, y, strict=True))


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_workers_of_a_killed_batch_write_nothing_more(environment: dict[str, str], tmp_path: Path) -> None:
    film = film_of(tmp_path / "film.mp4", 400, (320, 240))
    out = tmp_path / "out"
    argv = videostyle("batch", film, "-o", out, "--style", "dots", "--style", "waves", "--segment", "50", "-q")
    for _ in range(3):
        process = subprocess.Popen([*argv, "--workers", "2"], env=environment, stderr=subprocess.DEVNULL)
        while process.poll() is None and not any(out.rglob("*.partial")):
            time.sleep(0.01)
        workers = children(process.pid)
        process.kill()
        process.wait()
        # The kernel ends them with it: as soon as they are scheduled once more, and not after some second.
        deadline = time.monotonic() + 60
        while any(alive(worker) for worker in workers) and time.monotonic() < deadline:
            time.sleep(0.001)
        before = sizes(out)
        assert not any(alive(worker) for worker in workers)
        time.sleep(1)
        assert sizes(out) == before
    subprocess.run([*argv, "--workers", "2"], env=environment, check=True)
    for name in ("film-dots.mp4", "film-waves.mp4"):
        assert len(media.times(out / name)) == 400


def sizes(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [child for child in map(int, filter(str.isdigit, os.listdir("/proc"))) if stat(child)[1:2] == [str(pid)]]


def alive(pid: int) -> bool:
    return stat(pid)[:1] not in ([], ["Z"])


def stat(pid: int) -> list[str]:
    """State, parent and so on, as Linux tells them; nothing of a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
