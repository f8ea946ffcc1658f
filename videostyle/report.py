"""The report of a render, and the time that each of its stages took."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from html import escape
from typing import Any, TypeVar

from videostyle.text import sanitize_line

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RenderReport:
    """Decisions and results of a render; `--report` writes `to_json`."""

    source: str
    output: str
    frames: int
    repeated: int
    """Number of frames that equal the one before bit for bit, and so reuse its output."""
    seconds: float
    """Seconds from opening the source to the output's final name."""
    size: tuple[int, int]
    """Width and height of the output in pixels."""
    style: dict[str, Any]
    engine: str
    """Engine that ran the style network; "" where nothing was stylized."""
    device: str
    flow: str
    """Optical flow estimator of the stabilizer; "none" where nothing was stabilized."""
    stabilizer: str
    """causal or lookahead; "none" where nothing was stabilized."""
    encoder: dict[str, Any]
    cuts: list[float]
    """Seconds at which a new shot begins, without the start of the first."""
    stages: dict[str, float]
    """Seconds of work by stage, without waiting for other stages. They overlap: the sum exceeds `seconds`."""
    streams: list[str]
    """Treatment of the source's other streams: copied or re-encoded; the dropped ones are among the warnings."""
    warnings: list[str]
    predicted: list[str] = field(default_factory=list)
    """Pictures among the styles, whose codes were predicted."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Every setting by name, with the choice that "auto" became; `RenderPlan.of` makes the same plan of it."""

    @property
    def fps(self) -> float:
        """Frames per second, decoding, encoding and start-up included."""
        return self.frames / self.seconds if self.seconds else 0.0

    def _repr_html_(self) -> str:
        """Return the report as a notebook shows it."""
        shown = ("output", "frames", "seconds", "fps", "size", "engine", "device", "flow", "stabilizer", "warnings")
        rows = ((name, getattr(self, name)) for name in shown)
        cells = (f"<tr><th>{name}</th><td>{escape(sanitize_line(value))}</td></tr>" for name, value in rows)
        return f"<table>{''.join(cells)}</table>"

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain data, with times in seconds."""
        return json.loads(json.dumps({**asdict(self), "fps": round(self.fps, 3)}, default=float))


@dataclass(slots=True)
class StageTimer:
    """Counts the seconds of work by stage; each stage is one thread's, so no two threads write to one entry."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, stage: str, sign: int = 1) -> Iterator[None]:
        """Count the time that the block takes."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + sign * (time.perf_counter() - started)

    def around(self, stage: str, items: Iterable[T], sign: int = 1) -> Iterator[T]:
        """Yield the items and count the time that each takes to make.

        With a `sign` of -1 the time is subtracted: for a stage whose timer runs while it waits for its items.
        """
        iterator = iter(items)
        while True:
            with self(stage, sign):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item
