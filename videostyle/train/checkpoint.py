"""Checkpoints: the state of a training, in a file that is replaced at once."""

from __future__ import annotations

import io
from pathlib import Path

import torch

from videostyle.partial_files import atomic_write


def save_state(path: Path, state: object) -> None:
    """Write a state of tensors, numbers and texts, for `torch.load`; raises SinkError, also for a full disk."""
    data = io.BytesIO()  # so that a full disk raises OSError
    torch.save(state, data)
    atomic_write(path, data.getvalue())
