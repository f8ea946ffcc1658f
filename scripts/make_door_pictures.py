"""Make docs/images/door_*.jpg: the sample film through each door to other programs, as their users see it.

pip install '.[serve,ndi]' integrations/python cog
apt-get install ffmpeg curl blender xvfb
python scripts/make_door_pictures.py [--only serve pipes ...]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import torch
from make_pictures import FILM, frame_at, labelled, write

from videostyle.io.images import read_picture

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
MOST_BYTES = 120_000
MOMENTS = Fraction(0), Fraction(1, 2), Fraction(1)
VIDEOSTYLE = [sys.executable, "-m", "videostyle"]


def serve(folder: Path) -> np.ndarray:
    """A picture by curl, and a film as a job by the Python client."""
    from videostyle_client import Client

    photo = save(folder / "photo.jpg", frame_at(FILM, MOMENTS[0]))
    with served(folder) as address:
        settings = json.dumps({"style": "great-wave", "strength": 0.8})
        curl = f"curl -sf -F file=@{photo} -F 'settings={settings}' {address}v1/images -o {folder}/painted.jpg"
        subprocess.run(curl, shell=True, check=True)
        with Client(address.rstrip("/")) as client:
            client.paint_film(FILM, folder / "painted.mp4", style="scream", size="360", end="1.1")
    by_curl = labelled([read(photo), read(folder / "painted.jpg")], "POST /v1/images")
    by_job = labelled([frame_at(folder / "painted.mp4", moment) for moment in MOMENTS[::2]], "POST /v1/jobs")
    return np.concatenate([by_curl, by_job])


def pipes(folder: Path) -> np.ndarray:
    """The film from FFmpeg and back to FFmpeg."""
    videostyle = shlex.join(VIDEOSTYLE)
    subprocess.run(
        f"ffmpeg -v error -t 1.1 -i {FILM} -c copy -f nut - | {videostyle} stylize - -o - --style udnie -q"
        f" | ffmpeg -v error -i - -fps_mode passthrough {folder}/painted.mp4",
        shell=True,
        check=True,
    )
    return rows(folder / "painted.mp4", "ffmpeg | videostyle | ffmpeg")


def ndi(folder: Path) -> np.ndarray:
    """What another program receives by NDI."""
    (folder / "ndi-config.v1.json").write_text(json.dumps({"ndi": {"networks": {"ips": "127.0.0.1"}}}))
    environment = {**os.environ, "NDI_CONFIG_DIR": str(folder)}
    options = ["--loop", "--headless", "--fps", "12", "--style", "great-wave", "--ndi", "harbour"]
    sender = subprocess.Popen([*VIDEOSTYLE, "live", "--camera", str(FILM), *options], env=environment)
    try:
        receiver = [sys.executable, str(ROOT / "tests" / "ndi_receiver.py"), "harbour", str(folder / "ndi.npy")]
        subprocess.run(receiver, env=environment, check=True)
    finally:
        sender.terminate()
        sender.wait()
    return np.concatenate(
        [
            labelled([frame_at(FILM, MOMENTS[0])], "the camera"),
            labelled([np.load(folder / "ndi.npy")], "received by NDI"),
        ],
        axis=1,
    )


def comfyui(folder: Path) -> np.ndarray:
    """A batch through ComfyUI's node, with a mask and a second style."""
    node = module("comfyui_pack", ROOT / "integrations" / "comfyui" / "__init__.py")
    frames = np.stack([frame_at(FILM, moment) for moment in MOMENTS])
    batch = torch.from_numpy(frames).float() / 255
    mask = torch.zeros(batch.shape[1:3])
    mask[:, mask.shape[1] // 3 :] = 1
    paint = node.NODE_CLASS_MAPPINGS["VideostylePaint"]().paint
    (painted,) = paint(batch, "great-wave", 1.0, 0.0, second_style="mosaic", blend=0.5, mask=mask)
    pixels = (painted.numpy() * 255).round().astype(np.uint8)
    return np.concatenate([labelled(list(frames[:2]), "IMAGE"), labelled(list(pixels[:2]), "IMAGE, under a MASK")])


def cog(folder: Path) -> np.ndarray:
    """The same film through Cog's predictor."""
    from cog import Path as CogPath

    predictor = module("cog_predictor", ROOT / "integrations" / "cog" / "predict.py").Predictor()
    predictor.setup()
    output = predictor.predict(
        source=CogPath(FILM), style="udnie", painting=None, strength=1.0, stabilize=1.0, keep_colors=True, size="",
        start="", end="1.1",
    )  # fmt: skip
    return rows(Path(output), "cog predict -i style=udnie -i keep_colors=true")


def blender(folder: Path) -> np.ndarray:
    """Blender's video editor with the painted film over the original, on a screen in memory."""
    films = folder / "films"
    films.mkdir()
    film, painted = shutil.copy(FILM, films), films / "painted.mov"
    options = ["--style", "udnie", "--codec", "prores", "--end", "4", "-q"]
    subprocess.run([*VIDEOSTYLE, "stylize", str(FILM), "-o", str(painted), *options], check=True)
    script = folder / "show.py"
    script.write_text(IN_BLENDER)
    window = ["--app-template", "Video_Editing", "--window-geometry", "0", "0", "1280", "760"]
    command = ["xvfb-run", "-a", "-s", "-screen 0 1280x760x24", "blender", "--factory-startup", *window]
    target = folder / "blender.png"
    files = [str(film), str(painted), str(target)]
    subprocess.run([*command, "-P", str(script), "--", *files], env={**os.environ, "HOME": str(films)}, check=True)
    return read(target)


IN_BLENDER = """
import sys
import bpy
film, painted, target = sys.argv[sys.argv.index("--") + 1 :]
bpy.context.preferences.view.show_splash = False

def add():
    scene = bpy.context.scene
    editor = scene.sequence_editor_create()
    editor.sequences.new_movie("harbour.mp4", film, 1, 1)
    strip = editor.sequences.new_movie("painted.mov", painted, 2, 1)
    editor.sequences.new_sound("sound of painted.mov", painted, 3, 1)
    scene.render.fps, scene.frame_end, scene.frame_current = 24, strip.frame_duration, 48
    scene.render.resolution_x, scene.render.resolution_y = 640, 360
    scene.view_settings.view_transform = "Standard"
    bpy.app.timers.register(fit, first_interval=5)

def fit():
    window = bpy.context.window_manager.windows[0]
    for area in window.screen.areas:
        if area.type == "SEQUENCE_EDITOR":
            area.spaces[0].timeline_overlay.show_strip_source = False
            for region in area.regions:
                with bpy.context.temp_override(window=window, area=area, region=region):
                    if region.type == "WINDOW" and area.spaces[0].view_type == "SEQUENCER":
                        bpy.ops.sequencer.view_all()
                    elif region.type == "PREVIEW" and area.spaces[0].view_type == "PREVIEW":
                        bpy.ops.sequencer.view_all_preview()
    window.cursor_warp(2, 2)
    bpy.app.timers.register(show, first_interval=5)

def show():
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
        bpy.ops.screen.screenshot(filepath=target)
    bpy.ops.wm.quit_blender()

bpy.app.timers.register(add, first_interval=3)
"""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    command = [*VIDEOSTYLE, "serve", "--port", "0", "--data", str(folder / "data")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        while subprocess.run(["curl", "-sf", f"{address}readyz"], stdout=subprocess.DEVNULL).returncode:
            time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait()


def module(name: str, path: Path) -> ModuleType:
    """A module of `integrations/`, as the other program imports it."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[name] = found
    spec.loader.exec_module(found)
    return found


def rows(painted: Path, name: str) -> np.ndarray:
    """Two moments of the film, and of the painted one."""
    before = labelled([frame_at(FILM, moment) for moment in MOMENTS[::2]], "the film")
    return np.concatenate([before, labelled([frame_at(painted, moment) for moment in MOMENTS[::2]], name)])


def save(path: Path, pixels: np.ndarray) -> Path:
    cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return path


def read(path: Path) -> np.ndarray:
    return np.ascontiguousarray(read_picture(str(path))[:3].permute(1, 2, 0).numpy())


DOORS = (serve, pipes, ndi, comfyui, cog, blender)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=IMAGES)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[make.__name__ for make in DOORS])
    args = parser.parse_args()
    for make in DOORS:
        if args.only is None or make.__name__ in args.only:
            with tempfile.TemporaryDirectory() as folder:
                write(args.output / f"door_{make.__name__}.jpg", make(Path(folder)), MOST_BYTES)


if __name__ == "__main__":
    main()
