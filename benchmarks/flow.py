"""Variants of the flow estimators: end-point error where the flow is known, photometric error elsewhere, and cost.

    python benchmarks/flow.py --clips clips/dog.mp4 clips/dance --raft raft_small.pt --json flow.json

Made-up films are textures with six things that fly over them, in a slow pan, a quick one and a camera that swings;
`boats` is the rendered film of tests/fixtures. End-point errors are means in pixels over what the frame before shows.
Photometric error is the mean of |frame - moved frame before|, at most 0.2 a pixel, times 1000. Cost is processor time,
as a share of the first estimator's of the same kind (DIS or RAFT) in the same run. The first two pairs of each film are
left out.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from clips import read_clip
from torch import Tensor

from videostyle.flow import dis, load_flow
from videostyle.ops.filters import box, enlarge, luma, stack_rows
from videostyle.ops.pixels import to_float
from videostyle.ops.warp import confidence, resize_flow, warp
from videostyle.plan import FlowOptions
from videostyle.types import Flow, FlowEstimator

FIXTURE = Path(__file__).parents[1] / "tests" / "fixtures" / "exact_flow.npz"
WARM_UP = 2


@dataclass(frozen=True, eq=False)
class Film:
    """Frames (1, 3, H, W), and for each but the first the exact backward flow and where it can be seen, if known."""

    frames: list[Tensor]
    exact: list[tuple[Tensor, Tensor]] | None = None


def boats() -> Film:
    stored = np.load(FIXTURE)
    frames = [to_float(torch.from_numpy(frame).permute(2, 0, 1)) for frame in stored["frames"]]
    flows = torch.from_numpy(stored["backward"].astype(np.float32)).permute(0, 3, 1, 2)
    seen = torch.from_numpy(~stored["occlusion"])[:, None]
    return Film(frames, list(zip(flows.split(1), seen.split(1), strict=True)))


def texture(height: int, width: int, seed: int) -> np.ndarray:
    """(height, width, 3) float32 in 0..1 with detail of every size."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.GaussianBlur(rng.standard_normal((height, width, 3)).astype(np.float32), (0, 0), sigma)
        for sigma in (2, 4, 8, 16)
    ]
    return np.clip(0.5 + 0.12 * sum(layer / layer.std() for layer in layers), 0, 1)


def moved_by(x: float, y: float) -> np.ndarray:
    """The matrix by which OpenCV moves a picture."""
    return np.array([[1, 0, x], [0, 1, y]], np.float32)


def flight(count: int, camera: Callable[[int], tuple[float, float]], seed: int) -> Film:
    """640x360: a wall seen by a camera at `camera(number)`, and six things, two of them thin, that fly over it."""
    w, h = 640, 360
    rng = np.random.default_rng(seed)
    places = np.array([camera(number) for number in range(count)], np.float32)
    margin = int(np.abs(places).max()) + 20
    wall = texture(h + 2 * margin, w + 2 * margin, seed)
    sizes = [(int(high), int(wide)) for high, wide in (rng.integers(20, 120, 2) for _ in range(4))]
    sizes += [(150, 6), (110, 6)]
    things = [
        (np.clip(0.8 * texture(*size, seed + 10 + n) + rng.uniform(-0.3, 0.3, 3), 0, 1).astype(np.float32),
         rng.uniform((0, 0), (w - 60, h - 60)), rng.uniform(-9, 9, 2))
        for n, size in enumerate(sizes)
    ]  # fmt: skip
    frames, kinds, flows = [], [], []
    for number, (x, y) in enumerate(places + margin):
        view = cv2.warpAffine(wall, moved_by(-x, -y), (w, h), flags=cv2.INTER_CUBIC)
        flow = np.broadcast_to(places[number] - places[max(number - 1, 0)], (h, w, 2)).copy()
        kind = np.zeros((h, w), np.float32)
        for n, (paint, start, speed) in enumerate(things):
            move = moved_by(*(start + speed * number))
            cover = cv2.warpAffine(np.ones(paint.shape[:2], np.float32), move, (w, h))
            moved = cv2.warpAffine(paint, move, (w, h), borderMode=cv2.BORDER_REPLICATE)
            view = view + cover[..., None] * (moved - view)
            kind[cover > 0.5], flow[cover > 0.5] = n + 1, -speed
        frames.append(stack_rows([np.clip(view, 0, 1)]))
        kinds.append(stack_rows([kind]))
        flows.append(stack_rows([flow]))
    # Where a flow leads out of the picture, or to another thing, the point was not seen before.
    outside = torch.full_like(kinds[0], -1)
    seen = []
    for (before, now), backward in zip(pairwise(kinds), flows[1:], strict=True):
        at_x = backward[:, :1] + torch.arange(w)
        at_y = backward[:, 1:] + torch.arange(h).view(h, 1)
        within = (at_x >= 0) & (at_x <= w - 1) & (at_y >= 0) & (at_y <= h - 1)
        seen.append(torch.where(within, warp(before, backward), outside).sub(now).abs() < 1e-3)
    return Film(frames, list(zip(flows[1:], seen, strict=True)))


def clip(path: Path, count: int, width: int) -> Film:
    return Film([content for _, content in read_clip(path, count, width)])


class Dis:
    """videostyle's DIS with its decisions open."""

    def __init__(
        self,
        start: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None,
        upsample: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
        shrink: int = dis.SHRINK,
        finest: int = 1,
        refinements: int = 5,
    ) -> None:
        """`start` makes flows to begin with from the last; `upsample` takes a flow, a small and a full grey picture."""
        self._backward, self._forward = dis.search(finest, 5, refinements), dis.search(1, 6, refinements)
        self._start, self._upsample, self._shrink = start, upsample, shrink
        self._last: tuple[Tensor, Tensor] | None = None

    def __call__(self, current: Tensor, previous: Tensor) -> Flow:
        h, w = current.shape[2:]
        scale = min(max(1 / self._shrink, dis.SMALLEST_SIDE / max(h, w)), 1)
        size = round(h * scale), round(w * scale)
        (now,), (before,) = dis.gray(current, size), dis.gray(previous, size)
        nothing = torch.zeros(1, 2, *now.shape)
        begin = (nothing, nothing) if self._start is None or self._last is None else self._start(*self._last)
        back, ahead = (np.array(flow[0].permute(1, 2, 0).numpy(), order="C") for flow in begin)
        backward = stack_rows([self._backward.calc(now, before, back)])
        forward = stack_rows([self._forward.calc(before, now, ahead)])
        self._last = backward, forward
        if self._upsample is None:
            full = resize_flow(backward, (h, w))
        else:
            grey = stack_rows([now.astype(np.float32) / 255])
            full = self._upsample(backward, grey, luma(current))
        return Flow(full, enlarge(confidence(backward, forward), (h, w)))


def as_it_is(backward: Tensor, forward: Tensor) -> tuple[Tensor, Tensor]:
    return backward, forward


def moved_along(backward: Tensor, forward: Tensor) -> tuple[Tensor, Tensor]:
    return warp(backward, backward), warp(forward, backward)


def where_consistent(backward: Tensor, forward: Tensor) -> tuple[Tensor, Tensor]:
    return backward * (confidence(backward, forward) > 0.3), forward * (confidence(forward, backward) > 0.3)


def guided(flow: Tensor, small: Tensor, large: Tensor, radius: int = 2, epsilon: float = 1e-3) -> Tensor:
    """The fast guided filter (He and Sun 2015): within small squares, flow is a linear function of brightness."""
    size = large.shape[2], large.shape[3]
    level, average = box(small, radius), box(flow, radius)
    slope = (box(small * flow, radius) - level * average) / (box(small.square(), radius) - level.square() + epsilon)
    offset = average - slope * level
    scale = flow.new_tensor((size[1] / flow.shape[3], size[0] / flow.shape[2])).view(1, 2, 1, 1)
    return (enlarge(box(slope, radius), size) * large + enlarge(box(offset, radius), size)) * scale


def bilateral(flow: Tensor, small: Tensor, large: Tensor, deviation: float = 0.05) -> Tensor:
    """Joint bilateral up-sampling (Kopf et al. 2007) from nine neighbours."""
    size = large.shape[2], large.shape[3]
    total, weights = torch.zeros(1, 2, *size), torch.full((1, 1, *size), 1e-6)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            near = enlarge(torch.cat((flow, small), 1).roll((dy, dx), (2, 3)), size)
            weight = torch.exp(-((near[:, 2:] - large) / deviation).square() - (dx * dx + dy * dy) / 2)
            total, weights = total + near[:, :2] * weight, weights + weight
    scale = flow.new_tensor((size[1] / flow.shape[3], size[0] / flow.shape[2])).view(1, 2, 1, 1)
    return total / weights * scale


DIS: dict[str, Callable[[], FlowEstimator]] = {
    "DIS, as shipped": lambda: load_flow(FlowOptions("dis"), "cpu"),
    "from nothing": lambda: Dis(None),
    "from the last, moved along": lambda: Dis(moved_along),
    "from the last where consistent": lambda: Dis(where_consistent),
    "up-sampled by guided filter": lambda: Dis(as_it_is, guided),
    "up-sampled bilaterally": lambda: Dis(as_it_is, bilateral),
    "not refined": lambda: Dis(as_it_is, refinements=0),
    "refined once": lambda: Dis(as_it_is, refinements=1),
    "refined ten times": lambda: Dis(as_it_is, refinements=10),
    "down to half of the size": lambda: Dis(as_it_is, finest=0),
    "down to the full size": lambda: Dis(as_it_is, shrink=1, finest=0),
}


def score(estimate: FlowEstimator, film: Film) -> tuple[float, float, float, float]:
    """End-point error (nan where unknown), photometric error, mean confidence, milliseconds (median)."""
    ends, differences, confidence, spent = [], [], [], []
    for number in range(1, len(film.frames)):
        current, previous = film.frames[number], film.frames[number - 1]
        begun = time.process_time()
        flow = estimate(current, previous)
        spent.append(1000 * (time.process_time() - begun))
        if number <= WARM_UP:
            continue
        difference = (current - warp(previous, flow.vectors)).abs().mean(1)
        differences.append(1000 * difference.clamp(max=0.2).mean().item())
        confidence.append(flow.confidence.mean().item())
        if film.exact is not None:
            exact, seen = film.exact[number - 1]
            ends.append((flow.vectors - exact).square().sum(1, keepdim=True).sqrt()[seen].mean().item())
    return (
        float(np.mean(ends)) if ends else math.nan,
        float(np.mean(differences)),
        float(np.mean(confidence)),
        float(np.median(spent)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--clips", nargs="*", type=Path, default=[], help="films or folders, measured by photometric error"
    )
    parser.add_argument("--raft", type=Path, metavar="WEIGHTS", help="RAFT-small too, with fewer and fewer updates")
    parser.add_argument("--frames", type=int, default=10, help="of each film (default: %(default)s)")
    parser.add_argument("--width", type=int, default=640, help="wider clips are scaled down (default: %(default)s)")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)

    films = {
        "boats": boats(),
        "slow pan": flight(args.frames, lambda t: (2.3 * t, 0.4 * t), 0),
        "quick pan": flight(args.frames, lambda t: (40.0 * t, 0.0), 1),
        "swing": flight(args.frames, lambda t: (60 * math.sin(0.7 * t), 8 * math.sin(1.1 * t)), 2),
        **{path.stem: clip(path, args.frames, args.width) for path in args.clips},
    }
    kinds = [DIS]
    if args.raft:
        from torchvision.models.optical_flow import raft_small

        from videostyle.flow._raft import Raft

        def raft(updates: int) -> FlowEstimator:
            net = raft_small(weights=None)
            net.load_state_dict(torch.load(args.raft, weights_only=True))
            return Raft(net, FlowOptions.longest_side, "cpu", updates)

        kinds.append({f"RAFT-small, {updates} updates": partial(raft, updates) for updates in (12, 8, 6, 4)})

    rows = []
    print("| " + " | ".join(["", *films, "confidence", "cost"]) + " |")
    print("| --- |" + " --- |" * (len(films) + 2))
    for kind in kinds:
        shipped = None
        for name, make in kind.items():
            found = {title: score(make(), film) for title, film in films.items()}
            shipped = shipped or found
            cost = float(np.mean([found[title][3] / shipped[title][3] for title in films]))
            cells = [f"{end:.2f}, {photo:.1f}" if end == end else f"{photo:.1f}" for end, photo, _, _ in found.values()]
            confidence = float(np.mean([confident for _, _, confident, _ in found.values()]))
            print("| " + " | ".join([name, *cells, f"{confidence:.2f}", f"{cost:.2f}"]) + " |", flush=True)
            rows.append({"estimator": name, "cost": cost, "films": {title: found[title][:3] for title in films}})
    if args.json:
        about = {"opencv": cv2.__version__, "torch": torch.__version__, "date": time.strftime("%Y-%m-%d")}
        args.json.write_text(json.dumps({"about": about, "rows": rows}, indent=2).replace("NaN", "null") + "\n")


if __name__ == "__main__":
    main()
