"""Everything in the film that moves, as plain functions of the frame number: waves, cameras, boats, wind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FPS = 24
FRAMES = 192
CUT = 108
"""The first frame of the second shot."""
SENSOR = 36.0
"""Sensor width in mm, Blender's default; with the lens it gives the focal length in pixels."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One camera position and the frames it lasts."""

    name: str
    first: int
    last: int
    lens: float
    """Focal length in mm on a `SENSOR` mm wide sensor."""
    sun: tuple[float, float, float]
    """Towards the sun."""


SHOTS = (
    Shot("headland", 0, CUT - 1, 38.0, (-0.82, -0.12, 0.42)),
    Shot("quay", CUT, FRAMES - 1, 33.0, (-0.62, -0.52, 0.46)),
)


def shot_of(frame: int) -> Shot:
    """The shot a frame of the film belongs to."""
    return SHOTS[0] if frame < CUT else SHOTS[1]


def smoothstep(x: np.ndarray | float, low: np.ndarray | float = 0.0, high: np.ndarray | float = 1.0) -> np.ndarray:
    """0 below `low`, 1 above `high`, a smooth ease between."""
    t = np.clip((np.asarray(x, float) - low) / np.subtract(high, low), 0, 1)
    return t * t * (3 - 2 * t)


def sun_energy(frame: int) -> float:
    """The one light change: a cloud leaves the sun between frames 38 and 70."""
    return 0.5 + 4.7 * float(smoothstep(frame, 38, 70))


def camera(frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Camera position and Euler XYZ angles: an eased dolly with a pan, plus the sway of a hand.

    Both cameras look along +y; angles are those of Blender, (90 deg + pitch, roll, yaw).
    """
    shot = shot_of(frame) if 0 <= frame < FRAMES else SHOTS[frame >= FRAMES]
    t = (frame - shot.first) / FPS
    along = t / ((shot.last - shot.first) / FPS)
    if shot.name == "headland":
        position = np.array([-1.7 + 2.6 * along, 0.35 * along, 4.55 + 0.12 * along])
        yaw, pitch = np.radians(-3.0 - 3.2 * along), np.radians(-1.9)
    else:
        position = np.array([2.6 - 3.6 * along, 0.2 + 1.2 * along, 3.3 + 0.25 * along])
        yaw, pitch = np.radians(-1.2 + 3.4 * along), np.radians(2.6 - 0.4 * along)
    phase = 0.0 if shot.name == "headland" else 2.0

    def sway(rate: float, shift: float) -> float:
        return float(
            np.sin(2 * np.pi * rate * t + shift + phase) + 0.45 * np.sin(2 * np.pi * rate * 2.3 * t + 3 * shift)
        )

    position = position + np.array([0.018 * sway(0.41, 0.4), 0.01 * sway(0.33, 1.9), 0.016 * sway(0.57, 2.7)])
    pitch += np.radians(0.13) * sway(0.52, 0.9)
    yaw += np.radians(0.15) * sway(0.38, 2.2)
    roll = np.radians(0.16) * sway(0.29, 1.3)
    return position, np.array([np.pi / 2 + pitch, roll, yaw])


def rotation(angles: np.ndarray) -> np.ndarray:
    """The 3x3 matrix of Euler XYZ angles, Rz Ry Rx, camera axes to world axes."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return rz @ ry @ rx


class Waves:
    """A sum of Gerstner waves on deep water: each rest point moves on small circles."""

    def __init__(self, seed: int, count: int = 44, height: float = 1.0, wind: float = 0.6) -> None:
        rng = np.random.default_rng(seed)
        self.length = np.geomspace(0.55, 11.0, count)
        heading = wind + rng.normal(0, 0.75, count)
        self.k = (2 * np.pi / self.length)[:, None] * np.stack((np.cos(heading), np.sin(heading)), 1)
        self.omega = np.sqrt(9.81 * 2 * np.pi / self.length)
        self.amplitude = height * 0.0044 * self.length**0.85 * rng.uniform(0.7, 1.3, count)
        self.phase = rng.uniform(0, 2 * np.pi, count)

    def displace(self, rest: np.ndarray, frame: float, spacing: np.ndarray | None = None) -> np.ndarray:
        """Offsets (N, 3) of rest points (N, 2); waves a mesh of this `spacing` cannot hold fade out."""
        t = frame / FPS
        out = np.zeros((len(rest), 3))
        for length, k, omega, amplitude, phase in zip(
            self.length, self.k, self.omega, self.amplitude, self.phase, strict=True
        ):
            a = amplitude if spacing is None else amplitude * smoothstep(length / spacing, 2.5, 5.0)
            angle = rest @ k - omega * t + phase
            unit = k / np.linalg.norm(k)
            out[:, 2] += a * np.sin(angle)
            out[:, :2] += (0.8 * a * np.cos(angle))[:, None] * unit
        return out

    def float_at(self, x: float, y: float, frame: float, reach: float = 2.0) -> tuple[float, float, float]:
        """Lift and the two slopes a hull of half-length `reach` feels at (x, y)."""
        points = np.array([[x, y], [x + reach, y], [x - reach, y], [x, y + reach], [x, y - reach]])
        z = self.displace(points, frame)[:, 2]
        return float(z.mean()), float((z[1] - z[2]) / (2 * reach)), float((z[3] - z[4]) / (2 * reach))


def wind(points: np.ndarray, frame: float) -> np.ndarray:
    """How far the wind pushes at (N, 2) points, about -1..1: gusts that travel over the ground."""
    t = frame / FPS
    x, y = points[:, 0], points[:, 1]
    gust = np.sin(1.1 * x + 0.7 * y - 2.3 * t) + 0.6 * np.sin(2.3 * x - 1.3 * y - 3.7 * t + 1.0)
    return 0.35 + 0.35 * gust + 0.16 * np.sin(7 * x + 5 * y - 7.5 * t)
