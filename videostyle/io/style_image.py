"""Style images: pictures of paintings, of every format that can be opened."""

from __future__ import annotations

import os

import cv2
import torch
from torch import Tensor

from videostyle.errors import SourceError, UsageError
from videostyle.io.info import check_readable
from videostyle.ops.pixels import alpha_to_float, to_float

SMALLEST_STYLE_IMAGE = 64
"""Shortest side of a style image, in pixels; smaller ones show no brush strokes."""


def read_style_image(path: str | os.PathLike[str], longest: int | None = None) -> tuple[Tensor, Tensor | None]:
    """Read a style image: (1, 3, H, W) in 0..1, and its alpha (1, 1, H, W) in 0..1, None where it is opaque.

    It is upright, and the first of several in the file. A side longer than `longest` pixels is scaled down to that, as
    long as the other keeps SMALLEST_STYLE_IMAGE: a scan of 12,000 pixels would take gigabytes as floats. Raises
    SourceError, and UsageError for an image that is too small.
    """
    from videostyle.io import open_source

    check_readable(os.fspath(path))
    with open_source(os.fspath(path)) as source:
        frame = next(iter(source.frames()), None)
    if frame is None:
        raise SourceError(f"{path}: holds no picture; open and save it again as PNG")
    pixels = frame.pixels
    height, width = pixels.shape[1:]
    if min(height, width) < SMALLEST_STYLE_IMAGE:
        least = f"{SMALLEST_STYLE_IMAGE}x{SMALLEST_STYLE_IMAGE}"
        raise UsageError(f"{path}: {width}x{height} pixels show no brush strokes; choose an image of {least} at least")
    if longest is not None:
        pixels = _shrunk(pixels, scale_to(longest, height, width))
    return to_float(pixels[:3]), alpha_to_float(pixels[3:]) if len(pixels) == 4 else None


def read_on_white(path: str | os.PathLike[str], longest: int | None = None) -> Tensor:
    """Read a style image (1, 3, H, W) in 0..1, transparent parts on white, as `read_style_image` does."""
    picture, alpha = read_style_image(path, longest)
    return picture if alpha is None else 1 + alpha * (picture - 1)


def scale_to(longest: int, height: int, width: int) -> float:
    """Return the factor that scales a longer side to `longest` pixels, the other to SMALLEST_STYLE_IMAGE at least."""
    return max(longest / max(height, width), SMALLEST_STYLE_IMAGE / min(height, width))


def _shrunk(pixels: Tensor, factor: float) -> Tensor:
    """Scale the integers (C, H, W) of a picture down by `factor`, each pixel the mean of the area that it covers."""
    if factor >= 1:
        return pixels
    size = round(pixels.shape[2] * factor), round(pixels.shape[1] * factor)
    row = cv2.resize(pixels.permute(1, 2, 0).numpy(), size, interpolation=cv2.INTER_AREA)
    return torch.from_numpy(row).permute(2, 0, 1)
