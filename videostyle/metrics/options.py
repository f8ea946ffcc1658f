"""Options of an evaluation, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from videostyle.errors import UsageError


@dataclass(frozen=True)
class EvaluateOptions:
    """Options of an evaluation."""

    gaps: tuple[int, ...] = (1, 10)
    """Distances, in frames, of the compared frames: neighbours show flicker, distant ones slow drift."""
    perceptual_every: int = 12
    """Interval, in frames, of style and content distances and LPIPS; 0 computes none."""
    worst: int = 4
    """Number of worst frames to keep pictures of."""
    apart: int = 12
    """Least distance, in frames, of two worst frames."""

    def __post_init__(self) -> None:
        if not self.gaps or min(self.gaps) < 1:
            raise UsageError(f"gaps must be at least 1 frame, got {', '.join(map(str, self.gaps)) or 'none'}")
        if self.perceptual_every < 0 or self.worst < 0 or self.apart < 1:
            raise UsageError("perceptual_every and worst must not be negative, apart must be at least 1")
