"""Style images: pictures of paintings, of every format that can be opened."""

from __future__ import annotations

import os

from torch import Tensor

from videostyle.errors import SourceError, UsageError
from videostyle.io.info import check_readable
from videostyle.ops.pixels import alpha_to_float, to_float

SMALLEST_STYLE_IMAGE = 64
"""Shortest side of a style image, in pixels; smaller ones show no brush strokes."""


def read_style_image(path: str | os.PathLike[str]) -> tuple[Tensor, Tensor | None]:
    """Read a style image: (1, 3, H, W) in 0..1, and its alpha (1, 1, H, W) in 0..1, None where it is opaque.

    It is upright, and the first of several in the file. Raises SourceError, and UsageError for an image that is too
    small.
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
    return to_float(pixels[:3]), alpha_to_float(pixels[3:]) if len(pixels) == 4 else None


def read_on_white(path: str | os.PathLike[str]) -> Tensor:
    """Read a style image (1, 3, H, W) in 0..1, transparent parts on white; raises as `read_style_image`."""
    picture, alpha = read_style_image(path)
    return picture if alpha is None else 1 + alpha * (picture - 1)
