"""Threads between the stages of a render: decode ahead, encode behind, drop what comes too late.

Each is a context manager: enter it after what it reads from or writes to, so that it is left before, and no thread
outlives its `with`. Each holds a bounded number of items. An exception in the thread is raised again in the caller.
Whoever waits for a queue looks at `interrupt` meanwhile, and raises KeyboardInterrupt where a stop was asked for.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

from videostyle import interrupt
from videostyle.interrupt import POLL
from videostyle.types import Frame, Sink

T = TypeVar("T")


class Prefetch(Generic[T]):
    """Reads an iterable in a thread and hands its items on in order. Made by `prefetch` and `latest`."""

    def __init__(self, iterable: Iterable[T], depth: int, *, drop: bool) -> None:
        if depth < 1:
            raise ValueError(f"depth must be at least 1, got {depth}")
        self.dropped = 0
        """Items thrown away because newer ones came before anyone asked."""
        self._iterable = iterable
        self._depth = depth
        self._drop = drop
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._left = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        # Daemon: a second Ctrl-C while a read hangs in native code still ends the program.
        self._thread = threading.Thread(target=self._produce, name="videostyle-prefetch", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._left = True
            self._changed.notify_all()
        if self._thread is not None:
            while self._thread.is_alive():
                self._thread.join(POLL)
        self._items.clear()

    def __iter__(self) -> Iterator[T]:
        return self

    def wait(self, seconds: float) -> bool:
        """True as soon as the next item, or the end, is there; False where `seconds` pass before."""
        interrupt.check()
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._items) or self._ended, seconds)

    def __next__(self) -> T:
        with self._changed:
            if self._thread is None or self._left:
                raise RuntimeError("a prefetched iterable is read inside its with block")
            interrupt.check()
            while not self._items and not self._ended:
                self._changed.wait(POLL)
                interrupt.check()
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration

    def _produce(self) -> None:
        iterator: Iterator[T] | None = None
        try:
            iterator = iter(self._iterable)
            for item in iterator:
                if not self._put(item):
                    break
        except BaseException as error:
            self._error = error
        finally:
            try:
                close = getattr(iterator, "close", None)
                if close is not None:  # a generator runs its own clean-up in the thread that ran it
                    close()
            except BaseException as error:
                self._error = self._error or error
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, item: T) -> bool:
        """False when the reader has left."""
        with self._changed:
            if self._drop and len(self._items) >= self._depth:
                self._items.popleft()
                self.dropped += 1
            while len(self._items) >= self._depth and not self._left:
                self._changed.wait(POLL)
            if self._left:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True


def prefetch(iterable: Iterable[T], depth: int) -> Prefetch[T]:
    """Read `iterable` in a thread, at most `depth` items ahead.

    The items that came before a failure are handed on first, then its exception is raised. Leaving early stops the
    thread after the item it is reading and closes the iterable if it is a generator. What the thread itself holds
    counts too: `depth` items wait and one more is in its hands.
    """
    return Prefetch(iterable, depth, drop=False)


def latest(iterable: Iterable[T]) -> Prefetch[T]:
    """Read `iterable` in a thread and hand on the newest item, dropping those it overtakes. For live sources."""
    return Prefetch(iterable, 1, drop=True)


class Background:
    """Writes frames to a sink in a thread. Itself a sink. Made by `background`."""

    def __init__(self, sink: Sink, depth: int, *, patient: bool = False) -> None:
        if depth < 1:
            raise ValueError(f"depth must be at least 1, got {depth}")
        self._sink = sink
        self._depth = depth
        self._patient = patient
        self._items: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._finish = False
        self._abort = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    @property
    def warnings(self) -> list[str]:
        """The sink's own."""
        return self._sink.warnings

    def __enter__(self) -> Self:
        self._sink.__enter__()
        self._thread = threading.Thread(target=self._consume, name="videostyle-background", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # no memory for one more
            self._sink.__exit__(RuntimeError, error, error.__traceback__)
            raise
        return self

    def write(self, frame: Frame) -> None:
        """Queue a frame; waits while `depth` of them are queued. Raises what the sink raised on an earlier one."""
        with self._changed:
            if self._thread is None or self._finish or self._abort:
                raise RuntimeError("a background sink is written to inside its with block")
            while len(self._items) >= self._depth and self._error is None:
                self._changed.wait(POLL)
                self._check()
            if self._error is not None:
                raise self._error
            self._items.append(frame)
            self._changed.notify_all()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self._stop(abort=False)
            except BaseException as interruption:  # a stop is asked for while the last frames are encoded
                self._stop(abort=True)
                self._sink.__exit__(type(interruption), interruption, interruption.__traceback__)
                raise
            if self._error is None:
                self._sink.__exit__(None, None, None)
                return
            failure = self._error
            self._sink.__exit__(type(failure), failure, failure.__traceback__)
            raise failure
        self._stop(abort=True)
        self._sink.__exit__(kind, error, trace)

    def _stop(self, *, abort: bool) -> None:
        with self._changed:
            self._finish = True
            self._abort = self._abort or abort
            self._changed.notify_all()
        if self._thread is not None:
            while self._thread.is_alive():
                self._thread.join(POLL)
                if not abort:
                    self._check()

    def _check(self) -> None:
        if not self._patient:
            interrupt.check()

    def _consume(self) -> None:
        try:
            while (frame := self._take()) is not None:
                self._sink.write(frame)
        except BaseException as error:
            with self._changed:
                self._error = error
                self._items.clear()
                self._changed.notify_all()

    def _take(self) -> Frame | None:
        """The next frame; None when there is nothing more to do."""
        with self._changed:
            while not self._items and not self._finish and not self._abort:
                self._changed.wait(POLL)
            if self._abort or not self._items:
                return None
            frame = self._items.popleft()
            self._changed.notify_all()
            return frame


def background(sink: Sink, depth: int, *, patient: bool = False) -> Background:
    """Write to `sink` in a thread, at most `depth` frames behind.

    Left normally: writes what is queued, then lets the sink commit. Left by an exception, the caller's or the
    sink's own: drops what is queued and hands the exception to the sink, which discards. The sink is entered and left
    in the caller's thread. A request to stop is such an exception, unless the writer is `patient`: then what is queued
    is written all the same.
    """
    return Background(sink, depth, patient=patient)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int | None:
    """Bytes that this process may still take, of the machine's or of its container's; None where nobody says."""
    found = []
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found.append(1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]))
    with suppress(OSError, ValueError):  # a limit of "max" is none
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        cached = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
        used = int((group / "memory.current").read_text(encoding="ascii")) - int(cached.get("inactive_file", 0))
        found.append(max(limit - used, 0))
    return min(found, default=None)


def silence_ffmpeg() -> None:
    """Take out PyAV's log callback, which some releases of torchvision install when they are imported.

    The callback waits for Python's lock. A decoder's thread that logs while Python, holding the lock, frees the decoder
    would wait for ever, and so would the program.
    """
    av = sys.modules.get("av")
    if av is not None and av.logging.get_level() is not None:
        av.logging.set_level(None)
