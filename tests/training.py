"""Tiny training runs: seconds, not hours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from videostyle.plan import Painting, TrainConfig
from videostyle.train import train


def tiny(pictures: Path, judge: Path, folder: Path, **changes: object) -> TrainConfig:
    """Four steps of two crops, one painting."""
    values: dict[str, object] = {
        "photographs": pictures / "photographs",
        "paintings": (Painting("stripes", pictures / "stripes.png", "Stripes", "Nobody", "1900", size=96),),
        "folder": folder,
        "perceptual": "vgg16",
        "perceptual_weights": judge,
        "steps": 4,
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


def silent(line: str) -> None:
    """A log that keeps nothing."""


def run(config: TrainConfig) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """Train silently; the logged losses and the weights at the end."""
    train(config, silent)
    return lines(config.folder / "log.jsonl"), weights_of(config.folder)


def lines(path: Path) -> list[dict[str, Any]]:
    """What a file of JSON lines holds."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def weights_of(folder: Path) -> dict[str, Tensor]:
    """The network and codes in a folder's checkpoint."""
    model: dict[str, Tensor] = torch.load(folder / "checkpoint.pt", weights_only=True)["model"]
    return model
