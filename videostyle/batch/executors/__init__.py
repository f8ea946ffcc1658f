"""Where tasks are carried out: one module an executor, each with `build(plan) -> Executor`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, Self

from videostyle.batch.plan import BatchPlan
from videostyle.plugins import load

if TYPE_CHECKING:
    from videostyle.batch.tasks import Task


class Executor(Protocol):
    """Carries out tasks on several workers. A context manager; leaving it ends what is still being done."""

    workers: int
    """How many tasks it carries out at a time."""

    @property
    def frames(self) -> int:
        """Frames painted by all workers since the start, as far as known."""

    def submit(self, key: Any, task: Task) -> None:
        """Begin a task when a worker is free."""

    def finished(self, timeout: float) -> Iterator[tuple[Any, dict[str, Any]]]:
        """The tasks that came to their end, by key, and what `carry_out` told of each; waits for so many seconds."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *why: Any) -> None: ...


def load_executor(plan: BatchPlan) -> Executor:
    """The executor that the plan names; raises UnknownNameError, or MissingDependencyError saying what to install."""
    executor: Executor = load(sys.modules[__name__], plan.executor)(plan)
    return executor


def lost(why: BaseException) -> dict[str, Any]:
    """What is told of a task whose worker died."""
    return {"error": f"its worker died ({type(why).__name__}); out of memory?", "hopeless": False, "full": False}
