"""Job queue of the page: one job at a time, each owned by a visitor, who can stop only their own jobs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from videostyle.errors import UsageError
from videostyle.plan import RenderPlan
from videostyle.progress import OnProgress, Progress, ignore

visitor: ContextVar[str] = ContextVar("visitor", default="")
"""Visitor whose request is being answered: the session name that the page chose when it was loaded."""

# Jobs in the queue at most, of all visitors and of one.
_MOST_JOBS, _MOST_JOBS_EACH = 16, 4
# Seconds between two calls of a waiting job's `on_progress`.
_WAIT = 0.5


class Stopped(Exception):  # noqa: N818 - no error
    """The visitor pressed Stop or has left, or the server ends."""


class Superseded(Stopped):
    """The visitor wants another excerpt by now."""


class Job:
    """One job of a visitor, waiting or running."""

    def __init__(self, owner: str, stays: bool) -> None:
        self.owner = owner
        self.stays = stays
        """True if the job goes on when its owner has left."""
        self.is_left = False
        """True if the job ends because its owner has left: its unfinished output is of no use."""
        self.excerpt: RenderPlan | None = None
        """Plan of the excerpt that the job renders; None for other jobs."""
        self.is_superseded = False
        """True if the job ends because its owner wants another excerpt by now."""
        self._stop = threading.Event()

    def end(self) -> None:
        """Ask the job to end: its next `check` raises Stopped."""
        self._stop.set()

    def is_ended(self) -> bool:
        """Return True if the job was asked to end."""
        return self._stop.is_set()

    def check(self) -> None:
        """Raise Stopped if the job was asked to end."""
        if self._stop.is_set():
            raise Superseded if self.is_superseded else Stopped


class JobQueue:
    """Runs one job at a time, in the order of requests, because rendering and learning take the whole machine."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jobs: list[Job] = []
        """The running job first, then the waiting ones."""
        self._closed = False

    @contextmanager
    def run(
        self, on_progress: OnProgress = ignore, *, stays: bool = False, excerpt: RenderPlan | None = None
    ) -> Iterator[Job]:
        """Wait for the jobs before, then run the visitor's in the block; its `check` raises Stopped.

        `on_progress` is called while it waits, with the number of jobs before it as the latest result.
        Raises Stopped if it is asked to end while it waits, and Superseded where that is because of `supersede`;
        UsageError if too many jobs wait already.
        """
        job = Job(visitor.get(), stays)
        job.excerpt = excerpt
        with self._changed:
            if len(self._jobs) >= _MOST_JOBS or sum(one.owner == job.owner for one in self._jobs) >= _MOST_JOBS_EACH:
                raise UsageError("too much is waiting to be painted already; try again in a minute")
            if self._closed:
                job.end()
            self._jobs.append(job)
        try:
            self._wait(job, on_progress)
            job.check()
            yield job
        except KeyboardInterrupt:
            job.check()
            raise
        finally:
            with self._changed:
                self._jobs.remove(job)
                self._changed.notify_all()

    def _wait(self, job: Job, on_progress: OnProgress) -> None:
        began = time.monotonic()
        while before := self._before(job):
            job.check()
            jobs = "1 job is" if before == 1 else f"{before} jobs are"
            stage = f"waiting for {time.monotonic() - began:.0f} s: {jobs} before this one"
            on_progress(Progress(stage, total=None, latest=before))
            with self._changed:
                # Notified when any job ends, and when this one is asked to end.
                if self._jobs.index(job) == before:
                    self._changed.wait(_WAIT)

    def _before(self, job: Job) -> int:
        with self._changed:
            return self._jobs.index(job)

    def stop(self) -> None:
        """End the jobs of the visitor whose request this is, running or waiting, and no others."""
        self._end(lambda job: job.owner == visitor.get())

    def supersede(self, plan: RenderPlan) -> None:
        """End the excerpts, running or waiting, that the visitor whose request this is has replaced by `plan`."""
        with self._changed:
            old = [job for job in self._jobs if job.owner == visitor.get() and job.excerpt and job.excerpt != plan]
            for job in old:
                job.is_superseded = True
        self._end(lambda job: job in old)

    def leave(self, owner: str) -> None:
        """End the jobs of a visitor who has left, except those that stay."""
        with self._changed:
            for job in self._jobs:
                job.is_left = job.is_left or (job.owner == owner and not job.stays)
        self._end(lambda job: job.owner == owner and not job.stays)

    def _end(self, is_meant: Callable[[Job], bool]) -> None:
        with self._changed:
            for job in self._jobs:
                if is_meant(job):
                    job.end()
            self._changed.notify_all()

    def is_busy(self, owner: str) -> bool:
        """Return True if a visitor has a job, running or waiting."""
        with self._changed:
            return any(job.owner == owner for job in self._jobs)

    def close(self) -> None:
        """End all jobs, let none begin, and wait up to 30 seconds until they are gone."""
        self._closed = True
        self._end(lambda job: True)
        with self._changed:
            self._changed.wait_for(lambda: not self._jobs, 30)
