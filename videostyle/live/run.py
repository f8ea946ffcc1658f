"""Live run: from a camera to a window, other programs and recordings, with keys and figures."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from statistics import median, quantiles
from typing import Any

from videostyle import interrupt
from videostyle.io.camera import CameraSource
from videostyle.io.ndi import NdiSource
from videostyle.io.virtualcam import VirtualCamera
from videostyle.io.window import Window
from videostyle.live.controls import KEYS, Controls
from videostyle.live.painter import LiveFrame, LivePainter
from videostyle.live.plan import LivePlan
from videostyle.live.recorder import Recorder
from videostyle.live.screen import caption, split
from videostyle.pipeline import fit
from videostyle.threads import cores
from videostyle.timeline import Span
from videostyle.types import Frame

log = logging.getLogger(__name__)

# Figures are computed over the last frames, at most this many.
HISTORY = 20_000
# Seconds over which the figures in the window are computed; for which a new style is named, and some keys at first.
RECENT, NAMED, HINTED = 2.0, 1.5, 6.0
HINT = "h: all keys, f: full screen, q: quit"


@dataclass(frozen=True, slots=True)
class LiveReport:
    """Counts, rates and latencies of a live run; `--report` writes `to_json`."""

    camera: str
    seconds: float
    """Seconds from the first stylized frame to the last."""
    fps: float
    """Stylized frames a second."""
    latency_ms: dict[str, float]
    """Milliseconds from a picture's arrival, before decoding, until it is shown stylized: median, 95 %, worst."""
    frames: dict[str, int]
    """Counts by kind: captured, dropped (overtaken by newer ones), painted."""
    size: tuple[int, int]
    """Width and height of the output."""
    sizes: dict[str, int]
    """Number of frames stylized at each size."""
    stages: dict[str, float]
    """Median milliseconds a frame by stage; the stages run in parallel."""
    engine: str
    device: str
    cores: int
    on_the_way: int
    """Frames that may be in flight between camera and output at once."""
    recordings: list[str]
    snapshots: list[str]
    warnings: list[str]
    interrupted: bool
    """True if ended by Ctrl-C; recordings are complete all the same."""

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return json.loads(json.dumps(asdict(self)))


class Figures:
    """Counts frames and measures their latency."""

    def __init__(self) -> None:
        self.painted = 0
        self.sizes: Counter[tuple[int, int]] = Counter()
        self.latencies: deque[float] = deque(maxlen=HISTORY)
        self.shown: deque[float] = deque(maxlen=HISTORY)
        self.stages: dict[str, deque[float]] = {}
        self.first = 0.0

    def add(self, live: LiveFrame, arrived: float, now: float) -> None:
        """Add a frame that `arrived` and is shown `now`, both in seconds of one clock."""
        if not self.painted:
            self.first = now
        self.painted += 1
        self.sizes[live.size] += 1
        self.latencies.append(now - arrived)
        self.shown.append(now)
        for stage, seconds in live.seconds.items():
            self.stages.setdefault(stage, deque(maxlen=HISTORY)).append(seconds)

    @property
    def seconds(self) -> float:
        """Seconds from the first frame to the last."""
        return self.shown[-1] - self.first if self.shown else 0.0

    @property
    def fps(self) -> float:
        """Frames a second, from the first to the last."""
        return (self.painted - 1) / self.seconds if self.seconds else 0.0

    def latency_ms(self) -> dict[str, float]:
        """Return the latency in milliseconds: median, 95th percentile, worst."""
        if not self.latencies:
            return {}
        late = list(self.latencies)
        most = quantiles(late, n=20, method="inclusive")[-1] if len(late) > 1 else late[0]
        return {"median": round(median(late) * 1e3, 1), "95%": round(most * 1e3, 1), "worst": round(max(late) * 1e3, 1)}

    def lines(self, size: tuple[int, int], dropped: int) -> list[str]:
        """Return lines about the last seconds, for the window."""
        recent = [at for at in self.shown if at > self.shown[-1] - RECENT] if self.shown else []
        gaps = [later - earlier for earlier, later in pairwise(recent)]
        late = median(list(self.latencies)[-len(recent) :]) if recent else 0.0
        return [
            f"{1 / (sum(gaps) / len(gaps)) if gaps else 0:.1f} fps at {size[0]}x{size[1]}",
            f"{late * 1e3:.0f} ms late, {dropped} dropped",
        ]


def run(
    plan: LivePlan,
    *,
    on_frame: Callable[[LiveFrame, Frame], None] | None = None,
    measured: bool = False,
) -> LiveReport:
    """Stylize the pictures of a camera until it ends, the user quits, or Ctrl-C, which is a way to quit.

    `on_frame` is called with each frame and the frame that is shown; events are logged. So is, unless the report is
    wanted (`measured`), that no frame is shown or kept.
    Raises SourceError, SinkError, UsageError, WeightsError, MissingDependencyError; recordings are complete then, too.
    """
    with interrupt.deferring(), ExitStack() as stack:
        wish = fit(plan.size, 1920, 1080)
        camera = stack.enter_context(CameraSource(plan.camera, wish=wish, rate=plan.fps, loop=plan.loop))
        own = (camera.info.width, camera.info.height)
        size = min(fit(plan.size, *own), own)
        camera.scale(*size)
        window = stack.enter_context(Window(f"videostyle: {plan.camera}")) if plan.window else None
        others: list[VirtualCamera | NdiSource] = []
        if plan.virtual_camera is not None:
            others.append(stack.enter_context(VirtualCamera(size, plan.fps, plan.virtual_camera)))
        if plan.ndi is not None:
            others.append(stack.enter_context(NdiSource(size, plan.fps, plan.ndi)))
        for one in others:
            log.info(f"sending to {one.device}")
        recorder = Recorder(plan.output, plan.camera, size, plan.fps, plan.encode)
        stack.callback(recorder.close)
        painter = LivePainter(plan, size)
        controls = painter.controls
        controls.set(record=plan.output is not None)
        figures = Figures()
        view = View(controls.now)
        if not (
            window or others or plan.output or on_frame or measured or {"r", "space"} & {key for _, key in plan.keys}
        ):
            log.warning("nothing is shown or kept; add -o FILE or --virtual-camera, or leave out --headless")

        def keys() -> None:
            for key in window.keys() if window is not None else ():
                controls.press(key)

        frames = camera.frames(Span(end=plan.seconds))
        stylized = stack.enter_context(closing(painter.painted(frames, stop=camera.stop, on_wait=keys)))
        interrupted = False
        try:
            for live in stylized:
                shown = split(live.film, live.stylized) if live.controls.split else live.stylized
                if window is not None:
                    lines = view.lines(live, figures, camera.dropped)
                    window.write(shown, partial(caption, lines=lines))
                    window.full_screen(live.controls.full_screen)
                for one in others:
                    one.write(shown)
                recorder(shown, live.controls.record)
                arrived = camera.started + float(live.film.pts * live.film.time_base)
                figures.add(live, arrived, time.monotonic())
                if view.wants_snapshot(live.controls):
                    recorder.snapshot(shown)
                if on_frame is not None:
                    on_frame(live, shown)
                keys()
        except KeyboardInterrupt:
            interrupted = True
            interrupt.acknowledge()
        recorder.close()
        return LiveReport(
            camera=plan.camera,
            seconds=round(figures.seconds, 3),
            fps=round(figures.fps, 2),
            latency_ms=figures.latency_ms(),
            frames={"captured": camera.captured, "dropped": camera.dropped, "painted": figures.painted},
            size=size,
            sizes={f"{width}x{height}": count for (width, height), count in figures.sizes.items()},
            stages={stage: round(median(taken) * 1e3, 1) for stage, taken in figures.stages.items()},
            engine=painter.engine,
            device=painter.device,
            cores=cores(),
            on_the_way=painter.room,
            recordings=recorder.files,
            snapshots=recorder.snapshots,
            warnings=[*camera.warnings, *recorder.warnings],
            interrupted=interrupted,
        )


class View:
    """Text shown in the window."""

    def __init__(self, controls: Controls) -> None:
        self._named = ""
        self._until = 0.0
        self._hinted: float | None = None
        self._snapshots = controls.snapshots

    def lines(self, live: LiveFrame, figures: Figures, dropped: int) -> list[str]:
        """Return what is to be written into the window over this frame."""
        controls = live.controls
        if self._hinted is None:
            self._hinted = live.film.time + HINTED
        name = f"{controls.name}, strength {controls.strength:.1f}"
        name += ", camera's colours" * controls.keep_colors + ", not stabilised" * (not controls.stabilize)
        if name != self._named:
            self._named, self._until = name, live.film.time + NAMED
        lines = help_lines(controls.styles) if controls.help else []
        if live.film.time < self._hinted and not controls.help:
            lines.append(HINT)
        if controls.figures or live.film.time < self._until:
            lines.append(name + ", recording" * controls.record)
        return lines + (figures.lines(live.size, dropped) if controls.figures else [])

    def wants_snapshot(self, controls: Controls) -> bool:
        before, self._snapshots = self._snapshots, controls.snapshots
        return controls.snapshots > before


def help_lines(styles: Sequence[str]) -> list[str]:
    """List the keys, those of the styles with their names, three in a line."""
    named = [f"{number} {name}" for number, name in enumerate(styles[:9], 1)]
    rows = ["   ".join(named[at : at + 3]) for at in range(0, len(named), 3)]
    return [*rows, *(f"{keys}: {what}" for keys, what in KEYS[1:])]
