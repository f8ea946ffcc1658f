"""Files that a page keeps on disk: shown media and their folder; bounded by bytes and number."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from videostyle import interrupt
from videostyle.files import sink_error
from videostyle.partial_files import remove_stale

_PREFIX = "videostyle-"
_LOCK, _FILMS = "lock", "films elsewhere"
FILES, BYTES = 96, 2_000_000_000
"""Files in the media folder that no page shows any more, and their bytes, kept as a cache."""


@contextmanager
def server_folder() -> Iterator[Path]:
    """Make a temporary folder for rendered files, which is removed at the end of the block.

    Files left by a server that was killed, in its folder and listed there, are removed when the next one starts: a lock
    file, which is released with its process, distinguishes the folder of a running server.
    """
    interrupt.begin()
    _remove_dead_servers()
    folder, lock = _locked_folder()
    try:
        for name in ("media", "gradio"):
            (folder / name).mkdir()
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _locked_folder() -> tuple[Path, FileLock]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = FileLock(folder / _LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            continue  # another server, starting at this moment, took the folder for an abandoned one
        except OSError:
            if folder.exists():
                raise
            continue
        if (folder / _LOCK).exists():
            return folder, lock
        lock.release()


def _remove_dead_servers() -> None:
    """Remove the folders of servers that do not run any more."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if folder.is_symlink() or not folder.is_dir():
            continue
        try:
            if not (folder / _LOCK).is_file():
                continue
            lock = FileLock(folder / _LOCK, timeout=0)
            with lock:
                _remove_listed(folder)
                shutil.rmtree(folder, ignore_errors=True)
        except (Timeout, OSError, ValueError):
            continue  # its server runs, or belongs to another user; or its list is damaged


def _remove_listed(folder: Path) -> None:
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        return  # a list written by another user is not followed
    for note in (folder / _FILMS).glob("*"):
        # An entry whose writing was cut off names no file.
        path = Path(os.fsdecode(note.read_bytes()))
        if path.is_absolute() and _entry(path) == note.name:
            remove_stale(path)


class _FileList:
    """Files that a server is writing outside its own folder, listed in it for the start after a kill."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def add(self, path: Path) -> None:
        """Add a file that is being written; raise SinkError if the list cannot be written."""
        path = path.absolute()
        try:
            self._name(path).write_bytes(os.fsencode(path))
        except OSError as error:
            raise sink_error(path, error) from error

    def remove(self, path: Path) -> None:
        """Remove a file from the list."""
        self._name(path).unlink(missing_ok=True)

    def _name(self, path: Path) -> Path:
        return self._folder / _entry(path.absolute())


def _entry(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()


class PendingOutputs:
    """Films that are being made outside the server's own folder."""

    def __init__(self, work: Path) -> None:
        self._films = _FileList(work / _FILMS)

    @contextmanager
    def film(self, output: Path) -> Iterator[None]:
        """List `output` while it is rendered in the block."""
        self._films.add(output)
        try:
            yield
        finally:
            self._films.remove(output)


def _stat_files(paths: Iterable[Path]) -> dict[Path, os.stat_result]:
    """Return the status of the plain files among `paths`, without those that other threads remove meanwhile."""
    found = {}
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            if stat.S_ISREG(status.st_mode):
                found[path] = status
    return found


class Media:
    """Folder of the pictures and films that pages show; the files shown to a visitor stay until they have left."""

    def __init__(self, folder: Path) -> None:
        """All files in `folder` count; its subfolders hold the page's own files and stay."""
        self.folder = folder
        self._shown: dict[tuple[str, str], list[Path]] = {}
        """Shown files by visitor and box of the page."""
        self._used: dict[Path, float] = {}
        """Time when a file was last shown, in seconds since the epoch, like st_mtime."""
        self._lock = threading.RLock()

    def show(self, visitor: str, box: str, paths: Iterable[Path]) -> None:
        """Record the files that a visitor's box shows from now on, and remove old files."""
        with self._lock:
            self._shown[visitor, box] = list(paths)
            for path in self._shown[visitor, box]:
                self._used[path] = time.time()
            self._trim()

    def leave(self, visitor: str) -> None:
        """Release all files shown to a visitor."""
        with self._lock:
            for key in [key for key in self._shown if key[0] == visitor]:
                del self._shown[key]
            self._trim()

    def _trim(self) -> None:
        shown = {path for paths in self._shown.values() for path in paths}
        there = _stat_files(self.folder.iterdir())
        self._used = {path: at for path, at in self._used.items() if path in there}
        # Hidden files are being written; the writer removes them.
        sizes = {
            path: one.st_size for path, one in there.items() if path not in shown and not path.name.startswith(".")
        }
        count, total = len(sizes), sum(sizes.values())
        for path in sorted(sizes, key=lambda path: self._used.get(path, there[path].st_mtime)):
            if count <= FILES and total <= BYTES:
                break
            path.unlink(missing_ok=True)
            count, total = count - 1, total - sizes[path]
