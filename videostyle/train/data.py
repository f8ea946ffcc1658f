"""Photographs to paint and paintings to learn, as tensors."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from videostyle.errors import TrainingError

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}


def list_photographs(folder: Path) -> list[Path]:
    """All pictures under `folder`, sorted; raises TrainingError if there is none."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise TrainingError(f"{folder}: no pictures found ({', '.join(sorted(_SUFFIXES))})")
    return paths


def read_picture(path: Path, longer_side: int | None = None) -> Tensor:
    """A picture as (1, 3, H, W) float RGB in 0..1, scaled to `longer_side` if given; raises TrainingError."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise TrainingError(f"{path}: not a readable picture")
    if longer_side is not None:
        factor = longer_side / max(picture.shape[:2])
        way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        picture = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=way)
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255


def write_picture(path: Path, picture: Tensor) -> None:
    """Write (3, H, W) RGB in 0..1 as 8-bit PNG or JPEG, by the name."""
    pixels = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    if not cv2.imwrite(str(path), cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGR)):
        raise TrainingError(f"{path}: cannot be written")


class Crops:
    """Random square crops, the same for the same seed and step however often training was interrupted."""

    def __init__(self, paths: list[Path], side: int, seed: int) -> None:
        self.paths = paths
        self.side = side
        self.seed = seed
        self.unreadable: set[Path] = set()

    def generator(self, step: int) -> torch.Generator:
        """The random numbers of one step."""
        return torch.Generator().manual_seed(self.seed * 1_000_003 + step)

    def __call__(self, count: int, generator: torch.Generator) -> Tensor:
        """`count` crops, (N, 3, side, side) in 0..1. Unreadable files are skipped and remembered."""
        crops: list[Tensor] = []
        while len(crops) < count:
            path = self.paths[int(torch.randint(len(self.paths), (), generator=generator))]
            where = torch.rand(4, generator=generator).tolist()
            if path in self.unreadable:
                continue
            try:
                crops.append(self._crop(read_picture(path), where))
            except TrainingError:
                self.unreadable.add(path)
                if len(self.unreadable) == len(self.paths):
                    raise TrainingError(f"none of the {len(self.paths)} pictures can be read") from None
        return torch.cat(crops)

    def _crop(self, picture: Tensor, where: list[float]) -> Tensor:
        top, left, zoom, flip = where
        shorter = min(picture.shape[2:])
        # From the whole shorter side down to the crop's own size: large and small things, never blown up if avoidable.
        taken = round(min(shorter, self.side + zoom * max(shorter - self.side, 0)))
        y, x = round(top * (picture.shape[2] - taken)), round(left * (picture.shape[3] - taken))
        crop = picture[:, :, y : y + taken, x : x + taken]
        if taken != self.side:
            crop = torch.nn.functional.interpolate(
                crop, (self.side, self.side), mode="bicubic", antialias=True, align_corners=False
            ).clamp(0, 1)
        return crop.flip(3) if flip < 0.5 else crop
