"""What becomes of the paint in long shots: 300 still frames, 300 frames of a slow pan; and what is left as a ghost.

    python benchmarks/long_shots.py photograph.jpg --json long_shots.json --table docs/notes/long_shots.md

Still film: one frame, again and again. Mean, contrast (deviation of luma) and Laplacian energy of the last second are
given over those of the second second, when the painting has settled; the crawl is the difference between neighbouring
frames of the last second, root of the mean square, in 1/255. Pan: a window moves over the photograph by one pixel a
frame, so the motion is exact. Mean, contrast and energy of the last second and of the second one are given over those
of the same frames painted alone; the crawl is between each frame and the one before it, moved by that pixel. Ghosts:
the share of what moved away that is left in what it uncovered, in the rendered scene of the tests, whose motion is
known. All by the default render.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from clips import read_clip
from torch import Tensor
from torch.nn import functional as F

import videostyle
from videostyle.metrics.probes import frames_of, ghosts
from videostyle.metrics.temporal import ExactMotion, laplacian_energy
from videostyle.ops.filters import luma
from videostyle.ops.pixels import to_float
from videostyle.painter import paint_frames
from videostyle.style import Style
from videostyle.train.data import read_picture
from videostyle.types import Frame

ROOT = Path(__file__).parents[1]
FILM = ROOT / "samples" / "harbour.mp4"
SCENE = ROOT / "tests" / "fixtures" / "exact_flow.npz"
SECOND = 24
LIMIT = 0.02
"""Change of mean, contrast and energy that is not to be exceeded."""
FIGURES = ("mean", "contrast", "energy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photograph", type=Path, help="the pan moves over it")
    parser.add_argument("--styles", nargs="+", default=["great-wave", "mosaic", "scream", "starry-night"])
    parser.add_argument("--networks", nargs="+", default=["fast", "fine"])
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--size", type=int, nargs=2, default=[480, 272], metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", type=Path, help="write the tables into this document")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for network in args.networks:
        for style in args.styles:
            rows.append({"network": network, "style": style, **measured(Style(((style, 1.0),), network=network), args)})
            print(json.dumps(rows[-1]), flush=True)
    about = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": platform.machine(),
        "versions": {"torch": torch.__version__, "videostyle": videostyle.__version__},
        "frames": args.frames,
        "size": args.size,
    }
    if args.json:
        args.json.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    if args.table:
        args.table.write_text(document(about, rows), encoding="utf-8")


@torch.inference_mode()
def measured(style: Style, args: argparse.Namespace) -> dict[str, Any]:
    """Figures of one style."""
    across, height = args.size
    still = F.interpolate(read_clip(FILM, 1, 640)[0][1], (height, across), mode="bicubic", antialias=True).clamp(0, 1)
    wide = read_picture(args.photograph)
    scale = max(height / wide.shape[2], (across + args.frames) / wide.shape[3])
    wide = F.interpolate(wide, scale_factor=scale, mode="bicubic", antialias=True).clamp(0, 1)
    top = (wide.shape[2] - height) // 2
    wide = wide[:, :, top : top + height]
    pan = [wide[:, :, :, number : number + across] for number in range(args.frames)]
    return {
        "still": still_figures(list(pictures(rendered(frames_of([still] * args.frames), style)))),
        "pan": pan_figures(list(pictures(rendered(frames_of(pan), style))), pan, style),
        "ghosts": scene_ghosts(style),
    }


def rendered(frames: Iterable[Frame], style: Style, stabilize: bool = True) -> Iterable[Frame]:
    """The frames by the default render, or each painted alone."""
    return paint_frames(frames, style) if stabilize else paint_frames(frames, style, stabilize=0)


def pictures(frames: Iterable[Frame]) -> Iterator[Tensor]:
    """Frames as pictures (1, 3, H, W) in 0..1."""
    return (to_float(frame) for frame in frames)


def figures(picture: Tensor) -> list[float]:
    """Mean, contrast and Laplacian energy of a picture."""
    light = luma(picture)
    return [light.mean().item(), light.std().item(), laplacian_energy(picture)]


def mean_figures(chosen: Iterable[Tensor]) -> list[float]:
    """The figures' means over some pictures."""
    return [statistics.fmean(column) for column in zip(*map(figures, chosen), strict=True)]


def crawl(neighbours: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Difference between neighbours, in 1/255."""
    squares = [(after - before).square().mean().item() for before, after in neighbours]
    return 255 * statistics.fmean(squares) ** 0.5


def still_figures(painted: list[Tensor]) -> dict[str, float]:
    """What became of a still film."""
    early, late = mean_figures(painted[SECOND : 2 * SECOND]), mean_figures(painted[-SECOND:])
    changes = {name: after / before - 1 for name, before, after in zip(FIGURES, early, late, strict=True)}
    return {**changes, "crawl": crawl(zip(painted[-SECOND - 1 : -1], painted[-SECOND:], strict=True))}


def pan_figures(painted: list[Tensor], pan: list[Tensor], style: Style) -> dict[str, float]:
    """What became of a pan, beside its frames painted alone."""
    shares = []
    for part in (slice(SECOND, 2 * SECOND, 4), slice(-SECOND, None, 4)):
        alone = mean_figures(pictures(rendered(frames_of(pan[part]), style, stabilize=False)))
        shares.append([kept / fresh for kept, fresh in zip(mean_figures(painted[part]), alone, strict=True)])
    changes = {name: after / before - 1 for name, before, after in zip(FIGURES, *shares, strict=True)}
    moved = (
        (before[..., 1:], after[..., :-1])
        for before, after in zip(painted[-SECOND - 1 : -1], painted[-SECOND:], strict=True)
    )
    return {**changes, "crawl": crawl(moved)}


def scene_ghosts(style: Style) -> float:
    """Share of what moved away that is left in what it uncovered."""
    with np.load(SCENE) as stored:
        scene = [to_float(torch.from_numpy(one).permute(2, 0, 1)) for one in stored["frames"]]
        backward = torch.from_numpy(stored["backward"].astype(np.float32)).permute(0, 3, 1, 2)
        hidden = torch.from_numpy(stored["occlusion"])
    motions = [ExactMotion(way[None], out[None, None]) for way, out in zip(backward, hidden, strict=True)]
    return ghosts(lambda frames: rendered(frames, style), lambda frames: rendered(frames, style, False), scene, motions)


def document(about: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """The page of the notes."""
    doc = (__doc__ or "").split("\n\n", 2)[2].strip()
    lines = [
        "# Long shots",
        "",
        f"Written by `benchmarks/long_shots.py` on {about['date']}; do not edit. {about['frames']} frames of",
        f"{about['size'][0]}x{about['size'][1]}.",
        "",
        doc,
        "",
        "| network, style | still: mean | contrast | energy | crawl | pan: mean | contrast | energy | crawl | ghosts |",
        "| --- |" + " --- |" * 9,
    ]
    for row in rows:
        cells = [f"`{row['network']}` {row['style']}"]
        for film in ("still", "pan"):
            cells += [f"{row[film][name]:+.1%}" for name in FIGURES] + [f"{row[film]['crawl']:.2f}"]
        lines.append("| " + " | ".join([*cells, f"{row['ghosts']:.1%}"]) + " |")
    most = max(abs(row[film][name]) for row in rows for film in ("still", "pan") for name in FIGURES)
    verdict = "All are within it." if most <= LIMIT else f"Not all are within it: the greatest change is {most:.1%}."
    lines += ["", f"The limit for mean, contrast and energy is {LIMIT:.0%}. {verdict}", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
