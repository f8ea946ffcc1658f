"""Painting stills by optimisation: against a straightforward loop, and the loss over the steps.

    python benchmarks/paint.py PHOTO:PAINTING [PHOTO:PAINTING ...] --size 768 --json benchmarks/results/paint.json

Against the loop everybody writes: torch's L-BFGS, one closure that runs the network, Gram matrices by `bmm`,
`backward()`. In one run, on the same loss_network and objective, with the same threads; the loop in float32, as it is
written, and where that is faster with features in bfloat16, too, as ours are there:

- at equal steps and size, our time over the loop's;
- to the same objective: `videostyle paint` as it comes, from coarse to fine, and at full size alone; then the loop at
  full size until it has reached the objective of our picture (or --most steps, which counts as at least that).

--curves draws the objective over the seconds, for L-BFGS and Adam, with and without coarse scales.
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
from videostyle.nets.vgg import LossNetwork, has_bf16
from videostyle.ops.pixels import resize, to_float
from videostyle.optimize.plan import GatysOptions, StyleImage
from videostyle.optimize.stills import Gatys
from videostyle.threads import cores


def plain_loop(
    loss_network: LossNetwork, content: Tensor, style: Tensor, options: GatysOptions, start: Tensor
) -> Iterator[tuple[float, float]]:
    """Seconds since the start and the objective, after each step of the loop everybody writes."""
    style_layers, content_layers = dict(options.style_layers), dict(options.content_layers)

    def gram(features: Tensor) -> Tensor:
        flat = features.flatten(2)
        return torch.bmm(flat, flat.transpose(1, 2)) / flat.shape[2]

    began = time.perf_counter()
    with torch.no_grad():
        grams = {name: gram(found).float() for name, found in loss_network(style, tuple(style_layers)).items()}
        wanted = {name: found.float() for name, found in loss_network(content, tuple(content_layers)).items()}
    pixels = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([pixels], max_iter=1, history_size=100, tolerance_grad=0, tolerance_change=0)
    losses: list[float] = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        picture = pixels.clamp(0, 1)
        features = loss_network(picture, (*style_layers, *content_layers))
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
) -> tuple[Tensor, list[tuple[float, float, int]], float]:
    """The picture; seconds, objective and the longer side at each step; and all the seconds."""
    gatys = Gatys([StyleImage(painting)], options)
    began = time.perf_counter()
    rows: list[tuple[float, float, int]] = []
    painted = gatys(
        content,
        start,
        on_progress=lambda now: rows.append(
            (time.perf_counter() - began, now.latest.terms.total, max(now.latest.picture.shape[2:]))
        ),
    )
    return painted.picture, rows, time.perf_counter() - began


def scaled(picture: Tensor, longer: int) -> Tensor:
    factor = longer / max(picture.shape[2:])
    height, width = (round(side * factor) for side in picture.shape[2:])
    return resize(picture, (height, width)).contiguous()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", nargs="+", metavar="PHOTO:PAINTING")
    parser.add_argument("--size", type=int, default=768, help="longer side (default: %(default)s)")
    parser.add_argument("--start", choices=("content", "noise"), default="content", help="(default: %(default)s)")
    parser.add_argument("--equal-steps", type=int, default=12, help="for the first comparison (default: %(default)s)")
    parser.add_argument("--most", type=int, default=300, help="steps of the loop (default: %(default)s)")
    parser.add_argument("--curves", type=Path, metavar="FILE.png")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()

    rows: list[dict[str, Any]] = []
    curves: dict[str, list[tuple[float, float]]] = {}
    half = has_bf16("cpu")
    kinds = [torch.float32, torch.bfloat16] if half else [torch.float32]
    for pair in args.pairs:
        photo, painting = pair.split(":")
        content = scaled(to_float(read_picture(photo)[:3]), args.size)
        noise = torch.rand(content.shape, generator=torch.Generator().manual_seed(0))
        start = noise if args.start == "noise" else content
        style = to_float(read_picture(painting)[:3])
        style = scaled(style, min(args.size, max(style.shape[2:])))
        options = GatysOptions(tolerance=0, half=half)
        alone = replace(options, smallest=args.size)
        ways = {"coarse to fine": options, "full size alone": alone}
        paid = {name: ours(Path(painting), content, way, start) for name, way in ways.items()}
        for kind in kinds:
            features = str(kind).removeprefix("torch.")
            loss_network = weights.load_loss_network("vgg19-small").to(kind).to(memory_format=torch.channels_last)
            # In turns, so that what else the machine does meets both.
            loop_seconds, our_seconds = [], []
            for _ in range(2):
                loop = plain_loop(loss_network, content, style, options, start)
                loop_seconds.append([next(loop)[0] for _ in range(args.equal_steps)][-1])
                our_seconds.append(ours(Path(painting), content, replace(alone, steps=args.equal_steps), start)[2])
            reached = {
                name: next(plain_loop(loss_network, content, style, options, picture))[1]
                for name, (picture, _, _) in paid.items()
            }
            points: list[tuple[float, float]] = []
            for point in plain_loop(loss_network, content, style, options, start):
                points.append(point)
                if point[1] <= min(reached.values()) or len(points) >= args.most:
                    break
            row: dict[str, Any] = {
                "pair": f"{Path(photo).stem} after {Path(painting).stem}",
                "the loop's features": features,
                "equal steps: our time over the loop's": round(min(our_seconds) / min(loop_seconds), 3),
            }
            for name, (_, _, seconds) in paid.items():
                needed = next((at for at, point in enumerate(points) if point[1] <= reached[name]), len(points) - 1)
                row[name] = {
                    "objective": round(reached[name], 4),
                    "our seconds": round(seconds, 1),
                    "the loop's seconds": round(points[needed][0], 1),
                    "the loop's steps": needed + 1,
                    "the loop reached it": points[needed][1] <= reached[name],
                    "times faster": round(points[needed][0] / seconds, 2),
                }
            rows.append(row)
            print(json.dumps(row), flush=True)
            if args.curves and len(rows) <= len(kinds):
                curves[f"the loop everybody writes, {features}"] = points
        if args.curves and len(rows) == len(kinds):
            longer = replace(options, steps=3 * options.steps)
            for name, way in (
                ("L-BFGS, full size only", replace(longer, smallest=args.size)),
                ("L-BFGS, coarse to fine", longer),
                ("Adam, full size only", replace(longer, method="adam", smallest=args.size)),
                ("Adam, coarse to fine", replace(longer, method="adam")),
            ):
                found = ours(Path(painting), content, way, start)[1]
                curves[name] = [(at, total) for at, total, side in found if side == args.size]
    about = {
        "machine": platform.processor() or platform.machine(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
        "size": args.size,
        "start": args.start,
        "features": "bfloat16" if half else "float32",
        "steps at each scale": GatysOptions.steps,
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
