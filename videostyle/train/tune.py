"""Which weights to train with: many short runs with different ones, by Optuna, with three aims at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videostyle.errors import DivergedError, MissingDependencyError, TrainingError, UnknownNameError, UsageError
from videostyle.partial_files import atomic_write, lock_folder
from videostyle.train.config import write_config
from videostyle.train.data import held_back, list_photographs
from videostyle.train.devices import devices
from videostyle.train.initial_weights import start
from videostyle.train.loop import train
from videostyle.train.objective import Objective
from videostyle.train.painter import Painter, untrained
from videostyle.train.plan import TrainConfig
from videostyle.train.validation import validate
from videostyle.weights import load_loss_network

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

Range = tuple[float, float]

RANGES: Mapping[str, Range] = {
    "content_weights": (0.03, 1.0),
    "temporal": (1.0, 32.0),
    "local": (0.0, 2.0),
    "total_variation": (0.005, 0.5),
    "grid": (0.5, 30.0),
}
"""What is searched, from and to; logarithmically, unless from 0. A range of a tuple holds for each of its values."""

AIMS = ("style", "content", "temporal")
"""What is to be small: distances to painting and photograph, and unsteadiness."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a search found."""

    table: str
    """The trials that no other beats in every aim, as Markdown; the chosen one is marked."""
    best: Path
    """A training file with the chosen weights."""


def tune(
    config: TrainConfig,
    *,
    trials: int,
    steps: int,
    ranges: Mapping[str, Range] = RANGES,
    within: float = 0.1,
    log: Callable[[str], None] = print,
) -> Tuned:
    """Train `trials` times for `steps` steps with other weights each time, and choose.

    The first trial has `config`'s own weights. The best is the steadiest of those whose style and content distances
    are at most `within` (a share) above that one's. `config.folder`/tune keeps the study, so the same call goes on
    where it was interrupted. Raises MissingDependencyError without Optuna, and UsageError for
    `ranges` of what cannot be searched.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingDependencyError("tuning needs optuna: pip install optuna") from error

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    own = own_weights(config, ranges)
    folder = config.folder / "tune"
    with lock_folder(folder, "another search"):
        return _tune(optuna, config, own, folder, trials, steps, ranges, within, log)


def _tune(
    optuna: Any,
    config: TrainConfig,
    own: dict[str, float],
    folder: Path,
    trials: int,
    steps: int,
    ranges: Mapping[str, Range],
    within: float,
    log: Callable[[str], None],
) -> Tuned:
    study = optuna.create_study(
        study_name="tune",
        storage=f"sqlite:///{folder / 'study.sqlite3'}",
        directions=["minimize"] * len(AIMS),
        sampler=optuna.samplers.TPESampler(seed=config.seed),
        load_if_exists=True,
    )
    if not study.trials:
        study.enqueue_trial(own)
    for interrupted in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
        study.tell(interrupted.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(interrupted.params or own)
    while (done := _finished(study)) < trials:
        trial = study.ask()
        weights = {name: _suggest(trial, name, value, ranges) for name, value in own.items()}
        run = shortened(with_weights(config, weights), folder / f"trial-{trial.number:04d}", steps)
        log(f"trial {done + 1}/{trials}: " + ", ".join(f"{name} {value:.3g}" for name, value in weights.items()))
        try:
            train(run, log)
        except DivergedError as error:
            log(str(error))
            trial.set_user_attr("diverged", True)
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        scores = measure(run)
        log("  ".join(f"{aim} {scores[aim]:.4f}" for aim in AIMS))
        study.tell(trial, [scores[aim] for aim in AIMS])
    best = choose(study, within)
    chosen = with_weights(config, best.params)
    atomic_write(folder / "best.toml", write_config(replace(chosen, folder=config.folder / "tuned")))
    table = _table(study, best, own)
    atomic_write(folder / "pareto.md", table)
    return Tuned(table, folder / "best.toml")


def own_weights(config: TrainConfig, ranges: Mapping[str, Range]) -> dict[str, float]:
    """`config`'s values of what is searched, a value of a tuple as `content_weights.0`; raises UsageError."""
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
    """`config` with other values, named as by `own_weights`."""
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
    """The validation of a finished run with every layer weighing the same, whatever it was trained with: so runs with
    different weights can be compared.
    """
    layers = len(config.style_weights), len(config.content_weights)
    plain = replace(
        config,
        style_weights=(1 / layers[0],) * layers[0],
        content_weights=(1 / layers[1],) * layers[1],
    )
    net, codes = untrained(config)
    start(replace(config, start=config.folder / "models"), net, codes)
    held = held_back(list_photographs(config.photographs), config.held_back)
    with devices(config.batch, config.accumulate) as here:
        judge = load_loss_network(config.loss_network, config.loss_network_weights).to(here.name)
        scores = validate(plain, Painter(net, codes).to(here.name), Objective(plain, judge, here.name), held)
    return {aim: scores[aim] for aim in AIMS}


def choose(study: Study, within: float) -> FrozenTrial:
    """The steadiest trial whose style and content are at most `within` above the first one's; raises TrainingError."""
    complete = [trial for trial in study.trials if trial.values is not None]
    if not complete:
        raise TrainingError("no trial came to its end; begin with a lower rate")
    bounds = [value * (1 + within) for value in complete[0].values[:2]]
    good = [trial for trial in complete if all(v <= bound for v, bound in zip(trial.values[:2], bounds, strict=True))]
    return min(good, key=lambda trial: trial.values[2])


def _finished(study: Study) -> int:
    return sum(trial.values is not None or "diverged" in trial.user_attrs for trial in study.trials)


def _suggest(trial: Trial, name: str, own: float, ranges: Mapping[str, Range]) -> float:
    low, high = ranges[name.partition(".")[0]]
    low, high = min(low, own), max(high, own)  # the file's own value is always a candidate
    try:
        return trial.suggest_float(name, low, high, log=low > 0)
    except ValueError as error:
        # Optuna cannot have one weight on a linear and on a logarithmic scale.
        raise UsageError(f"{name}: earlier trials searched it on another scale; choose another folder") from error


def shortened(config: TrainConfig, folder: Path, steps: int) -> TrainConfig:
    """The same run in miniature: warm-up and ramp take no larger share than they should."""
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
