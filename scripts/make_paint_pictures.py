"""Make the pictures of docs/guide/paint.md from the sample film and style images: a still, and propagated keyframes.

python scripts/make_paint_pictures.py starry_night.jpg great_wave.jpg
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from videostyle.io import open_source
from videostyle.optimize.keyframes import paint_keyframes
from videostyle.optimize.plan import GatysOptions, KeyframePlan, PaintPlan, StyleImage
from videostyle.optimize.stills import paint_picture
from videostyle.plan import EncodeOptions, RenderPlan
from videostyle.timeline import Span

ROOT = Path(__file__).parents[1]
FILM = str(ROOT / "samples" / "harbour.mp4")
IMAGES = ROOT / "docs" / "images"
# A gull crosses, and the boats swing: things that move, and things that come into view.
SPAN = Span(Fraction(0), Fraction(3))


def rows_of(path: str, span: Span = Span()) -> list[np.ndarray]:  # noqa: B008 - frozen
    """The frames of a film, (H, W, 3) RGB."""
    with open_source(path) as film:
        return [frame.pixels.permute(1, 2, 0).contiguous().numpy() for frame in film.frames(span)]


def slice_of(frames: list[np.ndarray]) -> np.ndarray:
    """One line of the picture, frame under frame, each as high as four lines."""
    line = frames[0].shape[0] // 2
    return np.repeat(np.stack([frame[line] for frame in frames]), 4, axis=0)


def write(path: Path, picture: np.ndarray) -> None:
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paintings", nargs="+", type=Path)
    parser.add_argument("--steps", type=int, default=GatysOptions.steps, help="default: %(default)s")
    parser.add_argument("--only", choices=["stills", "keyframes"])
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the painted film and its keyframes go")
    args = parser.parse_args()
    options = GatysOptions(steps=args.steps)

    with tempfile.TemporaryDirectory() as scratch:
        if args.only != "keyframes":
            stills = []
            for number, painting in enumerate(args.paintings):
                output = str(Path(scratch) / f"{number}.png")
                paint_picture(PaintPlan(FILM, output, (StyleImage(painting),), 640, options=options))
                stills += rows_of(output)
            write(IMAGES / "paint.jpg", np.hstack(stills))
        if args.only == "stills":
            return
        folder = (args.keep or Path(scratch)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        encode = EncodeOptions(codec="ffv1", overwrite=True)
        plan = RenderPlan(FILM, str(folder / "harbour.mkv"), span=SPAN, size="640x360", encode=encode)
        report = paint_keyframes(KeyframePlan(plan, (StyleImage(args.paintings[0]),), options))
        painted = rows_of(plan.output)
        moments = [painted[round(share * (len(painted) - 1))] for share in (0, 0.25, 0.5, 0.75)]
        strip = np.hstack([cv2.resize(one, (320, 180), interpolation=cv2.INTER_AREA) for one in moments])
        lines = cv2.resize(slice_of(painted), (strip.shape[1], 180), interpolation=cv2.INTER_AREA)
        write(IMAGES / "keyframes.jpg", np.vstack([strip, lines]))
        print(replace(report, render=replace(report.render, stages={})))


if __name__ == "__main__":
    main()
