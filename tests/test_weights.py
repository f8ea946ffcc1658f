from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from videostyle import weights
from videostyle.errors import UnknownNameError, UsageError, WeightsError
from videostyle.style import Style
from videostyle.weights import manifest


def test_the_gallery_lists_what_is_there_without_torch(toy_gallery: Path) -> None:
    entries = weights.gallery()
    assert [entry.name for entry in entries] == ["dots", "lines", "waves"]
    assert entries[0].title == "Dots"
    assert entries[0].file.stat().st_size == entries[0].size


def test_strength_zero_is_the_identity_and_one_the_painting(toy_gallery: Path) -> None:
    network, full = weights.load_style(Style((("dots", 1),)))
    _, none = weights.load_style(Style((("dots", 1),), strength=0))
    _, half = weights.load_style(Style((("dots", 1),), strength=0.5))
    assert torch.equal(none, network.identity)
    assert torch.allclose(half, (none + full) / 2)
    assert full[0, -1] == 1


def test_blends_weigh_by_their_share(toy_gallery: Path) -> None:
    codes = {name: weights.load_style(Style(((name, 1),)))[1] for name in ("dots", "lines")}
    _, blend = weights.load_style(Style((("dots", 3), ("lines", 1))))
    assert torch.allclose(blend, 0.75 * codes["dots"] + 0.25 * codes["lines"], atol=1e-6)
    _, same = weights.load_style(Style((("dots", 6), ("lines", 2))))
    assert torch.equal(blend, same)


def test_unknown_styles_suggest_near_ones(toy_gallery: Path) -> None:
    with pytest.raises(UnknownNameError, match="no style named 'line'; did you mean lines"):
        weights.load_style(Style((("line", 1),)))
    with pytest.raises(UnknownNameError, match="no network named 'huge'"):
        weights.load_style(Style((("dots", 1),), network="huge"))


def test_a_style_file_is_used_by_its_path(toy_gallery: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.safetensors"
    shutil.copy(toy_gallery / "fast" / "waves.safetensors", mine)
    assert torch.equal(weights.load_style(Style(((str(mine), 1),)))[1], weights.load_style(Style((("waves", 1),)))[1])
    with pytest.raises(WeightsError, match="cannot be read"):
        weights.load_style(Style(((str(tmp_path / "gone.safetensors"), 1),)))


def test_damaged_and_foreign_files_are_refused(toy_models: Path, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "models"
    shutil.copytree(toy_models, folder)
    monkeypatch.setenv("VIDEOSTYLE_MODELS", str(folder))
    file = folder / "fast" / "dots.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(WeightsError, match="checksum"):
        weights.load_style(Style((("dots", 1),)))
    file.write_bytes(b"not safetensors at all")
    with pytest.raises(WeightsError, match="not a safetensors file"):
        weights.load_style(Style((("dots", 1),)))
    network = folder / "fast" / "network.safetensors"
    with pytest.raises(WeightsError, match="not a videostyle style file"):
        weights.load_style(Style(((str(network), 1),)))
    (folder / "manifest.json").write_text("{")
    with pytest.raises(WeightsError, match="damaged"):
        weights.gallery()


def test_a_code_made_for_another_network_is_refused(toy_gallery: Path, tmp_path: Path) -> None:
    network = weights.load_network("fast")
    other = tmp_path / "other.safetensors"
    weights.save_style(other, network.identity, "fast", "0" * 64, {"name": "other"})
    with pytest.raises(UsageError, match="made for another network"):
        weights.load_style(Style(((str(other), 1),)))


def test_no_models_is_said_plainly(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.delenv("VIDEOSTYLE_MODELS", raising=False)
    monkeypatch.setattr(manifest, "__file__", str(tmp_path / "a" / "weights" / "manifest.py"))
    with pytest.raises(WeightsError, match="no models found"):
        weights.gallery()


def test_every_shipped_file_is_whole_and_loads() -> None:
    manifest = json.loads((weights.models_folder() / "manifest.json").read_text())
    assert set(manifest["networks"]) >= {"fast"}
    entries = weights.gallery()
    assert len([entry for entry in entries if entry.network == "fast"]) >= 4
    for entry in entries:
        network, code = weights.load_style(Style(((entry.name, 1),), network=entry.network))
        assert code.shape == (1, network.net.code_size)
        assert entry.title
        assert entry.painter
        assert entry.year
        assert entry.file.with_suffix(".md").is_file()
