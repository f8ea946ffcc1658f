"""How much paint there is: style by layer, by pieces of the frame, content, and what a flat picture gets.

Distances are relative Gram distances (0: the style image's own statistics) by VGG-19. `paint`, the optimisation of
every frame by itself, is measured beside the networks where it was painted before (--paint FOLDER).
"""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from pathlib import Path

import torch
from clips import read_clip
from torch import Tensor
from torch.nn import functional as F

from videostyle import weights
from videostyle.noise import Particles
from videostyle.ops import losses
from videostyle.plan import Style
from videostyle.stylizers import load_stylizer
from videostyle.train.data import read_picture
from videostyle.types import Moment

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT = "relu4_2"
PIECES = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path, help="films or folders of frames")
    parser.add_argument("--paintings", required=True, type=Path, help="a JSON file: name of style to path and size")
    parser.add_argument("--networks", nargs="+", default=["fast"])
    parser.add_argument("--frames", type=int, nargs="+", default=[5], help="numbers of the frames that are judged")
    parser.add_argument("--loss-network", default="vgg19-small")
    parser.add_argument("--loss-weights", type=Path)
    parser.add_argument("--engine", default="torch")
    parser.add_argument("--pictures", type=Path, help="write the stylized frames into this folder")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    judge = weights.perceptual(args.loss_network, args.loss_weights)
    styles = json.loads(args.paintings.read_text())
    frames = [read_clip(path, max(args.frames) + 1, 640)[number][1] for path in args.clips for number in args.frames]
    rows: dict[str, dict[str, float]] = {}
    with torch.inference_mode():
        for name, (path, size) in styles.items():
            target = {layer: losses.gram(f) for layer, f in judge(read_picture(Path(path), size), LAYERS).items()}
            for network in args.networks:
                stylizer = load_stylizer(Style(((name, 1.0),), network=network), args.engine, "cpu")
                found = []
                for number, frame in enumerate(frames):
                    noise = Particles()((frame.shape[2], frame.shape[3]), None, (number,))
                    painted = stylizer(frame, Moment(noise=noise))
                    found.append(measure(judge, painted, frame, target))
                    if args.pictures:
                        from videostyle.io.images import write_picture

                        args.pictures.mkdir(parents=True, exist_ok=True)
                        write_picture(args.pictures / f"{number}-{network}-{name}.png", painted[0])
                grey = torch.full((1, 3, 360, 640), 0.5)
                for kind, noise in (("noise", Particles()((360, 640), None, (0,))), ("none", None)):
                    flat = F.avg_pool2d(stylizer(grey, Moment(Fraction(0), noise=noise)), 4)
                    for row in found:
                        row[f"flat, {kind}"] = flat.std((2, 3)).mean().item()
                rows[f"{network} {name}"] = mean(found)
                print(f"{network} {name}: {line(rows[f'{network} {name}'])}", flush=True)
    for network in args.networks:
        rows[network] = mean([row for key, row in rows.items() if key.startswith(f"{network} ")])
        print(f"{network}: {line(rows[network])}")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


def measure(judge: torch.nn.Module, painted: Tensor, content: Tensor, target: dict[str, Tensor]) -> dict[str, float]:
    """The distances of one stylized frame."""
    features = judge(painted, (*LAYERS, CONTENT))
    wanted = judge(content, (CONTENT,))
    row = {layer: losses.gram_distance(losses.gram(features[layer]), target[layer]).item() for layer in LAYERS}
    row["sum"] = sum(row.values()) - 0.5 * row["relu5_1"]
    pieces = [
        losses.gram_distance(losses.gram(piece), target["relu3_1"]).item()
        for rows in features["relu3_1"].chunk(PIECES, dim=2)
        for piece in rows.chunk(PIECES, dim=3)
    ]
    row["pieces"] = sum(pieces) / len(pieces)
    row["content"] = losses.content_distance(features[CONTENT], wanted[CONTENT]).item()
    return row


def mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}


def line(row: dict[str, float]) -> str:
    return "  ".join(f"{key} {value:.3f}" for key, value in row.items())


if __name__ == "__main__":
    main()
