"""The parts of a running service, and the thread that keeps them going: workers, webhooks, expiry."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from typing import Any

from videostyle.errors import VideostyleError
from videostyle.plan import RenderPlan
from videostyle.processes import CONTEXT, follow_master
from videostyle.service import webhooks
from videostyle.service.database import Database
from videostyle.service.keys import Keys
from videostyle.service.log import json_log
from videostyle.service.metrics import Metrics
from videostyle.service.outbound import Outbound
from videostyle.service.painters import Painter, Painters, Place
from videostyle.service.plan import ServicePlan
from videostyle.service.queue import JobQueue, new_id
from videostyle.service.records import Job
from videostyle.service.storage import Storage
from videostyle.service.styles import Styles, record
from videostyle.service.tasks import Warm

log = logging.getLogger(__name__)

_TICK = 0.5  # seconds
_SWEEP = 30.0  # seconds
_ORPHANED = 5.0  # seconds after which a dead worker's supervisor counts as dead, too
_LONGEST_LOOK = 600.0  # seconds for a look at a whole film
_SLOWEST_RESTART = 30.0  # seconds between two starts of a worker that dies again and again


def open_queue(plan: ServicePlan, database: Database) -> JobQueue:
    """Return the queue, which adds a webhook in the transaction that ends a job."""
    return JobQueue(database, plan.locks, most=plan.jobs, most_each=plan.jobs_each, keep=plan.keep, on_end=_on_end)


def warm(plan: ServicePlan) -> Warm:
    """Return the task that a new painter begins with."""
    return Warm(RenderPlan.of("", "", engine=plan.engine, device=plan.device))


def _on_end(connection: sqlite3.Connection, job: Job) -> None:
    if job.kind == "style" and job.status == "succeeded":
        record(connection, job.request["file"], job.client, job.request["name"], job.request["network"])
    if (hook := job.request.get("webhook")) is not None:
        content = {
            "type": f"job.{job.status}",
            "timestamp": datetime.now(UTC).isoformat(),
            "data": describe(job),
        }
        webhooks.enqueue(connection, job.client, hook, content)


def describe(job: Job, ahead: int | None = None) -> dict[str, Any]:
    """Return a job as its client sees it; `ahead` is the number of jobs before one that waits."""
    here = f"/v1/jobs/{job.id}"
    urls = {"self": here, "events": f"{here}/events"}
    is_removed = bool(job.result.get("expired"))
    if not is_removed:
        urls |= {"source": f"{here}/source", "thumbnail": f"{here}/thumbnail"}
        if job.status == "succeeded" and job.kind == "film":
            urls["result"] = f"{here}/result"
    return {
        "id": job.id,
        "kind": job.kind,
        "name": job.request["name"],
        "settings": job.request.get("given", {}),
        "ahead": ahead,
        "is_removed": is_removed,
        "status": job.status,
        "created_at": _time(job.created),
        "started_at": _time(job.started),
        "completed_at": _time(job.ended),
        "expires_at": _time(job.expires),
        "progress": job.progress,
        "error": job.error or None,
        "output": {name: job.result[name] for name in ("frames", "seconds", "warnings", "style") if name in job.result},
        "urls": urls,
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


class Service:
    """A running service of one process: the API's parts, its painters, and the workers that it supervises."""

    def __init__(self, plan: ServicePlan) -> None:
        """Open the data folder, which is created if it does not exist; raise SinkError."""
        plan.make_folders()
        self.plan = plan
        self.database = Database(plan.database)
        self.queue = open_queue(plan, self.database)
        self.keys = Keys(self.database)
        self.storage = Storage(plan, self.database, self.queue)
        self.styles = Styles(plan, self.database)
        self.outbound = Outbound(plan.networks)
        self.webhooks = webhooks.Webhooks(self.database, self.keys, self.outbound)
        self.painters = Painters(_places(plan), plan.pictures, plan.pictures_each)
        # A camera's state is in its process, so there is one, which starts with the first picture.
        camera = Painter(plan.folders, plan.picture_seconds, warm(plan))
        self.cameras = Painters([camera], plan.pictures, plan.pictures_each)
        # Nobody waits for a look at a whole film, and a still does not wait for it; it starts with the first look.
        examiner = Painter(plan.folders, max(plan.picture_seconds, _LONGEST_LOOK), warm(plan))
        self.examiners = Painters([examiner], plan.pictures, plan.pictures_each)
        self.workers = Workers(plan)
        self.metrics = Metrics(self.queue, self.painters, self.workers)
        self.is_ready = False
        self._dead: dict[str, float] = {}
        """Dead workers that have jobs, and the time when each was first found dead."""
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._keep, args=(act, wait), name=f"videostyle-{act.__name__}", daemon=True)
            for act, wait in (
                (self._supervise, _TICK),
                (self.storage.sweep, _SWEEP),
                (self._deliver, _TICK),
            )
        ]

    def start(self) -> None:
        """Start the painters and the threads."""
        self.painters.warm_up()
        for thread in self._threads:
            thread.start()
        self.is_ready = True

    def _keep(self, act: Callable[[], object], wait: float) -> None:
        """Call `act` again and again; an error is logged, and the next call tries again."""
        told = ""
        while True:
            try:
                act()
                told = ""
            except VideostyleError as error:
                if str(error) != told:
                    told = str(error)
                    log.error(told)
            except Exception:
                log.exception("the service's housekeeping failed; it is tried again")
            if self._stopped.wait(wait):
                return

    def _supervise(self) -> None:
        self.workers.supervise(self.queue)
        # Workers of others have a supervisor, unless they died with it.
        dead, now = self.queue.dead_workers(), time.monotonic()
        self._dead = {worker: self._dead.get(worker, now) for worker in dead}
        for worker, since in self._dead.items():
            if now - since > _ORPHANED:
                _recover(self.queue, worker, blame=False)

    def _deliver(self) -> None:
        while not self._stopped.is_set() and self.webhooks.deliver():
            pass

    def close(self) -> None:
        """End the workers, whose jobs go back into the queue, the painters and the threads."""
        self.is_ready = False
        self._stopped.set()
        self.workers.close()
        self.painters.close()
        self.cameras.close()
        self.examiners.close()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(5)
        self.database.close()


def _places(plan: ServicePlan) -> Sequence[Place]:
    """Return what paints pictures: processes of this computer, or places at the replicas on a cluster."""
    if plan.executor == "ray":
        from videostyle.service.ray_painters import ray_painters

        return ray_painters(plan, warm(plan))
    return [Painter(plan.folders, plan.picture_seconds, warm(plan)) for _ in range(max(plan.painters, 1))]


def _recover(queue: JobQueue, worker: str, *, blame: bool) -> None:
    for id in queue.recover(worker, blame=blame):
        log.warning(f"job {id}: its worker died; it goes back into the queue", extra={"job": id})


class Workers:
    """The worker processes of a service, which are started again when they die. Called by one thread, which stays."""

    def __init__(self, plan: ServicePlan) -> None:
        self.restarts = 0
        self._plan = plan
        self._stop: Event = CONTEXT.Event()
        self._processes: list[SpawnProcess | None] = [None] * plan.workers
        self._names = [""] * plan.workers
        self._started = [0.0] * plan.workers
        self._waits = [_TICK] * plan.workers
        self._lock = threading.Lock()

    @property
    def alive(self) -> int:
        """Number of workers that live."""
        return sum(one is not None and one.is_alive() for one in self._processes)

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [one.pid for one in self._processes if one is not None and one.pid is not None]

    def supervise(self, queue: JobQueue) -> None:
        """Return the jobs of dead workers to the queue, and start others; those that die often, later and later."""
        with self._lock:
            if self._stop.is_set():
                return
            now = time.monotonic()
            for number, process in enumerate(self._processes):
                if process is not None and process.is_alive():
                    continue
                if process is not None:
                    if self._names[number]:
                        _recover(queue, self._names[number], blame=True)
                        self._names[number] = ""
                    lived = now - self._started[number]
                    if lived > 2 * _SLOWEST_RESTART:
                        self._waits[number] = _TICK
                    if lived < self._waits[number]:
                        continue
                    self._waits[number] = min(2 * self._waits[number], _SLOWEST_RESTART)
                    self.restarts += 1
                    log.warning("a worker died and is started again")
                self._names[number] = new_id("worker")
                self._processes[number] = CONTEXT.Process(
                    target=run_worker, args=(self._plan, self._stop, self._names[number]), name="videostyle-worker"
                )
                self._processes[number].start()  # type: ignore[union-attr]
                self._started[number] = now

    def close(self) -> None:
        """Ask the workers to stop, and wait up to 20 seconds; what is not finished goes on with the next start."""
        with self._lock:
            self._stop.set()
        deadline = time.monotonic() + 20
        for process in self._processes:
            if process is not None:
                process.join(max(deadline - time.monotonic(), 0.1))
                if process.is_alive():
                    process.kill()
                    process.join()


def run_worker(plan: ServicePlan, stop: Event, name: str) -> None:
    """Carry out jobs in a process of its own, which ends with its master."""
    from videostyle.privacy import disable_telemetry
    from videostyle.service import worker

    disable_telemetry()
    follow_master(stop.is_set)
    with json_log():
        worker.serve(plan, stop.is_set, name)
