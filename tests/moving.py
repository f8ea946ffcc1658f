"""Films of known motion, made in memory: a texture larger than the picture, and a window that moves over it."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

WIDTH, HEIGHT = 192, 128


def texture(height: int, width: int, seed: int = 0, finest: float = 2.0) -> np.ndarray:
    """(height, width, 3) float32 in 0..1 with detail of every size from `finest` pixels up."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for scale in (1, 2, 4, 8):
        noise = cv2.GaussianBlur(rng.standard_normal((height, width, 3)).astype(np.float32), (0, 0), finest * scale)
        total += noise / noise.std()
    return np.clip(0.5 + 0.12 * total, 0, 1).astype(np.float32)


def to_tensor(picture: np.ndarray) -> Tensor:
    """(H, W, 3) as (1, 3, H, W), lying in memory as `to_float` lays it."""
    return torch.from_numpy(np.ascontiguousarray(picture, np.float32))[None].permute(0, 3, 1, 2)


def pan(
    count: int, step: tuple[float, float], seed: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH), finest: float = 2.0
) -> list[Tensor]:
    """`count` frames (1, 3, H, W); each shows what was `step` (x, y) pixels further on in the frame before it.

    So the backward flow is `step` everywhere.
    """
    height, width = size
    margin = int(max(map(abs, step)) * count) + 8
    world = texture(height + 2 * margin, width + 2 * margin, seed, finest)
    frames = []
    for number in range(count):
        x, y = margin + step[0] * number, margin + step[1] * number
        move = np.array([[1, 0, x], [0, 1, y]], np.float32)
        view = cv2.warpAffine(world, move, (width, height), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
        frames.append(to_tensor(np.clip(view, 0, 1)))
    return frames
