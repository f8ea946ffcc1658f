"""Noise advected by the optical flow: particles that move with the surfaces of a film.

A style network maps a flat surface to a flat colour: nothing in the frame defines the place of a stroke. Noise does.
Noise that is fixed to the screen would make the strokes flicker; this noise moves with the filmed surfaces. Particles
are moved along the flow, dropped where the confidence is low, thinned where they are too dense and seeded in empty
cells (cf. the tracked random dots of Texler et al. 2020, Interactive Video Stylization Using Few-Shot Patch-Based
Training). Nothing is resampled, so the noise never blurs.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from videostyle.nets.style_network import NOISE_CHANNELS
from videostyle.ops.warp import NO_SECOND_MAP, resize_flow
from videostyle.types import Flow

Array = np.ndarray[Any, Any]

GRAINS = (2.5, 7.0)
"""Deviations, in pixels, of the Gaussians that blur the noise: each blurs half of the channels."""
SPACING = 5
"""Side, in pixels, of the cells that hold about one particle each."""
HALF = 2  # the field is computed at half the size: it is blurred by more than that
_MOST_IN_CELL = 3  # more particles in a cell than this are thinned
_FADE = 6  # frames over which a particle appears and disappears
_LEAST_CONFIDENCE = 0.5  # confidence from which a particle follows the flow
_INVERSION_ERROR = 1.0  # pixels by which the inverted flow may miss a particle


def noise_field(height: int, width: int, random: np.random.Generator) -> Array:
    """Draw Gaussian noise of each of the `GRAINS`, (height, width, NOISE_CHANNELS) float32, deviation 1."""
    layers = []
    for number in range(NOISE_CHANNELS):
        grain = GRAINS[number * len(GRAINS) // NOISE_CHANNELS]
        step = max(1, int(grain / 1.5))  # drawn as coarse as the blur allows
        coarse: Array = random.standard_normal((height // step + 8, width // step + 8), dtype=np.float32)
        coarse = cv2.GaussianBlur(coarse, (0, 0), grain / step)
        field = cv2.resize(coarse / coarse.std(), (width, height), interpolation=cv2.INTER_CUBIC)
        layers.append(field)
    return np.stack(layers, axis=-1)


def initial_recurrent_input(picture: Tensor, random: np.random.Generator) -> Tensor:
    """Make the recurrent input for first frames of shots (N, 3, H, W): (N, RECURRENT_CHANNELS, H, W).

    It is an empty prior, and noise that is the same for all of them; see `StyleNetwork.forward`.
    """
    height, width = picture.shape[2:]
    noise = torch.from_numpy(noise_field(height, width, random)).permute(2, 0, 1)[None].to(picture.device)
    noise = noise.expand(len(picture), -1, -1, -1)
    return torch.cat([torch.zeros_like(picture), torch.zeros_like(picture[:, :1]), noise], dim=1)


class Particles:
    """Advected noise of one film at one size, frame after frame; the same for the same seed, motion and shots."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._shot: tuple[int, ...] = ()
        self._frame = 0
        self._size = (0, 0)
        self._positions = np.zeros((0, 2), np.float32)
        self._values = np.zeros((0, NOISE_CHANNELS), np.float32)
        self._weights = np.zeros(0, np.float32)
        self._leaving = np.zeros(0, bool)

    def __call__(self, size: tuple[int, int], motion: Flow | None, moment: tuple[int, ...] = ()) -> Tensor:
        """Return the noise field (1, NOISE_CHANNELS, H / 2, W / 2) of the next frame, mean 0, deviation 1.

        `size` is (H, W) of the frame; `motion` is the backward flow, of any size, with its confidence. None begins a
        new shot, whose random numbers depend on the seed and on `moment` alone (for example the time of its start).
        """
        if motion is None or size != self._size:
            self._begin(size, moment)
        else:
            self._frame += 1
            self._move(motion)
            self._thin()
            self._seed_room()
        return self._field()

    def _begin(self, size: tuple[int, int], moment: tuple[int, ...]) -> None:
        self._size, self._shot, self._frame = size, moment, 0
        columns, rows = self._cells()
        self._positions, self._values = self._random(np.arange(columns * rows))
        self._weights = np.ones(len(self._positions), np.float32)
        self._leaving = np.zeros(len(self._positions), bool)

    def _cells(self) -> tuple[int, int]:
        return -(-self._size[1] // SPACING), -(-self._size[0] // SPACING)

    def _random(self, cells: Array) -> tuple[Array, Array]:
        """Draw a new particle in each of the numbered cells: positions (n, 2) and values (n, NOISE_CHANNELS)."""
        random = np.random.default_rng([self._seed, *self._shot, self._frame])
        columns, _ = self._cells()
        rows, across = np.divmod(cells, columns)
        corners = np.stack([across, rows], axis=1) + random.random((len(cells), 2))
        # The centres of pixels are at integers, so the picture begins half a pixel before 0.
        positions = (corners * SPACING - 0.5).clip(0, (self._size[1] - 1, self._size[0] - 1)).astype(np.float32)
        return positions, random.standard_normal((len(cells), NOISE_CHANNELS), dtype=np.float32)

    def _move(self, motion: Flow) -> None:
        """Move the particles by the inverse of the backward flow: solve x + b(x) = p for x by fixed-point iteration."""
        flow = np.ascontiguousarray(resize_flow(motion.vectors[:1], self._size)[0].permute(1, 2, 0).numpy(force=True))
        confidence = motion.confidence[0, 0].numpy(force=True)
        where = self._positions - _at(flow, self._positions)
        for _ in range(2):
            where = self._positions - _at(flow, where)
        miss = np.square(where + _at(flow, where) - self._positions).sum(1)
        scale = np.array([confidence.shape[1] / self._size[1], confidence.shape[0] / self._size[0]], np.float32)
        kept = (miss < _INVERSION_ERROR**2) & (_at(confidence[..., None], where * scale)[:, 0] > _LEAST_CONFIDENCE)
        kept &= (where >= 0).all(1) & (where[:, 0] <= self._size[1] - 1) & (where[:, 1] <= self._size[0] - 1)
        change = np.where(self._leaving, -1, 1).astype(np.float32) / _FADE
        weights = (self._weights + change).clip(0, 1)
        kept &= weights > 0
        self._positions, self._values = where[kept], self._values[kept]
        self._weights, self._leaving = weights[kept], self._leaving[kept]

    def _thin(self) -> None:
        """Mark particles to fade out where they are too dense: in each cell all but the strongest few."""
        cells = self._cell_of(self._positions)
        order = np.lexsort((-self._weights, self._leaving, cells))
        ranked = cells[order]
        rank = np.arange(len(order)) - np.searchsorted(ranked, ranked)
        self._leaving[order] |= rank >= _MOST_IN_CELL

    def _seed_room(self) -> None:
        """Seed a particle in each cell that has none in it and in its neighbours."""
        columns, rows = self._cells()
        taken = np.zeros((rows, columns), np.uint8)
        taken.flat[self._cell_of(self._positions[~self._leaving])] = 1
        room = np.flatnonzero(cv2.dilate(taken, np.ones((2, 2), np.uint8)).ravel() == 0)
        positions, values = self._random(room)
        self._positions = np.concatenate([self._positions, positions])
        self._values = np.concatenate([self._values, values])
        self._weights = np.concatenate([self._weights, np.full(len(room), 1 / _FADE, np.float32)])
        self._leaving = np.concatenate([self._leaving, np.zeros(len(room), bool)])

    def _cell_of(self, positions: Array) -> Array:
        columns, rows = self._cells()
        cells = ((positions + 0.5) // SPACING).astype(np.int64)
        return cells[:, 1].clip(0, rows - 1) * columns + cells[:, 0].clip(0, columns - 1)

    def _field(self) -> Tensor:
        """Draw the particles as Gaussians."""
        height, width = (-(-side // HALF) for side in self._size)
        at = ((self._positions + 0.5) / HALF - 0.5).clip(0, (width - 1, height - 1))
        corner = np.floor(at).astype(np.int64)
        part = at - corner
        drawn = self._values * self._weights[:, None]
        places, shares = [], []
        for down in (0, 1):
            for across in (0, 1):
                shares.append(np.abs(1 - across - part[:, 0]) * np.abs(1 - down - part[:, 1]))
                x, y = (corner[:, 0] + across).clip(0, width - 1), (corner[:, 1] + down).clip(0, height - 1)
                places.append(y * width + x)
        place, share = np.concatenate(places), np.stack(shares)
        field = np.empty((NOISE_CHANNELS, height, width), np.float32)
        for channel in range(NOISE_CHANNELS):
            weights = (share * drawn[:, channel]).ravel()
            field[channel] = np.bincount(place, weights, height * width).reshape(height, width)
        for channel in range(NOISE_CHANNELS):
            grain = GRAINS[channel * len(GRAINS) // NOISE_CHANNELS]
            blurred: Array = cv2.GaussianBlur(field[channel], (0, 0), grain / HALF, borderType=cv2.BORDER_REFLECT)
            field[channel] = blurred / (blurred.std() + 1e-6)
        return torch.from_numpy(field)[None]


def _at(field: Array, positions: Array) -> Array:
    """Sample a field (H, W, C) bilinearly at positions (n, 2), x then y: (n, C)."""
    if not len(positions):
        return np.zeros((0, field.shape[2]), np.float32)
    # OpenCV's maps hold at most 32767 rows: the positions are arranged in a wide map of several rows.
    columns = min(len(positions), 4096)
    rows = -(-len(positions) // columns)
    maps = np.zeros((rows * columns, 2), np.float32)
    maps[: len(positions)] = positions
    found = cv2.remap(
        field, maps.reshape(rows, columns, 2), NO_SECOND_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return found.reshape(rows * columns, -1)[: len(positions)]
