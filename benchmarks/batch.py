"""Cost of splitting a film into segments, and of distributing them to workers.

    python benchmarks/batch.py FILM [--times 4] [--style great-wave] [--size 640x360] [--workers 1] [--segment 240]
                               [--json FILE]

The film, so many times over, is painted by `videostyle stylize` and by `videostyle batch`, from the start of their
processes to the end.
Seconds of processor time are reported beside elapsed seconds, since the latter include other work on the machine. The
target is that workers with enough idle cores spend less than a tenth of their time on anything but segments.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import videostyle
from videostyle.batch.plan import BatchPlan
from videostyle.io import open_sink, open_source, probe
from videostyle.threads import cores


def seconds_of(*argv: str) -> dict[str, float]:
    """That a videostyle command takes, its own processes included."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", "videostyle", *argv, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    after, clock = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - started
    return {"clock": clock, "processor": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def repeated(film: Path, times: int, folder: Path) -> Path:
    """The pictures of a film, several times over."""
    path = folder / "film.mp4"
    info = probe(str(film))
    with open_sink(str(path), info) as sink:
        after = 0
        for _ in range(times):
            with open_source(str(film)) as source:
                frames = list(source.frames())
            for frame in frames:
                sink.write(replace(frame, pts=frame.pts + after))
            after += frames[-1].pts - frames[0].pts + (frames[-1].duration or frames[1].pts - frames[0].pts)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("film", type=Path)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--style", default="great-wave")
    parser.add_argument("--size")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--segment", type=int, default=BatchPlan.segment)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        film = repeated(args.film, args.times, Path(name))
        look = [str(film), "--style", args.style, *(["--size", args.size] if args.size else [])]
        single = seconds_of("stylize", *look, "-o", str(Path(name) / "single.mp4"))
        work = ["--workers", str(args.workers), "--segment", str(args.segment)]
        batch = seconds_of("batch", *look, *work, "-o", str(Path(name) / "out"))
        (journal,) = Path(name).rglob("journal.jsonl")
        lines: list[dict[str, Any]] = [json.loads(line) for line in journal.read_text().splitlines()]
        output = next((Path(name) / "out").glob("*-*"))
        info = probe(str(output))
    segments = [line for line in lines if "segment" in line]
    busy = sum(line["seconds"] for line in segments)
    result = {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {cores()} threads",
        "versions": {"torch": version("torch"), "videostyle": videostyle.__version__},
        "film": args.film.name,
        "times": args.times,
        "size": f"{info.width}x{info.height}",
        "frames": sum(line["frames"] for line in segments),
        "segments": len(segments),
        "workers": args.workers,
        "single run, seconds": {key: round(value, 1) for key, value in single.items()},
        "batch, seconds": {key: round(value, 1) for key, value in batch.items()},
        "sum of segments, seconds on the clock": round(busy, 1),
        "workers x clock / sum of segments": round(args.workers * batch["clock"] / busy, 3),
        "processor time, batch / single run": round(batch["processor"] / single["processor"], 3),
    }
    print(json.dumps(result, indent=2))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
