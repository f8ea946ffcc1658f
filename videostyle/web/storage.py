"""Files that a page keeps on disk: uploads, shown media, and the folder of both; bounded by bytes, number and age."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout

from videostyle import interrupt
from videostyle.errors import UsageError
from videostyle.files import sink_error
from videostyle.partial_files import remove_stale
from videostyle.train.learn import remove_work_folder, work_folder

_PREFIX = "videostyle-"
_LOCK, _FILMS, _STYLES = "lock", "films elsewhere", "styles elsewhere"
UNUSED = 120.0
"""Seconds after which an upload that no page has used is removed; pages use theirs at once."""
EACH = 4
"""Uploads kept for a visitor; the oldest is removed first."""
FILES, BYTES = 96, 2_000_000_000
"""Files in the media folder that no page shows any more, and their bytes, kept as a cache."""
RESUMABLE, RESUMABLE_BYTES, RESUMABLE_AGE = 8, 1_000_000_000, 86_400.0
"""Number of stopped learning runs that are kept to be resumed, their bytes, and their age in seconds."""


@contextmanager
def server_folder() -> Iterator[Path]:
    """Make a temporary folder for uploads and rendered files, which is removed at the end of the block.

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
    for name, remove in ((_FILMS, remove_stale), (_STYLES, remove_work_folder)):
        for note in (folder / name).glob("*"):
            # An entry whose writing was cut off names no file.
            path = Path(os.fsdecode(note.read_bytes()))
            if path.is_absolute() and _entry(path) == note.name:
                remove(path)


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
    """Outputs of visitors that are being made outside the server's own folder: films, and styles being learned.

    The working folder of a style stays while its visitor is present, who may resume learning.
    """

    def __init__(self, work: Path) -> None:
        self._films, self._styles = _FileList(work / _FILMS), _FileList(work / _STYLES)
        self._resumable: OrderedDict[Path, tuple[str, float]] = OrderedDict()
        """Owner of each unfinished style and the time when it was stopped, the last stopped last."""
        self._lock = threading.RLock()

    @contextmanager
    def film(self, output: Path) -> Iterator[None]:
        """List `output` while it is rendered in the block."""
        self._films.add(output)
        try:
            yield
        finally:
            self._films.remove(output)

    @contextmanager
    def style(self, output: Path, visitor: str) -> Iterator[None]:
        """List `output` while it is learned in the block; its folder is the visitor's unless another made it."""
        with self._lock:
            is_own = output in self._resumable or not work_folder(output).exists()
            self._resumable.pop(output, None)
        if not is_own:
            yield
            return
        self._styles.add(output)
        try:
            yield
        finally:
            with self._lock:
                self._resumable[output] = visitor, time.monotonic()
                self._sweep()

    def leave(self, visitor: str) -> None:
        """Remove the unfinished outputs of a visitor who has left."""
        with self._lock:
            self._remove([output for output, (owner, _) in self._resumable.items() if owner == visitor])

    def sweep(self) -> None:
        """Remove outputs and uploads that are too old."""
        with self._lock:
            self._sweep()

    def close(self) -> None:
        """Remove all unfinished outputs."""
        with self._lock:
            self._remove(list(self._resumable))

    def _sweep(self) -> None:
        now, total = time.monotonic(), 0
        for number, (output, (_, since)) in enumerate(reversed(list(self._resumable.items()))):
            folder = work_folder(output)
            total += sum(one.st_size for one in _stat_files(folder.rglob("*")).values())
            if not folder.exists() or number >= RESUMABLE or total > RESUMABLE_BYTES or now - since > RESUMABLE_AGE:
                self._remove([output])

    def _remove(self, outputs: Iterable[Path]) -> None:
        for output in outputs:
            del self._resumable[output]
            remove_work_folder(output)
            self._styles.remove(output)


@dataclass(slots=True, eq=False)
class _Upload:
    """One uploaded file."""

    path: Path
    size: int
    since: float
    owners: set[str] = field(default_factory=set)
    was_used: bool = False


class Uploads:
    """Uploaded files, by names that cannot be guessed; a page can name no other file."""

    def __init__(self, folder: Path, largest: int, most: int | None = None) -> None:
        """Allow `largest` bytes a file, 0 for none, and `most` bytes of all together, by default four times that."""
        self.folder = folder
        self.largest = largest
        self.most = 4 * largest if most is None else most
        self._files: dict[str, _Upload] = {}
        self._arriving: dict[object, int] = {}
        self._lock = threading.RLock()

    @contextmanager
    def arriving(self, size: int) -> Iterator[None]:
        """Reserve `size` bytes while an upload arrives in the block; raise UsageError if there is no room.

        Incomplete files are removed.
        """
        key = object()
        with self._lock:
            self._sweep()
            if self._bytes() + size > self.most:
                raise UsageError("the room for uploads is used up; try again in some minutes")
            self._arriving[key] = size
        try:
            yield
        finally:
            with self._lock:
                del self._arriving[key]
                if not self._arriving:
                    self._remove_incomplete()

    def add(self, path: Path) -> str:
        """Register a file that has arrived, and return the name by which pages refer to it."""
        name = f"upload/{secrets.token_urlsafe(16)}/{path.name}"
        with self._lock:
            self._files[name] = _Upload(path.resolve(), path.stat().st_size, time.monotonic())
        return name

    def find(self, name: str) -> Path | None:
        """Return the file of a name; None if there is none, or it is not a plain file any more."""
        with self._lock:
            found = self._files.get(name)
        if found is None or found.path.is_symlink() or not found.path.is_file():
            return None
        return found.path

    def use(self, name: str, visitor: str) -> Path | None:
        """Return the file of a name like `find`, and keep it from now on while the visitor is present."""
        with self._lock:
            path = self.find(name)
            if path is None:
                return None
            found = self._files[name]
            found.owners.add(visitor)
            found.was_used = True
            found.since = time.monotonic()
            theirs = sorted((one for one in self._files.values() if visitor in one.owners), key=lambda one: one.since)
            for one in theirs[:-EACH]:
                one.owners.discard(visitor)
            self._sweep()
        return path

    def is_one(self, path: Path) -> bool:
        """Return True if a resolved path is an upload."""
        with self._lock:
            return any(one.path == path for one in self._files.values())

    def leave(self, visitor: str) -> None:
        """Remove the uploads that only this visitor has used."""
        with self._lock:
            for one in self._files.values():
                one.owners.discard(visitor)
            self._sweep()

    def sweep(self) -> None:
        """Remove outputs and uploads that are too old."""
        with self._lock:
            self._sweep()

    def _sweep(self) -> None:
        self._remove_incomplete(UNUSED)
        now = time.monotonic()
        for name, one in list(self._files.items()):
            if not one.owners and (one.was_used or now - one.since > UNUSED):
                del self._files[name]
                # The same content uploaded twice is one file.
                if not any(other.path == one.path for other in self._files.values()):
                    one.path.unlink(missing_ok=True)
                    _remove_empty(one.path.parent, self.folder)

    def _bytes(self) -> int:
        sizes = {one.path: one.size for one in self._files.values()}
        # Uploads that broke off stay for a while if others arrive, and take up room, too.
        incomplete = sum(one.st_size for one in self._unregistered().values())
        return sum(sizes.values()) + max(incomplete, sum(self._arriving.values()))

    def _remove_incomplete(self, age: float = 0.0) -> None:
        """Remove uploads that broke off or were refused: unregistered files not written to for `age` seconds."""
        newest = time.time() - age
        for path, status in self._unregistered().items():
            if not age or status.st_mtime < newest:
                path.unlink(missing_ok=True)
                _remove_empty(path.parent, self.folder)

    def _unregistered(self) -> dict[Path, os.stat_result]:
        registered = {one.path for one in self._files.values()}
        found = _stat_files(self.folder.rglob("*"))
        return {path: status for path, status in found.items() if path.resolve() not in registered}


def _stat_files(paths: Iterable[Path]) -> dict[Path, os.stat_result]:
    """Return the status of the plain files among `paths`, without those that other threads remove meanwhile."""
    found = {}
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            if stat.S_ISREG(status.st_mode):
                found[path] = status
    return found


def _remove_empty(folder: Path, end: Path) -> None:
    try:
        if folder != end:
            folder.rmdir()
    except OSError:  # it is not empty
        pass


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

    def publish(self, path: Path, visitor: str, box: str) -> str:
        """Link or copy a file into the folder, and return its name in /media."""
        name = f"{secrets.token_hex(8)}-{path.name}"
        try:
            os.link(path, self.folder / name)
        except OSError:
            shutil.copyfile(path, self.folder / name)
        self.show(visitor, box, [self.folder / name])
        return quote(name)

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
