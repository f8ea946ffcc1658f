"""Does the painting move with the picture? By fractions of a pixel, by style; and how much louder noise gets in it.

    python benchmarks/equivariance.py [--models DIR] [--pictures FILE ...] [--json benchmarks/results/equivariance.json]

A painting that sticks to the pixel raster shimmers when the camera drifts. Measured as in Karras et al. 2021 (EQ-T):
the PSNR between the painting of the moved picture and the moved painting, in decibels, higher is better; borders are
left out. Moves are along x and along y, the error is the mean of both. The noise gain is the deviation of what the
painting changes by over that of the noise: below 1 quietens, above 1 amplifies.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from videostyle import weights
from videostyle.io import open_source
from videostyle.ops.pixels import to_float
from videostyle.timeline import Span
from videostyle.train.data import read_picture

FILM = Path(__file__).parents[1] / "samples" / "harbour.mp4"
MOMENTS = (Fraction(2), Fraction(13, 2))
DISTANCES = (0.25, 0.5, 0.75, 1.0, 2.0, 3.0)
MARGIN = 32
"""Pixels left out along each border: nobody knows what moves in from outside."""
SIGMA = 1 / 255

Paint = Callable[[Tensor], Tensor]


def shift(picture: Tensor, across: float, down: float) -> Tensor:
    """Move a picture (N, C, H, W) by fractions of a pixel: out(p) = picture(p - (across, down)).

    By the phases of its Fourier transform, mirrored at the borders: exact for what the raster can hold.
    """
    height, width = picture.shape[2:]
    mirrored = torch.cat([picture, picture.flip(3)], dim=3)
    mirrored = torch.cat([mirrored, mirrored.flip(2)], dim=2)
    cycles = down * torch.fft.fftfreq(2 * height)[:, None] + across * torch.fft.rfftfreq(2 * width)
    spectrum = torch.fft.rfft2(mirrored) * torch.exp(-2j * math.pi * cycles)
    moved: Tensor = torch.fft.irfft2(spectrum, s=(2 * height, 2 * width))
    return moved[:, :, :height, :width]


def equivariance(paint: Paint, pictures: Sequence[Tensor], distance: float) -> float:
    """PSNR in decibels of paintings of moved pictures against moved paintings; infinite where they are the same."""
    errors = []
    for picture in pictures:
        painted = paint(picture)
        for move in ((distance, 0.0), (0.0, distance)):
            difference = paint(shift(picture, *move)) - shift(painted, *move)
            inside = difference[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN]
            errors.append(inside.square().mean().item())
    mean = sum(errors) / len(errors)
    return -10 * math.log10(mean) if mean > 0 else math.inf


def noise_gain(paint: Paint, pictures: Sequence[Tensor], sigma: float = SIGMA) -> float:
    """Deviation of what noise of `sigma` changes in the painting, over `sigma`."""
    generator = torch.Generator().manual_seed(0)
    changes = [
        paint(picture + sigma * torch.randn(picture.shape, generator=generator)) - paint(picture)
        for picture in pictures
    ]
    return math.sqrt(sum(change.square().mean().item() for change in changes) / len(changes)) / sigma


def frames(film: Path, side: int) -> list[Tensor]:
    """The middles of two frames of the film, (1, 3, side, side)."""
    found = []
    for moment in MOMENTS:
        with open_source(str(film)) as source:
            found.append(middle(to_float(next(iter(source.frames(Span(moment))))), side))
    return found


def middle(picture: Tensor, side: int) -> Tensor:
    top, left = ((length - side) // 2 for length in picture.shape[2:])
    return picture[:, :, top : top + side, left : left + side]


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, metavar="DIR", help="default: the shipped ones")
    parser.add_argument("--pictures", nargs="+", type=Path, help="default: two frames of the sample film")
    parser.add_argument("--side", type=int, default=256, help="of the squares cut out of them (default: %(default)s)")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.pictures:
        pictures = [middle(read_picture(path), args.side) for path in args.pictures]
    else:
        pictures = frames(FILM, args.side)
    networks, entries = weights.read_manifest(args.models or weights.models_folder())
    loaded = {name: weights.read_network(name, *where).net for name, where in networks.items()}
    print(f"{'network':<8} {'style':<18}" + "".join(f"{distance:>7g} px" for distance in DISTANCES) + "   noise gain")
    rows = []
    for entry in entries:
        code, _ = weights.read_style(entry.file)
        paint = partial(loaded[entry.network], code=code)
        psnr = {f"{distance:g}": round(equivariance(paint, pictures, distance), 2) for distance in DISTANCES}
        gain = round(noise_gain(paint, pictures), 2)
        cells = "".join(f"{value:7.1f} dB" for value in psnr.values())
        print(f"{entry.network:<8} {entry.name:<18}{cells}   {gain:10.2f}", flush=True)
        rows.append({"network": entry.network, "style": entry.name, "psnr": psnr, "noise_gain": gain})
    if args.json:
        about = {
            "machine": platform.processor() or platform.machine(),
            "torch": torch.__version__,
            "date": time.strftime("%Y-%m-%d"),
            "pictures": [path.name for path in args.pictures] if args.pictures else f"{FILM.name}, two frames",
            "side": args.side,
            "sigma": SIGMA,
        }
        args.json.write_text(json.dumps({"about": about, "rows": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
