"""Journal of a training run: two files of JSON lines, and TensorBoard's if that is installed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, TextIO

from torch import Tensor

from videostyle.errors import SinkError
from videostyle.files import read_regular_file, sink_error
from videostyle.partial_files import atomic_write

_NAMES = "log.jsonl", "validation.jsonl", "tensorboard"


class Journal:
    """Journal of losses, validations and sheets in the folder of a run."""

    def __init__(self, folder: Path, step: int) -> None:
        """Continue the journal after `step` steps; entries of an interrupted run for later steps are removed."""
        self._folder = folder
        self._is_new = not any((folder / name).exists() for name in _NAMES)
        self._losses = _reopened(folder / "log.jsonl", step)
        # The entry of a loss has the number of steps before it, that of a validation the number of steps so far.
        self._validations = _reopened(folder / "validation.jsonl", step + 1)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self._board = None
        else:
            self._board = SummaryWriter(folder / "tensorboard", purge_step=step + 1)

    def losses(self, row: dict[str, Any]) -> None:
        """Write the losses of one step, by name; None if there is none."""
        self._losses.write(json.dumps(row) + "\n")
        self._scalars("", row["step"] + 1, row)

    def validation(self, step: int, scores: dict[str, float]) -> None:
        """Write the validation losses after `step` steps."""
        self._validations.write(json.dumps({"step": step, **scores}) + "\n")
        self._scalars("validation/", step, scores)

    def sheet(self, step: int, picture: Tensor) -> None:
        """Write a sheet of stylized pictures, (3, H, W) in 0..1, for TensorBoard."""
        if self._board is not None:
            self._board.add_image("sheet", picture.clamp(0, 1), step)

    def _scalars(self, prefix: str, step: int, values: dict[str, Any]) -> None:
        if self._board is not None:
            for name, value in values.items():
                if value is not None and name != "step":
                    self._board.add_scalar(prefix + name, value, step)

    def flush(self) -> None:
        """Flush the files, so that the entries so far survive a kill."""
        self._losses.flush()
        self._validations.flush()
        if self._board is not None:
            self._board.flush()

    def close(self) -> None:
        """Close the files; new ones in which nothing was written are removed."""
        self._losses.close()
        self._validations.close()
        if self._board is not None:
            self._board.close()
        if self._is_new and not (self._folder / "log.jsonl").stat().st_size:
            for name in _NAMES[:2]:
                (self._folder / name).unlink()
            shutil.rmtree(self._folder / _NAMES[2], ignore_errors=True)


def _reopened(path: Path, end: int) -> TextIO:
    """Open a file to append lines to, without the lines of step `end` and later."""
    try:
        if path.exists():
            rows = read_regular_file(path).decode("utf-8", "replace").splitlines(keepends=True)
            kept = [row for row in rows if row.endswith("\n") and _is_before(row, end)]
            atomic_write(path, "".join(kept))
        return path.open("a", encoding="utf-8")
    except SinkError:
        raise
    except OSError as error:
        raise sink_error(path, error) from error


def _is_before(row: str, end: int) -> bool:
    """Return True for the line of a step before `end`, False for a damaged line."""
    try:
        step = json.loads(row)["step"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return False
    return type(step) is int and 0 <= step < end
