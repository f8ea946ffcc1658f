"""Worker of the service: a process that carries out jobs, one at a time, and goes on with those of a killed one."""

from __future__ import annotations

import logging
import math
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from videostyle import interrupt
from videostyle.errors import SinkError, SourceError, UsageError, VideostyleError
from videostyle.files import sink_error
from videostyle.plan import RenderPlan
from videostyle.progress import Progress
from videostyle.service.database import Database
from videostyle.service.objects import Objects, StorageError
from videostyle.service.outbound import Outbound
from videostyle.service.plan import ServicePlan
from videostyle.service.queue import JobQueue, new_id
from videostyle.service.records import Job
from videostyle.service.schema import with_paths
from videostyle.service.stills import write_thumbnail, write_thumbnail_of
from videostyle.service.storage import LEAST_FREE, THUMBNAIL, folder_bytes
from videostyle.service.tasks import Failure, Inspect, failure, inspect
from videostyle.types import Frame

log = logging.getLogger(__name__)

T = TypeVar("T")

_POLL = 0.5
"""Seconds between two looks into an empty queue, or for a job's cancellation."""
_DISK_FULL = 60.0
"""Seconds after which a job is tried again that found the disk full."""
_BLOCK = 1 << 20
_LONGEST_DOWNLOAD = 3600.0  # seconds


class Worker:
    """Carries out the jobs of a queue until it is asked to stop."""

    def __init__(
        self, plan: ServicePlan, queue: JobQueue, is_stopped: Callable[[], bool], name: str | None = None
    ) -> None:
        self.name = name or new_id("worker")
        self._plan, self._queue = plan, queue
        self._is_stopped = is_stopped
        self._objects = Objects(plan.objects) if plan.objects else None

    def run(self) -> None:
        """Carry out jobs, holding the lock by which others see that this worker lives."""
        lock = self._queue.lock_of(self.name)
        lock.acquire()
        try:
            while not self._is_stopped():
                job = self._settled(lambda: self._queue.claim(self.name))
                if job is None:
                    time.sleep(_POLL)
                else:
                    self.carry_out(job)
        finally:
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)

    def _settled(self, act: Callable[[], T]) -> T | None:
        """Return what `act` does with the queue, again and again while its disk is full; None if this worker ends."""
        told = ""
        while True:
            try:
                return act()
            except SinkError as error:
                if str(error) != told:
                    told = str(error)
                    log.error(told)
            if self._is_stopped():
                return None
            time.sleep(_POLL)

    def carry_out(self, job: Job) -> None:
        """Carry out a job, and record how it ended."""
        canceled = threading.Event()
        over = threading.Event()

        def watch() -> None:
            while not over.wait(_POLL):
                try:
                    if self._queue.is_canceled(job):
                        canceled.set()
                        return
                except VideostyleError:
                    continue

        watcher = threading.Thread(target=watch, name="videostyle-cancellation", daemon=True)
        watcher.start()
        log.info(f"job {job.id} begins", extra={"job": job.id})
        try:
            with interrupt.also_stop_if(lambda: canceled.is_set() or self._is_stopped()):
                if self._objects is not None:
                    self._objects.fetch(job.id, self._plan.jobs_folder / job.id)
                result = (_film if job.kind == "film" else _style)(self._plan, self._queue, job)
            folder = self._plan.jobs_folder / job.id
            size = folder_bytes(folder)
            if self._objects is not None and "file" in result:
                for file in (result["file"], THUMBNAIL):
                    if (folder / file).exists():
                        self._objects.put(job.id, file, folder / file)
            self._settled(lambda: self._queue.finish(job, result, size))
            if self._objects is not None:
                shutil.rmtree(folder, ignore_errors=True)
        except KeyboardInterrupt:
            self._settled(lambda: self._queue.canceled(job) if canceled.is_set() else self._queue.put_back(job))
        except Exception as error:  # any error concerns this job only
            found = failure(error, self._plan.folders)
            if not isinstance(error, VideostyleError):
                log.exception(f"job {job.id}: unexpected error", extra={"job": job.id})
            in_store = isinstance(error, StorageError)
            self._settled(lambda: self._fail(job, found, in_store=in_store))
        finally:
            over.set()
            watcher.join()
            log.info(f"job {job.id} ends", extra={"job": job.id})

    def _fail(self, job: Job, found: Failure, *, in_store: bool) -> None:
        """Record a failure of a job, which waits where the object store or the disk has failed."""
        if in_store:
            self._queue.put_back(job, seconds=_DISK_FULL, note=f"{found.message}; it goes on later")
        elif found.disk_full:
            self._queue.put_back(job, seconds=_DISK_FULL, note="the service's disk is full; it goes on later")
        else:
            self._queue.fail(job, found.message)


class Reporter:
    """Writes the progress of a job into the queue, and its newest frame beside it, about twice a second."""

    def __init__(self, queue: JobQueue, job: Job, folder: Path) -> None:
        """Take the job's folder, for a small copy of the newest frame."""
        self._queue, self._job = queue, job
        self._thumbnail = folder / THUMBNAIL
        self._began = time.monotonic()
        self._first: float | None = None
        self._best = float(job.progress.get("done") or 0)
        self._next = 0.0
        self._lock = threading.Lock()

    def __call__(self, progress: Progress) -> None:
        with self._lock:
            now = time.monotonic()
            if now < self._next:
                return
            self._next = now + _POLL
            if self._first is None:
                self._first, self._began = progress.done, now
            done = progress.done - self._first
            rate = done / (now - self._began) if done > 0 else 0.0
            left = (progress.total - progress.done) / rate if rate and progress.total else None
            values: dict[str, Any] = {
                "stage": progress.stage,
                "share": round(progress.share, 4),
                "done": round(progress.done, 3),
                "total": progress.total,
                "unit": progress.unit,
                "fps": round(rate, 2) if progress.unit == "frames" else None,
                "seconds_left": math.ceil(left) if left is not None else None,
            }
            if isinstance(progress.latest, Frame):
                values["thumbnail"] = round(progress.done)
            advanced = progress.done > self._best
            self._best = max(self._best, progress.done)
        try:
            if isinstance(progress.latest, Frame):
                write_thumbnail(progress.latest.pixels, self._thumbnail)
            self._queue.progress(self._job, values, advanced=advanced)
        except SinkError as error:  # the work is worth more than its progress bar
            log.warning(str(error))


def _film(plan: ServicePlan, queue: JobQueue, job: Job) -> dict[str, Any]:
    """Paint a film or a picture in the job's folder, in segments, going on after those that are there."""
    from videostyle.batch import schedule
    from videostyle.batch.plan import BatchPlan

    folder = plan.jobs_folder / job.id
    request = job.request
    report = Reporter(queue, job, folder)
    source = folder / request["source"]
    if not source.exists():
        download(plan, request["url"], source, report)
    settings = with_paths(request["settings"], folder)
    output = folder / "out" / request["output"]
    render = RenderPlan.of(source, output, **settings, engine=plan.engine, device=plan.device)
    if request["url"]:  # others were inspected when they came
        inspect(Inspect(str(source), plan.minutes, plan.pixels, render))
    batch = BatchPlan(
        films=(render,),
        folder=output.parent,
        workers=1 if plan.executor == "thread" else None,
        executor=plan.executor,
        address=plan.address,
        self_contained=True,
    )
    (found,) = schedule.run(batch, on_progress=report)
    if found.error:
        raise SourceError(found.error)
    with suppress(VideostyleError):  # the work is worth more than its picture
        write_thumbnail_of(output, folder / THUMBNAIL, share=1 / 3)
    return {
        "file": f"out/{request['output']}",
        "frames": found.frames,
        "seconds": round(found.seconds, 1),
        "warnings": [failure(SourceError(one), plan.folders).message for one in found.warnings],
    }


def _style(plan: ServicePlan, queue: JobQueue, job: Job) -> dict[str, Any]:
    """Learn a style; a run that was stopped is continued."""
    from videostyle.train.learn import learn
    from videostyle.train.plan import LearnPlan, TrainingStyle

    request = job.request
    folder = plan.jobs_folder / job.id
    report = Reporter(queue, job, folder)
    write_thumbnail_of(folder / request["source"], folder / THUMBNAIL)
    began, minutes = time.monotonic(), request["minutes"]

    def show(now: Progress) -> None:
        # The time for everything is a better measure than the steps of one stage.
        done = min(time.monotonic() - began, 59.4 * minutes)
        report(replace(now, done=done, total=60 * minutes, unit="seconds"))

    output = plan.styles_folder / request["file"]
    learned = LearnPlan(
        TrainingStyle(request["name"], folder / request["source"]),
        output,
        minutes=minutes,
        network=request["network"],
    )
    if not output.exists():  # else it was finished just before a kill
        learn(learned, show)
    write_thumbnail_of(folder / request["source"], output.with_suffix(".jpg"))
    return {"style": request["name"]}


def download(plan: ServicePlan, url: str, target: Path, report: Callable[[Progress], None]) -> None:
    """Fetch a file from a public address, within the limit of bytes; raise UsageError, SourceError or SinkError."""
    partial = target.with_name(f".{target.name}.partial")
    try:
        with Outbound(plan.networks).request("GET", url) as response, partial.open("wb") as file:
            if response.status != 200:
                raise SourceError(f"the address answered {response.status}, not the file")
            total = response.length
            received = 0
            until = time.monotonic() + _LONGEST_DOWNLOAD
            while block := response.read1(_BLOCK):
                interrupt.check()
                if time.monotonic() > until:
                    raise SourceError(f"the address took more than {_LONGEST_DOWNLOAD / 60:g} minutes")
                received += len(block)
                if received > plan.largest:
                    raise UsageError(f"the file at the address has more than {plan.largest} bytes")
                if shutil.disk_usage(target.parent).free < LEAST_FREE:
                    raise OSError(28, "No space left on device")
                file.write(block)
                report(Progress("downloading", received, total, "bytes"))
            if total is not None and response.length:
                raise SourceError("the address ended its answer too early; try again")
        partial.replace(target)
    except OSError as error:
        if isinstance(error, VideostyleError):
            raise
        raise sink_error(target.name, error) from error
    finally:
        partial.unlink(missing_ok=True)


def serve(plan: ServicePlan, is_stopped: Callable[[], bool], name: str | None = None) -> None:
    """Carry out jobs in this process until it is asked to stop."""
    from videostyle.io.pyav import self_contained_only
    from videostyle.service.core import open_queue

    with ExitStack() as stack:
        stack.enter_context(self_contained_only())
        database = Database(plan.database)
        stack.callback(database.close)
        Worker(plan, open_queue(plan, database), is_stopped, name).run()
