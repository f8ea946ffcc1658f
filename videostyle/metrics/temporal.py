"""How steady a painted film is (warping error, e_stab, flicker of what stands still), and what of its detail that cost.

Warping error after Lai et al. 2018, with the constants of their code: the flow from each frame to the next is
estimated on the film, never on the painting; the next painting is moved back along it and compared where the flow is
consistent (Sundaram et al. 2010) and not at a motion boundary. Ours is the mean over colour channels, as the
published figures are; taking the sum instead would give three times as much. Where we differ: the flow is the
judge's, not FlowNet2's; pixels that leave the picture are left out; nothing goes through JPEG first; a pair with no
valid pixel is left out instead of counting all pixels; pairs across a cut are left out.

Where the motion is known exactly, as in a rendered film, it is used between neighbouring frames instead: then the
earlier painting is moved onto the later one, since it is the later one's hidden points that are known.

A blurred or frozen film has no warping error: always report it beside the Laplacian energy kept and the film's own
error, which no honest painting of it falls far below.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from videostyle.metrics.figures import mean
from videostyle.ops.filters import box, luma, stack_rows
from videostyle.ops.warp import consistency_error, inside, motion_boundaries, warp
from videostyle.types import Flow, FlowEstimator

_LAPLACIAN = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)
# Where the film differs by less than STILL from the frame before, over 5x5 pixels, it may stand still: compression and
# grain differ by less. Where steps to the neighbours sum up to EDGE besides, motion of a quarter of a pixel would show;
# a flat sky would pass even in a pan.
STILL, EDGE = 2 / 255, 16 / 255
# With less of the picture standing still than this, chance decides.
ENOUGH = 0.01


class EvaluationFlow:
    """DIS at full resolution with OpenCV's medium preset: not the flow the stabiliser uses, and better.

    RAFT-small, where its weights are at hand, is as good a judge and slower on a CPU.
    """

    def __init__(self) -> None:
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def __call__(self, current: Tensor, previous: Tensor) -> Flow:
        """As a FlowEstimator, for pictures of at least 32 px a side; the confidence is left at 1."""
        before, now = (
            [cv2.convertScaleAbs(row[0].numpy(force=True), alpha=255) for row in luma(pictures).contiguous()]
            for pictures in (previous, current)
        )
        start = np.zeros((*now[0].shape, 2), np.float32)
        flows = [self._dis.calc(a, b, start.copy()) for a, b in zip(now, before, strict=True)]
        backward = stack_rows(flows).to(current.device)
        return Flow(backward, torch.ones_like(backward[:, :1]))


@dataclass(frozen=True, slots=True, eq=False)
class ExactMotion:
    """How a frame came from the one before it, known and not estimated."""

    vectors: Tensor
    """(1, 2, H, W) float32 in pixels, x then y: previous(p + backward(p)) shows what this frame shows at p."""
    hidden: Tensor
    """(1, 1, H, W) bool: points of this frame that were covered, or outside the picture, in the frame before."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Two frames of every version of a film, `gap` frames apart."""

    gap: int
    errors: dict[str, float]
    """Warping error by version; nan where nothing could be judged."""
    flow: Tensor
    """(1, 2, H, W): from the frame judged to the other one."""
    valid: Tensor
    """(1, 1, H, W), 0 or 1: where it was judged."""
    on_later: bool
    """The later frame is judged against the earlier one, moved; False the other way round, as Lai et al. do it."""


def valid_motion(film: Tensor, following: Tensor, flow: FlowEstimator) -> tuple[Tensor, Tensor]:
    """The flow (N, 2, H, W) from `film` to the frame after it, and where it is to be judged by, (N, 1, H, W) 0 or 1."""
    ahead = flow(film, following).vectors
    back = flow(following, film).vectors
    valid = (consistency_error(ahead, back) <= 1) & ~motion_boundaries(ahead) & inside(ahead)
    return ahead, valid.float()


def warping_error(picture: Tensor, following: Tensor, ahead: Tensor, valid: Tensor) -> float:
    """Mean squared difference per channel of `picture` and the one after it moved back; nan where nothing is valid.

    Pictures (N, C, H, W) in 0..1, with the motion and mask of `valid_motion`.
    """
    count = valid.sum().item() * picture.shape[1]
    if count == 0:
        return math.nan
    return ((picture - warp(following, ahead)).square() * valid).sum().item() / count


def instability(picture: Tensor, before: Tensor, motion: ExactMotion) -> float:
    """Squared error of the picture before, moved onto `picture` where it was not hidden, over all pixels and channels.

    The root of its mean over a film is e_stab (Huang et al. 2017, as Gao et al. 2018 report it): exact flow and
    occlusion, motion boundaries included. Pictures (1, C, H, W) in 0..1.
    """
    return ((picture - warp(before, motion.vectors)).square() * ~motion.hidden).mean().item()


def laplacian_energy(picture: Tensor) -> float:
    """Mean square of the 4-neighbour Laplacian over pixels and channels of (N, C, H, W) in 0..1: fine detail."""
    rows = [np.ascontiguousarray(row.permute(1, 2, 0).numpy(force=True)) for row in picture]
    return float(np.mean([np.square(cv2.filter2D(row, -1, _LAPLACIAN)).mean() for row in rows]))


def still(film: Tensor, before: Tensor) -> Tensor:
    """Where the film stands still, (N, 1, H, W) bool, found without any flow; for pictures (N, 3, H, W) in 0..1.

    It must look as it did, and have edges that would have shown a motion.
    """
    now = luma(film)
    alike = box((now - luma(before)).abs(), 2) < STILL
    steps = torch.zeros_like(now)
    steps[..., :, 1:] += (now[..., :, 1:] - now[..., :, :-1]).abs()
    steps[..., 1:, :] += (now[..., 1:, :] - now[..., :-1, :]).abs()
    return alike & (box(steps, 2) > EDGE)


def flicker(picture: Tensor, before: Tensor, where: Tensor) -> float:
    """Mean absolute difference of two pictures (1, C, H, W) in 0..1 `where` (1, 1, H, W) the film stands still.

    nan where that is less than `ENOUGH` of the picture.
    """
    count = where.sum().item()
    if count < ENOUGH * where.numel():
        return math.nan
    return ((picture - before).abs() * where).sum().item() / (count * picture.shape[1])


class Pairs:
    """Compares every frame of several versions of a film with earlier ones, never across a cut.

    Holds the last `max(gaps)` frames of each version, in half precision all but the last.
    """

    def __init__(self, flow: FlowEstimator | None = None, gaps: Sequence[int] = (1,)) -> None:
        if not gaps or min(gaps) < 1:
            raise ValueError(f"gaps must be at least 1, got {tuple(gaps)}")
        self.gaps = tuple(gaps)
        self._flow = flow or EvaluationFlow()
        self._held: deque[tuple[Tensor, dict[str, Tensor]]] = deque(maxlen=max(gaps))

    def add(
        self, is_cut: bool, film: Tensor, versions: Mapping[str, Tensor], exact: ExactMotion | None = None
    ) -> list[Comparison]:
        """The comparisons that one more frame (1, 3, H, W) of the film and of its versions makes possible.

        `exact` is the motion from the frame before, where it is known; it takes the place of the flow for gap 1.
        """
        if is_cut or (self._held and self._held[-1][0].shape != film.shape):
            self._held.clear()
        found = []
        for gap in self.gaps:
            if len(self._held) >= gap:
                found.append(self._compare(gap, film, versions, exact if gap == 1 else None))
        if self._held and self._held.maxlen != 1:
            last, pictures = self._held[-1]
            # The film is one of its own versions, most times: it is held once.
            halves = {id(picture): picture.half() for picture in (last, *pictures.values())}
            self._held[-1] = halves[id(last)], {name: halves[id(picture)] for name, picture in pictures.items()}
        self._held.append((film, dict(versions)))
        return found

    def _compare(self, gap: int, film: Tensor, versions: Mapping[str, Tensor], exact: ExactMotion | None) -> Comparison:
        film_before, before = self._held[-gap]
        if exact is not None:
            flow = exact.vectors
            valid = (~exact.hidden & ~motion_boundaries(flow) & inside(flow)).float()
        else:
            flow, valid = valid_motion(film_before.float(), film, self._flow)
        errors = {}
        for name, picture in versions.items():
            earlier = before[name].float()
            judged, other = (picture, earlier) if exact is not None else (earlier, picture)
            errors[name] = warping_error(judged, other, flow, valid)
        return Comparison(gap, errors, flow, valid, on_later=exact is not None)


@dataclass(frozen=True, slots=True)
class Steadiness:
    """What `Judge` found out about one version of a film."""

    warping_error: float
    """Per channel, of pictures in 0..1, the mean over pairs of frames; nan where no pair could be judged."""
    laplacian_energy: float
    pairs: int


class Judge:
    """Scores several versions of a film at once, frame by frame: the film itself, its painting, the steadied one.

        judge = Judge()
        for frame in mark_cuts(frames):
            judge.add(frame.is_cut, content, {"film": content, "per frame": painted, "stabilised": steady})
        judge.result()["stabilised"].warping_error

    `gaps` are how many frames apart the frames compared are; as many earlier frames of each version are held.
    """

    def __init__(self, flow: FlowEstimator | None = None, gaps: Sequence[int] = (1,)) -> None:
        self._pairs = Pairs(flow, gaps)
        self._errors: dict[int, dict[str, list[float]]] = {gap: {} for gap in gaps}
        self._energies: dict[str, list[float]] = {}

    def add(self, is_cut: bool, film: Tensor, versions: Mapping[str, Tensor], exact: ExactMotion | None = None) -> None:
        """One frame (1, 3, H, W) of the film and of each version of it, in order, always the same versions.

        `exact` is the motion from the frame before, where it is known.
        """
        for comparison in self._pairs.add(is_cut, film, versions, exact):
            for name, error in comparison.errors.items():
                self._errors[comparison.gap].setdefault(name, []).append(error)
        for name, picture in versions.items():
            self._energies.setdefault(name, []).append(laplacian_energy(picture))

    def result(self, gap: int | None = None) -> dict[str, Steadiness]:
        """The scores so far for one of the gaps (None: the first), in the order the versions were given."""
        errors = self._errors[self._pairs.gaps[0] if gap is None else gap]
        scores = {}
        for name, energies in self._energies.items():
            judged = [error for error in errors.get(name, []) if not math.isnan(error)]
            scores[name] = Steadiness(mean(judged), sum(energies) / len(energies), len(judged))
        return scores
