"""What the program prints, made fit for a terminal: the one place through which all of it goes.

Results, tables, messages, warnings, progress, and what libraries log: names, tags and titles in them come from files.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from videostyle.text import sanitize, sanitize_line

_LONGEST_PATH = 10_000


@contextmanager
def shown_plainly() -> Iterator[None]:
    """Clean what goes to standard output and standard error, which may be closed, until this is left."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (stream and _Plain(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def print_path(path: object) -> None:
    """Print a result that is the path of a file, in one line: a name from elsewhere may have line ends in it."""
    print(sanitize_line(path, _LONGEST_PATH))


class _Plain:
    """A text stream that writes nothing which a terminal would obey, but for line ends."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write `text`, cleaned, in what of it the terminal's encoding has."""
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
