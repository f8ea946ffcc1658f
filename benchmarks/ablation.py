"""What each temporal term buys: the same short training with one thing different each time.

    python benchmarks/ablation.py train.toml clips/swan clips/dog.mp4 --json benchmarks/results/ablation.json

`train.toml` names the photographs, the paintings and the perceptual network; its own temporal weights are not used.
A start that was itself trained with temporal terms favours the variant without: compare from none.

Every variant paints the clips frame by frame, with no stabiliser. Warping error (times 1000) and Laplacian energy are
judged as in flicker.py, along DIS at full size or RAFT with --raft; style and content are the card's, on photographs
held back; noise is what of noise of 1/255 is left in the painting, as a multiple. Finished variants are not trained
again.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from clips import read_clip
from torch import Tensor

from videostyle import weights
from videostyle.flow import load_flow
from videostyle.metrics.temporal import Judge
from videostyle.plan import FlowOptions, TrainConfig
from videostyle.train import read_config, train
from videostyle.train.tune import shortened

WITHOUT: Mapping[str, Any] = {
    "temporal": 0.0,
    "temporal_features": 0.0,
    "luminance_aware": False,
    "noise": 0.0,
    "films": None,
}
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "motion-3": {"temporal": 3.0},
    "motion-8": {"temporal": 8.0},
    "motion-16": {"temporal": 16.0},
    "features": {"temporal": 8.0, "temporal_features": 1.0},
    "luminance": {"temporal": 8.0, "luminance_aware": True},
    "noise": {"temporal": 8.0, "noise": 32.0},
    "all-of-these": {"temporal": 8.0, "temporal_features": 1.0, "luminance_aware": True, "noise": 32.0},
    "films": {"temporal": 8.0, "films": Path()},
    "blur": {"temporal": 8.0, "blur": True},
    "no-grid-term": {"temporal": 8.0, "grid": 0.0},
}
"""What differs from `WITHOUT`; the folder of films is put in later.

The weights make each added term about as large as the temporal one is at 8 in a trained network.
"""


class Painter:
    """A trained variant: its network, the codes of its paintings, and the losses in their cards."""

    def __init__(self, models: Path) -> None:
        networks, styles = weights.read_manifest(models)
        ((name, file),) = networks.items()
        self.net = weights.read_network(name, *file).net
        read = {style.name: weights.read_style(style.file) for style in styles}
        self.codes = {style: code for style, (code, _) in read.items()}
        self.losses = {style: card["losses"] for style, (_, card) in read.items()}

    @torch.no_grad()
    def __call__(self, style: str, content: Tensor) -> Tensor:
        return self.net(content, self.codes[style])


def train_variant(base: TrainConfig, name: str, films: Path | None) -> Painter:
    """The variant called `name`, trained unless it is already."""
    changes = dict(VARIANTS[name])
    if "films" in changes:
        changes["films"] = films
    config = replace(base, **{**WITHOUT, **changes}, folder=base.folder / name)
    if not (config.folder / "models" / "manifest.json").exists():
        train(config, lambda line: print(f"{name}: {line}", file=sys.stderr, flush=True))
    return Painter(config.folder / "models")


def noise_gain(painter: Painter, style: str, content: Tensor) -> float:
    """Deviation of the painting by noise of 1/255, as a multiple of the noise."""
    noise = torch.randn(content.shape, generator=torch.Generator().manual_seed(0)) / 255
    # Around the middle, where nothing is cut off.
    content = 0.1 + 0.8 * content
    return (painter(style, content + noise) - painter(style, content)).std().item() * 255


def measure(painters: Mapping[str, Painter], clips: list[Path], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Scores of every variant, means over clips and paintings."""
    raft = load_flow(FlowOptions("raft", args.raft, longest_side=args.width), "cpu") if args.raft else None
    scores: dict[str, list[dict[str, float]]] = {"film": [], **{name: [] for name in painters}}
    for path in clips:
        judge = Judge(raft)
        frames = read_clip(path, args.frames, args.width)
        for is_cut, content in frames:
            versions = {("film", ""): content}
            for name, painter in painters.items():
                versions |= {(name, style): painter(style, content) for style in painter.codes}
            judge.add(is_cut, content, {"/".join(key): picture for key, picture in versions.items()})
        for key, score in judge.result().items():
            name, _, style = key.partition("/")
            row = {"warping error": score.warping_error, "Laplacian energy": score.laplacian_energy}
            if name != "film":
                row |= painters[name].losses[style]
                row["noise gain"] = noise_gain(painters[name], style, frames[0][1])
            scores[name].append(row)
        print(f"{path.stem}: judged", file=sys.stderr, flush=True)
    return [
        {"variant": name, **{key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}}
        for name, rows in scores.items()
    ]


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table for docs/TRAINING.md; changes are against the variant without temporal terms."""
    found = {row["variant"]: row for row in rows}
    lines = ["| variant | warping error | Laplacian energy | style | content | noise |", "| --- " * 6 + "|"]
    for name, row in found.items():
        error, energy = 1000 * row["warping error"], row["Laplacian energy"]
        if name == "film":
            lines.append(f"| the film itself | {error:.2f} | {energy:.4f} | | | |")
            continue
        if name != "none" and "none" in found:
            plain = found["none"]
            change = [f" ({row[key] / plain[key] - 1:+.0%})" for key in ("warping error", "style", "content")]
            kept = f" ({energy / plain['Laplacian energy']:.0%} kept)"
        else:
            change, kept = [""] * 3, ""
        lines.append(
            f"| {name} | {error:.2f}{change[0]} | {energy:.4f}{kept} | {row['style']:.3f}{change[1]} "
            f"| {row['content']:.3f}{change[2]} | {row['noise gain']:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path, metavar="train.toml")
    parser.add_argument("clips", nargs="+", type=Path, help="films or folders of pictures, never trained on")
    parser.add_argument("--start", default="none", help="a models folder, or none (default: %(default)s)")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--films", type=Path, help="for the variant of that name; left out without")
    parser.add_argument("--work", type=Path, default=Path("runs/ablation"), help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=1500, help="default: %(default)s")
    parser.add_argument("--paintings", type=int, default=4, help="of the file's, the first (default: %(default)s)")
    parser.add_argument("--crop", type=int, default=160, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=4, help="default: %(default)s")
    parser.add_argument("--frames", type=int, default=24, help="of each clip (default: %(default)s)")
    parser.add_argument("--width", type=int, default=640, help="wider clips are scaled down (default: %(default)s)")
    parser.add_argument("--raft", type=Path, metavar="WEIGHTS", help="judge with RAFT-small")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()

    file = read_config(args.config)
    base = replace(
        shortened(file, args.work, args.steps),
        start=None if args.start == "none" else Path(args.start),
        paintings=file.paintings[: args.paintings],
        crop=args.crop,
        batch=args.batch,
    )
    # Blurred halvings cannot start from a network without them.
    left_out = {"films" if args.films is None else "", "blur" if base.start is not None else ""}
    names = [name for name in args.variants if name not in left_out]
    painters = {name: train_variant(base, name, args.films) for name in names}
    rows = measure(painters, args.clips, args)
    print(markdown(rows))
    if args.json:
        about = {
            "machine": platform.processor() or platform.machine(),
            "torch": torch.__version__,
            "date": time.strftime("%Y-%m-%d"),
            "clips": [path.stem for path in args.clips],
            "paintings": [painting.name for painting in base.paintings],
            "start": "models" if base.start is not None else "none",
            "judging_flow": "raft" if args.raft else "dis, medium, full size",
            **{key: getattr(args, key) for key in ("steps", "crop", "batch", "frames", "width")},
            "perceptual": base.perceptual,
        }
        variants = {name: {**WITHOUT, **VARIANTS[name]} for name in names}
        text = json.dumps({"about": about, "variants": variants, "rows": rows}, indent=2, default=str)
        args.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
