"""Flicker per frame and stabilized, beside the film's own, with the cost and the targets.

    python benchmarks/flicker.py clips/swan clips/dog.mp4 --styles great-wave starry-night --json flicker.json

A clip is a film or a folder of pictures. Warping errors (Lai et al. 2018) are between neighbours and ten frames apart,
never across a cut, and printed times 1000. The evaluation flow (DIS medium at full size, or RAFT with --raft) is not
the stabilizer's. Detail is Laplacian energy. With --paintings, a training file with the paths of the style images,
style is the Gram distance to the style image; without, to the frame stylized alone. Cost is the time of stabilization
(motion, noise, blend) over the time of stylization, one thread each, measured side by side.

Per frame, a recurrent network has an empty prior, and noise that moves with the surfaces. In both modes it reads its
previous output, and the stabilizer blends the result.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import torch
from clips import read_clip
from torch import Tensor

from videostyle import weights
from videostyle.engines import choose_engine
from videostyle.flow import choose_flow, load_flow
from videostyle.metrics.appearance import STYLE_LAYERS
from videostyle.metrics.temporal import TemporalMetrics
from videostyle.noise import Particles
from videostyle.ops.losses import gram, gram_distance
from videostyle.plan import FlowOptions, RenderPlan, StabilizeOptions
from videostyle.stabilize import CausalStabilizer, LookaheadStabilizer, Stabilizer
from videostyle.style import Style
from videostyle.stylizers import load_stylizer
from videostyle.train.config import read_config
from videostyle.train.data import read_picture
from videostyle.types import Moment, Motion, Stylizer

MODES = ("causal", "lookahead")
TARGETS = {"error kept": 0.4, "error kept, gap 10": 0.5, "times the film": 2.0, "detail kept": 0.9, "cost": 1 / 3}


class Times:
    """Seconds by what was done, a list of them each."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = {}

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.taken.setdefault(what, []).append(time.perf_counter() - started)

    def median(self, what: str) -> float:
        return statistics.median(self.taken[what])


class Likeness:
    """Distance of a painting's Gram matrices to a target's, the mean over layers."""

    def __init__(self) -> None:
        self._judge = weights.load_loss_network("vgg19-small")

    @torch.inference_mode()
    def grams(self, picture: Tensor) -> dict[str, Tensor]:
        return {layer: gram(features) for layer, features in self._judge(picture, STYLE_LAYERS).items()}

    def __call__(self, picture: Tensor, target: Mapping[str, Tensor]) -> float:
        found = self.grams(picture)
        return statistics.mean(gram_distance(found[layer], target[layer]).item() for layer in STYLE_LAYERS)


def stabilize(stabilizer: Stabilizer, stylized: list[Tensor], motions: list[Motion | None]) -> list[Tensor]:
    return [output for _, output in stabilizer.stabilize(zip(range(len(stylized)), stylized, motions, strict=True))]


def moving_noise(
    clip: list[tuple[bool, Tensor]], motions: list[Motion | None], stylizer: Stylizer, times: Times
) -> list[Tensor]:
    """The noise of each frame of a clip, moved along `motions`."""
    particles, fields = Particles(), []
    for (_, content), motion in zip(clip, motions, strict=True):
        with times("noise"):
            size = stylizer.working_size(content.shape[2], content.shape[3])
            fields.append(particles(size, motion.backward if motion else None))
    return fields


def painted(
    stylizer: Stylizer,
    clip: list[tuple[bool, Tensor]],
    motions: list[Motion | None] | None,
    noise: list[Tensor] | None,
    times: Times,
    what: str,
) -> list[Tensor]:
    """The stylized frames of a clip; without `motions` each by itself."""
    pictures = []
    for number, (is_cut, content) in enumerate(clip):
        moment = Moment(
            Fraction(number, 24), is_cut, motions[number] if motions else None, noise[number] if noise else None
        )
        with times(what):
            pictures.append(stylizer(content, moment))
    return pictures


@torch.inference_mode()
def measure(path: Path, args: argparse.Namespace, targets: Mapping[str, Mapping[str, Tensor]]) -> list[dict[str, Any]]:
    """Scores of one clip in every style, network and mode."""
    flow, options = FlowOptions(args.flow), StabilizeOptions(args.amount)
    raft = load_flow(FlowOptions("raft", args.raft, longest_side=args.width), "cpu") if args.raft else None
    clip, times, likeness = read_clip(path, args.frames, args.width), Times(), Likeness()

    makers: dict[str, Callable[[bool], CausalStabilizer | LookaheadStabilizer]] = {
        "causal": lambda recurrent: CausalStabilizer(load_flow(flow, "cpu"), options),
        "lookahead": lambda recurrent: LookaheadStabilizer(load_flow(flow, "cpu"), options, recurrent),
    }
    motions: dict[str, list[Motion | None]] = {}
    for mode in MODES:
        watcher, motions[mode] = makers[mode](True), []
        for is_cut, content in clip:
            with times(f"{mode} motion"):
                motions[mode].append(watcher.motion(is_cut, content))

    versions: dict[str, list[Tensor]] = {"film": [content for _, content in clip]}
    noise: list[Tensor] | None = None
    for network in args.networks:
        for name in args.styles:
            stylizer = load_stylizer(Style(((name, 1.0),), network=network), args.engine, "cpu")
            if noise is None and stylizer.recurrent:
                noise = moving_noise(clip, motions["causal"], stylizer, times)

            what = f"{network} paint"
            versions[f"{network}/{name}/fresh"] = painted(stylizer, clip, None, noise, times, what)
            for mode in MODES:
                pictures = versions[f"{network}/{name}/fresh"]
                if stylizer.recurrent:
                    pictures = painted(stylizer, clip, motions[mode], noise, times, what)
                with times(f"{mode} blend"):
                    versions[f"{network}/{name}/{mode}"] = stabilize(
                        makers[mode](stylizer.recurrent), pictures, motions[mode]
                    )

    metrics = TemporalMetrics(raft, gaps=(1, 10))
    for number, (is_cut, content) in enumerate(clip):
        metrics.add(is_cut, content, {key: pictures[number] for key, pictures in versions.items()})
    near, far = metrics.result(1), metrics.result(10)
    looked_at = list(range(len(clip) // 4, len(clip), max(len(clip) // 4, 1)))

    def look(key: str, name: str, number: int) -> float:
        target = targets.get(name) or likeness.grams(versions[key.rpartition("/")[0] + "/fresh"][number])
        return likeness(versions[key][number], target)

    rows = []
    for key in versions:
        if key == "film":
            continue
        network, name, mode = key.split("/")
        fresh_key = f"{network}/{name}/fresh"
        row: dict[str, Any] = {
            "clip": path.stem,
            "network": network,
            "style": name,
            "mode": mode,
            "film error": near["film"].warping_error,
            "film error, gap 10": far["film"].warping_error,
            "error": near[key].warping_error,
            "error, gap 10": far[key].warping_error,
            "error kept": near[key].warping_error / near[fresh_key].warping_error,
            "error kept, gap 10": far[key].warping_error / far[fresh_key].warping_error,
            "times the film": near[key].warping_error / near["film"].warping_error,
            "detail kept": near[key].laplacian_energy / near[fresh_key].laplacian_energy,
            "style distance": statistics.mean(look(key, name, number) for number in looked_at),
        }
        if mode != "fresh":
            spent = times.median(f"{mode} motion") + times.median(f"{mode} blend") / len(clip)
            spent += times.median("noise") if noise else 0
            row["cost"] = spent / times.median(f"{network} paint")
        rows.append(row)
    return rows


def averages(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over clips and styles, for each network and mode."""
    found = []
    for network in dict.fromkeys(row["network"] for row in rows):
        for mode in ("fresh", *MODES):
            chosen = [row for row in rows if row["network"] == network and row["mode"] == mode]
            mean = {key: statistics.mean(row[key] for row in chosen) for key in chosen[0] if key in TARGETS}
            mean["style distance"] = statistics.mean(row["style distance"] for row in chosen)
            # Where the film itself differs more than the stylized one, ten frames on, the evaluation flow has failed.
            valid = [row for row in chosen if row["film error, gap 10"] < 0.5 * fresh_error(rows, row)]
            kept = [row["error kept, gap 10"] for row in valid]
            mean["error kept, gap 10, where judged"] = statistics.mean(kept) if kept else math.nan
            found.append({"network": network, "mode": mode, **mean})
    return found


def fresh_error(rows: list[dict[str, Any]], row: Mapping[str, Any]) -> float:
    return next(
        other["error, gap 10"]
        for other in rows
        if other["mode"] == "fresh" and all(other[key] == row[key] for key in ("clip", "network", "style"))
    )


def table(means: list[dict[str, Any]]) -> str:
    """As Markdown."""
    names = [*TARGETS, "error kept, gap 10, where judged", "style distance"]
    bounds = {name: f"at most {TARGETS[name]:.2f}" for name in TARGETS}
    bounds["detail kept"] = f"at least {TARGETS['detail kept']:.2f}"
    lines = [
        "| network | mode | " + " | ".join(names) + " |",
        "| --- | --- |" + " --- |" * len(names),
        "| target | |" + "".join(f" {bounds.get(name, '')} |" for name in names),
    ]
    for mean in means:
        cells = [f"{mean[name]:.3f}" if name in mean and not math.isnan(mean[name]) else "" for name in names]
        lines.append(f"| {mean['network']} | {mean['mode']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--styles", nargs="+", default=["great-wave"])
    parser.add_argument("--networks", nargs="+", default=[Style.network])
    parser.add_argument("--frames", type=int, default=24, help="of each clip (default: %(default)s)")
    parser.add_argument("--width", type=int, default=640, help="wider clips are scaled down (default: %(default)s)")
    parser.add_argument("--amount", type=float, default=StabilizeOptions.amount)
    parser.add_argument("--engine", default=RenderPlan.engine)
    parser.add_argument("--flow", default="auto", help="the flow that blends")
    parser.add_argument("--raft", type=Path, metavar="WEIGHTS", help="evaluate with RAFT-small")
    parser.add_argument("--paintings", type=Path, metavar="TOML", help="a training file that names the paintings")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    args.engine = choose_engine(args.engine, "cpu")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)

    likeness = Likeness()
    targets = {
        painting.name: likeness.grams(read_picture(painting.image, painting.size))
        for painting in (read_config(args.paintings).styles if args.paintings else ())
        if painting.name in args.styles
    }
    rows = []
    print(
        f"{'clip':<20} {'network':<6} {'style':<16} {'mode':<10} {'film':>7} {'error':>7}   kept   @10  detail  style"
    )
    for path in args.clips:
        for row in measure(path, args, targets):
            print(
                f"{row['clip']:<20} {row['network']:<6} {row['style']:<16} {row['mode']:<10} "
                f"{1000 * row['film error']:7.3f} {1000 * row['error']:7.3f} {row['error kept']:6.0%} "
                f"{row['error kept, gap 10']:5.0%} {row['detail kept']:7.0%} {row['style distance']:6.3f}",
                flush=True,
            )
            rows.append(row)
        means = averages(rows)
        if args.json:
            about = {
                "machine": platform.processor() or platform.machine(),
                "torch": torch.__version__,
                "opencv": cv2.__version__,
                "date": time.strftime("%Y-%m-%d"),
                "frames": args.frames,
                "width": args.width,
                "amount": args.amount,
                "engine": args.engine,
                "blending flow": choose_flow(FlowOptions(args.flow), "cpu"),
                "evaluation flow": "raft small" if args.raft else "dis, medium, full size",
                "style distance": "to the painting" if targets else "to the per-frame painting",
            }
            args.json.write_text(json.dumps({"about": about, "means": means, "rows": rows}, indent=2) + "\n")
    print()
    print(table(means))


if __name__ == "__main__":
    main()
