"""Settings of a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from videostyle.plan import RenderPlan


@dataclass(frozen=True, slots=True)
class Settings:
    """The film of a page, and the folder of its outputs."""

    base: RenderPlan
    """Initial values of the controls, and the settings that have no control."""
    work: Path
    """Temporary folder of excerpts."""
    film: str
    """The one film of this page."""
    output: Path | None = None
    """Folder of the stylized films; None is the film's own folder."""
    named: str | None = None
    """The film as it was named when the page was started, for the command."""
    at: float | None = None
    """Start of the excerpt, in seconds; None chooses it."""
    seconds: float = 4.0
