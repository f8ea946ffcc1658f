"""Geometry as numpy arrays: a `Shape` collects vertices, faces and the material of each face."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

Point = Sequence[float] | np.ndarray


def value_noise(x: np.ndarray, y: np.ndarray, seed: int, octaves: int = 4) -> np.ndarray:
    """Smooth noise in about -1..1, octaves at doubling frequency; lattice spacing 1 for the first."""
    total, weight = np.zeros(np.broadcast(x, y).shape), 0.0
    for octave in range(octaves):
        table = np.random.default_rng(seed + octave).uniform(-1, 1, (256, 256))
        u, v = np.asarray(x) * 2**octave, np.asarray(y) * 2**octave
        i, j = np.floor(u).astype(int), np.floor(v).astype(int)
        fu, fv = (u - i) ** 2 * (3 - 2 * (u - i)), (v - j) ** 2 * (3 - 2 * (v - j))
        i0, i1, j0, j1 = i % 256, (i + 1) % 256, j % 256, (j + 1) % 256
        low = table[i0, j0] * (1 - fu) + table[i1, j0] * fu
        high = table[i0, j1] * (1 - fu) + table[i1, j1] * fu
        total += 0.5**octave * (low * (1 - fv) + high * fv)
        weight += 0.5**octave
    return total / weight


class Shape:
    """A mesh being put together; every `add` returns the slice of vertices it made."""

    def __init__(self) -> None:
        self.points: list[np.ndarray] = []
        self.faces: list[tuple[int, ...]] = []
        self.materials: list[str] = []
        self.count = 0

    @property
    def vertices(self) -> np.ndarray:
        """All vertices so far, (N, 3)."""
        return np.concatenate(self.points) if self.points else np.zeros((0, 3))

    def add(self, points: np.ndarray, faces: Sequence[Sequence[int]], material: str) -> slice:
        """Append vertices (N, 3) and faces that count from their first."""
        start = self.count
        self.points.append(np.asarray(points, float))
        self.faces += [tuple(int(i) + start for i in face) for face in faces]
        self.materials += [material] * len(faces)
        self.count += len(points)
        return slice(start, self.count)

    def merge(self, other: Shape, move: Point = (0, 0, 0), turn: float = 0.0, scale: float = 1.0) -> slice:
        """Append another shape, scaled, turned about z and moved."""
        c, s = np.cos(turn), np.sin(turn)
        points = other.vertices * scale @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) + np.asarray(move, float)
        start = self.count
        self.points.append(points)
        self.faces += [tuple(i + start for i in face) for face in other.faces]
        self.materials += other.materials
        self.count += len(points)
        return slice(start, self.count)

    def box(self, centre: Point, size: Point, material: str, turn: float = 0.0) -> slice:
        """An axis-aligned box, then turned about z through its centre."""
        corners = np.array([[x, y, z] for z in (-0.5, 0.5) for y in (-0.5, 0.5) for x in (-0.5, 0.5)]) * np.asarray(
            size
        )
        c, s = np.cos(turn), np.sin(turn)
        corners = corners @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) + np.asarray(centre, float)
        faces = ((0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5))
        return self.add(corners, faces, material)

    def rod(
        self, start: Point, end: Point, radius: float, material: str, tip: float | None = None, sides: int = 7
    ) -> slice:
        """A round bar from start to end; `tip` is the radius there."""
        a, b = np.asarray(start, float), np.asarray(end, float)
        axis = (b - a) / max(float(np.linalg.norm(b - a)), 1e-9)
        side = np.cross(axis, (0, 0, 1) if abs(axis[2]) < 0.9 else (1, 0, 0))
        side /= np.linalg.norm(side)
        other = np.cross(axis, side)
        angle = np.arange(sides) * 2 * np.pi / sides
        ring = np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * other
        points = np.concatenate((a + ring * radius, b + ring * (radius if tip is None else tip)))
        faces: list[tuple[int, ...]] = [(i, (i + 1) % sides, sides + (i + 1) % sides, sides + i) for i in range(sides)]
        faces += [tuple(range(sides))[::-1], tuple(range(sides, 2 * sides))]
        return self.add(points, faces, material)

    def grid(self, points: np.ndarray, material: str) -> slice:
        """A sheet of quads from points (rows, columns, 3)."""
        rows, columns = points.shape[:2]
        index = np.arange(rows * columns).reshape(rows, columns)
        quads = np.stack((index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]), -1).reshape(-1, 4)
        return self.add(points.reshape(-1, 3), quads.tolist(), material)

    def lathe(
        self, profile: Sequence[tuple[float, float]], materials: Sequence[str], centre: Point, sides: int = 32
    ) -> None:
        """Turn a (radius, height) profile about z; one material for each band between two profile points."""
        angle = np.arange(sides + 1) * 2 * np.pi / sides
        for (r0, z0), (r1, z1), material in zip(profile[:-1], profile[1:], materials, strict=True):
            rings = [
                np.stack((r * np.cos(angle), r * np.sin(angle), np.full_like(angle, z)), 1)
                for r, z in ((r0, z0), (r1, z1))
            ]
            self.grid(np.stack(rings) + np.asarray(centre, float), material)

    def ball(
        self, centre: Point, radii: Point, material: str, sides: int = 12, rough: float = 0.0, seed: int = 0
    ) -> slice:
        """An ellipsoid; `rough` makes a stone of it."""
        v, u = np.meshgrid(
            np.linspace(-np.pi / 2, np.pi / 2, sides // 2 + 2), np.linspace(0, 2 * np.pi, sides + 1), indexing="ij"
        )
        unit = np.stack((np.cos(v) * np.cos(u), np.cos(v) * np.sin(u), np.sin(v)), -1)
        if rough:
            turn = np.random.default_rng(seed).uniform(-2, 2, (3, 3))
            bumps = (
                np.sin(unit @ turn[0] * 2.2 + seed) + np.sin(unit @ turn[1] * 3.1) + np.sin(unit @ turn[2] * 4.3 - seed)
            )
            unit = unit * (1 + rough * bumps / 2)[..., None]
        return self.grid(unit * np.asarray(radii, float) + np.asarray(centre, float), material)


def hull(shape: Shape, length: float, beam: float, side: str, bottom: str, deck: str) -> None:
    """A boat's shell along x, bow at +x, waterline at z = 0, with a stripe below the rail and a deck."""
    s = np.linspace(0, 1, 25)
    breadth = 0.5 * beam * np.clip(np.sin(np.pi * (0.16 + 0.84 * s) ** 0.85), 0, 1) ** 0.75
    breadth[-1] = 0.01
    rail = 0.11 * length * (0.72 + 0.55 * (s - 0.38) ** 2 + 0.24 * s**3)
    x = (s - 0.5) * length
    rake = 0.075 * length * s**4
    levels = (-0.28, -0.12, 0.03, 0.09, 0.35, 0.75, 0.84, 1.0)
    widths = (0.12, 0.62, 0.84, 0.88, 0.95, 1.0, 1.01, 1.02)
    for sign in (1, -1):
        rows = []
        for level, width in zip(levels, widths, strict=True):
            z = rail * level if level > 0 else np.full_like(s, level * 0.1 * length)
            rows.append(np.stack((x + rake * max(level, 0), sign * breadth * width, z), 1))
        for i in range(len(rows) - 1):
            material = bottom if i < 3 else (deck if i == 5 else side)
            shape.grid(np.stack(rows[i : i + 2] if sign < 0 else rows[i : i + 2][::-1]), material)
    top = np.stack((x + rake, breadth * 1.0, rail * 0.93), 1)
    shape.grid(np.stack((top * (1, -1, 1), top * (1, 0, 1) + (0, 0, 0.04), top)), deck)
    stern = [
        [x[0], sign * breadth[0] * w, rail[0] * lv if lv > 0 else lv * 0.1 * length]
        for sign in (1, -1)
        for lv, w in zip(levels, widths, strict=True)
    ]
    n = len(levels)
    shape.add(np.array(stern), [(i, i + 1, n + i + 1, n + i) for i in range(n - 1)], side)


def sail(shape: Shape, tack: Point, head: Point, clew: Point, belly: float, material: str) -> None:
    """A triangular sail with belly towards +y, with seams left to its material."""
    tack, head, clew = (np.asarray(p, float) for p in (tack, head, clew))
    v, u = np.meshgrid(np.linspace(0, 1, 15), np.linspace(0, 1, 11), indexing="ij")
    luff, leech = tack + (head - tack) * v[..., None], clew + (head - clew) * v[..., None]
    points = luff + (leech - luff) * u[..., None]
    points[..., 0] += 0.05 * np.linalg.norm(clew - tack) * np.sin(np.pi * v) * u  # a rounded leech
    points[..., 1] += (
        belly
        * np.sin(np.pi * np.clip(u * 0.9 + 0.02, 0, 1))
        * (1 - v) ** 0.7
        * (0.35 + 0.65 * np.sin(np.pi * np.clip(v, 0, 0.5)))
    )
    shape.grid(points, material)


def sailing_boat(
    length: float, colours: tuple[str, str, str], sails: tuple[str, str] | None, mast: float, lean: float = 0.0
) -> Shape:
    """A sloop with standing rigging; without `sails` they lie furled on the boom."""
    boat = Shape()
    beam = 0.32 * length
    hull(boat, length, beam, colours[0], colours[1], "deck")
    deck = 0.085 * length
    foot = 0.06 * length
    boat.box((-0.03 * length, 0, deck + 0.03 * length), (0.3 * length, 0.5 * beam, 0.07 * length), colours[2])
    boat.box((-0.03 * length, 0, deck + 0.068 * length), (0.32 * length, 0.54 * beam, 0.012 * length), "deck")
    for x in (-0.12, -0.04, 0.04):
        boat.box((x * length, 0, deck + 0.038 * length), (0.045 * length, 0.505 * beam, 0.026 * length), "glass")
    boat.rod((foot, 0, deck), (foot - 0.01 * length, 0, mast), 0.0095 * length, "spar", 0.005 * length)
    boom = deck + 0.15 * length
    boat.rod((foot, 0, boom), (-0.42 * length, 0.02 * length, boom + 0.01 * length), 0.006 * length, "spar")
    wire = 0.0026 * length
    bow, stern, top = (
        (0.54 * length, 0, 0.125 * length),
        (-0.49 * length, 0, 0.1 * length),
        (foot - 0.01 * length, 0, mast * 0.97),
    )
    boat.rod(bow, top, wire, "wire", sides=5)
    boat.rod(stern, top, wire, "wire", sides=5)
    spread = 0.62 * mast
    boat.rod((foot, -0.36 * beam, spread), (foot, 0.36 * beam, spread), 0.004 * length, "spar", sides=5)
    for sign in (-1, 1):
        chain, tip = (foot, sign * 0.46 * beam, deck), (foot, sign * 0.36 * beam, spread)
        boat.rod(chain, tip, wire, "wire", sides=5)
        boat.rod(tip, top, wire, "wire", sides=5)
        rail = np.array(
            [
                [x * length, sign * 0.47 * beam * (1 - max(0.0, x) * 1.1), deck + 0.02 * length]
                for x in (-0.45, -0.25, -0.05, 0.15, 0.35)
            ]
        )
        for post in rail:
            boat.rod(post, np.add(post, (0, 0, 0.075 * length)), 0.0025 * length, "wire", sides=5)
        for a, b in pairwise(rail):
            boat.rod(
                np.add(a, (0, 0, 0.072 * length)), np.add(b, (0, 0, 0.072 * length)), 0.002 * length, "wire", sides=5
            )
    if sails:
        sail(
            boat,
            (foot - 0.015 * length, 0, boom + 0.02 * length),
            (foot - 0.015 * length, 0, mast * 0.96),
            (-0.42 * length, 0.03 * length, boom + 0.03 * length),
            lean * 0.12 * length,
            sails[0],
        )
        sail(
            boat,
            (0.51 * length, 0, 0.15 * length),
            (foot + 0.03 * length, 0, mast * 0.86),
            (0.0, 0.06 * length, boom),
            lean * 0.16 * length,
            sails[1],
        )
        boat.ball(
            (-0.3 * length, 0.07 * beam, deck + 0.06 * length),
            (0.028 * length, 0.03 * length, 0.065 * length),
            "coat red",
            10,
        )
        boat.ball(
            (-0.3 * length, 0.07 * beam, deck + 0.145 * length),
            (0.02 * length, 0.02 * length, 0.024 * length),
            "skin",
            10,
        )
    else:
        boat.rod(
            (foot - 0.03 * length, 0, boom + 0.022 * length),
            (-0.4 * length, 0.02 * length, boom + 0.03 * length),
            0.021 * length,
            "canvas",
            0.013 * length,
            9,
        )
        boat.rod(
            (0.5 * length, 0, 0.19 * length),
            (foot + 0.06 * length, 0, mast * 0.84),
            0.008 * length,
            "canvas",
            0.005 * length,
            6,
        )
    return boat


def rowing_boat(colour: str) -> Shape:
    """A dinghy with thwarts."""
    boat = Shape()
    hull(boat, 3.6, 1.4, colour, colour, "planks")
    for x in (-0.9, 0.0, 0.9):
        boat.box((x, 0, 0.36), (0.25, 1.15, 0.05), "planks")
    return boat


def lighthouse() -> Shape:
    """A banded tower 15 m high with gallery and lantern."""
    tower = Shape()
    bands = 7
    heights = np.linspace(0.9, 10.6, bands + 1)
    radii = 1.22 + 0.95 * (1 - heights / 10.6) ** 1.5
    tower.lathe([(2.9, -1.5), (2.8, 0.7), (2.5, 0.9), (radii[0], 0.9)], ["stone", "stone", "stone"], (0, 0, 0))
    profile = list(zip(radii.tolist(), heights.tolist(), strict=True))
    tower.lathe(profile, ["white wall" if i % 2 else "red paint" for i in range(bands)], (0, 0, 0), 40)
    tower.lathe(
        [(radii[-1], 10.6), (1.95, 10.85), (1.95, 11.05), (0.9, 11.05)],
        ["white wall", "white wall", "white wall"],
        (0, 0, 0),
        40,
    )
    tower.lathe([(0.92, 11.05), (0.92, 11.6)], ["red paint"], (0, 0, 0))
    tower.lathe([(0.86, 11.6), (0.86, 13.0)], ["lantern"], (0, 0, 0))
    tower.lathe([(1.15, 13.0), (1.0, 13.35), (0.55, 13.85), (0.12, 14.1), (0.02, 14.4)], ["red paint"] * 4, (0, 0, 0))
    tower.rod((0, 0, 14.2), (0, 0, 15.6), 0.04, "wire")
    for angle in np.arange(16) * np.pi / 8:
        c, s = np.cos(angle), np.sin(angle)
        tower.rod((1.85 * c, 1.85 * s, 11.0), (1.85 * c, 1.85 * s, 11.95), 0.035, "wire", sides=5)
        c2, s2 = np.cos(angle + np.pi / 8), np.sin(angle + np.pi / 8)
        for z in (11.5, 11.93):
            tower.rod((1.85 * c, 1.85 * s, z), (1.85 * c2, 1.85 * s2, z), 0.03, "wire", sides=5)
    for angle in np.arange(8) * np.pi / 4:
        tower.rod(
            (0.89 * np.cos(angle), 0.89 * np.sin(angle), 11.6),
            (0.89 * np.cos(angle), 0.89 * np.sin(angle), 13.0),
            0.04,
            "wire",
            sides=5,
        )
    for z, angle in ((3.2, -1.9), (5.9, -1.3), (8.6, -1.75)):
        r = float(np.interp(z, heights, radii)) - 0.02
        tower.box((r * np.cos(angle), r * np.sin(angle), z), (0.2, 0.5, 0.85), "glass", angle)
    tower.box((2.1 * np.cos(-1.6), 2.1 * np.sin(-1.6), 1.7), (0.25, 0.9, 1.7), "door blue", -1.6)
    return tower


def house(
    width: float,
    depth: float,
    eaves: float,
    ridge: float,
    wall: str,
    roof: str,
    shutter: str,
    seed: int,
    gable_front: bool,
) -> Shape:
    """A town house; its front is the wall at y = 0, its foot z = 0, x centred."""
    rng = np.random.default_rng(seed)
    home = Shape()
    w, over = width / 2, 0.3
    home.box((0, depth / 2, eaves / 2), (width, depth, eaves), wall)
    home.box((0, depth / 2, 0.25), (width + 0.1, depth + 0.1, 0.5), "stone")
    if gable_front:
        for y in (0.0, depth):
            home.add(np.array([[-w, y, eaves], [w, y, eaves], [0, y, ridge]]), [(0, 1, 2)], wall)
        for sign in (-1, 1):
            slope = (ridge - eaves) / w
            low, high = np.array([sign * (w + over), eaves - over * slope]), np.array([0.0, ridge])
            for lift, material in ((0.14, roof), (0.02, "white wall")):
                edge = np.array(
                    [
                        [low[0], -over, low[1] + lift],
                        [high[0], -over, high[1] + lift],
                        [high[0], depth + over, high[1] + lift],
                        [low[0], depth + over, low[1] + lift],
                    ]
                )
                home.add(edge, [(0, 1, 2, 3)], material)
            rim = np.array(
                [
                    [low[0], -over - 0.02, low[1]],
                    [high[0], -over - 0.02, high[1]],
                    [high[0], -over - 0.02, high[1] + 0.18],
                    [low[0], -over - 0.02, low[1] + 0.18],
                ]
            )
            home.add(rim, [(0, 1, 2, 3)], "white wall")
        home.box((0, -0.03, eaves + 0.45 * (ridge - eaves)), (0.75, 0.1, 1.0), "white wall")
        home.box((0, -0.06, eaves + 0.45 * (ridge - eaves)), (0.55, 0.1, 0.8), "glass")
    else:
        middle = depth / 2
        for x in (-w, w):
            home.add(np.array([[x, 0, eaves], [x, depth, eaves], [x, middle, ridge]]), [(0, 1, 2)], wall)
        for sign in (-1, 1):
            y = middle + sign * (middle + over)
            z = eaves - over * (ridge - eaves) / middle
            edge = np.array(
                [
                    [-w - 0.15, y, z + 0.1],
                    [w + 0.15, y, z + 0.1],
                    [w + 0.15, middle, ridge + 0.1],
                    [-w - 0.15, middle, ridge + 0.1],
                ]
            )
            home.add(edge, [(0, 1, 2, 3)], roof)
        home.box((0, -over, eaves - 0.12), (width + 0.3, 0.12, 0.14), "white wall")
    chimney = rng.uniform(0.25, 0.6) * w * rng.choice((-1, 1))
    home.box((chimney, depth * 0.5, ridge + 0.1), (0.7, 0.7, 2.2), "brick")
    home.box((chimney, depth * 0.5, ridge + 1.2), (0.85, 0.85, 0.15), "stone")
    for shift in (-0.17, 0.17):
        home.rod((chimney + shift, depth * 0.5, ridge + 1.2), (chimney + shift, depth * 0.5, ridge + 1.6), 0.1, "brick")
    columns = max(2, round(width / 2.0))
    storeys = max(2, round(eaves / 2.9))
    door = int(rng.integers(columns))
    for storey in range(storeys):
        z = 1.65 + storey * (eaves - 1.0) / storeys
        for column in range(columns):
            x = (column + 0.5) / columns * width - w
            if storey == 0 and column == door:
                home.box((x, -0.02, 1.15), (1.15, 0.14, 2.3), "white wall")
                home.box((x, -0.06, 1.1), (0.92, 0.14, 2.1), shutter)
                home.box((x, -0.35, 0.1), (1.3, 0.7, 0.2), "stone")
                continue
            home.box((x, -0.02, z), (1.0, 0.14, 1.42), "white wall")
            home.box((x, -0.05, z), (0.8, 0.12, 1.22), "glass")
            home.box((x, -0.09, z), (0.07, 0.1, 1.22), "white wall")
            home.box((x, -0.09, z + 0.15), (0.8, 0.1, 0.07), "white wall")
            home.box((x, -0.12, z - 0.75), (1.15, 0.3, 0.1), "stone")
            if storey:
                for sign in (-1, 1):
                    home.box((x + sign * 0.72, -0.05, z), (0.4, 0.09, 1.4), shutter)
                if rng.random() < 0.55:  # a flower box
                    home.box((x, -0.26, z - 0.62), (0.95, 0.22, 0.2), "planks")
                    for _ in range(26):
                        spot = (
                            x + rng.uniform(-0.46, 0.46),
                            -0.28 + rng.uniform(-0.14, 0.1),
                            z - 0.46 + rng.uniform(-0.12, 0.12),
                        )
                        home.ball(
                            spot,
                            [rng.uniform(0.04, 0.09)] * 3,
                            str(rng.choice(["leaf", "leaf light", "flower red", "flower pink"])),
                            5,
                        )
    return home


def tree(seed: int, height: float, leaves: int, spread: float = 1.0) -> Shape:
    """A trunk, forked branches and many small leaves around the branch ends."""
    rng = np.random.default_rng(seed)
    plant = Shape()
    ends: list[np.ndarray] = []

    def grow(start: np.ndarray, heading: np.ndarray, length: float, radius: float, level: int) -> None:
        end = start + heading * length
        plant.rod(start, end, radius, "bark", radius * 0.68, 6)
        if level == 0:
            ends.append(end)
            return
        if level < 3:
            ends.append(end)
        for _ in range(3 if level > 1 else 2):
            turn = heading + rng.normal(0, 0.52 * spread, 3) + (0, 0, 0.12)
            grow(end, turn / np.linalg.norm(turn), length * rng.uniform(0.62, 0.8), radius * 0.62, level - 1)

    grow(np.zeros(3), np.array([0.03, 0.02, 1.0]), height * 0.3, height * 0.028, 4)
    tips = np.array(ends)
    centres = tips[rng.integers(len(tips), size=leaves)] + rng.normal(0, 0.055 * height, (leaves, 3))
    size = height * 0.022 * rng.uniform(0.6, 1.3, leaves)
    one, two = rng.normal(0, 1, (2, leaves, 3))
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    two -= (one * two).sum(1, keepdims=True) * one
    two /= np.linalg.norm(two, axis=1, keepdims=True)
    one, two = one * size[:, None], two * size[:, None] * 0.6
    quads = np.stack((centres - one, centres - two, centres + one, centres + two), 1)
    tones = rng.choice(["leaf", "leaf light", "leaf dark"], leaves, p=[0.5, 0.25, 0.25])
    for tone in ("leaf", "leaf light", "leaf dark"):
        chosen = quads[tones == tone]
        plant.add(chosen.reshape(-1, 3), np.arange(len(chosen) * 4).reshape(-1, 4).tolist(), tone)
    return plant


def windmill() -> tuple[Shape, Shape]:
    """A tower mill and, apart, its sails, which turn about y through the origin."""
    mill = Shape()
    mill.lathe([(4.3, -2.0), (4.1, 1.0)], ["stone"], (0, 0, 0), 10)
    mill.lathe([(3.9, 1.0), (3.2, 6.0), (2.6, 11.0)], ["white wall", "white wall"], (0, 0, 0), 10)
    mill.lathe([(2.95, 10.9), (2.9, 11.4), (2.3, 12.8), (1.2, 13.7), (0.05, 14.0)], ["thatch"] * 4, (0, 0, 0), 16)
    for z, x in ((4.0, 0.5), (7.5, -0.4)):
        mill.box((x, -3.9 + 0.15 * z, z), (0.7, 0.5, 1.1), "glass")
    mill.box((0.2, -3.75, 2.1), (1.3, 0.6, 2.2), "door blue")
    mill.rod((0, 0, 12.0), (0, -3.9, 12.2), 0.3, "planks")
    sails = Shape()
    for quarter in range(4):
        c, s = np.cos(quarter * np.pi / 2), np.sin(quarter * np.pi / 2)

        def at(along: float, across: float, out: float = 0.0, c: float = c, s: float = s) -> tuple[float, float, float]:
            return (along * c - across * s, out, along * s + across * c)

        sails.rod(at(0, 0), at(8.6, 0), 0.17, "planks dark", 0.1, 6)
        for along in np.linspace(1.8, 8.4, 12):
            sails.rod(at(along, -0.25, -0.08), at(along, 1.75, -0.08), 0.05, "planks dark", sides=5)
        for across in (0.6, 1.2, 1.75):
            sails.rod(at(1.8, across, -0.1), at(8.4, across, -0.1), 0.045, "planks dark", sides=5)
        cloth = np.array([[at(a, b, 0.02) for b in np.linspace(0.1, 1.7, 4)] for a in np.linspace(2.2, 8.3, 9)])
        sails.grid(cloth, "canvas")
    sails.ball((0, -0.15, 0), (0.45, 0.35, 0.45), "planks dark")
    return mill, sails


def person(coat: str, seed: int) -> tuple[Shape, Shape]:
    """Body and one leg; the leg hangs from the origin so that it can swing."""
    body, leg = Shape(), Shape()
    body.lathe(
        [(0.02, 0.72), (0.2, 0.74), (0.19, 1.05), (0.24, 1.32), (0.13, 1.46), (0.03, 1.5)], [coat] * 5, (0, 0, 0), 10
    )
    body.ball((0, 0, 1.63), (0.11, 0.12, 0.14), "skin", 10)
    body.ball((0, 0.0, 1.7), (0.13, 0.14, 0.09), "hair" if seed % 2 else "straw", 10)
    for sign in (-1, 1):
        body.rod((0, sign * 0.23, 1.38), (0.08 * sign, sign * 0.28, 0.85), 0.06, coat, 0.05)
    leg.rod((0, 0, 0.0), (0, 0, -0.8), 0.09, "trousers", 0.06)
    leg.box((0.05, 0, -0.82), (0.24, 0.1, 0.08), "planks dark")
    return body, leg
