from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from training import OneColour, batch_of, lines, run, standing, tiny, weights_of

from videostyle import weights
from videostyle.errors import (
    SinkError,
    TrainingError,
    UnknownNameError,
    UsageError,
    VideostyleError,
    WeightsError,
)
from videostyle.nets.style_network import (
    GATE_START,
    NOISE_CHANNELS,
    Architecture,
    StyleNetwork,
    architecture,
)
from videostyle.nets.vgg import build_loss_network
from videostyle.ops import losses
from videostyle.progress import Progress
from videostyle.style import Style
from videostyle.train import batch, loop, validation
from videostyle.train.batch import draw, roll_out_length
from videostyle.train.config import read_config
from videostyle.train.data import Crops, held_back, list_photographs, read_picture, title_card
from videostyle.train.initial_weights import load_initial_weights, widen, widen_code
from videostyle.train.journal import Journal
from videostyle.train.loop import train
from videostyle.train.model import StyleCodes, StyleModel, corrupted, untrained
from videostyle.train.plan import TrainingStyle


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Validate on two pictures, not on twelve."""
    monkeypatch.setattr(validation, "SAMPLES", 2)


@pytest.fixture
def all_corrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every prior has errors in it."""
    monkeypatch.setattr(batch, "_CORRUPTED_SHARE", 1.0)
    monkeypatch.setattr(batch, "_LENGTHS", ())  # as long as the configuration allows


def opened() -> list[Path]:
    """The files that this process has open, where the system tells."""
    folder = Path("/proc/self/fd")
    found = folder.iterdir() if folder.is_dir() else ()
    return [Path(os.path.realpath(one)) for one in found]


def test_two_trainings_do_not_share_a_folder(pictures: Path, vgg_file: Path, tmp_path: Path) -> None:
    config = tiny(pictures, vgg_file, tmp_path / "run")
    before: list[Progress] = []

    def meanwhile(progress: Progress) -> None:
        if not before:
            before.append(progress)
            with pytest.raises(SinkError, match="another training is at work there; wait until it ends"):
                train(config)

    train(config, meanwhile)
    assert before
    assert [row["step"] for row in lines(config.folder / "log.jsonl")] == [0, 1, 2, 3]


@pytest.mark.usefixtures("all_corrupted")
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(pictures: Path, vgg_file: Path, tmp_path: Path) -> None:
    whole = tiny(pictures, vgg_file, tmp_path / "whole")
    rows, final = run(whole)

    class KilledError(Exception):
        pass

    def kill(*_: object) -> None:
        raise KilledError

    broken = tiny(pictures, vgg_file, tmp_path / "broken")
    with pytest.MonkeyPatch.context() as patch:
        steps = iter([None, None, None, kill])  # killed in step 3, after the checkpoint at 2
        step = torch.optim.Adam.step
        patch.setattr(torch.optim.Adam, "step", lambda self: (next(steps) or step)(self))
        with pytest.raises(KilledError) as stopped:
            train(broken)
        # Whoever keeps the error keeps none of its files open.
        assert not [path for path in opened() if path.is_relative_to(broken.folder)]
        del stopped
    assert len(lines(broken.folder / "log.jsonl")) == 3
    again, resumed = run(broken)
    assert again == rows
    assert all(torch.equal(resumed[key], final[key]) for key in final)
    # Single frames first, then frames that were rolled out.
    assert [row["temporal"] > 0 for row in rows if row["temporal"] is not None] == [False, True, True, True]
    validations = [lines(one.folder / "validation.jsonl") for one in (whole, broken)]
    assert validations[0] == validations[1]
    assert [row["step"] for row in validations[0]] == [2, 4]


@pytest.mark.usefixtures("all_corrupted")
def test_a_batch_in_parts_is_the_same_batch(pictures: Path, vgg_file: Path, tmp_path: Path) -> None:
    settings = {"steps": 2, "batch": 4, "weak_share": 0.5}
    whole, final = run(tiny(pictures, vgg_file, tmp_path / "whole", **settings))
    parts, same = run(tiny(pictures, vgg_file, tmp_path / "parts", **settings, accumulate=2))
    assert whole[1]["temporal"] > 0
    assert_alike(whole, parts)
    # A step of Adam is 1e-2 for codes; a tenth of it is what rounding makes of gradients near zero.
    assert all(torch.allclose(final[key], same[key], atol=1e-3) for key in final)


@pytest.mark.usefixtures("all_corrupted")
@pytest.mark.parametrize("gate_from", [0.0, 1.0])
def test_the_gate_is_learned_from_where_the_run_says(
    pictures: Path, vgg_file: Path, tmp_path: Path, gate_from: float
) -> None:
    _, final = run(tiny(pictures, vgg_file, tmp_path, temporal_from=0, gate_from=gate_from, steps=2))
    weight, bias = (final[f"net.correction.conv.{name}"] for name in ("weight", "bias"))
    held = bool((weight[3:] == 0).all()) and bool((bias[3:] == GATE_START).all())
    assert held == (gate_from == 1)
    assert (weight[:3] != 0).any()


def test_the_optimizer_begins_anew_with_temporal_training(
    pictures: Path, vgg_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[set[float]] = []
    step = torch.optim.Adam.step

    def counted(self: torch.optim.Adam) -> None:
        step(self)
        counts.append({float(state["step"]) for state in self.state.values()})

    monkeypatch.setattr(torch.optim.Adam, "step", counted)
    run(tiny(pictures, vgg_file, tmp_path, temporal_from=0.5))
    assert counts == [{1}, {2}, {1}, {2}]


@pytest.mark.slow
def test_two_processes_train_as_one_does(pictures: Path, vgg_file: Path, tmp_path: Path) -> None:
    text = f"""
        photographs = "{pictures}/photographs"
        loss_network = "vgg16"
        loss_network_weights = "{vgg_file}"
        folder = "two"
        steps = 4
        temporal_from = 0
        roll_out = 1
        batch = 4
        accumulate = 2
        crop = 64
        held_back = 2
        bf16 = false
        style_layers = ["relu1_1", "relu2_1"]
        style_weights = [1, 1]
        content_layers = ["relu2_2"]
        content_weights = [0.3]
        [[styles]]
        name = "stripes"
        image = "{pictures}/stripes.png"
        size = 96
    """
    file = tmp_path / "run.toml"
    file.write_text(text)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run([*torchrun, "-m", "videostyle", "train", file], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(tmp_path / "two")]
    alone, final = run(replace(read_config(file), folder=tmp_path / "one", accumulate=1))
    assert_alike(alone, lines(tmp_path / "two" / "log.jsonl"))
    both = weights_of(tmp_path / "two")
    torch.manual_seed(0)
    begun = StyleModel(*untrained(read_config(file))).state_dict()

    def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
        return sum((one[key] - other[key]).abs().sum().item() for key in one)

    # Sums in another order differ in their last bits, and Adam's first steps go by the sign of a gradient.
    assert distance(final, both) < 0.01 * distance(final, begun)


def assert_alike(one: list[dict[str, float]], two: list[dict[str, float]]) -> None:
    """The same losses to what the order of summation may change."""
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        assert a == pytest.approx(b, rel=2e-2)


def test_batches_that_cannot_be_divided_are_refused(
    pictures: Path, vgg_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="batch = 2 cannot be divided among 1 processes in 3 parts"):
        run(tiny(pictures, vgg_file, tmp_path, accumulate=3))
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(UsageError, match="batch = 2 cannot be divided among 4 processes"):
        run(tiny(pictures, vgg_file, tmp_path))


def test_training_leaves_a_gallery_that_paints(
    pictures: Path, vgg_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tiny(pictures, vgg_file, tmp_path, card_picture=pictures / "photographs" / "0.png", validate_every=4))
    for name in ("losses.png", "sheet-000004.png", "models/fast/stripes.jpg"):
        assert cv2.imread(str(tmp_path / name)) is not None
    monkeypatch.setenv("VIDEOSTYLE_MODELS", str(tmp_path / "models"))
    (entry,) = weights.gallery()
    assert (entry.name, entry.title, entry.painter) == ("stripes", "Stripes", "Nobody")
    network, code = weights.load_style(Style((("stripes", 1),)))
    assert network.card["recipe"]["steps"] == 4
    assert code.shape == (1, network.net.code_size)
    assert "Stripes, Nobody, 1900" in (tmp_path / "models/fast/stripes.md").read_text()


def test_a_damaged_checkpoint_is_named_and_not_gone_on_from(pictures: Path, vgg_file: Path, tmp_path: Path) -> None:
    config = tiny(pictures, vgg_file, tmp_path, validate_every=4)
    run(config)
    path = tmp_path / "checkpoint.pt"
    whole = path.read_bytes()
    saved = torch.load(path, weights_only=True)
    damaged: list[Any] = [b"", b"no checkpoint", whole[:-100], whole[: len(whole) // 2], [], {"step": 2}]
    damaged += [{**saved, "step": -1}, {**saved, "step": None}, {**saved, "best": math.nan}, {**saved, "model": None}]
    damaged += [
        {**saved, name: {key: value * math.nan for key, value in saved[name].items()}} for name in ("model", "mean")
    ]
    damaged += [{**saved, "step": 10**30}, {**saved, "temporal_steps": None}, {**saved, "temporal_steps": -5}]
    remembered = saved["optimizer"]["state"]
    endless = {key: {name: value / 0 for name, value in one.items()} for key, one in remembered.items()}
    damaged += [{**saved, "optimizer": {**saved["optimizer"], "state": endless}}]
    # One bit of one weight, which torch reads as another number.
    at = whole.find(next(iter(saved["model"].values())).numpy().tobytes())
    damaged += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]]
    for state in damaged:
        if isinstance(state, bytes):
            path.write_bytes(state)
        else:
            torch.save(state, path)
        before = path.read_bytes()
        with pytest.raises(TrainingError, match=r"checkpoint\.pt: damaged \(.*\); remove it to begin again") as caught:
            run(config)
        assert "\n" not in str(caught.value)
        assert path.read_bytes() == before
    shapeless = {key: {**one, "exp_avg": torch.zeros(3, 5, 7)} for key, one in remembered.items()}
    torch.save({**saved, "optimizer": {**saved["optimizer"], "state": shapeless}}, path)
    with pytest.raises(TrainingError, match="made with another network or number of styles"):
        run(config)
    renamed = {f"old.{key}": value for key, value in saved["model"].items()}
    for writer, told in ((None, "an earlier videostyle"), ("0.0.9", r"videostyle 0\.0\.9")):
        torch.save({**saved, "model": renamed, "videostyle": writer}, path)
        with pytest.raises(TrainingError, match=f"written by {told}; go on with that, or choose another folder"):
            run(config)


def test_lines_that_were_damaged_are_left_out_when_training_goes_on(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(
        b'{"step": 0}\nnull\n[1]\n{"step": null}\n{"step": "1"}\n{oops\n\xff\xfe\n'
        + b"[" * 100_000
        + b'\n{"step": 1}\n'
    )
    Journal(tmp_path, 2).close()
    assert lines(tmp_path / "log.jsonl") == [{"step": 0}, {"step": 1}]


def test_the_best_validation_is_what_is_exported(
    pictures: Path, vgg_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.5, 0.3, 0.4])
    monkeypatch.setattr(
        loop,
        "validate",
        lambda *_: {**dict.fromkeys(loop.LOGGED_TERMS, 1.0), "loss": next(scores)},
    )
    run(tiny(pictures, vgg_file, tmp_path, steps=6, save_every=6))
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    assert best["step"] == 4
    networks, _ = weights.read_manifest(tmp_path / "models")
    network = weights.read_network("fast", *networks["fast"])
    assert network.card["recipe"]["steps"] == 4
    assert torch.equal(network.net.last.conv.weight, best["model"]["net.last.conv.weight"])


def test_validation_judges_all_terms_always_on_the_same(pictures: Path, vgg_file: Path, tmp_path: Path) -> None:
    config = tiny(pictures, vgg_file, tmp_path)
    net = StyleNetwork(SMALL)
    model = StyleModel(net, StyleCodes(1, net.code_size))
    objective = loop.Objective(config, build_loss_network("vgg16", vgg_file), "cpu")
    held = held_back(list_photographs(config.photographs), 2)
    once, twice = (loop.validate(config, model, objective, held) for _ in range(2))
    assert once == twice
    assert once.keys() == {"loss", "style", "local", "content", "smooth", "grid", "fidelity", "temporal"}
    assert all(value > 0 for value in once.values())


def test_the_losses_are_on_tensorboard(pictures: Path, vgg_file: Path, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    rows, _ = run(tiny(pictures, vgg_file, tmp_path, weak_share=0.0))
    board = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in board.Scalars("style")] == [1, 2, 3, 4]
    assert [event.value for event in board.Scalars("loss")] == pytest.approx([row["loss"] for row in rows])
    assert [event.step for event in board.Scalars("validation/loss")] == [2, 4]
    assert [event.step for event in board.Images("sheet")] == [4]


def test_without_tensorboard_the_files_are_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    journal = Journal(tmp_path, 0)
    journal.losses({"step": 0, "loss": 1.0, "style": None})
    journal.validation(1, {"loss": 2.0})
    journal.sheet(1, torch.zeros(3, 8, 8))
    journal.flush()
    assert lines(tmp_path / "log.jsonl") == [{"step": 0, "loss": 1.0, "style": None}]
    assert lines(tmp_path / "validation.jsonl") == [{"step": 1, "loss": 2.0}]
    journal.close()
    assert {path.name for path in tmp_path.iterdir()} == {"log.jsonl", "validation.jsonl"}


def test_by_the_clock_training_ends_early_and_is_remembered(
    pictures: Path, vgg_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(0, 10_000, 15))
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(ticks))
    rows, _ = run(tiny(pictures, vgg_file, tmp_path, steps=1000, minutes=1.0, warmup=1, decay_from=0.0))
    assert 1 <= len(rows) <= 5
    assert rows[0]["lr"] > 2 * rows[-1]["lr"]
    assert run(tiny(pictures, vgg_file, tmp_path, steps=1000, minutes=1.0))[0] == rows


def test_a_checkpoint_of_another_run_is_refused(pictures: Path, vgg_file: Path, tmp_path: Path) -> None:
    run(tiny(pictures, vgg_file, tmp_path, steps=1))
    paintings = tuple(TrainingStyle(name, pictures / "stripes.png") for name in "ab")
    with pytest.raises(TrainingError, match="another network or number of styles; choose another folder"):
        run(tiny(pictures, vgg_file, tmp_path, styles=paintings))


@pytest.mark.slow
def test_training_learns_the_painting(pictures: Path, vgg_file: Path, tmp_path: Path) -> None:
    settings = {"save_every": 120, "sheet_every": 120, "validate_every": 120}
    rows, _ = run(tiny(pictures, vgg_file, tmp_path, steps=120, warmup=10, lr=5e-3, **settings))
    styles = [row["style"] for row in rows if row["style"] is not None]
    assert sum(styles[-10:]) < 0.6 * sum(styles[:10])


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(
    pictures: Path, vgg_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fine = losses.total_variation
    monkeypatch.setattr(
        losses,
        "total_variation",
        lambda picture: fine(picture) * (math.nan if (tmp_path / "checkpoint.pt").exists() else 1),
    )
    with pytest.raises(TrainingError, match="not finite at step 5; the last good state is"):
        run(tiny(pictures, vgg_file, tmp_path, validate_every=8, steps=8))
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert saved["step"] == 4
    assert all(value.isfinite().all() for value in saved["model"].values())


def test_other_weights_for_style_layers_are_another_loss(pictures: Path, vgg_file: Path, tmp_path: Path) -> None:
    settings = {"steps": 1, "weak_share": 0.0, "shallow_share": 0.0}
    one, _ = run(tiny(pictures, vgg_file, tmp_path / "one", **settings))
    two, _ = run(tiny(pictures, vgg_file, tmp_path / "two", **settings, style_weights=(1.0, 0.0)))
    assert two[0]["style"] < one[0]["style"]
    assert two[0]["local"] < one[0]["local"]
    assert two[0]["content"] == one[0]["content"]


def test_codes_run_from_the_identity_to_the_painting() -> None:
    codes = StyleCodes(2, 5)
    number = torch.tensor([1, 0])
    assert torch.equal(codes(number, torch.zeros(2))[:, -1], torch.zeros(2))
    assert torch.equal(codes(number, torch.ones(2))[:, -1], torch.ones(2))
    half = codes(number, torch.full((2,), 0.5))
    assert torch.allclose(half, (codes(number, torch.zeros(2)) + codes(number, torch.ones(2))) / 2)


def a_model(architecture: Architecture, paintings: int = 1) -> StyleModel:
    """Of random numbers, also where training would begin with zeros."""
    torch.manual_seed(0)
    net = StyleNetwork(architecture)
    if architecture.recurrent:
        for convolution in (net.carried_first, net.carried_last, net.correction):
            torch.nn.init.normal_(convolution.conv.weight, std=0.1)
        torch.nn.init.zeros_(net.correction.conv.bias)
    return StyleModel(net, StyleCodes(paintings, net.code_size))


SMALL = Architecture(unshuffle=2, widths=(8, 8), blocks=1, kernel=3, head=4, recurrent=True)


def test_steadiness_cannot_be_had_by_smaller_features() -> None:
    # Every convolution is normalised, so its scale changes nothing; nor may a loss seem to depend on it, as it did when
    # a picture was normalised by statistics that had no gradient.
    model = a_model(architecture("fast"))
    batch = batch_of(standing(list(torch.rand(2, 1, 3, 64, 64))), shared_norm=torch.ones(1, 1))
    painted = model(batch)
    ((expected, valid),) = painted.targets
    losses.temporal_distance(expected, painted.output, valid).sum().backward()
    # To what the first and the last give, something is added before it is normalised.
    for layer in (*model.net.encoder[1:], *model.net.trunk, *model.net.decoder[:-1]):
        weight = layer.convolution.conv.weight
        assert weight.grad.norm() > 0
        along = (weight.grad * weight).sum() / (weight.grad.norm() * weight.norm())
        assert along.abs() < 1e-4


def test_the_gradient_goes_through_the_last_frame_only() -> None:
    model = a_model(SMALL)
    frames = [frame.requires_grad_() for frame in torch.rand(3, 1, 3, 32, 32)]
    painted = model(batch_of(standing(frames)))
    assert not any(expected.requires_grad for expected, _ in painted.targets)
    (painted.output * torch.rand_like(painted.output)).sum().backward()
    assert [frame.grad is not None and bool(frame.grad.any()) for frame in frames] == [False, False, True]
    # All the same it sees what was painted before.
    other = model(batch_of(standing([1 - frames[0], *frames[1:]])))
    assert not torch.equal(other.output, painted.output)


def test_a_clip_begins_with_an_empty_prior_and_goes_on_with_what_was_painted() -> None:
    model = a_model(SMALL)
    frames = list(torch.rand(2, 1, 3, 32, 32))
    noise = list(torch.randn(2, 1, NOISE_CHANNELS, 32, 32))
    clip = standing(frames, noise)
    code = model.codes(torch.zeros(1, dtype=torch.long), torch.ones(1))
    with torch.no_grad():
        first = model.net(frames[0], code, None, torch.cat([torch.zeros(1, 4, 32, 32), noise[0]], 1))
        assert torch.equal(model(batch_of(standing(frames[:1], noise[:1]))).output, first)
        then = model.net(frames[1], code, None, torch.cat([first, torch.ones(1, 1, 32, 32), noise[1]], 1))
        painted = model(batch_of(clip))
        assert torch.allclose(painted.output, then, atol=1e-5)
        ((expected, valid),) = painted.targets
        assert torch.allclose(expected, first, atol=1e-5)
        assert valid.min() == 1
        # Where the motion is unknown, nothing of it is used.
        lost = model(batch_of(clip, valid=[torch.zeros(1, 1, 32, 32)])).output
        alone = model.net(frames[1], code, None, torch.cat([torch.zeros(1, 4, 32, 32), noise[1]], 1))
        assert torch.allclose(lost, alone, atol=1e-5)


def test_what_is_expected_far_back_is_the_output_of_that_frame() -> None:
    model = a_model(SMALL)
    clip = standing(list(torch.rand(5, 1, 3, 32, 32)))
    far = [(4, torch.zeros(1, 2, 32, 32), torch.ones(1, 1, 32, 32))]
    (near, _), (distant, _) = model(batch_of(clip, far=far)).targets
    first = model(batch_of(standing(clip.frames[:1]))).output
    assert torch.allclose(distant, first, atol=1e-5)
    assert not torch.allclose(near, first, atol=1e-2)


def test_priors_are_corrupted_where_that_is_asked_for() -> None:
    prior, speckle = torch.rand(6, 3, 32, 32), torch.randn(6, 3, 32, 32)
    corruption = torch.zeros(6, 5)
    corruption[1, 0] = corruption[2, 3] = corruption[3, 4] = 1
    corruption[4] = torch.tensor((9.0, -9, 9, 9, -9))
    result = corrupted(prior, corruption, speckle)
    assert torch.equal(result[[0, 5]], prior[[0, 5]])
    assert 0 <= result.min() <= result.max() <= 1
    redder = (result - prior)[1]
    assert redder[0].mean() > 0.025
    assert redder[1:].abs().max() < 2e-3
    inside = (prior[2] > 0.01) & (prior[2] < 0.99)
    assert (result - prior)[2][inside].max() < 0  # a gamma of 1.1
    assert (result - prior)[3].std() > 0.03
    assert not torch.equal(corrupted(prior, corruption, -speckle)[3], result[3])


def test_roll_outs_have_all_lengths_up_to_the_longest(pictures: Path, vgg_file: Path, tmp_path: Path) -> None:
    config = tiny(pictures, vgg_file, tmp_path, roll_out=6)
    assert {roll_out_length(config, step, False) for step in range(50)} == {0}
    lengths = [roll_out_length(config, step, True) for step in range(300)]
    assert lengths == [roll_out_length(config, step, True) for step in range(300)]
    assert set(lengths) == {0, 1, 2, 3, 5, 6}
    assert 20 < lengths.count(6) < 70
    assert set(roll_out_length(replace(config, roll_out=1), step, True) for step in range(100)) == {0, 1}


def test_clips_have_the_length_that_is_drawn_for(pictures: Path, vgg_file: Path, tmp_path: Path) -> None:
    config = tiny(pictures, vgg_file, tmp_path)
    crops = Crops(list_photographs(config.photographs), 64)
    for length in (0, 1, 5):
        drawn = draw(config, 0, range(2), crops, length=length)
        assert len(drawn.frames) == len(drawn.noise) == length + 1
        assert len(drawn.flows) == len(drawn.valid) == len(drawn.errors) == length
        assert [step for step, _, _ in drawn.far] == ([4] if length == 5 else [])
        assert drawn.content is drawn.frames[-1]
        assert {tuple(frame.shape) for frame in drawn.frames} == {(2, 3, 64, 64)}


def test_the_loss_network_looks_as_often_in_each_way_as_is_asked_for(
    pictures: Path, vgg_file: Path, tmp_path: Path
) -> None:
    config = tiny(pictures, vgg_file, tmp_path, shallow_share=0.5, halved_share=0.2)
    views = [loop.choose_view(config, step) for step in range(1000)]
    assert views == [loop.choose_view(config, step) for step in range(1000)]
    assert 450 < views.count("shallow") < 550
    assert 160 < views.count("halved") < 240
    assert 260 < views.count("whole") < 340
    plain = replace(config, shallow_share=0.0, halved_share=0.0)
    assert {loop.choose_view(plain, step) for step in range(100)} == {"whole"}


def test_views_differ_in_layers_and_in_size(pictures: Path, vgg_file: Path, tmp_path: Path) -> None:
    layers = {"style_layers": ("relu1_1", "relu4_1"), "local_layers": ("relu4_1",), "local": 1.0}
    config = tiny(pictures, vgg_file, tmp_path, **layers)
    objective = loop.Objective(config, build_loss_network("vgg16", vgg_file), "cpu")
    torch.manual_seed(0)
    painted, content = torch.rand(2, 1, 3, 64, 64)
    number = torch.zeros(1, dtype=torch.long)
    whole, halved, shallow = (
        objective.style_and_content(painted, content, number, view) for view in ("whole", "halved", "shallow")
    )
    assert shallow["content"] == shallow["local"] == 0 < whole["local"]
    assert shallow["style"] < whole["style"]
    assert halved["style"] != whole["style"]
    deeper = objective.style_and_content(painted, content, number, deep=2.0)
    assert deeper["content"] == pytest.approx(2 * whole["content"])
    assert deeper["local"] == pytest.approx(2 * whole["local"])
    assert (deeper["style"] - whole["style"]).item() == pytest.approx(
        (whole["style"] - shallow["style"]).item(), rel=1e-3
    )


def test_a_teacher_is_imitated_with_the_same_prior_and_noise(
    toy_gallery: Path, pictures: Path, vgg_file: Path, tmp_path: Path
) -> None:
    style = TrainingStyle("dots", pictures / "stripes.png", size=96)
    config = tiny(
        pictures, vgg_file, tmp_path, teacher="fast", styles=(style,), pixel_share=0.5, running_norm_share=0.0
    )
    objective = loop.Objective(config, build_loss_network("vgg16", vgg_file), "cpu")
    network = weights.load_network("fast")
    model = StyleModel(network.net, StyleCodes(1, network.net.code_size))
    model.codes.identity.data.copy_(network.identity[:, :-1])
    model.codes.rows.data.copy_(weights.read_style(toy_gallery / "fast" / "dots.safetensors")[0][:, :-1])
    for length in (0, 2):
        batch = draw(config, 0, range(2), Crops(list_photographs(config.photographs), config.crop), length=length)
        assert objective(batch, model(batch), 1.0, "pixels")[1]["fidelity"].max() < 1e-6
    model.codes.rows.data.zero_()
    loss, terms = objective(batch, model(batch), 0.0, "pixels")
    assert terms["fidelity"].min() > 0.01
    assert "style" not in terms
    shown = sum(terms[name].mean() * factor for name, factor in (("smooth", 0.02), ("grid", 4.0), ("fidelity", 8.0)))
    assert loss.item() == pytest.approx(float(shown), rel=1e-3)
    assert objective(batch, model(batch), 0.0)[1]["content"].min() > 0
    views = [loop.choose_view(config, step) for step in range(400)]
    assert 150 < views.count("pixels") < 250


def test_a_teacher_needs_a_code_of_every_style(
    toy_gallery: Path, pictures: Path, vgg_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="fast cannot teach stripes: it has no code of that name"):
        train(tiny(pictures, vgg_file, tmp_path, teacher="fast"))
    with pytest.raises(UsageError, match="pixel_share needs a teacher"):
        tiny(pictures, vgg_file, tmp_path, pixel_share=0.5)


def test_without_a_temporal_term_the_loss_does_not_ask_for_steadiness(
    pictures: Path, vgg_file: Path, tmp_path: Path
) -> None:
    config = tiny(pictures, vgg_file, tmp_path)
    objective = loop.Objective(config, build_loss_network("vgg16", vgg_file), "cpu")
    batch = batch_of(standing(list(torch.rand(2, 1, 3, 64, 64))))
    painted = a_model(SMALL)(batch)
    (without, terms), (half, _), (full, _) = (objective(batch, painted, ramp) for ramp in (0.0, 0.5, 1.0))
    assert (full - without).item() == pytest.approx(config.temporal * terms["temporal"].item(), rel=1e-3)
    assert (half - without).item() == pytest.approx((full - without).item() / 2, rel=1e-3)


@pytest.mark.parametrize("color", [(0.0, 0.0, 0.0), (0.1, 0.3, 0.9), (1.0, 1.0, 1.0)])
@pytest.mark.parametrize("length", [0, 2])
def test_pictures_of_one_color_have_gradients_that_are_numbers(
    color: tuple[float, ...], length: int, pictures: Path, vgg_file: Path, tmp_path: Path
) -> None:
    config = tiny(pictures, vgg_file, tmp_path, film_share=1.0)
    crops = OneColour(config.crop, color)
    flat = crops(torch.Generator())
    for films in (None, lambda generator, length: standing([flat] * (length + 1))):
        batch = draw(config, 0, range(2), crops, films, length)
        model = a_model(architecture("fast"), 2)
        painted = model(batch)
        # The gradient of a loss network differs from place to place.
        (painted.output * torch.rand_like(painted.output)).mean().backward()
        assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)
        assert model.net.encoder[0].convolution.conv.weight.grad.norm() < 10


def test_the_rate_rises_then_falls(pictures: Path, vgg_file: Path, tmp_path: Path) -> None:
    config = tiny(pictures, vgg_file, tmp_path, steps=100, warmup=10)
    shares = [loop.schedule(config, step, loop.share_done(config, step, 0), 0) for step in range(100)]
    assert shares[0] < shares[5] < shares[9]
    assert shares[9:70] == [1.0] * 61
    assert shares[69:] == sorted(shares[69:], reverse=True)
    assert shares[-1] < 0.02 * max(shares)
    # What reads the previous output is new to Adam when the roll-out begins.
    anew = [loop.schedule(config, 49 + since, 0.5, since) for since in range(1, 12)]
    assert anew == sorted(anew)
    assert (anew[0], anew[-1]) == (0.1, 1.0)
    slower = replace(config, temporal_lr=0.25)
    assert [loop.schedule(slower, 49 + since, 0.5, since) for since in range(1, 12)] == [share / 4 for share in anew]
    assert loop.schedule(slower, 40, 0.5, 0) == 1.0
    falling = replace(config, decay_from=0.0)
    assert loop.schedule(falling, 50, 0.5, 0) == pytest.approx(0.505)


def test_progress_is_by_steps_or_by_the_clock_whichever_is_further(
    pictures: Path, vgg_file: Path, tmp_path: Path
) -> None:
    config = tiny(pictures, vgg_file, tmp_path, steps=100, minutes=10.0)
    assert loop.share_done(config, 30, 2) == 0.3
    assert loop.share_done(config, 10, 5) == 0.5
    assert loop.share_done(config, 10, 11) == 1


def test_every_painting_comes_up_equally_often(pictures: Path, vgg_file: Path, tmp_path: Path) -> None:
    paintings = tuple(TrainingStyle(name, pictures / "stripes.png") for name in "abc")
    config = tiny(pictures, vgg_file, tmp_path, styles=paintings, batch=4)
    photograph = Crops(list_photographs(config.photographs), 64)
    dealt = torch.cat([draw(config, step, range(4), photograph).style for step in range(6)])
    assert torch.bincount(dealt).tolist() == [8, 8, 8]


@pytest.mark.parametrize("length", [0, 1])
def test_films_take_their_share_of_the_samples(length: int, pictures: Path, vgg_file: Path, tmp_path: Path) -> None:
    config = tiny(pictures, vgg_file, tmp_path, batch=40, film_share=0.25, card_share=0.0)
    film = [torch.zeros(1, 3, 64, 64)] * (length + 1)
    batch = draw(config, 0, range(40), OneColour(64), lambda _, length: standing(film), length)
    assert 4 <= (batch.content.mean((1, 2, 3)) < 0.5).sum() <= 16


def test_flats_and_title_cards_take_their_shares_of_single_frames(
    pictures: Path, vgg_file: Path, tmp_path: Path
) -> None:
    class Noted(OneColour):
        def __init__(self) -> None:
            super().__init__(64)
            self.asked: list[float | None] = []

        def __call__(self, generator: torch.Generator, blurred: float | None = None) -> torch.Tensor:
            self.asked.append(blurred)
            return super().__call__(generator, blurred)

    config = tiny(pictures, vgg_file, tmp_path, batch=200, card_share=0.2, flat_share=0.3)
    crops = Noted()
    drawn = draw(config, 0, range(200), crops)
    assert 20 < 200 - len(crops.asked) < 60
    assert 35 < sum(blurred is not None for blurred in crops.asked) < 85
    assert all(8 <= blurred <= 30 for blurred in crops.asked if blurred is not None)
    # The cards are what is not white.
    assert (drawn.content.mean((1, 2, 3)) < 0.9).sum() > 10


def test_title_cards_are_letters_on_one_colour() -> None:
    plain = 0
    for seed in range(30):
        card = title_card(96, np.random.default_rng(seed))
        assert card.shape == (1, 3, 96, 96)
        assert 0 <= card.min() <= card.max() <= 1
        colors, counts = card[0].flatten(1).unique(dim=1, return_counts=True)
        plain += colors.shape[1] == 1
        if colors.shape[1] > 1:  # letters, and their soft edges, in a colour that can be told apart
            brightness = colors.mean(0)
            assert (brightness.max() - brightness.min()) > 0.15
            assert counts.max() > 0.2 * 96 * 96
    assert 2 < plain < 15  # a ground alone


def test_blurred_crops_have_nothing_left_but_a_change_of_colour(pictures: Path) -> None:
    crops = Crops(list_photographs(pictures / "photographs"), 48)
    for seed in range(4):
        sharp, flat = (crops(torch.Generator().manual_seed(seed), blurred) for blurred in (None, 20.0))
        assert flat.shape == sharp.shape
        assert (flat[..., 1:] - flat[..., :-1]).abs().max() < 0.02
        assert flat.mean().item() == pytest.approx(sharp.mean().item(), abs=0.05)


def test_whole_photographs_are_at_least_as_large_as_crops_and_the_same_for_the_same_generator(pictures: Path) -> None:
    crops = Crops(list_photographs(pictures / "photographs"), 48)
    sizes = set()
    for seed in range(20):
        one, two = (crops.picture(torch.Generator().manual_seed(seed)) for _ in range(2))
        assert np.array_equal(one, two)
        assert one.dtype == np.float32
        assert 48 <= min(one.shape[:2]) <= 2.25 * 48
        assert one.shape[1] / one.shape[0] == pytest.approx(4 / 3, rel=0.03)
        sizes.add(one.shape)
    assert len(sizes) > 10


def test_crops_are_the_same_for_the_same_generator_and_skip_what_cannot_be_read(pictures: Path, tmp_path: Path) -> None:
    for path in (pictures / "photographs").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    crops = Crops(list_photographs(tmp_path), 48)
    one, two = (crops(torch.Generator().manual_seed(5)) for _ in range(2))
    assert one.shape == (1, 3, 48, 48)
    assert torch.equal(one, two)
    for seed in range(50):
        crops(torch.Generator().manual_seed(seed))
    assert {path.name for path in crops.unreadable} == {"broken.jpg"}
    # Nor is it held back: the sheets and the validation need pictures.
    assert held_back([tmp_path / "broken.jpg", tmp_path / "0.png"], 1) == [tmp_path / "0.png"]
    with pytest.raises(TrainingError, match="only 1 of 2 pictures can be read, 2 to be held back"):
        held_back([tmp_path / "broken.jpg", tmp_path / "0.png"], 2)


def test_the_log_says_what_was_skipped(
    pictures: Path, vgg_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for path in (pictures / "photographs").iterdir():
        (photographs / path.name).write_bytes(path.read_bytes())
    for name in "abcd":
        (photographs / f"{name}.jpg").write_bytes(b"no picture")
    train(tiny(pictures, vgg_file, tmp_path / "run", photographs=photographs))
    (line,) = (line for line in caplog.messages if "unreadable" in line)
    assert "unreadable pictures were skipped" in line
    assert ".jpg" in line


def test_a_training_that_never_began_leaves_nothing(pictures: Path, vgg_file: Path, tmp_path: Path) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for name in "abcdef":
        (photographs / f"{name}.jpg").write_bytes(b"no picture")
    config = tiny(pictures, vgg_file, tmp_path / "runs" / "run", photographs=photographs)
    for change in ({}, {"loss_network_weights": tmp_path / "gone"}, {"photographs": tmp_path / "gone"}):
        with pytest.raises(VideostyleError):
            train(replace(config, **change))
        assert not (tmp_path / "runs").exists()
    # What somebody has put there stays.
    (config.folder / "tensorboard").mkdir(parents=True)
    (config.folder / "log.jsonl").write_text("")
    with pytest.raises(TrainingError):
        train(config)
    assert {"log.jsonl", "tensorboard"} <= {path.name for path in config.folder.iterdir()}


def test_folders_without_pictures_are_refused(pictures: Path, vgg_file: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no pictures found"):
        list_photographs(tmp_path)
    with pytest.raises(TrainingError, match="6 pictures, 6 to be held back"):
        run(tiny(pictures, vgg_file, tmp_path / "run", held_back=6))
    (tmp_path / "a.jpg").write_bytes(b"")
    crops = Crops(list_photographs(tmp_path), 48)
    with pytest.raises(TrainingError, match="none of the 1 pictures"):
        crops(torch.Generator())
    with pytest.raises(TrainingError, match="not a readable picture"):
        read_picture(tmp_path / "a.jpg")


NARROW = Architecture(unshuffle=2, widths=(8, 12), blocks=2, kernel=3, head=4)


def test_a_widened_network_paints_exactly_as_the_narrow_one() -> None:
    torch.manual_seed(0)
    narrow = StyleNetwork(NARROW)
    wide = StyleNetwork(replace(NARROW, widths=(16, 36), head=8))
    wide.load_state_dict(widen(narrow, wide, torch.Generator().manual_seed(0)))
    code = torch.cat([torch.randn(2, narrow.code_size - 1), torch.ones(2, 1)], dim=1)
    picture = torch.rand(2, 3, 32, 48)
    painted = wide(picture, widen_code(code, narrow, wide))
    assert torch.allclose(painted, narrow(picture, code), atol=1e-5)
    # The copies are told apart, or they would stay copies for ever.
    kernel = wide.trunk[0].convolution.conv.weight
    assert not torch.allclose(kernel[:, :12], kernel[:, 12:24])


@pytest.mark.parametrize(
    "other", [{"blocks": 3}, {"kernel": 9}, {"unshuffle": 1}, {"widths": (8, 12, 24)}, {"widths": (12, 12)}]
)
def test_only_widths_that_are_multiples_can_be_widened_to(other: dict[str, object]) -> None:
    with pytest.raises(TrainingError, match="wid"):
        widen(StyleNetwork(NARROW), StyleNetwork(replace(NARROW, **other)), torch.Generator())


def test_a_network_that_is_made_recurrent_paints_as_before_on_an_empty_prior() -> None:
    torch.manual_seed(0)
    plain, net = StyleNetwork(NARROW), StyleNetwork(replace(NARROW, recurrent=True))
    net.load_state_dict(widen(plain, net, torch.Generator()))
    code = torch.cat([torch.randn(1, plain.code_size - 1), torch.ones(1, 1)], dim=1)
    picture, recurrent_input = torch.rand(1, 3, 32, 48), torch.zeros(1, 8, 32, 48)
    recurrent_input[:, 4:] = torch.randn(1, 4, 32, 48)
    assert torch.allclose(net(picture, code, None, recurrent_input), plain(picture, code), atol=1e-6)
    assert torch.equal(net(picture, code), plain(picture, code))
    with pytest.raises(TrainingError, match="widths"):
        widen(net, plain, torch.Generator())


def test_a_widened_recurrent_network_paints_exactly_as_the_narrow_one() -> None:
    narrow = a_model(replace(NARROW, recurrent=True)).net
    wide = StyleNetwork(replace(NARROW, widths=(16, 36), head=8, recurrent=True))
    wide.load_state_dict(widen(narrow, wide, torch.Generator().manual_seed(0)))
    code = torch.cat([torch.randn(2, narrow.code_size - 1), torch.ones(2, 1)], dim=1)
    picture, recurrent_input = torch.rand(2, 3, 32, 48), torch.rand(2, 8, 32, 48)
    painted = wide(picture, widen_code(code, narrow, wide), None, recurrent_input)
    assert torch.allclose(painted, narrow(picture, code, None, recurrent_input), atol=1e-5)
    assert not torch.allclose(painted, narrow(picture, code), atol=1e-2)


def test_training_starts_from_models(pictures: Path, vgg_file: Path, tmp_path: Path) -> None:
    run(tiny(pictures, vgg_file, tmp_path / "first", steps=2))
    models = tmp_path / "first" / "models"
    networks, (entry,) = weights.read_manifest(models)
    trained = weights.read_network("fast", *networks["fast"])
    code, _ = weights.read_style(entry.file)
    paintings = tuple(TrainingStyle(name, pictures / "stripes.png") for name in ("new", "stripes"))
    config = tiny(pictures, vgg_file, tmp_path / "second", start=models, styles=paintings)
    net, codes = StyleNetwork(trained.net.architecture), StyleCodes(2, trained.net.code_size)
    load_initial_weights(config, net, codes)
    assert all(torch.equal(value, trained.net.state_dict()[key]) for key, value in net.state_dict().items())
    # The known painting has its own code, the new one the mean of all: here of one.
    assert torch.equal(codes(torch.tensor([1]), torch.ones(1)), code)
    assert torch.equal(codes(torch.tensor([0]), torch.ones(1)), code)


def test_a_network_that_is_not_trained_stays_and_takes_new_styles(
    pictures: Path, vgg_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tiny(pictures, vgg_file, tmp_path / "first", steps=2))
    models = tmp_path / "first" / "models"
    paintings = (TrainingStyle("new", pictures / "stripes.png"),)
    _, learned = run(tiny(pictures, vgg_file, tmp_path / "second", start=models, train_network=False, styles=paintings))
    networks, _ = weights.read_manifest(models)
    trained = weights.read_network("fast", *networks["fast"])
    for key, value in trained.net.state_dict().items():
        assert torch.equal(learned[f"net.{key}"], value)
    assert torch.equal(learned["codes.identity"], trained.identity[:, :-1])
    again, (entry,) = weights.read_manifest(tmp_path / "second" / "models")
    assert (entry.name, again["fast"][1]) == ("new", networks["fast"][1])
    monkeypatch.setenv("VIDEOSTYLE_MODELS", str(models))
    weights.load_style(Style(((str(entry.file), 1),)))  # the style file alone goes with the network it was made for
    with pytest.raises(TrainingError, match="no network fine"):
        run(replace(tiny(pictures, vgg_file, tmp_path / "third", start=models, train_network=False), network="fine"))


def test_configurations_are_read_from_toml(pictures: Path, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    text = f"""
        photographs = "{pictures}/photographs"
        folder = "out"
        lr = 1
        minutes = 2
        style_weights = [1, 1, 1, 1, 1]
        [[styles]]
        name = "stripes"
        image = "stripes.png"
    """
    file.write_text(text)
    run = read_config(file, steps=7)
    assert run.steps == 7
    assert run.lr == 1.0
    assert run.minutes == 2.0
    assert run.folder == tmp_path / "out"
    assert run.styles[0].image == tmp_path / "stripes.png"
    for change, message in [
        (("lr = 1", "lr = 'fast'"), "lr = 'fast': input should be a valid number"),
        (("lr = 1", "rate = 1"), "no setting named 'rate'; did you mean lr"),
        (("lr = 1", "train_trunk = 1"), "no setting named 'train_trunk'; did you mean train_network"),
        (("lr = 1", "steady_from = 1"), "no setting named 'steady_from'; did you mean temporal_from"),
        (("lr = 1", "steps = 1.5"), "steps = 1.5: input should be a valid integer"),
        (("lr = 1", "bf16 = 1"), "bf16 = 1: input should be a valid boolean"),
        (('name = "stripes"', "name = 3"), r"styles.0.name = 3: input should be a valid string"),
        (("lr = 1", "rote = 1"), "no setting named 'rote'"),
        (('folder = "out"', ""), "'folder' is missing"),
        (("[[styles]]", "[styles]"), r"\[\[styles\]\]"),
        (("lr = 1", "lr ="), "not a TOML file"),
    ]:
        file.write_text(text.replace(*change))
        with pytest.raises(UsageError, match=message):
            read_config(file)
    with pytest.raises(TrainingError, match="cannot be read"):
        read_config(tmp_path / "none.toml")


def test_perceptual_weights_that_do_not_fit_are_refused(vgg_file: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean vgg16"):
        build_loss_network("vgg-16")
    with pytest.raises(WeightsError, match="no such file"):
        build_loss_network("vgg16", tmp_path / "none.pt")
    with pytest.raises(WeightsError, match="not the weights of vgg19"):
        build_loss_network("vgg19", vgg_file)
    with pytest.raises(WeightsError, match="not downloaded"):
        build_loss_network("vgg19-caffe")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(WeightsError, match="cannot be read as PyTorch weights"):
        build_loss_network("vgg16", tmp_path / "text.pt")
