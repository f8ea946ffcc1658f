"""What a run writes down while it goes: two files of JSON lines, and TensorBoard's where that is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO

from torch import Tensor

from videostyle.partial_files import atomic_write


class Journal:
    """Losses, validations and sheets of a run in its folder."""

    def __init__(self, folder: Path, step: int) -> None:
        """Goes on after `step` steps; what an interrupted run wrote of later ones is taken out."""
        self._losses = _reopened(folder / "log.jsonl", step)
        # A loss has the number of steps before it, a validation the number of steps it judges.
        self._validations = _reopened(folder / "validation.jsonl", step + 1)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self._board = None
        else:
            self._board = SummaryWriter(folder / "tensorboard", purge_step=step + 1)

    def losses(self, row: dict[str, Any]) -> None:
        """The losses of one step, by name; None where there is none."""
        self._losses.write(json.dumps(row) + "\n")
        self._scalars("", row["step"] + 1, row)

    def validation(self, step: int, scores: dict[str, float]) -> None:
        """Scores after `step` steps."""
        self._validations.write(json.dumps({"step": step, **scores}) + "\n")
        self._scalars("validation/", step, scores)

    def sheet(self, step: int, picture: Tensor) -> None:
        """A sheet of paintings, (3, H, W) in 0..1, for TensorBoard."""
        if self._board is not None:
            self._board.add_image("sheet", picture.clamp(0, 1), step)

    def _scalars(self, prefix: str, step: int, values: dict[str, Any]) -> None:
        if self._board is not None:
            for name, value in values.items():
                if value is not None and name != "step":
                    self._board.add_scalar(prefix + name, value, step)

    def flush(self) -> None:
        """What is written so far survives a kill."""
        self._losses.flush()
        self._validations.flush()
        if self._board is not None:
            self._board.flush()

    def close(self) -> None:
        """Nothing more comes."""
        self._losses.close()
        self._validations.close()
        if self._board is not None:
            self._board.close()


def _reopened(path: Path, end: int) -> TextIO:
    """A file to append lines to, without the lines of step `end` and later."""
    if path.exists():
        rows = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        kept = [row for row in rows if row.endswith("\n") and _is_before(row, end)]
        atomic_write(path, "".join(kept))
    return path.open("a", encoding="utf-8")


def _is_before(row: str, end: int) -> bool:
    """Whether this is the line of a step before `end`; a damaged line is not."""
    try:
        step = json.loads(row)["step"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return False
    return type(step) is int and 0 <= step < end
