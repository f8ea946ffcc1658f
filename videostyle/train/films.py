"""Pairs of neighbouring frames from films, with the motion between them, to train on (Huang et al. 2017, ReCoNet).

The motion is estimated and so wrong here and there; in return it is motion that happens, with occlusions, changes of
light and motion blur, which no moved photograph has.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import torch

from videostyle.errors import SourceError, TrainingError
from videostyle.io import open_source
from videostyle.io.images import is_picture
from videostyle.io.names import FILMS
from videostyle.ops.pixels import to_float
from videostyle.ops.warp import motion_boundaries, warp
from videostyle.plan import Span
from videostyle.train.batch import Pair
from videostyle.train.data import random_square
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
    """Square crops of two frames in a row and the motion between them, each pair by its own generator.

    Decodes from the key frame before the chosen moment, and holds two frames at a time.
    """

    def __init__(self, folder: Path, side: int, flow: FlowEstimator) -> None:
        """Raises TrainingError if there is nothing under `folder` that could be a film."""
        self.paths = list_films(folder)
        self.side = side
        self.unreadable: set[Path] = set()
        """What turned out to be no film; it is skipped."""
        self._flow = flow

    def __call__(self, generator: torch.Generator) -> Pair:
        """The pair that `generator` chooses; raises TrainingError if no film can be read or none has such pairs."""
        tries = 0
        while tries < _TRIES and len(self.unreadable) < len(self.paths):
            path = self.paths[int(torch.randint(len(self.paths), (), generator=generator))]
            when, *where = torch.rand(5, generator=generator).tolist()
            if path in self.unreadable:
                continue
            try:
                frames = _neighbours(path, when)
            except SourceError:
                self.unreadable.add(path)
                continue
            tries += 1
            pair = self._pair(frames, where) if frames is not None else None
            if pair is not None:
                return pair
        if len(self.unreadable) == len(self.paths):
            raise TrainingError(f"none of the {len(self.paths)} films can be read")
        raise TrainingError(f"{tries} times two frames in a row were chosen from the films, and never showed one scene")

    def _pair(self, frames: tuple[Frame, Frame], where: list[float]) -> Pair | None:
        """The frames cropped, and their motion; None if it cannot be followed, as across a cut."""
        squares = random_square(to_float(frames), self.side, where)
        before, now = squares[:1], squares[1:]
        flow = self._flow(now, before)
        seen = ((flow.confidence >= _TRUSTED) & ~motion_boundaries(flow.backward)).float()
        difference = (warp(before, flow.backward) - now).abs().mean()
        if difference > _DIFFERENCE or seen.mean() < _SEEN:
            return None
        return before, now, flow.backward, seen


def list_films(folder: Path) -> list[Path]:
    """Films and folders of numbered frames under `folder`, sorted; raises TrainingError if there is none."""
    files = list(folder.rglob("*"))
    films = [path for path in files if path.suffix.lower() in FILMS]
    sequences = {path.parent for path in files if is_picture(str(path))}
    if not films and not sequences:
        raise TrainingError(f"{folder}: no films found ({', '.join(FILMS)}) and no folders of frames")
    return sorted([*films, *sequences])


def _neighbours(path: Path, when: float) -> tuple[Frame, Frame] | None:
    """Two frames in a row, `when` of the way (0..1) through a film; None if there are not two, SourceError."""
    with open_source(str(path)) as film:
        start = film.info.duration * Fraction(when).limit_denominator(1000) if film.info.duration else Fraction(0)
        return next(pairwise(film.frames(Span(start))), None)
