"""Clips from films: consecutive frames with estimated flow, to train on (Huang et al. 2017, ReCoNet).

Estimated flow has errors in places; in return the motion is real, with occlusions, changes of light and motion blur,
which no moved photograph has.
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
"""Number of clips examined until one is accepted."""
_DIFFERENCE = 0.1
"""Mean difference, in 0..1, of a frame and the warped frame before it above which they show different scenes: across a
cut it is 0.2 and more, with noise, motion blur and estimates that fail in places rarely above 0.05."""
_LEAST_VALID = 0.3
"""Share of the crop in which the flow has to be valid."""
_LEAST_CONFIDENCE = 0.5
"""Confidence from which a flow counts as valid."""


class Films:
    """Square crops of consecutive frames with the flow between them, each clip chosen by its own generator.

    Decodes from the key frame before the chosen time, and holds the frames of one clip at a time.
    """

    def __init__(self, folder: Path, side: int, flow: FlowEstimator, far: tuple[int, ...] = ()) -> None:
        """List the films under `folder`; raises TrainingError if there are none. `far` is that of `moving`."""
        self.paths = list_films(folder)
        self.side = side
        self.unreadable: set[Path] = set()
        """Files that could not be read as films; they are skipped."""
        self._flow = flow
        self._far = far

    def __call__(self, generator: torch.Generator, length: int = 1) -> Clip:
        """Return a clip of the `length` + 1 frames that `generator` chooses.

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
        raise TrainingError(
            f"{tries} clips were chosen from the films, and none showed one scene whose motion can be followed"
        )

    def _clip(self, frames: list[Frame], where: list[float], generator: torch.Generator) -> Clip | None:
        """Crop the frames and estimate their motion; returns None if it cannot be followed, as across a cut."""
        squares = [square[None] for square in random_square(to_float(frames), self.side, where)]
        random = np.random.default_rng(int(torch.randint(2**31, (), generator=generator)))

        def fresh() -> Tensor:
            field = noise_field(self.side, self.side, random)
            return torch.from_numpy(field).permute(2, 0, 1)[None].contiguous()

        noise, flows, valid = [fresh()], [], []
        for before, now in pairwise(squares):
            flow, seen = self._motion(now, before)
            difference = (warp(before, flow) - now).abs().mean()
            if difference > _DIFFERENCE or seen.mean() < _LEAST_VALID:
                return None
            flows.append(flow)
            valid.append(seen)
            noise.append(torch.where(seen > 0, warp(noise[-1], flow, "bicubic"), fresh()))
        steps = [step for step in self._far if 1 < step < len(squares)]
        far = [(step, *self._motion(squares[-1], squares[-1 - step])) for step in steps]
        return Clip(squares, noise, flows, valid, far)

    def _motion(self, now: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Estimate the flow from one frame to another, and its validity mask, 0 or 1."""
        flow = self._flow(now, before)
        return flow.vectors, ((flow.confidence >= _LEAST_CONFIDENCE) & ~motion_boundaries(flow.vectors)).float()


def list_films(folder: Path) -> list[Path]:
    """List films and folders of numbered frames under `folder`, sorted; raises TrainingError if there is none."""
    files = list(folder.rglob("*"))
    films = [path for path in files if path.suffix.lower() in FILMS]
    sequences = {path.parent for path in files if is_picture(str(path))}
    if not films and not sequences:
        raise TrainingError(f"{folder}: no films found ({', '.join(FILMS)}) and no folders of frames")
    return sorted([*films, *sequences])


def _in_a_row(path: Path, when: float, count: int) -> list[Frame]:
    """Read `count` consecutive frames, beginning at the share `when` (0..1) of a film's duration.

    There are fewer if the film ends before. Raises SourceError.
    """
    with open_source(str(path)) as film:
        start = film.info.duration * Fraction(when).limit_denominator(1000) if film.info.duration else Fraction(0)
        return list(islice(film.frames(Span(start)), count))
