"""Films and pictures in the folders that a page may open."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from videostyle.errors import UsageError
from videostyle.io.images import EXTENSIONS
from videostyle.io.names import FILMS

# Files in a page's list at most; a longer one is of no help in choosing.
_LONGEST_LIST = 500


def real_path(path: str | Path) -> Path:
    """Follow every link and ..; unlike `Path.resolve`, which before Python 3.13 raises for links that go round."""
    return Path(os.path.realpath(path))


def resolve_allowed(path: str | Path, folders: Iterable[Path]) -> Path:
    """Resolve `path`, every link and .. followed; raise UsageError unless the file is in one of the folders."""
    real = real_path(path)
    if not any(real.is_relative_to(folder.resolve()) for folder in folders):
        # The same message whether the file exists or not, so that a page learns nothing of what is outside.
        raise UsageError(f"{real.name}: is not in a folder that this page may open; name its folder with --folder")
    if not real.is_file() or real.suffix.lower() not in FILMS + EXTENSIONS:
        raise UsageError(f"{real.name}: is no film or picture; choose one that ends in {', '.join(FILMS + EXTENSIONS)}")
    return real


def list_films(folders: Iterable[Path]) -> list[str]:
    """List the films and pictures in the folders, not in their subfolders; links that lead outside are left out."""
    folders = list(folders)
    found = []
    for folder in folders:
        try:
            paths = sorted(folder.iterdir())
        except OSError:
            continue  # removed, or closed to us, since the page was started
        for path in paths:
            # Unlike Path.is_file, this raises for no link, wherever it leads.
            if path.suffix.lower() in FILMS + EXTENSIONS and os.path.isfile(path):
                real = real_path(path)
                if any(real.is_relative_to(one.resolve()) for one in folders):
                    found.append(str(path))
    return list(islice(found, _LONGEST_LIST))


def file_key(path: str) -> str:
    """Return the name under which a page asks for a file of the list: pages never see a path."""
    return f"here/{hashlib.sha256(path.encode('utf-8', 'surrogateescape')).hexdigest()[:24]}"
