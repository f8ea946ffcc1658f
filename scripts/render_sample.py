# /// script
# requires-python = "==3.11.*"
# dependencies = ["av>=14", "bpy==4.5.*", "numpy<2", "OpenEXR>=3.3"]
# ///
"""Render the sample film: a small harbour, two shots, eight seconds, everything procedural.

    uv run scripts/render_sample.py                                   # samples/harbour.mp4
    uv run scripts/render_sample.py --frames 100-110 --flow out/flow  # those frames, and exact flow between them
    uv run scripts/render_sample.py --check --flow out/flow           # how well the flow explains the pictures

Blender comes as the Python module `bpy`, whose wheels want one version of Python; hence an environment of its own.
Frames go to a work folder and are not rendered again; remove it after a change to the set. The film is encoded when
all of it was asked for.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sample import film, flow, motion
from sample.motion import SHOTS, Shot

ROOT = Path(__file__).resolve().parents[1]


def spans(frames: range, only: str | None) -> Iterator[tuple[Shot, range]]:
    """The part of `frames` that falls into each shot."""
    for shot in SHOTS:
        part = range(max(frames.start, shot.first), min(frames.stop, shot.last + 1))
        if part and only in (None, shot.name):
            yield shot, part


def render_pictures(shot: Shot, frames: range, size: tuple[int, int], samples: int, work: Path) -> None:
    """Render the pictures that are missing, every eighth first, so that a shot can be checked early."""
    folder = pictures_folder(work, size, samples)
    folder.mkdir(parents=True, exist_ok=True)
    missing = [frame for frame in frames if not (folder / f"{frame:04d}.png").exists()]
    if not missing:
        return
    import bpy
    from sample import scene as sets

    scene = sets.build(shot, frames, work / "caches")
    scene.render.resolution_x, scene.render.resolution_y = size
    scene.cycles.samples, scene.cycles.use_denoising = samples, True
    scene.render.image_settings.color_mode = "RGB"
    for frame in sorted(missing, key=lambda frame: (frame % 8 != 0, frame)):
        start = time.monotonic()
        part = folder / f"{frame:04d}.part.png"
        scene.frame_set(frame)
        scene.render.filepath = str(part)
        bpy.ops.render.render(write_still=True)
        part.replace(folder / f"{frame:04d}.png")
        print(f"frame {frame}: {time.monotonic() - start:.1f} s", file=sys.stderr)


def render_passes(shot: Shot, frames: range, size: tuple[int, int], work: Path) -> None:
    """Render motion vectors and object indices: one sample at each pixel's centre, no light."""
    folder = passes_folder(work, size)
    folder.mkdir(parents=True, exist_ok=True)
    missing = [frame for frame in frames if not (folder / f"{frame:04d}.exr").exists()]
    if not missing:
        return
    import bpy
    from sample import scene as sets

    scene = sets.build(shot, frames, work / "caches")
    layer = scene.view_layers[0]
    layer.name = "ViewLayer"
    layer.use_pass_vector = layer.use_pass_object_index = layer.use_pass_position = True
    layer.material_override = sets.flat_material()
    scene.render.resolution_x, scene.render.resolution_y = size
    cycles = scene.cycles
    cycles.samples, cycles.use_denoising, cycles.use_adaptive_sampling, cycles.max_bounces = 1, False, False, 0
    cycles.pixel_filter_type, cycles.filter_width = "BLACKMAN_HARRIS", 0.01  # the centre of the pixel, not its mean
    settings = scene.render.image_settings
    settings.file_format, settings.color_depth, settings.exr_codec = "OPEN_EXR_MULTILAYER", "32", "ZIP"
    for frame in missing:
        part = folder / f"{frame:04d}.part.exr"
        scene.frame_set(frame)
        scene.render.filepath = str(part)
        bpy.ops.render.render(write_still=True)
        part.replace(folder / f"{frame:04d}.exr")


def pictures_folder(work: Path, size: tuple[int, int], samples: int) -> Path:
    """Where the pictures of one size and quality lie."""
    return work / f"pictures-{size[0]}x{size[1]}-{samples}"


def passes_folder(work: Path, size: tuple[int, int]) -> Path:
    """Where the data passes of one size lie."""
    return work / f"passes-{size[0]}x{size[1]}"


def write_flow(frames: range, size: tuple[int, int], work: Path, output: Path) -> None:
    """One npz for each frame with a predecessor in `frames`: backward, hidden, index, and that one's forward."""
    output.mkdir(parents=True, exist_ok=True)
    folder = passes_folder(work, size)
    previous = flow.read_passes(folder / f"{frames.start:04d}.exr", frames.start)
    for frame in frames[1:]:
        current = flow.read_passes(folder / f"{frame:04d}.exr", frame)
        np.savez_compressed(
            output / f"{frame:04d}.npz",
            backward=current.backward,
            forward=previous.forward,
            index=current.index,
            hidden=flow.hidden(current, previous),
        )
        previous = current


def check(frames: range, pictures: Path, flows: Path, passes: Path) -> dict[str, float]:
    """Mean absolute error (0..1) of the previous picture as it is, and warped, on the points it shows.

    Pixels on an edge mix two surfaces that move apart, which no one flow explains; so the error is also given within
    surfaces, and for each kind of thing. "against geometry" is in pixels: how far the flow of still things is from
    the one that their places in the world and the camera's path give.
    """
    kinds = ("sky", "water", "plants", "moving", "still")
    still: list[float] = []
    warped: list[float] = []
    covered: list[float] = []
    geometry: list[float] = []
    inner: list[float] = []
    by_kind: dict[str, list[float]] = {kind: [] for kind in kinds}
    for frame in frames[1:]:
        pair = np.load(flows / f"{frame:04d}.npz")
        before, now = (
            film.read_picture(pictures / f"{number:04d}.png") / np.float32(255) for number in (frame - 1, frame)
        )
        seen = ~pair["hidden"]
        error = np.abs(flow.warp(before, pair["backward"]) - now).mean(-1)
        still.append(float(np.abs(before - now).mean(-1)[seen].mean()))
        warped.append(float(error[seen].mean()))
        inside = seen & flow.within_surfaces(pair["backward"], pair["index"])
        inner.append(float(error[inside].mean()))
        exact = flow.read_passes(passes / f"{frame:04d}.exr", frame)
        by_geometry = flow.still_flow(exact.position, frame, frame - 1)
        geometry.append(float(np.abs(by_geometry - exact.backward).max(-1)[exact.index == 4].mean()))
        covered.append(float(pair["hidden"].mean()))
        for number, kind in enumerate(kinds):
            chosen = seen & (pair["index"] == number)
            if chosen.any():
                by_kind[kind].append(float(error[chosen].mean()))
    result = {"pairs": len(warped), "hidden": np.mean(covered), "unwarped": np.mean(still), "warped": np.mean(warped)}
    result |= {"warped within surfaces": np.mean(inner), "against geometry": np.mean(geometry)}
    result |= {f"warped {kind}": np.mean(values) for kind, values in by_kind.items() if values}
    return {name: round(float(value), 4) for name, value in result.items()}


def write_fixture(frames: range, pictures: Path, flows: Path, output: Path, window: tuple[slice, slice]) -> None:
    """Frames, backward flow and occlusion in a window of the picture, in one small npz; the first frame has no flow.

    What comes from outside the window counts as hidden.
    """
    pairs = [np.load(flows / f"{frame:04d}.npz") for frame in frames[1:]]
    backward = np.stack([pair["backward"][window] for pair in pairs])
    height, width = backward.shape[1:3]
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    at_x, at_y = x + backward[..., 0], y + backward[..., 1]
    outside = (at_x < 0) | (at_y < 0) | (at_x > width - 1) | (at_y > height - 1)
    np.savez_compressed(
        output,
        frames=np.stack([film.read_picture(pictures / f"{frame:04d}.png")[window] for frame in frames]),
        backward=backward.astype(np.float16),
        occlusion=np.stack([pair["hidden"][window] for pair in pairs]) | outside,
    )


def window(text: str) -> tuple[slice, slice]:
    """Rows and columns of a window given as WxH+X+Y."""
    width, height, x, y = (int(number) for number in text.replace("x", "+").split("+"))
    return slice(y, y + height), slice(x, x + width)


def numbers(text: str, mark: str) -> tuple[int, int]:
    """Two integers with a mark between."""
    first, _, last = text.partition(mark)
    return int(first), int(last)


def main() -> None:
    """Parse the command line and render what is asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "samples" / "harbour.mp4")
    parser.add_argument("--frames", type=lambda text: numbers(text, "-"), default=(0, motion.FRAMES - 1), metavar="A-B")
    parser.add_argument("--size", type=lambda text: numbers(text, "x"), default=(640, 360), metavar="WxH")
    parser.add_argument("--samples", type=int, default=10, help="light paths a pixel, before denoising")
    parser.add_argument("--shot", choices=[shot.name for shot in SHOTS], help="only this one")
    parser.add_argument(
        "--flow", type=Path, metavar="FOLDER", help="also write exact flow and occlusion, one npz a pair"
    )
    parser.add_argument("--check", action="store_true", help="print how well --flow explains the pictures, as JSON")
    parser.add_argument(
        "--fixture", type=Path, metavar="NPZ", help="also pack these frames and their --flow in one file"
    )
    parser.add_argument("--window", type=window, default=window("640x360+0+0"), metavar="WxH+X+Y", help="part to pack")
    parser.add_argument("--work", type=Path, default=ROOT / ".work" / "sample", help="where rendered frames are kept")
    arguments = parser.parse_args()
    if (arguments.check or arguments.fixture) and not arguments.flow:
        parser.error("--check and --fixture need --flow FOLDER")
    frames = range(arguments.frames[0], arguments.frames[1] + 1)
    if not frames or frames.start < 0 or frames.stop > motion.FRAMES:
        parser.error(f"--frames must lie in 0-{motion.FRAMES - 1}, got {arguments.frames[0]}-{arguments.frames[1]}")
    pictures = pictures_folder(arguments.work, arguments.size, arguments.samples)
    measured = {}
    for shot, part in spans(frames, arguments.shot):
        render_pictures(shot, part, arguments.size, arguments.samples, arguments.work)
        if arguments.flow:
            render_passes(shot, part, arguments.size, arguments.work)
            write_flow(part, arguments.size, arguments.work, arguments.flow)
        if arguments.check:
            measured[shot.name] = check(part, pictures, arguments.flow, passes_folder(arguments.work, arguments.size))
        if arguments.fixture:
            write_fixture(part, pictures, arguments.flow, arguments.fixture, arguments.window)
    if measured:
        print(json.dumps(measured, indent=2))
    if len(frames) == motion.FRAMES and not arguments.shot:
        film.write_film(arguments.output, [pictures / f"{frame:04d}.png" for frame in frames])


if __name__ == "__main__":
    main()
