"""Surroundings of a command: a standard error that cannot be written to, libraries' threads, open files."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from videostyle.errors import UsageError, too_little
from videostyle.text import sanitize_line


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


@contextmanager
def told_from_threads() -> Iterator[None]:
    """Print the errors of libraries' own threads in the block in a line, such as TensorBoard's on a full disk."""
    before = threading.excepthook

    def tell(args: threading.ExceptHookArgs) -> None:
        error = args.exc_value or args.exc_type()
        why = too_little(error) or f"unexpected {args.exc_type.__name__} in a thread: {error}"
        print(f"videostyle: {sanitize_line(why)}", file=sys.stderr)

    threading.excepthook = tell
    try:
        yield
    finally:
        threading.excepthook = before


def check_open_files(count: int) -> None:
    """Raise UsageError unless `count` more files and connections can be open at once.

    A server without them fails in the middle of an answer, or in libraries that do not clean up.
    """
    opened: list[int] = []
    try:
        while len(opened) < count:
            opened.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        line = f"only {len(opened)} more files can be opened, a page needs {count}; raise the limit (ulimit -n 1024)"
        raise UsageError(line) from error
    finally:
        for descriptor in opened:
            os.close(descriptor)
