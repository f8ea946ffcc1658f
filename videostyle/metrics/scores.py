"""Results of an evaluation: scores by version and by frame, and the worst frames."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from videostyle.metrics.figures import to_plain

FILM, STYLIZED, REFERENCE = "film", "painted", "per frame"
"""Versions that are evaluated: the source, the stylized film, and the film stylized frame by frame."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of one version of the film: means over its frames, nan if nothing could be measured."""

    warping_error: dict[int, float]
    """Warping error by gap in frames; see `metrics.temporal`."""
    e_stab: float
    """e_stab, with exact motion only; else nan."""
    flicker: float
    """Mean absolute difference, 0..1, from frame to frame where the film stands still."""
    change: float
    """Mean absolute difference, 0..1, from frame to frame over the whole picture: motion and flicker."""
    laplacian_energy: float
    gradient_energy: float
    content_distance: float
    """Content distance to the film, by the loss network."""
    warped_lpips: float
    """LPIPS of neighbouring frames after warping; see `metrics.lpips`."""


@dataclass(frozen=True, slots=True)
class ReferenceShares:
    """Comparison of the stylized film with the reference: losses by stabilization, and ghosts."""

    laplacian: float
    """Share of the finest detail's energy; below 1 is blur."""
    gradient: float
    """Share of the energy of edges."""
    change: float
    """Share of the change from frame to frame; 0 is a frozen picture."""
    ssim: float
    style_distance: float
    """Gram distance to the reference, by the loss network."""
    after_cut: float
    """Share of the previous shot's last picture left in the first one after a cut: 0..1."""
    ghost: float
    """Share of what moved away left in what it uncovered: 0..1; only with exact motion."""


@dataclass(slots=True)
class FrameScores:
    """Scores of one frame."""

    index: int
    time: float
    """Time in seconds."""
    is_cut: bool
    warping_error: dict[int, dict[str, float]] = field(default_factory=dict)
    """Warping error by gap, then by version; without entries that could not be measured."""
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
class WorstMoment:
    """Frame with a large warping error, with pictures (3, h, w) uint8."""

    index: int
    time: float
    error: float
    """Warping error of the stylized film."""
    film_error: float
    pictures: dict[str, Tensor]
    """Pictures by content: "film", "painted", "moved" (the warped neighbour), "per frame" and "heat"."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Result of evaluating a stylized film; `to_json` is the output of `videostyle evaluate --json`."""

    frames: int
    size: tuple[int, int]
    """Width and height of the evaluation: those of the stylized film."""
    cuts: list[float]
    """Times of the cuts, in seconds."""
    flow_name: str
    """Name of the evaluation flow."""
    pairs: dict[int, int]
    """Number of compared pairs of frames, by gap."""
    scores: dict[str, Scores]
    """Scores by version."""
    kept: ReferenceShares | None
    """Comparison with the reference; None without one."""
    frame_scores: list[FrameScores]
    """Scores of every frame, for curves."""
    worst: list[WorstMoment]

    def to_json(self) -> dict[str, Any]:
        """Return plain data without the pictures; nan becomes null."""
        return to_plain(
            {
                "frames": self.frames,
                "size": self.size,
                "cuts": self.cuts,
                "judged_by": self.flow_name,
                "pairs": self.pairs,
                "scores": {name: asdict(scores) for name, scores in self.scores.items()},
                "kept": asdict(self.kept) if self.kept else None,
                "worst": [{"index": one.index, "time": one.time, "error": one.error} for one in self.worst],
                "moments": [asdict(scores) for scores in self.frame_scores],
            }
        )
