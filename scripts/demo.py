"""Paint the sample film with a shipped style; leave the film and a contact sheet in output/."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

import videostyle
from videostyle.timeline import Span

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--film", type=Path, default=next((ROOT / "samples").glob("*.mp4"), None))
    parser.add_argument("--style", default="great-wave")
    parser.add_argument("--output", type=Path, default=ROOT / "output")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    painted = args.output / f"{args.film.stem}-{args.style}.mp4"

    from videostyle.cli.progress import ProgressBar

    with ProgressBar(args.film.name, unit="frames", quiet=False) as bar:
        report = videostyle.stylize(args.film, painted, args.style, overwrite=True, on_progress=bar)
    sheet = painted.with_suffix(".png")
    contact_sheet(args.film, painted, sheet)
    worked = ", ".join(f"{stage} {seconds / report.frames * 1000:.0f}" for stage, seconds in report.stages.items())
    print(f"painted film:   {painted}")
    print(f"contact sheet:  {sheet}")
    print(
        f"speed:          {report.frames} frames in {report.seconds:.1f} s, {report.fps:.1f} frames/s "
        f"at {report.size[0]}x{report.size[1]} ({report.engine} on {report.device}, flow {report.flow})"
    )
    print(f"work per frame: {worked} ms; the stages overlap")


def contact_sheet(before: Path, after: Path, path: Path, moments: int = 6) -> None:
    """Write `moments` frames of two films of the same length, evenly spread, one film above the other."""
    rows = []
    for film in (before, after):
        with videostyle.open_source(str(film)) as video:
            frames = [
                cv2.resize(_bgr(frame), (480, 270), interpolation=cv2.INTER_AREA) for frame in video.frames(Span())
            ]
        chosen = [frames[(2 * i + 1) * len(frames) // (2 * moments)] for i in range(moments)]
        rows.append(np.concatenate(chosen, axis=1))
    cv2.imwrite(str(path), np.concatenate(rows))


def _bgr(frame: videostyle.Frame) -> np.ndarray:
    return cv2.cvtColor(np.ascontiguousarray(frame.pixels.permute(1, 2, 0).numpy()), cv2.COLOR_RGB2BGR)


if __name__ == "__main__":
    main()
