"""Training loop, flat, in one place: learning rate, forward, loss, backward, step, log, checkpoint.

Under torchrun every process computes its share of each batch (DistributedDataParallel); a single process runs the same
loop.
"""

from __future__ import annotations

import copy
import io
import logging
import math
import time
import zipfile
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from videostyle import __version__, interrupt, weights
from videostyle.errors import DivergedError, TrainingError
from videostyle.files import read_regular_file
from videostyle.flow import load_flow
from videostyle.io.images import write_picture
from videostyle.nets.vgg import has_bf16
from videostyle.partial_files import lock_folder
from videostyle.plan import FlowOptions
from videostyle.progress import OnProgress, Progress, ignore
from videostyle.train.batch import GAPS, roll_out_length
from videostyle.train.checkpoint import save_state
from videostyle.train.curve import draw_losses
from videostyle.train.data import Crops, held_back, list_photographs
from videostyle.train.devices import Devices, devices
from videostyle.train.export import export_models
from videostyle.train.films import Films
from videostyle.train.initial_weights import load_initial_weights
from videostyle.train.journal import Journal
from videostyle.train.loader import Loader
from videostyle.train.model import StyleModel, untrained
from videostyle.train.objective import Objective, View
from videostyle.train.plan import TrainConfig
from videostyle.train.validation import card_losses, sheet, validate

log = logging.getLogger(__name__)

_LONGEST = 10**9  # limit of the number of steps in a checkpoint
_FAILURES = 3  # consecutive steps without a finite loss that are skipped
LOGGED_TERMS = ("loss", "style", "local", "content", "fidelity", "temporal")
"""Loss terms that the log shows."""


def train(config: TrainConfig, on_progress: OnProgress = ignore) -> Path:
    """Train the network and codes of `config`, resuming from the last checkpoint in its folder; returns that folder.

    Writes `checkpoint.pt`, `best.pt`, `log.jsonl`, `validation.jsonl`, `losses.png`, `sheet-*.png`, `tensorboard/` and,
    at the end, `models/`: the network and style files of the best checkpoint with their cards, ready to be used
    (VIDEOSTYLE_MODELS names such a folder). The losses are logged every 20 steps; `on_progress` is called at each step,
    under torchrun in the first process.
    Raises TrainingError for no or unreadable pictures, DivergedError if the loss is not finite, SinkError if another
    training runs in the folder.
    """
    photographs = list_photographs(config.photographs)
    if len(photographs) <= config.held_back:
        raise TrainingError(f"{config.photographs}: {len(photographs)} pictures, {config.held_back} to be held back")
    held = held_back(photographs, config.held_back)
    crops = Crops([path for path in photographs if path not in held], config.crop)
    with ExitStack() as stack:
        stack.enter_context(interrupt.deferring())
        here = stack.enter_context(devices(config.batch, config.accumulate))
        if here.first:
            stack.enter_context(lock_folder(config.folder, "another training", "train.lock"))
        films = None
        if config.films is not None:
            flow = load_flow(FlowOptions(config.film_flow, config.film_flow_weights), here.name)
            films = Films(config.films, config.crop, flow, GAPS)
        torch.manual_seed(config.seed)
        loss_network = weights.load_loss_network(config.loss_network, config.loss_network_weights)
        interrupt.check()
        # The loss network is converted once: autocast would convert frozen weights again at every step.
        bf16 = has_bf16(here.kind) if config.bf16 is None else config.bf16
        loss_network = loss_network.to(here.name, torch.bfloat16 if bf16 else torch.float32)
        objective = Objective(config, loss_network.to(memory_format=torch.channels_last), here.name)
        net, codes = untrained(config)
        if config.start is not None:
            load_initial_weights(config, net, codes)
        model = StyleModel(net, codes).to(here.name)
        if not config.train_network:
            net.requires_grad_(False)
            codes.identity.requires_grad_(False)
        learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
        # The two groups are the same whatever is learned: frozen parameters have no gradient and do not change.
        interrupt.check()
        optimizer = torch.optim.Adam([{"params": codes.parameters()}, {"params": net.parameters()}])
        interrupt.check()  # torch has imported its compiler for it
        # The weights after single steps are noisy, with many styles and few pictures a step especially; their running
        # mean is not (Polyak and Juditsky 1992).
        mean = copy.deepcopy(model)
        step, best, minutes, temporal_steps = _resume(config, model, mean, optimizer)
        several = DistributedDataParallel(model) if here.count > 1 else None
        journal = Journal(config.folder, step) if here.first else None
        if journal is not None:
            stack.callback(journal.close)
        load = stack.enter_context(Loader(config, crops, films))
        failed = 0

        began = time.monotonic() - 60 * minutes
        paced, since = time.monotonic(), step
        recent: list[dict[str, Any]] = []  # rows since the last line of the log
        line = ""
        done = share_done(config, step, minutes)
        while done < 1:
            temporal = done >= config.temporal_from
            if temporal and not temporal_steps:
                # The weights that read the previous output have had no gradient before. With Adam's state of a run of
                # single frames their second moments would be near zero, and their steps three times too long.
                optimizer.state.clear()
            temporal_steps = temporal_steps + 1 if temporal else 0
            share = schedule(config, step, done, temporal_steps)
            for group, lr in zip(optimizer.param_groups, (config.code_lr, config.lr), strict=True):
                group["lr"] = share * lr
            optimizer.zero_grad(set_to_none=True)
            ramp = min(1, temporal_steps / max(config.temporal_ramp, 1))
            lengths = partial(roll_out_length, config, temporal=temporal)
            view = choose_view(config, step)
            deep = 1.0 if view in ("shallow", "pixels") else 1 / (1 - config.shallow_share)
            parts = here.parts(config.batch, config.accumulate)
            sums: dict[str, Tensor] = {}
            for part in parts:
                batch = load(step, part, lengths).to(here.name)
                # Gradients are exchanged once a step, with the last part.
                with several.no_sync() if several and part is not parts[-1] else nullcontext():
                    with torch.autocast(here.kind, torch.bfloat16, enabled=bf16):
                        roll_out = (several or model)(batch)
                    loss, terms = objective(batch, roll_out, ramp, view, deep)
                    torch.autograd.backward(loss / len(parts))
                full = (batch.strength == 1).float()
                found = {"loss": loss / (len(parts) * here.count), "full": full.sum()}
                for name, value in (found | {name: (full * term).sum() for name, term in terms.items()}).items():
                    sums[name] = sums.get(name, 0) + value.detach()
            if done < config.gate_from:
                net.hold_gate()
            norm = torch.nn.utils.clip_grad_norm_(learned, config.clip)
            clock = norm.new_tensor((time.monotonic() - began) / 60 if here.first else 0)
            stops = norm.new_tensor(float(interrupt.stop_requested()))
            # One sum over all processes, so that all of them have the same values and take the same decisions.
            total, full_count, *means, minutes, stops = here.total(torch.stack([*sums.values(), clock, stops])).tolist()
            if stops:
                raise KeyboardInterrupt
            finite = math.isfinite(total + norm.item())
            failed = 0 if finite else failed + 1
            if failed > _FAILURES:
                raise DivergedError(
                    f"the loss is not finite at step {step}; the last good state is "
                    f"{config.folder / 'checkpoint.pt'}: lower the learning rate and start again"
                )
            if finite:  # a single batch that overflows, in a run of days, is skipped
                optimizer.step()
                decay = min(config.average, (step + 1) / (step + 10))
                with torch.no_grad():
                    torch._foreach_lerp_(list(mean.parameters()), list(model.parameters()), 1 - decay)

            row: dict[str, Any] = {"step": step, "loss": total, "lr": share * config.lr}
            for name, value in zip(terms, means, strict=True):
                row[name] = value / full_count if full_count else None
            step += 1
            done = share_done(config, step, minutes)
            if journal is None:
                continue
            journal.losses(row)
            recent.append(row)
            if step % 20 == 0:
                pace = (time.monotonic() - paced) / (step - since)
                paced, since = time.monotonic(), step
                left = min(
                    pace * (config.steps - step) / 60, math.inf if config.minutes is None else config.minutes - minutes
                )
                shown = "  ".join(f"{name} {_mean(recent, name):.4g}" for name in LOGGED_TERMS)
                recent.clear()
                of = f"/{config.steps}" if config.minutes is None else ""
                line = f"step {step}{of}  {shown}  {pace:.2f} s/step  {left:.1f} min left"
                log.info(line)
            on_progress(Progress("training", done, note=line, latest=row))
            if step % config.validate_every == 0 or done == 1:
                scores = validate(config, mean, objective, held)
                journal.validation(step, scores)
                shown = "  ".join(f"{name} {scores[name]:.4f}" for name in LOGGED_TERMS)
                log.info(f"validation  {shown}")
                if scores["loss"] < best:
                    best = scores["loss"]
                    save_state(config.folder / "best.pt", {"model": mean.state_dict(), "step": step})
            if step % config.save_every == 0 or done == 1:
                journal.flush()  # first, or entries of steps before the checkpoint could be lost
                state = {"model": model.state_dict(), "mean": mean.state_dict(), "optimizer": optimizer.state_dict()}
                save_state(
                    config.folder / "checkpoint.pt",
                    {
                        **state,
                        "step": step,
                        "best": best,
                        "minutes": minutes,
                        "temporal_steps": temporal_steps,
                        "videostyle": __version__,
                    },
                )
            if step % config.sheet_every == 0 or done == 1:
                picture = sheet(mean, held)
                write_picture(config.sheet or config.folder / f"sheet-{step:06d}.png", picture)
                journal.sheet(step, picture)
                journal.flush()
                draw_losses(config.folder / "log.jsonl", config.folder / "losses.png")
        if journal is not None:
            journal.flush()
            _export(config, model, objective, held, here)
            for kind, skipped in (("pictures", crops.unreadable), ("films", films.unreadable if films else set())):
                if skipped:
                    log.warning(
                        f"{len(skipped)} unreadable {kind} were skipped: {', '.join(sorted(map(str, skipped))[:3])}"
                    )
    return config.folder


def _mean(rows: list[dict[str, Any]], name: str) -> float:
    """Average a term over the steps that have it: some views lack it, and some batches have no full strength."""
    values = [row[name] for row in rows if row.get(name) is not None]
    return sum(values) / len(values) if values else math.nan


def share_done(config: TrainConfig, step: int, minutes: float) -> float:
    """Return the share of the run that is done, 0..1: by steps, or by time if that limit is reached sooner."""
    by_clock = minutes / config.minutes if config.minutes is not None else 0.0
    return min(max(step / config.steps, by_clock), 1.0)


def schedule(config: TrainConfig, step: int, done: float, temporal_steps: int) -> float:
    """Return the factor of the learning rates: linear warm-up, a plateau, then half a cosine down to a hundredth.

    There is a second warm-up when temporal training begins, with a new state of the optimizer, up to `temporal_lr`.
    """
    warm = min(step + 1, temporal_steps) if temporal_steps else step + 1
    rise = min(1.0, warm / max(config.warmup, 1))
    late = max(done - config.decay_from, 0) / max(1 - config.decay_from, 1e-9)
    fall = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(late, 1)))
    return rise * fall * (config.temporal_lr if temporal_steps else 1.0)


def choose_view(config: TrainConfig, step: int) -> View:
    """Draw the view of this step, which layers and size the loss network uses."""
    generator = torch.Generator().manual_seed((config.seed + 3) * 1_000_003 + step)
    number = torch.rand((), generator=generator).item()
    if torch.rand((), generator=generator).item() < config.pixel_share:
        return "pixels"
    if number < config.shallow_share:
        return "shallow"
    return "halved" if number < config.shallow_share + config.halved_share else "whole"


def _resume(
    config: TrainConfig, model: StyleModel, mean: StyleModel, optimizer: torch.optim.Optimizer
) -> tuple[int, float, float, int]:
    """Load the checkpoint, if any: step, best validation loss, minutes, steps since temporal training began."""
    path = config.folder / "checkpoint.pt"
    if not path.exists():
        return 0, math.inf, 0.0, 0
    saved = _load(path, "cpu")
    try:
        model.load_state_dict(saved["model"])
        mean.load_state_dict(saved["mean"])
        # The moments of the gradients come from the checkpoint, the hyperparameters from this configuration.
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": saved["optimizer"]["state"], "param_groups": groups})
        for parameter, moments in optimizer.state.items():
            if any(value.dim() and value.shape != parameter.shape for value in moments.values()):
                raise ValueError("the state of the optimizer does not have the shape of the weights")
        step, best, minutes, temporal_steps = saved["step"], saved["best"], saved["minutes"], saved["temporal_steps"]
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        if saved.get("videostyle") != __version__:
            writer = f"videostyle {saved['videostyle']}" if saved.get("videostyle") else "an earlier videostyle"
            raise TrainingError(f"{path}: written by {writer}; go on with that, or choose another folder") from error
        raise TrainingError(f"{path}: made with another network or number of styles; choose another folder") from error
    log.info(f"continuing from step {step}")
    return step, best, minutes, temporal_steps


def _load(path: Path, device: str) -> dict[str, Any]:
    """Read a file that `save_state` wrote; raises TrainingError if it is damaged."""
    try:
        data = io.BytesIO(read_regular_file(path))
        with zipfile.ZipFile(data) as parts:  # torch does not verify the checksums
            whole = parts.testzip() is None
        data.seek(0)
        saved: dict[str, Any] = torch.load(data, map_location=device, weights_only=True)
        whole = (
            whole and bool(saved["model"]) and _is_finite([saved.get(key) for key in ("model", "mean", "optimizer")])
        )
        best, minutes = float(saved.get("best", 0)), float(saved.get("minutes", 0))
        counts = saved["step"], saved.get("temporal_steps", 0)
        whole = whole and all(type(count) is int and 0 <= count <= _LONGEST for count in counts)
        whole = whole and not math.isnan(best) and 0 <= minutes < math.inf
    except Exception as error:  # torch.load raises whatever the unpickler met
        raise TrainingError(f"{path}: damaged ({type(error).__name__}); remove it to begin again") from error
    if not whole:
        raise TrainingError(f"{path}: damaged (some of its numbers are not valid); remove it to begin again")
    return saved


def _is_finite(value: Any) -> bool:
    """Return True if all numbers of all tensors in a nested value are finite."""
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(torch.isfinite(value).all())
    if isinstance(value, dict):
        value = list(value.values())
    return all(map(_is_finite, value)) if isinstance(value, list | tuple) else True


def _export(config: TrainConfig, model: StyleModel, objective: Objective, held: list[Path], here: Devices) -> None:
    """Export the best checkpoint as models."""
    saved = _load(config.folder / "best.pt", here.name)
    model.load_state_dict(saved["model"])
    numbers = torch.arange(len(config.styles), device=here.name)
    scores = [card_losses(model, objective, number, held) for number in numbers.tolist()]
    with torch.no_grad():
        codes = model.codes(numbers, torch.ones(len(numbers), device=here.name))
        identity = model.codes(numbers[:1], torch.zeros(1, device=here.name))
    export_models(config, model.net, identity, list(codes[:, None]), scores, saved["step"])
