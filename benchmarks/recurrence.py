"""What the recurrent network, the causal blend and look-ahead each buy: flicker, style, detail, on real clips.

    python benchmarks/recurrence.py clips/swan clips/dog --paintings train.toml --json recurrence.json

Warping errors (Lai et al. 2018) are over the film's own, between neighbours and ten frames apart. Style is the sum of
relative Gram distances by VGG-19 over the whole frame, "pieces" the mean over 4x4 pieces of it at relu3_1; detail is
Laplacian energy. Per frame: an empty prior, noise that moves with the surfaces.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import torch
from clips import read_clip
from strokes import LAYERS, distances
from torch import Tensor

from videostyle import weights
from videostyle.flow import load_flow
from videostyle.metrics.temporal import TemporalMetrics
from videostyle.moments import Moments
from videostyle.nets.vgg import LossNetwork
from videostyle.ops import losses
from videostyle.plan import FlowOptions, StabilizeOptions
from videostyle.stabilize import CausalStabilizer, LookaheadStabilizer
from videostyle.style import Style
from videostyle.stylizers import load_stylizer
from videostyle.train.config import read_config
from videostyle.train.data import read_picture
from videostyle.types import Moment


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path, help="films or folders of frames")
    parser.add_argument("--paintings", required=True, type=Path, help="a training file that names the paintings")
    parser.add_argument("--styles", nargs="+")
    parser.add_argument("--network", default="fast")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--loss-network", default="vgg19-small")
    parser.add_argument("--loss-weights", type=Path)
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--pictures", type=Path, help="write frames into this folder")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    loss_network = weights.load_loss_network(args.loss_network, args.loss_weights)
    found: dict[str, list[dict[str, float]]] = {}
    paintings = [p for p in read_config(args.paintings).styles if not args.styles or p.name in args.styles]
    for path in args.clips:
        clip = read_clip(path, args.frames, args.width)
        for painting in paintings:
            picture = read_picture(painting.image, painting.size)
            with torch.inference_mode():
                target = {layer: losses.gram(maps) for layer, maps in loss_network(picture, LAYERS).items()}
            for name, row in compare(clip, painting.name, args, loss_network, target, path.name).items():
                found.setdefault(name, []).append(row)
                print(path.name, painting.name, name, line(row), flush=True)
    means = {name: {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]} for name, rows in found.items()}
    for name, row in means.items():
        print(f"{name:28s} {line(row)}")
    if args.json:
        args.json.write_text(json.dumps(means, indent=1))


@torch.inference_mode()
def compare(
    clip: list[tuple[bool, Tensor]],
    style: str,
    args: argparse.Namespace,
    loss_network: LossNetwork,
    target: dict[str, Tensor],
    clip_name: str,
) -> dict[str, dict[str, float]]:
    """Scores of one clip in one style, by version."""
    flow, options = FlowOptions(), StabilizeOptions()
    stylizer = load_stylizer(Style(((style, 1.0),), network=args.network), args.engine, "cpu")
    watch = LookaheadStabilizer(load_flow(flow, "cpu"), options)
    look = Moments(stylizer, watch, flow, "cpu", with_motion=True, seed=0)
    moments = [look(content, Fraction(number, 24), is_cut) for number, (is_cut, content) in enumerate(clip)]

    def rendered(recurrent: bool) -> list[Tensor]:
        return [
            stylizer(content, moment if recurrent else replace(moment, motion=None, is_cut=True))
            for (_, content), moment in zip(clip, moments, strict=True)
        ]

    fresh, recurrent = rendered(False), rendered(True)
    versions = {"film": [content for _, content in clip], "per frame": fresh, "recurrent": recurrent}
    versions["per frame + causal"] = list(blended(CausalStabilizer(load_flow(flow, "cpu"), options), fresh, moments))
    versions["per frame + both passes"] = list(
        blended(LookaheadStabilizer(load_flow(flow, "cpu"), options), fresh, moments)
    )
    half = CausalStabilizer(load_flow(flow, "cpu"), StabilizeOptions(0.6))
    versions["recurrent + causal 0.6"] = list(blended(half, recurrent, moments))
    versions["recurrent + causal"] = list(
        blended(CausalStabilizer(load_flow(flow, "cpu"), options), recurrent, moments)
    )
    versions["recurrent + both passes"] = list(
        blended(LookaheadStabilizer(load_flow(flow, "cpu"), options), recurrent, moments)
    )
    back = LookaheadStabilizer(load_flow(flow, "cpu"), options, recurrent=True)
    versions["recurrent + backward pass: look-ahead"] = list(blended(back, recurrent, moments))
    metrics = TemporalMetrics(gaps=(1, 10))
    for number, (is_cut, content) in enumerate(clip):
        metrics.add(is_cut, content, {name: pictures[number] for name, pictures in versions.items()})
    near, far = metrics.result(1), metrics.result(10)
    looked_at = list(range(len(clip) // 3, len(clip), max(len(clip) // 3, 1)))
    rows = {}
    for name, pictures in versions.items():
        if name == "film":
            continue
        scores = [distances(loss_network, pictures[number], clip[number][1], target) for number in looked_at]
        rows[name] = {
            "error": near[name].warping_error / near["film"].warping_error,
            "ten apart": far[name].warping_error / far["film"].warping_error,
            "style": sum(score["sum"] for score in scores) / len(scores),
            "pieces": sum(score["pieces"] for score in scores) / len(scores),
            "content": sum(score["content"] for score in scores) / len(scores),
            "detail": near[name].laplacian_energy,
        }
        if args.pictures:
            from videostyle.io.images import write_picture

            args.pictures.mkdir(parents=True, exist_ok=True)
            for number in (len(clip) // 2, len(clip) // 2 + 1, len(clip) - 1):
                file = f"{clip_name}-{style}-{name.replace(' ', '_')}-{number:03d}.png"
                write_picture(args.pictures / file, pictures[number][0])
    return rows


def blended(
    stabilizer: CausalStabilizer | LookaheadStabilizer, pictures: list[Tensor], moments: list[Moment]
) -> Iterator[Tensor]:
    """Yield the pictures after the stabilizer."""
    motions = [moment.motion for moment in moments]
    for _, picture in stabilizer.stabilize(
        zip(range(len(pictures)), [p.clone() for p in pictures], motions, strict=True)
    ):
        yield picture


def line(row: dict[str, float]) -> str:
    return "  ".join(f"{key} {value:.3f}" for key, value in row.items())


if __name__ == "__main__":
    main()
