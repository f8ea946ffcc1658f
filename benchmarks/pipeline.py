"""Where the time of the default command goes, part by part and thread by thread, at several sizes of film.

    python benchmarks/pipeline.py FILM [--sizes 640x360 1280x720] [--frames 48] [--json FILE] [--table FILE]

For each size the film is painted three times in a row, by the same loop:

- One stage after the other, without threads of ours: milliseconds a frame of each part, by the clock and of processor
  time (codecs and the network compute in threads of their own, whose time counts for the part that waits for them).
- As in use: frames a second, start-up left out, and for each thread how much of the time it computed, waited for a
  core, or waited for the other stages (Linux tells).
- As in use on one core, where there are several: the ratio of the two rates says how the loop scales.

"Share of the slowest stage" is the rate in use over the rate that the slowest stage has alone; "share of the cores" is
that over the rate at which the processor time of all stages would fill the cores. A stage whose own threads fill the
cores leaves none for the others, so where it does, only the second can come near 1. The most memory is that of a
process of its own. Timings of a machine with other work are good for ratios within one run only.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import torch
from speed import peak_memory, prepare

import videostyle
from videostyle import pipeline, step
from videostyle.plan import EncodeOptions, RenderPlan, StabilizeOptions
from videostyle.report import StageTimer
from videostyle.stabilize import WINDOW
from videostyle.style import Style
from videostyle.threads import cores

T = TypeVar("T")

PARTS = {
    "convert from YUV": ["io.colors.ToTensor.__call__"],
    "find cuts": ["cuts.small_bgr", "cuts._cuts"],
    "convert to floats": ["ops.pixels.to_float"],
    "resize": ["ops.pixels.resize"],
    "search flow": ["flow.dis.DIS._search"],
    "check flow": ["ops.warp.checked_flow", "confidence.motion_confidence"],
    "noise": ["noise.Particles.__call__"],
    "recurrent input": ["stylizers.feedforward.FeedForward._recurrent_input"],
    "network": ["stylizers.feedforward.FeedForward._run_network"],
    "warp and blend": ["stabilize.blend_previous"],
    "restore detail": ["stabilize.restore_detail", "stabilize.detail_energy", "stabilize.compensated_energy"],
    "convert to integers": ["ops.pixels.to_pixels"],
    "convert to YUV": ["io.colors.FromTensor.__call__"],
}
"""Functions that are timed within the stages."""
BLEND = ("check flow", "flow: rest", "search flow", "warp and blend", "restore detail", "stabilize: rest")
"""Parts that make the film steady: at most a third of what painting takes."""


class Tracer:
    """A stage timer that counts each part without the parts called within it, by the clock and in processor time."""

    def __init__(self) -> None:
        self.parts: dict[str, list[float]] = {}
        self.seconds: dict[str, float] = {}
        self.by_stage: dict[str, list[float]] = {}
        self._stack: list[list[float]] = []
        self._stages: list[str] = []

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        self._stack.append([0.0, 0.0])
        began = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            taken = time.perf_counter() - began[0], time.process_time() - began[1]
            within = self._stack.pop()
            own = taken[0] - within[0], taken[1] - within[1]
            for found, key in ((self.parts, name), (self.by_stage, self._stages[-1] if self._stages else "start")):
                counted = found.setdefault(key, [0.0, 0.0])
                counted[0] += own[0]
                counted[1] += own[1]
            if self._stack:
                self._stack[-1][0] += taken[0]
                self._stack[-1][1] += taken[1]

    @contextmanager
    def __call__(self, stage: str, sign: int = 1) -> Iterator[None]:
        """Count a stage, whose rest is what none of its parts takes; with a `sign` of -1, the wait for another."""
        self._stages.append(stage if sign > 0 else "cuts")
        with self.part(f"{self._stages[-1]}: rest"):
            yield
        self._stages.pop()

    def around(self, stage: str, items: Iterable[T], sign: int = 1) -> Iterator[T]:
        iterator = iter(items)
        while True:
            with self(stage, sign):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item


class Inline:
    """What `prefetch` and `background` return, without a thread."""

    def __init__(self, inner: Any, _: int) -> None:
        self.inner = inner

    def __enter__(self) -> Self:
        if hasattr(self.inner, "write"):
            self.inner.__enter__()
        return self

    def __exit__(self, *why: Any) -> None:
        if hasattr(self.inner, "write"):
            self.inner.__exit__(*why)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.inner)

    def write(self, frame: videostyle.Frame) -> None:
        self.inner.write(frame)


@contextmanager
def replaced(changes: list[tuple[Any, str, Any]]) -> Iterator[None]:
    """Set attributes of modules and classes for a while."""
    before = [(home, name, getattr(home, name)) for home, name, _ in changes]
    for home, name, value in changes:
        setattr(home, name, value)
    try:
        yield
    finally:
        for home, name, value in before:
            setattr(home, name, value)


def traced(tracer: Tracer) -> list[tuple[Any, str, Any]]:
    """Return what to set so that every part is timed, wherever it was imported to."""

    def timed(function: Callable[..., Any], part: str) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            with tracer.part(part):
                return function(*args, **options)

        return call

    changes: list[tuple[Any, str, Any]] = []
    for part, places in PARTS.items():
        for place in places:
            words = place.split(".")
            classes = [word for word in words[:-1] if word[:1].isupper()]
            home: Any = import_module(".".join(["videostyle", *words[: len(words) - 1 - len(classes)]]))
            for word in classes:
                home = getattr(home, word)
            function = getattr(home, words[-1])
            wrapped = timed(function, part)
            homes = [home]
            if not classes:
                modules = [module for name, module in sys.modules.items() if name.startswith("videostyle")]
                homes = [module for module in modules if getattr(module, words[-1], None) is function]
            changes += [(one, words[-1], wrapped) for one in homes]
    return changes


def in_turn(plan: RenderPlan) -> tuple[Tracer, int]:
    """Paint the film by one thread, stage after stage; return the times of its parts, and the number of frames."""
    tracer = Tracer()
    changes = [(step, "prefetch", Inline), (pipeline, "prefetch", Inline), (pipeline, "background", Inline)]
    with replaced([*changes, (pipeline, "StageTimer", lambda: tracer), *traced(tracer)]):
        frames = videostyle.render(plan).frames
    return tracer, frames


class Threads:
    """The processor time of this process's threads, and how long each waited for a core."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.last: dict[int, tuple[float, float]] = {}
        """The figures of each thread when it was last there."""

    def timer(self) -> Any:
        """Return a stage timer that notes which thread runs which stage."""
        names = self.names

        class Named(StageTimer):
            @contextmanager
            def __call__(self, stage: str, sign: int = 1) -> Iterator[None]:
                names.setdefault(threading.get_native_id(), stage)
                with super().__call__(stage, sign):
                    yield

        return Named()

    def read(self) -> dict[int, tuple[float, float]]:
        found = {}
        for task in Path("/proc/self/task").iterdir():
            try:
                computed, waited, _ = (task / "schedstat").read_text().split()
            except (OSError, ValueError):
                continue
            found[int(task.name)] = int(computed) / 1e9, int(waited) / 1e9
        self.last |= found
        return found

    def shares(self, before: dict[int, tuple[float, float]], seconds: float) -> dict[str, dict[str, float]]:
        """Return what the threads did since `before`, `seconds` ago, as shares of the time."""
        told: dict[str, list[float]] = {}
        self.read()
        for thread, (computed, waited) in self.last.items():
            then = before.get(thread, (0.0, 0.0))
            entry = told.setdefault(self.names.get(thread, "codecs' and network's threads"), [0.0, 0.0, 0.0])
            entry[0] += (computed - then[0]) / seconds
            entry[1] += (waited - then[1]) / seconds
            entry[2] += 1
        return {
            name: {
                "computes": round(computed, 3),
                "waits for a core": round(waited, 3),
                "waits for others": round(max(count - computed - waited, 0), 3),
                "threads": count,
            }
            for name, (computed, waited, count) in sorted(told.items())
        }


def in_use(plan: RenderPlan) -> tuple[float, dict[str, dict[str, float]]]:
    """Paint the film as the command does; return frames a second after start-up, and what the threads did."""
    threads = Threads()
    stamps: list[float] = []
    first: list[dict[int, tuple[float, float]]] = []
    last: list[dict[str, dict[str, float]]] = []

    def watch(now: videostyle.Progress) -> None:
        if now.done:
            stamps.append(time.perf_counter())
            now_read = threads.read()
            if not first:
                first.append(now_read)
            if now.total is None or now.done == now.total:
                last[:] = [threads.shares(first[0], max(stamps[-1] - stamps[0], 1e-9))]

    with replaced([(pipeline, "StageTimer", threads.timer)]):
        report = videostyle.render(plan, on_progress=watch)
    # The first frame leaves the stabilizer when so many are painted.
    before = min(WINDOW, len(stamps) - 1) if report.stabilizer == "lookahead" else 1
    return (len(stamps) - before) / max(stamps[-1] - stamps[0], 1e-9), last[0] if last else {}


@contextmanager
def one_core() -> Iterator[None]:
    """Run this process's threads, and those that they start, on one of its cores."""
    before = os.sched_getaffinity(0)
    for task in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(task), {max(before)})
    try:
        yield
    finally:
        for task in os.listdir("/proc/self/task"):
            os.sched_setaffinity(int(task), before)


def rate_on_one_core(plan: RenderPlan) -> float:
    from videostyle.engines import openvino

    # Compiled anew: how many threads a network has is settled when it is compiled.
    with one_core(), replaced([(openvino, "_pool", openvino._Pool())]):
        return in_use(plan)[0]


def measure(clip: Path, style: Style, mode: Literal["lookahead", "causal"], scaling: bool) -> dict[str, Any]:
    output = clip.with_name("painted.mp4")
    plan = RenderPlan(
        source=str(clip),
        output=str(output),
        style=style,
        stabilize=StabilizeOptions(mode=mode),
        encode=EncodeOptions(overwrite=True),
    )
    rate, threads = in_use(plan)
    tracer, frames = in_turn(plan)
    rates = [rate, in_use(plan)[0]]
    # A film no longer than the stabilizer's window leaves it at its end only.
    rate = max(rates) if frames > WINDOW + 4 or mode == "causal" else math.nan
    parts = {name: [1000 * value / frames for value in both] for name, both in tracer.parts.items()}
    stages = {name: 1000 * both[0] / frames for name, both in tracer.by_stage.items()}
    network = sum(parts[name][1] for name in ("network",) if name in parts)
    blend = sum(both[1] for name, both in parts.items() if name in BLEND)
    slowest = max(stages, key=lambda name: stages[name])
    computed = sum(both[1] for both in parts.values())
    found: dict[str, Any] = {
        "frames": frames,
        "milliseconds a frame by part, clock and processor": {
            name: [round(value, 2) for value in both]
            for name, both in sorted(parts.items(), key=lambda one: -one[1][1])
        },
        "milliseconds a frame by stage": {name: round(value, 1) for name, value in stages.items()},
        "flow and blend over the network, processor": round(blend / network, 2) if network else None,
        "frames a second in use": None if math.isnan(rate) else [round(one, 2) for one in rates],
        "share of the slowest stage": None if math.isnan(rate) else round(rate * stages[slowest] / 1000, 2),
        "slowest stage": slowest,
        "share of the cores": None if math.isnan(rate) else round(rate * computed / 1000 / cores(), 2),
        "threads": threads,
        "megabytes": peak_memory(clip, output, style.network, style.names[0]),
    }
    if scaling and cores() > 1:
        found["frames a second on one core"] = round(rate_on_one_core(plan), 2)
    return found


START = {
    "Python": "pass",
    "NumPy": "import numpy",
    "OpenCV": "import cv2",
    "PyAV": "import av",
    "torch": "import torch",
    "torchvision": "import torchvision",
    "OpenVINO": "import openvino",
    "ONNX Runtime": "import onnxruntime",
    "SciPy": "import scipy",
    "videostyle, its command line": "import videostyle.cli",
    "videostyle, all that a film needs": "import videostyle.pipeline, videostyle.engines.openvino, "
    "videostyle.stylizers.feedforward, videostyle.flow.dis, videostyle.io.writer",
}
"""What is imported, each in a process of its own."""
_PROCESS = (
    "import re, sys, time\n"
    "wall, began = time.perf_counter(), time.process_time()\n"
    "exec(sys.argv[1])\n"
    "print(time.perf_counter() - wall, time.process_time() - began,"
    " int(re.search('VmHWM: *(.*) kB', open('/proc/self/status').read())[1]) / 1024)"
)


def imports(rounds: int) -> dict[str, dict[str, float]]:
    """Measure processor milliseconds and megabytes of imports: the least of several runs, each a new process."""
    found: dict[str, dict[str, float]] = {}
    for name, code in START.items():
        told = [
            subprocess.run([sys.executable, "-c", _PROCESS, code], capture_output=True, text=True)
            for _ in range(rounds)
        ]
        runs = [[float(word) for word in one.stdout.split()] for one in told if one.returncode == 0]
        if runs:  # not everybody has every package
            wall, computed, megabytes = (min(values) for values in zip(*runs, strict=True))
            found[name] = {
                "milliseconds": round(1000 * wall),
                "processor": round(1000 * computed),
                "megabytes": round(megabytes),
            }
    return found


_STARTED = """
import sys, time
began, stamps = (time.perf_counter(), time.process_time()), []
def stamp(name):
    stamps.append((name, time.perf_counter() - began[0], time.process_time() - began[1]))
from videostyle import pipeline, step, engines
from videostyle.plan import EncodeOptions, RenderPlan
import videostyle.engines.openvino, videostyle.stylizers.feedforward, videostyle.flow.dis
stamp("imports")
from videostyle.engines import openvino
from videostyle import weights
from videostyle.stylizers import feedforward
from videostyle.style import Style
def timed(home, name, told):
    inner = getattr(home, name)
    def call(*args, **options):
        at = time.perf_counter(), time.process_time()
        result = inner(*args, **options)
        took[told] = took.get(told, 0) + time.process_time() - at[1]
        walls[told] = walls.get(told, 0) + time.perf_counter() - at[0]
        return result
    setattr(home, name, call)
took, walls = {}, {}
timed(feedforward, "load_codes", "read the network and the code")
timed(feedforward, "load_engine", "convert")
timed(openvino._Compiled, "_request", "compile")
plan = RenderPlan(sys.argv[1], sys.argv[2], style=Style(((sys.argv[3], 1.0),), network=sys.argv[4]),
                  encode=EncodeOptions(overwrite=True))
first = []
pipeline.render(plan, on_progress=lambda now: first.append(1) if now.done else None)
import json
print(json.dumps({"imports": stamps[0][1:], **{name: [walls[name], took[name]] for name in took}}))
"""


def start_up(clip: Path, style: Style, rounds: int) -> dict[str, Any]:
    """Measure start-up by step, in new processes: with an empty cache, and with what the run before left there."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for run in ["first run", *["later run"] * rounds]:
            output = str(Path(folder) / "painted.mp4")
            command = [sys.executable, "-c", _STARTED, str(clip), output, style.names[0], style.network]
            environment = {**os.environ, "VIDEOSTYLE_CACHE": str(Path(folder) / "cache")}
            told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
            steps = json.loads(told.stdout)
            before = found.get(run)
            now = {name: [round(1000 * value) for value in both] for name, both in steps.items()}
            if before is None or sum(both[1] for both in now.values()) < sum(both[1] for both in before.values()):
                found[run] = now
    return found


def table(measured: dict[str, Any]) -> str:
    """Return the sizes as a Markdown table."""
    head = [
        "film",
        "processor time a frame",
        "of it network",
        "flow and blend over the network",
        "share of the slowest stage",
        "share of the cores",
        "memory",
    ]
    rows = [head, ["---"] * len(head)]
    for size, one in measured.items():
        parts = one["milliseconds a frame by part, clock and processor"]
        computed = sum(both[1] for both in parts.values())
        network = parts.get("network", [0, 0])[1]
        shares = one["share of the slowest stage"], one["share of the cores"]
        rows.append(
            [
                size,
                f"{computed:.0f} ms",
                f"{network / computed:.0%}",
                f"{one['flow and blend over the network, processor']:.2f}",
                "" if shares[0] is None else f"{shares[0]:.0%} ({one['slowest stage']})",
                "" if shares[1] is None else f"{shares[1]:.0%}",
                f"{one['megabytes']} MB",
            ]
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film", type=Path)
    parser.add_argument("--sizes", nargs="*", default=["640x360", "1280x720", "1920x1080", "3840x2160"])
    parser.add_argument("--frames", type=int, default=48, help="at the smallest size; at least 30 at the others")
    parser.add_argument("--style", default="great-wave")
    parser.add_argument("--network", default=Style.network)
    parser.add_argument("--mode", choices=["lookahead", "causal"], default="lookahead")
    parser.add_argument("--start-up", type=int, default=2, metavar="RUNS", help="of start-up; 0 to leave it out")
    parser.add_argument("--no-scaling", action="store_true", help="not on one core as well")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    style = Style(((args.style, 1.0),), network=args.network)
    result: dict[str, Any] = {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {cores()} cores, load {os.getloadavg()[0]:.1f} before",
        "versions": {"torch": torch.__version__, "videostyle": videostyle.__version__},
        "network": args.network,
        "mode": args.mode,
        "sizes": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        for number, size in enumerate(args.sizes):
            frames = args.frames if number == 0 else min(args.frames, 30)
            clip = prepare(args.film, Path(folder) / f"clip{number}.mp4", size, frames)
            result["sizes"][size] = measure(clip, style, args.mode, not args.no_scaling and number == 0)
            print(size, json.dumps(result["sizes"][size], indent=2), flush=True)
        if args.start_up:
            clip = prepare(args.film, Path(folder) / "short.mp4", args.sizes[0], 2)
            result["start-up by step, milliseconds by the clock and of processor time"] = start_up(
                clip, style, args.start_up
            )
            result["imports"] = imports(args.start_up)
    print(json.dumps(result, indent=2))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if args.table:
        args.table.write_text(table(result["sizes"]), encoding="utf-8")


if __name__ == "__main__":
    main()
