"""Standard error that cannot be written to."""

from __future__ import annotations

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
