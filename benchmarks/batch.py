"""What splitting a film into segments costs, and what handing them out costs.

    python benchmarks/batch.py FILM [--style great-wave] [--size 640x360] [--workers 1] [--segment 240] [--json FILE]

Two runs: the film in one go, as `videostyle stylize` paints it, and as a batch, starting its workers included.
Seconds of processor time are told beside seconds on the clock, for other work on the machine is in the latter. The aim
is that workers with as many idle cores as they ask for spend less than a tenth of their time on anything but segments.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import videostyle
from videostyle.batch.schedule import run
from videostyle.plan import BatchPlan, RenderPlan, Style


def seconds() -> float:
    """Of processor time, of this process and of those that have ended."""
    mine, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return mine.ru_utime + mine.ru_stime + children.ru_utime + children.ru_stime


def journal(folder: Path) -> list[dict[str, Any]]:
    (path,) = folder.rglob("journal.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("film", type=Path)
    parser.add_argument("--style", default="great-wave")
    parser.add_argument("--size")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--segment", type=int, default=BatchPlan.segment)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        style = Style(((args.style, 1.0),))
        plan = RenderPlan(str(args.film), str(folder / "single.mp4"), style, size=args.size)
        videostyle.render(replace(plan, output=str(folder / "warm.mp4"), span=videostyle.Span(end=1)))
        before, started = seconds(), time.perf_counter()
        report = videostyle.render(plan)
        single = {"clock": time.perf_counter() - started, "processor": seconds() - before}
        out = folder / "out"
        plan = replace(plan, output=str(out / "batch.mp4"))
        before, started = seconds(), time.perf_counter()
        (result,) = run(BatchPlan((plan,), out, workers=args.workers, segment=args.segment))
        batch = {"clock": time.perf_counter() - started, "processor": seconds() - before}
        lines = journal(out)
    segments = [line for line in lines if "segment" in line]
    busy = sum(line["seconds"] for line in segments)
    told = {
        "film": args.film.name,
        "size": "x".join(map(str, report.size)),
        "frames": report.frames,
        "segments": len(segments),
        "workers": args.workers,
        "single run, seconds": {key: round(value, 1) for key, value in single.items()},
        "batch, seconds": {key: round(value, 1) for key, value in batch.items()},
        "sum of segments, seconds on the clock": round(busy, 1),
        "workers x clock / sum of segments": round(args.workers * batch["clock"] / busy, 3),
        "processor time, batch / single run": round(batch["processor"] / single["processor"], 3),
        "frames painted / frames": round(result.painted / result.frames, 3),
    }
    print(json.dumps(told, indent=2))
    if args.json:
        args.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
