"""Clips as the benchmarks look at them: the first frames, scaled down."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from torch import Tensor

from videostyle.cuts import mark_cuts
from videostyle.io import open_source
from videostyle.ops.filters import shrink
from videostyle.ops.pixels import to_float
from videostyle.timeline import Span


def read_clip(path: Path, frames: int, width: int) -> list[tuple[bool, Tensor]]:
    """Whether a shot begins, and the picture (1, 3, H, W), at most `width` wide, its sides multiples of 8."""
    clip = []
    with open_source(str(path)) as source:
        for frame in islice(mark_cuts(source.frames(Span())), frames):
            content = to_float(frame)
            scale = min(width / content.shape[3], 1)
            height, across = (round(side * scale / 8) * 8 for side in content.shape[2:])
            clip.append((frame.is_cut, shrink(content, (height, across))))
    return clip
