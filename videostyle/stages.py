"""Stages: work with results in a folder, done again only if the settings that it depends on have changed.

The file `settings.json` in the folder records these settings, and whether the stage was completed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from videostyle.errors import UsageError
from videostyle.files import read_regular_file
from videostyle.partial_files import LOCK_FILE, atomic_write

_RECORD = "settings.json"


def recorded(folder: Path) -> dict[str, Any]:
    """Return what the folder of a stage records: "settings" and "done"; nothing for a missing or damaged record."""
    try:
        found = json.loads(read_regular_file(folder / _RECORD))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("settings"), dict) else {}


def is_begun(folder: Path) -> bool:
    """Return True if a stage was begun in `folder`."""
    return (folder / _RECORD).is_file()


def run_stage(
    folder: Path, settings: dict[str, Any], make: Callable[[Path], object], *, resumable: bool = True
) -> Path:
    """Call `make` for `folder`, unless the stage was completed there with the same `settings`; return the folder.

    What was made with other settings is removed first. An incomplete stage of the same settings goes on with the files
    that are there if it is `resumable`, and begins anew otherwise. Raises UsageError for a folder with files of others.
    """
    settings = json.loads(json.dumps(settings, sort_keys=True, default=str))
    record = recorded(folder)
    same = record.get("settings") == settings
    if same and record.get("done"):
        return folder
    if not (same and resumable):
        _clear(folder)
    folder.mkdir(exist_ok=True)
    atomic_write(folder / _RECORD, json.dumps({"settings": settings, "done": False}))
    make(folder)
    atomic_write(folder / _RECORD, json.dumps({"settings": settings, "done": True}))
    return folder


def _clear(folder: Path) -> None:
    """Remove the files of a stage, but not the lock of a run that is at work; there need be no folder."""
    there = [one for one in folder.iterdir() if one.name != LOCK_FILE] if folder.exists() else []
    if not is_begun(folder) and any(not one.name.startswith(".") for one in there):
        raise UsageError(f"{folder}: contains files that this command did not make; move them away")
    for one in there:
        if one.is_dir() and not one.is_symlink():
            shutil.rmtree(one)
        else:
            one.unlink()
