"""The two sets of the film, built in Blender through its Python module; `build` makes one ready to render."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import bpy
import numpy as np
from sample import materials, motion, shapes
from sample.motion import SHOTS, Shot
from sample.shapes import Shape

WATER, PLANTS, MOVING, STILL = 1, 2, 3, 4
"""Object indices written into the data pass; 0 is the sky."""
Deform = Callable[[float], np.ndarray]


class Set:
    """A scene being dressed: places shapes, animates them and hands deforming meshes to Blender as point caches."""

    def __init__(self, shot: Shot, frames: range, folder: Path) -> None:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        self.shot, self.folder = shot, folder
        self.scene = bpy.context.scene
        self.keys = range(frames.start - 1, frames.stop + 1)
        """One frame more at either end, for the motion pass."""
        self.waves = motion.Waves(3 if shot is SHOTS[0] else 4, height=1.0 if shot is SHOTS[0] else 0.55)

    def place(
        self,
        name: str,
        shape: Shape,
        at: shapes.Point = (0, 0, 0),
        turn: float = 0.0,
        index: int = STILL,
        smooth: bool = True,
        rest: np.ndarray | None = None,
    ) -> bpy.types.Object:
        """Make an object of a shape; `rest` (N, 2) becomes its UV map."""
        mesh = bpy.data.meshes.new(name)
        mesh.from_pydata(shape.vertices.tolist(), [], shape.faces)
        names = list(dict.fromkeys(shape.materials))
        for item in names:
            mesh.materials.append(materials.material(item))
        slots = {item: i for i, item in enumerate(names)}
        mesh.polygons.foreach_set("material_index", [slots[item] for item in shape.materials])
        if smooth:
            mesh.set_sharp_from_angle(angle=np.radians(38))
        else:
            mesh.shade_flat()
        if rest is not None:
            corner = np.empty(len(mesh.loops), np.int32)
            mesh.loops.foreach_get("vertex_index", corner)
            mesh.uv_layers.new(name="rest").data.foreach_set("uv", rest[corner].astype(np.float32).ravel())
        thing = bpy.data.objects.new(name, mesh)
        thing.location, thing.rotation_euler, thing.pass_index = at, (0, 0, turn), index
        self.scene.collection.objects.link(thing)
        return thing

    def copy(self, thing: bpy.types.Object, at: shapes.Point, turn: float, scale: float = 1.0) -> bpy.types.Object:
        """Another object that shares the mesh of `thing`."""
        other = bpy.data.objects.new(thing.name, thing.data)
        other.location, other.rotation_euler, other.scale, other.pass_index = (
            at,
            (0, 0, turn),
            [scale] * 3,
            thing.pass_index,
        )
        self.scene.collection.objects.link(other)
        return other

    def animate(self, owner: bpy.types.ID, path: str, value: Callable[[int], shapes.Point | float]) -> None:
        """Key a property on every frame, straight lines between."""
        rows = np.array([np.atleast_1d(value(frame)) for frame in self.keys], float)
        data = owner.animation_data or owner.animation_data_create()
        if data.action is None:
            data.action = bpy.data.actions.new(owner.name)
            data.action_slot = data.action.slots.new(owner.id_type, owner.name)
            data.action.layers.new("keys").strips.new(type="KEYFRAME").channelbag(data.action_slot, ensure=True)
        curves = data.action.layers[0].strips[0].channelbag(data.action_slot).fcurves
        for axis in range(rows.shape[1]):
            curve = curves.new(path, index=axis)
            curve.keyframe_points.add(len(rows))
            pairs = np.stack((np.array(self.keys, float), rows[:, axis]), 1)
            curve.keyframe_points.foreach_set("co", pairs.ravel())
            curve.keyframe_points.foreach_set("interpolation", [1] * len(rows))  # linear
            curve.update()

    def deform(self, thing: bpy.types.Object, shape_at: Deform) -> None:
        """Give a mesh other vertex positions on every frame, from a PC2 file, which the motion pass understands."""
        path = self.folder / f"{self.shot.name}-{self.keys.start}-{self.keys.stop}-{thing.name}.pc2"
        count = len(thing.data.vertices)
        with path.open("wb") as file:
            file.write(struct.pack("<12siiffi", b"POINTCACHE2\0", 1, count, 0.0, 1.0, len(self.keys)))
            for frame in self.keys:
                file.write(shape_at(frame).astype("<f4").tobytes())
        modifier = thing.modifiers.new("points", "MESH_CACHE")
        modifier.cache_format, modifier.filepath, modifier.frame_start = "PC2", str(path), float(self.keys[0])

    def afloat(
        self,
        thing: bpy.types.Object,
        path: Callable[[float], tuple[float, float, float]],
        reach: float,
        sway: float = 1.0,
    ) -> None:
        """Let a boat ride the waves along `path`, which gives x, y and heading in radians for a time in seconds."""

        def where(frame: int) -> tuple[float, float, float]:
            x, y, _ = path(frame / motion.FPS)
            return x, y, 0.8 * self.waves.float_at(x, y, frame, reach)[0]

        def angles(frame: int) -> tuple[float, float, float]:
            x, y, heading = path(frame / motion.FPS)
            _, dx, dy = self.waves.float_at(x, y, frame, reach)
            c, s = np.cos(heading), np.sin(heading)
            t = frame / motion.FPS + 3.7 * reach + x
            roll = sway * (0.9 * (-dx * s + dy * c) + 0.03 * np.sin(1.7 * t))
            return roll, -sway * (0.8 * (dx * c + dy * s) + 0.012 * np.sin(2.3 * t)), heading

        self.animate(thing, "location", where)
        self.animate(thing, "rotation_euler", angles)

    def water(self, near: float, far: float, slope: float, margin: float, rows: int = 430, columns: int = 400) -> None:
        """A sheet of waves whose mesh is fine near the camera and coarse far off."""
        y = np.geomspace(near, far, rows)
        x = np.linspace(-1, 1, columns)[None, :] * (slope * y + margin)[:, None]
        rest = np.stack((x, np.broadcast_to(y[:, None], x.shape)), -1).reshape(-1, 2)
        step = np.maximum(np.gradient(y)[:, None], ((slope * y + margin) * 2 / columns)[:, None])
        spacing = np.broadcast_to(step, x.shape).reshape(-1)
        shape = Shape()
        shape.grid(np.concatenate((rest, np.zeros((len(rest), 1))), 1).reshape(rows, columns, 3), "water")
        flat = shape.vertices
        self.deform(
            self.place("water", shape, index=WATER, smooth=False, rest=rest),
            lambda frame: flat + self.waves.displace(rest, frame, spacing),
        )
        bpy.data.objects["water"].data.shade_smooth()

    def gulls(self, paths: list[tuple[float, ...]]) -> None:
        """Birds on straight glides with a few wing beats: start, velocity, phase and size of each."""
        for number, (x, y, z, vx, vy, vz, phase, size) in enumerate(paths):
            bird = Shape()
            heading = np.arctan2(vy, vx)
            bird.ball((0, 0, 0), (0.26, 0.08, 0.085), "gull", 10)
            bird.ball((0.23, 0, 0.05), (0.09, 0.06, 0.06), "gull", 8)
            bird.rod((0.29, 0, 0.04), (0.37, 0, 0.025), 0.016, "flower yellow", 0.005, 5)
            bird.add(
                np.array([[-0.2, -0.05, 0.02], [-0.2, 0.05, 0.02], [-0.4, 0.09, 0.0], [-0.4, -0.09, 0.0]]),
                [(0, 1, 2, 3)],
                "gull",
            )
            wings = []
            for sign in (-1, 1):
                span = np.linspace(0, 0.72, 7)
                chord = 0.2 * (1 - (span / 0.75) ** 2) ** 0.5 + 0.01
                sweep = 0.06 - 0.28 * np.maximum(0, span - 0.3) ** 1.3 + 0.12 * np.minimum(span, 0.3)
                sheet = np.stack(
                    [np.stack((sweep + along * chord, sign * span, 0.04 + 0 * span), 1) for along in (0.5, 0.1, -0.5)]
                )
                wings.append(bird.grid(sheet[:, :6], "gull grey"))
                wings.append(bird.grid(sheet[:, 5:], "black"))
            rest = bird.vertices * size
            wing = np.zeros(len(rest), bool)
            for part in wings:
                wing[part] = True

            def flap(
                frame: float, rest: np.ndarray = rest, wing: np.ndarray = wing, phase: float = phase, size: float = size
            ) -> np.ndarray:
                t = frame / motion.FPS
                beat = motion.smoothstep(np.sin(0.9 * t + 2 * phase), -0.1, 0.6)
                swing = 0.22 + 0.5 * float(beat) * np.sin(2 * np.pi * 2.6 * t + phase)
                out = rest.copy()
                span = np.abs(rest[:, 1]) / size
                out[:, 2] += (
                    wing * size * (swing * span - 0.75 * (swing * 0.6 + 0.25) * np.maximum(0, span - 0.3) ** 1.5)
                )
                return out

            thing = self.place(f"gull{number}", bird, index=MOVING)
            self.deform(thing, flap)

            def fly(frame: int, p: tuple[float, ...] = (x, y, z, vx, vy, vz, phase)) -> tuple[float, float, float]:
                t = (frame - self.shot.first) / motion.FPS
                return p[0] + p[3] * t, p[1] + p[4] * t, p[2] + p[5] * t + 0.25 * float(np.sin(1.3 * t + p[6]))

            self.animate(thing, "location", fly)
            thing.rotation_euler = (0.25 * np.sin(phase * 5), 0, heading)

    def finish(self) -> bpy.types.Scene:
        """Add camera, sun, sky and render settings."""
        scene, shot = self.scene, self.shot
        lens = bpy.data.cameras.new("camera")
        lens.lens, lens.sensor_width, lens.sensor_fit, lens.clip_end = shot.lens, motion.SENSOR, "HORIZONTAL", 10000
        camera = bpy.data.objects.new("camera", lens)
        scene.collection.objects.link(camera)
        scene.camera = camera
        self.animate(camera, "location", lambda frame: motion.camera(min(max(frame, shot.first), shot.last))[0])
        self.animate(camera, "rotation_euler", lambda frame: motion.camera(min(max(frame, shot.first), shot.last))[1])
        lamp = bpy.data.lights.new("sun", "SUN")
        lamp.angle, lamp.color = np.radians(1.6), (1.0, 0.84, 0.63)
        self.animate(lamp, "energy", motion.sun_energy)
        sun = bpy.data.objects.new("sun", lamp)
        x, y, z = shot.sun
        sun.rotation_euler = (np.pi / 2 - np.arctan2(z, np.hypot(x, y)), 0, np.arctan2(y, x) + np.pi / 2)
        scene.collection.objects.link(sun)
        materials.sky(scene, shot.sun, 2.6 if shot is SHOTS[0] else 7.3)
        sky = scene.world.node_tree
        self.animate(
            sky, 'nodes["sky light"].outputs[0].default_value', lambda frame: 0.66 + 0.025 * motion.sun_energy(frame)
        )
        scene.render.engine = "CYCLES"
        cycles = scene.cycles
        cycles.device, cycles.seed = "CPU", 7
        cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces, cycles.transmission_bounces = 2, 1, 1, 1
        cycles.use_light_tree = False  # one lamp
        cycles.use_adaptive_sampling, cycles.adaptive_threshold, cycles.adaptive_min_samples = True, 0.04, 8
        # A smooth sky needs no importance map, which would be made anew for each frame.
        scene.world.cycles.sampling_method = "NONE"
        cycles.caustics_reflective = cycles.caustics_refractive = False
        cycles.sample_clamp_indirect = 3.0
        cycles.denoiser, cycles.denoising_input_passes, cycles.denoising_prefilter = (
            "OPENIMAGEDENOISE",
            "RGB_ALBEDO_NORMAL",
            "FAST",
        )
        scene.render.use_motion_blur = False
        scene.render.use_persistent_data = False  # saves little here, and deforming meshes stay exact
        scene.render.fps = motion.FPS
        scene.view_settings.view_transform, scene.view_settings.look = "AgX", "AgX - Punchy"
        scene.view_settings.exposure = 1.05
        return scene


def moored(at: tuple[float, float, float], along: float, turn: float) -> Callable[[float], tuple[float, float, float]]:
    """The path of a moored boat, which moves `along` x and turns (radians) about where it lies: x, y and heading."""
    x, y, heading = at
    return lambda t: (x + along * np.sin(0.5 * t + y), y, heading + turn * np.sin(0.45 * t + x))


def bank_height(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The meadow the first camera stands on: high at the left, falling to the water."""
    edge = 7.6 - 0.55 * x + 0.6 * np.sin(0.9 * x)
    return (
        3.8
        - 0.15 * x
        - 0.12 * y
        - 4.2 * motion.smoothstep(y, edge - 2.6, edge + 1.6)
        + 0.12 * shapes.value_noise(x * 0.7, y * 0.7, 5)
    )


def headland(stage: Set) -> None:
    """Shot one: from a meadow over moored boats to the lighthouse and the far coast."""
    rng = np.random.default_rng(11)
    stage.water(5.5, 4000, 0.72, 7)
    x, y = np.meshgrid(np.linspace(-14, 14, 90), np.linspace(0.5, 20, 70))
    bank = Shape()
    bank.grid(np.stack((x, y, bank_height(x, y)), -1), "grass")
    stage.place("bank", bank)

    count = 17000  # grass, in one mesh that the wind bends
    depth = 1.7 + 11.2 * rng.random(count) ** 1.4
    root = np.stack((rng.uniform(-1, 1, count) * (0.55 * depth + 2.6) - 0.9, depth), 1)
    root = root[bank_height(root[:, 0], root[:, 1]) > 0.7]
    count = len(root)
    tall = rng.uniform(0.13, 0.42, count) * (0.75 + 0.5 * shapes.value_noise(root[:, 0], root[:, 1], 9))
    turn, width = rng.uniform(0, np.pi, count), rng.uniform(0.006, 0.012, count)
    lean = rng.normal(0, 0.3, (count, 2)) * tall[:, None]
    foot = np.column_stack((root, bank_height(root[:, 0], root[:, 1]) - 0.03))
    across = np.stack((np.cos(turn), np.sin(turn), 0 * turn), 1) * width[:, None]
    middle = foot + np.column_stack((lean * 0.3, tall * 0.55))
    blades = np.stack(
        (
            foot - across,
            foot + across,
            middle + across * 0.8,
            middle - across * 0.8,
            foot + np.column_stack((lean, tall)),
        ),
        1,
    )
    rises = np.stack((0 * tall, 0 * tall, tall * 0.55, tall * 0.55, tall), 1)
    meadow, reach, roots = Shape(), [], []
    for tone in ("grass blade", "grass light", "grass dry"):  # each tone takes its share anew: some blades twice
        mask = rng.choice(3, count, p=[0.5, 0.32, 0.18]) == ("grass blade", "grass light", "grass dry").index(tone)
        some, first = blades[mask], np.arange(mask.sum()) * 5
        faces = (
            np.stack((first, first + 1, first + 2, first + 3), 1).tolist()
            + np.stack((first + 3, first + 2, first + 4), 1).tolist()
        )
        meadow.add(some.reshape(-1, 3), faces, tone)
        reach.append(rises[mask].ravel())
        roots.append(np.repeat(root[mask], 5, 0))
    for _ in range(230):  # wild flowers
        at = np.array([rng.uniform(-5.5, 4.5), 2.6 + 6 * rng.random() ** 1.3])
        base = float(bank_height(at[:1], at[1:])[0])
        if base < 0.9:
            continue
        high, colour = (
            rng.uniform(0.22, 0.46),
            str(rng.choice(["flower red", "flower white", "flower yellow", "flower pink"], p=[0.4, 0.3, 0.2, 0.1])),
        )
        before = meadow.count
        meadow.rod((*at, base), (*at, base + high), 0.005, "grass blade", sides=4)
        meadow.ball((*at, base + high), (0.024, 0.024, 0.016), colour, 6)
        reach.append(meadow.vertices[before:, 2] - base)
        roots.append(np.repeat(at[None], meadow.count - before, 0))
    still, rise, ground = meadow.vertices, np.concatenate(reach), np.concatenate(roots)

    def bend(frame: float) -> np.ndarray:
        push = motion.wind(ground, frame) * rise**1.5 * 0.62
        return still + np.stack((push, 0.25 * push, -0.25 * push * rise), 1)

    stage.deform(stage.place("grass", meadow, index=PLANTS, smooth=False), bend)

    fence = Shape()
    posts = [(-5.2, 7.0), (-3.5, 6.5), (-1.9, 6.1), (-0.4, 5.75), (1.15, 5.4), (2.7, 5.1), (4.3, 4.8)]
    tops = []
    for px, py in posts:
        base = float(bank_height(np.array([px]), np.array([py]))[0])
        fence.rod((px, py, base - 0.3), (px + 0.03, py, base + 0.72), 0.05, "planks", 0.048, 8)
        tops.append(np.array([px + 0.02, py, base + 0.66]))
    for a, b in pairwise(tops):
        for drop in (0.0, 0.3):
            for i in range(6):
                s0, s1 = i / 6, (i + 1) / 6
                sag = 0.3 * (s0 * (1 - s0)), 0.3 * (s1 * (1 - s1))
                fence.rod(
                    a + (b - a) * s0 - (0, 0, drop + sag[0]),
                    a + (b - a) * s1 - (0, 0, drop + sag[1]),
                    0.013,
                    "straw",
                    sides=5,
                )
    stage.place("fence", fence)

    jetty = Shape()  # from the left bank into the harbour
    for i in range(60):
        jetty.box((-15.5 + 0.22 * i, 27 + rng.normal(0, 0.03), 0.95), (0.19, 1.7, 0.07), "planks")
    for i in range(7):
        for side in (-0.75, 0.75):
            jetty.rod(
                (-15 + 2.1 * i, 27 + side, -1.5),
                (-15 + 2.1 * i, 27 + side, 1.75 if i % 2 else 1.0),
                0.12,
                "planks dark",
            )
    stage.place("jetty", jetty)

    mole = Shape()  # breakwater of boulders, with the lighthouse on its end
    for i in range(420):
        along = rng.random() ** 0.9
        centre = np.array([11.5 + 34 * along, 58 + 4 * along, 0.0]) + rng.normal(0, 1, 3) * (0.8, 1.5, 0.25)
        size = rng.uniform(0.45, 1.25)
        mole.ball(
            np.add(centre, (0, 0, 0.35 + 0.4 * (1.25 - size))), size * rng.uniform(0.7, 1.2, 3), "rock", 8, 0.28, i
        )
    mole.box((29, 60.3, 0.9), (34, 2.3, 1.0), "stone", np.arctan2(4, 34))
    stage.place("mole", mole)
    stage.place("lighthouse", shapes.lighthouse(), (13.4, 58.3, 1.5))

    fleet = (
        ("navy", 7.2, ("hull navy", "hull red", "white wall"), 9.6, (-9.4, 31.0, 0.12)),
        ("white", 6.2, ("hull white", "hull navy", "white wall"), 8.2, (-4.6, 33.5, -0.15)),
        ("green", 6.6, ("hull green", "hull red", "deck"), 8.8, (-13.4, 36.5, 0.2)),
        ("teal", 5.6, ("hull teal", "hull white", "white wall"), 7.6, (-6.8, 40.5, 0.05)),
    )
    for name, length, colours, mast, (bx, by, heading) in fleet:
        boat = stage.place(name, shapes.sailing_boat(length, colours, None, mast), index=MOVING)
        stage.afloat(boat, moored((bx, by, heading), 0.12, 0.05), length / 3)
    runner = shapes.sailing_boat(7.6, ("hull white", "hull red", "deck"), ("sail white", "sail white"), 10.2, -1.0)
    thing = stage.place("runner", runner, index=MOVING)
    stage.afloat(thing, lambda t: (-12.5 + 2.7 * t, 47.0 - 0.15 * t, 0.06 + 0.03 * np.sin(t)), 2.6)
    red = shapes.sailing_boat(5.4, ("hull navy", "hull white", "deck"), ("sail red", "sail ochre"), 7.2, 1.0)
    thing = stage.place("red sails", red, index=MOVING)
    stage.afloat(thing, lambda t: (13.2 - 2.5 * t, 37.0 - 0.5 * t, np.pi + 0.2 + 0.03 * np.sin(t)), 2.0)
    dinghy = stage.place("dinghy", shapes.rowing_boat("hull red"), index=MOVING)
    stage.afloat(dinghy, lambda t: (3.6 + 0.1 * np.sin(0.6 * t), 22.0, 2.5 + 0.12 * np.sin(0.5 * t)), 1.2, 1.4)

    coast = Shape()
    for base, peak, seed, low, high in (
        (520, 38, 21, -700, 900),
        (1000, 105, 22, -1300, 1500),
        (1900, 210, 23, -2300, 2500),
    ):
        gx, gy = np.meshgrid(np.linspace(low, high, 220), np.linspace(0, 1, 24))
        ridge = 0.55 + 0.45 * shapes.value_noise(gx / (base * 0.42), gx * 0 + 0.3, seed, 5)
        height = (
            peak
            * ridge
            * np.sin(np.pi * np.clip(gy * 0.8, 0, 1)) ** 0.9
            * motion.smoothstep(np.abs(gx - base * 0.12) + base * 0.2 * (base > 600), 0.03 * base, 0.42 * base)
        )
        height = height + peak * 0.16 * shapes.value_noise(gx / (base * 0.06), gy * 7, seed + 5, 3) * np.clip(
            gy * 3, 0, 1
        )
        coast.grid(np.stack((gx, base + gy * base * 0.5, np.where(gy == 0, -2, height)), -1), "hills")
    stage.place("coast", coast)
    hamlet = Shape()
    for i in range(26):
        hx = rng.normal(-150, 55) if i % 3 else rng.normal(185, 30)
        wide, eaves = rng.uniform(5, 9), rng.uniform(4, 7)
        hamlet.box(
            (hx, 528 + rng.uniform(0, 30), eaves / 2 + rng.uniform(0, 6)),
            (wide, 6, eaves + 6),
            str(rng.choice(["white wall", "cream wall", "ochre wall"])),
        )
        hamlet.box((hx, 528, eaves + 5), (wide + 1, 6, 2.2), "roof red")
    stage.place("hamlet", hamlet)

    branch = Shape()  # reaches in from the upper left and sways
    ends = []
    for i in range(5):
        tip = np.array([2.0 + 0.42 * i, 0.15 * i, -0.25 - 0.22 * ((i * 7) % 4) + 0.1 * i])
        knee = tip * (0.55, 0.5, 0.3)
        branch.rod((0, 0, 0), knee, 0.028, "bark", 0.016)
        branch.rod(knee, tip, 0.016, "bark", 0.005)
        ends += [knee + (tip - knee) * s for s in np.linspace(0.0, 1.0, 7)]
        for s in np.linspace(0.3, 0.95, 4):
            start = knee + (tip - knee) * s
            twig = start + rng.normal(0, 0.16, 3) + (0.12, 0, -0.05)
            branch.rod(start, twig, 0.007, "bark", 0.003, 5)
            ends += [twig, (start + twig) / 2]
    for end in ends:
        for _ in range(14):
            centre = end + rng.normal(0, 0.085, 3)
            one = rng.normal(0, 1, 3) * (1, 1, 0.6)
            one /= np.linalg.norm(one)
            two = np.cross(one, rng.normal(0, 1, 3))
            two *= 0.38 / np.linalg.norm(two)
            size = rng.uniform(0.035, 0.062)
            points = np.array([-one, -0.2 * one - two, one, -0.2 * one + two]) * size + centre
            branch.add(points, [(0, 1, 2, 3)], str(rng.choice(["leaf", "leaf light", "leaf dark"])))
    thing = stage.place("branch", branch, (-3.8, 5.3, 6.2), index=PLANTS)

    def swing(frame: int) -> tuple[float, float, float]:
        t = frame / motion.FPS
        return (
            0.02 * np.sin(1.9 * t),
            0.05 + 0.028 * np.sin(1.35 * t) + 0.011 * np.sin(3.1 * t + 1),
            0.02 * np.sin(1.1 * t + 2),
        )

    stage.animate(thing, "rotation_euler", swing)
    stage.gulls(
        [
            (-7.5, 21, 7.4, 4.0, 0.8, 0.1, 0.3, 1.15),
            (10.5, 30, 8.6, -2.6, -0.4, -0.12, 1.7, 1.1),
            (3.0, 40, 11.5, -1.7, 0.6, 0.2, 2.9, 1.1),
            (5.0, 48, 13.0, -2.0, 0.2, 0.0, 4.1, 1.1),
            (16.0, 26, 5.6, -3.4, 0.2, 0.25, 5.2, 1.1),
        ]
    )


def hill_height(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The rise behind the village, highest under the windmill."""
    rise = motion.smoothstep(y, 50, 135)
    return (
        1.7
        + 15 * rise
        + 9 * np.exp(-(((x - 24) / 32) ** 2)) * rise
        + 1.6 * shapes.value_noise(x / 26, y / 26, 31) * motion.smoothstep(y, 48, 70)
    )


def quay(stage: Set) -> None:
    """Shot two: from a boat at low height to the house fronts, with the windmill on its hill behind."""
    rng = np.random.default_rng(23)
    stage.water(3.0, 60, 0.78, 7, rows=300)
    ground = Shape()
    ground.box((0, 34.6, -0.2), (110, 1.2, 3.6), "stone")
    ground.box((0, 34.45, 1.68), (110, 1.1, 0.24), "paving")
    ground.box((0, 42.5, 0.6), (110, 15, 2.0), "paving")
    x, y = np.meshgrid(np.linspace(-160, 160, 200), np.linspace(49, 260, 120))
    ground.grid(np.stack((x, y, hill_height(x, y)), -1), "meadow")
    stage.place("ground", ground)

    row = (
        (-25.5, 7.0, 6.4, 9.4, "rose wall", "roof slate", "shutter green", False),
        (-18.4, 6.4, 5.6, 8.6, "cream wall", "roof red", "shutter red", True),
        (-11.8, 6.4, 6.6, 9.2, "ochre wall", "roof red", "shutter green", False),
        (-5.4, 5.8, 5.6, 8.9, "white wall", "roof brown", "door blue", True),
        (0.6, 5.8, 6.0, 8.4, "blue wall", "roof red", "shutter red", False),
        (12.6, 6.6, 5.7, 8.8, "rose wall", "roof brown", "shutter green", True),
        (19.4, 6.6, 6.2, 8.8, "cream wall", "roof slate", "door blue", False),
        (26.4, 6.8, 5.6, 9.0, "green wall", "roof red", "shutter red", True),
    )
    for number, (hx, width, eaves, ridge, wall, roof, shutter, gable) in enumerate(row):
        home = shapes.house(width, 8.0, eaves, ridge, wall, roof, shutter, number + 40, gable)
        stage.place(f"house{number}", home, (hx, 40.0 + 0.3 * (number % 3), 1.6))
    garden = Shape()  # the gap through which one sees the mill
    garden.box((6.4, 42.0, 2.5), (5.8, 0.4, 1.8), "stone")
    for i in range(70):
        spot = (6.4 + rng.uniform(-2.8, 2.8), 42.1 + rng.normal(0, 0.15), 3.4 + rng.uniform(-0.5, 0.25))
        garden.ball(
            spot,
            [rng.uniform(0.1, 0.24)] * 3,
            str(rng.choice(["leaf", "leaf dark", "leaf light", "flower pink"], p=[0.4, 0.3, 0.2, 0.1])),
            6,
            0.3,
            i,
        )
    stage.place("garden", garden)

    mill, sails = shapes.windmill()
    top = float(hill_height(np.array([18.6]), np.array([112.0]))[0])
    stage.place("mill", mill, (18.6, 112, top), 0.1)
    wheel = stage.place("mill sails", sails, (18.2, 107.9, top + 12.2), index=MOVING)
    stage.animate(wheel, "rotation_euler", lambda frame: (0.06, 0.62 * frame / motion.FPS + 0.35, 0.1))
    oak = stage.place("tree0", shapes.tree(5, 7.5, 2600), (5.0, 46.5, 1.6), index=PLANTS)
    stage.animate(
        oak, "rotation_euler", lambda frame: (0.008 * np.sin(frame / 11), 0.012 * np.sin(frame / 15 + 1), 0.0)
    )
    elm = stage.place("tree1", shapes.tree(8, 8.5, 2600, 0.8), (-31, 47, 1.6), index=PLANTS)
    for i in range(34):
        tx, ty = rng.uniform(-75, 95), rng.uniform(66, 150)
        if abs(tx - 18.6 * ty / 112) < 9:
            continue
        where = (tx, ty, float(hill_height(np.array([tx]), np.array([ty]))[0]) - 0.2)
        stage.copy((oak, elm)[i % 2], where, rng.uniform(0, 6), rng.uniform(0.6, 1.05))

    lamps = Shape()
    posts = (-21.0, -13.0, -5.0, 3.0, 11.0, 19.0, 27.0)
    for px in posts:
        lamps.rod((px, 35.6, 1.6), (px, 35.6, 5.3), 0.07, "black", 0.05, 8)
        lamps.box((px, 35.6, 1.8), (0.3, 0.3, 0.5), "black")
        lamps.lathe([(0.1, 5.3), (0.2, 5.75)], ["lantern"], (px, 35.6, 0), 6)
        lamps.lathe([(0.27, 5.72), (0.05, 6.0)], ["black"], (px, 35.6, 0), 6)
    for i in range(12):
        px = -23 + 4.1 * i
        lamps.lathe([(0.2, 1.7), (0.15, 2.1), (0.24, 2.3), (0.02, 2.36)], ["black"] * 3, (px, 34.4, 0), 10)
    for px, py in ((-9.0, 37.2), (-8.3, 37.5), (-8.7, 36.8), (9.2, 37.6), (9.9, 37.2)):
        lamps.lathe(
            [(0.3, 1.6), (0.4, 2.05), (0.3, 2.5), (0.01, 2.5)], ["planks", "planks dark", "deck"], (px, py, 0), 14
        )
    for px, py, pz, size in (
        (15.0, 37.0, 1.6, 0.8),
        (15.8, 37.2, 1.6, 0.7),
        (15.3, 37.0, 2.4, 0.6),
        (-2.0, 37.4, 1.6, 0.7),
    ):
        lamps.box((px, py, pz + size / 2), (size, size, size), "planks", px)
    for px in (-16.0, 8.0, 22.5):  # ladders down to the water
        for side in (-0.22, 0.22):
            lamps.rod((px + side, 33.95, -0.5), (px + side, 33.95, 2.3), 0.035, "wire")
        for z in np.arange(-0.2, 2.0, 0.3):
            lamps.rod((px - 0.22, 33.95, z), (px + 0.22, 33.95, z), 0.025, "wire", sides=5)
    stage.place("lamps", lamps)

    bunting, pins = Shape(), []  # small flags between the lamps, free at their lower tip
    tones = ("flower red", "sail white", "flag blue", "flower yellow")
    for a, b in pairwise(posts):
        for i in range(22):
            s0, s1 = i / 22, (i + 1) / 22
            p0, p1 = (np.array([a + (b - a) * s, 35.6, 5.35 - 3.4 * s * (1 - s) * 0.9]) for s in (s0, s1))
            before = bunting.count
            bunting.rod(p0, p1, 0.014, "wire", sides=5)
            pins += [0.0] * (bunting.count - before)
            left, right = p0 + (p1 - p0) * 0.12, p0 + (p1 - p0) * 0.88
            tip = (left + right) / 2 - (0, 0, 0.42)
            bunting.add(
                np.stack((left, right, (left + tip) / 2, (right + tip) / 2, tip)),
                [(0, 1, 3, 2), (2, 3, 4)],
                tones[i % 4],
            )
            pins += [0.0, 0.0, 0.45, 0.45, 1.0]
    hung, free = bunting.vertices, np.array(pins)

    def flutter(frame: float) -> np.ndarray:
        push = motion.wind(hung[:, [0, 2]] * (0.8, 1.0), frame)
        return hung + np.stack((0.10 * push * free, -0.22 * push * free, 0.05 * push * free), 1)

    stage.deform(stage.place("bunting", bunting, index=MOVING, smooth=False), flutter)

    fleet = (
        ("green", 7.4, ("hull green", "hull red", "deck"), 9.8, (-9.6, 30.6, 0.08)),
        ("white", 6.4, ("hull white", "hull navy", "white wall"), 8.6, (13.4, 31.2, np.pi - 0.1)),
        ("navy", 6.8, ("hull navy", "hull red", "white wall"), 9.2, (-17.6, 31.0, -0.06)),
        ("red", 5.6, ("hull red", "hull navy", "white wall"), 7.6, (2.8, 31.6, 0.05)),
    )
    for name, length, colours, mast, (bx, by, heading) in fleet:
        boat = stage.place(name, shapes.sailing_boat(length, colours, None, mast), index=MOVING)
        stage.afloat(boat, moored((bx, by, heading), 0.1, 0.03), length / 3, 1.5)
    sloop = shapes.sailing_boat(5.6, ("hull teal", "hull white", "deck"), ("sail ochre", "sail white"), 7.0, -1.0)
    first = motion.CUT / motion.FPS
    thing = stage.place("sloop", sloop, index=MOVING)
    stage.afloat(
        thing, lambda t: (-11.5 + 2.5 * (t - first), 20.5 + 0.2 * (t - first), 0.1 + 0.03 * np.sin(t)), 2.0, 1.3
    )
    for number, (px, py, heading, colour) in enumerate(((6.6, 15.0, 2.7, "hull white"), (9.4, 26.5, 0.5, "hull navy"))):
        dinghy = stage.place(f"dinghy{number}", shapes.rowing_boat(colour), index=MOVING)

        def drift(t: float, x: float = px, y: float = py, heading: float = heading) -> tuple[float, float, float]:
            return x + 0.08 * np.sin(0.6 * t), y, heading + 0.1 * np.sin(0.5 * t)

        stage.afloat(dinghy, drift, 1.2, 1.6)

    for number, (px, py, speed, coat) in enumerate(
        (
            (-8.0, 36.6, 1.25, "coat red"),
            (9.0, 37.0, -1.1, "coat blue"),
            (-0.5, 36.4, -1.3, "coat green"),
            (17.0, 36.8, -1.2, "coat red"),
        )
    ):
        body, leg = shapes.person(coat, number)
        walker = stage.place(f"walker{number}", body, index=MOVING, turn=0 if speed > 0 else np.pi)

        def walk(frame: int, start: float = px, y: float = py, speed: float = speed) -> tuple[float, float, float]:
            t = (frame - motion.CUT) / motion.FPS
            return start + speed * t, y, 1.66 + 0.035 * abs(np.sin(5.2 * t))

        stage.animate(walker, "location", walk)
        for side in (-1, 1):
            limb = stage.place(f"leg{number}{side}", leg, (0, 0.09 * side, 0.82), index=MOVING)
            limb.parent = walker

            def swing(frame: int, side: int = side) -> tuple[float, float, float]:
                return 0.0, 0.5 * side * np.sin(5.2 * (frame - motion.CUT) / motion.FPS), 0.0

            stage.animate(limb, "rotation_euler", swing)
    stage.gulls(
        [
            (-9.0, 24, 9.0, 3.4, 0.5, -0.15, 0.9, 1.1),
            (10.0, 22, 7.8, -2.8, 0.6, 0.15, 2.2, 1.1),
            (2.0, 30, 11.6, 1.9, 0.4, 0.1, 3.9, 1.1),
        ]
    )


def build(shot: Shot, frames: range, folder: Path) -> bpy.types.Scene:
    """Dress the set of a shot for a range of film frames; point caches go to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    stage = Set(shot, frames, folder)
    (headland if shot is SHOTS[0] else quay)(stage)
    return stage.finish()


def flat_material() -> bpy.types.Material:
    """What every surface wears in the data pass, where light is of no interest."""
    made = bpy.data.materials.new("flat")
    made.use_nodes = True
    made.cycles.emission_sampling = "NONE"
    return made
