"""Synthetic pictures to learn on if there are no photographs: a dead leaves model with light and texture.

Shapes of all sizes that occlude each other have the edges, the flat parts and the spectrum of photographs (Lee, Mumford
and Huang 2001: occlusion with sizes distributed as r^-3). These shapes are shaded, have 1/f textures, stripes, lines of
writing and simple faces, and lie in front of a sky and a ground, since a style has to be learned on all of these.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

Array = np.ndarray[Any, Any]

_SMALLEST, _LARGEST = 0.03, 0.5  # radii of the leaves, in sides of the picture
_SHIFT = 4  # fractional bits of OpenCV's coordinates
# Hue (degrees), its deviation, saturation and weight: sky and water, leaves, earth and wood, skin, stone, paint.
_COLORS = (
    (210, 12, 0.45, 3),
    (95, 22, 0.45, 3),
    (32, 10, 0.5, 3),
    (22, 6, 0.35, 2),
    (40, 60, 0.08, 5),
    (180, 180, 0.75, 1),
)


def scene(seed: int, side: int = 384) -> Array:
    """Draw picture number `seed`, (side, side, 3) uint8 RGB; it is the same every time."""
    random = np.random.default_rng(seed)
    colors = [_color(random) for _ in range(random.integers(4, 9))]
    picture = _backdrop(random, side, colors)
    # Inverse of the distribution of r^-3 between the smallest and the largest; in random order, so any may occlude any.
    share = random.random(random.integers(20, 120))
    radii: Array = side / np.sqrt(share / _SMALLEST**2 + (1 - share) / _LARGEST**2)
    for radius in radii:
        _leaf(random, picture, radius, colors[random.integers(len(colors))])
    # One light from one side over the whole picture; then the blur of a lens and the noise of a sensor.
    picture *= 1 + random.uniform(0, 0.35) * _ramp(random, side)[..., None]
    picture = cv2.GaussianBlur(picture, (0, 0), random.uniform(0.4, 0.9))
    picture = picture + random.normal(0, 0.008, picture.shape)
    return (picture.clip(0, 1) * 255).round().astype(np.uint8)


def _color(random: np.random.Generator) -> Array:
    often = np.array([color[3] for color in _COLORS], float)
    hue, spread, saturation, _ = _COLORS[random.choice(len(_COLORS), p=often / often.sum())]
    angle = np.float32((hue + random.normal(0, spread)) % 360)
    full = np.float32(np.clip(random.normal(saturation, 0.15), 0, 1))
    value = np.float32(random.beta(2, 1.8))
    return cv2.cvtColor(np.array([[[angle, full, value]]], np.float32), cv2.COLOR_HSV2RGB)[0, 0]


def _backdrop(random: np.random.Generator, side: int, colors: list[Array]) -> Array:
    """Draw a sky that is paler towards the horizon, and a ground that is darker there."""
    y = np.linspace(0, 1, side, dtype=np.float32)[:, None, None]
    sky = colors[0] + (1 - colors[0]) * 0.7 * y + random.uniform(0, 0.2) * _texture(random, side)
    ground = colors[-1] * (0.6 + 0.4 * y) + random.uniform(0.05, 0.3) * _texture(random, side)
    line = random.uniform(0.2, 0.9) + 0.05 * _texture(random, side)[side // 2, :, :1]
    return np.where(y < line, sky, ground).astype(np.float32)


@lru_cache(maxsize=1)
def _tiles() -> Array:
    """Make eight seamless fields with a 1/f spectrum, (8, 512, 512); mean 0, deviation 1."""
    y, x = np.meshgrid(np.fft.fftfreq(512), np.fft.fftfreq(512), indexing="ij")
    frequency = np.hypot(y, x)
    frequency[0, 0] = np.inf
    waves = np.fft.fft2(np.random.default_rng(0).normal(size=(8, 512, 512)))
    tiles = np.fft.ifft2(waves / frequency).real
    return (tiles / tiles.std((1, 2), keepdims=True)).astype(np.float32)


def _texture(random: np.random.Generator, side: int) -> Array:
    """Cut a nearly grey 1/f texture, (side, side, 3)."""
    y, x = (np.arange(start, start + side) % 512 for start in random.integers(0, 512, 2))
    tint = 0.35 + random.normal(0, 0.07, 3)
    return (_tiles()[random.integers(8)][np.ix_(y, x)][..., None] * tint).astype(np.float32)


def _ramp(random: np.random.Generator, side: int) -> Array:
    """Make a linear gradient, (side, side), from -1 to 1 in a random direction."""
    angle = random.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    return ((np.cos(angle) * x + np.sin(angle) * y) / np.sqrt(2)).astype(np.float32)


def _leaf(random: np.random.Generator, picture: Array, radius: float, color: Array) -> None:
    """Draw one shape over the picture, in place."""
    side = picture.shape[0]
    box = int(2.4 * radius) + 6
    mask = _SHAPES[random.choice(len(_SHAPES), p=_OFTEN)](random, box, radius)
    if random.random() < 0.2:  # out of focus
        mask = cv2.GaussianBlur(mask, (0, 0), random.uniform(0.5, 3))
    color = np.clip(color * random.uniform(0.6, 1.4) + random.normal(0, 0.03, 3), 0, 1).astype(np.float32)
    skin = np.broadcast_to(color, (box, box, 3)) * (1 + random.uniform(0, 0.5) * _ramp(random, box)[..., None])
    kind = random.random()
    if kind < 0.55:
        skin = skin + random.uniform(0.05, 0.5) * _texture(random, box)
    if box > 24:
        if kind > 0.88:
            skin = skin * _stripes(random, box)[..., None]
        elif kind > 0.8:
            skin = _writing(random, skin, box)
        elif kind > 0.72:
            skin = _face(random, skin, box, radius)
    top, left = random.integers(-box // 2, side - box // 2, 2)
    y, x = slice(max(top, 0), min(top + box, side)), slice(max(left, 0), min(left + box, side))
    part = slice(y.start - top, y.stop - top), slice(x.start - left, x.stop - left)
    cover = mask[part][..., None].astype(np.float32) / 255
    picture[y, x] += cover * (skin[part] - picture[y, x])


def _fixed(*values: float) -> tuple[int, ...]:
    return tuple(round(value * 2**_SHIFT) for value in values)


def _ellipse(random: np.random.Generator, box: int, radius: float) -> Array:
    mask = np.zeros((box, box), np.uint8)
    axes = _fixed(radius, radius * random.uniform(0.3, 1))
    cv2.ellipse(mask, _fixed(box / 2, box / 2), axes, random.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA, _SHIFT)
    return mask


def _polygon(random: np.random.Generator, box: int, radius: float) -> Array:
    """Draw a polygon, from triangles to ragged rocks."""
    count = random.integers(3, 10)
    angles = np.sort(random.uniform(0, 2 * np.pi, count))
    reach = radius * random.uniform(0.5, 1, count)
    corners = np.stack([box / 2 + reach * np.cos(angles), box / 2 + reach * np.sin(angles)], 1)
    mask = np.zeros((box, box), np.uint8)
    cv2.fillPoly(mask, [np.round(corners * 2**_SHIFT).astype(np.int32)], 255, cv2.LINE_AA, _SHIFT)
    return mask


def _block(random: np.random.Generator, box: int, radius: float) -> Array:
    """Draw a wall, window or post: a mostly upright rectangle of any proportion."""
    mask = np.zeros((box, box), np.uint8)
    wide, high = radius * random.uniform(0.08, 0.8), radius * random.uniform(0.3, 0.9)
    turn = random.normal(0, 4) if random.random() < 0.7 else random.uniform(0, 180)
    corners = cv2.boxPoints(((box / 2, box / 2), (2 * wide, 2 * high), turn))
    cv2.fillPoly(mask, [np.round(corners * 2**_SHIFT).astype(np.int32)], 255, cv2.LINE_AA, _SHIFT)
    return mask


def _branch(random: np.random.Generator, box: int, radius: float) -> Array:
    """Draw a bent line: a branch, wire or limb."""
    mask = np.zeros((box, box), np.uint8)
    steps = np.cumsum(random.normal(0, 0.35, 12)) + random.uniform(0, 2 * np.pi)
    path = np.cumsum(np.stack([np.cos(steps), np.sin(steps)], 1), 0) * radius / 6
    path += box / 2 - path.mean(0)
    thick = max(int(radius * random.uniform(0.02, 0.2)), 1)
    cv2.polylines(mask, [np.round(path * 2**_SHIFT).astype(np.int32)], False, 255, thick, cv2.LINE_AA, _SHIFT)
    return mask


_SHAPES: tuple[Callable[[np.random.Generator, int, float], Array], ...] = (_ellipse, _polygon, _block, _branch)
_OFTEN = (0.35, 0.25, 0.25, 0.15)


def _stripes(random: np.random.Generator, box: int) -> Array:
    """Draw a periodic pattern: a fence, cloth or bricks."""
    waves = np.sin(_ramp(random, box) * box * random.uniform(0.15, 0.8))
    return (1 + random.uniform(0.1, 0.6) * np.tanh(3 * waves)).astype(np.float32)


def _writing(random: np.random.Generator, skin: Array, box: int) -> Array:
    """Write lines of letters, light on dark or dark on light."""
    letters = np.zeros((box, box), np.uint8)
    size, font = random.uniform(0.25, 1.2), int(random.integers(0, 8))
    for line in range(int(12 * size), box, int(26 * size) + 2):
        text = "".join(chr(letter) for letter in random.integers(65, 123, 24))
        cv2.putText(letters, text, (box // 8, line), font, size, 255, 1 + int(size), cv2.LINE_AA)
    ink = 0.05 if skin.mean() > 0.4 else 0.95
    return skin + (ink - skin) * (letters[..., None] / np.float32(255))


def _face(random: np.random.Generator, skin: Array, box: int, radius: float) -> Array:
    """Draw two eyes, the shadow of a nose and a mouth in the middle of the box."""
    face = np.ascontiguousarray(skin, np.float32)
    middle, unit = box / 2, radius * random.uniform(0.3, 0.5)
    turn = random.normal(0, 10)

    def spot(x: float, y: float, wide: float, high: float, tone: Array) -> None:
        at = _fixed(middle + unit * x, middle + unit * y)
        cv2.ellipse(face, at, _fixed(unit * wide, unit * high), turn, 0, 360, tone.tolist(), -1, cv2.LINE_AA, _SHIFT)

    shade = skin.mean((0, 1))
    for x in (-0.5, 0.5):
        spot(x, -0.35, 0.3, 0.16, np.clip(shade * 0.5 + 0.5, 0, 1))
        spot(x, -0.35, 0.13, 0.14, shade * 0.15)
        spot(x, -0.65, 0.36, 0.07, shade * 0.4)
    spot(0.08, 0.1, 0.1, 0.3, shade * 0.75)
    spot(0, 0.65, 0.42, 0.12, np.clip(shade * np.array([0.9, 0.4, 0.4]), 0, 1))
    return face
