"""Stills: one frame of an upload as a JPEG, as it is or painted, in a process that keeps network and frame."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor

from videostyle.io import open_source
from videostyle.ops.pixels import resize, to_float, to_pixels
from videostyle.painter import StylizedFrames, still_plan
from videostyle.partial_files import atomic_write
from videostyle.pipeline import fit
from videostyle.plan import RenderPlan
from videostyle.timeline import Span
from videostyle.types import Frame

_KEPT = 200_000_000
"""Bytes of decoded frames that are kept."""
_QUALITY = 88
_THUMBNAIL = 180
"""Short side of a thumbnail, in pixels."""


@dataclass(frozen=True, slots=True)
class Still:
    """One frame, painted by `plan`, or as it is."""

    path: str
    at: float
    """Seconds from the first frame; beyond the end it is the last."""
    lines: int
    """Most pixels of the short side."""
    plan: RenderPlan | None = None


class _Frames:
    """Decoded frames, the last used last, bounded by their bytes."""

    def __init__(self) -> None:
        self._frames: OrderedDict[tuple[Any, ...], Frame] = OrderedDict()

    def get(self, path: str, at: float, lines: int) -> Frame:
        """Return the frame at a time, reduced to `lines`; raises SourceError."""
        changed = Path(path).stat().st_mtime_ns
        key = (path, changed, round(at, 3), lines)
        if key in self._frames:
            self._frames.move_to_end(key)
        else:
            self._frames[key] = _decode(path, at, lines)
            while len(self._frames) > 1 and sum(one.pixels.nbytes for one in self._frames.values()) > _KEPT:
                self._frames.popitem(last=False)
        return self._frames[key]


_frames = _Frames()


def _decode(path: str, at: float, lines: int) -> Frame:
    with open_source(path) as source:
        info = source.info
        if info.duration:
            rate = info.average_rate or Fraction(25)
            at = max(min(at, float(info.duration - Fraction(3, 2) / rate)), 0.0)
        start = Fraction(round(at * 1000), 1000)
        frame = next(iter(source.frames(Span(start))), None)
        if frame is None:
            with open_source(path) as again:
                frame, start = next(iter(again.frames(Span()))), Fraction(0)
    pixels = frame.pixels
    height, width = pixels.shape[1:]
    if min(height, width) > lines:
        wide, tall = fit(str(lines), width, height)
        pixels = to_pixels(resize(to_float(pixels), (tall, wide)), pixels.dtype)[0]
    # The time in the film decides which mask and which key of a timeline apply.
    return Frame(pixels, round(start * 1000), Fraction(1, 1000))


def still(task: Still) -> dict[str, Any]:
    """Return a frame as a JPEG, with its width and height; raises SourceError, UsageError, WeightsError."""
    frame = _frames.get(task.path, task.at, task.lines)
    if task.plan is not None:
        height, width = frame.pixels.shape[1:]
        plan = task.plan
        if plan.size is not None and min(fit(plan.size, width, height)) >= min(width, height):
            plan = replace(plan, size=None)
        frame = next(StylizedFrames([frame], still_plan(plan)))
    height, width = frame.pixels.shape[1:]
    return {"jpeg": as_jpeg(frame.pixels), "width": width, "height": height}


def as_jpeg(pixels: Tensor) -> bytes:
    """Encode a (3 or 4, H, W) picture of 8 or 16 bits as a JPEG."""
    shown = pixels[:3]
    if shown.dtype != torch.uint8:
        shown = (shown.to(torch.int32) >> 8).to(torch.uint8)
    bgr = shown[[2, 1, 0]].permute(1, 2, 0).contiguous().numpy()
    encoded: bytes = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
    return encoded


def write_thumbnail(pixels: Tensor, target: Path) -> None:
    """Write a small copy of a picture; raises SinkError."""
    height, width = pixels.shape[1:]
    if min(height, width) > _THUMBNAIL:
        wide, tall = fit(str(_THUMBNAIL), width, height)
        pixels = to_pixels(resize(to_float(pixels), (tall, wide)))[0]
    atomic_write(target, as_jpeg(pixels), sync=False)


def write_thumbnail_of(path: Path, target: Path, share: float = 0.0) -> None:
    """Write a small copy of a frame of a file, at this share of its length; raises SourceError, SinkError."""
    at = share * float(open_source(str(path)).info.duration or 0) if share else 0.0
    write_thumbnail(_decode(str(path), at, _THUMBNAIL).pixels, target)
