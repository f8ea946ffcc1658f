"""What films are called: those in a folder, and those that are painted."""

from __future__ import annotations

from pathlib import Path

from videostyle.io.images import is_picture

FILMS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".wmv", ".flv",
         ".3gp", ".ogv", ".gif")  # fmt: skip
"""What counts as a film in a folder."""
KEPT = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".gif")
"""Containers that can be written; a film in another becomes an mp4."""


def painted_name(source: str, label: str) -> str:
    """What to call the painting of a film, picture, folder or numbered sequence in the style of that label."""
    path = Path(source)
    if path.is_dir() or "%" in path.name:
        return f"{path.name.partition('%')[0].rstrip('_-.') or path.parent.name}-{label}.mp4"
    suffix = path.suffix.lower()
    return f"{path.stem}-{label}{suffix if suffix in KEPT or is_picture(source) else '.mp4'}"
