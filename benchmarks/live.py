"""How fast and how late live painting is, with a film as camera; and what the noise gate does for a still room.

    python benchmarks/live.py FILM [--seconds 20] [--size 640x360] [--style great-wave] [--json FILE]

The film is played at its own speed, stylized and stabilized, without a window; once at the full
size, and once with the size adapting. Latency is the time from a frame's due time, before it is decoded, to its output.
Processor time is that of the whole process between the first output and the last.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from dataclasses import replace
from datetime import date
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

import torch

import videostyle
from videostyle.io.camera import TICK
from videostyle.live.painter import LivePainter
from videostyle.live.plan import LivePlan
from videostyle.live.run import run
from videostyle.ops.pixels import to_pixels
from videostyle.threads import cores
from videostyle.timeline import Span
from videostyle.types import Frame


def live(plan: LivePlan) -> dict[str, Any]:
    """The report of one run, with the processor time of a frame."""
    stamps: list[float] = []
    report = run(plan, on_frame=lambda painted, shown: stamps.append(time.process_time()))
    used = (stamps[-1] - stamps[0]) / (len(stamps) - 1) if len(stamps) > 1 else 0.0
    told = report.to_json()
    kept = ("seconds", "fps", "latency_ms", "frames", "sizes", "stages", "on_the_way", "engine", "device")
    return {**{key: told[key] for key in kept}, "processor_ms_a_frame": round(used * 1000, 1)}


def still_room(film: str, plan: LivePlan, deviation: float, frames: int = 72) -> dict[str, float]:
    """Mean change of the painting from frame to frame, in steps of 255, of a still with noise of `deviation` steps."""
    with videostyle.open_source(film) as source:
        picture = next(iter(source.frames(Span()))).pixels.float() / 255
    generator = torch.Generator().manual_seed(0)
    noise = [deviation / 255 * torch.randn(picture.shape, generator=generator) for _ in range(frames)]
    room = [Frame(to_pixels(picture + one), n * 3750, TICK, None, n) for n, one in enumerate(noise)]
    size = (picture.shape[2], picture.shape[1])

    def flicker(**settings: Any) -> float:
        painter = LivePainter(replace(plan, adapt=False, **settings), size)
        # The gate and the stabiliser have settled after a second.
        pictures = [one.stylized.pixels.float() for one in painter.painted(room)][24:]
        return round(mean(float((a - b).abs().mean()) for a, b in pairwise(pictures)), 3)

    return {
        "the room itself": round(mean(float((a.pixels.float() - b.pixels).abs().mean()) for a, b in pairwise(room)), 3),
        "neither": flicker(gate=False, stabilize=0.0),
        "gate": flicker(gate=True, stabilize=0.0),
        "stabiliser": flicker(gate=False),
        "both": flicker(gate=True),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("film")
    parser.add_argument("--seconds", type=Fraction, default=Fraction(20))
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--style", default="great-wave")
    parser.add_argument("--network", default=LivePlan.network)
    parser.add_argument("--noise", type=float, default=3.0, help="deviation of the still room's, in steps of 255")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    plan = LivePlan(
        camera=args.film,
        network=args.network,
        styles=(args.style,),
        window=False,
        loop=True,
        size=args.size,
        seconds=args.seconds,
    )
    busy = os.getloadavg()[0]
    result = {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {cores()} cores of {os.cpu_count()}",
        "load before": round(busy, 1),
        "versions": {"torch": torch.__version__, "videostyle": videostyle.__version__},
        "size": args.size,
        "network": args.network,
        "full size": live(replace(plan, adapt=False)),
        "adaptive": live(plan),
        "flicker of a still noisy room": still_room(args.film, plan, args.noise),
    }
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))
    print(f"\n{'':12}{'fps':>7}{'latency':>9}{'95 %':>7}{'dropped':>9}  sizes")
    for name in ("full size", "adaptive"):
        one = result[name]
        late = one["latency_ms"]
        print(
            f"{name:12}{one['fps']:7.1f}{late['median']:9.0f}{late['95%']:7.0f}"
            f"{one['frames']['dropped'] / one['frames']['captured']:9.1%}  {one['sizes']}"
        )


if __name__ == "__main__":
    main()
