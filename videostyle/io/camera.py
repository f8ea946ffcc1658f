"""Live sources: a camera, a network stream, or a film that is played at its own speed like one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

import av
import cv2
import numpy as np
import torch
from av.container import InputContainer
from torch import Tensor

from videostyle import interrupt
from videostyle.errors import SourceError
from videostyle.io.colors import UPRIGHT, ToTensor, orientation_of
from videostyle.io.devices import is_device, known_to_pyav, open_device, open_url, problem
from videostyle.io.info import film_stream, open_container, pictures_info
from videostyle.io.pyav import fraction, time_base_of
from videostyle.io.reader import deinterlaced
from videostyle.timeline import Span
from videostyle.types import Frame, VideoInfo

log = logging.getLogger(__name__)

# Tick of a camera's clock, as in MPEG.
TICK = Fraction(1, 90_000)
# Seconds without a picture after which a camera counts as hanging; and seconds without a stream before giving up.
STALL, PATIENCE = 5.0, 60.0
# Waits between attempts to open a lost stream: each twice the one before, from the first to the last of these.
FIRST_WAIT, LONGEST_WAIT = 0.5, 8.0
# A film that is later than this many seconds, after sleep or on a slow machine, is delayed instead of skipping frames.
LONGEST_SKIP = 1.0
_DAMAGED_IN_A_ROW = 64

_Picture = av.VideoFrame | np.ndarray[Any, Any]
"""A decoded picture; an array is OpenCV's, (H, W, 3) BGR."""


# More than 200 lines: one object has the state that the caller's thread and the reader's share: clock, counts, size.
class CameraSource:
    """Yields the newest picture each time; pictures that are overtaken by newer ones are counted as `dropped`.

    A thread of its own reads and decodes, so that a hanging device does not block the caller. Times are real: `pts`
    counts from `started`. A film's frames come with the intervals they have in the film.
    """

    is_live = True

    def __init__(
        self,
        name: str,
        *,
        wish: tuple[int, int] = (640, 360),
        rate: float = 24,
        loop: bool = False,
        stall: float = STALL,
        patience: float = PATIENCE,
    ) -> None:
        """Open the camera and wait for its first picture; `name` is a number or a device, a URL, or a film's path.

        Devices are requested to send pictures of about `wish` (width, height) at `rate` frames per second; a film
        starts again at its end with `loop`. After `stall` seconds without a picture a camera counts as hanging; a lost
        stream is reopened for `patience` seconds, which is logged. Raises SourceError where no
        picture comes.
        """
        self.warnings: list[str] = []
        self.dropped = 0
        """Number of pictures that were overtaken by newer ones."""
        self.captured = 0
        """Number of pictures that came, dropped ones included."""
        self.started = time.monotonic()
        """Zero of the camera's clock, by `time.monotonic`."""
        self._name = name
        self._wish = wish
        self._rate = rate
        self._loop = loop
        self._stall = stall
        self._patience = patience
        self._is_url = "://" in name
        self._is_film = not self._is_url and not is_device(name)
        self._left = threading.Event()
        self._orientation = UPRIGHT
        self._size: tuple[int, int] | None = None
        self._to_tensor: ToTensor | None = None
        self._converts_to = (0, 0)
        self._reader: _Reader | None = self._read()
        try:
            first = self._reader.newest(self._stall + 5)  # opening takes a while
        except BaseException:
            self._leave()
            raise
        if first is None:
            raise SourceError(f"{name}: no picture can be read from it; check that it is the right one")
        self.info: VideoInfo = pictures_info(
            name,
            Frame(first[0], 0, TICK),
            Fraction(rate).limit_denominator(1001),
            None,
            codec=self._reader.codec,
            container=self._reader.container,
        )
        if self._reader.rate is not None:
            self.info = replace(self.info, average_rate=self._reader.rate)
        if self._is_film:  # it begins with the call of `frames`
            self._leave()

    def scale(self, width: int, height: int) -> None:
        """Scale the pictures of `frames` to this size, in the same step as their colour conversion."""
        self._size = (height, width) if self._orientation.transpose else (width, height)
        self.info = replace(self.info, width=width, height=height)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._leave()

    def stop(self) -> None:
        """End `frames` soon, even while it waits; may be called from any thread."""
        self._left.set()
        if self._reader is not None:
            self._reader.left.set()
            self._reader.wake()

    def frames(self, span: Span = Span()) -> Iterator[Frame]:  # noqa: B008 - frozen
        """Yield the newest picture each time, to the end of a film, and to `span.end` seconds of real time.

        Raises SourceError where the camera was unplugged or hangs, and where a lost stream does not come back.
        """
        self.started = time.monotonic()
        self.captured = self.dropped = 0
        last = -1
        index = 0
        for pixels, at in self._arrivals():
            pts = max(round((at - self.started) / TICK), last + 1)
            if at < self.started or pts * TICK < span.start:
                continue
            if span.end is not None and pts * TICK >= span.end:
                return
            yield Frame(pixels, pts, TICK, None, index)
            last = pts
            index += 1

    def _arrivals(self) -> Iterator[tuple[Tensor, float]]:
        """Yield pictures with their arrival times; a lost network stream is reopened, less and less often."""
        lost: float | None = None
        wait = FIRST_WAIT
        while not self._left.is_set():
            try:
                if self._reader is None:
                    self._reader = self._read()
                # A film may show one picture for long.
                found = self._reader.newest(None if self._is_film else self._stall)
                if found is None and (self._is_film or self._reader.ends):
                    return
                if found is None:
                    raise SourceError(f"{self._name}: the stream ended")
                yield found
                lost, wait = None, FIRST_WAIT
            except SourceError as error:
                self._leave()
                if not self._is_url:
                    raise
                lost = lost or time.monotonic()
                if time.monotonic() - lost > self._patience:
                    raise SourceError(f"{error}; reconnecting failed for {self._patience:g} s") from error
                log.warning(f"{error}; trying again in {wait:g} s")
                self._left.wait(wait)
                wait = min(2 * wait, LONGEST_WAIT)

    def _read(self) -> _Reader:
        return _Reader(self, self._pictures)

    def _leave(self) -> None:
        if self._reader is not None:
            self._reader.leave()
            self._reader = None

    # In the reader's thread

    def pixels(self, picture: _Picture) -> Tensor:
        """Convert a picture to (3, H, W) uint8 RGB, upright, in the size set by `scale`."""
        if isinstance(picture, np.ndarray):
            if self._size is not None and picture.shape[1::-1] != self._size:
                picture = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
            return torch.from_numpy(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)).permute(2, 0, 1)
        size = self._size or (picture.width, picture.height)
        if self._to_tensor is None or self._converts_to != size:
            self._orientation, self._converts_to = orientation_of(picture), size
            self._to_tensor = ToTensor(*size, self._orientation)
        pixels = self._to_tensor(picture)[:3]
        if pixels.dtype == torch.uint16:  # 8 bits are enough for a camera
            return torch.from_numpy((pixels.permute(1, 2, 0).numpy() >> 8).astype(np.uint8)).permute(2, 0, 1)
        return pixels

    def _pictures(self, reader: _Reader) -> Iterator[tuple[_Picture, float]]:
        if is_device(self._name) and not known_to_pyav(self._name):
            yield from opencv_pictures(self._name, reader)
            return
        offset = 0.0
        while True:
            with self._opened() as container:
                stream = film_stream(container, self._name)
                reader.codec, reader.container = stream.codec_context.codec.canonical_name, container.format.name
                reader.rate = fraction(stream.average_rate)
                # A stream with a length is a film, whatever its name, and is played at its own speed.
                reader.ends = self._is_film or bool(self._is_url and container.duration)
                arrivals = _decoded(container, reader)
                if reader.ends:
                    offset = yield from self.paced(arrivals, reader, offset)
                else:
                    yield from arrivals
            if not (reader.ends and self._loop) or reader.left.is_set():
                return

    def paced(
        self, pictures: Iterator[tuple[av.VideoFrame, float]], reader: _Reader, offset: float
    ) -> Generator[tuple[av.VideoFrame, float], None, float]:
        """Yield a film's pictures at their times, from `offset` seconds of the clock on; late ones are left out.

        Returns the offset of the next play. The clock begins with the first picture, because opening takes a while.
        """
        first: Fraction | None = None
        interval, before = 0.04, offset
        for picture, _ in pictures:
            base = fraction(picture.time_base)
            if picture.pts is None or base is None:
                continue
            in_film = picture.pts * base
            if first is None:
                first = in_film
                self.started = self.started if offset else time.monotonic()
            due = offset + float(in_film - first)
            interval, before = due - before or interval, due
            late = time.monotonic() - self.started - due
            if late > LONGEST_SKIP:
                offset, due, before = offset + late, due + late, before + late
            elif late > interval:
                reader.skip()
                continue
            if reader.left.wait(max(-late, 0)):
                break
            yield picture, self.started + due
        return before + interval

    @contextmanager
    def _opened(self) -> Iterator[InputContainer]:
        if self._is_film:
            with open_container(self._name) as container:
                yield container
            return
        try:
            container = (
                open_url(self._name, self._stall) if self._is_url else open_device(self._name, self._wish, self._rate)
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            raise SourceError(f"{self._name}: {problem(self._name, error)}") from error
        try:
            yield container
        finally:
            container.close()


class _Reader:
    """Decodes one connection in a thread, and keeps the newest picture only."""

    def __init__(self, camera: CameraSource, pictures: Callable[[_Reader], Iterator[tuple[_Picture, float]]]) -> None:
        self.codec = self.container = ""
        self.rate: Fraction | None = None
        self.ends = False
        """True for a film, which has an end."""
        self.left = threading.Event()
        self._camera = camera
        self._pictures = pictures
        self._changed = threading.Condition()
        self._newest: tuple[Tensor, float] | None = None
        self._ended = False
        self._error: Exception | None = None
        # Daemon: a driver that hangs must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="videostyle-camera", daemon=True)
        self._thread.start()

    def newest(self, seconds: float | None) -> tuple[Tensor, float] | None:
        """Return a new picture and its arrival time; None at the end.

        Raises SourceError where no picture comes for `seconds`; None is no limit.
        """
        until = None if seconds is None else time.monotonic() + seconds
        with self._changed:
            while not (there := self._newest is not None or self._ended or self.left.is_set()):
                interrupt.check()
                if until is not None and time.monotonic() > until:
                    break
                self._changed.wait(interrupt.POLL)
            if self._newest is not None and not self.left.is_set():
                found, self._newest = self._newest, None
                return found
        if self._error is not None:
            raise self._error
        if not there:
            raise SourceError(f"{self._camera._name}: no picture came for {seconds:g} s; is the camera still there?")
        return None

    def skip(self) -> None:
        """Count a picture that came too late as dropped."""
        self._camera.captured += 1
        self._camera.dropped += 1

    def leave(self) -> None:
        """Stop the thread; one that hangs in a driver is abandoned."""
        self.left.set()
        self.wake()
        self._thread.join(1.0)

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _run(self) -> None:
        pictures = self._pictures(self)
        try:
            for picture, at in pictures:
                if self.left.is_set():
                    break
                pixels = self._camera.pixels(picture)
                with self._changed:
                    self._camera.captured += 1
                    self._camera.dropped += self._newest is not None
                    self._newest = pixels, at
                    self._changed.notify_all()
        except SourceError as error:
            self._error = error
        except (av.FFmpegError, OSError, ValueError) as error:
            self._error = SourceError(f"{self._camera._name}: {problem(self._camera._name, error)}")
        finally:
            pictures.close()  # type: ignore[attr-defined]  # a generator, which closes what it opened
            with self._changed:
                self._ended = True
                self._changed.notify_all()


def _decoded(container: InputContainer, reader: _Reader) -> Iterator[tuple[av.VideoFrame, float]]:
    """Yield decoded, progressive pictures, not yet upright, with the arrival times of their packets.

    Damaged packets are skipped.
    """
    stream = film_stream(container, "")
    arrival = 0.0
    # Frame threads would delay the pictures by as many frames as there are cores.
    stream.thread_type = "SLICE"

    def pictures() -> Iterator[av.VideoFrame]:
        nonlocal arrival
        damaged = 0
        for packet in container.demux(stream):
            arrival = time.monotonic()
            if reader.left.is_set():
                return
            try:
                found = packet.decode()
            except (av.FFmpegError, ValueError):
                damaged += 1
                if damaged >= _DAMAGED_IN_A_ROW:
                    raise
                continue
            damaged = 0
            yield from (picture for picture in found if isinstance(picture, av.VideoFrame))

    for picture in deinterlaced(pictures(), time_base_of(stream, TICK)):
        yield picture, arrival


def opencv_pictures(name: str, reader: _Reader) -> Iterator[tuple[_Picture, float]]:
    """Yield pictures of a camera that only OpenCV can open, with their arrival times."""
    capture = cv2.VideoCapture(int(name) if name.isdigit() else name)
    try:
        if not capture.isOpened():
            raise SourceError(f"{name}: no such camera, or another program uses it; name another with --camera")
        reader.container = capture.getBackendName()
        while not reader.left.is_set():
            there, picture = capture.read()
            if not there:
                raise SourceError(f"{name}: gives no more pictures; is it still plugged in?")
            yield picture, time.monotonic()
    finally:
        capture.release()
