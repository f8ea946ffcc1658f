"""Learning of one style: a style code for the installed network, on an ordinary computer, in minutes.

`train` learns the code, and leaves the network unchanged unless the plan says otherwise. This module prepares a work
folder with the style image, the pictures to learn on and an initial code, and afterwards writes the style file.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from videostyle import interrupt, weights
from videostyle.errors import TrainingError, UnknownNameError, UsageError, VideostyleError
from videostyle.files import check_output, fit_name, make_folder, sink_error
from videostyle.io import open_source
from videostyle.io.images import write_picture
from videostyle.io.style_image import read_on_white
from videostyle.nets.vgg import has_bf16
from videostyle.noise import initial_recurrent_input
from videostyle.partial_files import atomic_write, lock_folder, remove_stale
from videostyle.progress import OnProgress, Progress, ignore
from videostyle.stages import is_begun, recorded, run_stage
from videostyle.threads import silence_ffmpeg
from videostyle.train.contents import read_contents
from videostyle.train.data import Crops, list_photographs
from videostyle.train.loop import train
from videostyle.train.objective import Objective
from videostyle.train.plan import LearnPlan, TrainConfig

log = logging.getLogger(__name__)

_EXPORT = 1 / 3  # minutes reserved for the last validation and the files
_ENDLESS = 1_000_000


def learn(plan: LearnPlan, on_progress: OnProgress = ignore) -> Path:
    """Learn the style image of `plan` and return the style file.

    An interrupted run of the same plan is continued. Raises UsageError for a name or file that exists, SourceError for
    a style image or content that cannot be read, SinkError if nothing can be written, WeightsError.
    """
    began = time.monotonic()
    painting = check_plan(plan)
    work = work_folder(plan.output)
    if plan.predicted:
        return _predict(plan)
    with interrupt.deferring(), lock_folder(work, "another run of learn"):
        return _learn(plan, work, painting, began, on_progress)


def check_plan(plan: LearnPlan) -> Tensor:
    """Return the style image (1, 3, H, W) in 0..1; raise the errors that `learn` raises before it begins."""
    networks, _ = weights.read_manifest(weights.models_folder())
    if plan.network not in networks:
        raise UnknownNameError.among("network", plan.network, networks)
    check_style(plan.style.name, plan.output)
    _check_outputs(plan, work_folder(plan.output))
    if plan.content is not None and not plan.content.is_dir():
        open_source(str(plan.content))
    return read_on_white(plan.style.image)


def _predict(plan: LearnPlan) -> Path:
    """Write the code that is predicted for the style image."""
    network = weights.load_network(plan.network)
    code = weights.predict_code(plan.style.image, network, plan.style.size)
    shown = {name: getattr(plan.style, name) for name in ("name", "title", "painter", "year")}
    weights.save_style(
        plan.output, code, plan.network, network.sha256, {**shown, "predicted": True}, overwrite=plan.overwrite
    )
    return plan.output


def work_folder(output: Path) -> Path:
    """Return the folder in which a run keeps its state until the style file `output` is written."""
    return output.with_name(fit_name(f".{output.stem}", ".learning", output.parent))


def remove_work_folder(output: Path) -> None:
    """Remove the files that an ended or killed run for the style file `output` has left."""
    work = work_folder(output)
    if work.is_dir():
        remove_stale(work)
        if not work.exists() and not output.exists():
            samples_path(output).unlink(missing_ok=True)


def _learn(plan: LearnPlan, work: Path, painting: Tensor, began: float, on_progress: OnProgress) -> Path:
    """Learn `painting` in the folder `work`, continuing its state; `began` is the start time of `time.monotonic`."""
    try:
        config = _config(plan, work, painting)
        interrupt.check()
        size = f"{painting.shape[3]}x{painting.shape[2]}"
        log.info(f"style image: {plan.style.image}, {size} pixels, learned at {config.styles[0].size}")
        log.info(f"loss network: {config.loss_network}")
        # Its file is checked before the pictures are prepared, which takes a minute.
        weights.load_loss_network(config.loss_network, config.loss_network_weights)
        _prepare(plan, config, painting, began, on_progress)
        log.info(f"content: {config.data}")
        log.info(f"samples: {config.sheet}, updated while learning")
        if config.minutes is not None:
            spent = (time.monotonic() - began) / 60
            config = replace(config, minutes=max(config.minutes - spent, 1e-6))
        train(config, on_progress)
        return _finish(plan, work)
    except KeyboardInterrupt as error:
        if recorded(work).get("done"):
            error.add_note(f"the state so far is kept in {work}; the same command continues from it")
        else:
            _remove_begun(work)
        raise
    except Exception as error:
        if not (work / "checkpoint.pt").exists():
            _remove_begun(work)
        if isinstance(error, OSError) and not isinstance(error, VideostyleError):
            raise sink_error(error.filename or work, error) from error
        raise


def _remove_begun(work: Path) -> None:
    """Remove the work folder of a run that ended before there was anything to continue from."""
    if is_begun(work):
        shutil.rmtree(work, ignore_errors=True)


def check_style(name: str, output: Path) -> None:
    """Raise UsageError for a name that no style can have, or a file that is none; make the file's folder."""
    if not re.fullmatch(r"\w[\w-]*", name) or name == "none":
        raise UsageError(f"a style cannot be named {name!r}: use letters, digits, - and _, and not none")
    if name in {entry.name for entry in weights.gallery()}:
        raise UsageError(f"a style named {name!r} is in the gallery already; choose another name")
    if output.suffix != ".safetensors":
        raise UsageError(f"{output}: is not the name of a style file; it should end in .safetensors")
    make_folder(output.parent)


def _check_outputs(plan: LearnPlan, work: Path) -> None:
    # Files beside the output belong to an interrupted run if its work folder exists.
    begun = is_begun(work)
    sources = [plan.style.image, plan.content, plan.loss_network_weights]
    check_output(plan.output, overwrite=plan.overwrite, sources=sources)
    for beside in (weights.own_network(plan.output), samples_path(plan.output)):
        check_output(beside, overwrite=plan.overwrite or begun, sources=sources)


def _config(plan: LearnPlan, work: Path, painting: Tensor) -> TrainConfig:
    """Return the training configuration, found by experiment on other style images; see docs/guide/learn.md."""
    name = plan.loss_network or ("vgg19" if _has_vgg19() else "vgg19-small")
    # The style image is never enlarged: it has no strokes finer than its own pixels.
    size = min(plan.style.size, max(painting.shape[2:]))
    return TrainConfig(
        photographs=work / "content",
        styles=(replace(plan.style, image=work / "painting.png", size=size),),
        folder=work,
        network=plan.network,
        start=work / "start",
        train_network=plan.whole,
        loss_network=name,
        loss_network_weights=plan.loss_network_weights,
        steps=plan.steps or _ENDLESS,
        minutes=None if plan.steps else max(plan.minutes - _EXPORT, plan.minutes / 2),
        batch=2,
        crop=192,
        lr=4e-4,
        code_lr=3e-2,
        warmup=10,
        temporal=7.0,  # as in the gallery's last training
        temporal_ramp=30,
        bf16=_half(work),
        held_back=4,
        data=_content_name(plan),
        save_every=20,
        sheet_every=20,
        validate_every=100,
        sheet=samples_path(plan.output),
    )


def samples_path(output: Path) -> Path:
    """Return the path of the sheet of samples beside the style file."""
    return output.with_name(fit_name(output.stem, "-samples.jpg", output.parent))


def _half(work: Path) -> bool:
    """Return True to compute in bfloat16: as the run in `work` began, even if it is continued on another machine."""
    begun = recorded(work).get("settings", {})
    return bool(begun.get("half", has_bf16("cuda" if torch.cuda.is_available() else "cpu")))


def _has_vgg19() -> bool:
    from torchvision.models import VGG19_Weights

    silence_ffmpeg()
    file = Path(VGG19_Weights.IMAGENET1K_V1.url).name
    return (Path(torch.hub.get_dir()) / "checkpoints" / file).is_file()


def _content_name(plan: LearnPlan) -> str:
    if plan.content is None:
        return "made-up scenes"
    return f"photographs from {plan.content.name}" if plan.content.is_dir() else f"frames of {plan.content.name}"


def _prepare(plan: LearnPlan, config: TrainConfig, painting: Tensor, began: float, on_progress: OnProgress) -> None:
    """Fill the work folder with the inputs of `config`, unless an interrupted run of the same plan has done so."""
    work = config.folder
    sha256 = weights.read_manifest(weights.models_folder())[0][plan.network][1]
    same = {
        "painting": hashlib.sha256(painting.numpy().tobytes()).hexdigest(),
        "size": config.styles[0].size,
        "content": str(plan.content),
        "network": sha256,
        "whole": plan.whole,
        "loss_network": config.loss_network,
        "steps": plan.steps,
        "half": config.bf16,
    }
    before = recorded(work)
    if is_begun(work) and before.get("done", True) and before.get("settings") != same:
        log.warning(f"the state in {work} is of another style image or other settings: learning begins again")

    def fill(work: Path) -> None:
        (work / "content").mkdir()
        write_picture(work / "painting.png", painting[0])
        deadline = began + 6 * plan.minutes if plan.steps is None else float("inf")  # a tenth of the time
        count = 0
        for picture in read_contents(plan.content):
            interrupt.check()
            write_picture(work / "content" / f"{count:04d}.jpg", picture[0])
            count += 1
            on_progress(Progress("preparing the pictures", count, None, "pictures"))
            if count > 2 * config.held_back and time.monotonic() > deadline:
                break
        if count <= config.held_back:
            raise TrainingError(f"{plan.content}: {count} pictures can be read, {config.held_back + 1} are needed")
        _write_start(plan, config)

    run_stage(work, same, fill, resumable=False)


def _write_start(plan: LearnPlan, config: TrainConfig) -> None:
    """Write a models folder with the installed network and, under the name of the new style, the initial code."""
    assert config.start is not None
    networks, entries = weights.read_manifest(weights.models_folder())
    network = weights.read_network(plan.network, *networks[plan.network])
    known = [weights.read_style(entry.file)[0] for entry in entries if entry.network == plan.network]
    if weights.predictor_digest(plan.network) is not None:
        code = weights.predict_code(plan.style.image, network, plan.style.size)
    else:
        code = _nearest(config, network, known) if known else network.identity
    style = config.start / "style.safetensors"
    weights.save_style(style, code, plan.network, network.sha256, {"name": plan.style.name})
    atomic_write(config.start / "network.safetensors", networks[plan.network][0].read_bytes())
    weights.write_manifest(config.start)


@torch.no_grad()
def _nearest(config: TrainConfig, network: weights.Network, known: list[Tensor]) -> Tensor:
    """Return the code with the least loss: the mean of the known codes, one of them, or half of each."""
    kind = torch.bfloat16 if config.bf16 else torch.float32
    objective = Objective(
        config, weights.load_loss_network(config.loss_network, config.loss_network_weights).to(kind), "cpu"
    )
    crops, generator = Crops(list_photographs(config.photographs), config.crop), torch.Generator().manual_seed(0)
    content = torch.cat([crops(generator) for _ in range(2)])
    numbers = torch.zeros(len(content), dtype=torch.long)
    recurrent_input = initial_recurrent_input(content, np.random.default_rng(0))
    mean = torch.stack(known).mean(0)

    def distance(code: Tensor) -> float:
        interrupt.check()
        stylized = network.net(content, code.expand(len(content), -1), None, recurrent_input)
        terms = objective.style_and_content(stylized, content, numbers)
        return (terms["style"] + terms["content"]).mean().item()

    return min([mean, *known, *((mean + code) / 2 for code in known)], key=distance)


def _finish(plan: LearnPlan, work: Path) -> Path:
    """Write the output files, the network first, and remove the work folder."""
    made = work / "models" / plan.network
    code, card = weights.read_style(made / f"{plan.style.name}.safetensors")
    if plan.whole:
        atomic_write(weights.own_network(plan.output), (made / "network.safetensors").read_bytes())
    else:
        weights.own_network(plan.output).unlink(missing_ok=True)  # that of a style that is being replaced
    del card["licence"]  # of the shipped weights; the licence of this style is for its author to choose
    weights.save_style(plan.output, code, plan.network, card["network_sha256"], card, overwrite=plan.overwrite)
    shutil.rmtree(work)
    return plan.output
