"""Films with shots for the tests of batch, and an engine without processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import cv2
import media
import numpy as np

from videostyle.batch.plan import BatchPlan
from videostyle.batch.tasks import Task, carry_out
from videostyle.plan import EncodeOptions, RenderPlan
from videostyle.style import Style

DOTS = Style((("dots", 1.0),))
LOSSLESS = EncodeOptions("ffv1")
SIZE = (64, 48)


def shots(path: Path, lengths: Sequence[int] = (9, 7, 12), **more: Any) -> Path:
    """A film of walls passing by, one a shot, coded as films are: few key frames, and frames out of order."""
    rng = np.random.default_rng(3)
    pictures = []
    width, height = SIZE
    for number, length in enumerate(lengths):
        wide = width + length
        wall = cv2.resize(rng.random((height // 4, wide // 4)), (wide, height), interpolation=cv2.INTER_CUBIC)
        for shift in range(length):
            luma = (40 + 60 * (number % 3) + 60 * wall[:, shift : shift + width]).astype(np.uint8)
            chroma = np.full((height // 2, width // 2), 100 + 20 * (number % 3), np.uint8)
            pictures.append([luma, chroma, chroma])
    options = {"qp": "0", "preset": "veryfast", "g": "10", "bf": "2"}
    return media.write_film(path, pictures, options=options, **more)


def plan(source: Path, output: Path, style: Style = DOTS, **more: Any) -> RenderPlan:
    return RenderPlan(str(source), str(output), style=style, **{"engine": "torch", "encode": LOSSLESS, **more})


class Inline:
    """An engine in this very process; `before` sees every task, and may raise."""

    def __init__(self, before: Callable[[Task], None] = lambda task: None, workers: int = 2) -> None:
        self.workers = workers
        self.frames = 0
        self.latest = None
        self.before = before
        self.tasks: list[Task] = []
        self.waiting: list[tuple[Any, Task]] = []

    def submit(self, key: Any, task: Task) -> None:
        self.waiting.append((key, task))

    def finished(self, timeout: float) -> Iterator[tuple[Any, dict[str, Any]]]:
        key, task = self.waiting.pop(0)
        self.before(task)
        self.tasks.append(task)
        yield key, carry_out(task, self._count)

    def _count(self, frame: object) -> None:
        self.frames += frame is not None

    def __call__(self, plan: BatchPlan) -> Self:
        """Stands for `load_executor`."""
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: Any) -> None:
        self.waiting.clear()
