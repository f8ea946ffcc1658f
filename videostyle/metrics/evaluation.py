"""Judges a painted film: how steady it is, what that cost, and where it is worst. One pass, a bounded number of frames.

Every figure stands beside the film's own, the floor that no honest painting falls far below, and, where it is given,
beside that of the painting made frame by frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch import Tensor

from videostyle.cuts import mark_cuts
from videostyle.errors import UsageError
from videostyle.metrics import appearance
from videostyle.metrics.appearance import Perception
from videostyle.metrics.figures import mean, plain, ratio
from videostyle.metrics.ghosts import Leftover
from videostyle.metrics.options import EvaluateOptions
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
from videostyle.types import FlowEstimator, Frame

if TYPE_CHECKING:
    from videostyle.metrics.lpips import Lpips

FILM, PAINTED, REFERENCE = "film", "painted", "per frame"
"""The versions that are judged."""
EVALUATION_FLOW = "DIS at full size, OpenCV's medium preset"
# What the judge's flow can take.
SMALLEST = 32
# Of the pictures kept of the worst moments.
_THUMBNAIL = 480
# Difference (root of the mean square over channels) that is drawn as the hottest colour.
_HOTTEST = 0.3


@dataclass(frozen=True, slots=True)
class Scores:
    """One version of the film; means over its frames, nan where nothing could be judged."""

    warping_error: dict[int, float]
    """By gap in frames; see `metrics.temporal`."""
    e_stab: float
    """Only with exact motion."""
    flicker: float
    """Mean absolute difference, 0..1, from frame to frame where the film stands still."""
    change: float
    """Mean absolute difference, 0..1, from frame to frame over the whole picture: what moves, and what flickers."""
    laplacian_energy: float
    gradient_energy: float
    content_distance: float
    """To the film, by the loss network."""
    warped_lpips: float
    """Between neighbours, motion taken away; see `metrics.lpips`."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The painting against the one made frame by frame: what steadying took away, and what it should have not left."""

    laplacian: float
    """Share of the finest detail's energy; below 1 is blur."""
    gradient: float
    """Share of the energy of edges."""
    change: float
    """Share of the change from frame to frame; 0 is a frozen picture."""
    ssim: float
    style_distance: float
    """Of Gram matrices, by the loss network."""
    after_cut: float
    """Share of the previous shot's last picture left in the first one after a cut: 0..1."""
    ghost: float
    """Share of what moved away left in what it uncovered: 0..1; only with exact motion."""


@dataclass(slots=True)
class Moment:
    """What was measured at one frame."""

    index: int
    time: float
    """Seconds."""
    is_cut: bool
    warping_error: dict[int, dict[str, float]] = field(default_factory=dict)
    """By gap, then by version; what could not be judged is left out."""
    flicker: dict[str, float] = field(default_factory=dict)
    change: dict[str, float] = field(default_factory=dict)
    instability: dict[str, float] = field(default_factory=dict)
    laplacian_energy: dict[str, float] = field(default_factory=dict)
    gradient_energy: dict[str, float] = field(default_factory=dict)
    content_distance: dict[str, float] = field(default_factory=dict)
    warped_lpips: dict[str, float] = field(default_factory=dict)
    ssim: float = math.nan
    style_distance: float = math.nan


@dataclass(frozen=True, slots=True, eq=False)
class Worst:
    """A moment at which the painting was unsteady, with pictures (3, h, w) uint8 of the frame that was judged."""

    index: int
    time: float
    error: float
    """Warping error of the painting."""
    film_error: float
    pictures: dict[str, Tensor]
    """What each shows: "film", "painted", "the other frame, moved"..., and "heat"."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What was found out about a painted film; `to_json` is what `videostyle evaluate --json` writes."""

    frames: int
    size: tuple[int, int]
    """Width and height at which it was judged: the painting's."""
    cuts: list[float]
    """Seconds."""
    judged_by: str
    """The flow that judged."""
    pairs: dict[int, int]
    """By gap: pairs of frames that could be judged."""
    scores: dict[str, Scores]
    """By version."""
    kept: Kept | None
    """Against the painting made frame by frame; None where that was not given."""
    moments: list[Moment]
    """Every frame, a few numbers each: what curves are drawn from."""
    worst: list[Worst]

    def to_json(self) -> dict[str, Any]:
        """Plain data without the pictures; what could not be judged is null."""
        return plain(
            {
                "frames": self.frames,
                "size": self.size,
                "cuts": self.cuts,
                "judged_by": self.judged_by,
                "pairs": self.pairs,
                "scores": {name: asdict(scores) for name, scores in self.scores.items()},
                "kept": asdict(self.kept) if self.kept else None,
                "worst": [{"index": one.index, "time": one.time, "error": one.error} for one in self.worst],
                "moments": [asdict(moment) for moment in self.moments],
            }
        )


def evaluate(
    source: Iterable[Frame],
    painted: Iterable[Frame],
    reference: Iterable[Frame] | None = None,
    options: EvaluateOptions = EvaluateOptions(),  # noqa: B008 - frozen
    *,
    flow: FlowEstimator | None = None,
    judged_by: str = EVALUATION_FLOW,
    exact: Callable[[int], ExactMotion | None] | None = None,
    perception: Perception | None = None,
    lpips: Lpips | None = None,
    on_frame: Callable[[Frame], None] | None = None,
) -> Evaluation:
    """Judge a painted film against its source, and against `reference`, the same painting made frame by frame.

    Frames are matched in order; a source of another size is scaled to the painting's. `flow` judges (None: DIS, finer
    than the stabiliser's) and must not be the one that blended; `judged_by` names it. `exact` tells the true motion
    that led to a frame, by its number, where it is known. Style and content are judged where `perception` is given,
    warped LPIPS where `lpips` is.

    Raises UsageError where the numbers or sizes of frames do not agree.
    """
    examiner = _Examiner(options, Pairs(flow, options.gaps), exact, perception, lpips)
    for number, (frame, versions) in enumerate(_matched(mark_cuts(source), painted, reference)):
        examiner.add(number, frame, versions)
        if on_frame is not None:
            on_frame(frame)
    if not examiner.moments:
        raise UsageError("there is no frame to judge")
    if exact is not None:
        judged_by = f"exact motion from frame to frame; {judged_by} where there is none and over longer gaps"
    return examiner.result(judged_by)


def _matched(
    source: Iterable[Frame], painted: Iterable[Frame], reference: Iterable[Frame] | None
) -> Iterator[tuple[Frame, dict[str, Tensor]]]:
    """Each frame of the source with the pictures (1, 3, H, W) of all versions, of the painting's size."""
    names = [FILM, PAINTED] + ([REFERENCE] if reference is not None else [])
    films = [source, painted] + ([reference] if reference is not None else [])
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
                    f"frame {number} of {name} is {_by(picture.shape[2:])}, the first of {PAINTED} is {_by(size)}: "
                    "give films of one size"
                )
        if min(size) < SMALLEST:
            raise UsageError(f"pictures must be at least {SMALLEST} pixels a side to be judged, got {_by(size)}")
        film = resize(film, (size[0], size[1]))
        yield frames[0], dict(zip(names, (film, *versions), strict=True))


def _by(size: Iterable[int]) -> str:
    height, width = size
    return f"{width}x{height}"


class _Examiner:
    """Takes the measures frame by frame; holds what the gaps need of earlier frames, and numbers."""

    def __init__(
        self,
        options: EvaluateOptions,
        pairs: Pairs,
        exact: Callable[[int], ExactMotion | None] | None,
        perception: Perception | None,
        lpips: Lpips | None,
    ) -> None:
        self.options = options
        self.moments: list[Moment] = []
        self._pairs = pairs
        self._exact = exact
        self._perception = perception
        self._lpips = lpips
        self._before: dict[str, Tensor] = {}
        self._after_cut = Leftover()
        self._ghost = Leftover()
        self._worst: list[Worst] = []
        self._size = (0, 0)

    def add(self, number: int, frame: Frame, versions: dict[str, Tensor]) -> None:
        film, painted = versions[FILM], versions[PAINTED]
        reference = versions.get(REFERENCE)
        self._size = film.shape[3], film.shape[2]
        exact = self._exact_at(number) if not frame.is_cut and self._before else None
        comparisons = self._pairs.add(frame.is_cut, film, versions, exact)
        moment = Moment(number, round(frame.time, 6), frame.is_cut)
        every = self.options.perceptual_every
        # Not from the first frame on: a steadied film begins with its fresh painting, and looks its best there.
        costly = every > 0 and number % every == every // 3
        for comparison in comparisons:
            moment.warping_error[comparison.gap] = {
                name: error for name, error in comparison.errors.items() if not math.isnan(error)
            }
            if comparison.gap == 1:
                self._note_worst(moment, comparison, versions)
                if self._lpips is not None and costly:
                    for name in versions:
                        judged, moved = self._aligned(comparison, versions, name)
                        moment.warped_lpips[name] = self._lpips(judged, moved, comparison.valid)
        if self._before and not frame.is_cut:
            where = still(film, self._before[FILM])
            for name, picture in versions.items():
                moment.change[name] = (picture - self._before[name]).abs().mean().item()
                moment.flicker[name] = flicker(picture, self._before[name], where)
                if exact is not None:
                    moment.instability[name] = instability(picture, self._before[name], exact)
        for name, picture in versions.items():
            moment.laplacian_energy[name] = laplacian_energy(picture)
            moment.gradient_energy[name] = appearance.gradient_energy(picture)
        if reference is not None:
            moment.ssim = appearance.ssim(painted, reference)
            if frame.is_cut and self._before:
                self._after_cut.add(painted, reference, self._before[PAINTED])
            if exact is not None:
                self._ghost.add(painted, reference, warp(self._before[PAINTED], exact.vectors), exact.hidden)
        if self._perception is not None and costly:
            self._perceive(self._perception, moment, versions)
        self.moments.append(moment)
        self._before = versions

    def _aligned(self, comparison: Comparison, versions: dict[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
        """Of two neighbours, the picture that is judged and the other one, moved onto it."""
        judged, other = (versions, self._before) if comparison.on_later else (self._before, versions)
        return judged[name], warp(other[name], comparison.flow)

    def _exact_at(self, number: int) -> ExactMotion | None:
        exact = self._exact(number) if self._exact else None
        if exact is not None and exact.vectors.shape[2:] != self._size[::-1]:
            raise UsageError(
                f"exact motion is for pictures of {_by(exact.vectors.shape[2:])}, these are {_by(self._size[::-1])}"
            )
        return exact

    def _perceive(self, perception: Perception, moment: Moment, versions: dict[str, Tensor]) -> None:
        seen = {name: perception(picture) for name, picture in versions.items()}
        for name in list(versions)[1:]:
            moment.content_distance[name] = appearance.content_of(seen[name], seen[FILM])
        if REFERENCE in seen:
            moment.style_distance = appearance.style_distance(seen[PAINTED], seen[REFERENCE])

    def _note_worst(self, moment: Moment, comparison: Comparison, versions: dict[str, Tensor]) -> None:
        """Keep pictures of this moment if it is among the worst, and not beside a worse one."""
        error = comparison.errors[PAINTED]
        near = [one for one in self._worst if moment.index - one.index <= self.options.apart]
        others = [one for one in self._worst if one not in near]
        full = len(others) >= self.options.worst and all(one.error >= error for one in others)
        if math.isnan(error) or full or any(one.error >= error for one in near):
            return
        shown = moment if comparison.on_later else self.moments[-1]
        judged = versions if comparison.on_later else self._before
        painted, moved = self._aligned(comparison, versions, PAINTED)
        pictures = {
            FILM: judged[FILM],
            PAINTED: painted,
            "moved": moved,
            "heat": heat_map(painted, moved, comparison.valid),
        }
        if REFERENCE in judged:
            pictures[REFERENCE] = judged[REFERENCE]
        small = {name: _thumbnail(picture) for name, picture in pictures.items()}
        worst = Worst(shown.index, shown.time, error, comparison.errors[FILM], small)
        self._worst = sorted([*others, worst], key=lambda one: -one.error)[: self.options.worst]

    def result(self, judged_by: str) -> Evaluation:
        names = list(self.moments[0].laplacian_energy)
        scores = {name: self._scores(name) for name in names}
        return Evaluation(
            frames=len(self.moments),
            size=self._size,
            cuts=[moment.time for moment in self.moments if moment.is_cut and moment.index > 0],
            judged_by=judged_by,
            pairs={
                gap: sum(PAINTED in moment.warping_error.get(gap, {}) for moment in self.moments)
                for gap in self.options.gaps
            },
            scores=scores,
            kept=self._kept(scores[PAINTED], scores[REFERENCE]) if REFERENCE in scores else None,
            moments=self.moments,
            worst=self._worst,
        )

    def _scores(self, name: str) -> Scores:
        def average(values: Iterable[dict[str, float]]) -> float:
            return mean(found[name] for found in values if name in found)

        errors = {
            gap: average(moment.warping_error.get(gap, {}) for moment in self.moments) for gap in self.options.gaps
        }
        return Scores(
            warping_error=errors,
            e_stab=math.sqrt(average(moment.instability for moment in self.moments)),
            flicker=average(moment.flicker for moment in self.moments),
            change=average(moment.change for moment in self.moments),
            laplacian_energy=average(moment.laplacian_energy for moment in self.moments),
            gradient_energy=average(moment.gradient_energy for moment in self.moments),
            content_distance=average(moment.content_distance for moment in self.moments),
            warped_lpips=average(moment.warped_lpips for moment in self.moments),
        )

    def _kept(self, painted: Scores, reference: Scores) -> Kept:
        return Kept(
            laplacian=ratio(painted.laplacian_energy, reference.laplacian_energy),
            gradient=ratio(painted.gradient_energy, reference.gradient_energy),
            change=ratio(painted.change, reference.change),
            ssim=mean(moment.ssim for moment in self.moments),
            style_distance=mean(moment.style_distance for moment in self.moments),
            after_cut=self._after_cut.share,
            ghost=self._ghost.share,
        )


def heat_map(picture: Tensor, other: Tensor, valid: Tensor) -> Tensor:
    """How two pictures (1, 3, H, W) in 0..1 differ, as colours of that shape: black to yellow; grey where not valid.

    The root of the mean square over channels; `_HOTTEST` and above is the last colour.
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
