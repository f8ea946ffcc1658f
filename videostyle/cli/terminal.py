"""Terminal output: all of it passes through here, and is cleaned of control characters.

Results, tables, messages, warnings, progress and the logs of libraries contain names, tags and titles from files.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from videostyle.cli import events
from videostyle.progress import log_to
from videostyle.text import sanitize, sanitize_line

_LONGEST_PATH = 10_000


@contextmanager
def shown_plainly() -> Iterator[None]:
    """Clean standard output and standard error, which may be closed, in the block."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (stream and _Plain(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def print_path(path: object, **more: Any) -> None:
    """Print the path of a result in one line: a file name may contain line ends; front ends are told `more`."""
    print(sanitize_line(path, _LONGEST_PATH))
    events.tell("result", output=str(path), **more)


@contextmanager
def shown_log(prefix: str = "", level: int = logging.INFO, *, quiet: bool = False) -> Iterator[None]:
    """Show what the library logs in the block, from `level` on: on standard error, a line each, after `prefix`.

    With `quiet` only warnings and errors are shown.
    """
    with log_to(_LogLines(prefix), max(level, logging.WARNING) if quiet else level):
        yield


class _LogLines(logging.Handler):
    """Prints records above a progress bar, if there is one."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        with tqdm.external_write_mode(file=sys.stderr):
            print(f"{self._prefix}{sanitize_line(record.getMessage())}", file=sys.stderr, flush=True)


class _Plain:
    """A text stream that writes no control characters except line ends."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write `text`, cleaned, with characters replaced that the terminal's encoding lacks."""
        shown = sanitize(text)
        try:
            self._stream.write(shown)
        except UnicodeEncodeError:
            encoding = self._stream.encoding or "ascii"
            self._stream.write(shown.encode(encoding, "replace").decode(encoding))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each of `lines`."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
