"""Effect of each part of the stabilizer: the same stylized frames, stabilized in other ways.

    python benchmarks/stabilizer.py clips/swan clips/dance --styles starry-night mosaic --raft raft_small.pt

Figures are means over clips and styles, as shares of those of the unblended frames: warping error between neighbours
and ten frames apart, and Laplacian energy. `off` is the difference of low-frequency colour (squares of 8 pixels) from
the unblended frame, in 1/255, in disocclusions, where the flow is inconsistent, and elsewhere. Ghosts raise the former.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile
from pathlib import Path

import cv2
import numpy as np
import torch
from clips import read_clip
from torch import Tensor

from videostyle.confidence import motion_confidence
from videostyle.flow import load_flow
from videostyle.metrics.temporal import EvaluationFlow, TemporalMetrics, valid_motion
from videostyle.ops.detail import detail_energy, restore_detail
from videostyle.ops.filters import box, shrink
from videostyle.ops.warp import Resampling, warp
from videostyle.plan import FlowOptions
from videostyle.stabilize import (
    BACKWARD_SHARE,
    COLOR_FRESH,
    DETAIL_BACK,
    MIN_FRESH,
    SHRINK,
    blend_previous,
    compensated_energy,
)
from videostyle.style import Style
from videostyle.stylizers import load_stylizer
from videostyle.types import Flow

SQUARE = 8


@dataclass(frozen=True)
class Way:
    """Variant of the stabilizer; the defaults are the causal one's without the surplus of detail."""

    share: float = 1 - MIN_FRESH
    resampling: Resampling = "bicubic"
    color_fresh: float = COLOR_FRESH
    detail: float = 1.0
    """Share of the unblended frame's detail that is restored; 0 restores none."""
    surplus: bool = False
    """True restores more detail where things move."""
    fed_back: bool = True
    """True blends the next frame with the restored picture."""
    confidence: Callable[[Flow, Tensor, Tensor], Tensor] = motion_confidence
    anchor: int = 0
    """Interval, in frames, of a flow estimated directly that corrects the accumulated flow; 0: none."""
    back: Way | None = None
    """Variant of the backward pass; None: no backward pass."""


def everywhere(flow: Flow, content: Tensor, previous: Tensor) -> Tensor:
    return torch.ones_like(flow.confidence)


CAUSAL = Way(surplus=True)
LOOK_AHEAD = Way(resampling="lanczos", surplus=True, back=Way(BACKWARD_SHARE, "lanczos", 0, DETAIL_BACK))
WAYS = {
    "plain blend, bilinear": Way(0.85, "bilinear", 0, 0),
    "plain blend, bicubic": Way(0.85, "bicubic", 0, 0),
    "detail restored": Way(0.85, "bicubic", 0),
    "detail restored, not fed back": Way(0.85, "bicubic", 0, fed_back=False),
    "as much blended in as ships": Way(color_fresh=0),
    "colour and light follow faster": Way(),
    "more detail asked for where things move: causal": CAUSAL,
    "still more blended in, 0.97": replace(CAUSAL, share=0.97),
    "confidence 1 everywhere": replace(CAUSAL, confidence=everywhere),
    "moved by Lanczos's filter": replace(CAUSAL, resampling="lanczos"),
    "colour follows at 0.5": replace(CAUSAL, color_fresh=0.5),
    "anchored ten frames back": replace(CAUSAL, anchor=10),
    "forward and backward pass: look-ahead": LOOK_AHEAD,
    "look-ahead, nothing restored": replace(LOOK_AHEAD, detail=0, back=Way(BACKWARD_SHARE, "lanczos", 0, 0)),
    "look-ahead, less restored": replace(LOOK_AHEAD, detail=0.78, surplus=False),
    "look-ahead, anchored": replace(LOOK_AHEAD, anchor=10),
    "look-ahead, bicubic": replace(
        LOOK_AHEAD, resampling="bicubic", back=Way(BACKWARD_SHARE, color_fresh=0, detail=DETAIL_BACK)
    ),
}


def _small(picture: Tensor) -> tuple[int, int]:
    return -(-picture.shape[2] // SHRINK), -(-picture.shape[3] // SHRINK)


class Film:
    """Frames of one shot, and their flow in both directions."""

    def __init__(self, frames: list[Tensor]) -> None:
        self.frames = frames
        small = [shrink(frame, _small(frame)) for frame in frames]
        flow = load_flow(FlowOptions("dis"), "cpu")
        back, ahead = [], []
        for (before, seen_before), (now, seen) in pairwise(zip(frames, small, strict=True)):
            backward, forward = flow.both(now, before)
            back.append((backward, seen, seen_before))
            ahead.append((forward, seen_before, seen))
        self._pairs: dict[bool, list[tuple[Flow, Tensor, Tensor]]] = {False: back, True: ahead[::-1]}

    def motion(self, way: Way, reverse: bool) -> list[Flow]:
        """Return the flow from each frame but the first to the one before; with `reverse`, of the reversed film."""
        flows = [Flow(flow.vectors, way.confidence(flow, now, before)) for flow, now, before in self._pairs[reverse]]
        return anchored(self.frames[::-1] if reverse else self.frames, flows, way.anchor) if way.anchor else flows


def anchored(frames: list[Tensor], flows: list[Flow], every: int) -> list[Flow]:
    """Correct flows, by 0.3 of the difference, towards those estimated directly to an anchor, if these fit better."""
    search = EvaluationFlow()
    corrected, anchor, path = [], frames[0], torch.zeros_like(flows[0].vectors)
    for number, (flow, frame) in enumerate(zip(flows, frames[1:], strict=True)):
        stepped = flow.vectors + warp(path, flow.vectors)
        direct = search(frame, anchor).vectors
        fits = [box((frame - warp(anchor, way)).abs().mean(1, keepdim=True), 4) for way in (direct, stepped)]
        nudge = 0.3 * (direct - stepped) * box((fits[0] < fits[1]).float(), 4)
        length = nudge.square().sum(1, keepdim=True).sqrt().clamp(min=1e-6)
        nudge = box(nudge * (1 / length).clamp(max=1), 4)
        corrected.append(Flow(flow.vectors + nudge, flow.confidence))
        path = stepped + nudge
        if (number + 1) % every == 0:
            anchor, path = frame, torch.zeros_like(path)
    return corrected


def stabilize(way: Way, film: Film, stylized: list[Tensor]) -> list[Tensor]:
    """Stabilize the stylized frames of a film."""
    energies = [detail_energy(picture) for picture in stylized]
    forward = one_pass(way, film.motion(way, False), stylized, energies)
    if way.back is None:
        return forward
    return one_pass(way.back, film.motion(way, True), forward[::-1], energies[::-1])[::-1]


def one_pass(way: Way, flows: list[Flow], pictures: list[Tensor], energies: list[Tensor]) -> list[Tensor]:
    shown, last = [pictures[0]], pictures[0]
    for flow, picture, energy in zip(flows, pictures[1:], energies[1:], strict=True):
        blended = blend_previous(picture, last, flow, way.share, way.resampling, way.color_fresh).clamp(0, 1)
        wanted = way.detail * (compensated_energy(energy, flow) if way.surplus else energy)
        shown.append(restore_detail(blended, wanted) if way.detail else blended)
        last = shown[-1] if way.fed_back else blended
    return shown


def off(film: Film, painted: list[Tensor], shown: list[Tensor]) -> tuple[float, float]:
    """Return the low-frequency difference from the unblended frames, in 1/255: in disocclusions, and elsewhere."""
    hidden, seen = [], []
    evaluation_flow = EvaluationFlow()
    for number in range(1, len(shown)):
        _, valid = valid_motion(film.frames[number], film.frames[number - 1], evaluation_flow)
        size = shown[0].shape[2] // SQUARE, shown[0].shape[3] // SQUARE
        difference = 255 * shrink(shown[number] - painted[number], size).abs().mean(1, keepdim=True)
        clear = shrink(valid, size)
        hidden.append((difference * (1 - clear)).sum().item() / max((1 - clear).sum().item(), 1e-6))
        seen.append((difference * clear).sum().item() / max(clear.sum().item(), 1e-6))
    return float(np.mean(hidden)), float(np.mean(seen))


def read_shot(path: Path, frames: int, width: int) -> Film:
    (_, first), *others = read_clip(path, frames, width)
    return Film([first, *(picture for _, picture in takewhile(lambda frame: not frame[0], others))])


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--styles", nargs="+", default=["starry-night", "mosaic"])
    parser.add_argument("--network", default=Style.network)
    parser.add_argument("--frames", type=int, default=20, help="of each clip (default: %(default)s)")
    parser.add_argument("--width", type=int, default=480, help="wider clips are scaled down (default: %(default)s)")
    parser.add_argument("--raft", type=Path, metavar="WEIGHTS", help="evaluate with RAFT-small, not with DIS")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)

    raft = load_flow(FlowOptions("raft", args.raft, longest_side=args.width), "cpu") if args.raft else None
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in WAYS}
    for path in args.clips:
        film = read_shot(path, args.frames, args.width)
        versions: dict[str, list[Tensor]] = {}
        for style in args.styles:
            stylizer = load_stylizer(Style(((style, 1.0),), network=args.network), "torch", "cpu")
            versions[f"{style}/"] = painted = [stylizer(frame) for frame in film.frames]
            versions |= {f"{style}/{name}": stabilize(way, film, painted) for name, way in WAYS.items()}
        metrics = TemporalMetrics(raft, gaps=(1, 10))
        for number, frame in enumerate(film.frames):
            metrics.add(number == 0, frame, {name: pictures[number] for name, pictures in versions.items()})
        near, far = metrics.result(1), metrics.result(10)
        for style in args.styles:
            fresh = f"{style}/"
            for name in WAYS:
                key = fresh + name
                shares = (
                    near[key].warping_error / near[fresh].warping_error,
                    far[key].warping_error / far[fresh].warping_error,
                    near[key].laplacian_energy / near[fresh].laplacian_energy,
                )
                found[name].append((*shares, *off(film, versions[fresh], versions[key])))
        print(f"{path.stem}: evaluated", flush=True)

    heads = ("error left", "ten frames apart", "detail kept", "off, uncovered", "off, elsewhere")
    rows = {name: [statistics.mean(column) for column in zip(*all_of, strict=True)] for name, all_of in found.items()}
    print("\n| | " + " | ".join(heads) + " |\n| --- |" + " --- |" * len(heads))
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join([f"{value:.2f}" for value in row[:3]] + [f"{v:.1f}" for v in row[3:]]) + " |")
    if args.json:
        about = {
            "machine": platform.processor() or platform.machine(),
            "date": time.strftime("%Y-%m-%d"),
            "clips": [path.stem for path in args.clips],
            "styles": args.styles,
            "network": args.network,
            "frames": args.frames,
            "width": args.width,
            "evaluation flow": "raft small" if args.raft else "dis, medium, full size",
        }
        named = {name: dict(zip(heads, row, strict=True)) for name, row in rows.items()}
        args.json.write_text(json.dumps({"about": about, "rows": named}, indent=2) + "\n")


if __name__ == "__main__":
    main()
