"""Progress of a command: a bar on a terminal, else a line every ten seconds."""

from __future__ import annotations

import sys
from typing import Any, Self, TextIO

from videostyle.cli import events
from videostyle.progress import Progress
from videostyle.text import sanitize_line

# Seconds between lines if standard error is a file, a pipe or a log.
EVERY = 10.0
_FRAMES = "{desc}: {n_fmt}/{total_fmt} frames, {rate_fmt}, {remaining} left"
_SHARE = "{desc}: {percentage:3.0f}%, {remaining} left{postfix}"


class ProgressBar:
    """Shows the progress of an operation: a function for its `on_progress`, with one bar for each stage."""

    def __init__(self, doing: str = "", *, unit: str | None = None, total: float | None = None, quiet: bool) -> None:
        """Name the bars `doing`, or else by their stages.

        With a `unit`, "frames" or "" for a share, the first bar is shown at once. `total` is for operations that do not
        know theirs.
        """
        self._doing = doing
        self._total = total
        self._quiet = quiet
        self._stage: str | None = None
        self._events = events.ProgressEvents(total) if events.telling() else None
        self._bar: Any = None if unit is None or events.telling() else self._new(doing, unit, total)

    def __call__(self, progress: Progress) -> None:
        """Show `progress`."""
        if self._events is not None:
            self._events(progress)
            return
        total = self._total if progress.total is None else progress.total
        if self._bar is None or self._stage not in (None, progress.stage):
            self.close()
            self._bar = self._new(self._doing or progress.stage, progress.unit, total)
        elif self._stage is None:
            # The time before, for loading the network, is not part of the rate.
            self._bar.unpause()
        self._stage = progress.stage
        if progress.note:
            self._bar.set_postfix_str(progress.note, refresh=False)
        if progress.unit == "frames":
            self._bar.total = total
            self._bar.update(progress.done - self._bar.n)
        else:
            self._bar.update(progress.share - self._bar.n)

    def _new(self, doing: str, unit: str, total: float | None) -> Any:
        if unit == "frames":
            return _bar(doing, _FRAMES, self._quiet, total=total, unit=" frames", smoothing=0.05)
        return _share_bar(doing, self._quiet)

    def close(self) -> None:
        """Finish the bar."""
        if self._events is not None:
            self._events.close()
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: object) -> None:
        self.close()


def _share_bar(doing: str, quiet: bool) -> Any:
    layout = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
    return _bar(doing, _SHARE, quiet, layout, total=1.0)


def _bar(doing: str, line: str, quiet: bool, bar: str | None = None, **settings: Any) -> Any:
    from tqdm import tqdm

    doing, out = sanitize_line(doing, 80), sys.stderr
    if quiet or out is None:  # a program without a console has no standard error
        return tqdm(disable=True, **settings)
    if out.isatty():
        return tqdm(desc=doing or None, bar_format=bar, dynamic_ncols=True, **settings)
    # tqdm prints nothing before `delay`, also if the work ends before.
    return tqdm(
        desc=doing or None,
        file=_Lines(out),
        bar_format=line,
        delay=EVERY,
        mininterval=EVERY,
        miniters=0,
        leave=False,
        **settings,
    )


class _Lines:
    """Writes each drawing of a bar as a line."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> None:
        """Write the visible part of `text`, which may begin with an empty name."""
        if line := text.strip().removeprefix(": "):
            self._out.write(f"{line}\n")

    def flush(self) -> None:
        """Flush the output."""
        self._out.flush()
