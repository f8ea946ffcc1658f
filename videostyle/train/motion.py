"""Synthetic clips from photographs: a background and an occluder in affine motion, with exact flow and masks.

Training on them needs no film and no flow estimate, and the ground truth is exact (cf. compound regularisation, Wang et
al. 2020, ReReVST, which moves single photographs). The occluder covers and uncovers the background, so the network
learns to stylize occluded areas, where the previous output cannot be used.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from videostyle.noise import noise_field

Array = np.ndarray[Any, Any]

_OCCLUDED_SHARE = 0.6
# Deviations of the motion from frame to frame: turn in radians, zoom as a factor, shift in pixels across and down.
_TURN, _ZOOM, _ACROSS, _DOWN = 0.012, 0.012, 2.5, 2.0
_SPEEDS = (0.0, 0.2, 1.0, 1.0, 2.0)
_GRAIN, _GAIN = 0.012, 0.01
_ERODED = 1  # pixels around the occluder in which two surfaces mix and no flow is valid


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Consecutive frames, 1 or more, with their noise and the flow between them."""

    frames: list[Tensor]
    """Frames, (1, 3, S, S) RGB in 0..1 each."""
    noise: list[Tensor]
    """Noise of each frame, (1, NOISE_CHANNELS, S, S), mean 0, deviation 1; it moves with the surfaces."""
    flows: list[Tensor]
    """Backward flows, (1, 2, S, S) in pixels, from each frame but the first to the one before it."""
    valid: list[Tensor]
    """Validity masks, (1, 1, S, S): 1 where the flow holds, 0 where the point was occluded or outside before."""
    far: list[tuple[int, Tensor, Tensor]]
    """Distance in frames, flow from the last frame to the one so far before it, and its validity mask."""


def still(picture: Tensor, random: np.random.Generator) -> Clip:
    """Make a clip of one frame: `picture` (1, 3, S, S) with new noise."""
    side = picture.shape[-1]
    return Clip([picture], [_tensor(noise_field(side, side, random))], [], [], [])


def moving(
    photograph: Callable[[], Array], side: int, length: int, random: np.random.Generator, far: tuple[int, ...] = ()
) -> Clip:
    """Make `length` + 1 frames of a moving photograph, in most clips behind another one that moves differently.

    `photograph` returns a picture (H, W, 3) float32 in 0..1 whose shorter side is at least `side`; `far` lists
    distances in frames, from the last one, for which flows are needed beside those from frame to frame.
    """
    background = _Layer(photograph(), side, random)
    occluder = _Layer(photograph(), side, random) if random.random() < _OCCLUDED_SHARE else None
    shape = _Blob(side, random)
    gain = 1 + random.normal(0, _GAIN)
    frames, noise, masks = [], [], []
    for number in range(length + 1):
        picture, grain = background.frame(number)
        mask = np.zeros((side, side), np.float32)
        if occluder is not None:
            mask = shape(occluder.positions(number))
            above, above_grain = occluder.frame(number)
            picture = picture + mask[..., None] * (above - picture)
            grain = np.where(mask[..., None] > 0.5, above_grain, grain)
        film_grain = _GRAIN * random.standard_normal(picture.shape, dtype=np.float32)
        frames.append(_tensor((picture * gain**number + film_grain).clip(0, 1)))
        noise.append(_tensor(grain))
        masks.append(mask)

    def between(now: int, before: int) -> tuple[Tensor, Tensor]:
        flow, valid = background.flow(now, before), np.ones((side, side), bool)
        if occluder is not None:
            hidden = cv2.dilate((masks[before] > 0).astype(np.uint8), np.ones((2 * _ERODED + 1,) * 2, np.uint8))
            valid &= ~_sampled(hidden, flow)
            front = masks[now] > 0.5
            flow = np.where(front[..., None], occluder.flow(now, before), flow)
            edge = (masks[now] > 0) & (masks[now] < 1)
            valid = (valid | front) & ~cv2.dilate(edge.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        valid &= _inside(flow)
        return _tensor(flow), torch.from_numpy(valid)[None, None].float()

    pairs = [between(number, number - 1) for number in range(1, length + 1)]
    distant = [(step, *between(length, length - step)) for step in far if 1 < step <= length]
    return Clip(frames, noise, [flow for flow, _ in pairs], [valid for _, valid in pairs], distant)


class _Layer:
    """Surface with a photograph and its noise, moved by the same affine motion in every frame."""

    def __init__(self, photograph: Array, side: int, random: np.random.Generator) -> None:
        self.side = side
        self.photograph = photograph
        self.noise = noise_field(2 * side, 2 * side, random)
        height, width = photograph.shape[:2]
        where = random.uniform(0.3, 0.7, 2)
        self.home = _shift(where[0] * width, where[1] * height)
        speed = _SPEEDS[random.integers(len(_SPEEDS))]
        turn, zoom = random.normal(0, _TURN) * speed, 1 + random.normal(0, _ZOOM) * speed
        cosine, sine = math.cos(turn) * zoom, math.sin(turn) * zoom
        across, down = random.normal(0, _ACROSS) * speed, random.normal(0, _DOWN) * speed
        self.step = np.array([[cosine, -sine, across], [sine, cosine, down], [0, 0, 1]])

    def placed(self, number: int) -> Array:
        """Return the affine map (3, 3) from pixels of frame `number` to the surface, whose origin is its middle."""
        return np.linalg.matrix_power(self.step, number) @ _shift(-self.side / 2, -self.side / 2)

    def positions(self, number: int) -> tuple[Array, Array]:
        """Return the position on the surface of each pixel of frame `number`: x and y, (side, side) each."""
        return _mapped(self.placed(number), self.side)

    def frame(self, number: int) -> tuple[Array, Array]:
        """Render the surface and its noise in frame `number`: (side, side, 3) and (side, side, NOISE_CHANNELS)."""
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        placed, size = self.placed(number), (self.side, self.side)
        picture = cv2.warpAffine(
            self.photograph, (self.home @ placed)[:2], size, flags=flags, borderMode=cv2.BORDER_REFLECT
        )
        grain = cv2.warpAffine(
            self.noise, (_shift(self.side, self.side) @ placed)[:2], size, flags=flags, borderMode=cv2.BORDER_REFLECT
        )
        return picture, grain

    def flow(self, now: int, before: int) -> Array:
        """Return the flow (side, side, 2) from frame `now` to frame `before` on this surface."""
        back = np.linalg.inv(self.placed(before)) @ self.placed(now)
        x, y = _mapped(back, self.side)
        rows, columns = np.mgrid[0 : self.side, 0 : self.side].astype(np.float32)
        return np.stack([x - columns, y - rows], axis=-1).astype(np.float32)


class _Blob:
    """Wavy ellipse that is fixed on a surface."""

    def __init__(self, side: int, random: np.random.Generator) -> None:
        self.x, self.y = (random.uniform(0.2, 0.8, 2) - 0.5) * side
        self.radius = random.uniform(0.08, 0.3) * side
        self.aspect = random.uniform(0.4, 1.6)
        self.waves, self.height = random.integers(2, 7), random.uniform(0, 0.15) * self.radius

    def __call__(self, positions: tuple[Array, Array]) -> Array:
        """Return the coverage of each pixel by the ellipse, float32 in 0..1, for positions on the surface."""
        across, down = positions[0] - self.x, (positions[1] - self.y) / self.aspect
        distance = np.hypot(across, down) + self.height * np.sin(np.arctan2(down, across) * self.waves)
        return (self.radius - distance + 0.5).clip(0, 1).astype(np.float32)


def _shift(x: float, y: float) -> Array:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def _mapped(matrix: Array, side: int) -> tuple[Array, Array]:
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    x, y = (matrix[row, 0] * columns + matrix[row, 1] * rows + matrix[row, 2] for row in range(2))
    return x.astype(np.float32), y.astype(np.float32)


def _inside(flow: Array) -> Array:
    side = len(flow)
    rows, columns = np.mgrid[0:side, 0:side]
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    return (x >= 0) & (x <= side - 1) & (y >= 0) & (y <= side - 1)


def _sampled(mask: Array, flow: Array) -> Array:
    """Return True where any pixel of `mask` contributes to the sample that `flow` points to."""
    rows, columns = np.mgrid[0 : len(mask), 0 : len(mask)].astype(np.float32)
    found: Array = cv2.remap(mask.astype(np.float32), columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_LINEAR)
    return found > 0


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32)).permute(2, 0, 1)[None]
