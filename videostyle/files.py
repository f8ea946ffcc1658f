"""How files are written: checked before the work, growing beside their final name, there only when they are whole.

Every file goes the same way. `check_output` says in one line why a file may not be written, before anything is done.
`PartialFile` is the file on its way: hidden beside its final name, held by a lock that a dead owner does not hold, so
that two runs never write one file and what a killed run left is taken over. `write_whole` does both for bytes at hand.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

from videostyle.errors import SinkError, UsageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

AnyPath: TypeAlias = str | os.PathLike[str]

PLACEHOLDER = re.compile(r"%(0\d+)?d")
"""The number in the name of a sequence, as in shots/%05d.png."""
_PARTIAL, _UNFINISHED, _HELD = ".partial", ".unfinished", "lock"
# Of names in a folder, in bytes, where the system does not say.
_LONGEST_NAME = 255
# For what is written beside a growing file and named after it.
_SPARE = 16


def check_output(
    path: AnyPath, *, overwrite: bool, sources: Iterable[AnyPath | None] = (), special: bool = False
) -> None:
    """Raise UsageError or SinkError, in one line, unless a file may be written at `path`.

    It may not be one of the `sources` (files, folders or numbered sequences; None is passed over), not even under
    another name or through a link, nor exist already unless told to `overwrite`. `special` files (a pipe, a terminal,
    /dev/null), which are written into and not replaced, may be there all the same.
    """
    target = Path(path)
    found = _look(path, target)
    if found is not None:
        for source in sources:
            if source is not None and _is_part_of(target, source):
                raise UsageError(f"{path}: is the input itself; choose another name for the output")
        if stat.S_ISDIR(found.st_mode):
            raise UsageError(f"{path}: is a folder; name a file in it")
        if not stat.S_ISREG(found.st_mode):
            if special:
                return
            raise UsageError(f"{path}: is no ordinary file; choose another name")
        if not overwrite:
            raise UsageError(f"{path}: exists already; choose another name or allow overwriting")
        if not os.access(target, os.W_OK):
            raise SinkError(f"{path}: is write-protected; choose another name")
    # A link is written through, as everywhere: the file it names is made, and the link stays.
    folder = Path(os.path.realpath(target)).parent
    if not folder.is_dir():
        raise SinkError(f"{path}: there is no folder {folder if target.is_symlink() else target.parent}; make it first")
    if not os.access(folder, os.W_OK):
        raise SinkError(f"{path}: no permission to write in {target.parent}; choose another folder")


def check_distinct(paths: Iterable[AnyPath | None]) -> None:
    """Raise UsageError if two of the files that one command is to write are the same."""
    seen: set[str] = set()
    for path in paths:
        if path is not None:
            try:
                real = os.path.realpath(path)
            except ValueError as error:
                raise _no_name(path, error) from error
            if real in seen:
                raise UsageError(f"{path}: is to be two outputs at once; give each a name of its own")
            seen.add(real)


def _look(path: AnyPath, target: Path) -> os.stat_result | None:
    """What is at `target`; None where nothing is."""
    try:
        return target.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise _no_name(path, error) from error
    except OSError as error:
        raise sink_error(path, error) from error


def _no_name(path: AnyPath, error: ValueError) -> UsageError:
    return UsageError(f"{os.fspath(path)!r}: is not a name for a file ({error})")


def _is_part_of(target: Path, source: AnyPath) -> bool:
    """True where an existing `target` is the file `source`, in the folder `source` or of the sequence `source`."""
    name = Path(source).name
    try:
        if os.path.exists(source):
            if not os.path.isdir(source):
                return os.path.samefile(target, source)
            return not target.is_dir() and os.path.samefile(target.parent, source)
        if PLACEHOLDER.search(name) is None or not os.path.samefile(target.parent, Path(source).parent):
            return False
    except OSError:
        return False
    return sequence_pattern(name).fullmatch(target.name) is not None


def check_sequence(path: AnyPath, *, overwrite: bool, sources: Iterable[AnyPath | None] = ()) -> set[str]:
    """As `check_output`, for a numbered sequence such as shots/%05d.png; returns the names of it that exist already."""
    folder, shape = Path(path).parent, sequence_pattern(Path(path).name)
    if not folder.is_dir():
        raise SinkError(f"{path}: there is no folder {folder}; make it first")
    found = sorted(name for name in os.listdir(folder) if shape.fullmatch(name))
    sources = list(sources)
    for name in found:
        check_output(folder / name, overwrite=overwrite, sources=sources)
    return set(found)


def sequence_pattern(name: str) -> re.Pattern[str]:
    """Matches the names of a sequence's files, with their number as group 1; `name` is such as %05d.png."""
    before, _, after = PLACEHOLDER.split(name, maxsplit=1)
    return re.compile(re.escape(before) + r"(\d+)" + re.escape(after))


def sink_error(path: AnyPath, error: BaseException, what: str = "cannot be written") -> SinkError:
    """The SinkError of one line for what the system says of writing `path`."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        why = "the disk is full; free some space or write elsewhere"
    elif number in (errno.EACCES, errno.EPERM, errno.EROFS):
        why = "no permission to write there; choose another folder"
    elif number == errno.ENAMETOOLONG:
        why = f"the name is too long, {len(os.fsencode(Path(path).name))} bytes; choose a shorter one"
    elif number in (errno.EMFILE, errno.ENFILE):
        why = "too many files are open; raise the limit (ulimit -n)"
    else:
        why = f"{what} ({getattr(error, 'strerror', None) or error})"
    return SinkError(f"{path}: {' '.join(why.split())}")


def make_folder(path: AnyPath) -> None:
    """Make a folder, and those it is in, where they are missing; raises SinkError."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise sink_error(path, error, "cannot be made a folder") from error


def fitted_name(stem: str, suffix: str, folder: AnyPath = ".", spare: int = 0) -> str:
    """`stem` and `suffix` as the name of a file in `folder`, the stem shortened where the whole would be too long.

    So many bytes are kept `spare`. Stems that begin alike are told apart by a few digits in place of what was cut off.
    """
    longest = _LONGEST_NAME
    with suppress(OSError, ValueError, AttributeError):
        longest = os.pathconf(folder, "PC_NAME_MAX")
    longest -= spare
    if len(os.fsencode(stem + suffix)) <= longest:
        return stem + suffix
    digits = "~" + hashlib.sha256(os.fsencode(stem)).hexdigest()[:6]
    room = max(longest - len(os.fsencode(digits + suffix)), 1)
    short = os.fsencode(stem)[:room]
    # Not in the middle of a letter of several bytes.
    return short.decode("utf-8", "ignore") + digits + suffix


class PartialFile:
    """A file on its way to its final name. Call `claim`, write to `partial`, then `commit`, `keep` or `discard`.

    Nothing is opened or made before `claim`. A final name that is a link stays one: the file it names is replaced.
    """

    def __init__(self, path: AnyPath, *, overwrite: bool = False, sources: Iterable[AnyPath | None] = ()) -> None:
        """Raises UsageError or SinkError, as `check_output`, and where another run is writing the file."""
        self.path = Path(path)
        self._overwrite = overwrite
        self._sources = tuple(sources)
        self._check()
        self._final = Path(os.path.realpath(path))
        self._descriptor: int | None = None
        self.partial = self._final.with_name(self._fitted(f".{self._final.name}"))
        """Where the file grows: beside its final name, and hidden."""
        self._hold(make=False)

    def _check(self) -> None:
        check_output(self.path, overwrite=self._overwrite, sources=self._sources)

    def claim(self) -> Path:
        """Make the growing file, empty, and hold it; returns its path. Raises UsageError and SinkError.

        Checks again what may have changed since the beginning.
        """
        self._check()
        self._hold(make=True)
        return self.partial

    def _hold(self, *, make: bool) -> None:
        """Lock the growing file; only see whether that would work unless it is to be made."""
        if any(source is not None and _is_part_of(self.partial, source) for source in self._sources):
            self._use_a_name_of_its_own()
        flags = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
        while True:
            try:
                descriptor = os.open(self.partial, flags | (os.O_CREAT if make else 0), 0o666)
            except FileNotFoundError as error:
                if make:
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
            if not make:
                os.close(descriptor)
                return
            found = os.fstat(descriptor)
            if locked and found.st_size == 0 and found.st_nlink == 1 and _is_at(descriptor, self.partial):
                self._descriptor = descriptor
                return
            if not locked:  # no locks on this file system: two runs are then kept apart by their names
                os.close(descriptor)
                with suppress(OSError):
                    self.partial.unlink()
                self._use_a_name_of_its_own()
                self._descriptor = os.open(self.partial, flags | os.O_CREAT | os.O_EXCL, 0o666)
                return
            # What a run that was killed left behind; a run that just ended has taken its file away.
            if _is_at(descriptor, self.partial):
                self.partial.unlink()
            os.close(descriptor)

    def _use_a_name_of_its_own(self) -> None:
        name = f".{self._final.name}.{uuid.uuid4().hex[:8]}"
        self.partial = self._final.with_name(self._fitted(name))

    def _fitted(self, name: str) -> str:
        return fitted_name(name, _PARTIAL, self._final.parent, _SPARE)

    def write(self, data: bytes) -> None:
        """Fill the claimed file; raises SinkError."""
        try:
            self.partial.write_bytes(data)
        except OSError as error:
            raise sink_error(self.path, error) from error

    def commit(self, *, sync: bool = True) -> None:
        """Give the file its final name. Raises SinkError, and then the file is discarded.

        With `sync` it is on the disk before. Where something has taken the name since, and may not be overwritten, the
        file is kept beside it, and the error says where.
        """
        try:
            self._follow()
            if sync and self._descriptor is not None:
                os.fsync(self._descriptor)
            if self._overwrite:
                with suppress(OSError):  # as private as what it replaces
                    os.chmod(self.partial, stat.S_IMODE(self._final.stat().st_mode))
                os.replace(self.partial, self._final)
            else:
                self._commit_beside()
        except OSError as error:
            if isinstance(error, SinkError):
                raise
            self.discard()
            raise sink_error(self.path, error) from error
        self._release()

    def _follow(self) -> None:
        """Hold the file that has been put in the place of the growing one: what rewrites a film does so."""
        if self._descriptor is not None and not _is_at(self._descriptor, self.partial):
            descriptor = os.open(self.partial, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
            _lock(descriptor)
            os.close(self._descriptor)
            self._descriptor = descriptor

    def _commit_beside(self) -> None:
        """Take the final name if it is free, at one stroke where the file system can."""
        try:
            os.link(self.partial, self._final)
        except FileExistsError:
            raise self._taken() from None
        except OSError:
            if os.path.lexists(self._final):
                raise self._taken() from None
            os.replace(self.partial, self._final)
        else:
            self.partial.unlink()

    def _taken(self) -> SinkError:
        return SinkError(f"{self.path}: was made by something else meanwhile, and is left alone; see {self.keep()}")

    def keep(self) -> Path:
        """Leave the file, unfinished, under a name that nothing else has and no other run will use; returns it."""
        number = 1
        while True:
            more = f"-{number}" if number > 1 else ""
            name = fitted_name(self._final.stem, f"{_UNFINISHED}{more}{self._final.suffix}", self._final.parent)
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
        """Remove the growing file; does nothing where there is none."""
        if self._descriptor is not None:
            with suppress(OSError):
                self.partial.unlink(missing_ok=True)
            self._release()

    def _release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def write_whole(
    path: AnyPath,
    data: bytes | str,
    *,
    overwrite: bool = True,
    sources: Iterable[AnyPath | None] = (),
    sync: bool = True,
) -> None:
    """Write a file at one stroke: whoever reads it sees what was there before, or all of `data`.

    Text is written as UTF-8. What is no ordinary file (a pipe, a terminal, /dev/null) is written into. Raises
    UsageError and SinkError.
    """
    content = data.encode("utf-8") if isinstance(data, str) else data
    found = _look(path, Path(path))
    if found is not None and not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        try:
            Path(path).write_bytes(content)
        except OSError as error:
            raise sink_error(path, error) from error
        return
    growing = PartialFile(path, overwrite=overwrite, sources=sources)
    try:
        growing.claim()
        growing.write(content)
        growing.commit(sync=sync)
    finally:
        growing.discard()


@contextmanager
def reserved(
    path: AnyPath | None, *, overwrite: bool, sources: Iterable[AnyPath | None] = ()
) -> Iterator[Callable[[str | bytes], None]]:
    """Hold a file that is written when the work is done, so that nobody learns only then that another run writes it.

    What is yielded writes it, as `write_whole` does, or nothing where there is no `path`; not called, it leaves none.
    Raises UsageError and SinkError.
    """
    found = None if path is None else _look(path, Path(path))
    if path is None or (found is not None and not stat.S_ISREG(found.st_mode)):
        yield lambda data: None if path is None else write_whole(path, data, overwrite=overwrite, sources=sources)
        return
    growing = PartialFile(path, overwrite=overwrite, sources=sources)

    def write(data: str | bytes) -> None:
        growing.write(data.encode("utf-8") if isinstance(data, str) else data)
        growing.commit()

    try:
        growing.claim()
        yield write
    finally:
        growing.discard()


def remove_dead(path: AnyPath) -> None:
    """Remove what a run that lives no more has left of its work on `path`: a growing file, or a folder that it held.

    What a living run holds stays, and so does whatever is not ours to remove.
    """
    final = Path(os.path.realpath(path))
    if final.is_dir():
        if final.name.startswith(".") and (final / _HELD).is_file():
            with suppress(SinkError, OSError), hold(final, "another run"):
                shutil.rmtree(final)
        return
    names = re.escape(final.name)
    if PLACEHOLDER.search(final.name):
        names += "|" + sequence_pattern(final.name).pattern
    # Where two runs are kept apart by their names, each has eight digits more.
    shape = re.compile(rf"\.(?:{names})(?:\.[0-9a-f]{{8}})?{re.escape(_PARTIAL)}")
    shortened = fitted_name(f".{final.name}", _PARTIAL, final.parent, _SPARE)
    with suppress(OSError):
        for growing in final.parent.iterdir():
            if growing.name == shortened or shape.fullmatch(growing.name):
                _remove_unlocked(growing)


def _remove_unlocked(path: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0))
        try:
            if _lock(descriptor) and _is_at(descriptor, path):
                path.unlink()
        finally:
            os.close(descriptor)


@contextmanager
def hold(folder: Path, what: str, name: str = _HELD) -> Iterator[None]:
    """Make `folder` and keep other runs out of it; `what` they are told is at work there. Raises SinkError.

    The lock ends with its owner, however that ends, and is a file of this `name` in the folder.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / name, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise SinkError(f"{folder}: {what} is at work there; wait until it ends") from error
    except OSError as error:
        raise sink_error(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def _lock(descriptor: int) -> bool:
    """Lock a file until its descriptor is closed; False where locks cannot be had, BlockingIOError where it is held."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """True where `path` still names the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False
