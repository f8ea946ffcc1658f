"""Films in memory: a source of given pictures and a sink that collects frames, for tests and embedding."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sized
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from videostyle.errors import UsageError
from videostyle.io.info import pictures_info
from videostyle.timeline import Span
from videostyle.types import Frame, NothingOpen


class MemorySource(NothingOpen):
    """Frames from a list or an endless iterator; pictures are taken one at a time."""

    is_live = False

    def __init__(
        self, pictures: Iterable[Frame | Tensor | np.ndarray[Any, Any]], rate: Fraction | int = 24, name: str = "memory"
    ) -> None:
        """Read `pictures`: Frames, (C, H, W) tensors or (H, W, C) arrays, RGB or RGBA, uint8 or uint16.

        `rate` is in frames per second. Raises UsageError where there is no picture.
        """
        self.warnings: list[str] = []
        self._rate = Fraction(rate)
        iterator = (self._frame(picture, index) for index, picture in enumerate(pictures))
        first = next(iterator, None)
        if first is None:
            raise UsageError("a source in memory needs at least one picture")
        self._pictures = itertools.chain([first], iterator)
        count = len(pictures) if isinstance(pictures, Sized) else None
        self.info = pictures_info(name, first, self._rate, count, codec="rawvideo", container="memory")

    def _frame(self, picture: Frame | Tensor | np.ndarray[Any, Any], index: int) -> Frame:
        if isinstance(picture, Frame):
            return picture
        pixels = picture if isinstance(picture, Tensor) else torch.from_numpy(picture).permute(2, 0, 1)
        return Frame(pixels, index, 1 / self._rate, 1, index)

    def frames(self, span: Span = Span()) -> Iterator[Frame]:  # noqa: B008 - frozen
        """Yield the frames from `span.start` to before `span.end`, in seconds from the first."""
        origin = self.info.start or Fraction(0)
        for frame in self._pictures:
            time = frame.pts * frame.time_base - origin
            if span.end is not None and time >= span.end:
                return
            if time >= span.start:
                yield frame


class MemorySink:
    """Collects the frames written to it in `frames`."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.warnings: list[str] = []
        self.committed = False
        """True once the sink was left without an error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.committed = kind is None

    def write(self, frame: Frame) -> None:
        """Keep `frame` itself; its pixels are not copied."""
        self.frames.append(frame)
