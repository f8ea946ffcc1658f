"""Films larger than their paint: stabilized at full size, or at the size of the paint and enlarged last.

    python benchmarks/large_films.py CLIP... [--style great-wave] [--size 1280x720] [--frames 12] [--json FILE]

Each clip is painted three times: stabilized at full size; at the size of the paint with a flow searched at half of it;
and so with three quarters, as films are. Warping error (Lai et al. 2018, times 1000) and detail (Laplacian energy) are
those of the outputs at full size; processor seconds a frame are of this process, start-up included in each.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from datetime import date
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from precision import read
from torch import Tensor

import videostyle
from videostyle.flow import dis
from videostyle.io.memory import MemorySink, MemorySource
from videostyle.metrics.temporal import TemporalMetrics
from videostyle.ops.pixels import to_float
from videostyle.pipeline import render
from videostyle.plan import RenderPlan
from videostyle.style import Style
from videostyle.stylizers import load_stylizer
from videostyle.types import ALONE, Frame, Moment, Stylizer

WAYS = {
    "at full size": (True, dis.SHRINK_LARGE),
    "at the paint's size, flow at half": (False, float(dis.SHRINK)),
    "at the paint's size, flow at three quarters": (False, dis.SHRINK_LARGE),
}


class FullSize:
    """A stylizer whose layers are stabilized at full size."""

    def __init__(self, inner: Stylizer) -> None:
        self.inner = inner
        self.recurrent = inner.recurrent

    def __call__(self, content: Tensor, moment: Moment = ALONE) -> Tensor:
        return self.inner(content, moment)

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        return self.inner.working_size(height, width)


def measure(frames: list[Frame], style: Style) -> dict[str, dict[str, float]]:
    films: dict[str, list[Tensor]] = {}
    found: dict[str, dict[str, float]] = {}
    plan = RenderPlan("film", "film", style=style)
    for way, (full, shrink) in WAYS.items():
        stylizer = load_stylizer(style, "openvino", "cpu")
        sink, began = MemorySink(), time.process_time()
        with mock.patch.object(dis, "SHRINK_LARGE", shrink):
            render(plan, source=MemorySource(frames), sink=sink, stylizer=FullSize(stylizer) if full else stylizer)
        found[way] = {"processor seconds a frame": round((time.process_time() - began) / len(frames), 3)}
        films[way] = [to_float(frame) for frame in sink.frames]
    metrics = TemporalMetrics()
    for number, frame in enumerate(frames):
        metrics.add(number == 0, to_float(frame), {way: film[number] for way, film in films.items()})
    for way, scores in metrics.result().items():
        found[way] |= {
            "warping error": round(1000 * scores.warping_error, 4),
            "detail": round(scores.laplacian_energy, 5),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", metavar="CLIP", nargs="+", type=Path)
    parser.add_argument("--style", default="great-wave")
    parser.add_argument("--network", default=Style.network)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    style = Style(((args.style, 1.0),), network=args.network)
    result: dict[str, Any] = {
        "date": date.today().isoformat(),
        "machine": platform.machine(),
        "versions": {"torch": torch.__version__, "videostyle": videostyle.__version__},
        "size": args.size,
        "style": args.style,
        "clips": {},
    }
    for clip in args.clips:
        result["clips"][clip.stem] = measure(read(clip, (width, height), args.frames), style)
        print(clip.stem, json.dumps(result["clips"][clip.stem], indent=2), flush=True)
        if args.json:
            args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
