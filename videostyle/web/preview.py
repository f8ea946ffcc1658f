"""Preview of an excerpt in three versions, the film, stylized frame by frame, and stabilized, with measurements."""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from videostyle.errors import SourceError
from videostyle.io import open_source
from videostyle.io.images import is_picture, write_picture
from videostyle.metrics.side_by_side import side_by_side
from videostyle.ops.pixels import to_float
from videostyle.painter import StylizedFrames, still_plan
from videostyle.pipeline import render
from videostyle.plan import EncodeOptions, RenderPlan, StabilizeOptions
from videostyle.progress import OnProgress, Progress
from videostyle.stabilize import WINDOW
from videostyle.types import Frame

FILM, FRAME_BY_FRAME, STABILIZED = "film", "frame by frame", "stabilised"
"""The versions of a film, in the order they are shown."""
PHOTO, PAINTED = "photo", "painted"
"""The versions of a picture."""
# Least height of a slice in pixels, however few its frames.
_SLICE = 160


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an excerpt, in a file that browsers play."""

    path: Path
    frames: int
    seconds: float
    """Seconds to stylize one frame, without start-up as far as that is known."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimated cost of the whole film."""

    seconds: float
    bytes: int
    frames: int

    @property
    def time(self) -> str:
        """Time to render it, for people."""
        seconds = max(round(self.seconds), 1)
        minutes = round(seconds / 60)
        if seconds < 90:
            return f"{seconds} s"
        return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"

    @property
    def size(self) -> str:
        """Size of its file, for people."""
        return f"{self.bytes / 1e9:.1f} GB" if self.bytes >= 1e9 else f"{max(self.bytes / 1e6, 0.1):.1f} MB"


class PreviewCache:
    """Renders excerpts into a folder and keeps them: moving a slider back costs nothing.

    The owner of the folder removes old files; a version whose file is gone is rendered again.
    """

    def __init__(self, folder: Path, keep: int = 512) -> None:
        """Cache `keep` versions in `folder`."""
        self.folder = folder
        self._keep = keep
        self._versions: dict[str, Version] = {}
        self._lock = threading.Lock()

    def versions(self, plan: RenderPlan, on_progress: OnProgress) -> dict[str, Version]:
        """Render the excerpt `plan.span` in all versions, the film first; of a picture, the picture and the output.

        Each version is a stage for `on_progress`.
        """
        bare = RenderPlan(plan.source, "", span=plan.span, size=plan.size)
        alone = replace(plan, stabilize=StabilizeOptions(0))
        film = {FILM: bare, FRAME_BY_FRAME: alone, STABILIZED: plan}
        plans = {PHOTO: bare, PAINTED: plan} if is_picture(plan.source) else film
        done = {}
        for name, one in plans.items():
            stage = "reading the film" if name == FILM else f"painting, {name}"
            done[name] = self._render(one, partial(_as_stage, on_progress, stage))
        return done

    def still(self, plan: RenderPlan) -> dict[str, Version]:
        """Stylize the first frame of `plan.span` by itself; return the frame and the output, as pictures."""
        plan = still_plan(plan)
        with open_source(plan.source) as film:
            frame = next(iter(film.frames(plan.span)), None)
        if frame is None:
            raise SourceError(f"{Path(plan.source).name} has no frame at {format_time(float(plan.span.start or 0))}")
        done = {}
        for name, one in {FILM: RenderPlan(plan.source, "", size=plan.size), PAINTED: plan}.items():
            key = f"still-{self._key(replace(one, span=plan.span))}"
            done[name] = self._keep_version(key, partial(self._render_still, frame, one, self.folder / f"{key}.png"))
        return done

    def _render_still(self, frame: Frame, plan: RenderPlan, path: Path) -> Version:
        began = time.perf_counter()
        (stylized,) = StylizedFrames([frame], plan)
        write_picture(path, to_float(stylized)[0, :3])
        return Version(path, 1, time.perf_counter() - began)

    def _render(self, plan: RenderPlan, on_progress: OnProgress) -> Version:
        picture = is_picture(plan.source)
        # Every browser plays H.264; the codec chosen on the page is for the whole film.
        encode = EncodeOptions() if picture else EncodeOptions(codec="h264", pix_fmt="yuv420p")
        plan = replace(plan, output="", encode=encode)
        key = self._key(plan)

        def make() -> Version:
            path = self.folder / f"{key}{'.png' if picture else '.mp4'}"
            try:
                return _render_timed(replace(plan, output=str(path)), on_progress)
            finally:
                # The beginning of a stopped excerpt is of no use.
                for unfinished in self.folder.glob(f"{key}.unfinished*"):
                    unfinished.unlink()

        return self._keep_version(key, make)

    @staticmethod
    def _key(plan: RenderPlan) -> str:
        stamp = Path(plan.source).stat().st_mtime_ns if Path(plan.source).exists() else 0
        return hashlib.sha256(f"{plan} {stamp}".encode()).hexdigest()[:24]

    def _keep_version(self, key: str, make: Callable[[], Version]) -> Version:
        """Return the version of a key, made if it is not cached or its file is gone."""
        with self._lock:
            done = self._versions.pop(key, None)
        if done is None or not done.path.exists():
            done = make()
        with self._lock:
            self._versions[key] = done
            while len(self._versions) > self._keep:
                del self._versions[next(iter(self._versions))]
        return done


def _as_stage(on_progress: OnProgress, stage: str, progress: Progress) -> None:
    on_progress(replace(progress, stage=stage))


def _render_timed(plan: RenderPlan, on_progress: OnProgress) -> Version:
    times: list[float] = []
    """Times at which the render began, and at which each frame came out."""

    def watch(progress: Progress) -> None:
        times.append(time.perf_counter())
        on_progress(progress)

    with open_source(plan.source) as film:
        size = _even(plan, film.info.width, film.info.height)
    report = render(replace(plan, size=size), on_progress=watch)
    started, *shown = times
    # When the first frame comes out, this many are stylized, and the network is compiled for this size.
    ahead = WINDOW if report.stabilizer == "lookahead" else 1
    if len(shown) >= 2 * ahead and len(shown) > 1:
        each = (shown[-1] - shown[0]) / (len(shown) - ahead)
    else:
        each = (shown[-1] - started) / len(shown)
    return Version(Path(plan.output), report.frames, each)


def _even(plan: RenderPlan, width: int, height: int) -> str | None:
    """Return the plan's size; a film with an odd side gets one a pixel smaller, because browsers play no other."""
    if plan.size is None and not is_picture(plan.source) and (width % 2 or height % 2):
        return str(min(width, height) // 2 * 2)
    return plan.size


def estimate(version: Version, plan: RenderPlan) -> Estimate:
    """Estimate time and size of the whole film from an excerpt of it, rendered with the same settings."""
    with open_source(plan.source) as film:
        info = film.info
    rate = info.average_rate or 24
    frames = info.frame_count or (round(info.duration * rate) if info.duration else version.frames)
    return Estimate(version.seconds * frames, round(version.path.stat().st_size * frames / version.frames), frames)


def files(versions: dict[str, Version]) -> dict[str, Path]:
    """Return the file of each version."""
    return {name: one.path for name, one in versions.items()}


def slices(versions: dict[str, Version], row: float, folder: Path) -> dict[str, Path]:
    """Write one row of pixels of each version over time, running downwards; `row` is 0 for the top to 1.

    Things that stand still draw upright lines, moving ones slanted lines, and flicker frays the lines.
    """
    rows: dict[str, list[np.ndarray]] = {name: [] for name in versions}
    for frames in side_by_side(files(versions)):
        for name, frame in frames.items():
            at = min(int(row * frame.pixels.shape[1]), frame.pixels.shape[1] - 1)
            rows[name].append(frame.pixels[:3, at].T.numpy())
    paths = {}
    for name, line in rows.items():
        picture = np.stack(line)
        times = math.ceil(_SLICE / len(picture))
        paths[name] = folder / f"{versions[name].path.stem}-{round(1000 * row)}.png"
        cv2.imwrite(str(paths[name]), cv2.cvtColor(np.repeat(picture, times, 0), cv2.COLOR_RGB2BGR))
    return paths


def format_time(seconds: float) -> str:
    """Format a time as `--start` takes it: 0:07.5, 1:02:03."""
    whole, tenths = divmod(round(10 * seconds), 10)
    hours, minutes = divmod(whole // 60, 60)
    text = f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
    return f"{text}.{tenths}" if tenths else text
