"""Warm-up of a segment: frames stylized before a point within a shot until its output is that of the whole shot.

    python benchmarks/warm.py CLIP... [--at 160] [--style great-wave] [--size 320x180] [--mode lookahead] [--json FILE]

Each clip is stylized from its beginning, and again from 0, 16, 32... frames before frame `--at`. The results are the
largest and the mean difference of that frame from the whole run's, in steps of 255.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Sequence
from datetime import date
from itertools import islice
from pathlib import Path

import torch

import videostyle
from videostyle.io import open_source
from videostyle.io.memory import MemorySink, MemorySource
from videostyle.pipeline import render
from videostyle.plan import RenderPlan, StabilizeOptions
from videostyle.stabilize import LATENCY, WINDOW
from videostyle.style import Style
from videostyle.timeline import Span
from videostyle.types import Frame

WARM = (0, 16, 32, 48, 64, 96, 128)


def painted(frames: Sequence[Frame], plan: RenderPlan, number: int) -> Frame:
    """One frame of what is painted of `frames`."""
    sink = MemorySink()
    render(plan, source=MemorySource(frames), sink=sink)
    return sink.frames[number]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", metavar="CLIP", nargs="+", type=Path)
    parser.add_argument("--at", type=int, default=160)
    parser.add_argument("--style", default="great-wave")
    parser.add_argument("--size", default="320x180")
    parser.add_argument("--mode", choices=["causal", "lookahead"], default="lookahead")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    style = Style(((args.style, 1.0),))
    plan = RenderPlan("clip", "clip", style=style, size=args.size, stabilize=StabilizeOptions(mode=args.mode))
    result: dict[str, dict[str, list[float]]] = {}
    for clip in args.clips:
        with open_source(str(clip)) as source:
            frames = list(islice(source.frames(Span()), args.at + WINDOW + LATENCY))
        whole = painted(frames, plan, args.at).pixels.int()
        result[clip.stem] = {}
        for warm in WARM:
            apart = (painted(frames[args.at - warm :], plan, warm).pixels.int() - whole).abs()
            result[clip.stem][str(warm)] = [int(apart.max()), round(apart.float().mean().item(), 5)]
            print(f"{clip.stem} {warm:4} largest {apart.max():4} mean {apart.float().mean():.5f}", flush=True)
    if args.json:
        about = {
            "date": date.today().isoformat(),
            "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
            "versions": {"torch": torch.__version__, "videostyle": videostyle.__version__},
        }
        about |= {"mode": args.mode, "style": args.style, "size": args.size, "at": args.at}
        args.json.write_text(json.dumps(about | {"largest and mean": result}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
