"""How good the network is, on photographs that are never trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from videostyle.noise import first_frame
from videostyle.train.batch import draw
from videostyle.train.data import Crops, read_picture
from videostyle.train.objective import Objective
from videostyle.train.painter import Painter
from videostyle.train.plan import TrainConfig

ROLL_OUT = 4
"""Frames stylized before the one that is judged."""
SAMPLES = 12
"""About so many pictures are judged, every painting equally often and at least once."""


@torch.no_grad()
def validate(config: TrainConfig, painter: Painter, objective: Objective, held: list[Path]) -> dict[str, float]:
    """The loss and its terms at full strength, the temporal one fully in: a mean over the photographs in `held`.

    Crops, motions, noise and paintings are the same every time, so two validations differ by the network alone.
    """
    device = str(painter.codes.rows.device)
    fixed = replace(config, weak_share=0.0)
    crops = Crops(held, config.crop)
    paintings = len(config.styles)
    count = paintings * max(1, round(SAMPLES / paintings))
    size = config.batch // config.accumulate
    sums: dict[str, float] = {}
    for place in range(0, count, size):
        batch = draw(fixed, 0, range(place, min(place + size, count)), crops, length=ROLL_OUT).to(device)
        loss, terms = objective(batch, painter(batch), 1.0)
        for name, value in {"loss": loss, **terms}.items():
            sums[name] = sums.get(name, 0.0) + value.mean().item() * len(batch.style) / count
    return sums


@torch.no_grad()
def card_losses(painter: Painter, objective: Objective, style: int, held: list[Path]) -> dict[str, float]:
    """Style and content distances of the painting numbered `style`, weighted as in training, mean over photographs.

    The photographs are cropped to whole multiples of the network's stride.
    """
    sums = {"style": 0.0, "content": 0.0}
    number = torch.tensor([style], device=painter.codes.rows.device)
    code = painter.codes(number, torch.ones(1, device=number.device))
    stride = painter.net.architecture.stride
    for path in held:
        picture = read_picture(path).to(number.device)
        height, width = (side // stride * stride for side in picture.shape[2:])
        picture = picture[:, :, :height, :width]
        painted = painter.net(picture, code, None, first_frame(picture, np.random.default_rng(0)))
        terms = objective.perceptual(painted, picture, number)
        for name in sums:
            sums[name] += terms[name].item() / len(held)
    return sums


@torch.no_grad()
def sheet(painter: Painter, paths: list[Path], side: int = 240) -> Tensor:
    """Every painting on every photograph, (3, H, W): a column a photograph, the photographs themselves on top."""
    device = painter.codes.rows.device
    pictures = torch.cat([_square(read_picture(path), side) for path in paths])
    carried = first_frame(pictures, np.random.default_rng(0)).to(device)
    rows = [pictures]
    for style in range(len(painter.codes.rows)):
        for strength in (0.5, 1.0) if style == 0 else (1.0,):
            number = torch.full((len(paths),), style, device=device)
            code = painter.codes(number, torch.full((len(paths),), strength, device=device))
            rows.append(painter.net(pictures.to(device), code, None, carried).cpu())
    return torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)


def _square(picture: Tensor, side: int) -> Tensor:
    """The middle of a picture."""
    shorter = min(picture.shape[2:])
    top, left = ((length - shorter) // 2 for length in picture.shape[2:])
    middle = picture[:, :, top : top + shorter, left : left + shorter]
    return F.interpolate(middle, (side, side), mode="bilinear", antialias=True)
