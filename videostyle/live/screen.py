"""What is drawn into live pictures: the split view, and words for the window."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from videostyle.types import Frame

_FONT = cv2.FONT_HERSHEY_SIMPLEX


def split(film: Frame, painting: Frame) -> Frame:
    """The film on the left, its painting on the right, a white line between them; both have the same size."""
    picture = painting.pixels.permute(1, 2, 0).numpy().copy()
    middle = picture.shape[1] // 2
    picture[:, :middle] = film.pixels.permute(1, 2, 0).numpy()[:, :middle]
    picture[:, max(middle - 1, 0) : middle + 1] = 255
    return _with(painting, picture)


def caption(frame: Frame, lines: Sequence[str]) -> Frame:
    """The frame with lines of text at its top left, on a darkened ground."""
    if not lines:
        return frame
    picture = frame.pixels.permute(1, 2, 0).numpy().copy()
    height = picture.shape[0]
    # A dozen lines fill the picture, whatever its size.
    scale = max(height / 13 / 32, 0.3)
    step = round(32 * scale)
    width = max(cv2.getTextSize(line, _FONT, scale, 1)[0][0] for line in lines) + step
    ground = picture[: step * len(lines) + step // 2, :width]
    ground[:] = ground // 3
    for number, line in enumerate(lines, 1):
        at = (step // 2, step * number)
        cv2.putText(picture, line, at, _FONT, scale, (255, 255, 255), max(round(scale), 1), cv2.LINE_AA)
    return _with(frame, picture)


def _with(frame: Frame, picture: np.ndarray) -> Frame:
    return frame.with_pixels(torch.from_numpy(picture).permute(2, 0, 1))
