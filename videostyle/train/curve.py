"""Loss curves of a training run as a picture."""

from __future__ import annotations

import io
import json
from pathlib import Path

from videostyle.files import read_regular_file
from videostyle.partial_files import atomic_write


def draw_losses(log: Path, picture: Path) -> None:
    """Draw the style, content and temporal losses that `log` (JSON lines) holds over the steps, logarithmic.

    Does nothing without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    rows = [json.loads(line) for line in read_regular_file(log).decode("utf-8", "replace").splitlines()]
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    for name in ("style", "content", "temporal"):
        # Lines from before an interruption may be damaged.
        points = [(row["step"], row[name]) for row in rows if isinstance(row.get(name), int | float)]
        if not points:
            continue
        steps, values = zip(*points, strict=True)
        # The loss of one batch is noisy: a running mean over a fiftieth of the run is drawn over the raw values, in
        # the same colour.
        window = max(len(values) // 50, 1)
        means = [
            sum(values[max(i - window, 0) : i + 1]) / len(values[max(i - window, 0) : i + 1])
            for i in range(len(values))
        ]
        (line,) = axes.plot(steps, means, label=name)
        axes.plot(steps, values, color=line.get_color(), alpha=0.15, linewidth=0.7)
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend()
    data = io.BytesIO()
    figure.savefig(data, dpi=100, format=picture.suffix.removeprefix("."))
    atomic_write(picture, data.getvalue(), sync=False)
