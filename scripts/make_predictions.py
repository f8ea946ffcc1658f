"""Make the picture of predicted styles: paintings that no predictor was trained with, beside learning and optimization.

    python scripts/make_predictions.py PAINTINGS --work work --output docs/images/predicted.jpg

PAINTINGS is a folder with the pictures that the predictor's card names as held back; twelve of them are shown. The
columns: the painting; three moments of the sample film by its predicted code; the first of them by a code that was
learned, and by optimization (`videostyle paint`). Learned codes are read from --work, where `benchmarks/prediction.py
--keep` writes them; without all twelve, the column is left out. Optimized pictures are kept there.
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch
from make_pictures import FILM, frame, paint, write
from torch.nn import functional as F

from videostyle import weights
from videostyle.io.images import read_picture, write_picture
from videostyle.io.style_image import read_on_white
from videostyle.ops.pixels import to_float, to_pixels
from videostyle.optimize.plan import GatysOptions, StyleImage
from videostyle.optimize.stills import Gatys
from videostyle.style import Style

MOMENTS = Fraction(2), Fraction(5), Fraction(13, 2)
SHOWN = 12
MOST_BYTES = 450_000
CELL = 300, 169
"""Width and height of a cell in pixels."""
OPTIMIZED = 320, 180
"""Size of the optimized pictures."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paintings", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument(
        "--minutes", default="1", help="of learning, as in the names of the files (default: %(default)s)"
    )
    parser.add_argument("--network", default=Style.network)
    parser.add_argument("--steps", type=int, default=30, help="of optimization; 0: none (default: %(default)s)")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    held_back = weights.load_predictor(weights.load_network(args.network)).card["held_back"]
    names = sorted(held_back)[:SHOWN]
    codes = {name: args.work / f"{name.replace('_', '-')}-{args.minutes}.safetensors" for name in names}
    rows = []
    for name in names:
        path = next(args.paintings.glob(f"{name}.*"))
        print(name, flush=True)
        cells = [whole(read_on_white(path)), *(painted(str(path), moment, args.network) for moment in MOMENTS)]
        if all(code.exists() for code in codes.values()):
            cells.append(painted(str(codes[name]), MOMENTS[0], args.network))
        if args.steps:
            cells.append(optimized(path, args.work, args.steps))
        rows.append(np.concatenate([cell(one) for one in cells], axis=1))
    write(args.output, np.concatenate(rows), MOST_BYTES)


def painted(style: str, moment: Fraction, network: str) -> np.ndarray:
    """A moment of the sample film in a style, (H, W, 3)."""
    return paint(Style(((style, 1.0),), network=network), moment)


def optimized(painting: Path, work: Path, steps: int) -> np.ndarray:
    """The first moment, optimized; read from the folder `work` if it is there already."""
    kept = work / f"{painting.stem}-{steps}-steps.png"
    if not kept.exists():
        width, height = OPTIMIZED
        content = F.interpolate(to_float(frame(FILM, MOMENTS[0])), (height, width), mode="bilinear", antialias=True)
        done = Gatys((StyleImage(painting),), GatysOptions(steps=steps))(content)
        write_picture(kept, done.picture[0])
    return read_picture(str(kept))[:3].permute(1, 2, 0).numpy()


def whole(picture: torch.Tensor) -> np.ndarray:
    """A painting (1, 3, H, W) in 0..1 as (H, W, 3), cropped to the cells' shape."""
    width, height = CELL
    scale = max(width / picture.shape[3], height / picture.shape[2])
    size = max(round(picture.shape[2] * scale), height), max(round(picture.shape[3] * scale), width)
    pixels = to_pixels(F.interpolate(picture, size, mode="bilinear", antialias=True))[0].permute(1, 2, 0).numpy()
    y, x = (size[0] - height) // 2, (size[1] - width) // 2
    return pixels[y : y + height, x : x + width]


def cell(picture: np.ndarray) -> np.ndarray:
    """A picture at the size of a cell."""
    return cv2.resize(picture, CELL, interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    main()
