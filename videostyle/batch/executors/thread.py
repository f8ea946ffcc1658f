"""Thread executor: one task at a time in a thread of this process, which keeps its networks for the next film."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Self

from videostyle import interrupt
from videostyle.batch.plan import BatchPlan

if TYPE_CHECKING:
    from videostyle.batch.tasks import Task


class Thread:
    """A thread; leaving the executor asks its task to stop, and waits for that."""

    workers = 1

    def __init__(self) -> None:
        self.frames = 0
        self.latest: Any = None
        self._left = threading.Event()
        self._tasks: SimpleQueue[tuple[Any, Task] | None] = SimpleQueue()
        self._results: SimpleQueue[tuple[Any, dict[str, Any]]] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="videostyle-executor", daemon=True)

    def _work(self) -> None:
        from videostyle.batch.tasks import carry_out

        with interrupt.also_stop_if(self._left.is_set):
            while (given := self._tasks.get()) is not None:
                key, task = given
                try:
                    self._results.put((key, carry_out(task, self._count)))
                except KeyboardInterrupt:
                    return

    def _count(self, frame: Any) -> None:
        if frame is not None:
            self.frames += 1
            self.latest = frame

    def submit(self, key: Any, task: Task) -> None:
        """See `Executor`."""
        self._tasks.put((key, task))

    def finished(self, timeout: float) -> Iterator[tuple[Any, dict[str, Any]]]:
        """See `Executor`."""
        try:
            yield self._results.get(timeout=timeout)
        except Empty:
            return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *why: Any) -> None:
        self._left.set()
        self._tasks.put(None)
        self._thread.join()


def build(plan: BatchPlan) -> Thread:
    """Make the executor; it has one worker, whatever the plan says."""
    return Thread()
