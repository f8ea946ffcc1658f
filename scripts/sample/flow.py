"""Exact optical flow and occlusion from the renderer's data passes, and the check that they explain the pictures.

Convention: flow (H, W, 2) in pixels, x then y, y down; pixel centres at integers. Backward flow leads from a frame to
the one before it: previous(p + backward(p)) shows the surface point current(p) shows; forward flow to the one after.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import OpenEXR
from sample import motion


@dataclass(frozen=True, slots=True, eq=False)
class Passes:
    """What the renderer knows of one frame at each pixel's centre."""

    backward: np.ndarray
    """(H, W, 2) float32."""
    forward: np.ndarray
    """(H, W, 2) float32."""
    index: np.ndarray
    """(H, W) uint8: 0 sky, then `scene.WATER`, `PLANTS`, `MOVING`, `STILL`."""
    position: np.ndarray
    """(H, W, 3) float32: where in the world the surface is."""


def sky_flow(frame: int, towards: int, height: int, width: int) -> np.ndarray:
    """Flow of points at infinity from one frame to another: the turn of the camera alone."""
    focal = motion.shot_of(frame).lens / motion.SENSOR * width
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    rays = np.stack(((x + 0.5 - width / 2) / focal, -(y + 0.5 - height / 2) / focal, -np.ones(x.shape)), -1)
    return _seen_by(rays @ motion.rotation(motion.camera(frame)[1]).T, frame, towards)


def still_flow(position: np.ndarray, frame: int, towards: int) -> np.ndarray:
    """Flow of points (H, W, 3) that do not move in the world: what the vector pass must agree with."""
    return _seen_by(position - motion.camera(towards)[0], frame, towards)


def _seen_by(rays: np.ndarray, frame: int, towards: int) -> np.ndarray:
    """Flow that leads from each pixel to where the camera at another frame sees along `rays` (H, W, 3)."""
    height, width = rays.shape[:2]
    focal = motion.shot_of(frame).lens / motion.SENSOR * width
    rays = rays @ motion.rotation(motion.camera(towards)[1])  # to the camera's axes, by the transpose of its matrix
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    at_x = -rays[..., 0] / rays[..., 2] * focal + width / 2 - 0.5
    at_y = rays[..., 1] / rays[..., 2] * focal + height / 2 - 0.5
    return np.stack((at_x - x, at_y - y), -1).astype(np.float32)


def read_passes(path: Path, frame: int) -> Passes:
    """Read a frame's multilayer EXR.

    Cycles writes (previous - current, current - next) with y up as X, Y, Z, W of its Vector pass, and nothing for the
    sky, where the camera's turn is filled in.
    """
    with OpenEXR.File(str(path), separate_channels=True) as file:
        channels = file.parts[0].channels
        vector = [np.asarray(channels[f"ViewLayer.Vector.{axis}"].pixels, np.float32) for axis in "XYZW"]
        index = np.asarray(channels["ViewLayer.IndexOB.X"].pixels).round().astype(np.uint8)
        position = np.stack([np.asarray(channels[f"ViewLayer.Position.{axis}"].pixels) for axis in "XYZ"], -1)
    backward, forward = np.stack((vector[0], -vector[1]), -1), np.stack((-vector[2], vector[3]), -1)
    height, width = index.shape
    shot = motion.shot_of(frame)
    for field, towards in ((backward, frame - 1), (forward, frame + 1)):
        if shot.first <= towards <= shot.last:
            field[index == 0] = sky_flow(frame, towards, height, width)[index == 0]
    return Passes(backward, forward, index, position)


def hidden(current: Passes, previous: Passes, tolerance: float = 0.25) -> np.ndarray:
    """(H, W) bool: which points of the current frame were covered, or outside the picture, in the previous one.

    A point is seen if, among the four pixels around the place it came from, one shows the same kind of thing and its
    own exact forward flow leads back here. What differs by less than `tolerance` pixels of motion (plus 2 % of the
    motion, for surfaces seen at a slant) counts as the same surface, so cover thinner than that is not told.
    """
    height, width = current.index.shape
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    sx, sy = x + current.backward[..., 0], y + current.backward[..., 1]
    inside = (sx >= 0) & (sx <= width - 1) & (sy >= 0) & (sy <= height - 1)
    limit = tolerance + 0.02 * np.linalg.norm(current.backward, axis=-1)
    seen = np.zeros((height, width), bool)
    for dy in (0, 1):
        for dx in (0, 1):
            nx = np.clip(np.floor(sx).astype(int) + dx, 0, width - 1)
            ny = np.clip(np.floor(sy).astype(int) + dy, 0, height - 1)
            error = np.linalg.norm(previous.forward[ny, nx] + current.backward, axis=-1)
            seen |= (error < limit) & (previous.index[ny, nx] == current.index)
    return ~(seen & inside)


def within_surfaces(backward: np.ndarray, index: np.ndarray, reach: int = 1) -> np.ndarray:
    """(H, W) bool: pixels whose neighbours show the same kind of thing and move alike, to a quarter of a pixel."""
    alike = np.ones(index.shape, bool)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            moved = np.abs(np.roll(backward, (dy, dx), (0, 1)) - backward).max(-1)
            alike &= (moved < 0.25) & (np.roll(index, (dy, dx), (0, 1)) == index)
    return alike


def warp(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Sample `image` (H, W, C) where `flow` points, bilinear, the border repeated; the result is float32."""
    height, width = image.shape[:2]
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    sx, sy = np.clip(x + flow[..., 0], 0, width - 1), np.clip(y + flow[..., 1], 0, height - 1)
    x0, y0 = np.minimum(sx.astype(int), width - 2), np.minimum(sy.astype(int), height - 2)
    fx, fy = (sx - x0)[..., None], (sy - y0)[..., None]
    image = image.astype(np.float32)
    top = image[y0, x0] * (1 - fx) + image[y0, x0 + 1] * fx
    low = image[y0 + 1, x0] * (1 - fx) + image[y0 + 1, x0 + 1] * fx
    return (top * (1 - fy) + low * fy).astype(np.float32)
