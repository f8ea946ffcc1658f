from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from command import failing

from videostyle import weights
from videostyle.cli import main
from videostyle.errors import UsageError
from videostyle.train.text import _PATCH, Directions, TextPlan, _perspective

CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP of random numbers, as open_clip keeps it."""
    open_clip = pytest.importorskip("open_clip")
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    net = open_clip.CLIP(**CONFIG)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {}}))
    tensors = {name: one.contiguous() for name, one in net.state_dict().items()}
    save_file(tensors, folder / "open_clip_model.safetensors")
    return folder


def words(clip: Path, *more: str) -> list[str]:
    return ["learn", "--text", "watercolour, loose strokes", "--clip", str(clip), "--name", "loose", *more]


def test_words_become_a_style(
    toy_gallery: Path, clip: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = ["--content", str(pictures / "photographs")]
    assert main(words(clip, "--steps", "12", *content)) == 0
    said = capsys.readouterr()
    file = tmp_path / "own styles" / "loose.safetensors"
    assert said.out.strip() == str(file)
    code, card = weights.read_style(file)
    assert card["title"] == "watercolour, loose strokes"
    assert code[0, -1] == 1
    first = torch.stack([weights.read_style(one.file)[0] for one in weights.gallery()]).mean(0)
    assert not torch.allclose(code, first)
    # The same words, steps and pictures make the same style; a style is not overwritten unasked.
    assert main(words(clip, "--steps", "12", *content, "-o", str(tmp_path / "again.safetensors"))) == 0
    assert torch.equal(weights.read_style(tmp_path / "again.safetensors")[0], code)
    assert failing(capsys, *words(clip, "--steps", "1", *content))[0] == 2


def test_the_loss_is_the_angle_to_the_words(clip: Path) -> None:
    directions = Directions(clip, "a drawing")
    wanted = directions._wanted
    before = torch.nn.functional.normalize(torch.ones(1, len(wanted)), dim=1)
    found = directions(torch.cat([before + 0.1 * wanted, before - 0.1 * wanted]), before)
    assert torch.allclose(found, torch.tensor([0.0, 2.0]), atol=1e-4)
    picture = torch.rand(1, 3, 50, 70, requires_grad=True)
    embedded = directions.embed(picture)
    assert torch.allclose(embedded.norm(dim=1), torch.ones(1), atol=1e-5)
    embedded.sum().backward()
    assert picture.grad is not None
    assert picture.grad.abs().sum() > 0


def test_a_square_that_stays_is_not_changed() -> None:
    still = _perspective(torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), _PATCH)
    line = (torch.arange(_PATCH) + 0.5) / _PATCH
    assert torch.allclose(still[0, :, 0], line, atol=1e-5)
    assert torch.allclose(still[:, 0, 1], line, atol=1e-5)


def test_what_is_no_clip_is_one_line(
    toy_gallery: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "holds no CLIP of open_clip" in failing(capsys, *words(empty))[1]
    (empty / "open_clip_config.json").write_text((clip / "open_clip_config.json").read_text())
    assert "holds no CLIP of open_clip" in failing(capsys, *words(empty))[1]
    (empty / "open_clip_model.safetensors").write_bytes(b"no weights")
    assert "its CLIP cannot be loaded" in failing(capsys, *words(empty))[1]
    monkeypatch.setitem(sys.modules, "open_clip", None)
    assert "pip install open_clip_torch" in failing(capsys, *words(clip))[1]


def test_words_need_a_clip_and_no_painting(
    toy_gallery: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--text needs --clip" in failing(capsys, "learn", "--text", "ink")[1]
    assert "a painting or --text" in failing(capsys, "learn")[1]
    assert "a painting or --text" in failing(capsys, *words(clip, "painting.jpg"))[1]
    with pytest.raises(UsageError, match="the words of the style are empty"):
        TextPlan(" ", clip, "none", tmp_path / "o.safetensors")
