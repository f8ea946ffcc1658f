"""Executors of batch tasks: one module each, with `build(plan) -> Executor`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol, Self

from videostyle.batch.plan import BatchPlan
from videostyle.plugins import load

if TYPE_CHECKING:
    from videostyle.batch.tasks import Task


class Executor(Protocol):
    """Runs tasks on several workers. A context manager; leaving it ends the running tasks."""

    workers: int
    """Number of tasks that run at a time."""
    latest: Any
    """The newest stylized frame; None where other processes stylize."""

    @property
    def frames(self) -> int:
        """Frames stylized by all workers since the start, as far as known."""

    def submit(self, key: Any, task: Task) -> None:
        """Submit a task, which begins when a worker is free."""

    def finished(self, timeout: float) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Yield the keys of tasks that ended and their results of `carry_out`; wait up to `timeout` seconds."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *why: Any) -> None: ...


def load_executor(plan: BatchPlan) -> Executor:
    """Load the executor that the plan names; raise UnknownNameError or MissingDependencyError."""
    executor: Executor = load(sys.modules[__name__], plan.executor)(plan)
    return executor


def carry_out_alone(task: Task, count: Callable[[Any], None], self_contained: bool) -> dict[str, Any]:
    """Carry out a task in a process of its own, with the plan's `self_contained`."""
    from videostyle.batch.tasks import carry_out
    from videostyle.io.pyav import self_contained_only

    with self_contained_only() if self_contained else nullcontext():
        return carry_out(task, count)


def lost(why: BaseException) -> dict[str, Any]:
    """Return the result of a task whose worker died."""
    error = f"its worker died ({type(why).__name__}); out of memory?"
    return {"error": error, "retryable": True, "disk_full": False}
