"""Validation losses on photographs held back from training, and sheets of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from videostyle.noise import initial_recurrent_input
from videostyle.train.batch import draw
from videostyle.train.data import Crops, read_picture
from videostyle.train.model import StyleModel
from videostyle.train.objective import Objective
from videostyle.train.plan import TrainConfig

ROLL_OUT = 4
"""Frames stylized before the one that the losses are computed on."""
SAMPLES = 12
"""Approximate number of pictures, with every style equally often and at least once."""


@torch.no_grad()
def validate(config: TrainConfig, model: StyleModel, objective: Objective, held: list[Path]) -> dict[str, float]:
    """Compute the loss and its terms at full strength with the full temporal term, averaged over photographs `held`.

    Crops, motions, noise and styles are the same every time, so two validations differ by the network alone.
    """
    device = str(model.codes.rows.device)
    fixed = replace(config, weak_share=0.0)
    crops = Crops(held, config.crop)
    styles = len(config.styles)
    count = styles * max(1, round(SAMPLES / styles))
    size = config.batch // config.accumulate
    sums: dict[str, float] = {}
    for place in range(0, count, size):
        batch = draw(fixed, 0, range(place, min(place + size, count)), crops, length=ROLL_OUT).to(device)
        loss, terms = objective(batch, model(batch), 1.0)
        for name, value in {"loss": loss, **terms}.items():
            sums[name] = sums.get(name, 0.0) + value.mean().item() * len(batch.style) / count
    return sums


@torch.no_grad()
def card_losses(model: StyleModel, objective: Objective, style: int, held: list[Path]) -> dict[str, float]:
    """Compute style and content distances of the style numbered `style`, weighted as in training, mean over `held`.

    The photographs are cropped to multiples of the network's stride.
    """
    sums = {"style": 0.0, "content": 0.0}
    number = torch.tensor([style], device=model.codes.rows.device)
    code = model.codes(number, torch.ones(1, device=number.device))
    stride = model.net.architecture.stride
    for path in held:
        picture = read_picture(path).to(number.device)
        height, width = (side // stride * stride for side in picture.shape[2:])
        picture = picture[:, :, :height, :width]
        stylized = model.net(picture, code, None, initial_recurrent_input(picture, np.random.default_rng(0)))
        terms = objective.style_and_content(stylized, picture, number)
        for name in sums:
            sums[name] += terms[name].item() / len(held)
    return sums


@torch.no_grad()
def sheet(model: StyleModel, paths: list[Path], side: int = 240) -> Tensor:
    """Make a sheet of every photograph in every style, (3, H, W): one column a photograph, with itself on top."""
    device = model.codes.rows.device
    pictures = torch.cat([_square(read_picture(path), side) for path in paths])
    recurrent_input = initial_recurrent_input(pictures, np.random.default_rng(0)).to(device)
    rows = [pictures]
    for style in range(len(model.codes.rows)):
        for strength in (0.5, 1.0) if style == 0 else (1.0,):
            number = torch.full((len(paths),), style, device=device)
            code = model.codes(number, torch.full((len(paths),), strength, device=device))
            rows.append(model.net(pictures.to(device), code, None, recurrent_input).cpu())
    return torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)


def _square(picture: Tensor, side: int) -> Tensor:
    """Crop the middle square of a picture."""
    shorter = min(picture.shape[2:])
    top, left = ((length - shorter) // 2 for length in picture.shape[2:])
    middle = picture[:, :, top : top + shorter, left : left + shorter]
    return F.interpolate(middle, (side, side), mode="bilinear", antialias=True)
