"""Flicker before and after stabilising, beside the film's own, and the detail that is kept.

    python benchmarks/flicker.py clips/swan clips/dog.mp4 --styles great-wave starry-night --json flicker.json

A clip is a film or a folder of pictures. The flow that judges (DIS medium at full size, or RAFT with --raft) is not
the flow that blends. Warping errors are printed times 1000.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import cv2
import torch

from videostyle.cuts import mark_cuts
from videostyle.flow import choose_flow, load_flow
from videostyle.io import open_source
from videostyle.metrics.temporal import Judge, Steadiness
from videostyle.ops.filters import shrink
from videostyle.ops.pixels import to_float
from videostyle.plan import FlowOptions, Span, StabilizeOptions, Style
from videostyle.stabilize import Stabilizer
from videostyle.stylizers import load_stylizer


def measure(
    path: Path, style: Style, *, frames: int, width: int, amount: float, engine: str, flow: FlowOptions, judge: Judge
) -> tuple[dict[str, Steadiness], float]:
    """The scores of one clip in one style, and what stabilising cost in milliseconds a frame (median)."""
    stylizer = load_stylizer(style, engine, "cpu")
    stabilizer = Stabilizer(load_flow(flow, "cpu"), StabilizeOptions(amount))
    spent = []
    with open_source(str(path)) as source:
        for frame in islice(mark_cuts(source.frames(Span())), frames):
            content = to_float(frame)
            height = round(content.shape[2] * width / content.shape[3] / 8) * 8
            content = shrink(content, (height, width)) if content.shape[3] > width else content
            painted = stylizer(content, frame.pts * frame.time_base, frame.is_cut)
            start = time.perf_counter()
            steady = stabilizer(frame.is_cut, content, painted)
            spent.append(1000 * (time.perf_counter() - start))
            judge.add(frame.is_cut, content, {"film": content, "per frame": painted, "stabilised": steady})
    return judge.result(), sorted(spent)[len(spent) // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--styles", nargs="+", default=["great-wave"])
    parser.add_argument("--network", default=Style.network)
    parser.add_argument("--frames", type=int, default=24, help="of each clip (default: %(default)s)")
    parser.add_argument("--width", type=int, default=640, help="wider clips are scaled down (default: %(default)s)")
    parser.add_argument("--amount", type=float, default=StabilizeOptions.amount)
    parser.add_argument("--statistics", choices=["frame", "shot"], default=Style.statistics)
    parser.add_argument("--engine", default="torch")
    parser.add_argument("--flow", default="auto", help="the flow that blends")
    parser.add_argument("--raft", type=Path, metavar="WEIGHTS", help="judge with RAFT-small")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()

    flow = FlowOptions(args.flow)
    raft = load_flow(FlowOptions("raft", args.raft, longest_side=args.width), "cpu") if args.raft else None
    print(f"{'clip':<20} {'style':<16} {'film':>7} {'per frame':>10} {'stabilised':>11}   kept  detail     ms")
    rows = []
    for path in args.clips:
        for style in args.styles:
            scores, cost = measure(
                path,
                Style(((style, 1.0),), network=args.network, statistics=args.statistics),
                frames=args.frames,
                width=args.width,
                amount=args.amount,
                engine=args.engine,
                flow=flow,
                judge=Judge(raft),
            )
            film, plain, steady = (scores[name] for name in ("film", "per frame", "stabilised"))
            error = steady.warping_error / plain.warping_error if plain.warping_error else math.nan
            detail = steady.laplacian_energy / plain.laplacian_energy if plain.laplacian_energy else math.nan
            print(
                f"{path.stem:<20} {style:<16} {1000 * film.warping_error:7.3f} {1000 * plain.warping_error:10.3f} "
                f"{1000 * steady.warping_error:11.3f} {error:6.0%} {detail:7.0%} {cost:6.1f}",
                flush=True,
            )
            rows.append(
                {
                    "clip": path.stem,
                    "style": style,
                    "scores": {name: asdict(score) for name, score in scores.items()},
                    "error_kept": error,
                    "detail_kept": detail,
                    "stabilise_ms": cost,
                }
            )
    if args.json:
        about = {
            "machine": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "opencv": cv2.__version__,
            "date": time.strftime("%Y-%m-%d"),
            "network": args.network,
            "frames": args.frames,
            "width": args.width,
            "amount": args.amount,
            "statistics": args.statistics,
            "blending_flow": choose_flow(flow, "cpu"),
            "judging_flow": "raft" if args.raft else "dis, medium, full size",
        }
        args.json.write_text(json.dumps({"about": about, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
