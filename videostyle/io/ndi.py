"""A source on the network by NDI: OBS, vMix, Resolve and other programs show the stylized frames."""

from __future__ import annotations

from fractions import Fraction
from types import TracebackType
from typing import Self

import numpy as np

from videostyle.errors import MissingDependencyError, SinkError, UsageError
from videostyle.text import sanitize_line
from videostyle.types import Frame

LONGEST_NAME = 100
"""Characters of a source's name; NDI takes 253 bytes with the computer's name."""


class NdiSource:
    """Sends each frame that is written to it to all who ask for it on the network, by cyndilib."""

    def __init__(self, size: tuple[int, int], fps: float, name: str = "") -> None:
        """Announce a source of frames of `size` (width, height); others see it as COMPUTER (NAME).

        Raises UsageError for a name that NDI does not take, MissingDependencyError without cyndilib, SinkError.
        """
        name = name or "videostyle"
        if sanitize_line(name, LONGEST_NAME) != name or "(" in name or ")" in name:
            raise UsageError(
                f"an NDI source's name has up to {LONGEST_NAME} characters, without brackets; not {name!r}"
            )
        try:
            from cyndilib import FourCC, Sender, VideoSendFrame
        except ImportError as error:
            raise MissingDependencyError("an NDI source needs cyndilib: pip install cyndilib") from error
        frame = VideoSendFrame()
        frame.set_resolution(*size)
        frame.set_frame_rate(Fraction(fps).limit_denominator(1001))
        frame.set_fourcc(FourCC.RGBX)
        # The camera sets the pace.
        self._sender = Sender(name, clock_video=False)
        self._sender.set_video_frame(frame)
        self._pixels = np.full((size[1], size[0], 4), 255, np.uint8)
        try:
            self._sender.open()
        except (RuntimeError, OSError, MemoryError) as error:
            raise SinkError(f"NDI cannot announce {name!r}: {error}") from error
        self.device: str = self._sender.name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sender.close()

    def write(self, frame: Frame) -> None:
        """Send `frame`; receivers that are too slow for it miss it."""
        self._pixels[..., :3] = frame.pixels.permute(1, 2, 0).numpy()
        self._sender.write_video_async(self._pixels.reshape(-1))
