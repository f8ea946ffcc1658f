"""What several tests need: a small gallery of untrained styles, and the folder of real clips if there is one."""

from __future__ import annotations

import math
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from absent import missing

from videostyle import weights
from videostyle.nets.style_network import Architecture, StyleNetwork


def pytest_configure() -> None:
    """No settings and no cache of a user's own; and signals as a terminal sends them.

    In the background of a shell, or under nohup, they are ignored.
    """
    os.environ["VIDEOSTYLE_CONFIG"] = os.devnull
    os.environ["VIDEOSTYLE_CACHE"] = tempfile.mkdtemp(prefix="videostyle-cache-")
    for name, handler in (
        ("SIGINT", signal.default_int_handler),
        ("SIGTERM", signal.SIG_DFL),
        ("SIGHUP", signal.SIG_DFL),
    ):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_unconfigure() -> None:
    """Remove what was cached."""
    shutil.rmtree(os.environ["VIDEOSTYLE_CACHE"], ignore_errors=True)


@pytest.fixture(scope="session")
def toy_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with one tiny untrained network, `fast`, and the styles `dots`, `lines` and `waves`."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    net = StyleNetwork(Architecture(unshuffle=2, widths=(8, 8), blocks=1, kernel=3, head=4))
    identity = torch.zeros(1, net.code_size)
    digest = weights.save_network(folder / "fast" / "network.safetensors", "fast", net, identity, {})
    for name in ("dots", "lines", "waves"):
        code = torch.randn(1, net.code_size)
        code[:, -1] = 1
        card = {"name": name, "title": name.title(), "painter": "Nobody", "year": "1900"}
        weights.save_style(folder / "fast" / f"{name}.safetensors", code, "fast", digest, card)
    weights.write_manifest(folder)
    return folder


@pytest.fixture
def toy_gallery(toy_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy models instead of the shipped ones, and no styles of the user's own."""
    monkeypatch.setenv("VIDEOSTYLE_MODELS", str(toy_models))
    monkeypatch.setenv("VIDEOSTYLE_STYLES", str(tmp_path / "own styles"))
    return toy_models


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, driven by Playwright, with a camera that needs no permission."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium here")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as driver:
        camera = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", *camera])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def data() -> Path:
    """Real clips, photographs and weights, in the folder that $VIDEOSTYLE_DATA names; see `missing`."""
    named = os.environ.get("VIDEOSTYLE_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        missing("clips", "no folder of real clips; name one in VIDEOSTYLE_DATA")
    return folder


@pytest.fixture
def cuda() -> str:
    """A GPU; see `missing`."""
    if not torch.cuda.is_available():
        missing("cuda", "no GPU")
    return "cuda"


@pytest.fixture(scope="session")
def vgg_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VGG-16 of random numbers: enough to see that training trains."""
    torch.manual_seed(0)
    widths = (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512)
    state = {}
    for number, (inputs, outputs) in enumerate(pairwise(widths)):
        state[f"features.{number}.weight"] = torch.randn(outputs, inputs, 3, 3) * math.sqrt(2 / (9 * inputs))
        state[f"features.{number}.bias"] = torch.zeros(outputs)
    path = tmp_path_factory.mktemp("vgg") / "vgg16.pt"
    torch.save(state, path)
    return path


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photographs (shapes in light) and a painting (stripes)."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "photographs").mkdir()
    random = np.random.default_rng(0)
    for number in range(6):
        picture = np.full((90, 120, 3), random.integers(0, 255, 3), np.uint8)
        for _ in range(8):
            center = tuple(int(v) for v in random.integers(0, 100, 2))
            color = tuple(int(v) for v in random.integers(0, 255, 3))
            cv2.circle(picture, center, int(random.integers(5, 30)), color, -1)
        cv2.imwrite(str(folder / "photographs" / f"{number}.png"), picture)
    stripes = np.zeros((96, 96, 3), np.uint8)
    stripes[:, ::8, 2] = 255
    stripes[:, 4::8, 0] = 200
    cv2.imwrite(str(folder / "stripes.png"), stripes)
    return folder
