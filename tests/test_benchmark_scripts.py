"""Benchmarks and scripts: each says what it does; each benchmark that can runs in its smallest form (slow)."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import media
import numpy as np
import pytest
import torch
import training

from videostyle import weights
from videostyle.nets.code_predictor import CodePredictor
from videostyle.nets.style_network import ARCHITECTURES
from videostyle.train import contents
from videostyle.train.config import write_config
from videostyle.train.plan import TrainingStyle

ROOT = Path(__file__).parents[1]
BENCHMARKS, SCRIPTS = ROOT / "benchmarks", ROOT / "scripts"
TOOLS = sorted([*BENCHMARKS.glob("*.py"), *SCRIPTS.glob("*.py")])
MODULES = {"clips.py", "soak_client.py"}
"""What other benchmarks import, and nobody runs."""
NEEDS = {"render_sample.py": "OpenEXR", "engines.py": "onnxruntime", "serve_load.py": "httpx2"}
"""Packages that not everybody has."""

SMALLEST = {
    "ablation.py": "{recipe} {clip} --variants all --work {out}/runs --steps 4 --paintings 1 --crop 64 --batch 2 "
    "--frames 12 --width 64 --json {json}",
    "batch.py": "{clip} --style dots --segment 6 --json {json}",
    "engines.py": "--style dots --size 64x48 --rounds 1 --json {json}",
    "equivariance.py": "--pictures {photograph} --side 72 --json {json}",
    "flicker.py": "{clip} --styles dots --frames 12 --width 64 --engine torch --paintings {recipe} --json {json}",
    "flow.py": "--clips {clip} --frames 4 --width 64 --json {json}",
    "gpu.py": "{clip} --device cpu --networks fast --style dots --sizes 64x48 --frames 12 --rounds 1 --json {json} "
    "--table {table}",
    "install_size.py": "--json {json}",
    "keyframes.py": "{clip} --painting {painting} --style dots --size 64x48 --seconds 0.5 --steps 2 --every 6 "
    "--ways warp --json {json} --table {table}",
    "large_films.py": "{clip} --style dots --size 64x48 --frames 4 --json {json}",
    "learn.py": "stripes={painting} --photographs {photographs} --steps 2 --size 64 --evaluation-network vgg16 "
    "--evaluation-weights {vgg} --loss-network vgg16 --loss-network-weights {vgg} --json {json}",
    "live.py": "{clip} --seconds 1 --size 64x48 --style dots --json {json}",
    "long_shots.py": "{photograph} --styles dots --networks fast --frames 50 --size 64 48 --json {json} "
    "--table {table}",
    "memory.py": "--minutes 1 --size 32x32 --style dots --json {json}",
    "paint.py": "{photograph}:{painting} --size 32 --equal-steps 2 --most 3 --json {json}",
    "pipeline.py": "{clip} --style dots --sizes 64x48 --frames 12 --start-up 0 --json {json} --table {table}",
    "precision.py": "{clip} --networks fast --styles dots --size 64x48 --frames 3 --rounds 1 --isa DEFAULT "
    "--json {json} --table {table}",
    "prediction.py": "{paintings} --names stripes --photographs {photographs} --minutes 0.01 "
    "--evaluation-network vgg16 --evaluation-weights {vgg} --json {json}",
    "quality.py": "{recipe} --side 32 --steps 50 --cache {out}/curves.json --json {json} --table {table}",
    "recurrence.py": "{clip} --paintings {recipe} --frames 12 --width 64 --engine torch --loss-network vgg16 "
    "--loss-weights {vgg} --json {json}",
    "serve_load.py": "--pictures 2 --films 2 --frames 6 --clients 1 --requests 3 --size 64x48 --film-size 64x48 "
    "--style dots --json {json}",
    "speed.py": "{long} --style dots --networks fast --size 64x48 --frames 40 --rounds 1 --busy 0 --json {json}",
    "start_up.py": "{clip} --style dots --rounds 1 --json {json}",
    "stabilizer.py": "{clip} --styles dots --frames 12 --width 64 --json {json}",
    "studio.py": "{clip} --rounds 2 --style dots --json {json}",
    "strokes.py": "{clip} --paintings {recipe} --frames 1 --width 64 --loss-network vgg16 --loss-weights {vgg} "
    "--engines torch --optimised 2 --cache {out} --json {json} --table {table}",
    "targets.py": "--table {table}",
    "warm.py": "{long} --at 128 --style dots --size 32x24 --mode causal --json {json}",
}
"""Arguments of each benchmark that runs on what the tests make."""
NOT_RUN = {
    "endurance.py": "test_endurance.py runs it",
    "loss_networks.py": "compares VGG-19, its distilled forms and SqueezeNet, whose weights are downloads",
    "soak.py": "test_endurance.py runs it",
}


def run(path: Path, arguments: list[str], patch: pytest.MonkeyPatch) -> None:
    """Run a file as `python path arguments` would; an exit status other than 0 fails."""
    patch.setattr(sys, "argv", [str(path), *arguments])
    patch.syspath_prepend(path.parent)
    status: object = None
    try:
        runpy.run_path(str(path), run_name="__main__")
    except SystemExit as end:
        status = end.code
    assert not status


def needed(path: Path) -> None:
    package = NEEDS.get(path.name)
    if package is not None and find_spec(package) is None:
        pytest.skip(f"needs {package}")


@pytest.mark.parametrize("path", TOOLS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_tool_tells_how_it_is_used(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    needed(path)
    run(path, ["--help"], monkeypatch)
    told = capsys.readouterr().out
    assert told == "" if path.name in MODULES else told.startswith(f"usage: {path.name}")


def test_every_benchmark_is_run_or_it_is_said_why_not() -> None:
    assert sorted([*SMALLEST, *NOT_RUN, *MODULES]) == sorted(path.name for path in BENCHMARKS.glob("*.py"))


@dataclass(frozen=True)
class Given:
    """What the benchmarks are given, by the names in SMALLEST."""

    clip: Path
    long: Path
    photograph: Path
    photographs: Path
    painting: Path
    paintings: Path
    vgg: Path
    recipe: Path
    out: Path
    json: Path
    table: Path


@pytest.fixture
def models(toy_gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One of the toy styles with losses in its card, and an untrained predictor; what learns is as small."""
    folder = tmp_path / "models"
    shutil.copytree(toy_gallery, folder)
    monkeypatch.setenv("VIDEOSTYLE_MODELS", str(folder))
    monkeypatch.setenv("VIDEOSTYLE_CACHE", str(tmp_path / "cache"))
    network = weights.load_network("fast")
    monkeypatch.setitem(ARCHITECTURES, "fast", network.net.architecture)
    monkeypatch.setattr(contents, "_SCENES", 6)
    for entry in weights.gallery():
        code, card = weights.read_style(entry.file)
        entry.file.unlink()
        if entry.name == "dots":
            card["losses"] = {"style": 0.5, "content": 0.25}
            weights.save_style(entry.file, code, "fast", network.sha256, card)
    torch.manual_seed(1)
    net = CodePredictor(network.net.code_size)
    weights.save_predictor(folder / "fast" / "predictor.safetensors", net, network, {"held_back": ["stripes"]}, {})
    weights.write_manifest(folder)
    return folder


def film(path: Path, count: int) -> Path:
    """A film that pans to the left and back."""
    return media.write_film(
        path, [media.natural((64, 48), "yuv420p", min(number % 64, 64 - number % 64)) for number in range(count)]
    )


@pytest.fixture
def given(models: Path, pictures: Path, vgg_file: Path, tmp_path: Path) -> Given:
    """Films and pictures made here, a recipe that names them, and where results go."""
    moving = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
    photograph = tmp_path / "photograph.png"
    cv2.imwrite(str(photograph), cv2.resize(moving, (160, 120), interpolation=cv2.INTER_CUBIC))
    styles = (TrainingStyle("dots", pictures / "stripes.png", "Stripes", "Nobody", "1900", size=64),)
    layers = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    config = training.tiny(
        pictures, vgg_file, tmp_path / "run", styles=styles, style_layers=layers, style_weights=(1.0,) * 5
    )
    recipe = tmp_path / "train.toml"
    recipe.write_text(write_config(config), encoding="utf-8")
    return Given(
        clip=film(tmp_path / "clip.mp4", 13),
        long=film(tmp_path / "long.mp4", 160),
        photograph=photograph,
        photographs=pictures / "photographs",
        painting=pictures / "stripes.png",
        paintings=pictures,
        vgg=vgg_file,
        recipe=recipe,
        out=tmp_path,
        json=tmp_path / "told.json",
        table=tmp_path / "told.md",
    )


@pytest.fixture
def threads() -> Iterator[None]:
    """Benchmarks set how many threads torch and OpenCV use."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="some measure by what Linux tells of processes")
@pytest.mark.parametrize("name", SMALLEST)
def test_a_benchmark_runs(name: str, given: Given, threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    needed(BENCHMARKS / name)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    words = SMALLEST[name].split()
    run(BENCHMARKS / name, [word.format(**vars(given)) for word in words], monkeypatch)
    assert given.json.exists() == ("{json}" in words)
    assert given.table.exists() == ("{table}" in words)
    if given.json.exists():
        assert json.loads(given.json.read_text(encoding="utf-8"))
