"""Limits of the system: standard error that cannot be written, and too little memory, disk or threads."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO


class _Forgiving:
    """A text stream that ignores failed writes: a message is lost then, but not the work it is about."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # full, gone or closed
            return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def forgiving_stderr() -> Iterator[None]:
    """Ignore failed writes to standard error in the block, as on /dev/full or after its terminal was closed."""
    before = sys.stderr
    if before is not None:
        sys.stderr = _Forgiving(before)
    try:
        yield
    finally:
        sys.stderr = before


# Messages of the system, C++, torch and the dynamic linker.
_NO_MEMORY = ("allocate memory", "bad_alloc", "failed to map segment", "not enough memory")


def too_little(error: BaseException) -> str:
    """Return a line about the resource that the machine lacked; "" if that is not the cause of the error."""
    cause: BaseException | None = error
    while cause is not None:
        text = str(cause).lower()
        number = getattr(cause, "errno", None)
        if number in (errno.EMFILE, errno.ENFILE) or "too many open files" in text:
            return "too many files are open; raise the limit (ulimit -n 1024)"
        if "can't start new thread" in text or number == errno.EAGAIN or "resource temporarily unavailable" in text:
            return "the system allows no more threads; raise the limits of memory (ulimit -v) and processes (ulimit -u)"
        if isinstance(cause, MemoryError) or number == errno.ENOMEM or any(words in text for words in _NO_MEMORY):
            return "there is too little memory; close other programs, raise the limit (ulimit -v), or give --size 360"
        if number in (errno.ENOSPC, errno.EDQUOT):
            return "the disk is full; free some space"
        cause = cause.__cause__ or cause.__context__
    return ""
