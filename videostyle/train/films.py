"""Frames in a row from films, with the motion between them, to train on (Huang et al. 2017, ReCoNet).

The motion is estimated and so wrong here and there; in return it is motion that happens, with occlusions, changes of
light and motion blur, which no moved photograph has.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from videostyle.errors import SourceError, TrainingError
from videostyle.io import open_source
from videostyle.io.images import is_picture
from videostyle.io.names import FILMS
from videostyle.noise import noise_field
from videostyle.ops.pixels import to_float
from videostyle.ops.warp import motion_boundaries, warp
from videostyle.timeline import Span
from videostyle.train.data import random_square
from videostyle.train.motion import Clip
from videostyle.types import FlowEstimator, Frame

_TRIES = 20
"""Pairs looked at until one is good."""
_DIFFERENCE = 0.1
"""Mean difference of a frame and the moved frame before it, of 1.0, above which they show different things: across a
cut it is 0.2 and more, with noise, motion blur and estimates that fail in places rarely above 0.05."""
_SEEN = 0.3
"""Share of the crop in which the motion must be known."""
_TRUSTED = 0.5
"""Confidence from which a flow counts as right."""


class Films:
    """Square crops of frames in a row and the motion between them, each clip by its own generator.

    Decodes from the key frame before the chosen moment, and holds the frames of one clip at a time.
    """

    def __init__(self, folder: Path, side: int, flow: FlowEstimator, far: tuple[int, ...] = ()) -> None:
        """Raises TrainingError if there is nothing under `folder` that could be a film; `far` as in `moving`."""
        self.paths = list_films(folder)
        self.side = side
        self.unreadable: set[Path] = set()
        """What turned out to be no film; it is skipped."""
        self._flow = flow
        self._far = far

    def __call__(self, generator: torch.Generator, length: int = 1) -> Clip:
        """The `length` + 1 frames that `generator` chooses.

        Raises TrainingError if no film can be read or none has such frames.
        """
        tries = 0
        while tries < _TRIES and len(self.unreadable) < len(self.paths):
            path = self.paths[int(torch.randint(len(self.paths), (), generator=generator))]
            when, *where = torch.rand(5, generator=generator).tolist()
            if path in self.unreadable:
                continue
            try:
                frames = _in_a_row(path, when, length + 1)
            except SourceError:
                self.unreadable.add(path)
                continue
            tries += 1
            clip = self._clip(frames, where, generator) if len(frames) == length + 1 else None
            if clip is not None:
                return clip
        if len(self.unreadable) == len(self.paths):
            raise TrainingError(f"none of the {len(self.paths)} films can be read")
        raise TrainingError(f"{tries} times frames in a row were chosen from the films, and never showed one scene")

    def _clip(self, frames: list[Frame], where: list[float], generator: torch.Generator) -> Clip | None:
        """The frames cropped, and their motion; None if it cannot be followed, as across a cut."""
        squares = [square[None] for square in random_square(to_float(frames), self.side, where)]
        random = np.random.default_rng(int(torch.randint(2**31, (), generator=generator)))

        def fresh() -> Tensor:
            field = noise_field(self.side, self.side, random)
            return torch.from_numpy(field).permute(2, 0, 1)[None].contiguous()

        noise, flows, valid = [fresh()], [], []
        for before, now in pairwise(squares):
            flow, seen = self._motion(now, before)
            difference = (warp(before, flow) - now).abs().mean()
            if difference > _DIFFERENCE or seen.mean() < _SEEN:
                return None
            flows.append(flow)
            valid.append(seen)
            noise.append(torch.where(seen > 0, warp(noise[-1], flow, "bicubic"), fresh()))
        steps = [step for step in self._far if 1 < step < len(squares)]
        far = [(step, *self._motion(squares[-1], squares[-1 - step])) for step in steps]
        return Clip(squares, noise, flows, valid, far)

    def _motion(self, now: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """The flow from one frame to another, and where it holds: 0 or 1."""
        flow = self._flow(now, before)
        return flow.vectors, ((flow.confidence >= _TRUSTED) & ~motion_boundaries(flow.vectors)).float()


def list_films(folder: Path) -> list[Path]:
    """Films and folders of numbered frames under `folder`, sorted; raises TrainingError if there is none."""
    files = list(folder.rglob("*"))
    films = [path for path in files if path.suffix.lower() in FILMS]
    sequences = {path.parent for path in files if is_picture(str(path))}
    if not films and not sequences:
        raise TrainingError(f"{folder}: no films found ({', '.join(FILMS)}) and no folders of frames")
    return sorted([*films, *sequences])


def _in_a_row(path: Path, when: float, count: int) -> list[Frame]:
    """`count` frames in a row, `when` of the way (0..1) through a film; fewer if there are not so many, SourceError."""
    with open_source(str(path)) as film:
        start = film.info.duration * Fraction(when).limit_denominator(1000) if film.info.duration else Fraction(0)
        return list(islice(film.frames(Span(start)), count))
