"""Tiny training runs, seconds, not hours, and things to train on that are made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from videostyle.nets.style_network import NOISE_CHANNELS
from videostyle.train.batch import Batch
from videostyle.train.loop import train
from videostyle.train.motion import Clip
from videostyle.train.plan import TrainConfig, TrainingStyle


def tiny(pictures: Path, vgg_file: Path, folder: Path, **changes: object) -> TrainConfig:
    """Four steps of two crops, one painting; from the second step on frames are rolled out."""
    values: dict[str, object] = {
        "photographs": pictures / "photographs",
        "styles": (TrainingStyle("stripes", pictures / "stripes.png", "Stripes", "Nobody", "1900", size=96),),
        "folder": folder,
        "loss_network": "vgg16",
        "loss_network_weights": vgg_file,
        "steps": 4,
        "temporal_from": 0.25,
        "roll_out": 2,
        "temporal_ramp": 2,
        "batch": 2,
        "crop": 64,
        "held_back": 2,
        "bf16": False,
        "style_layers": ("relu1_1", "relu2_1"),
        "style_weights": (1.0, 1.0),
        "content_layers": ("relu2_2",),
        "content_weights": (0.3,),
        "save_every": 2,
        "sheet_every": 4,
        "validate_every": 2,
    }
    return TrainConfig(**{**values, **changes})  # type: ignore[arg-type]


def run(config: TrainConfig) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """Train; the logged losses and the weights at the end."""
    train(config)
    return lines(config.folder / "log.jsonl"), weights_of(config.folder)


def lines(path: Path) -> list[dict[str, Any]]:
    """What a file of JSON lines holds."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def weights_of(folder: Path) -> dict[str, Tensor]:
    """The network and codes in a folder's checkpoint."""
    model: dict[str, Tensor] = torch.load(folder / "checkpoint.pt", weights_only=True)["model"]
    return model


class OneColour:
    """In place of `Crops`: photographs of one colour."""

    def __init__(self, side: int, color: tuple[float, ...] = (1.0, 1.0, 1.0)) -> None:
        self.side = side
        self.color = torch.tensor(color)

    def __call__(self, generator: torch.Generator, blurred: float | None = None) -> Tensor:
        return self.color.view(1, 3, 1, 1).expand(1, 3, self.side, self.side)

    def picture(self, generator: torch.Generator, blurred: float | None = None) -> np.ndarray:
        return np.broadcast_to(self.color.numpy(), (self.side, self.side, 3)).copy()


def standing(frames: list[Tensor], noise: list[Tensor] | None = None) -> Clip:
    """A clip in which nothing moves, of frames (1, 3, S, S)."""
    side, pairs = frames[0].shape[-1], len(frames) - 1
    zeros = torch.zeros(1, NOISE_CHANNELS, side, side)
    flows, valid = [torch.zeros(1, 2, side, side)] * pairs, [torch.ones(1, 1, side, side)] * pairs
    return Clip(frames, [zeros] * len(frames) if noise is None else noise, flows, valid, [])


def batch_of(clip: Clip, **changes: Any) -> Batch:
    """One sample of a clip, at full strength, its priors neither misplaced nor corrupted."""
    side = clip.frames[0].shape[-1]
    values = {
        "frames": clip.frames,
        "noise": clip.noise,
        "flows": clip.flows,
        "valid": clip.valid,
        "errors": [torch.zeros(1, 2, side, side)] * len(clip.flows),
        "far": clip.far,
        "corruption": torch.zeros(1, 5),
        "speckle": torch.zeros(1, 3, side, side),
        "style": torch.zeros(1, dtype=torch.long),
        "strength": torch.ones(1),
        "shared_norm": torch.zeros(1, 1),
    }
    return Batch(**{**values, **changes})
