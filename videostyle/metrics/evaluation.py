"""Evaluation of a stylized film: temporal stability, its cost, and the worst frames.

It takes one pass and holds a bounded number of frames. Every score is given for the source too, whose warping error is
a floor that no honest stylization falls far below, and for the reference, the film stylized frame by frame, if there is
one.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import zip_longest
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import Tensor

from videostyle.cuts import mark_cuts
from videostyle.errors import UsageError
from videostyle.files import AnyPath
from videostyle.io import open_source
from videostyle.metrics import appearance
from videostyle.metrics.appearance import FeatureExtractor
from videostyle.metrics.figures import mean, ratio
from videostyle.metrics.ghosts import GhostShare
from videostyle.metrics.options import EvaluateOptions
from videostyle.metrics.scores import (
    FILM,
    REFERENCE,
    STYLIZED,
    Evaluation,
    FrameScores,
    ReferenceShares,
    Scores,
    WorstMoment,
)
from videostyle.metrics.temporal import (
    Comparison,
    ExactMotion,
    Pairs,
    flicker,
    instability,
    laplacian_energy,
    still,
)
from videostyle.ops.filters import shrink
from videostyle.ops.pixels import resize, to_float, to_pixels
from videostyle.ops.warp import warp
from videostyle.progress import OnProgress, Progress, ignore
from videostyle.timeline import Span
from videostyle.types import FlowEstimator, Frame, Source

if TYPE_CHECKING:
    from videostyle.metrics.lpips import Lpips

EVALUATION_FLOW = "DIS at full size, OpenCV's medium preset"
# Least side, in pixels, that the evaluation flow accepts.
SMALLEST = 32
# Width of the pictures of the worst frames.
_THUMBNAIL = 480
# Difference (root of the mean square over channels) that is drawn in the hottest colour.
_HOTTEST = 0.3


Film = AnyPath | Iterable[Frame]
"""A film's path, or its frames in order."""


def evaluate(
    source: Film,
    stylized: Film,
    reference: Film | None = None,
    options: EvaluateOptions = EvaluateOptions(),  # noqa: B008 - frozen
    *,
    flow: FlowEstimator | None = None,
    flow_name: str = EVALUATION_FLOW,
    exact: Callable[[int], ExactMotion | None] | None = None,
    extractor: FeatureExtractor | None = None,
    lpips: Lpips | None = None,
    on_progress: OnProgress = ignore,
) -> Evaluation:
    """Compare a stylized film with its source, and with `reference`, the film stylized frame by frame.

    Frames are matched in order; a source of another size is scaled to that of the stylized film. `flow` is the
    evaluation flow (None: DIS, finer than the stabilizer's); it must not be the stabilizer's. `flow_name` is its name.
    `exact` returns the exact motion that led to a frame, by the frame's number, or None where it is unknown. Style and
    content distances need an `extractor`, warped LPIPS needs `lpips`.

    Raises UsageError if the numbers or sizes of frames do not agree.
    """
    evaluator = _Evaluator(options, Pairs(flow, options.gaps), exact, extractor, lpips)
    with ExitStack() as stack:
        film, *others = (_frames_of(one, stack) for one in (source, stylized, reference) if one is not None)
        for number, (frame, versions) in enumerate(_matched(mark_cuts(film), *others)):
            evaluator.add(number, frame, versions)
            on_progress(Progress("measuring", number + 1, None, "frames"))
    if not evaluator.frame_scores:
        raise UsageError("there is no frame to evaluate")
    if exact is not None:
        flow_name = f"exact motion from frame to frame; {flow_name} where there is none and over longer gaps"
    return evaluator.result(flow_name)


def _frames_of(film: Film, stack: ExitStack) -> Iterable[Frame]:
    """Return the frames of a film, which is closed when `stack` is left if it was opened here."""
    if isinstance(film, str | os.PathLike):
        opened: Source = open_source(os.fspath(film))
        return stack.enter_context(opened).frames(Span())
    return film


def _matched(
    source: Iterable[Frame], stylized: Iterable[Frame], reference: Iterable[Frame] | None = None
) -> Iterator[tuple[Frame, dict[str, Tensor]]]:
    """Yield each frame of the source with the pictures (1, 3, H, W) of all versions, of the stylized film's size."""
    names = [FILM, STYLIZED] + ([REFERENCE] if reference is not None else [])
    films = [source, stylized] + ([reference] if reference is not None else [])
    size = None
    for number, row in enumerate(zip_longest(*films)):
        frames = [frame for frame in row if frame is not None]
        if len(frames) < len(names):
            ended = [name for name, frame in zip(names, row, strict=True) if frame is None]
            others = [name for name in names if name not in ended]
            raise UsageError(
                f"the films do not match: after {number} frames {' and '.join(ended)} ended "
                f"and {' and '.join(others)} went on; every frame needs its counterpart"
            )
        film, *versions = (to_float(frame) for frame in frames)
        size = size or versions[0].shape[2:]
        for name, picture in zip(names[1:], versions, strict=True):
            if picture.shape[2:] != size:
                raise UsageError(
                    f"frame {number} of {name} is {_by(picture.shape[2:])}, the first of {STYLIZED} is {_by(size)}: "
                    "give films of one size"
                )
        if min(size) < SMALLEST:
            raise UsageError(f"frames must have at least {SMALLEST} pixels a side, got {_by(size)}")
        film = resize(film, (size[0], size[1]))
        yield frames[0], dict(zip(names, (film, *versions), strict=True))


def _by(size: Iterable[int]) -> str:
    height, width = size
    return f"{width}x{height}"


class _Evaluator:
    """Measures the scores frame by frame; holds the scores, and the earlier frames that the gaps need."""

    def __init__(
        self,
        options: EvaluateOptions,
        pairs: Pairs,
        exact: Callable[[int], ExactMotion | None] | None,
        extractor: FeatureExtractor | None,
        lpips: Lpips | None,
    ) -> None:
        self.options = options
        self.frame_scores: list[FrameScores] = []
        self._pairs = pairs
        self._exact = exact
        self._extractor = extractor
        self._lpips = lpips
        self._before: dict[str, Tensor] = {}
        self._after_cut = GhostShare()
        self._ghost = GhostShare()
        self._worst: list[WorstMoment] = []
        self._size = (0, 0)

    def add(self, number: int, frame: Frame, versions: dict[str, Tensor]) -> None:
        """Measure the scores of one more frame, in all versions."""
        film, stylized = versions[FILM], versions[STYLIZED]
        reference = versions.get(REFERENCE)
        self._size = film.shape[3], film.shape[2]
        exact = self._exact_at(number) if not frame.is_cut and self._before else None
        comparisons = self._pairs.add(frame.is_cut, film, versions, exact)
        scores = FrameScores(number, round(frame.time, 6), frame.is_cut)
        every = self.options.perceptual_every
        # Not from the first frame on: a stabilized film begins with an unblended frame, which looks best.
        costly = every > 0 and number % every == every // 3
        for comparison in comparisons:
            scores.warping_error[comparison.gap] = {
                name: error for name, error in comparison.errors.items() if not math.isnan(error)
            }
            if comparison.gap == 1:
                self._add_worst(scores, comparison, versions)
                if self._lpips is not None and costly:
                    for name in versions:
                        picture, warped = self._aligned(comparison, versions, name)
                        scores.warped_lpips[name] = self._lpips(picture, warped, comparison.valid)
        if self._before and not frame.is_cut:
            where = still(film, self._before[FILM])
            for name, picture in versions.items():
                scores.change[name] = (picture - self._before[name]).abs().mean().item()
                scores.flicker[name] = flicker(picture, self._before[name], where)
                if exact is not None:
                    scores.instability[name] = instability(picture, self._before[name], exact)
        for name, picture in versions.items():
            scores.laplacian_energy[name] = laplacian_energy(picture)
            scores.gradient_energy[name] = appearance.gradient_energy(picture)
        if reference is not None:
            scores.ssim = appearance.ssim(stylized, reference)
            if frame.is_cut and self._before:
                self._after_cut.add(stylized, reference, self._before[STYLIZED])
            if exact is not None:
                self._ghost.add(stylized, reference, warp(self._before[STYLIZED], exact.vectors), exact.hidden)
        if self._extractor is not None and costly:
            self._add_features(self._extractor, scores, versions)
        self.frame_scores.append(scores)
        self._before = versions

    def _aligned(self, comparison: Comparison, versions: dict[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
        """Return the picture of a comparison of neighbours that the flow starts from, and the other, warped to it."""
        first, other = (versions, self._before) if comparison.on_later else (self._before, versions)
        return first[name], warp(other[name], comparison.flow)

    def _exact_at(self, number: int) -> ExactMotion | None:
        exact = self._exact(number) if self._exact else None
        if exact is not None and exact.vectors.shape[2:] != self._size[::-1]:
            raise UsageError(
                f"exact motion is for pictures of {_by(exact.vectors.shape[2:])}, these are {_by(self._size[::-1])}"
            )
        return exact

    def _add_features(self, extractor: FeatureExtractor, scores: FrameScores, versions: dict[str, Tensor]) -> None:
        seen = {name: extractor(picture) for name, picture in versions.items()}
        for name in list(versions)[1:]:
            scores.content_distance[name] = appearance.content_of(seen[name], seen[FILM])
        if REFERENCE in seen:
            scores.style_distance = appearance.style_distance(seen[STYLIZED], seen[REFERENCE])

    def _add_worst(self, scores: FrameScores, comparison: Comparison, versions: dict[str, Tensor]) -> None:
        """Keep pictures of this frame if it is among the worst, and not near a worse one."""
        error = comparison.errors[STYLIZED]
        near = [one for one in self._worst if scores.index - one.index <= self.options.apart]
        others = [one for one in self._worst if one not in near]
        full = len(others) >= self.options.worst and all(one.error >= error for one in others)
        if math.isnan(error) or full or any(one.error >= error for one in near):
            return
        shown = scores if comparison.on_later else self.frame_scores[-1]
        compared = versions if comparison.on_later else self._before
        stylized, warped = self._aligned(comparison, versions, STYLIZED)
        pictures = {
            FILM: compared[FILM],
            STYLIZED: stylized,
            "moved": warped,
            "heat": heat_map(stylized, warped, comparison.valid),
        }
        if REFERENCE in compared:
            pictures[REFERENCE] = compared[REFERENCE]
        small = {name: _thumbnail(picture) for name, picture in pictures.items()}
        worst = WorstMoment(shown.index, shown.time, error, comparison.errors[FILM], small)
        self._worst = sorted([*others, worst], key=lambda one: -one.error)[: self.options.worst]

    def result(self, flow_name: str) -> Evaluation:
        """Return the evaluation of the frames so far."""
        names = list(self.frame_scores[0].laplacian_energy)
        scores = {name: self._scores(name) for name in names}
        return Evaluation(
            frames=len(self.frame_scores),
            size=self._size,
            cuts=[one.time for one in self.frame_scores if one.is_cut and one.index > 0],
            flow_name=flow_name,
            pairs={
                gap: sum(STYLIZED in one.warping_error.get(gap, {}) for one in self.frame_scores)
                for gap in self.options.gaps
            },
            scores=scores,
            kept=self._kept(scores[STYLIZED], scores[REFERENCE]) if REFERENCE in scores else None,
            frame_scores=self.frame_scores,
            worst=self._worst,
        )

    def _scores(self, name: str) -> Scores:
        def average(values: Iterable[dict[str, float]]) -> float:
            return mean(found[name] for found in values if name in found)

        errors = {
            gap: average(one.warping_error.get(gap, {}) for one in self.frame_scores) for gap in self.options.gaps
        }
        return Scores(
            warping_error=errors,
            e_stab=math.sqrt(average(one.instability for one in self.frame_scores)),
            flicker=average(one.flicker for one in self.frame_scores),
            change=average(one.change for one in self.frame_scores),
            laplacian_energy=average(one.laplacian_energy for one in self.frame_scores),
            gradient_energy=average(one.gradient_energy for one in self.frame_scores),
            content_distance=average(one.content_distance for one in self.frame_scores),
            warped_lpips=average(one.warped_lpips for one in self.frame_scores),
        )

    def _kept(self, stylized: Scores, reference: Scores) -> ReferenceShares:
        return ReferenceShares(
            laplacian=ratio(stylized.laplacian_energy, reference.laplacian_energy),
            gradient=ratio(stylized.gradient_energy, reference.gradient_energy),
            change=ratio(stylized.change, reference.change),
            ssim=mean(one.ssim for one in self.frame_scores),
            style_distance=mean(one.style_distance for one in self.frame_scores),
            after_cut=self._after_cut.share,
            ghost=self._ghost.share,
        )


def heat_map(picture: Tensor, other: Tensor, valid: Tensor) -> Tensor:
    """Draw the difference of two pictures (1, 3, H, W) in 0..1 as colours of that shape: black to yellow, or grey.

    The difference is the root of the mean square over channels; `_HOTTEST` and above has the last colour, and pixels
    that are not valid are grey.
    """
    difference = (picture - other).square().mean(1).sqrt()[0] / _HOTTEST
    steps = (difference.clamp(0, 1) * 255).byte().numpy(force=True)
    colors = cv2.applyColorMap(steps, cv2.COLORMAP_INFERNO)[..., ::-1]
    colors = np.where(valid[0, 0].numpy(force=True)[..., None] > 0, colors, 128).astype(np.float32) / 255
    return torch.from_numpy(colors).permute(2, 0, 1)[None]


def _thumbnail(picture: Tensor) -> Tensor:
    height, width = picture.shape[2:]
    wide = min(width, _THUMBNAIL)
    return to_pixels(shrink(picture, (max(round(height * wide / width), 1), wide)).clamp(0, 1))[0]
