"""Data loader: draws the batches of the next steps ahead in other processes, so that a GPU need not wait."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from types import TracebackType
from typing import Self

import cv2
import torch

from videostyle.train.batch import Batch, FilmClips, draw
from videostyle.train.data import Crops
from videostyle.train.plan import TrainConfig

_AHEAD = 3  # batches drawn ahead for each process

Lengths = Callable[[int], int]
"""Function that returns the roll-out length of a step, as expected when its batch is drawn ahead."""


class Loader:
    """Loader of batches by step and places, a context manager; the batches are the same, drawn ahead or not."""

    def __init__(self, config: TrainConfig, crops: Crops, films: FilmClips | None) -> None:
        """Draw ahead in `config.workers` processes; with 0, or with films, each batch is drawn when it is needed.

        Open files of films cannot be passed to another process.
        """
        self._config = config
        self._crops = crops
        self._films = films
        self._workers = 0 if films is not None else config.workers
        self._pool: ProcessPoolExecutor | None = None
        self._drawn: dict[tuple[int, range, int], Future[Batch]] = {}

    def __enter__(self) -> Self:
        if self._workers:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._workers, context, _begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def __call__(self, step: int, places: range, lengths: Lengths) -> Batch:
        """Return the samples at `places` of the batch of `step`, `lengths(step)` + 1 frames each; see `draw`."""
        length = lengths(step)
        if self._pool is None:
            return draw(self._config, step, places, self._crops, self._films, length)
        for later in range(step, min(step + self._workers * _AHEAD, self._config.steps)):
            key = later, places, lengths(later)
            if key not in self._drawn:
                arguments = self._config, later, places, self._crops, None, key[2]
                self._drawn[key] = self._pool.submit(draw, *arguments)
        batch = self._drawn.pop((step, places, length)).result()
        for key in [key for key in self._drawn if key[0] < step or (key[0] == step and key[1] == places)]:
            self._drawn.pop(key).cancel()  # drawn for another expected length
        return batch


def _begin() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
