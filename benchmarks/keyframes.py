"""Style and flicker of films propagated from keyframes, beside the keyframes and the feed-forward stylization.

    python benchmarks/keyframes.py CLIP [CLIP ...] --painting great_wave.jpg --style great-wave --json FILE --table FILE

Keyframes are painted once for each clip, and propagated in each of the three ways. Measured on the same frames:

- style distance to the painting (loss network that ships; over the painting's energy, all five layers) of the
  frames between keyframes, over that of the keyframes;
- warping error between neighbouring frames (Lai et al. 2018; the evaluation flow is DIS, medium preset, which
  propagated nothing), over that of the stabilized feed-forward stylization in the same style, on the same mask;
- the change-over: the greatest warping error at a keyframe, over the median of all frames.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from videostyle import weights
from videostyle.io import open_source
from videostyle.io.images import read_picture
from videostyle.metrics.temporal import EvaluationFlow, valid_motion, warping_error
from videostyle.ops.losses import gram, gram_distance
from videostyle.ops.pixels import resize, to_float
from videostyle.optimize.keyframes import paint_keyframes
from videostyle.optimize.objective import style_image_grams
from videostyle.optimize.plan import GatysOptions, KeyframePlan, StyleImage
from videostyle.pipeline import fit, render
from videostyle.plan import EncodeOptions, RenderPlan, StabilizeOptions
from videostyle.style import Style
from videostyle.threads import cores
from videostyle.timeline import Span

LAYERS = tuple(layer for layer, _ in GatysOptions().style_layers)


def frames(path: str, span: Span = Span(), size: tuple[int, int] | None = None) -> Iterator[Tensor]:  # noqa: B008
    with open_source(path) as film:
        for frame in film.frames(span):
            picture = to_float(frame)
            yield picture if size is None else resize(picture, size)


def errors(painted: list[Tensor], moves: list[tuple[Tensor, Tensor]]) -> list[float]:
    """The warping error of each frame but the last, beside the one after it."""
    return [warping_error(*pair, *move) for pair, move in zip(pairwise(painted), moves, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", metavar="CLIP")
    parser.add_argument("--painting", type=Path, required=True)
    parser.add_argument("--style", required=True, help="the gallery's style of the same painting")
    parser.add_argument("--size", default="320x180", help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each clip (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=GatysOptions.steps, help="of the optimiser (default: %(default)s)")
    parser.add_argument("--every", type=int, metavar="N", help="keyframes so far apart; chosen without")
    parser.add_argument("--stabilize", type=float, default=StabilizeOptions.amount, help="default: %(default)s")
    parser.add_argument("--ways", nargs="+", default=["warp", "learned", "both"])
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the painted films go")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", type=Path, metavar="FILE", help="Markdown")
    args = parser.parse_args()

    loss_network = weights.load_loss_network("vgg19-small")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for clip in args.clips:
            name = Path(clip).stem
            folder = (args.keep or Path(scratch)).absolute()
            folder.mkdir(parents=True, exist_ok=True)
            span = Span(end=Fraction(args.seconds).limit_denominator(1000))
            encode = EncodeOptions(codec="ffv1", overwrite=True)
            plan = RenderPlan(clip, str(folder / f"{name}.mkv"), encode=encode, span=span, size=args.size)
            stabilized = replace(plan, stabilize=StabilizeOptions(args.stabilize))
            with open_source(clip) as film:
                width, height = fit(args.size, film.info.width, film.info.height)
            source = list(frames(clip, span, (height, width)))
            evaluation_flow = EvaluationFlow()
            moves = [valid_motion(*pair, evaluation_flow) for pair in pairwise(source)]
            forward = str(folder / f"{name}-forward.mkv")
            render(replace(plan, output=forward, style=Style(((args.style, 1.0),))))
            feed_forward = statistics.mean(errors(list(frames(forward)), moves))
            painting = to_float(read_picture(str(args.painting))[:3])
            scale = min(max(height, width) / max(painting.shape[2:]), 1)
            high, wide = (round(side * scale) for side in painting.shape[2:])
            painting = resize(painting, (high, wide))
            grams = style_image_grams(loss_network, painting, LAYERS)

            @torch.no_grad()
            def style_distance(picture: Tensor, grams: dict[str, Tensor] = grams) -> float:
                found = loss_network(picture, LAYERS)
                return sum(float(gram_distance(gram(found[layer]), grams[layer])) for layer in LAYERS)

            for way in args.ways:
                began = time.monotonic()
                report = paint_keyframes(
                    KeyframePlan(
                        stabilized,
                        (StyleImage(args.painting),),
                        GatysOptions(steps=args.steps),
                        every=args.every,
                        propagate=way,
                    )
                )
                painted = list(frames(plan.output))
                listed = json.loads((Path(report.folder) / "chosen" / "keys.json").read_text())["keys"]
                keys = [one["number"] for one in listed]
                between = [number for number in range(len(painted)) if number not in keys][::3]
                found = errors(painted, moves)
                # The step onto a keyframe and the step off it.
                over = [found[at] for key in keys for at in (key - 1, key) if 0 <= at < len(found)]
                style_between = statistics.mean(style_distance(painted[at]) for at in between)
                style_at_keys = statistics.mean(style_distance(painted[at]) for at in keys)
                row = {
                    "clip": name,
                    "way": way,
                    "keyframes": len(keys),
                    "frames": len(painted),
                    "style at keyframes": round(style_at_keys, 3),
                    "style between": round(style_between, 3),
                    "style, between over keyframes": round(style_between / style_at_keys, 3),
                    "warping error over feed-forward's": round(statistics.mean(found) / feed_forward, 3),
                    "times the film's own": round(
                        statistics.mean(found) / max(statistics.mean(errors(source, moves)), 1e-9), 2
                    ),
                    "greatest change-over over the median": round(max(over) / statistics.median(found), 2),
                    "seconds": round(time.monotonic() - began),
                }
                rows.append(row)
                print(json.dumps(row), flush=True)
    about = {
        "machine": platform.processor() or platform.machine(),
        "cores": cores(),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
        "painting": args.painting.stem,
        "style": args.style,
        "size": args.size,
        "steps": args.steps,
        "every": args.every,
        "stabilize": args.stabilize,
    }
    if args.json:
        args.json.write_text(json.dumps({"about": about, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    if args.table:
        head = list(rows[0])
        lines = [head, ["---"] * len(head), *([str(row[key]) for key in head] for row in rows)]
        args.table.write_text("\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
