"""What a page keeps on disk: uploads, what is shown, and the folder of both; bounded by bytes, number and age."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout

from videostyle.errors import UsageError
from videostyle.files import remove_dead
from videostyle.train.learn import forget, work_folder

_PREFIX = "videostyle-"
_LOCK, _FILMS, _STYLES = "lock", "films elsewhere", "styles elsewhere"
UNUSED = 120.0
"""Seconds after which an upload that no page has taken up is removed; pages do it at once."""
EACH = 4
"""Uploads that a visitor keeps; the oldest goes first."""
FILES, BYTES = 96, 2_000_000_000
"""Files in the media folder that nobody is shown any more, and their bytes, kept for whoever comes back to them."""
BEGUN, BEGUN_BYTES, BEGUN_AGE = 8, 1_000_000_000, 86_400.0
"""Paintings whose learning visitors have stopped, their bytes, and the seconds that one is kept to be gone on with."""


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder for everything that is uploaded and painted on the way; gone afterwards.

    What a server that was killed has left, here and where it noted it, is removed when the next one starts: a lock,
    which ends with its owner, tells a living server's folder from a dead one's.
    """
    _clear_away()
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
        except (Timeout, OSError):
            continue  # another server, starting at this very moment, took it for a dead one's
        if (folder / _LOCK).exists():
            return folder, lock
        lock.release()


def _clear_away() -> None:
    """Remove the folders of servers that live no more."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if folder.is_symlink() or not folder.is_dir():
            continue
        try:
            if not (folder / _LOCK).is_file():
                continue
            lock = FileLock(folder / _LOCK, timeout=0)
            with lock:
                _clear_elsewhere(folder)
                shutil.rmtree(folder, ignore_errors=True)
        except (Timeout, OSError):
            continue  # it lives, or is another user's


def _clear_elsewhere(folder: Path) -> None:
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        return  # what another user has written down there is no order
    for note in (folder / _FILMS).glob("*"):
        remove_dead(os.fsdecode(note.read_bytes()))
    for note in (folder / _STYLES).glob("*"):
        forget(Path(os.fsdecode(note.read_bytes())))


class _Notes:
    """Which files a server is making outside its own folder, written down in it for the start after a kill."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def add(self, path: Path) -> None:
        """`path` is in the making."""
        self._name(path).write_bytes(os.fsencode(path))

    def forget(self, path: Path) -> None:
        """It is no more."""
        self._name(path).unlink(missing_ok=True)

    def _name(self, path: Path) -> Path:
        return self._folder / hashlib.sha256(os.fsencode(path)).hexdigest()


class Making:
    """What visitors have in the making outside the server's own folder: films, and paintings that are learned.

    A painting's folder stays for as long as its visitor is there, who may go on with it.
    """

    def __init__(self, work: Path) -> None:
        self._films, self._styles = _Notes(work / _FILMS), _Notes(work / _STYLES)
        self._begun: OrderedDict[Path, tuple[str, float]] = OrderedDict()
        """Whose each style in the making is and when it was left, the last left last."""
        self._lock = threading.RLock()

    @contextmanager
    def film(self, output: Path) -> Iterator[None]:
        """Paint `output` in the block."""
        self._films.add(output)
        try:
            yield
        finally:
            self._films.forget(output)

    @contextmanager
    def style(self, output: Path, visitor: str) -> Iterator[None]:
        """Learn `output` in the block. What is left is the visitor's, unless it was there before by another's doing."""
        with self._lock:
            is_ours = output in self._begun or not work_folder(output).exists()
            self._begun.pop(output, None)
        if not is_ours:
            yield
            return
        self._styles.add(output)
        try:
            yield
        finally:
            with self._lock:
                self._begun[output] = visitor, time.monotonic()
                self._sweep()

    def leave(self, visitor: str) -> None:
        """Remove what only this visitor could go on with."""
        with self._lock:
            self._remove([output for output, (owner, _) in self._begun.items() if owner == visitor])

    def sweep(self) -> None:
        """Remove what is too old."""
        with self._lock:
            self._sweep()

    def close(self) -> None:
        """Remove everything."""
        with self._lock:
            self._remove(list(self._begun))

    def _sweep(self) -> None:
        now, total = time.monotonic(), 0
        for number, (output, (_, since)) in enumerate(reversed(list(self._begun.items()))):
            folder = work_folder(output)
            total += sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            if not folder.exists() or number >= BEGUN or total > BEGUN_BYTES or now - since > BEGUN_AGE:
                self._remove([output])

    def _remove(self, outputs: Iterable[Path]) -> None:
        for output in outputs:
            del self._begun[output]
            forget(output)
            self._styles.forget(output)


@dataclass(slots=True, eq=False)
class _Upload:
    """A file that was uploaded."""

    path: Path
    size: int
    since: float
    owners: set[str] = field(default_factory=set)
    was_used: bool = False


class Uploads:
    """The files that were uploaded, by a name that cannot be guessed; nothing else can be named by a page."""

    def __init__(self, folder: Path, largest: int, most: int | None = None) -> None:
        """`largest` is of one file, in bytes, and 0 allows none; `most` of all together, by default four such."""
        self.folder = folder
        self.largest = largest
        self.most = 4 * largest if most is None else most
        self._files: dict[str, _Upload] = {}
        self._arriving: dict[object, int] = {}
        self._lock = threading.RLock()

    @contextmanager
    def arriving(self, size: int) -> Iterator[None]:
        """Keep room for an upload of `size` bytes while it comes in; UsageError where there is none.

        What it leaves half-written is removed.
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
                    self._tidy()

    def add(self, path: Path) -> str:
        """Take in a file that has arrived; returns the name by which pages call it."""
        name = f"upload/{secrets.token_urlsafe(16)}/{path.name}"
        with self._lock:
            self._files[name] = _Upload(path.resolve(), path.stat().st_size, time.monotonic())
        return name

    def find(self, name: str) -> Path | None:
        """The file that a page calls so; None where there is none, or it is not what it was."""
        with self._lock:
            found = self._files.get(name)
        if found is None or found.path.is_symlink() or not found.path.is_file():
            return None
        return found.path

    def use(self, name: str, visitor: str) -> Path | None:
        """The same, kept from now on for as long as the visitor is there."""
        path = self.find(name)
        if path is None:
            return None
        with self._lock:
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
        """Whether a file of this server's, links followed, is an upload."""
        with self._lock:
            return any(one.path == path for one in self._files.values())

    def leave(self, visitor: str) -> None:
        """Remove what nobody but this visitor has used."""
        with self._lock:
            for one in self._files.values():
                one.owners.discard(visitor)
            self._sweep()

    def sweep(self) -> None:
        """Remove what is too old."""
        with self._lock:
            self._sweep()

    def _sweep(self) -> None:
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
        return sum(sizes.values()) + sum(self._arriving.values())

    def _tidy(self) -> None:
        """Remove what is in the folder and was not taken in: uploads that broke off or were refused."""
        taken = {one.path for one in self._files.values()}
        for path in list(self.folder.rglob("*")) if self.folder.is_dir() else ():
            if path.is_file() and path.resolve() not in taken:
                path.unlink(missing_ok=True)
                _remove_empty(path.parent, self.folder)


def _remove_empty(folder: Path, end: Path) -> None:
    try:
        if folder != end:
            folder.rmdir()
    except OSError:  # there is something in it
        pass


class Media:
    """The folder that pages are shown pictures and films from; what a visitor looks at stays until they have left."""

    def __init__(self, folder: Path) -> None:
        """Whatever is in `folder` counts, whoever made it; what lies in folders in it is the page's own and stays."""
        self.folder = folder
        self._shown: dict[tuple[str, str], list[Path]] = {}
        """By visitor and box."""
        self._used: dict[Path, float] = {}
        """When a file was last shown, as files tell their age."""
        self._lock = threading.RLock()

    def show(self, visitor: str, box: str, paths: Iterable[Path]) -> None:
        """Note what a visitor's box shows from now on, in place of what it showed; old things are removed."""
        with self._lock:
            self._shown[visitor, box] = list(paths)
            for path in self._shown[visitor, box]:
                self._used[path] = time.time()
            self._trim()

    def leave(self, visitor: str) -> None:
        """The visitor looks at nothing any more."""
        with self._lock:
            for key in [key for key in self._shown if key[0] == visitor]:
                del self._shown[key]
            self._trim()

    def offer(self, path: Path, visitor: str, box: str) -> str:
        """Let a file be fetched from /media: the rest of its address. Linked where the disk allows, else copied."""
        name = f"{secrets.token_hex(8)}-{path.name}"
        try:
            os.link(path, self.folder / name)
        except OSError:
            shutil.copyfile(path, self.folder / name)
        self.show(visitor, box, [self.folder / name])
        return quote(name)

    def _trim(self) -> None:
        shown = {path for paths in self._shown.values() for path in paths}
        there = {path: path.stat() for path in self.folder.iterdir() if path.is_file()}
        self._used = {path: at for path, at in self._used.items() if path in there}
        # What is hidden grows; it goes by itself.
        sizes = {
            path: one.st_size for path, one in there.items() if path not in shown and not path.name.startswith(".")
        }
        count, total = len(sizes), sum(sizes.values())
        for path in sorted(sizes, key=lambda path: self._used.get(path, there[path].st_mtime)):
            if count <= FILES and total <= BYTES:
                break
            path.unlink(missing_ok=True)
            count, total = count - 1, total - sizes[path]
