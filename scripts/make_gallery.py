"""Make docs/gallery: every style of every network on the same six photographs and two frames of the sample film.

The photographs are free ones that come inside Python packages, of which nothing else is used:

    pip install --no-deps scikit-image scikit-learn matplotlib
    python scripts/make_gallery.py

VIDEOSTYLE_MODELS names another models folder than the shipped one.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, distribution
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import torch
from make_pictures import frame_at, labelled
from torch import Tensor

from videostyle import weights
from videostyle.noise import initial_recurrent_input
from videostyle.style import Style

ROOT = Path(__file__).parents[1]
PAINTED, SHOWN = 320, 200
"""Side of the pictures, as they are painted and on the sheet."""
STRENGTHS = (1.0, 0.7)
MOST_BYTES = 230_000
"""Of a sheet."""


@dataclass(frozen=True, slots=True)
class Photograph:
    """A free photograph inside a package."""

    shows: str
    package: str
    file: str
    credit: str
    rights: str
    """As the package states it."""


PHOTOGRAPHS = (
    Photograph(
        "Eileen Collins",
        "scikit-image",
        "skimage/data/astronaut.png",
        "[NASA](https://flic.kr/p/r9qvLn)",
        "public domain",
    ),
    Photograph(
        "Grace Hopper",
        "matplotlib",
        "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
        "United States Navy",
        "public domain",
    ),
    Photograph("Chelsea the cat", "scikit-image", "skimage/data/chelsea.png", "Stefan van der Walt", "CC0"),
    Photograph(
        "The Summer Palace in Beijing",
        "scikit-learn",
        "sklearn/datasets/images/china.jpg",
        "[danielbuechele](https://www.flickr.com/photos/danielbuechele/6061409035/)",
        "[CC BY 2.0](https://creativecommons.org/licenses/by/2.0/)",
    ),
    Photograph("Coffee at Pikolo Espresso Bar", "scikit-image", "skimage/data/coffee.png", "Rachel Michetti", "CC0"),
    Photograph(
        "Handwriting",
        "scikit-image",
        "skimage/data/text.png",
        "[Wikipedia](https://en.wikipedia.org/wiki/File:Corner.png)",
        "public domain",
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--film", type=Path, default=ROOT / "samples" / "harbour.mp4")
    parser.add_argument("--moments", type=Fraction, nargs=2, default=[Fraction(2), Fraction(13, 2)])
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "gallery")
    parser.add_argument("--networks", nargs="+", metavar="NAME", help="paint the sheets of these only; list them all")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    pictures = [read(photograph) for photograph in PHOTOGRAPHS]
    pictures += [frame_at(args.film, moment) for moment in args.moments]
    squares = [square(picture) for picture in pictures]

    entries = weights.gallery()
    for entry in entries:
        if args.networks and entry.network not in args.networks:
            continue
        rows = [np.concatenate(squares, axis=1)]
        for strength in STRENGTHS:
            style = Style(((entry.name, 1.0),), strength=strength, network=entry.network)
            rows.append(labelled(paint(squares, style), f"strength {strength:g}"))
        size = write(args.output / sheet_name(entry), np.concatenate(rows))
        print(f"{entry.network:<8} {entry.name:<20} {size / 1000:5.0f} kB", flush=True)
    (args.output / "README.md").write_text(index(entries, args.film.name), encoding="utf-8")


def read(photograph: Photograph) -> np.ndarray:
    """The picture (H, W, 3) RGB. The package is not imported, so it may be installed without what it needs."""
    try:
        path = distribution(photograph.package).locate_file(photograph.file)
    except PackageNotFoundError as error:
        raise SystemExit(f"{photograph.package} is missing: see the top of {Path(__file__).name}") from error
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise SystemExit(f"{path} is missing: another version of {photograph.package} has it")
    return picture


def square(picture: np.ndarray) -> np.ndarray:
    """The middle of a picture, PAINTED pixels a side."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    way = cv2.INTER_AREA if side > PAINTED else cv2.INTER_CUBIC
    return cv2.resize(picture[top : top + side, left : left + side], (PAINTED, PAINTED), interpolation=way)


@torch.no_grad()
def paint(squares: Sequence[np.ndarray], style: Style) -> list[np.ndarray]:
    network, code = weights.load_style(style)
    content = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float() / 255
    recurrent_input = initial_recurrent_input(content, np.random.default_rng(0))
    painted: Tensor = network.net(content, code.expand(len(squares), -1), None, recurrent_input)
    return list((painted.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy())


def sheet_name(entry: weights.GalleryEntry) -> str:
    return f"{entry.name}-{entry.network}.jpg"


def write(path: Path, rows: np.ndarray) -> int:
    """Write the sheet as large as MOST_BYTES allow; returns its size."""
    scale = SHOWN / PAINTED
    small = cv2.resize(rows, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    for quality in range(90, 30, -5):
        _, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
        if data.size <= MOST_BYTES:
            break
    path.write_bytes(data.tobytes())
    return int(data.size)


def index(entries: Sequence[weights.GalleryEntry], film: str) -> str:
    """The table of styles, a row each, and whom the photographs are by."""
    networks = sorted({entry.network for entry in entries})
    head = ["style", "painting", "painter", "year", *(f"`{network}`: style, content" for network in networks)]
    rows = [head, ["---"] * len(head)]
    for name, several in groupby(sorted(entries, key=lambda entry: entry.name), key=lambda entry: entry.name):
        of = {entry.network: entry for entry in several}
        first = next(iter(of.values()))
        sheets = [sheet_link(of[network]) if network in of else "" for network in networks]
        rows.append([f"`{name}`", first.title, first.painter, first.year, *sheets])
    styles = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    credits = "\n".join(f"| {p.shows} | {p.credit} | {p.rights} | {p.package} |" for p in PHOTOGRAPHS)
    strengths = " and ".join(f"{strength:g}" for strength in STRENGTHS)
    return f"""# The gallery

Each sheet: six photographs and two frames of the sample film, then the same painted at strength {strengths}.
Painted at {PAINTED} pixels, shown at {SHOWN}. Beside each sheet, the style's losses on photographs held back from
training: 0 is the painting's own statistics, and the photograph's own features. Both by the weights in its card; the
content's are higher where marks would wipe faces away. Written by `scripts/make_gallery.py`; do not edit.

{styles}

## Photographs

All cropped to squares; the rows below the first are painted.

| shows | by | rights | package |
| --- | --- | --- | --- |
{credits}

The frames are of [{film}](../../samples/README.md).
"""


def sheet_link(entry: weights.GalleryEntry) -> str:
    _, card = weights.read_style(entry.file)
    losses = card.get("losses")
    said = f"{losses['style']:.2f}, {losses['content']:.2f}" if losses else ""
    return f"[sheet]({sheet_name(entry)}) {said}".rstrip()


if __name__ == "__main__":
    main()
