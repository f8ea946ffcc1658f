"""What a process that runs for long keeps: its own memory, descriptors and threads, over many films and visitors.

    python benchmarks/endurance.py [--pictures 300] [--films 60] [--pages 100] [--cameras 50] [--json FILE]

Pictures are of 30 sizes, films of 8 frames; a visitor of the page has an excerpt painted in three versions, one of the
camera sends three pictures. Memory is what the process has to itself, in megabytes, with what the C library holds free
given back. Nothing grows where the last is no more than a twentieth above that after the first fifth.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

import videostyle
from videostyle import EncodeOptions, RenderPlan, Span, Style
from videostyle.progress import ignore

GROWTH = 1.05
STYLES = ["great-wave", "mosaic", "scream", "starry-night"]


def sizes() -> Iterator[tuple[int, int]]:
    """Thirty sizes, again and again."""
    while True:
        for number in range(30):
            yield 96 + 16 * (number % 6), 64 + 16 * (number // 6)


def own_memory() -> float:
    """Megabytes that the process shares with nobody and nothing on disk."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.split("RssAnon:")[1].split()[0]) / 1024


def state() -> dict[str, float]:
    """Memory, descriptors and threads."""
    return {
        "megabytes": round(own_memory(), 1),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
    }


def run(count: int, act: Callable[[int], object]) -> dict[str, Any]:
    """`act` so often; the state after the first fifth and at the end."""
    early: dict[str, float] = {}
    for number in range(count):
        act(number)
        if number + 1 == max(count // 5, 1):
            early = state()
    late = state()
    grown = late["megabytes"] > GROWTH * early["megabytes"] or late["descriptors"] > early["descriptors"]
    return {"times": count, "after the first fifth": early, "at the end": late, "grown": grown}


def noise(width: int, height: int) -> np.ndarray[Any, Any]:
    """A picture with something in it."""
    small = np.random.default_rng(width * height).integers(0, 255, (9, 16, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def pictures(folder: Path, engine: str) -> Callable[[int], object]:
    """Pictures of thirty sizes, each by a call of its own."""
    given = sizes()

    def act(number: int) -> None:
        source = str(folder / "picture.png")
        cv2.imwrite(source, noise(*next(given)))
        style = STYLES[number % len(STYLES)]
        videostyle.stylize(
            source, str(folder / "painted.png"), style, engine=engine, encode=EncodeOptions(overwrite=True)
        )

    return act


def film_of(folder: Path, width: int, height: int) -> str:
    """A film of eight frames that pan."""
    path = folder / f"{width}x{height}.mp4"
    wall = torch.from_numpy(noise(width + 16, height)).permute(2, 0, 1)
    frames = [
        videostyle.Frame(wall[..., 2 * i : 2 * i + width].contiguous(), i, Fraction(1, 24), index=i) for i in range(8)
    ]
    source = folder / f"{width}x{height}-%02d.png"
    for frame in frames:
        cv2.imwrite(str(source) % frame.index, frame.pixels.permute(1, 2, 0).numpy())
    videostyle.stylize(str(source), str(path), "none", encode=EncodeOptions(overwrite=True))
    return str(path)


def films(folder: Path, engine: str) -> Callable[[int], object]:
    """Short films of a few sizes."""
    made = [film_of(folder, 96 + 32 * i, 64 + 16 * i) for i in range(6)]

    def act(number: int) -> None:
        source, output = made[number % len(made)], str(folder / "painted.mp4")
        style = STYLES[number % len(STYLES)]
        videostyle.stylize(source, output, style, engine=engine, encode=EncodeOptions(overwrite=True))

    return act


def pages(folder: Path, engine: str) -> Callable[[int], object]:
    """Visitors of the page, each with a darkroom of their own."""
    from videostyle.web.preview import PreviewCache

    made = [film_of(folder, 128 + 32 * i, 96) for i in range(3)]

    def act(number: int) -> None:
        style = Style(((STYLES[number % len(STYLES)], 1.0),))
        plan = RenderPlan(made[number % len(made)], "", style=style, span=Span(), engine=engine)
        with tempfile.TemporaryDirectory(dir=folder) as own:
            PreviewCache(Path(own)).versions(plan, ignore)

    return act


def cameras(folder: Path, engine: str) -> Callable[[int], object]:
    """Visitors whose camera is painted."""
    from videostyle.service.camera import Camera

    def act(number: int) -> None:
        style = Style(((STYLES[number % len(STYLES)], 1.0),))
        camera = Camera(RenderPlan("", "", style=style, size="96", engine=engine))
        for _ in range(3):
            camera(noise(160 + 32 * (number % 5), 120))

    return act


KINDS = {"pictures": (300, pictures), "films": (60, films), "pages": (100, pages), "cameras": (50, cameras)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, (count, _) in KINDS.items():
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--engine", default="openvino", choices=["openvino", "torch"])
    parser.add_argument("--styles", nargs="+", help="default: %(default)s", default=STYLES)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    STYLES[:] = args.styles
    result: dict[str, Any] = {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "versions": {"torch": torch.__version__, "videostyle": videostyle.__version__},
        "engine": args.engine,
    }
    for name, (_, kind) in KINDS.items():
        if count := getattr(args, name):
            with tempfile.TemporaryDirectory() as folder:
                result[name] = run(count, kind(Path(folder), args.engine))
            print(name, result[name], file=sys.stderr, flush=True)
    print(json.dumps(result, indent=2))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
