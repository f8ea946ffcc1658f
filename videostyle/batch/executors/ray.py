"""Ray executor: plans are sent to the nodes; films are on storage that every node sees under the same path."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

from videostyle.batch.executors import carry_out_alone, lost
from videostyle.batch.plan import BatchPlan
from videostyle.engines import CUDA
from videostyle.errors import MissingDependencyError, UsageError
from videostyle.privacy import disable_telemetry

if TYPE_CHECKING:
    from videostyle.batch.tasks import Task

# Number of times that Ray moves the task of a lost node to another one, beside the plan's `retries`.
_MOVES = 5
_CORES = 2  # kept busy by one task


class Ray:
    """Runs tasks on the nodes of a cluster; the tasks of a lost node are started again on another."""

    def __init__(self, plan: BatchPlan) -> None:
        disable_telemetry()
        try:
            import ray
        except ImportError as error:
            raise MissingDependencyError("batch on Ray needs ray: pip install ray") from error
        self._ray = ray
        self._ours = not ray.is_initialized()
        if self._ours:
            try:
                ray.init(plan.address, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, ValueError, RuntimeError) as error:
                where = plan.address or "this machine"
                raise UsageError(f"no Ray cluster at {where}; start one with `ray start --head` ({error})") from error
        has: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        gpus, cores = int(has.get("GPU", 0)), int(has.get("CPU", 1))
        on_gpu = gpus > 0 and any(film.device.partition(":")[0] in ("auto", *CUDA) for film in plan.films)
        self.workers = plan.workers or (gpus if on_gpu else max(cores // _CORES, 1))
        self.frames = 0
        self.latest = None
        # Each task requests its share of the cores, so that the tasks spread over the nodes.
        share = max(min(cores // self.workers, _CORES), 1)
        self._work = ray.remote(_work).options(num_cpus=share, num_gpus=int(on_gpu), max_retries=_MOVES)
        self._self_contained = plan.self_contained
        self._tasks: dict[Any, Any] = {}

    def submit(self, key: Any, task: Task) -> None:
        """See `Executor`."""
        self._tasks[self._work.remote(task, self._self_contained)] = key

    def finished(self, timeout: float) -> Iterator[tuple[Any, dict[str, Any]]]:
        """See `Executor`; frames are counted when their task is done."""
        for reference in self._ray.wait(list(self._tasks), num_returns=1, timeout=timeout)[0]:
            key = self._tasks.pop(reference)
            try:
                result = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                result = lost(error)
            self.frames += result.get("painted", 0)
            yield key, result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: Any) -> None:
        for reference in self._tasks:
            self._ray.cancel(reference, force=True)
        if self._ours:
            self._ray.shutdown()


def _work(task: Task, self_contained: bool) -> dict[str, Any]:
    return carry_out_alone(task, lambda frame: None, self_contained)


def build(plan: BatchPlan) -> Ray:
    """Connect to the cluster of the plan or of RAY_ADDRESS, or start one on this machine."""
    return Ray(plan)
