from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from videostyle import weights
from videostyle.errors import TrainingError, UnknownNameError, UsageError, WeightsError
from videostyle.nets.vgg import load_perceptual
from videostyle.plan import Painting, Style, TrainConfig
from videostyle.train import loop, read_config, train
from videostyle.train.data import Crops, list_photographs, read_picture

CONVOLUTIONS = [(64, 3), (64, 64), (128, 64), (128, 128), (256, 128), (256, 256), (256, 256)]
CONVOLUTIONS += [(512, 256), (512, 512), (512, 512), (512, 512)]


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VGG-16 of random numbers: enough to see that training trains."""
    torch.manual_seed(0)
    state = {}
    for number, (outputs, inputs) in enumerate(CONVOLUTIONS):
        state[f"features.{number}.weight"] = torch.randn(outputs, inputs, 3, 3) * math.sqrt(2 / (9 * inputs))
        state[f"features.{number}.bias"] = torch.zeros(outputs)
    path = tmp_path_factory.mktemp("judge") / "vgg16.pt"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
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


def config(pictures: Path, judge: Path, folder: Path, **changes: object) -> TrainConfig:
    values: dict[str, object] = {
        "photographs": pictures / "photographs",
        "paintings": (Painting("stripes", pictures / "stripes.png", "Stripes", "Nobody", "1900", size=96),),
        "folder": folder,
        "perceptual": "vgg16",
        "perceptual_weights": judge,
        "steps": 4,
        "batch": 2,
        "crop": 64,
        "held_back": 2,
        "bf16": False,
        "style_layers": ("relu1_1", "relu2_1"),
        "style_weights": (1.0, 1.0),
        "content_layers": ("relu2_2",),
        "content_weights": (0.3,),
        "save_every": 2,
        "sheet_every": 4,
    }
    return TrainConfig(**{**values, **changes})  # type: ignore[arg-type]


def logged(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(pictures: Path, judge: Path, tmp_path: Path) -> None:
    whole = config(pictures, judge, tmp_path / "whole")
    train(whole, log=lambda line: None)

    class KilledError(Exception):
        pass

    def kill(*_: object) -> None:
        raise KilledError

    broken = config(pictures, judge, tmp_path / "broken")
    with pytest.MonkeyPatch.context() as patch:
        steps = iter([None, None, None, kill])  # killed in step 3, after the checkpoint at 2
        step = torch.optim.Adam.step
        patch.setattr(torch.optim.Adam, "step", lambda self: (next(steps) or step)(self))
        with pytest.raises(KilledError):
            train(broken, log=lambda line: None)
    train(broken, log=lambda line: None)
    assert logged(broken.folder) == logged(whole.folder)
    one, two = (torch.load(run.folder / "checkpoint.pt", weights_only=True)["model"] for run in (whole, broken))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_training_leaves_a_gallery_that_paints(
    pictures: Path, judge: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = config(pictures, judge, tmp_path, card_picture=pictures / "photographs" / "0.png")
    train(run, log=lambda line: None)
    for name in ("losses.png", "sheet-000004.png", "models/fast/stripes.jpg"):
        assert cv2.imread(str(tmp_path / name)) is not None
    monkeypatch.setenv("VIDEOSTYLE_MODELS", str(tmp_path / "models"))
    (entry,) = weights.gallery()
    assert (entry.name, entry.title, entry.painter) == ("stripes", "Stripes", "Nobody")
    network, code = weights.load_style(Style((("stripes", 1),)))
    assert network.card["recipe"]["steps"] == 4
    assert code.shape == (1, network.net.code_size)
    assert "Stripes, Nobody, 1900" in (tmp_path / "models/fast/stripes.md").read_text()


@pytest.mark.slow
def test_training_learns_the_painting(pictures: Path, judge: Path, tmp_path: Path) -> None:
    run = config(pictures, judge, tmp_path, steps=120, warmup=10, rate=5e-3, save_every=120, sheet_every=120)
    train(run, log=lambda line: None)
    rows = [row["style"] for row in logged(tmp_path) if row["style"] is not None]
    assert sum(rows[-10:]) < 0.6 * sum(rows[:10])


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(
    pictures: Path, judge: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = config(pictures, judge, tmp_path)
    fine = loop.losses.total_variation
    monkeypatch.setattr(
        loop.losses,
        "total_variation",
        lambda picture: fine(picture) * (math.nan if (tmp_path / "checkpoint.pt").exists() else 1),
    )
    with pytest.raises(TrainingError, match="not finite at step 2; the last good state is"):
        train(run, log=lambda line: None)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 2


def test_codes_run_from_the_identity_to_the_painting() -> None:
    codes = loop.Codes(2, 5)
    number = torch.tensor([1, 2])
    assert torch.equal(codes(number, torch.zeros(2))[:, -1], torch.zeros(2))
    assert torch.equal(codes(number, torch.ones(2))[:, -1], torch.ones(2))
    half = codes(number, torch.full((2,), 0.5))
    assert torch.allclose(half, (codes(number, torch.zeros(2)) + codes(number, torch.ones(2))) / 2)


def test_the_rate_rises_then_falls(pictures: Path, judge: Path, tmp_path: Path) -> None:
    run = config(pictures, judge, tmp_path, steps=100, warmup=10)
    rates = [loop.learning_rate(run, step) for step in range(100)]
    assert rates[0] < rates[5] < rates[9]
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] < 0.02 * max(rates)


def test_crops_are_the_same_for_the_same_step_and_skip_what_cannot_be_read(pictures: Path, tmp_path: Path) -> None:
    for path in (pictures / "photographs").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    crops = Crops(list_photographs(tmp_path), 48, seed=3)
    one, two = (crops(8, crops.generator(5)) for _ in range(2))
    assert one.shape == (8, 3, 48, 48)
    assert torch.equal(one, two)
    for step in range(10):
        crops(8, crops.generator(step))
    assert {path.name for path in crops.unreadable} == {"broken.jpg"}


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no pictures found"):
        list_photographs(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"")
    crops = Crops(list_photographs(tmp_path), 48, seed=0)
    with pytest.raises(TrainingError, match="none of the 1 pictures"):
        crops(1, crops.generator(0))
    with pytest.raises(TrainingError, match="not a readable picture"):
        read_picture(tmp_path / "a.jpg")


def test_configurations_are_read_from_toml(pictures: Path, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    text = f"""
        photographs = "{pictures}/photographs"
        folder = "out"
        rate = 1
        style_weights = [1, 1, 1, 1, 1]
        [[paintings]]
        name = "stripes"
        image = "stripes.png"
    """
    file.write_text(text)
    run = read_config(file, steps=7)
    assert run.steps == 7
    assert run.rate == 1.0
    assert run.folder == tmp_path / "out"
    assert run.paintings[0].image == tmp_path / "stripes.png"
    for change, message in [
        (("rate = 1", "rate = 'fast'"), "rate = 'fast' should be of type float"),
        (("rate = 1", "rote = 1"), "no setting named 'rote'"),
        (('folder = "out"', ""), "'folder' is missing"),
        (("[[paintings]]", "[paintings]"), r"\[\[paintings\]\]"),
        (("rate = 1", "rate ="), "not a TOML file"),
    ]:
        file.write_text(text.replace(*change))
        with pytest.raises(UsageError, match=message):
            read_config(file)
    with pytest.raises(TrainingError, match="cannot be read"):
        read_config(tmp_path / "none.toml")


def test_perceptual_weights_that_do_not_fit_are_refused(judge: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean vgg16"):
        load_perceptual("vgg-16")
    with pytest.raises(WeightsError, match="no such file"):
        load_perceptual("vgg16", tmp_path / "none.pt")
    with pytest.raises(WeightsError, match="not the weights of vgg19"):
        load_perceptual("vgg19", judge)
    with pytest.raises(WeightsError, match="not downloaded"):
        load_perceptual("vgg19-caffe")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(WeightsError, match="cannot be read as PyTorch weights"):
        load_perceptual("vgg16", tmp_path / "text.pt")
