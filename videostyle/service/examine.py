"""Looks at films for a page, in a process beside the painters': moments to try, and how much an excerpt flickers."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from videostyle.errors import UsageError
from videostyle.io import open_source
from videostyle.io.images import is_picture
from videostyle.metrics import excerpts
from videostyle.metrics.side_by_side import flicker
from videostyle.partial_files import atomic_write
from videostyle.pipeline import render
from videostyle.plan import RenderPlan

FRAME_BY_FRAME = "frame-by-frame.mp4"
"""Name of the excerpt that is painted frame by frame, in the folder of its job."""
FIGURES = "flicker.json"
"""Name of what was measured, in the folder of the job."""
LONGEST = 10.0
"""Seconds of the longest excerpt that is compared."""


@dataclass(frozen=True, slots=True)
class FindMoments:
    """Find the excerpts of a film in which stylization is most likely to fail."""

    path: str
    seconds: float
    """Length of an excerpt."""


@dataclass(frozen=True, slots=True)
class Compare:
    """Paint a job's excerpt frame by frame, too, and measure the flicker of the film and of both."""

    plan: RenderPlan
    """Plan of the job, whose output is there."""


def find_moments(task: FindMoments) -> dict[str, Any]:
    """Return up to four excerpts, each with its start and the reason for it; raises SourceError, UsageError."""
    if is_picture(task.path):
        raise UsageError("a picture has no moments to choose from")
    return {"moments": _moments(task.path, Path(task.path).stat().st_mtime_ns, task.seconds)}


@lru_cache(maxsize=64)
def _moments(path: str, changed: int, seconds: float) -> list[dict[str, Any]]:
    """Choose the excerpts of the file that was last `changed` at a time, once."""
    with open_source(path) as source:
        duration = source.info.duration
    frames = excerpts.measure_frames(path)
    return [asdict(one) for one in excerpts.choose(frames, seconds, float(duration) if duration else None)]


def compare(task: Compare) -> dict[str, Any]:
    """Return the warping error, times 1000, of each version from frame to frame, and its mean; null where unknown.

    The version that is painted frame by frame and the figures are written beside the output's folder. Raises
    SourceError, SinkError, UsageError.
    """
    plan = task.plan
    folder = Path(plan.output).parent.parent
    if not plan.stabilize.amount:
        raise UsageError("this excerpt was painted frame by frame; there is nothing to compare it with")
    alone = folder / FRAME_BY_FRAME
    if not alone.exists():
        render(replace(plan, output=str(alone), stabilize=replace(plan.stabilize, amount=0)))
    versions = {"film": Path(plan.source), "frame by frame": alone, "stabilized": Path(plan.output)}
    measured = flicker(versions, film_span=plan.span)
    found = {
        "times": measured.times,
        "errors": {name: [_known(value) for value in line] for name, line in measured.errors.items()},
        "means": {name: _known(value) for name, value in measured.means().items()},
    }
    atomic_write(folder / FIGURES, json.dumps(found).encode(), sync=False)
    return found


def _known(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
