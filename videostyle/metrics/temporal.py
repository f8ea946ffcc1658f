"""Temporal metrics of a stylized film: warping error, e_stab, flicker of still areas, and Laplacian energy.

Warping error after Lai et al. 2018, with the constants of their code: the flow from each frame to the next is estimated
on the film, never on the stylized frames; the next stylized frame is warped back along it and compared where the flow
is consistent (Sundaram et al. 2010) and not at a motion boundary. Ours is the mean over colour channels, as in the
published figures; the sum would be three times as much. Differences from the paper: the flow is the evaluation flow,
not FlowNet2; pixels that leave the picture are left out; no frame is compressed to JPEG first; a pair with no valid
pixel is left out instead of counting all pixels; pairs across a cut are left out.

If the motion is known exactly, as in a rendered film, it is used between neighbouring frames instead: then the earlier
frame is warped to the later one, since the hidden points of the later one are known.

A blurred or frozen film has no warping error: always report it beside the Laplacian energy kept and the film's own
error, which no honest stylization falls far below.
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
# An area of the film is still if it differs by less than STILL from the frame before, over 5x5 pixels (compression and
# grain differ by less), and the differences of neighbouring pixels sum up to EDGE, so that motion of a quarter of a
# pixel would be visible. Without the second condition, a flat sky would count as still even in a pan.
STILL, EDGE = 2 / 255, 16 / 255
# Least share of still pixels; with less, the flicker of still areas is not measured.
ENOUGH = 0.01


class EvaluationFlow:
    """Evaluation flow, DIS at full resolution with OpenCV's medium preset: better than the stabilizer's flow.

    RAFT-small, if its weights are available, is as good and slower on a CPU.
    """

    def __init__(self) -> None:
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def __call__(self, current: Tensor, previous: Tensor) -> Flow:
        """Return the backward flow of pictures of at least 32 px a side; its confidence is 1 everywhere."""
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
    """Exact motion of a frame since the one before it, known and not estimated."""

    vectors: Tensor
    """(1, 2, H, W) float32 in pixels, x then y: previous(p + vectors(p)) shows what this frame shows at p."""
    hidden: Tensor
    """(1, 1, H, W) bool: points of this frame that were occluded, or outside the picture, in the frame before."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Comparison of two frames, `gap` frames apart, in every version of a film."""

    gap: int
    errors: dict[str, float]
    """Warping error by version; nan if no pixel is valid."""
    flow: Tensor
    """Flow of the comparison, (1, 2, H, W), from one frame to the other, which is warped to it."""
    valid: Tensor
    """Mask of the compared pixels, (1, 1, H, W), 0 or 1."""
    on_later: bool
    """True if the flow starts from the later frame; False if from the earlier one, as in Lai et al."""


def valid_motion(film: Tensor, following: Tensor, flow: FlowEstimator) -> tuple[Tensor, Tensor]:
    """Estimate the flow (N, 2, H, W) from `film` to the frame after it, and its validity mask, (N, 1, H, W) 0 or 1."""
    ahead = flow(film, following).vectors
    back = flow(following, film).vectors
    valid = (consistency_error(ahead, back) <= 1) & ~motion_boundaries(ahead) & inside(ahead)
    return ahead, valid.float()


def warping_error(picture: Tensor, following: Tensor, ahead: Tensor, valid: Tensor) -> float:
    """Compute the mean squared difference per channel of `picture` and the next one warped back; nan if none is valid.

    Pictures are (N, C, H, W) in 0..1, flow and mask those of `valid_motion`.
    """
    count = valid.sum().item() * picture.shape[1]
    if count == 0:
        return math.nan
    return ((picture - warp(following, ahead)).square() * valid).sum().item() / count


def instability(picture: Tensor, before: Tensor, motion: ExactMotion) -> float:
    """Compute the squared error of `before` warped to `picture`, 0 in hidden points, over all pixels and channels.

    The root of its mean over a film is e_stab (Huang et al. 2017, as reported by Gao et al. 2018): exact flow and
    occlusion, motion boundaries included. Pictures are (1, C, H, W) in 0..1.
    """
    return ((picture - warp(before, motion.vectors)).square() * ~motion.hidden).mean().item()


def laplacian_energy(picture: Tensor) -> float:
    """Compute the mean square of the 4-neighbour Laplacian of (N, C, H, W) in 0..1, a measure of fine detail."""
    rows = [np.ascontiguousarray(row.permute(1, 2, 0).numpy(force=True)) for row in picture]
    return float(np.mean([np.square(cv2.filter2D(row, -1, _LAPLACIAN)).mean() for row in rows]))


def still(film: Tensor, before: Tensor) -> Tensor:
    """Find the still areas of the film, (N, 1, H, W) bool, without any flow; for pictures (N, 3, H, W) in 0..1.

    A still area equals the frame before, and has edges that would show a motion.
    """
    now = luma(film)
    unchanged = box((now - luma(before)).abs(), 2) < STILL
    steps = torch.zeros_like(now)
    steps[..., :, 1:] += (now[..., :, 1:] - now[..., :, :-1]).abs()
    steps[..., 1:, :] += (now[..., 1:, :] - now[..., :-1, :]).abs()
    return unchanged & (box(steps, 2) > EDGE)


def flicker(picture: Tensor, before: Tensor, where: Tensor) -> float:
    """Compute the mean absolute difference of two pictures (1, C, H, W) in 0..1 over still areas, `where`.

    `where` is (1, 1, H, W) bool; the result is nan if it covers less than `ENOUGH` of the picture.
    """
    count = where.sum().item()
    if count < ENOUGH * where.numel():
        return math.nan
    return ((picture - before).abs() * where).sum().item() / (count * picture.shape[1])


class Pairs:
    """Compares every frame of several versions of a film with earlier ones, never across a cut.

    It holds the last `max(gaps)` frames of each version, all but the last in half precision.
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
        """Compare one more frame (1, 3, H, W) of the film and of its versions with the earlier ones.

        `exact` is the exact motion since the frame before, if known; it replaces the flow for gap 1.
        """
        if is_cut or (self._held and self._held[-1][0].shape != film.shape):
            self._held.clear()
        found = []
        for gap in self.gaps:
            if len(self._held) >= gap:
                found.append(self._compare(gap, film, versions, exact if gap == 1 else None))
        if self._held and self._held.maxlen != 1:
            last, pictures = self._held[-1]
            # The film is usually one of its own versions: it is held once.
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
            first, other = (picture, earlier) if exact is not None else (earlier, picture)
            errors[name] = warping_error(first, other, flow, valid)
        return Comparison(gap, errors, flow, valid, on_later=exact is not None)


@dataclass(frozen=True, slots=True)
class TemporalScores:
    """Result of `TemporalMetrics` for one version of a film."""

    warping_error: float
    """Warping error per channel, of pictures in 0..1, the mean over pairs of frames; nan without a valid pair."""
    laplacian_energy: float
    pairs: int


class TemporalMetrics:
    """Temporal scores of several versions of a film, measured frame by frame.

        metrics = TemporalMetrics()
        for frame in mark_cuts(frames):
            metrics.add(frame.is_cut, content, {"film": content, "per frame": stylized, "stabilized": stabilized})
        metrics.result()["stabilized"].warping_error

    `gaps` are the distances, in frames, of the compared frames; as many earlier frames of each version are held.
    """

    def __init__(self, flow: FlowEstimator | None = None, gaps: Sequence[int] = (1,)) -> None:
        self._pairs = Pairs(flow, gaps)
        self._errors: dict[int, dict[str, list[float]]] = {gap: {} for gap in gaps}
        self._energies: dict[str, list[float]] = {}

    def add(self, is_cut: bool, film: Tensor, versions: Mapping[str, Tensor], exact: ExactMotion | None = None) -> None:
        """Add one frame (1, 3, H, W) of the film and of each version, in order, always the same versions.

        `exact` is the exact motion since the frame before, if known.
        """
        for comparison in self._pairs.add(is_cut, film, versions, exact):
            for name, error in comparison.errors.items():
                self._errors[comparison.gap].setdefault(name, []).append(error)
        for name, picture in versions.items():
            self._energies.setdefault(name, []).append(laplacian_energy(picture))

    def result(self, gap: int | None = None) -> dict[str, TemporalScores]:
        """Return the scores so far for one of the gaps (None: the first), in the order of the versions."""
        errors = self._errors[self._pairs.gaps[0] if gap is None else gap]
        scores = {}
        for name, energies in self._energies.items():
            valid = [error for error in errors.get(name, []) if not math.isnan(error)]
            scores[name] = TemporalScores(mean(valid), sum(energies) / len(energies), len(valid))
        return scores
