"""Make the pictures of the README from the sample film: before and after, the gallery, and one of each look.

python scripts/make_pictures.py --only timeline brush
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import islice, product
from pathlib import Path

import cv2
import numpy as np
from demo import contact_sheet

import videostyle
from videostyle.batch.plan import BatchPlan
from videostyle.batch.schedule import run
from videostyle.io.images import draw_label, read_picture
from videostyle.io.memory import MemorySink, MemorySource
from videostyle.live.painter import LivePainter
from videostyle.live.plan import LivePlan
from videostyle.live.screen import split
from videostyle.plan import RenderPlan, StabilizeOptions
from videostyle.style import Region, Style
from videostyle.timeline import Key, Span, Timeline
from videostyle.types import Frame

ROOT = Path(__file__).parents[1]
FILM = next((ROOT / "samples").glob("*.mp4"))
MOMENTS = Fraction(2), Fraction(13, 2)
AROUND_THE_CUT = Fraction(2), Fraction(107, 24), Fraction(108, 24), Fraction(7)
SHARES = 0.0, 0.25, 0.5, 0.75, 1.0
HORIZON = 165
"""Row where the sky of the first moment ends."""
BOAT = (425, 185), (75, 95)
"""Centre and half axes of an ellipse around its yellow sail."""
FRAMES, SLICE = 60, 190
"""How many frames, and which row of them, the slices show."""
STABILIZERS = {
    "painted frame by frame": StabilizeOptions(0),
    "causal": StabilizeOptions(mode="causal"),
    "look-ahead": StabilizeOptions(mode="lookahead"),
}
MOST_BYTES = 150_000
"""Of the picture of a look."""


def demo() -> np.ndarray:
    """Six moments of the film, painted by two styles."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for style in ("great-wave", "starry-night"):
            painted, sheet = Path(folder) / f"{style}.mp4", Path(folder) / f"{style}.png"
            videostyle.stylize(str(FILM), str(painted), style)
            contact_sheet(FILM, painted, sheet)
            rows.append(read_picture(str(sheet))[:3].permute(1, 2, 0).numpy())
    return np.concatenate([rows[0], rows[1][rows[1].shape[0] // 2 :]])


def gallery() -> np.ndarray:
    """Every style on two moments of the film."""
    names = [entry.name for entry in videostyle.gallery() if entry.network == "fast"]
    rows = [labelled([film_at(moment) for moment in MOMENTS], "the film")]
    rows += [labelled([paint(Style(((name, 1.0),)), moment) for moment in MOMENTS], name) for name in names]
    height = -(-len(rows) // 3)
    rows += [np.full_like(rows[0], 255)] * (3 * height - len(rows))
    return np.concatenate([np.concatenate(rows[i : i + height]) for i in range(0, len(rows), height)], axis=1)


def slices() -> np.ndarray:
    """Draw one row of pixels over two seconds, downwards: of the film, and stylized without and with stabilizer."""
    style = Style((("starry-night", 1.0),))
    strips = []
    with videostyle.open_source(str(FILM)) as video:
        film = list(islice(video.frames(Span(MOMENTS[0])), FRAMES))
    versions = {"the film": film}
    for name, options in STABILIZERS.items():
        painted, sink = MemorySource(film), MemorySink()
        videostyle.render(RenderPlan("", "", style=style, stabilize=options), source=painted, sink=sink)
        versions[name] = sink.frames
    for name, frames in versions.items():
        rows = np.stack([one.pixels[:, SLICE, :].permute(1, 0).numpy() for one in frames])
        strips.append(labelled([np.repeat(rows, 3, axis=0)], name))
    return np.concatenate(strips)


def strength() -> np.ndarray:
    """From the film to a painting."""
    return side_by_side([paint(Style((("great-wave", 1.0),), share)) for share in SHARES])


def blend() -> np.ndarray:
    """From one painting to another."""
    return side_by_side([paint(Style((("great-wave", 1 - share), ("starry-night", share)))) for share in SHARES])


def blend_of_three() -> np.ndarray:
    """A painting in each corner of a triangle."""
    rows, side = [], 3
    for down in range(side + 1):
        weights = [(side - down, down - across, across) for across in range(down + 1)]
        names = ("starry-night", "great-wave", "scream")
        row = side_by_side([paint(Style(tuple(zip(names, map(float, w), strict=True)))) for w in weights])
        margin = (side - down) * row.shape[1] // (down + 1) // 2
        rows.append(np.pad(row, ((0, 0), (margin, margin), (0, 0)), constant_values=255))
    return np.concatenate(rows)


def timeline() -> np.ndarray:
    """Three paintings along the film."""
    keys = {"great-wave": 0, "starry-night": 4, "scream": 7}
    style = Style(Timeline(tuple(Key(((name, 1.0),), Fraction(time)) for name, time in keys.items())))
    return side_by_side([paint(style, Fraction(time)) for time in (0, 2, 4, Fraction(11, 2), 7)])


def keep_colors() -> np.ndarray:
    """The film, a painting, and the painting in the film's hues."""
    kept = [paint(Style((("starry-night", 1.0),), keep_colors=keep)) for keep in (False, True)]
    return side_by_side([film_at(), *kept])


def mask() -> np.ndarray:
    """A mask, what it leaves of a painting, and two paintings in one picture."""
    with tempfile.TemporaryDirectory() as folder:
        around, sky = Path(folder) / "around.png", Path(folder) / "sky.png"
        height, width = film_at().shape[:2]
        picture = np.full((height, width), 255, np.uint8)
        cv2.ellipse(picture, BOAT[0], BOAT[1], 0, 0, 360, 0, -1)
        cv2.imwrite(str(around), picture)
        cv2.imwrite(str(sky), 255 * (np.arange(height) < HORIZON).astype(np.uint8)[:, None].repeat(width, 1))
        masked = paint(Style((("starry-night", 1.0),), mask=str(around), feather=4.0))
        regions = paint(Style((("great-wave", 1.0),), regions=(Region((("scream", 1.0),), str(sky)),), feather=4.0))
    return side_by_side([cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB), masked, regions])


def brush() -> np.ndarray:
    """Marks of half, usual and double size."""
    return side_by_side([paint(Style((("starry-night", 1.0),), brush=size)) for size in (0.5, 1.0, 2.0)])


def live() -> np.ndarray:
    """Keys pressed while it is painted: a style, half-way to another, there, and before and after."""
    plan = LivePlan(styles=("great-wave", "scream"), keys=((Fraction(1), "2"), (Fraction(2), "v")), adapt=False)
    moments = Fraction(9, 10), Fraction(5, 4), Fraction(7, 4), Fraction(9, 4)
    shown: list[Frame] = []
    with videostyle.open_source(str(FILM)) as video:
        painter = LivePainter(plan, (video.info.width, video.info.height))
        for one in painter.painted(video.frames(Span(end=Fraction(5, 2)))):
            if len(shown) < len(moments) and one.film.time >= moments[len(shown)]:
                shown.append(split(one.film, one.stylized) if one.controls.split else one.stylized)
    return side_by_side([one.pixels.permute(1, 2, 0).numpy() for one in shown])


def batch() -> np.ndarray:
    """A film and two paintings of it, made of two segments each, which meet at the white line."""
    rows = [side_by_side([frame_at(FILM, moment) for moment in AROUND_THE_CUT])]
    with tempfile.TemporaryDirectory() as name:
        styles = "mosaic", "starry-night"
        outputs = [Path(name) / f"{style}.mp4" for style in styles]
        looks = zip(styles, outputs, strict=True)
        plans = tuple(RenderPlan(str(FILM), str(output), style=Style(((style, 1.0),))) for style, output in looks)
        run(BatchPlan(plans, Path(name), segment=1))
        rows += [side_by_side([frame_at(output, moment) for moment in AROUND_THE_CUT]) for output in outputs]
    sheet = np.concatenate(rows)
    middle = sheet.shape[1] // 2
    sheet[:, middle - 6 : middle + 6] = 255
    return sheet


LOOKS: Sequence[Callable[[], np.ndarray]] = (
    strength,
    blend,
    blend_of_three,
    timeline,
    keep_colors,
    mask,
    brush,
    live,
    batch,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="demo, gallery, strength, blend...")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    for make in (demo, gallery, slices, *LOOKS):
        if args.only is None or make.__name__ in args.only:
            write(args.output / f"{make.__name__}.jpg", make(), MOST_BYTES if make in LOOKS else None)


def frame(film: Path, moment: Fraction) -> Frame:
    """What is shown `moment` seconds into the film."""
    with videostyle.open_source(str(film)) as video:
        return next(iter(video.frames(Span(moment))))


def frame_at(film: Path, moment: Fraction) -> np.ndarray:
    """The same as (H, W, 3) RGB."""
    return np.ascontiguousarray(frame(film, moment).pixels.permute(1, 2, 0).numpy())


def film_at(moment: Fraction = MOMENTS[0]) -> np.ndarray:
    return frame_at(FILM, moment)


def paint(style: Style, moment: Fraction = MOMENTS[0]) -> np.ndarray:
    """One moment of the sample film in a style."""
    # One picture is painted by torch in less time than another engine takes to compile.
    (painted,) = videostyle.paint_frames([frame(FILM, moment)], style, engine="torch")
    return painted.pixels.permute(1, 2, 0).numpy()


def side_by_side(pictures: Sequence[np.ndarray]) -> np.ndarray:
    return np.ascontiguousarray(np.concatenate(pictures, axis=1))


def labelled(pictures: list[np.ndarray], name: str) -> np.ndarray:
    row = side_by_side(pictures)
    draw_label(row, name, (10, 28), 0.8)
    return row


def write(path: Path, picture: np.ndarray, most_bytes: int | None) -> None:
    """Write a JPEG, as wide (at most 1800 pixels) and then as good as fits into `most_bytes`."""
    for width, quality in product((1800, 1500, 1200, 900), (88, 82, 76)):
        scale = width / picture.shape[1]
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        _, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
        if most_bytes is None or data.size <= most_bytes:
            break
    path.write_bytes(data.tobytes())
    print(f"{path}: {data.size // 1000} kB")


if __name__ == "__main__":
    main()
