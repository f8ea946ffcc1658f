"""What several tests need: a small gallery of untrained styles, and the folder of real clips if there is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from videostyle import weights
from videostyle.nets.transformer import Architecture, Transformer


@pytest.fixture(scope="session")
def toy_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with one tiny untrained network, `fast`, and the styles `dots`, `lines` and `waves`."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    net = Transformer(Architecture(unshuffle=2, widths=(8, 8), blocks=1, kernel=3, head=4))
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
def toy_gallery(toy_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy models instead of the shipped ones."""
    monkeypatch.setenv("VIDEOSTYLE_MODELS", str(toy_models))
    return toy_models


@pytest.fixture(scope="session")
def data() -> Path:
    """Real clips, photographs and weights; tests that want them are skipped where they are not."""
    named = os.environ.get("VIDEOSTYLE_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no folder of real clips; name one in VIDEOSTYLE_DATA")
    return folder
