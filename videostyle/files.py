"""Output paths: the checks before the work begins, names of files and sequences, and error messages for writing.

Every output file is written in the same way. `check_output` raises an error of one line where a file may not be
written, before any work is done. `partial_files.PartialFile` then grows hidden beside its final name, locked so that
two runs never write the same file, and takes the final name only when it is complete.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Container, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from videostyle.errors import SinkError, UsageError

AnyPath: TypeAlias = str | os.PathLike[str]

PLACEHOLDER = re.compile(r"%(0\d+)?d")
"""Placeholder of the number in the name of a sequence, as in shots/%05d.png."""
# Longest file name in bytes, where the system does not state its own limit.
_LONGEST_NAME = 255


def check_output(
    path: AnyPath, *, overwrite: bool, sources: Iterable[AnyPath | None] = (), special: bool = False
) -> None:
    """Raise UsageError or SinkError, in one line, unless a file may be written at `path`.

    The file may not be one of the `sources` (files, folders or numbered sequences; None is skipped), not even under
    another name or through a link, and it may not exist already unless `overwrite` is true. With `special`, a pipe, a
    terminal or /dev/null is allowed: these are written into, not replaced.
    """
    target = Path(path)
    found = stat_output(path, target)
    if found is not None:
        for source in sources:
            if source is not None and is_part_of(target, source):
                raise UsageError(f"{path}: is the input itself; choose another name for the output")
        if stat.S_ISDIR(found.st_mode):
            raise UsageError(f"{path}: is a folder; name a file in it")
        if not stat.S_ISREG(found.st_mode):
            if special:
                return
            raise UsageError(f"{path}: is not a regular file; choose another name")
        if not overwrite:
            raise UsageError(f"{path}: exists already; choose another name or allow overwriting")
        if not os.access(target, os.W_OK):
            raise SinkError(f"{path}: is write-protected; choose another name")
    # A symbolic link is followed, as in other programs: the file it points to is written, and the link stays.
    folder = Path(os.path.realpath(target)).parent
    if not folder.is_dir():
        raise SinkError(f"{path}: there is no folder {folder if target.is_symlink() else target.parent}; make it first")
    if not os.access(folder, os.W_OK):
        raise SinkError(f"{path}: no permission to write in {target.parent}; choose another folder")


def check_distinct(paths: Iterable[AnyPath | None]) -> None:
    """Raise UsageError if two of the output `paths` of one command are the same file; None is skipped."""
    seen: set[str] = set()
    for path in paths:
        if path is not None:
            try:
                real = os.path.realpath(path)
            except ValueError as error:
                raise _invalid_name(path, error) from error
            if real in seen:
                raise UsageError(f"{path}: is named for two outputs; give each a name of its own")
            seen.add(real)


def stat_output(path: AnyPath, target: Path) -> os.stat_result | None:
    """Return the status of the file at `target`; None where there is no file. Errors name `path`."""
    try:
        return target.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise _invalid_name(path, error) from error
    except OSError as error:
        raise sink_error(path, error) from error


def _invalid_name(path: AnyPath, error: ValueError) -> UsageError:
    return UsageError(f"{os.fspath(path)!r}: is not a valid file name ({error})")


def is_part_of(target: Path, source: AnyPath) -> bool:
    """Return True if the existing `target` is the file `source`, or lies in the folder or sequence `source`."""
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


def check_sequence(
    path: AnyPath, *, overwrite: bool, sources: Iterable[AnyPath | None] = (), written: Container[AnyPath] = ()
) -> set[str]:
    """Check a numbered sequence such as shots/%05d.png as `check_output` does; return the names that exist already.

    Those in `written` may be overwritten in any case.
    """
    folder, shape = Path(path).parent, sequence_pattern(Path(path).name)
    if not folder.is_dir():
        raise SinkError(f"{path}: there is no folder {folder}; make it first")
    found = sorted(name for name in os.listdir(folder) if shape.fullmatch(name))
    sources = list(sources)
    for name in found:
        check_output(folder / name, overwrite=overwrite or folder / name in written, sources=sources)
    return set(found)


def sequence_pattern(name: str) -> re.Pattern[str]:
    """Compile a pattern for the file names of a sequence such as %05d.png; group 1 is the number."""
    before, _, after = PLACEHOLDER.split(name, maxsplit=1)
    return re.compile(re.escape(before) + r"(\d+)" + re.escape(after))


def sink_error(path: AnyPath, error: BaseException, problem: str = "cannot be written") -> SinkError:
    """Translate an `error` of the operating system at writing `path` into a SinkError of one line."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        why = "the disk is full; free some space or write elsewhere"
    elif number == errno.EPIPE:
        why = "the program that reads it has ended"
    elif number in (errno.EACCES, errno.EPERM, errno.EROFS):
        why = "no permission to write there; choose another folder"
    elif number == errno.ENAMETOOLONG:
        why = f"the name is too long, {len(os.fsencode(Path(path).name))} bytes; choose a shorter one"
    elif number in (errno.EMFILE, errno.ENFILE):
        why = "too many files are open; raise the limit (ulimit -n)"
    else:
        why = f"{problem} ({getattr(error, 'strerror', None) or error})"
    return SinkError(f"{path}: {' '.join(why.split())}")


def is_disk_full(error: BaseException) -> bool:
    """Return True for an error of writing to a full disk, also one that `sink_error` has translated."""
    cause = error.__cause__ if isinstance(error, SinkError) else error
    return getattr(cause, "errno", None) in (errno.ENOSPC, errno.EDQUOT)


def read_regular_file(path: AnyPath) -> bytes:
    """Read a whole file; raise OSError also for a pipe or a device other than the null device: they may never end."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode) and os.fspath(path) != os.devnull:
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    return Path(path).read_bytes()


def make_folder(path: AnyPath) -> None:
    """Create a folder and its parents where they are missing; raise SinkError where that fails."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise sink_error(path, error, "the folder cannot be created") from error


def fit_name(stem: str, suffix: str, folder: AnyPath = ".", spare: int = 0) -> str:
    """Return `stem` plus `suffix` as a file name for `folder`, with the stem shortened where it would be too long.

    `spare` bytes of the longest allowed name stay free. A shortened stem ends in six digits of its hash, so that names
    with the same beginning stay different.
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
    # A character of several bytes is dropped as a whole.
    return short.decode("utf-8", "ignore") + digits + suffix
