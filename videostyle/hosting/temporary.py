"""Folder of a server's temporary files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from videostyle.weights.manifest import cache_folder


def set_temporary_folder(folder: Path) -> None:
    """Let this process, and those that it starts, make temporary files in `folder`.

    torch's compiler makes a folder there that stays, although nothing is compiled; it gets one beside the other caches.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder("torch")))
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
