"""Training data: photographs and style images as tensors."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from videostyle.errors import TrainingError
from videostyle.ops.pixels import resize

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}


def list_photographs(folder: Path) -> list[Path]:
    """List all pictures under `folder`, sorted; raises TrainingError if there is none."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise TrainingError(f"{folder}: no pictures found ({', '.join(sorted(_SUFFIXES))})")
    return paths


def read_picture(path: Path, longer_side: int | None = None) -> Tensor:
    """Read a picture as (1, 3, H, W) float RGB in 0..1, scaled to `longer_side` if given; raises TrainingError."""
    try:
        # Reading a pipe could block for ever.
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB) if path.is_file() else None
    except cv2.error:  # larger than OpenCV allows
        picture = None
    if picture is None:
        raise TrainingError(f"{path}: not a readable picture")
    if longer_side is not None:
        factor = longer_side / max(picture.shape[:2])
        way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        picture = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=way)
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255


def held_back(photographs: list[Path], count: int) -> list[Path]:
    """Choose `count` readable photographs to hold back from training, spread evenly; raises TrainingError."""
    every = max(len(photographs) // count, 1)
    # Every n-th; an unreadable one is replaced by the one after another of them.
    order = sorted(range(len(photographs)), key=lambda number: number % every)
    held = list(islice((photographs[number] for number in order if _readable(photographs[number])), count))
    if len(held) < count:
        raise TrainingError(f"only {len(held)} of {len(photographs)} pictures can be read, {count} to be held back")
    return held


def _readable(path: Path) -> bool:
    try:
        read_picture(path)
    except TrainingError:
        return False
    return True


class Crops:
    """Random square crops of photographs, (1, 3, side, side) in 0..1, each chosen by its own generator."""

    def __init__(self, paths: list[Path], side: int) -> None:
        self.paths = paths
        self.side = side
        self.unreadable: set[Path] = set()
        """Files that could not be read as pictures; they are skipped."""

    def __call__(self, generator: torch.Generator, blurred: float | None = None) -> Tensor:
        """Return the crop that `generator` chooses, blurred by `blurred` pixels if given; raises TrainingError."""
        picture, where = self._choose(generator)
        crop = random_square(picture, self.side, where)
        return crop if blurred is None else _blurred(crop, blurred)

    def picture(self, generator: torch.Generator, blurred: float | None = None) -> np.ndarray:
        """Return a whole photograph, (H, W, 3) float32 in 0..1, with a shorter side of 1 to 2.2 times the crop's.

        The parameters are those of `__call__`.
        """
        picture, (_, _, zoom, flip) = self._choose(generator)
        height, width = picture.shape[2:]
        factor = (1 + 1.2 * zoom) * self.side / min(height, width)
        picture = resize(picture, (max(round(height * factor), self.side), max(round(width * factor), self.side)))
        picture = picture if blurred is None else _blurred(picture, blurred)
        return np.ascontiguousarray((picture.flip(3) if flip < 0.5 else picture)[0].permute(1, 2, 0).numpy())

    def _choose(self, generator: torch.Generator) -> tuple[Tensor, list[float]]:
        """Choose a photograph (1, 3, H, W) and four numbers in 0..1; raises TrainingError if no file can be read."""
        while len(self.unreadable) < len(self.paths):
            path = self.paths[int(torch.randint(len(self.paths), (), generator=generator))]
            where = torch.rand(4, generator=generator).tolist()
            if path in self.unreadable:
                continue
            try:
                return read_picture(path), where
            except TrainingError:
                self.unreadable.add(path)
        raise TrainingError(f"none of the {len(self.paths)} pictures can be read")


def _blurred(picture: Tensor, deviation: float) -> Tensor:
    rows = cv2.GaussianBlur(picture[0].permute(1, 2, 0).numpy(), (0, 0), deviation)
    return torch.from_numpy(rows).permute(2, 0, 1)[None]


def title_card(side: int, random: np.random.Generator) -> Tensor:
    """Draw a title card, lines of letters on a ground of one colour or the ground alone: (1, 3, side, side) in 0..1."""
    ground, ink = random.random(3), random.random(3)
    ink = np.clip(ink + np.sign(ink.mean() - ground.mean()) * 0.5, 0, 1)
    card = np.empty((side, side, 3), np.float32)
    card[:] = ground
    letters = np.zeros((side, side), np.uint8)
    size, font = random.uniform(0.4, 2.5), int(random.integers(0, 8))
    lines = int(random.integers(0, 4))
    for line in range(lines):
        text = "".join(chr(letter) for letter in random.integers(65, 123, 16))
        where = int(random.integers(-side // 4, side // 2)), int((line + 1) * side / (lines + 1) + 8 * size)
        cv2.putText(letters, text, where, font, size, 255, 1 + round(1.5 * size), cv2.LINE_AA)
    card += (letters[..., None] / np.float32(255)) * (ink - ground).astype(np.float32)
    return torch.from_numpy(card).permute(2, 0, 1)[None]


def random_square(pictures: Tensor, side: int, where: list[float]) -> Tensor:
    """Crop the same square of pictures (N, 3, H, W) in 0..1, scaled to (N, 3, side, side).

    `where` holds four numbers in 0..1: the position down and right, the size, and the flip. The size is between `side`
    and the whole shorter side, so that large and small things occur; a crop is enlarged only if the picture is smaller
    than `side`.
    """
    top, left, zoom, flip = where
    height, width = pictures.shape[2:]
    shorter = min(height, width)
    taken = round(min(shorter, side + zoom * max(shorter - side, 0)))
    y, x = round(top * (height - taken)), round(left * (width - taken))
    square = resize(pictures[:, :, y : y + taken, x : x + taken], (side, side))
    return square.flip(3) if flip < 0.5 else square
