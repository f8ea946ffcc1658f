"""Python API: stylizes films by their paths, and pictures and frames in memory."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from typing import Any

import cv2
import torch
from torch import Tensor

from videostyle.arrays import Restore, picture_to_pixels, pictures_to_pixels
from videostyle.engines import choose_device, choose_engine
from videostyle.errors import SourceError, UsageError
from videostyle.files import AnyPath
from videostyle.pipeline import fit, render
from videostyle.plan import FlowOptions, RenderPlan, StabilizeOptions
from videostyle.progress import OnProgress, ignore
from videostyle.report import RenderReport, StageTimer
from videostyle.settings import check_names, settings_of
from videostyle.step import FrameStylizer
from videostyle.style import AnyStyle
from videostyle.stylizers import load_stylizer, passes_through
from videostyle.types import Frame, Stylizer

_FILE_SETTINGS = ("start", "end")
FRAME_SETTINGS = [
    name for name, each in settings_of(RenderPlan).items() if each.group != "the output" and name not in _FILE_SETTINGS
]
"""Settings that apply to frames in memory, which are neither read from a file nor written to one."""


def stylize(
    source: AnyPath,
    output: AnyPath,
    style: AnyStyle = "great-wave",
    *,
    on_progress: OnProgress = ignore,
    **settings: Any,
) -> RenderReport:
    """Stylize a film, GIF, picture or image sequence: `videostyle stylize`, in Python.

    `style` is a name, names with weights to blend, `{"great-wave": 2, "scream": 1}`, a timeline of these or a whole
    `Style`. `settings` are those of the command line, by the same names: `strength=0.8`, `stabilize=0.5`,
    `start="1:20"`, `codec="hevc"`, `size="640x360"`, `mask="sky.png"`... Raises UsageError, SourceError, SinkError,
    WeightsError; no file is then left under the output's name.
    """
    return render(RenderPlan.of(source, output, style=style, **settings), on_progress=on_progress)


def stylize_image(picture: Any, style: AnyStyle = "great-wave", **settings: Any) -> Any:
    """Stylize one picture, or a batch, in memory; `Painter` is faster for more than one."""
    return Painter(style, **settings)(picture)


class Painter:
    """Stylizes pictures and frames in memory; the style network is loaded once.

        painter = videostyle.Painter("great-wave", strength=0.8)
        painted = painter(picture)
        for frame in painter.video(frames, fps=24): ...

    Pictures are NumPy arrays (H, W, 3), PIL images or tensors (3, H, W), single or as a batch, see `videostyle.arrays`;
    the output is of the same kind as the input. `settings` are those of `stylize`, without those about files and spans.
    A painter is not for several threads at a time.
    """

    def __init__(self, style: AnyStyle = "great-wave", **settings: Any) -> None:
        """Load the style network; raise UsageError, WeightsError or MissingDependencyError."""
        check_names("Painter", settings, FRAME_SETTINGS)
        self.plan = RenderPlan.of("", "", style=style, **settings)
        device = choose_device(self.plan.device, self.plan.engine)
        engine = "" if passes_through(self.plan.style) else choose_engine(self.plan.engine, device)
        self._stylizer = load_stylizer(self.plan.style, engine, device)

    def __call__(self, pictures: Any) -> Any:
        """Stylize each picture by itself, without temporal state."""
        given, restore = pictures_to_pixels(pictures)
        still = still_plan(self.plan)
        return restore([_pixels(Frame(pixels, 0, Fraction(1, 24)), still, self._stylizer) for pixels in given])

    def video(self, frames: Iterable[Any], fps: float | Fraction = 24) -> Iterator[Any]:
        """Yield the frames of one film, stylized and stabilized, one by one as they come.

        Raises UsageError for frames that are not pictures or differ in size.
        """
        rate = Fraction(fps).limit_denominator(100_000) if isinstance(fps, float) else Fraction(fps)
        if rate <= 0:
            raise UsageError(f"fps must be above 0, got {fps}")
        backs: list[Restore] = []

        def read() -> Iterator[Frame]:
            for number, one in enumerate(frames):
                pixels, restore = picture_to_pixels(one)
                backs.append(restore)
                yield Frame(pixels, number, 1 / rate, index=number)

        for frame in StylizedFrames(read(), self.plan, self._stylizer):
            yield backs.pop(0)(frame.pixels)


def paint_frames(frames: Iterable[Frame], style: AnyStyle = "great-wave", **settings: Any) -> StylizedFrames:
    """Stylize frames from any source one by one, and stabilize them like a film: for embedding in other programs.

    `frames` are in order and have the same size; `settings` are as for `Painter`. The style's times are the frames'
    own, and pictures of a mask sequence count 24 a second. Closing the iterator early ends its threads. Arrays, PIL
    images and tensors are for `Painter.video`.
    """
    check_names("paint_frames", settings, FRAME_SETTINGS)
    return StylizedFrames(frames, RenderPlan.of("", "", style=style, **settings))


class StylizedFrames(Iterator[Frame]):
    """An iterator of stylized frames as they come, with a report."""

    def __init__(self, frames: Iterable[Frame], plan: RenderPlan, stylizer: Stylizer | None = None) -> None:
        """Stylize `frames` by `plan`; `stylizer` replaces the one of the plan's style."""
        self._painter: FrameStylizer | None = None
        self._size: tuple[int, int] = (0, 0)
        self._count = 0
        self._began = time.perf_counter()
        self._frames = self._painted(iter(frames), plan, stylizer)

    def __next__(self) -> Frame:
        frame = next(self._frames)
        self._count += 1
        return frame

    def close(self) -> None:
        """End the threads; no more frames come."""
        self._frames.close()

    @property
    def report(self) -> RenderReport:
        """Report on the frames so far; raises UsageError before the first frame."""
        if self._painter is None:
            raise UsageError("there is a report once a frame was painted")
        return self._painter.report(self._count, self._size, time.perf_counter() - self._began)

    def _painted(
        self, frames: Iterator[Frame], plan: RenderPlan, stylizer: Stylizer | None
    ) -> Generator[Frame, None, None]:
        first = next(frames, None)
        if first is None:
            return
        own = _checked(first, None)
        self._size = fit(plan.size, *own)
        self._painter = FrameStylizer(
            plan, StageTimer(), size=None if self._size == own else self._size, stylizer=stylizer
        )
        before = torch.get_num_threads(), cv2.getNumThreads()
        try:
            with ExitStack() as stack:
                for frame in self._painter.outputs(_all_checked(first, frames, own), stack):
                    # The caller's own computations keep all of their threads.
                    ours = torch.get_num_threads(), cv2.getNumThreads()
                    _set_threads(before)
                    yield frame
                    _set_threads(ours)
        finally:
            _set_threads(before)


def still_plan(plan: RenderPlan) -> RenderPlan:
    """Return `plan` for frames that are stylized each by itself, without temporal state."""
    return replace(plan, stabilize=StabilizeOptions(0), flow=FlowOptions("none"))


def _set_threads(counts: tuple[int, int]) -> None:
    torch.set_num_threads(counts[0])
    cv2.setNumThreads(counts[1])


def _all_checked(first: Frame, others: Iterator[Frame], size: tuple[int, int]) -> Iterator[Frame]:
    yield first
    for frame in others:
        _checked(frame, size)
        yield frame


def _checked(frame: Frame, size: tuple[int, int] | None) -> tuple[int, int]:
    """Return a frame's width and height; raise UsageError if it is no frame, or differs from the first one's `size`."""
    if not isinstance(frame, Frame) or not isinstance(frame.pixels, Tensor):
        kind = type(frame if not isinstance(frame, Frame) else frame.pixels).__name__
        raise UsageError(
            f"frames cannot be {kind}; for arrays, images and tensors: Painter(style).video(frames, fps=24)"
        )
    own = frame.pixels.shape[2], frame.pixels.shape[1]
    if size is not None and own != size:
        raise UsageError(f"all frames have the size of the first, {size[0]}x{size[1]}; got {own[0]}x{own[1]}")
    return own


def _pixels(frame: Frame, plan: RenderPlan, stylizer: Stylizer) -> Tensor:
    """Stylize one frame, and return its pixels."""
    painted = list(StylizedFrames([frame], plan, stylizer))
    if not painted:
        raise SourceError("nothing was painted")
    return painted[0].pixels
