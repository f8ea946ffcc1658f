"""Progress of a command: a bar on a terminal, else a line every ten seconds."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from videostyle.text import sanitize_line

# Seconds between lines if standard error is a file, a pipe or a log.
EVERY = 10.0
_FRAMES = "{desc}: {n_fmt}/{total_fmt} frames, {rate_fmt}, {remaining} left"
_SHARE = "{desc}: {percentage:3.0f}%, {remaining} left{postfix}"


def frames_bar(doing: str = "", total: int | None = None, *, quiet: bool) -> Any:
    """Make a tqdm bar that counts frames."""
    return _bar(doing, _FRAMES, quiet, total=total, unit=" frames", smoothing=0.05)


def share_bar(doing: str = "", *, quiet: bool) -> Any:
    """Make a tqdm bar from 0 to 1."""
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
