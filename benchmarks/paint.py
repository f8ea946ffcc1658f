"""Painting stills by optimisation: against a straightforward loop, and the loss over the steps.

    python benchmarks/paint.py PHOTO:PAINTING [PHOTO:PAINTING ...] --size 768 --json benchmarks/results/paint.json

Two comparisons in one run, on the same backbone and objective, with the same threads:

- at equal steps and size, the time of ours against that of the loop everybody writes: torch's L-BFGS, one closure that
  runs the network, Gram matrices by `bmm`, `backward()`;
- to the same loss: `videostyle paint` with its default steps, from coarse to fine, and then the plain loop at full size
  until it has the same objective (or --most steps, which counts as at least that).

--curves draws the objective over the work done, for L-BFGS and Adam, with and without coarse scales.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from videostyle import weights
from videostyle.io.images import read_picture
from videostyle.nets.vgg import Perceptual, half_is_faster
from videostyle.offline.stills import Gatys
from videostyle.ops.pixels import resize, to_float
from videostyle.plan import GatysOptions, Original
from videostyle.threads import cores


def plain_loop(
    judge: Perceptual, content: Tensor, style: Tensor, options: GatysOptions, start: Tensor
) -> Iterator[tuple[float, float]]:
    """Seconds since the start and the objective, after each step of the loop everybody writes."""
    style_layers, content_layers = dict(options.style_layers), dict(options.content_layers)

    def gram(features: Tensor) -> Tensor:
        flat = features.flatten(2)
        return torch.bmm(flat, flat.transpose(1, 2)) / flat.shape[2]

    began = time.perf_counter()
    with torch.no_grad():
        grams = {name: gram(found).float() for name, found in judge(style, tuple(style_layers)).items()}
        wanted = {name: found.float() for name, found in judge(content, tuple(content_layers)).items()}
    pixels = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([pixels], max_iter=1, history_size=100, tolerance_grad=0, tolerance_change=0)
    losses: list[float] = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        picture = pixels.clamp(0, 1)
        features = judge(picture, (*style_layers, *content_layers))
        loss = options.total_variation * (
            (picture[..., 1:] - picture[..., :-1]).abs().mean()
            + (picture[..., 1:, :] - picture[..., :-1, :]).abs().mean()
        )
        for name, weight in style_layers.items():
            difference = gram(features[name]).float() - grams[name]
            loss = loss + weight * difference.pow(2).sum() / grams[name].pow(2).sum()
        for name, weight in content_layers.items():
            difference = features[name].float() - wanted[name]
            loss = loss + weight * difference.pow(2).mean() / wanted[name].pow(2).mean()
        loss.backward()
        losses.append(float(loss.detach()))
        return loss

    while True:
        optimizer.step(closure)
        yield time.perf_counter() - began, losses[-1]


def ours(
    painting: Path, content: Tensor, options: GatysOptions, start: Tensor
) -> tuple[list[tuple[float, float, int]], float]:
    """Seconds, objective and the longer side of the picture at each step; and all the seconds."""
    gatys = Gatys([Original(painting)], options)
    began = time.perf_counter()
    rows: list[tuple[float, float, int]] = []
    painted = gatys(
        content,
        start,
        on_progress=lambda one: rows.append((time.perf_counter() - began, one.terms.total, max(one.picture.shape[2:]))),
    )
    assert len(painted.curve) == len(rows)
    return rows, time.perf_counter() - began


def best_at(rows: list[tuple[float, float, int]], longer: int) -> float:
    """The best objective at full size: others are of smaller pictures."""
    return min(total for _, total, side in rows if side == longer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", nargs="+", metavar="PHOTO:PAINTING")
    parser.add_argument("--size", type=int, default=768, help="longer side (default: %(default)s)")
    parser.add_argument("--start", choices=("content", "noise"), default="content", help="(default: %(default)s)")
    parser.add_argument("--equal-steps", type=int, default=12, help="for the first comparison (default: %(default)s)")
    parser.add_argument("--most", type=int, default=300, help="steps of the plain loop (default: %(default)s)")
    parser.add_argument("--curves", type=Path, metavar="FILE.png")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()

    rows: list[dict[str, Any]] = []
    curves: dict[str, list[tuple[float, float]]] = {}
    half = half_is_faster("cpu")
    judge = weights.perceptual("vgg19-small").to(torch.bfloat16 if half else torch.float32)
    judge = judge.to(memory_format=torch.channels_last)
    for pair in args.pairs:
        photo, painting = pair.split(":")
        content = to_float(read_picture(photo)[:3])
        factor = args.size / max(content.shape[2:])
        content = resize(content, tuple(round(side * factor) for side in content.shape[2:])).contiguous()
        noise = torch.rand(content.shape, generator=torch.Generator().manual_seed(0))
        start = noise if args.start == "noise" else content
        style = to_float(read_picture(painting)[:3])
        scale = min(args.size / max(style.shape[2:]), 1)
        style = resize(style, tuple(round(side * scale) for side in style.shape[2:])).contiguous()
        options = GatysOptions(tolerance=0, half=half)
        one_scale = replace(options, smallest=args.size, steps=args.equal_steps)

        # In turns, so that what else the machine does meets both.
        plain_seconds, our_seconds = [], []
        for _ in range(2):
            loop = plain_loop(judge, content, style, options, start)
            plain_seconds.append([next(loop)[0] for _ in range(args.equal_steps)][-1])
            our_seconds.append(ours(Path(painting), content, one_scale, start)[1])
        found, seconds = ours(Path(painting), content, options, start)
        reached = best_at(found, args.size)
        plain = []
        for step, (at, total) in enumerate(plain_loop(judge, content, style, options, start), 1):
            plain.append((at, total))
            if total <= reached or step >= args.most:
                break
        row = {
            "pair": f"{Path(photo).stem} after {Path(painting).stem}",
            "equal steps: our time over the loop's": round(min(our_seconds) / min(plain_seconds), 3),
            "objective reached": round(reached, 4),
            "our seconds": round(seconds, 1),
            "the loop's seconds": round(plain[-1][0], 1),
            "the loop's steps": len(plain),
            "the loop reached it": plain[-1][1] <= reached,
            "times faster to the same objective": round(plain[-1][0] / seconds, 2),
        }
        rows.append(row)
        print(json.dumps(row), flush=True)
        if args.curves and not curves:
            curves["L-BFGS, full size only"] = plain
            curves["L-BFGS, coarse to fine"] = [(at, total) for at, total, side in found if side == args.size]
            for name, more in (
                ("Adam, full size only", replace(options, method="adam", smallest=args.size, steps=60)),
                ("Adam, coarse to fine", replace(options, method="adam")),
            ):
                adam, _ = ours(Path(painting), content, more, start)
                curves[name] = [(at, total) for at, total, side in adam if side == args.size]
    about = {
        "machine": platform.processor() or platform.machine(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
        "size": args.size,
        "start": args.start,
        "features": "bfloat16" if half else "float32",
        "steps, coarse to fine": GatysOptions.steps,
    }
    if args.json:
        args.json.write_text(json.dumps({"about": about, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    if args.curves:
        draw(curves, args.curves)


def draw(curves: dict[str, list[tuple[float, float]]], picture: Path) -> None:
    """The objective of the full-size picture over the seconds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, points in curves.items():
        seconds, totals = zip(*points, strict=True)
        axes.plot(seconds, totals, label=name)
    axes.set(xlabel="seconds", ylabel="objective at full size", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main()
