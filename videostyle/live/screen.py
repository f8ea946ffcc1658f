"""Drawing into live frames: the split view, and text for the window."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from videostyle.types import Frame

_FONT = cv2.FONT_HERSHEY_SIMPLEX


def split(film: Frame, stylized: Frame) -> Frame:
    """Draw the film on the left, the stylized frame on the right, a white line between them; both have one size."""
    picture = stylized.pixels.permute(1, 2, 0).numpy().copy()
    middle = picture.shape[1] // 2
    picture[:, :middle] = film.pixels.permute(1, 2, 0).numpy()[:, :middle]
    picture[:, max(middle - 1, 0) : middle + 1] = 255
    return _with(stylized, picture)


def caption(frame: Frame, lines: Sequence[str]) -> Frame:
    """Draw lines of text at the top left of a frame, on a darkened background."""
    if not lines:
        return frame
    picture = frame.pixels.permute(1, 2, 0).numpy().copy()
    # A dozen lines fill the picture, whatever its size; more lines are smaller.
    scale = picture.shape[0] / (32 * max(len(lines) + 1, 13))
    longest = max(cv2.getTextSize(line, _FONT, scale, 1)[0][0] for line in lines)
    scale *= min(0.95 * picture.shape[1] / longest, 1)
    step = max(round(32 * scale), 1)
    width = round(min(longest, 0.95 * picture.shape[1])) + step
    background = picture[: step * len(lines) + step // 2, :width]
    background[:] = background // 3
    for number, line in enumerate(lines, 1):
        at = (step // 2, step * number)
        cv2.putText(picture, line, at, _FONT, scale, (255, 255, 255), max(round(scale), 1), cv2.LINE_AA)
    return _with(frame, picture)


def _with(frame: Frame, picture: np.ndarray) -> Frame:
    return frame.with_pixels(torch.from_numpy(picture).permute(2, 0, 1))
