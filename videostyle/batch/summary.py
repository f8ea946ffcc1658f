"""Results of a batch, as a table and as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from videostyle.batch.schedule import Result
from videostyle.text import sanitize_line

_HEADINGS = ("film", "style", "frames", "fps", "warnings", "output")


def table(results: Sequence[Result]) -> str:
    """Format a table with a line for each film; a failed one has its error in the column of the output."""
    rows = [_HEADINGS, *(tuple(map(sanitize_line, _row(result))) for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    # Numbers are aligned to the right.
    lines = [
        "  ".join(
            cell.rjust(width) if column in (2, 3, 4) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def _row(result: Result) -> tuple[str, ...]:
    frames = str(result.frames)
    if result.state in ("unfinished", "failed"):
        frames += f"/{result.expected if result.expected is not None else '?'}"
    done, every = result.segments
    parts = f", {done} of {every} segments" if every else ""
    ends = {"failed": f"failed: {result.error}", "unfinished": f"{result.output} (unfinished{parts})"}
    fps = f"{result.fps:.1f}" if result.seconds else ""
    return Path(result.source).name, result.style, frames, fps, str(len(result.warnings)), ends.get(
        result.state, result.output
    )  # fmt: skip


def to_json(result: Result) -> str:
    """Format a result as a line of JSON."""
    return json.dumps({**asdict(result), "fps": round(result.fps, 3)}, ensure_ascii=False)
