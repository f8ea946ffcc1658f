"""Cut detection: marks the first frame of each shot, frame by frame, with PySceneDetect's detectors."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import cv2
import numpy as np
from scenedetect import AdaptiveDetector, ContentDetector, FrameTimecode, SceneDetector
from torch import Tensor

from videostyle.types import Frame

# Detectors compare colours, not details: a width of 192 px is enough, and costs a tenth of full size.
WIDTH = 192
# Films animated on twos and threes show each drawing two or three times. Repeated frames are not compared, or every new
# drawing would look like a cut; after this many the next frame is compared in any case, so the delay stays bounded.
MOST_REPEATS = 3
# Mean difference, in steps of 255, under which a frame repeats the previous one; film grain is above it.
REPEAT = 0.5


def mark_cuts(frames: Iterable[Frame], live: bool = False) -> Iterator[Frame]:
    """Yield the same frames with `is_cut` set on the first frame of each shot, the very first included.

    The delay is one frame, and up to four where a film repeats frames: a shot starts at a frame that differs three
    times as much from the previous one as its neighbours do from theirs, so quick motion and single flashes are not
    cuts. With `live` there is no delay: a frame that differs much is a cut unless the previous one did too, and a flash
    counts as a cut. A change of size is always a cut; frames that are already marked stay marked.
    """
    finder: _Finder | None = None
    shape = None
    for frame in frames:
        if finder is None or frame.pixels.shape != shape:
            if finder is not None:
                yield from finder.flush()
            shape = frame.pixels.shape
            finder = _LiveDetector() if live else _DelayedDetector()
            frame = replace(frame, is_cut=True)
        yield from finder.add(frame)
    if finder is not None:
        yield from finder.flush()


class _DelayedDetector:
    """Compares each frame with both its neighbours."""

    def __init__(self) -> None:
        # A shot has two frames at least: the first frame has no difference with which the second's could be compared.
        self._detector = AdaptiveDetector(window_width=1, min_scene_len=2)
        self._waiting: deque[Frame] = deque()
        self._compared: np.ndarray | None = None
        self._repeats = 0
        self._count = 0

    def add(self, frame: Frame) -> Iterator[Frame]:
        picture = small_bgr(frame.pixels)
        self._waiting.append(frame)
        self._count += 1
        repeats = self._compared is not None and cv2.absdiff(picture, self._compared).mean() < REPEAT
        if repeats and self._repeats < MOST_REPEATS:
            self._repeats += 1
            return
        self._repeats = 0
        self._compared = picture
        cuts = _cuts(self._detector, self._count - 1, picture)
        # The detector has now decided about the frame before this one; it and its repeats can be yielded.
        while len(self._waiting) > 1:
            number = self._count - len(self._waiting)
            waiting = self._waiting.popleft()
            yield replace(waiting, is_cut=True) if number in cuts else waiting

    def flush(self) -> Iterator[Frame]:
        yield from self._waiting
        self._waiting.clear()


class _LiveDetector:
    """Compares each frame with the previous one, without delay."""

    def __init__(self) -> None:
        self._detector = ContentDetector(min_scene_len=0)
        self._count = 0
        self._differed = False

    def add(self, frame: Frame) -> Iterator[Frame]:
        differs = bool(_cuts(self._detector, self._count, small_bgr(frame.pixels)))
        self._count += 1
        # Quick motion differs for many frames on end; a cut at each of them would leave the whole motion to flicker.
        is_cut = differs and not self._differed
        self._differed = differs
        yield replace(frame, is_cut=True) if is_cut else frame

    def flush(self) -> Iterator[Frame]:
        return iter(())


_Finder = _DelayedDetector | _LiveDetector


def small_bgr(pixels: Tensor) -> np.ndarray:
    """Shrink frame pixels (3 or 4, H, W), uint8 or uint16, to a (h, w, 3) uint8 BGR array about 192 px wide."""
    height, width = pixels.shape[1:]
    # Rows and columns are skipped before the rest is averaged: the aliasing is small beside the difference of shots.
    step = max(width // (2 * WIDTH), 1)
    rgb = np.ascontiguousarray(pixels[:3, ::step, ::step].permute(1, 2, 0).numpy())
    if width > WIDTH:
        rgb = cv2.resize(rgb, (WIDTH, max(round(WIDTH * height / width), 1)), interpolation=cv2.INTER_AREA)
    if rgb.dtype == np.uint16:
        rgb = (rgb >> 8).astype(np.uint8)
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)


def _cuts(detector: SceneDetector, number: int, picture: np.ndarray) -> set[int]:
    # Only the frame number of the timecode is used; its constructor requires a rate.
    return {cut.frame_num for cut in detector.process_frame(FrameTimecode(number, 25.0), picture)}
