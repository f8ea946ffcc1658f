"""Pictures on a Ray cluster: replicas of Ray Serve, as many as are needed, which the API's painters hand tasks to.

Paths travel, never pictures: every node sees the service's files under the same path, as with the batch executor.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from videostyle.errors import MissingDependencyError, UsageError
from videostyle.privacy import disable_telemetry
from videostyle.service.painters import Painter
from videostyle.service.plan import ServicePlan
from videostyle.service.tasks import Failure, Task

log = logging.getLogger(__name__)

_NAME = "videostyle"
_CORES = 2  # kept busy by one painter
_STARTING = 300.0  # seconds for a new replica, beside a picture's own


class Replica:
    """A painter on a node, in a process of its own beside Ray's: it may crash or hang, and the replica goes on."""

    def __init__(self, folders: tuple[Path, ...], seconds: float, first: Task) -> None:
        self._painter = Painter(folders, seconds, first)
        self._painter.warm_up()

    async def __call__(self, task: Task | None) -> dict[str, Any] | Failure:
        """Carry out a task."""
        return {} if task is None else await self._painter.run(task)

    def __del__(self) -> None:
        self._painter.close()


class Replicas:
    """The deployment of the painters: between one and `most` replicas, by the number of pictures that wait."""

    def __init__(self, plan: ServicePlan, first: Task, most: int) -> None:
        self._plan, self._first, self._most = plan, first, most
        self._handle: Any = None
        self._thread = ThreadPoolExecutor(1, "videostyle-ray")
        self._closed = False
        self.is_warm = False

    def start(self) -> None:
        """Deploy the replicas, without waiting for that."""
        self._thread.submit(self._deploy)

    def _deploy(self) -> Any:
        if self._handle is not None:
            return self._handle
        ray, serve = connect(self._plan.address)
        has: dict[str, float] = ray.cluster_resources()
        resources = {"num_cpus": min(int(has.get("CPU", 1)), _CORES), "num_gpus": int(has.get("GPU", 0) > 0)}
        deployment = serve.deployment(
            name="painter",
            max_ongoing_requests=1,
            autoscaling_config={"min_replicas": 1, "max_replicas": self._most, "target_ongoing_requests": 1},
            ray_actor_options=resources,
        )(Replica)
        app = deployment.bind(self._plan.folders, self._plan.picture_seconds, self._first)
        self._handle = serve.run(app, name=_NAME, route_prefix=None)
        self.is_warm = True
        return self._handle

    async def run(self, task: Task) -> dict[str, Any] | Failure:
        """Carry out a task on the replica that has the fewest."""
        handle = await asyncio.wrap_future(self._thread.submit(self._deploy))
        try:
            found: dict[str, Any] | Failure = await asyncio.wait_for(
                handle.remote(task), _STARTING + 2 * self._plan.picture_seconds
            )
            return found
        except Exception as error:  # of a lost node, and whatever else Ray says
            log.warning(f"a picture on Ray failed ({type(error).__name__})")
            return Failure("the painter was lost; send the picture again", False)

    def close(self) -> None:
        """Remove the replicas; each place calls this."""
        if not self._closed:
            self._closed = True
            self._thread.submit(self._remove)
            self._thread.shutdown()

    def _remove(self) -> None:
        if self._handle is not None:
            import ray
            from ray import serve

            serve.shutdown()  # type: ignore[no-untyped-call]
            ray.shutdown()
            self._handle = None


class RayPainter:
    """One of the painters that the API hands out in turn: a place at the replicas, which Ray Serve chooses among."""

    restarts = 0

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self.run = replicas.run
        self.warm_up = replicas.start
        self.close = replicas.close

    @property
    def is_warm(self) -> bool:
        """True once the first replica is there."""
        return self._replicas.is_warm


def connect(address: str | None) -> tuple[Any, Any]:
    """Connect to a cluster, and return Ray and Ray Serve; raise MissingDependencyError, UsageError."""
    disable_telemetry()
    try:
        import ray
        from ray import serve
    except ImportError as error:
        raise MissingDependencyError(f"--executor ray needs {error.name}: pip install 'ray[serve]'") from error
    if not ray.is_initialized():
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, namespace=_NAME)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UsageError(f"no Ray cluster at {address}; start one with `ray start --head` ({error})") from error
    return ray, serve


def ray_painters(plan: ServicePlan, first: Task) -> list[RayPainter]:
    """Return the places of a plan, as many as replicas may be; a new replica begins with the task `first`."""
    replicas = Replicas(plan, first, max(plan.painters, 1))
    return [RayPainter(replicas) for _ in range(max(plan.painters, 1))]
