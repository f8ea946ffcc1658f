"""Threads between the stages of a render: decode ahead, encode behind, drop frames that come too late.

Each is a context manager: enter it after the object that it reads from or writes to, so that it is left before, and no
thread outlives its `with`. Each holds a bounded number of items. An exception in the thread is raised again in the
caller. A thread that waits for a queue checks `interrupt` meanwhile, and raises KeyboardInterrupt after a stop request.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

from videostyle import interrupt
from videostyle.interrupt import POLL
from videostyle.types import Frame, Sink

T = TypeVar("T")


class Prefetch(Generic[T]):
    """Reads an iterable in a thread and yields its items in order. Made by `prefetch` and `latest`."""

    def __init__(self, iterable: Iterable[T], depth: int, *, drop: bool) -> None:
        if depth < 1:
            raise ValueError(f"depth must be at least 1, got {depth}")
        self.dropped = 0
        """Number of items discarded because newer ones came before they were read."""
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
        """Return True as soon as the next item or the end is there; False if `seconds` pass before."""
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
                if close is not None:  # a generator runs its clean-up in the thread that ran it
                    close()
            except BaseException as error:
                self._error = self._error or error
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, item: T) -> bool:
        """Queue an item; return False when the reader has left."""
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

    The items read before a failure are yielded first, then its exception is raised. Leaving early stops the thread
    after the item it is reading and closes the iterable if it is a generator. Up to `depth` + 1 items are in memory:
    `depth` in the queue, and the one that the thread holds.
    """
    return Prefetch(iterable, depth, drop=False)


def latest(iterable: Iterable[T]) -> Prefetch[T]:
    """Read `iterable` in a thread and yield the newest item only, for live sources; older ones are dropped."""
    return Prefetch(iterable, 1, drop=True)


class Background:
    """Writes frames to a sink in a thread, and is a sink itself. Made by `background`."""

    def __init__(self, sink: Sink, depth: int, *, drain_on_stop: bool = False) -> None:
        if depth < 1:
            raise ValueError(f"depth must be at least 1, got {depth}")
        self._sink = sink
        self._depth = depth
        self._drain_on_stop = drain_on_stop
        self._items: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._finish = False
        self._abort = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    @property
    def warnings(self) -> list[str]:
        """Warnings of the sink."""
        return self._sink.warnings

    def __enter__(self) -> Self:
        self._sink.__enter__()
        self._thread = threading.Thread(target=self._consume, name="videostyle-background", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # no memory for another thread
            self._sink.__exit__(RuntimeError, error, error.__traceback__)
            raise
        return self

    def write(self, frame: Frame) -> None:
        """Queue a frame; wait while `depth` frames are queued. Raises the sink's exception on an earlier frame."""
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
            except BaseException as interruption:  # a stop request while the last frames are encoded
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
        if not self._drain_on_stop:
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
        """Return the next frame; None when there is nothing more to do."""
        with self._changed:
            while not self._items and not self._finish and not self._abort:
                self._changed.wait(POLL)
            if self._abort or not self._items:
                return None
            frame = self._items.popleft()
            self._changed.notify_all()
            return frame


def background(sink: Sink, depth: int, *, drain_on_stop: bool = False) -> Background:
    """Write to `sink` in a thread, at most `depth` frames behind.

    Left normally, it writes the queued frames, then lets the sink commit. Left by an exception, the caller's or the
    sink's own, it drops the queued frames and passes the exception to the sink, which discards. The sink is entered and
    left in the caller's thread. A stop request counts as such an exception, unless `drain_on_stop` is true: then the
    queued frames are written first.
    """
    return Background(sink, depth, drain_on_stop=drain_on_stop)


def cores() -> int:
    """Count the CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int | None:
    """Return the free memory in bytes, of the machine or of its container; None where the system does not say."""
    found = []
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found.append(1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]))
    with suppress(OSError, ValueError):  # "max" means no limit
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        cached = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
        used = int((group / "memory.current").read_text(encoding="ascii")) - int(cached.get("inactive_file", 0))
        found.append(max(limit - used, 0))
    return min(found, default=None)


def silence_ffmpeg() -> None:
    """Remove PyAV's log callback, which some releases of torchvision install when they are imported.

    The callback waits for Python's global lock. A decoder thread that logs while Python holds the lock and frees the
    decoder would wait for ever, and so would the program.
    """
    av = sys.modules.get("av")
    if av is not None and av.logging.get_level() is not None:
        av.logging.set_level(None)


@contextmanager
def ordinary_priority() -> Iterator[None]:
    """Restore the thread's scheduling after the block.

    Run as root, SVT-AV1 gives the thread that opens it real-time priority, which blocks all others.
    """
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    yield
    if os.sched_getscheduler(0) != policy:
        os.sched_setscheduler(0, policy, parameters)
