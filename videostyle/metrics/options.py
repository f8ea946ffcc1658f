"""How films are judged, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from videostyle.errors import UsageError


@dataclass(frozen=True)
class EvaluateOptions:
    """What to measure, and how often what is costly."""

    gaps: tuple[int, ...] = (1, 10)
    """Frames between those compared: neighbours show flicker, distant ones what creeps or comes back different."""
    perceptual_every: int = 12
    """Style and content distances are taken of every so many frames; 0 takes none."""
    worst: int = 4
    """How many of the worst moments to keep pictures of."""
    apart: int = 12
    """Frames between two of these, so that they are not neighbours."""

    def __post_init__(self) -> None:
        if not self.gaps or min(self.gaps) < 1:
            raise UsageError(f"gaps must be at least 1 frame, got {', '.join(map(str, self.gaps)) or 'none'}")
        if self.perceptual_every < 0 or self.worst < 0 or self.apart < 1:
            raise UsageError("perceptual_every and worst must not be negative, apart must be at least 1")
