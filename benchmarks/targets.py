"""What the paint and its steadiness reach beside what was aimed at: the figures of the other benchmarks in one table.

    python benchmarks/targets.py [--results benchmarks/results] [--table docs/notes/targets.md]

Measures nothing: it reads the results of strokes.py, quality.py, flicker.py, recurrence.py, long_shots.py and speed.py.
A figure without a result file is shown as not measured.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
NETWORKS = ("fast", "fine")
Read = Callable[[str], Any]


@dataclass(frozen=True)
class Target:
    """One line of the table."""

    what: str
    limit: float
    """The figure that was aimed at."""
    find: Callable[[Read, str], float]
    """Finds the figure of a network; raises KeyError, FileNotFoundError or StopIteration where it was not measured."""
    at_most: bool = True
    form: str = "{:.2f}"

    def cell(self, read: Read, network: str) -> str:
        """The figure of a network, in bold where it misses."""
        try:
            figure = self.find(read, network)
        except (FileNotFoundError, KeyError, StopIteration):
            return "not measured"
        shown = self.form.format(figure)
        met = figure <= self.limit if self.at_most else figure >= self.limit
        return shown if met else f"**{shown}**"


def median_of(read: Read, network: str, key: str, file: str = "strokes.json") -> float:
    """Median over the styles of a figure of strokes.py."""
    return float(next(row for row in read(file)["medians"] if row["network"] == network)[key])


def raster(read: Read, network: str) -> float:
    """The largest share of a flat surface's variance in the raster, in any style and engine."""
    rows = [row for row in read("strokes.json")["rows"] if row["network"] == network]
    if not rows:
        raise KeyError(network)
    return max(float(value) for row in rows for key, value in row.items() if key.startswith("raster"))


def flicker(read: Read, network: str, key: str, held_back: bool = False) -> float:
    """A mean of flicker.py over clips and styles, of the default render."""
    file = f"flicker_{network}{'_held_back' if held_back else ''}.json"
    return float(next(row for row in read(file)["means"] if row["mode"] == "lookahead")[key])


def flicker_share(read: Read, network: str, key: str) -> float:
    """A mean of flicker.py, of the default render over the frames stylized alone."""
    rows = {row["mode"]: row for row in read(f"flicker_{network}.json")["means"]}
    return float(rows["lookahead"][key] / rows["fresh"][key])


def long_shots(read: Read, network: str, film: str, keys: tuple[str, ...]) -> float:
    """The largest change in a long shot, in any style."""
    rows = [row for row in read("long_shots.json")["rows"] if row["network"] == network]
    if not rows:
        raise KeyError(network)
    return max(abs(float(row[film][key])) for row in rows for key in keys)


def ghosts(read: Read, network: str) -> float:
    """Mean share of what moved away."""
    rows = [float(row["ghosts"]) for row in read("long_shots.json")["rows"] if row["network"] == network]
    if not rows:
        raise KeyError(network)
    return statistics.fmean(rows)


CHANGES = ("mean", "contrast", "energy")
DATED = (
    "quality_noise.json",
    "flicker_fast.json",
    "flicker_fast_held_back.json",
    "flicker_fine.json",
    "long_shots.json",
    "speed.json",
)
"""Results that have a date."""
OPTIMISED = "strokes_optimised.json"
TARGETS = (
    Target(
        "style distance at relu4_1, times that of 50 steps of optimisation",
        1.6,
        lambda read, network: median_of(read, network, "relu4_1, times", OPTIMISED),
    ),
    Target(
        "style distance at relu5_1, times that of 50 steps of optimisation",
        2.0,
        lambda read, network: median_of(read, network, "relu5_1, times", OPTIMISED),
    ),
    Target("content distance at relu4_2", 0.55, lambda read, network: median_of(read, network, "content")),
    Target(
        "objective equals so many L-BFGS steps from noise (`fine`: 100)",
        60,
        lambda read, network: float(read("quality_noise.json")["about"]["median equal step"][network]),
        at_most=False,
        form="{:.0f}",
    ),
    Target(
        "constant grey, with noise: deviation",
        0.04,
        lambda read, network: median_of(read, network, "flat with noise, openvino"),
        at_most=False,
    ),
    Target("constant grey: greatest share in the raster", 0.01, raster, form="{:.3f}"),
    Target(
        "sum of the relative Gram distances, default render",
        0.28,
        lambda read, network: float(read(f"recurrence_{network}.json")["recurrent + look-ahead"]["style"]),
    ),
    Target(
        "flicker of the same renders, times the film's",
        1.2,
        lambda read, network: float(read(f"recurrence_{network}.json")["recurrent + look-ahead"]["error"]),
    ),
    Target("warping error, times the film's", 1.2, lambda read, network: flicker(read, network, "times the film")),
    Target(
        "the same, clips that no tuning has seen",
        1.5,
        lambda read, network: flicker(read, network, "times the film", held_back=True),
    ),
    Target(
        "ten frames apart, of the frames stylized alone",
        0.5,
        lambda read, network: flicker(read, network, "error kept, gap 10"),
    ),
    Target(
        "Laplacian energy, of the frames stylized alone",
        0.97,
        lambda read, network: flicker(read, network, "detail kept"),
        at_most=False,
    ),
    Target(
        "style distance, of the frames stylized alone",
        1.0,
        lambda read, network: flicker_share(read, network, "style distance"),
    ),
    Target("ghosts in the rendered scene", 0.03, ghosts, form="{:.1%}"),
    Target(
        "300 still frames: change of mean, contrast, energy",
        0.02,
        lambda read, network: long_shots(read, network, "still", CHANGES),
        form="{:.1%}",
    ),
    Target(
        "300 frames of a slow pan: the same",
        0.02,
        lambda read, network: long_shots(read, network, "pan", CHANGES),
        form="{:.1%}",
    ),
    Target(
        "default command at 640x360 on two threads, frames a second",
        24,
        lambda read, network: float(read("speed.json")["networks"][network]["lookahead"]),
        at_most=False,
        form="{:.1f}",
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", type=Path, help="write the page here (default: print it)")
    args = parser.parse_args()

    def read(name: str) -> Any:
        return json.loads((args.results / name).read_text(encoding="utf-8"))

    page = document(read)
    if args.table:
        args.table.write_text(page, encoding="utf-8")
    else:
        print(page)


def document(read: Read) -> str:
    """The page of the notes."""
    lines = [
        "# What was aimed at",
        "",
        "Written by `benchmarks/targets.py` from the other benchmarks' results; do not edit. In bold: missed.",
        "More on each figure: [strokes](strokes.md), [quality](quality_noise.md), [flicker](flicker.md),",
        "[long shots](long_shots.md), [speed](../guide/films.md#speed).",
        "",
        "| | aim | `fast` | `fine` |",
        "| --- | --- | --- | --- |",
    ]
    for target in TARGETS:
        aim = ("at most " if target.at_most else "at least ") + target.form.format(target.limit)
        cells = [target.cell(read, network) for network in NETWORKS]
        lines.append(f"| {target.what} | {aim} | {' | '.join(cells)} |")
    dates = []
    for name in DATED:
        with suppress(FileNotFoundError):
            found = read(name)
            dates.append(f"{name.removesuffix('.json')} {found.get('about', found)['date']}")
    lines += ["", "Measured: " + ", ".join(dates) + ". The weights of `fine` are of 2026-12-01."]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
