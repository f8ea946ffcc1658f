"""How much paint there is: style by layer and by piece, content, beside direct optimisation; what a flat surface gets.

    python benchmarks/strokes.py clips/swan clips/dog --paintings train.toml --json strokes.json --table STROKES.md

Distances are relative Gram distances by VGG-19, 0 being the style image's own statistics: by layer, and as the mean
over 4x4 pieces of the frame at relu3_1, since a busy corner pays for an empty sky in the whole frame's. Content is the
relative feature distance at relu4_2. Frames are stylized one by one, with noise and an empty prior. With --optimised N
each frame is painted by N steps of L-BFGS on its pixels as well (`videostyle paint`), and each layer's distance is
given over what that reaches; such pictures take minutes each and are kept in --cache.

A flat surface: a constant grey is painted with noise and without. Its deviation is that of what is left when squares of
4x4 pixels are averaged, in 0..1; its raster is the share of the variance that repeats every 4 pixels.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from clips import read_clip
from torch import Tensor
from torch.nn import functional as F

from videostyle import weights
from videostyle.io.images import read_picture as read_file
from videostyle.io.images import write_picture
from videostyle.nets.vgg import LossNetwork
from videostyle.noise import Particles
from videostyle.ops import losses
from videostyle.ops.pixels import to_float
from videostyle.optimize.plan import GatysOptions, StyleImage
from videostyle.optimize.stills import Gatys
from videostyle.style import Style
from videostyle.stylizers import load_stylizer
from videostyle.train.config import read_config
from videostyle.train.data import read_picture
from videostyle.train.plan import TrainingStyle
from videostyle.types import Moment

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT = "relu4_2"
PIECES = 4
RASTER = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path, help="films or folders of frames")
    parser.add_argument("--paintings", required=True, type=Path, help="a training file that names the paintings")
    parser.add_argument("--styles", nargs="+", help="the paintings to measure; all by default")
    parser.add_argument("--networks", nargs="+", default=["fast"])
    parser.add_argument("--frames", type=int, nargs="+", default=[5], help="numbers of the frames that are judged")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--optimised", type=int, default=0, metavar="STEPS")
    parser.add_argument("--cache", type=Path, help="where optimised pictures are kept")
    parser.add_argument("--loss-network", default="vgg19-small")
    parser.add_argument("--loss-weights", type=Path)
    parser.add_argument("--engines", nargs="+", default=["torch", "openvino"], help="for the flat surface")
    parser.add_argument("--pictures", type=Path, help="write the stylized frames into this folder")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", type=Path, help="write the tables into this document")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for row in measured(args):
        rows.append(row)
        print(line(row), flush=True)
    summary = medians(rows)
    for row in summary:
        print("median", line(row))
    if args.json:
        settings = {
            "clips": [path.stem for path in args.clips],
            "frames": args.frames,
            "width": args.width,
            "optimised": args.optimised,
        }
        args.json.write_text(json.dumps({"settings": settings, "medians": summary, "rows": rows}, indent=1))
    if args.table:
        args.table.write_text(document(args, summary, rows))


@torch.inference_mode()
def measured(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One row for each network and style: means over the frames."""
    loss_network = weights.load_loss_network(args.loss_network, args.loss_weights)
    count = max(args.frames) + 1
    frames = {
        f"{path.stem}-{number}": read_clip(path, count, args.width)[number][1]
        for path in args.clips
        for number in args.frames
    }
    for painting in read_config(args.paintings).styles:
        if args.styles and painting.name not in args.styles:
            continue
        style_image = read_picture(painting.image, painting.size)
        target = {layer: losses.gram(maps) for layer, maps in loss_network(style_image, LAYERS).items()}
        reached = None
        if args.optimised:
            optimised = [
                distances(loss_network, optimise(frame, painting, args), frame, target) for frame in frames.values()
            ]
            reached = mean(optimised)
            yield {"network": "optimised", "style": painting.name, **reached}
        for network in args.networks:
            found = []
            for key, frame in frames.items():
                output = stylized(frame, painting.name, network, "torch")
                found.append(distances(loss_network, output, frame, target))
                if args.pictures:
                    args.pictures.mkdir(parents=True, exist_ok=True)
                    write_picture(args.pictures / f"{painting.name}-{key}-{network}.png", output[0])
            row = mean(found)
            if reached:
                row |= {f"{layer}, times": row[layer] / reached[layer] for layer in LAYERS}
            yield {"network": network, "style": painting.name, **row, **flat(painting.name, network, args.engines)}


def stylized(frame: Tensor, style: str, network: str, engine: str, noise: bool = True) -> Tensor:
    """A frame (1, 3, H, W) with an empty prior."""
    stylizer = load_stylizer(Style(((style, 1.0),), network=network), engine, "cpu")
    size = stylizer.working_size(frame.shape[2], frame.shape[3])
    field = Particles()(size, None, (0,)) if noise and stylizer.recurrent else None
    return stylizer(frame, Moment(noise=field))


def optimise(frame: Tensor, painting: TrainingStyle, args: argparse.Namespace) -> Tensor:
    """The frame painted by L-BFGS on its pixels, at the size of marks that the network learned."""
    options = GatysOptions(steps=args.optimised)
    key = hashlib.sha256(repr((painting.name, painting.size, options)).encode() + frame.numpy().tobytes())
    path = None if args.cache is None else args.cache / f"{key.hexdigest()[:24]}.png"
    if path is not None and path.exists():
        return to_float(read_file(str(path)))
    longer = max(frame.shape[2:])
    with torch.inference_mode(mode=False), torch.enable_grad():
        gatys = Gatys([StyleImage(painting.image)], GatysOptions(steps=args.optimised, brush=painting.size / longer))
        picture = gatys(frame.clone()).picture.detach()
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(path, picture[0])
    return picture


def distances(
    loss_network: LossNetwork, output: Tensor, content: Tensor, target: dict[str, Tensor]
) -> dict[str, float]:
    """The distances of one stylized frame (1, 3, H, W) to the style image's Gram matrices and to the frame."""
    features = loss_network(output, (*LAYERS, CONTENT))
    wanted = loss_network(content, (CONTENT,))
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


def flat(style: str, network: str, engines: list[str]) -> dict[str, float]:
    """What a constant grey of 640x360 becomes."""
    grey = torch.full((1, 3, 360, 640), 0.5)
    row = {}
    for engine in engines:
        for kind, noise in (("with noise", True), ("without", False)):
            output = stylized(grey, style, network, engine, noise)
            blocks = F.avg_pool2d(output, RASTER)
            phases = F.pixel_unshuffle(output, RASTER).mean((2, 3)).view(3, -1)
            variance = output.var((2, 3)).sum().item()
            row[f"flat {kind}, {engine}"] = blocks.std((2, 3)).mean().item()
            row[f"raster {kind}, {engine}"] = phases.var(1).sum().item() / variance if variance > 1e-8 else 0.0
    return row


def mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}


def medians(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each network the medians over styles."""
    summary = []
    for network in dict.fromkeys(row["network"] for row in rows):
        chosen = [row for row in rows if row["network"] == network]
        keys = [key for key in chosen[0] if key not in ("network", "style")]
        summary.append({"network": network, **{key: statistics.median(row[key] for row in chosen) for key in keys}})
    return summary


def document(args: argparse.Namespace, summary: list[dict[str, Any]], rows: list[dict[str, Any]]) -> str:
    """The page of docs that shows the results."""
    shown = (*LAYERS, "pieces", "content")
    engine = args.engines[0]
    flats = (f"flat with noise, {engine}", f"flat without, {engine}")
    grids = [key for key in summary[-1] if key.startswith("raster")]
    raster = max(row.get(key, 0.0) for row in rows for key in grids)
    clips = ", ".join(path.stem for path in args.clips)

    def table(chosen: list[dict[str, Any]], first: str) -> str:
        head = [first, *shown, "grey, with noise", "without"]
        lines = [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * len(head))} |"]
        for row in chosen:
            name = f"`{row['network']}`" + (f" {row['style']}" if "style" in row else "")
            values = [f"{row[key]:.3f}" if key in row else "" for key in (*shown, *flats)]
            lines.append(f"| {' | '.join([name, *values])} |")
        return "\n".join(lines)

    return f"""# How much paint there is

Written by `benchmarks/strokes.py`; do not edit. Frames {args.frames} of {clips}, {args.width} pixels wide, stylized
one by one. Relative Gram distances to the style image by {args.loss_network} and layer; "pieces" is the mean over 4x4
pieces of the frame at relu3_1; content is the relative feature distance to the frame at relu4_2. A constant grey of
640x360 gets the deviation of the last columns, in 0..1, when squares of 4x4 pixels are averaged. The largest share of
its variance that repeats every 4 pixels, over styles, networks, engines ({", ".join(args.engines)}), is {raster:.3f}.

Medians over the styles:

{table(summary, "network")}

{table(rows, "network, style")}
"""


def line(row: dict[str, Any]) -> str:
    return "  ".join(f"{key} {value:.3f}" if isinstance(value, float) else str(value) for key, value in row.items())


if __name__ == "__main__":
    main()
