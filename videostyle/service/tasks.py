"""Work on clients' files, in processes other than the API's: media libraries meet damaged files there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from videostyle.errors import SinkError, UsageError, VideostyleError, too_little
from videostyle.files import is_disk_full
from videostyle.hosting.limits import check_upload
from videostyle.hosting.messages import without_folders
from videostyle.painter import Painter
from videostyle.plan import RenderPlan
from videostyle.service.camera import CameraPicture, paint_picture_of_camera
from videostyle.service.examine import Compare, FindMoments, compare, find_moments
from videostyle.service.stills import Still, still, write_thumbnail_of
from videostyle.text import sanitize_line
from videostyle.train.plan import LearnPlan
from videostyle.weights import gallery

NO_PICTURE = "this is a film or an animation; paint it with POST /v1/jobs"


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of a task, in a line without paths."""

    message: str
    is_clients: bool
    """True if another file or request would help, False if the service is at fault."""
    disk_full: bool = False


@dataclass(frozen=True, slots=True)
class Inspect:
    """Check an uploaded file against the limits, and the render's settings against the file."""

    path: str
    minutes: float
    pixels: int
    plan: RenderPlan | None = None


@dataclass(frozen=True, slots=True)
class Paint:
    """Check and paint a picture."""

    check: Inspect
    plan: RenderPlan


@dataclass(frozen=True, slots=True)
class Predict:
    """Write the style file that is predicted for a picture."""

    check: Inspect
    plan: LearnPlan


@dataclass(frozen=True, slots=True)
class Warm:
    """Load the libraries and the network, and compile it for the usual size, before somebody waits for that."""

    plan: RenderPlan


Task = Inspect | Paint | Predict | Still | Warm | CameraPicture | FindMoments | Compare


def carry_out(task: Task) -> dict[str, Any]:
    """Carry out a task, and return its result in plain values; raises VideostyleError, or anything else."""
    from videostyle.pipeline import render
    from videostyle.train.learn import learn

    if isinstance(task, Warm):
        return _warm(task)
    if isinstance(task, Still):
        return still(task)
    if isinstance(task, CameraPicture):
        return paint_picture_of_camera(task)
    if isinstance(task, FindMoments):
        return find_moments(task)
    if isinstance(task, Compare):
        return compare(task)
    if isinstance(task, Inspect):
        return inspect(task)
    found = inspect(task.check)
    if isinstance(task, Predict):
        learn(task.plan)
        write_thumbnail_of(Path(task.check.path), Path(task.plan.output).with_suffix(".jpg"))
        return found
    if found["frames"] not in (None, 1):
        raise UsageError(NO_PICTURE)
    report = render(task.plan)
    return {**found, "warnings": report.warnings, "seconds": report.seconds}


def _warm(task: Warm) -> dict[str, Any]:
    shipped = [one.name for one in gallery() if one.network == task.plan.style.network]
    if shipped:
        painter = Painter(shipped[0], engine=task.plan.engine, device=task.plan.device)
        painter(np.zeros((360, 640, 3), np.uint8))
    return {}


def inspect(task: Inspect) -> dict[str, Any]:
    """Return the size and length of an uploaded film or picture; raise UsageError where it is beyond the limits."""
    from videostyle.batch.tasks import is_joinable, open_output
    from videostyle.io import open_source
    from videostyle.pipeline import fit
    from videostyle.stylizers import check_style

    info = check_upload(Path(task.path), task.minutes, task.pixels)
    frames = info.frame_count
    if task.plan is not None:
        width, height = fit(task.plan.size, info.width, info.height)
        if width * height > task.pixels:
            size = f"{width}x{height} are {width * height / 1e6:.0f} million pixels"
            raise UsageError(f"size: {size}, {task.pixels / 1e6:g} are allowed")
        is_joinable(task.plan)
        if not Path(task.plan.output).exists():
            open_output(task.plan, info, None)
        check_style(task.plan.style)
        for mask in task.plan.style.mask_files:
            check_upload(Path(mask), task.minutes, task.pixels)
        for name in task.plan.style.names:
            if Path(name).is_file() and not name.endswith(".safetensors"):
                check_upload(Path(name), task.minutes, task.pixels)
        frames = open_source(task.path).info.frames_in(task.plan.span)
    duration = None if info.duration is None else float(info.duration)
    rate = None if info.average_rate is None else float(info.average_rate)
    return {"width": info.width, "height": info.height, "seconds": duration, "frames": frames, "fps": rate}


def failure(error: BaseException, folders: tuple[Path, ...] = ()) -> Failure:
    """Return an error as a line for a client, without the folders of this computer."""
    if isinstance(error, VideostyleError):
        line = str(error)
    else:
        line = too_little(error) or f"unexpected {type(error).__name__}; the service's log says more"
    is_clients = isinstance(error, VideostyleError) and not isinstance(error, SinkError)
    return Failure(sanitize_line(without_folders(line, folders)), is_clients, is_disk_full(error))
