"""Sessions of the page's visitors: their jobs and shown files, which are released when they leave."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gradio as gr

from videostyle import interrupt
from videostyle.plan import RenderPlan
from videostyle.progress import OnProgress, Progress
from videostyle.web.jobs import Job, JobQueue
from videostyle.web.storage import Media, PendingOutputs


class Sessions:
    """Runs the jobs of visitors, and removes their files once they have left and their last job has ended."""

    def __init__(self, work: Path, job_queue: JobQueue) -> None:
        """Take the server's temporary folder `work`."""
        self.job_queue = job_queue
        self.media = Media(work / "media")
        self.pending = PendingOutputs(work)
        self._left: set[str] = set()
        """Visitors who have left while a job of theirs was running."""
        self._lock = threading.RLock()

    @contextmanager
    def job(self, progress: gr.Progress, stays: bool = False, excerpt: RenderPlan | None = None) -> Iterator[Job]:
        """Wait for the jobs before, showing that in `progress`; then run the visitor's job in the block."""
        running = self.job_queue.run(shown_in(progress), stays=stays, excerpt=excerpt)
        try:
            with running as job, interrupt.also_stop_if(job.is_ended):
                yield job
        finally:
            self._release()

    def leave(self, name: str) -> None:
        """End the jobs of a visitor who has left, and remove the files that only they needed."""
        # First: what goes wrong below is made up for by the next sweep.
        with self._lock:
            self._left.add(name)
        self.job_queue.leave(name)
        self._release()

    def _release(self) -> None:
        """Remove the files of visitors who have left; called by the threads of jobs, too."""
        with self._lock:
            for name in [name for name in self._left if not self.job_queue.is_busy(name)]:
                self.media.leave(name)
                self._left.discard(name)

    def sweep(self) -> None:
        """Remove files that could not be removed before; called about every second."""
        self._release()

    def close(self) -> None:
        """End all jobs."""
        self.job_queue.close()


def shown_in(bar: gr.Progress, job: Job | None = None) -> OnProgress:
    """Return a callback that shows progress in the page's bar; it raises Stopped once `job` is asked to end."""

    def show(progress: Progress) -> None:
        if job is not None:
            job.check()
        text = f"{progress.stage}: {progress.note}" if progress.note else progress.stage
        if progress.unit == "frames":
            bar((int(progress.done), int(max(progress.total or 0, progress.done, 1))), desc=text, unit="frames")
        else:
            bar(progress.share, desc=text)

    return show
