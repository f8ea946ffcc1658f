"""Exact motion read from files, in the format of `scripts/render_sample.py --flow` for the sample film."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch

from videostyle.errors import SourceError
from videostyle.files import read_regular_file
from videostyle.metrics.temporal import ExactMotion


class ExactFlowFolder:
    """Folder of NNNN.npz, one for each frame with a predecessor in its shot, counted from 0.

    Each holds `backward` (H, W, 2), pixels, x then y, and `hidden` (H, W), true where the point was occluded or outside
    in the frame before.
    """

    def __init__(self, folder: Path) -> None:
        if not any(folder.glob("[0-9]*.npz")):
            raise SourceError(f"{folder}: not a folder with exact flow (0001.npz, 0002.npz...)")
        self._folder = folder

    def __call__(self, index: int) -> ExactMotion | None:
        """Read the motion that led to frame `index`; returns None without a file, raises SourceError if unreadable."""
        path = self._folder / f"{index:04d}.npz"
        if not path.exists():
            return None
        try:
            with np.load(io.BytesIO(read_regular_file(path))) as stored:
                backward, hidden = stored["backward"].astype(np.float32), stored["hidden"].astype(bool)
        except Exception as error:  # NumPy raises various errors for a damaged archive
            raise SourceError(f"{path}: cannot be read as exact flow ({type(error).__name__})") from error
        if backward.shape != (*hidden.shape, 2) or hidden.ndim != 2:
            raise SourceError(
                f"{path}: backward must be (H, W, 2) and hidden (H, W), got {backward.shape}, {hidden.shape}"
            )
        return ExactMotion(torch.from_numpy(backward).permute(2, 0, 1)[None], torch.from_numpy(hidden)[None, None])
