"""Search for the weights of the loss terms: many short runs by Optuna, with three objectives at once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videostyle.errors import (
    DivergedError,
    MissingDependencyError,
    SinkError,
    TrainingError,
    UnknownNameError,
    UsageError,
    VideostyleError,
    too_little,
)
from videostyle.partial_files import atomic_write, lock_folder
from videostyle.progress import OnProgress, Progress, ignore
from videostyle.train.config import write_config
from videostyle.train.data import held_back, list_photographs
from videostyle.train.devices import devices
from videostyle.train.initial_weights import load_initial_weights
from videostyle.train.loop import train
from videostyle.train.model import StyleModel, untrained
from videostyle.train.objective import Objective
from videostyle.train.plan import TrainConfig
from videostyle.train.validation import validate
from videostyle.weights import load_loss_network

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

log = logging.getLogger(__name__)

_STUDY = "study.sqlite3"

Range = tuple[float, float]

RANGES: Mapping[str, Range] = {
    "content_weights": (0.03, 1.0),
    "temporal": (1.0, 32.0),
    "local": (0.0, 2.0),
    "total_variation": (0.005, 0.5),
    "grid": (0.5, 30.0),
}
"""Searched ranges by setting; logarithmic, unless from 0. The range of a tuple applies to each of its values."""

AIMS = ("style", "content", "temporal")
"""Minimised objectives: the distances to style image and photograph, and the temporal term."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """Result of a search."""

    table: str
    """Pareto-optimal trials as a Markdown table; the chosen one is marked."""
    best: Path
    """Training file with the chosen weights."""


def tune(
    config: TrainConfig,
    *,
    trials: int,
    steps: int,
    ranges: Mapping[str, Range] = RANGES,
    within: float = 0.1,
    on_progress: OnProgress = ignore,
) -> Tuned:
    """Train `trials` times for `steps` steps with different weights, and choose the best.

    The first trial has the weights of `config`. The best is the one with the least temporal term among those whose
    style and content distances are at most `within` (a share) above the first one's. `config.folder`/tune keeps the
    study, so the same call continues an interrupted search. Raises MissingDependencyError without Optuna, and
    UsageError for `ranges` of settings that cannot be searched.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingDependencyError("tuning needs optuna: pip install optuna") from error

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    own = own_weights(config, ranges)
    folder = config.folder / "tune"
    with lock_folder(folder, "another search"):
        study = None
        try:
            study = optuna.create_study(
                study_name="tune",
                storage=f"sqlite:///{folder / _STUDY}",
                directions=["minimize"] * len(AIMS),
                sampler=optuna.samplers.TPESampler(seed=config.seed),
                load_if_exists=True,
            )
            return _tune(optuna, study, config, own, folder, trials, steps, ranges, within, on_progress)
        except BaseException as error:
            if not any(folder.glob("trial-*")) and (study is None or not _finished(study)):  # nothing to continue from
                (folder / _STUDY).unlink(missing_ok=True)
            if isinstance(error, Exception) and not isinstance(error, VideostyleError) and (why := too_little(error)):
                raise SinkError(f"{folder / _STUDY}: {why}") from error
            raise


def _tune(
    optuna: Any,
    study: Study,
    config: TrainConfig,
    own: dict[str, float],
    folder: Path,
    trials: int,
    steps: int,
    ranges: Mapping[str, Range],
    within: float,
    on_progress: OnProgress,
) -> Tuned:
    if not study.trials:
        study.enqueue_trial(own)
    for interrupted in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
        study.tell(interrupted.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(interrupted.params or own)
    while (done := _finished(study)) < trials:
        trial = study.ask()
        weights = {name: _suggest(trial, name, value, ranges) for name, value in own.items()}
        run = shortened(with_weights(config, weights), folder / f"trial-{trial.number:04d}", steps)
        log.info(f"trial {done + 1}/{trials}: " + ", ".join(f"{name} {value:.3g}" for name, value in weights.items()))
        try:

            def training(progress: Progress, done: int = done) -> None:
                on_progress(replace(progress, stage="tuning", done=done + progress.share, total=trials, unit="trials"))

            train(run, training)
        except DivergedError as error:
            log.warning(str(error))
            trial.set_user_attr("diverged", True)
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        scores = measure(run)
        log.info("  ".join(f"{aim} {scores[aim]:.4f}" for aim in AIMS))
        study.tell(trial, [scores[aim] for aim in AIMS])
    best = choose(study, within)
    chosen = with_weights(config, best.params)
    atomic_write(folder / "best.toml", write_config(replace(chosen, folder=config.folder / "tuned")))
    table = _table(study, best, own)
    atomic_write(folder / "pareto.md", table)
    return Tuned(table, folder / "best.toml")


def own_weights(config: TrainConfig, ranges: Mapping[str, Range]) -> dict[str, float]:
    """Return the searched settings' values in `config`, those of a tuple as `content_weights.0`; raises UsageError."""
    kinds = {field.name: field.type for field in fields(config)}
    searchable = [name for name, kind in kinds.items() if kind in ("float", "tuple[float, ...]")]
    own: dict[str, float] = {}
    for name, (low, high) in ranges.items():
        if name not in searchable:
            raise UnknownNameError.among("weight to tune", name, searchable)
        if not 0 <= low < high:
            raise UsageError(f"{name} = [{low:g}, {high:g}]: give the lowest and the highest value, not below 0")
        value = getattr(config, name)
        own |= {f"{name}.{i}": v for i, v in enumerate(value)} if isinstance(value, tuple) else {name: value}
    return own


def with_weights(config: TrainConfig, weights: Mapping[str, float]) -> TrainConfig:
    """Return `config` with other values, named as by `own_weights`."""
    changes: dict[str, float | tuple[float, ...]] = {}
    for name, value in weights.items():
        field, _, number = name.partition(".")
        if number:
            values = list(changes.get(field, getattr(config, field)))
            values[int(number)] = value
            changes[field] = tuple(values)
        else:
            changes[field] = value
    return replace(config, **changes)  # type: ignore[arg-type]


def measure(config: TrainConfig) -> dict[str, float]:
    """Validate a finished run with equal weights of all layers, so that runs with different weights are comparable."""
    layers = len(config.style_weights), len(config.content_weights)
    plain = replace(
        config,
        style_weights=(1 / layers[0],) * layers[0],
        content_weights=(1 / layers[1],) * layers[1],
    )
    net, codes = untrained(config)
    load_initial_weights(replace(config, start=config.folder / "models"), net, codes)
    held = held_back(list_photographs(config.photographs), config.held_back)
    with devices(config.batch, config.accumulate) as here:
        loss_network = load_loss_network(config.loss_network, config.loss_network_weights).to(here.name)
        scores = validate(plain, StyleModel(net, codes).to(here.name), Objective(plain, loss_network, here.name), held)
    return {aim: scores[aim] for aim in AIMS}


def choose(study: Study, within: float) -> FrozenTrial:
    """Choose the trial with the least temporal term; its style and content are at most `within` above the first's.

    Raises TrainingError if no trial was completed.
    """
    complete = [trial for trial in study.trials if trial.values is not None]
    if not complete:
        raise TrainingError("no trial was completed; use a lower learning rate")
    bounds = [value * (1 + within) for value in complete[0].values[:2]]
    good = [trial for trial in complete if all(v <= bound for v, bound in zip(trial.values[:2], bounds, strict=True))]
    return min(good, key=lambda trial: trial.values[2])


def _finished(study: Study) -> int:
    return sum(trial.values is not None or "diverged" in trial.user_attrs for trial in study.trials)


def _suggest(trial: Trial, name: str, own: float, ranges: Mapping[str, Range]) -> float:
    low, high = ranges[name.partition(".")[0]]
    low, high = min(low, own), max(high, own)  # the value in the file is always a candidate
    try:
        return trial.suggest_float(name, low, high, log=low > 0)
    except ValueError as error:
        # Optuna does not allow one setting on a linear and on a logarithmic scale.
        raise UsageError(f"{name}: earlier trials searched it on another scale; choose another folder") from error


def shortened(config: TrainConfig, folder: Path, steps: int) -> TrainConfig:
    """Shorten a run; warm-up and ramp are limited to a tenth and a quarter of the steps."""
    return replace(
        config,
        folder=folder,
        steps=steps,
        minutes=None,
        warmup=min(config.warmup, steps // 10),
        temporal_ramp=min(config.temporal_ramp, steps // 4),
    )


def _table(study: Study, best: FrozenTrial, own: Mapping[str, float]) -> str:
    rows = [
        [
            f"**{trial.number}**" if trial.number == best.number else f"{trial.number}",
            *(f"{value:.4f}" for value in trial.values),
            *(f"{trial.params.get(name, value):.3g}" for name, value in own.items()),
        ]
        for trial in sorted(study.best_trials, key=lambda trial: trial.values)
    ]
    lines = [["trial", *AIMS, *own], ["---"] * (1 + len(AIMS) + len(own)), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
