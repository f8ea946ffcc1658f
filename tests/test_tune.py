from __future__ import annotations

import builtins
import logging
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
from training import tiny

from videostyle.cli import main
from videostyle.errors import (
    DivergedError,
    MissingDependencyError,
    SinkError,
    TrainingError,
    UnknownNameError,
    UsageError,
)
from videostyle.progress import OnProgress, Progress
from videostyle.train import tune, validation
from videostyle.train.config import read_config, read_ranges, write_config
from videostyle.train.plan import TrainConfig

optuna = pytest.importorskip("optuna")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Validate on two pictures, not on twelve."""
    monkeypatch.setattr(validation, "SAMPLES", 2)


@pytest.fixture
def config(pictures: Path, vgg_file: Path, tmp_path: Path) -> TrainConfig:
    return tiny(pictures, vgg_file, tmp_path, content_layers=("relu1_2", "relu2_2"), content_weights=(0.1, 0.3))


def study(config: TrainConfig) -> Any:
    return optuna.load_study(study_name="tune", storage=f"sqlite:///{config.folder}/tune/study.sqlite3")


def test_a_search_of_three_trials_finds_weights_to_train_with(
    config: TrainConfig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "videostyle")
    seen: list[Progress] = []
    tune.tune(config, trials=2, steps=2, on_progress=seen.append)
    assert "trial 2/2" in caplog.text
    assert [one.done for one in seen] == [0.5, 1, 1.5, 2]
    found = tune.tune(config, trials=3, steps=2)  # goes on
    trials = study(config).trials
    assert len(trials) == 3
    # The file's own weights are tried first.
    assert trials[0].params == {
        **{"content_weights.0": 0.1, "content_weights.1": 0.3, "temporal": 14.0},
        **{"local": 0.5, "total_variation": 0.02, "grid": 4.0},
    }
    assert all(len(trial.values) == 3 for trial in trials)
    head, _, *rows = found.table.splitlines()
    assert head.startswith("| trial | style | content | temporal | content_weights.0 |")
    assert len(rows) == len(study(config).best_trials)
    assert (config.folder / "tune" / "pareto.md").read_text() == found.table
    best = tune.choose(study(config), 0.1)
    assert read_config(found.best) == replace(tune.with_weights(config, best.params), folder=config.folder / "tuned")


def test_the_best_is_the_steadiest_of_those_that_paint_as_well(config: TrainConfig) -> None:
    made = optuna.create_study(directions=["minimize"] * 3)
    kind = {"temporal": optuna.distributions.FloatDistribution(1, 10)}
    for number, values in enumerate([(1.0, 1.0, 1.0), (1.05, 0.9, 0.6), (0.9, 1.2, 0.2), (1.09, 1.09, 0.5)]):
        made.add_trial(optuna.trial.create_trial(params={"temporal": 1 + number}, distributions=kind, values=values))
    assert tune.choose(made, 0.1).number == 3
    assert tune.choose(made, 0.07).number == 1
    assert tune.choose(made, 0.0).number == 0
    assert tune.choose(made, 0.3).number == 2


def test_an_interrupted_trial_is_tried_again_and_one_that_diverges_is_not(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = iter([None, KeyboardInterrupt(), DivergedError("the loss is not finite"), None])

    def trained(run: TrainConfig, on_progress: OnProgress) -> None:
        if (end := next(ends)) is not None:
            raise end

    monkeypatch.setattr(tune, "train", trained)
    monkeypatch.setattr(tune, "measure", lambda run: {"style": 1.0, "content": 1.0, "temporal": 1.0})
    with pytest.raises(KeyboardInterrupt):
        tune.tune(config, trials=3, steps=2)
    tune.tune(config, trials=3, steps=2)
    trials = study(config).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "FAIL", "COMPLETE"]
    assert trials[2].params == trials[1].params


def test_a_weight_cannot_change_its_scale_within_one_search(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "train", lambda run, show: None)
    monkeypatch.setattr(tune, "measure", lambda run: {"style": 1.0, "content": 1.0, "temporal": 1.0})
    tune.tune(config, trials=1, steps=2, ranges={"temporal": (1.0, 32.0)})
    with pytest.raises(UsageError, match="temporal: earlier trials"):
        tune.tune(config, trials=2, steps=2, ranges={"temporal": (0.0, 32.0)})


def test_every_weight_can_be_set(config: TrainConfig) -> None:
    changed = tune.with_weights(config, {"content_weights.1": 0.7, "grid": 3.0})
    assert changed == replace(config, content_weights=(0.1, 0.7), grid=3.0)


def test_ranges_are_read_and_checked(config: TrainConfig, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    text = write_config(config)
    file.write_text(text + "\n[tune]\ngrid = [1, 5]\nnoise = [0, 2.5]\n")
    assert read_config(file) == config
    assert read_ranges(file) == {"grid": (1.0, 5.0), "noise": (0.0, 2.5)}
    file.write_text(text)
    assert read_ranges(file) == {}
    for wrong in ("grid = 3", "grid = [1]", 'grid = ["a", "b"]'):
        file.write_text(f"{text}\n[tune]\n{wrong}\n")
        with pytest.raises(UsageError, match="lowest, highest"):
            read_ranges(file)
    with pytest.raises(UnknownNameError, match="no weight to tune named 'gird'; did you mean grid"):
        tune.own_weights(config, {"gird": (1, 2)})
    with pytest.raises(UsageError, match="the lowest and the highest"):
        tune.own_weights(config, {"grid": (2, 1)})


def test_without_optuna_it_says_what_to_install(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "optuna":
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match="pip install optuna"):
        tune.tune(config, trials=1, steps=1)


def test_a_search_that_never_began_leaves_nothing(config: TrainConfig, tmp_path: Path) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for name in "abcdef":
        (photographs / f"{name}.jpg").write_bytes(b"no picture")
    bad = replace(config, photographs=photographs, folder=tmp_path / "run")
    for _ in range(2):
        with pytest.raises(TrainingError):
            tune.tune(bad, trials=2, steps=2)
        assert not bad.folder.exists()


def test_a_full_disk_is_told_in_a_line(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's error has no number, and comes through SQLAlchemy."""

    def full(**options: Any) -> NoReturn:
        (config.folder / "run" / "tune" / "study.sqlite3").write_bytes(b"half")
        try:
            raise sqlite3.OperationalError("database or disk is full")
        except sqlite3.OperationalError as error:
            raise RuntimeError("(sqlite3.OperationalError) database or disk is full\n[SQL: ...]") from error

    monkeypatch.setattr(optuna, "create_study", full)
    with pytest.raises(SinkError, match=r"study.sqlite3: the disk is full; free some space$"):
        tune.tune(replace(config, folder=config.folder / "run"), trials=1, steps=1)
    assert not (config.folder / "run").exists()


def test_the_command_prints_the_table_and_the_file(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {}

    def search(found: TrainConfig, **options: Any) -> tune.Tuned:
        asked.update(options, config=found)
        return tune.Tuned("| trial |\n", tmp_path / "best.toml")

    monkeypatch.setattr(tune, "tune", search)
    file = tmp_path / "run.toml"
    file.write_text(write_config(config) + "\n[tune]\ngrid = [1, 5]\n")
    assert main(["tune", str(file), "--trials", "3", "--steps", "2"]) == 0
    assert capsys.readouterr().out == f"| trial |\n{tmp_path / 'best.toml'}\n"
    assert (asked["config"], asked["trials"], asked["steps"], asked["within"]) == (config, 3, 2, 0.1)
    assert asked["ranges"] == {**tune.RANGES, "grid": (1.0, 5.0)}
