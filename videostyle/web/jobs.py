"""Who works when: one job at a time, each somebody's, and nobody ends another's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from videostyle.errors import UsageError

visitor: ContextVar[str] = ContextVar("visitor", default="")
"""Whose request is being answered: the name that the page gave itself when it was loaded."""

OnWait = Callable[[int, float], None]
"""Called while a job waits: how many are before it, and the seconds that it has waited."""

# Nobody's click is worth more places than these.
_PLACES, _PLACES_EACH = 16, 4
_TELL = 0.5


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """Somebody pressed Stop, or has left, or the server ends."""


class Job:
    """A place in the line, and then the work."""

    def __init__(self, owner: str, stays: bool) -> None:
        self.owner = owner
        self.stays = stays
        """True where it goes on when its owner has left."""
        self.is_left = False
        """True where it ends because its owner has left: nobody wants what it has made so far."""
        self._stop = threading.Event()

    def end(self) -> None:
        """Ask it to end: its next `check` raises."""
        self._stop.set()

    def is_ended(self) -> bool:
        """Whether it was asked to end."""
        return self._stop.is_set()

    def check(self) -> None:
        """Raise Stopped once the job is to end."""
        if self._stop.is_set():
            raise Stopped


class Desk:
    """One work at a time, in the order of asking: painting and learning take the whole machine."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._line: list[Job] = []
        """The job at work first, then those that wait."""
        self._closed = False

    @contextmanager
    def work(self, on_wait: OnWait = lambda before, seconds: None, *, stays: bool = False) -> Iterator[Job]:
        """Wait for the work before, then do the visitor's: what is yielded has `check`, which raises Stopped.

        Raises Stopped where it is to end while it waits, UsageError where too much waits already.
        """
        job = Job(visitor.get(), stays)
        with self._changed:
            if len(self._line) >= _PLACES or sum(one.owner == job.owner for one in self._line) >= _PLACES_EACH:
                raise UsageError("too much is waiting to be painted already; try again in a minute")
            if self._closed:
                job.end()
            self._line.append(job)
        try:
            self._wait(job, on_wait)
            job.check()
            yield job
        finally:
            with self._changed:
                self._line.remove(job)
                self._changed.notify_all()

    def _wait(self, job: Job, on_wait: OnWait) -> None:
        began = time.monotonic()
        while before := self._before(job):
            job.check()
            on_wait(before, time.monotonic() - began)
            with self._changed:
                # Told of anybody's end, and of one's own.
                if self._line.index(job) == before:
                    self._changed.wait(_TELL)

    def _before(self, job: Job) -> int:
        with self._changed:
            return self._line.index(job)

    def stop(self) -> None:
        """End what the visitor has asked for, at work or waiting, and nobody else's."""
        self._end(lambda job: job.owner == visitor.get())

    def leave(self, owner: str) -> None:
        """End what a visitor who has gone has asked for, unless it was to stay."""
        with self._changed:
            for job in self._line:
                job.is_left = job.is_left or (job.owner == owner and not job.stays)
        self._end(lambda job: job.owner == owner and not job.stays)

    def _end(self, meant: Callable[[Job], bool]) -> None:
        with self._changed:
            for job in self._line:
                if meant(job):
                    job.end()
            self._changed.notify_all()

    def is_busy(self, owner: str) -> bool:
        """Whether a visitor has anything at work or waiting."""
        with self._changed:
            return any(job.owner == owner for job in self._line)

    def close(self) -> None:
        """End everything, let nothing begin, and wait until it is gone, but not for ever."""
        self._closed = True
        self._end(lambda job: True)
        with self._changed:
            self._changed.wait_for(lambda: not self._line, 30)
