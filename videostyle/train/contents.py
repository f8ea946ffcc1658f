"""Pictures to learn on: photographs, frames of a film, or synthetic scenes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from videostyle.errors import SourceError
from videostyle.io import open_source
from videostyle.io.images import read_picture
from videostyle.io.style_image import SMALLEST_STYLE_IMAGE
from videostyle.ops.filters import shrink
from videostyle.ops.pixels import to_float
from videostyle.timeline import Span
from videostyle.train.data import list_photographs
from videostyle.train.scenes import scene

_SCENES, _PHOTOGRAPHS = 128, 256
_LONGER_SIDE = 480


def read_contents(content: Path | None) -> Iterator[Tensor]:
    """Yield pictures (1, 3, H, W) in 0..1 to learn on, in random order, so that any number of them is a fair sample.

    `content` is a folder of photographs or a film; None generates scenes. Raises SourceError, TrainingError.
    """
    if content is None:
        for seed in range(_SCENES):
            yield to_float(torch.from_numpy(scene(seed)).permute(2, 0, 1))
    elif content.is_dir():
        paths = list_photographs(content)
        random.Random(0).shuffle(paths)
        for path in paths[:_PHOTOGRAPHS]:
            try:
                picture = to_float(read_picture(str(path)))
            except SourceError:
                continue
            if min(picture.shape[2:]) >= SMALLEST_STYLE_IMAGE:
                yield _fit(picture)
    else:
        with open_source(str(content)) as film:
            if not film.info.duration:
                raise SourceError(f"{content}: has no known length; convert it to MP4 first")
            count = min(_PHOTOGRAPHS, film.info.frame_count or _PHOTOGRAPHS)
            times = [film.info.duration * number / count for number in range(count)]
            random.Random(0).shuffle(times)
            for start in times:
                frame = next(film.frames(Span(start)), None)
                if frame is not None:
                    yield _fit(to_float(frame))


def _fit(picture: Tensor) -> Tensor:
    """Shrink a picture to the size that training uses, since it is read again at every step."""
    height, width = picture.shape[2:]
    factor = _LONGER_SIDE / max(height, width)
    return picture if factor >= 1 else shrink(picture, (round(height * factor), round(width * factor)))
