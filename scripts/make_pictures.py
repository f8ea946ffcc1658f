"""Make the pictures of the README from the sample film: before and after, the gallery, strengths, blends."""

from __future__ import annotations

import argparse
import tempfile
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from demo import contact_sheet

import videostyle
from videostyle.io.memory import MemorySource
from videostyle.plan import Span, Style

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--film", type=Path, default=next((ROOT / "samples").glob("*.mp4"), None))
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--moments", type=Fraction, nargs=2, default=[Fraction(2), Fraction(13, 2)])
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for style in ("great-wave", "starry-night"):
            painted, sheet = Path(folder) / f"{style}.mp4", Path(folder) / f"{style}.png"
            videostyle.stylize(str(args.film), str(painted), style)
            contact_sheet(args.film, painted, sheet)
            rows.append(cv2.cvtColor(cv2.imread(str(sheet)), cv2.COLOR_BGR2RGB))
        write(args.output / "demo.jpg", np.concatenate([rows[0], rows[1][rows[1].shape[0] // 2 :]]), 1800)

    frames = [frame_at(args.film, moment) for moment in args.moments]
    names = [entry.name for entry in videostyle.gallery() if entry.network == "fast"]

    rows = [labelled(frames, "the film")]
    rows += [labelled([paint(frame, Style(((name, 1.0),))) for frame in frames], name) for name in names]
    half = -(-len(rows) // 2)
    columns = [np.concatenate(part) for part in (rows[:half], rows[half:])]
    if columns[1].shape[0] < columns[0].shape[0]:
        gap = np.full((columns[0].shape[0] - columns[1].shape[0], *columns[1].shape[1:]), 255, np.uint8)
        columns[1] = np.concatenate([columns[1], gap])
    write(args.output / "gallery.jpg", np.concatenate(columns, axis=1), 1600)

    strengths = [0.0, 0.25, 0.5, 0.75, 1.0]
    faded = [paint(frames[0], Style((("great-wave", 1.0),), strength=strength)) for strength in strengths]
    write(args.output / "strength.jpg", np.concatenate(faded, axis=1), 2000)
    weights = [0.0, 0.25, 0.5, 0.75, 1.0]
    blends = [Style((("great-wave", 1 - weight), ("starry-night", weight))) for weight in weights]
    write(args.output / "blend.jpg", np.concatenate([paint(frames[0], style) for style in blends], axis=1), 2000)
    kept = [frames[0], *(paint(frames[0], Style((("starry-night", 1.0),), keep_colors=keep)) for keep in (False, True))]
    write(args.output / "keep_colors.jpg", np.concatenate(kept, axis=1), 1600)


def frame_at(film: Path, moment: Fraction) -> np.ndarray:
    """The picture shown `moment` seconds into the film, (H, W, 3) RGB."""
    with videostyle.open_source(str(film)) as video:
        return np.ascontiguousarray(next(iter(video.frames(Span(moment)))).pixels.permute(1, 2, 0).numpy())


def paint(picture: np.ndarray, style: Style) -> np.ndarray:
    (painted,) = videostyle.paint_frames(MemorySource([picture]).frames(Span()), style)
    return painted.pixels.permute(1, 2, 0).numpy()


def labelled(pictures: list[np.ndarray], name: str) -> np.ndarray:
    row = np.ascontiguousarray(np.concatenate(pictures, axis=1))
    for color, thickness in (((0, 0, 0), 4), ((255, 255, 255), 1)):
        cv2.putText(row, name, (10, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.8, color, thickness, cv2.LINE_AA)
    return row


def write(path: Path, picture: np.ndarray, width: int) -> None:
    scale = width / picture.shape[1]
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(path), cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
