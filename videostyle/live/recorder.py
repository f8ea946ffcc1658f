"""Recordings and snapshots of live output, under names of their own."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import torch

from videostyle.errors import VideostyleError
from videostyle.io import open_sink
from videostyle.io.camera import TICK
from videostyle.io.info import pictures_info
from videostyle.plan import EncodeOptions
from videostyle.threads import Background, background
from videostyle.types import Frame, Sink, VideoInfo

log = logging.getLogger(__name__)

# Frames that may wait for the encoder.
DEPTH = 8


class Recorder:
    """Records on request, with the frames' own times; each recording begins at 0.

    However it ends, a recording is closed and takes its final name: unlike a render, it is complete at any length.
    """

    def __init__(
        self,
        path: str | None,
        source: str,
        size: tuple[int, int],
        fps: float,
        encode: EncodeOptions,
    ) -> None:
        """Open the first recording at `path`, None for a name with the current time; it must not overwrite `source`.

        Frames are of `size` (width, height). Raises UsageError and SinkError for a path that cannot be written to.
        """
        self.files: list[str] = []
        """Paths of complete recordings."""
        self.snapshots: list[str] = []
        self.warnings: list[str] = []
        self._rate = Fraction(fps).limit_denominator(1001)
        blank = Frame(torch.zeros(3, size[1], size[0], dtype=torch.uint8), 0, TICK)
        self._info: VideoInfo = pictures_info(source, blank, self._rate, None, codec="", container="")
        self._encode = encode
        self._path = path or f"live-{datetime.now():%Y%m%d-%H%M%S}.mp4"
        # Errors of the path are reported before the first frame.
        self._first: Sink | None = self._made(self._path, encode)
        self._sink: Background | None = None
        self._recording = ""
        self._origin = 0

    def __call__(self, frame: Frame, record: bool) -> None:
        """Write a frame if `record`; begin or end a recording when that changes."""
        if not record:
            self.close()
            return
        if self._sink is None:
            self._begin(frame)
        assert self._sink is not None
        self._sink.write(replace(frame, pts=frame.pts - self._origin))

    def close(self) -> None:
        """End the recording, if there is one. Raises SinkError if it could not be written."""
        sink, self._sink = self._sink, None
        if sink is None:
            return
        try:
            sink.__exit__(None, None, None)
        finally:
            self.warnings += [line for line in sink.warnings if line not in self.warnings]
        self.files.append(self._recording)
        log.info(f"recorded {self._recording}")

    def snapshot(self, frame: Frame) -> None:
        """Write one picture; a failure is reported, and rendering goes on."""
        path = _free(str(Path(self._path).with_suffix(".png")))
        try:
            with open_sink(path, self._info) as sink:
                sink.write(frame)
        except VideostyleError as error:
            log.warning(f"no snapshot: {error}")
            return
        self.snapshots.append(path)
        log.info(f"snapshot {path}")

    def _begin(self, frame: Frame) -> None:
        self._recording = self._path
        sink, self._first = self._first, None
        if sink is None:
            self._recording = _free(self._path)
            sink = self._made(self._recording, replace(self._encode, overwrite=False))
        # A file that another run is writing raises here: it is not entered, so it is not closed.
        self._sink = background(sink, DEPTH, drain_on_stop=True).__enter__()
        self._origin = frame.pts
        log.info(f"recording {self._recording}")

    def _made(self, path: str, encode: EncodeOptions) -> Sink:
        return open_sink(path, self._info, encode, average_rate=self._rate)


def _free(path: str) -> str:
    """Return the path, or the first of path-2, path-3... that does not exist."""
    found, number = Path(path), 1
    while found.exists():
        number += 1
        found = Path(path).with_stem(f"{Path(path).stem}-{number}")
    return str(found)
