"""Names of films in a folder, and default names of outputs."""

from __future__ import annotations

from pathlib import Path

from videostyle.files import PLACEHOLDER, fit_name
from videostyle.io.images import is_pattern, is_picture

FILMS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".wmv", ".flv",
         ".3gp", ".ogv", ".gif")  # fmt: skip
"""Extensions that count as films in a folder."""
WRITABLE = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".gif")
"""Extensions of containers that can be written; a film in another one becomes an mp4."""


def output_name(source: str, label: str) -> str:
    """Return the default output name for a film, picture, folder or numbered sequence in the style called `label`.

    The name is short enough for a file beside the source.
    """
    path = Path(source)
    if path.is_dir():
        stem, suffix = path.name, ".mp4"
    elif is_pattern(source):
        stem, suffix = path.name.partition("%")[0].rstrip("_-.") or path.parent.name, ".mp4"
    else:
        suffix = path.suffix.lower()
        photograph = suffix in (".heic", ".heif", ".hif")  # read, not written
        other = ".jpg" if photograph else ".mp4"
        stem, suffix = path.stem, suffix if suffix in WRITABLE or is_picture(source) else other
    # A picture called 50%d.png is one picture; the name of its output must not stand for a sequence.
    name = PLACEHOLDER.sub(lambda found: found[0].removeprefix("%"), f"{stem}-{label}")
    return fit_name(name, suffix, path.parent)
