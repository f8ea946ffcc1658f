"""How steady a painted film is (warping error), and what of its detail that cost (Laplacian energy).

Warping error after Lai et al. 2018, with the constants of their code: the flow from each frame to the next is
estimated on the film, never on the painting; the next painting is moved back along it and compared where the flow is
consistent (Sundaram et al. 2010) and not at a motion boundary. Ours is the mean over colour channels, as the
published figures are; taking the sum instead would give three times as much. Where we differ: the flow is the
judge's, not FlowNet2's; pixels that leave the picture are left out; nothing goes through JPEG first; a pair with no
valid pixel is left out instead of counting all pixels; pairs across a cut are left out.

A blurred or frozen film has no warping error: always report it beside the Laplacian energy kept and the film's own
error, which no honest painting of it falls far below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from videostyle.ops.filters import luma, stack_rows
from videostyle.ops.warp import contradiction, inside, motion_boundaries, warp
from videostyle.types import Flow, FlowEstimator

_LAPLACIAN = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)


class JudgeFlow:
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


def valid_motion(film: Tensor, following: Tensor, flow: FlowEstimator) -> tuple[Tensor, Tensor]:
    """The flow (N, 2, H, W) from `film` to the frame after it, and where it is to be judged by, (N, 1, H, W) 0 or 1."""
    ahead = flow(film, following).backward
    back = flow(following, film).backward
    valid = (contradiction(ahead, back) <= 1) & ~motion_boundaries(ahead) & inside(ahead)
    return ahead, valid.float()


def warping_error(picture: Tensor, following: Tensor, ahead: Tensor, valid: Tensor) -> float:
    """Mean squared difference per channel of `picture` and the one after it moved back; nan where nothing is valid.

    Pictures (N, C, H, W) in 0..1, with the motion and mask of `valid_motion`.
    """
    count = valid.sum().item() * picture.shape[1]
    if count == 0:
        return math.nan
    return ((picture - warp(following, ahead)).square() * valid).sum().item() / count


def laplacian_energy(picture: Tensor) -> float:
    """Mean square of the 4-neighbour Laplacian over pixels and channels of (N, C, H, W) in 0..1: fine detail."""
    rows = [np.ascontiguousarray(row.permute(1, 2, 0).numpy(force=True)) for row in picture]
    return float(np.mean([np.square(cv2.filter2D(row, -1, _LAPLACIAN)).mean() for row in rows]))


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

    Holds one earlier frame of each version.
    """

    def __init__(self, flow: FlowEstimator | None = None) -> None:
        self._flow = flow or JudgeFlow()
        self._film: Tensor | None = None
        self._versions: dict[str, Tensor] = {}
        self._errors: dict[str, list[float]] = {}
        self._energies: dict[str, list[float]] = {}

    def add(self, is_cut: bool, film: Tensor, versions: Mapping[str, Tensor]) -> None:
        """One frame (1, 3, H, W) of the film and of each version of it, in order, always the same versions."""
        if self._film is not None and not is_cut and self._film.shape == film.shape:
            ahead, valid = valid_motion(self._film, film, self._flow)
            for name, picture in versions.items():
                error = warping_error(self._versions[name], picture, ahead, valid)
                self._errors.setdefault(name, []).append(error)
        for name, picture in versions.items():
            self._energies.setdefault(name, []).append(laplacian_energy(picture))
        self._film, self._versions = film, dict(versions)

    def result(self) -> dict[str, Steadiness]:
        """The scores so far, in the order the versions were given."""
        scores = {}
        for name, energies in self._energies.items():
            errors = [error for error in self._errors.get(name, []) if not math.isnan(error)]
            mean = sum(errors) / len(errors) if errors else math.nan
            scores[name] = Steadiness(mean, sum(energies) / len(energies), len(errors))
        return scores
