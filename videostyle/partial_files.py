"""Partial files: outputs that grow beside their final name, and folders in use, each protected by a lock."""

from __future__ import annotations

import os
import re
import shutil
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from videostyle import interrupt
from videostyle.errors import SinkError
from videostyle.files import (
    PLACEHOLDER,
    AnyPath,
    check_output,
    fit_name,
    is_part_of,
    make_folder,
    sequence_pattern,
    sink_error,
    stat_output,
)
from videostyle.written_files import WrittenFiles

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PARTIAL = ".partial"
"""End of the name of every partial file."""
_UNFINISHED, LOCK_FILE = ".unfinished", "lock"
# Bytes of the name left free for files that are written beside a partial file and named after it.
_SPARE = 16


class PartialFile:
    """An output file before it has its final name. Call `claim`, write to `partial`, then commit, keep or discard it.

    The partial file is hidden beside its final name. It is locked, and the lock ends with its process, so two runs
    never write the same file, and the partial file of a killed run is replaced. No file is opened or created before
    `claim`. Where the final name is a symbolic link, the link stays and the file it points to is replaced.
    """

    def __init__(
        self,
        path: AnyPath,
        *,
        overwrite: bool = False,
        sources: Iterable[AnyPath | None] = (),
        written: WrittenFiles | None = None,
    ) -> None:
        """Check the path; raise UsageError or SinkError as `check_output` does, or where another run writes the file.

        `overwrite` allows an existing file, `written` only one that it has on record, where the new one is added.
        `sources` are never overwritten.
        """
        self.path = Path(path)
        self._overwrite = overwrite
        self._sources = tuple(sources)
        self._written = written
        self._check()
        self._final = Path(os.path.realpath(path))
        self._descriptor: int | None = None
        self.partial = self._final.with_name(self._partial_name(f".{self._final.name}"))
        """Path of the partial file: hidden, beside the final name."""
        self._acquire(create=False)

    def _check(self) -> None:
        check_output(self.path, overwrite=self._may_replace(), sources=self._sources)

    def _may_replace(self) -> bool:
        return self._overwrite or (self._written is not None and self.path in self._written)

    @property
    def target(self) -> str:
        """FFmpeg's address of the partial file."""
        return f"file:{self.partial}"

    @property
    def muxer_options(self) -> dict[str, str]:
        """Options of FFmpeg's muxers for this kind of output."""
        return {}

    def claim(self) -> Path:
        """Create the empty partial file, lock it, and return its path.

        The checks are repeated, because the folder may have changed meanwhile. Raises UsageError and SinkError.
        """
        self._check()
        self._acquire(create=True)
        return self.partial

    def _acquire(self, *, create: bool) -> None:
        """Create and lock the partial file; without `create`, only test whether another run holds it."""
        if any(source is not None and is_part_of(self.partial, source) for source in self._sources):
            self._use_unique_name()
        flags = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
        interrupt.begin()
        while True:
            try:
                descriptor = os.open(self.partial, flags | (os.O_CREAT if create else 0), 0o666)
            except FileNotFoundError as error:
                if create:
                    raise sink_error(self.path, error) from error
                return
            except OSError as error:
                raise sink_error(self.path, error) from error
            try:
                locked = _lock(descriptor)
            except BlockingIOError as error:
                os.close(descriptor)
                raise SinkError(
                    f"{self.path}: another run is writing it; wait until it ends or choose another name"
                ) from error
            if not create:
                os.close(descriptor)
                return
            found = os.fstat(descriptor)
            if locked and found.st_size == 0 and found.st_nlink == 1 and _is_same_file(descriptor, self.partial):
                self._descriptor = descriptor
                return
            if not locked:  # a file system without locks: unique names keep two runs apart
                os.close(descriptor)
                with suppress(OSError):
                    self.partial.unlink()
                self._use_unique_name()
                self._descriptor = os.open(self.partial, flags | os.O_CREAT | os.O_EXCL, 0o666)
                return
            # This is the file of a killed run; a run that has just ended has moved its file away already.
            if _is_same_file(descriptor, self.partial):
                self.partial.unlink()
            os.close(descriptor)

    def _use_unique_name(self) -> None:
        name = f".{self._final.name}.{uuid.uuid4().hex[:8]}"
        self.partial = self._final.with_name(self._partial_name(name))

    def _partial_name(self, name: str) -> str:
        return fit_name(name, PARTIAL, self._final.parent, _SPARE)

    def write(self, data: bytes) -> None:
        """Write `data` as the content of the claimed file; raise SinkError where that fails."""
        try:
            self.partial.write_bytes(data)
        except OSError as error:
            raise sink_error(self.path, error) from error

    def commit(self, *, sync: bool = True) -> None:
        """Rename the file to its final name; discard it and raise SinkError where that fails.

        With `sync` its data is flushed to the disk first. Where the name was taken meanwhile and may not be
        overwritten, the file is kept under another name, and the error names it.
        """
        try:
            self._reopen_replaced()
            if sync and self._descriptor is not None:
                os.fsync(self._descriptor)
            may_replace = self._may_replace()
            if self._written is not None:
                self._written.add(self.path, self.partial, sync=sync)
            if may_replace:
                with suppress(OSError):  # the permissions of the file that it replaces
                    os.chmod(self.partial, stat.S_IMODE(self._final.stat().st_mode))
                os.replace(self.partial, self._final)
            else:
                self._commit_new()
        except OSError as error:
            if isinstance(error, SinkError):
                raise
            self.discard()
            raise sink_error(self.path, error) from error
        self._release()

    def _reopen_replaced(self) -> None:
        """Open and lock the partial file again where a rewrite of the film has replaced it by another file."""
        if self._descriptor is not None and not _is_same_file(self._descriptor, self.partial):
            descriptor = os.open(self.partial, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
            _lock(descriptor)
            os.close(self._descriptor)
            self._descriptor = descriptor

    def _commit_new(self) -> None:
        """Take the final name if it is free; by a hard link, and so atomically, where the file system has these."""
        try:
            os.link(self.partial, self._final)
        except FileExistsError:
            raise self._name_taken() from None
        except OSError:
            if os.path.lexists(self._final):
                raise self._name_taken() from None
            os.replace(self.partial, self._final)
        else:
            self.partial.unlink()

    def _name_taken(self) -> SinkError:
        return SinkError(
            f"{self.path}: another program created this file meanwhile, and it is not overwritten; "
            f"the output is {self.keep()}"
        )

    def keep(self) -> Path:
        """Keep the unfinished file under a free name that no later run will use; return that path."""
        number = 1
        while True:
            more = f"-{number}" if number > 1 else ""
            name = fit_name(self._final.stem, f"{_UNFINISHED}{more}{self._final.suffix}", self._final.parent)
            kept = self._final.with_name(name)
            try:
                os.close(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                number += 1
                continue
            os.replace(self.partial, kept)
            self._release()
            return kept

    def discard(self) -> None:
        """Remove the partial file if there is one."""
        if self._descriptor is not None:
            with suppress(OSError):
                self.partial.unlink(missing_ok=True)
            self._release()

    def _release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def atomic_write(
    path: AnyPath,
    data: bytes | str,
    *,
    overwrite: bool = True,
    sources: Iterable[AnyPath | None] = (),
    sync: bool = True,
    written: WrittenFiles | None = None,
) -> None:
    """Write a file atomically: a reader sees the content from before, or all of `data`.

    Text is written as UTF-8. A pipe, a terminal or /dev/null is written into, not replaced. `written` is as in
    `PartialFile`. Raises UsageError and SinkError.
    """
    content = data.encode("utf-8") if isinstance(data, str) else data
    found = stat_output(path, Path(path))
    if found is not None and not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        try:
            Path(path).write_bytes(content)
        except OSError as error:
            raise sink_error(path, error) from error
        return
    file = PartialFile(path, overwrite=overwrite, sources=sources, written=written)
    try:
        file.claim()
        file.write(content)
        file.commit(sync=sync)
    finally:
        file.discard()


@contextmanager
def reserve_output(
    path: AnyPath | None, *, overwrite: bool, sources: Iterable[AnyPath | None] = ()
) -> Iterator[Callable[[str | bytes], None]]:
    """Lock the name of a file that is written at the end of the work, so that a conflict shows at its beginning.

    The value is a function that writes the file, as `atomic_write` does; it does nothing where `path` is None. No file
    is left where it is not called. Raises UsageError and SinkError.
    """
    found = None if path is None else stat_output(path, Path(path))
    if path is None or (found is not None and not stat.S_ISREG(found.st_mode)):
        yield lambda data: None if path is None else atomic_write(path, data, overwrite=overwrite, sources=sources)
        return
    file = PartialFile(path, overwrite=overwrite, sources=sources)

    def write(data: str | bytes) -> None:
        file.write(data.encode("utf-8") if isinstance(data, str) else data)
        file.commit()

    try:
        file.claim()
        yield write
    finally:
        file.discard()


def remove_stale(path: AnyPath) -> None:
    """Remove the stale files of ended runs for the output `path`: partial files, or the hidden work folder `path`.

    Files that a live run has locked stay, and so do files that may not be removed.
    """
    final = Path(os.path.realpath(path))
    if final.is_dir():
        if final.name.startswith(".") and (final / LOCK_FILE).is_file():
            with suppress(SinkError, OSError), lock_folder(final, "another run"):
                shutil.rmtree(final)
        return
    names = re.escape(final.name)
    if PLACEHOLDER.search(final.name):
        names += "|" + sequence_pattern(final.name).pattern
    # On a file system without locks, a unique name has eight more digits.
    shape = re.compile(rf"\.(?:{names})(?:\.[0-9a-f]{{8}})?{re.escape(PARTIAL)}")
    shortened = fit_name(f".{final.name}", PARTIAL, final.parent, _SPARE)
    with suppress(OSError):
        for partial in final.parent.iterdir():
            if partial.name == shortened or shape.fullmatch(partial.name):
                _remove_unlocked(partial)


def _remove_unlocked(path: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0))
        try:
            if _lock(descriptor) and _is_same_file(descriptor, path):
                path.unlink()
        finally:
            os.close(descriptor)


@contextmanager
def lock_folder(folder: Path, owner: str, name: str = LOCK_FILE) -> Iterator[None]:
    """Create `folder` and lock it against other runs; raise SinkError, which names the `owner`, where one has it.

    The lock is a file called `name` in the folder, and ends with its process, even if that is killed. At the end,
    folders that were created here and in which nothing was made are removed.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / name, timeout=0)
    created = [one for one in (folder, *folder.parents) if not os.path.lexists(one)]
    interrupt.begin()
    try:
        make_folder(folder)
        lock.acquire()
    except Timeout as error:
        raise SinkError(f"{folder}: {owner} is at work there; wait until it ends") from error
    except OSError as error:
        _remove_created(created, name)
        if isinstance(error, SinkError):
            raise
        raise sink_error(folder, error) from error
    try:
        yield
    finally:
        _remove_created(created, name)
        lock.release()


def _remove_created(folders: list[Path], lock: str) -> None:
    """Remove the new `folders`, the innermost first, as far as they hold nothing but the file `lock`."""
    with suppress(OSError):
        if folders and os.listdir(folders[0]) == [lock]:
            (folders[0] / lock).unlink()
        for folder in folders:
            folder.rmdir()


def _lock(descriptor: int) -> bool:
    """Lock a file until its descriptor is closed.

    Returns False where the file system has no locks; raises BlockingIOError where another process holds the lock.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def _is_same_file(descriptor: int, path: Path) -> bool:
    """Return True if `path` still names the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False
