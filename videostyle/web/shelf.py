"""Which files a page may open: those in chosen folders, and what was handed to it."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import islice
from pathlib import Path

from videostyle.errors import UsageError
from videostyle.io import probe
from videostyle.io.images import EXTENSIONS, is_picture
from videostyle.io.names import FILMS
from videostyle.types import VideoInfo

# A longer list helps nobody to choose.
_MOST = 500


def within(path: str | Path, folders: Iterable[Path]) -> Path:
    """The file that `path` really is, every link and .. followed; UsageError unless that is in one of the folders."""
    real = Path(path).resolve()
    if not any(real.is_relative_to(folder.resolve()) for folder in folders):
        # The same words whether there is such a file or not: what is outside is nobody's business.
        raise UsageError(f"{path}: is not in a folder that this page may open; name its folder with --folder")
    if not real.is_file() or real.suffix.lower() not in FILMS + EXTENSIONS:
        raise UsageError(f"{path}: is no film or picture; choose one that ends in {', '.join(FILMS + EXTENSIONS)}")
    return real


def listed(folders: Iterable[Path]) -> list[str]:
    """The films and pictures in the folders, not in folders in them; links that lead outside are left out."""
    folders = list(folders)
    found = []
    for folder in folders:
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in FILMS + EXTENSIONS and path.is_file():
                real = path.resolve()
                if any(real.is_relative_to(one.resolve()) for one in folders):
                    found.append(str(path))
    return list(islice(found, _MOST))


def check_length(path: Path, minutes: float) -> VideoInfo:
    """What is in an uploaded file; UsageError where it is longer than `minutes`, or does not say how long it is."""
    info = probe(str(path))
    if is_picture(str(path)):
        return info
    if info.duration is None:
        raise UsageError(f"{path.name}: does not say how long it is; convert it to MP4 first")
    if info.duration > Fraction(minutes) * 60:
        raise UsageError(
            f"{path.name}: lasts {float(info.duration) / 60:.1f} minutes, {minutes:g} are allowed; "
            "cut it, or start with a larger --max-minutes"
        )
    return info
