"""Exact motion from files, as `scripts/render_sample.py --flow` writes it for the sample film."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from videostyle.errors import SourceError
from videostyle.metrics.temporal import ExactMotion


class ExactFolder:
    """A folder of NNNN.npz, one for each frame with a predecessor in its shot, counted from 0.

    Each holds `backward` (H, W, 2), pixels, x then y, and `hidden` (H, W), true where the frame before did not show it.
    """

    def __init__(self, folder: Path) -> None:
        if not any(folder.glob("[0-9]*.npz")):
            raise SourceError(f"{folder}: no folder with exact flow (0001.npz, 0002.npz...)")
        self._folder = folder

    def __call__(self, index: int) -> ExactMotion | None:
        """The motion that led to frame `index`; None where there is no file. SourceError where it cannot be read."""
        path = self._folder / f"{index:04d}.npz"
        if not path.exists():
            return None
        try:
            with np.load(path) as stored:
                backward, hidden = stored["backward"].astype(np.float32), stored["hidden"].astype(bool)
        except Exception as error:  # NumPy raises whatever the archive met
            raise SourceError(f"{path}: cannot be read as exact flow ({type(error).__name__})") from error
        if backward.shape != (*hidden.shape, 2) or hidden.ndim != 2:
            raise SourceError(
                f"{path}: backward must be (H, W, 2) and hidden (H, W), got {backward.shape}, {hidden.shape}"
            )
        return ExactMotion(torch.from_numpy(backward).permute(2, 0, 1)[None], torch.from_numpy(hidden)[None, None])
