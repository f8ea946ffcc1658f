"""Local executor: processes on this machine, one a GPU, or each on its share of the processor's cores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any, Self

from videostyle.batch.executors import carry_out_alone, lost
from videostyle.batch.plan import BatchPlan
from videostyle.engines import CUDA
from videostyle.processes import CONTEXT, follow_master

if TYPE_CHECKING:
    from videostyle.batch.tasks import Task


class Local:
    """A pool of processes; if one dies, its task is lost and the pool is made again."""

    def __init__(self, workers: int, gpus: int, self_contained: bool) -> None:
        self.workers = workers
        self._self_contained = self_contained
        self._gpus = gpus
        self._started = CONTEXT.Value("i", 0)
        self._frames = CONTEXT.Value("q", 0)
        self._stop = CONTEXT.Event()
        self._pool = self._make()
        self._tasks: dict[Future[dict[str, Any]], Any] = {}
        self.latest = None

    def _make(self) -> ProcessPoolExecutor:
        given = (self.workers, self._gpus, self._started, self._frames, self._stop, self._self_contained)
        return ProcessPoolExecutor(self.workers, CONTEXT, _begin, given)

    @property
    def frames(self) -> int:
        """See `Executor`."""
        return int(self._frames.value)

    def submit(self, key: Any, task: Task) -> None:
        """See `Executor`."""
        try:
            future = self._pool.submit(_work, task)
        except BrokenProcessPool:
            self._pool = self._make()
            future = self._pool.submit(_work, task)
        self._tasks[future] = key

    def finished(self, timeout: float) -> Iterator[tuple[Any, dict[str, Any]]]:
        """See `Executor`."""
        for future in wait(self._tasks, timeout, FIRST_COMPLETED).done:
            key = self._tasks.pop(future)
            try:
                yield key, future.result()
            except BrokenProcessPool as error:
                yield key, lost(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: Any) -> None:
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)


# Initial arguments of a worker process: the counter of frames, and whether films are strangers'.
_given: list[Any] = []


def _begin(workers: int, gpus: int, started: Any, frames: Any, stop: Any, self_contained: bool) -> None:
    """Initialize a worker process: give it its share of the machine, and let it end with its master."""
    follow_master(stop.is_set)
    with started.get_lock():
        number = started.value % workers
        started.value += 1
    if gpus:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus)))).split(",")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[number % len(visible)]
    if hasattr(os, "sched_setaffinity"):
        # Decoder, network and encoder all ask how many cores there are, and start as many threads.
        cores = sorted(os.sched_getaffinity(0))
        share = cores[number * len(cores) // workers : (number + 1) * len(cores) // workers]
        os.sched_setaffinity(0, share or [cores[number % len(cores)]])
    _given[:] = [frames, self_contained]


def _work(task: Task) -> dict[str, Any]:
    frames, self_contained = _given

    def count(frame: object) -> None:
        if frame is not None:
            with frames.get_lock():
                frames.value += 1

    return carry_out_alone(task, count, self_contained)


def build(plan: BatchPlan) -> Local:
    """Make the plan's number of workers, or else one a GPU, or one for every two cores, which one keeps busy."""
    # This import loads torch, and workers must have their share of the machine before that.
    from videostyle.threads import cores

    gpus = 0
    if all(film.device in ("auto", *CUDA) for film in plan.films):  # else the films name a GPU or none
        import torch

        gpus = torch.cuda.device_count()
    return Local(plan.workers or gpus or max(cores() // 2, 1), gpus, plan.self_contained)
