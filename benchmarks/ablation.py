"""What each part of the training buys: the same short run with one thing different each time, on two scales.

    python benchmarks/ablation.py train.toml clips/swan clips/dog.mp4 --json benchmarks/results/ablation.json

`train.toml` names the photographs, the paintings and the loss network. Every variant starts from the same models.
On photographs that are held back: the relative Gram distance of the whole picture (a sum over layers) and of 4x4
pieces of it at relu3_1, the content distance at relu4_2, and the deviation of a grey picture. On films, stylized with
the memory of the network and no blend: the warping error over that of the film, between neighbours and ten frames
apart, and Laplacian energy. Finished variants are not trained again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from clips import read_clip
from strokes import LAYERS, distances
from torch import Tensor

from videostyle import weights
from videostyle.cli.terminal import shown_log
from videostyle.flow import load_flow
from videostyle.metrics.temporal import TemporalMetrics
from videostyle.moments import Moments
from videostyle.nets.vgg import LossNetwork
from videostyle.noise import Particles
from videostyle.ops import losses
from videostyle.plan import FlowOptions, StabilizeOptions
from videostyle.stabilize import CausalStabilizer
from videostyle.style import Style
from videostyle.stylizers import load_stylizer
from videostyle.train.config import read_config
from videostyle.train.data import held_back, list_photographs, read_picture
from videostyle.train.loop import train
from videostyle.train.plan import TrainConfig, TrainingStyle
from videostyle.train.tune import shortened
from videostyle.types import Moment

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "all": {},
    "no local Gram matrices": {"local": 0.0},
    "same content weight everywhere": {"flat_content": 1.0},
    "no flats, no title cards": {"flat_share": 0.0, "card_share": 0.0},
    "whole pictures in every step": {"halved_share": 0.0, "shallow_share": 0.0},
    "temporal term from the start": {"temporal_from": 0.0},
    "no temporal term": {"temporal": 0.0},
    "roll-outs of one frame": {"roll_out": 1},
    "temporal weight 4": {"temporal": 4.0},
    "temporal weight 16": {"temporal": 16.0},
}
"""What differs from the training file."""

PHOTOGRAPHS = ("style", "pieces", "content", "flat")
FILMS = ("warping error", "ten apart", "energy")


def train_variant(base: TrainConfig, name: str) -> Path:
    """The models folder of the variant called `name`, trained unless it is already."""
    config = replace(base, **VARIANTS[name], folder=base.folder / name.replace(" ", "-").replace(",", ""))
    if not (config.folder / "models" / "manifest.json").exists():
        with shown_log(f"{name}: "):
            train(config)
    return config.folder / "models"


@torch.inference_mode()
def on_photographs(base: TrainConfig, painting: TrainingStyle, loss_network: LossNetwork) -> dict[str, float]:
    """Style, pieces, content on the photographs that were held back, and what a grey picture gets; means."""
    picture = read_picture(painting.image, painting.size)
    target = {layer: losses.gram(maps) for layer, maps in loss_network(picture, LAYERS).items()}
    stylizer = load_stylizer(Style(((painting.name, 1.0),), network=base.network), "torch", "cpu")
    rows = []
    for number, path in enumerate(held_back(list_photographs(base.photographs), base.held_back)):
        content = read_picture(path)
        noise = Particles()((content.shape[2], content.shape[3]), None, (number,))
        score = distances(loss_network, stylizer(content, Moment(noise=noise)), content, target)
        rows.append({"style": score["sum"], "pieces": score["pieces"], "content": score["content"]})
    grey = torch.full((1, 3, 256, 256), 0.5)
    flat = stylizer(grey, Moment(noise=Particles()((256, 256), None))).std((2, 3)).mean().item()
    return {**{key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}, "flat": flat}


@torch.inference_mode()
def on_film(base: TrainConfig, name: str, clip: list[tuple[bool, Tensor]]) -> dict[str, float]:
    """Warping errors over the film's own, and Laplacian energy, of one clip in the style `name`."""
    flow = FlowOptions()
    stylizer = load_stylizer(Style(((name, 1.0),), network=base.network), "torch", "cpu")
    watch = CausalStabilizer(load_flow(flow, "cpu"), StabilizeOptions(1.0, "causal"))
    look = Moments(stylizer, watch, flow, "cpu", with_motion=True, seed=0)
    metrics = TemporalMetrics(gaps=(1, 10))
    for number, (is_cut, content) in enumerate(clip):
        painted = stylizer(content, look(content, Fraction(number, 24), is_cut))
        metrics.add(is_cut, content, {"film": content, "painted": painted})
    near, far = metrics.result(1), metrics.result(10)
    return {
        "warping error": near["painted"].warping_error / near["film"].warping_error,
        "ten apart": far["painted"].warping_error / far["film"].warping_error,
        "energy": near["painted"].laplacian_energy,
    }


def markdown(rows: Mapping[str, Mapping[str, float]]) -> str:
    """The table for docs/guide/train.md."""
    lines = [
        "| variant | " + " | ".join((*PHOTOGRAPHS, *FILMS)) + " |",
        "| --- " * (1 + len(PHOTOGRAPHS + FILMS)) + "|",
    ]
    for name, row in rows.items():
        figures = [f"{row[key]:.3f}" for key in PHOTOGRAPHS] + [f"{row[key]:.2f}" for key in FILMS[:2]]
        lines.append(f"| {name} | {' | '.join(figures)} | {row['energy']:.4f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, metavar="train.toml")
    parser.add_argument("clips", nargs="+", type=Path, help="films or folders of pictures, never trained on")
    parser.add_argument("--start", type=Path, help="a models folder (default: the training file's)")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--work", type=Path, default=Path("runs/ablation"), help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=600, help="default: %(default)s")
    parser.add_argument("--paintings", type=int, default=4, help="of the file's, the first (default: %(default)s)")
    parser.add_argument("--crop", type=int, default=192, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--frames", type=int, default=24, help="of each clip (default: %(default)s)")
    parser.add_argument("--width", type=int, default=640, help="wider clips are scaled down (default: %(default)s)")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    file = read_config(args.config)
    base = replace(
        shortened(file, args.work, args.steps),
        start=args.start or file.start,
        styles=file.styles[: args.paintings],
        crop=args.crop,
        batch=args.batch,
        temporal_from=0.6,  # both phases, whatever the file has
    )
    loss_network = weights.load_loss_network(base.loss_network, base.loss_network_weights)
    clips = {path.stem: read_clip(path, args.frames, args.width) for path in args.clips}
    rows: dict[str, dict[str, float]] = {}
    for name in args.variants:
        os.environ["VIDEOSTYLE_MODELS"] = str(train_variant(base, name))
        found = []
        for painting in base.styles:
            row = on_photographs(base, painting, loss_network)
            films = [on_film(base, painting.name, clip) for clip in clips.values()]
            found.append(row | {key: sum(one[key] for one in films) / len(films) for key in FILMS})
        rows[name] = {key: sum(row[key] for row in found) / len(found) for key in found[0]}
        print(markdown({name: rows[name]}).splitlines()[-1], flush=True)
    print(markdown(rows))
    if args.json:
        about = {
            "machine": platform.processor() or platform.machine(),
            "torch": torch.__version__,
            "date": time.strftime("%Y-%m-%d"),
            "clips": list(clips),
            "paintings": [painting.name for painting in base.styles],
            "loss network": base.loss_network,
            **{key: getattr(args, key) for key in ("steps", "crop", "batch", "frames", "width")},
        }
        variants = {name: VARIANTS[name] for name in args.variants}
        args.json.write_text(json.dumps({"about": about, "variants": variants, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
