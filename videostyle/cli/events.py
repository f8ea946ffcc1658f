"""Events of a command for front ends: with `--progress json`, each line of standard error is a JSON object.

`FIELDS` is the schema, which docs/guide/pipes.md shows. Fields may be added to events, and events to the list; none of
these changes its meaning while `SCHEMA` stays the same.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from videostyle.progress import Progress

SCHEMA = 1
FIELDS = {
    "start": {"schema": "1", "command": "name of the command", "version": "version of videostyle"},
    "progress": {
        "stage": "name of the work, for people",
        "unit": '"frames", "steps"..., or "" where only the share is known',
        "done": "units done in this stage; of a film, the frame",
        "total": "units in all, or null",
        "share": "share of the stage that is done, 0 to 1, or null",
        "fps": "units per second since the stage's first, or null",
        "seconds_left": "estimate for the stage, or null",
        "note": "details for people",
    },
    "message": {"text": "what a person would read"},
    "warning": {"text": "something that is not as in the source, or an option without effect"},
    "error": {"text": "why the command failed"},
    "result": {"output": "path of a finished file; - is standard output", "...": "more of some commands"},
    "end": {"status": "exit status"},
}
"""Fields of each event, beside `event` itself, and what they hold."""
_EVERY = 0.1  # seconds between two lines of progress, at least

_out: TextIO | None = None


def add_option(parser: argparse.ArgumentParser) -> None:
    """Declare `--progress`."""
    parser.add_argument(
        "--progress",
        choices=("auto", "json"),
        default="auto",
        help="json: every line on standard error is a JSON object, for front ends; default: a bar",
    )


@contextmanager
def told(args: argparse.Namespace, version: str) -> Iterator[None]:
    """Tell events in the block if the command was asked to; what is printed to standard error becomes messages."""
    global _out
    before, out = sys.stderr, _out
    if getattr(args, "progress", "auto") != "json":
        yield
        return
    _out, sys.stderr = before, _Messages(before)
    try:
        tell("start", schema=SCHEMA, command=args.command, version=version)
        yield
    finally:
        sys.stderr.flush()
        sys.stderr, _out = before, out


def telling() -> bool:
    """Return True while events are told."""
    return _out is not None


def tell(event: str, **values: Any) -> None:
    """Write one event, if events are told."""
    if _out is not None:
        _out.write(json.dumps({"event": event, **values}, default=str) + "\n")
        _out.flush()


class _Messages:
    """A text stream each line of which becomes an event."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._line = ""

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._tell(line)
        return len(text)

    def flush(self) -> None:
        """Tell what has no line end yet."""
        line, self._line = self._line, ""
        self._tell(line)

    def _tell(self, line: str) -> None:
        if line.strip():
            tell("message", text=line.strip().removeprefix("videostyle: "))

    def isatty(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class ProgressEvents:
    """Tells the progress of one operation."""

    def __init__(self, total: float | None = None) -> None:
        """Use `total` for operations that do not know theirs."""
        self._total = total
        self._stage: str | None = None
        self._first = (0.0, 0.0)
        self._last = -_EVERY
        self._waiting: dict[str, Any] | None = None

    def __call__(self, progress: Progress) -> None:
        """Tell `progress`; some updates are left out where many come, never a stage's last."""
        now = time.monotonic()
        if progress.stage != self._stage:
            self.close()
            self._stage, self._first = progress.stage, (now, progress.done)
            self._last = now - _EVERY
        total = self._total if progress.total is None else progress.total
        began, done = self._first
        rate = (progress.done - done) / (now - began) if progress.done > done and now > began else None
        self._waiting = {
            "stage": progress.stage,
            "unit": progress.unit,
            "done": progress.done,
            "total": total,
            "share": min(progress.done / total, 1.0) if total else None,
            "fps": None if rate is None else round(rate, 3),
            "seconds_left": None if rate is None or total is None else round(max(total - progress.done, 0) / rate, 1),
            "note": progress.note,
        }
        if now - self._last >= _EVERY:
            self._last = now
            self.close()

    def close(self) -> None:
        """Tell the latest progress if it was not told."""
        if self._waiting is not None:
            tell("progress", **self._waiting)
            self._waiting = None
