"""Processes that paint pictures and look into uploads for the API: they may crash or hang, and it goes on."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Protocol

from videostyle.errors import UsageError
from videostyle.processes import CONTEXT, follow_master
from videostyle.service.log import json_log
from videostyle.service.queue import FullError
from videostyle.service.tasks import Failure, Task, carry_out, failure

log = logging.getLogger(__name__)

_TRIES = 2


class SupersededError(UsageError):
    """A task that nobody waits for any more."""


class Painter:
    """One process with one thread of its own, which starts it, and starts it again after a crash.

    On Linux a process ends with the thread that started it, so that thread stays.
    """

    def __init__(self, folders: tuple[Path, ...], seconds: float, first: Task) -> None:
        """Take the task that a new process begins with."""
        self.restarts = 0
        self._first = first
        self.is_warm = False
        """True once the process has carried out a task: the first waits for the libraries."""
        self._folders = folders
        self._seconds = seconds
        self._thread = ThreadPoolExecutor(1, "videostyle-painter")
        self._process: SpawnProcess | None = None
        self._connection: Connection[Any, Any] | None = None

    async def run(self, task: Task) -> dict[str, Any] | Failure:
        """Carry out a task in the process."""
        return await asyncio.wrap_future(self._thread.submit(self._run, task))

    def warm_up(self) -> None:
        """Start the process and let it load its libraries, without waiting for that."""
        self._thread.submit(self._run, self._first)

    def _run(self, task: Task) -> dict[str, Any] | Failure:
        for _ in range(_TRIES):
            try:
                connection = self._start()
                connection.send(task)
                if not connection.poll(self._seconds):
                    self._stop()
                    self.restarts += 1
                    return Failure(f"it took longer than {self._seconds:g} s; try a smaller one", True)
                answer: dict[str, Any] | Failure = connection.recv()
                self.is_warm = True
                return answer
            except (EOFError, OSError):
                self._stop()
                self.restarts += 1
                log.warning("a painter died over a picture and is started again")
        return Failure("the painter died over it twice; it may be damaged, or too large for this machine", True)

    def _start(self) -> Connection[Any, Any]:
        if self._connection is None or self._process is None or not self._process.is_alive():
            self._stop()
            self._connection, theirs = CONTEXT.Pipe()
            self._process = CONTEXT.Process(
                target=_serve, args=(theirs, self._folders), name="videostyle-painter", daemon=True
            )
            self._process.start()
            theirs.close()
        return self._connection

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None

    def close(self) -> None:
        """End the process, even in the middle of a picture."""
        process = self._process
        if process is not None:
            with suppress(ValueError):  # closed meanwhile
                process.kill()
        self._thread.submit(self._stop)
        self._thread.shutdown(cancel_futures=False)


def _serve(connection: Connection[Any, Any], folders: tuple[Path, ...]) -> None:
    """Carry out tasks until the connection ends."""
    from videostyle.io.pyav import self_contained_only

    follow_master(lambda: False)
    with self_contained_only(), json_log():
        while True:
            try:
                task = connection.recv()
            except EOFError:
                return
            answer: dict[str, Any] | Failure
            try:
                answer = carry_out(task)
            except Exception as error:  # any error concerns this file only
                answer = failure(error, folders)
                if not answer.is_clients:
                    logging.getLogger("videostyle").exception("a picture could not be painted")
            connection.send(answer)


class Place(Protocol):
    """A worker, a process or a replica, that carries out one task at a time."""

    @property
    def restarts(self) -> int:
        """Number of processes that were started again."""

    @property
    def is_warm(self) -> bool:
        """True once a task need not wait for the libraries."""

    async def run(self, task: Task) -> dict[str, Any] | Failure:
        """Carry out a task."""

    def warm_up(self) -> None:
        """Start, without waiting for it."""

    def close(self) -> None:
        """End, even in the middle of a task."""


class Painters:
    """The painters, given to clients in turn."""

    def __init__(self, painters: Sequence[Place], most: int, most_each: int) -> None:
        """Take the painters, and the most tasks that may wait or run, of all clients and of each."""
        self._painters = painters
        self._free = deque(painters)
        self._waiting: OrderedDict[str, deque[asyncio.Future[Place]]] = OrderedDict()
        """Waiting tasks by client; the client who was served last is the last."""
        self._taken: dict[str, int] = {}
        self._most, self._most_each = most, most_each

    @property
    def restarts(self) -> int:
        """Number of processes that were started again."""
        return sum(one.restarts for one in self._painters)

    @property
    def waiting(self) -> int:
        """Number of tasks that wait or run."""
        return sum(self._taken.values())

    @property
    def is_warm(self) -> bool:
        """True once every process has loaded its libraries."""
        return all(one.is_warm for one in self._painters)

    def warm_up(self) -> None:
        """Start the processes, without waiting for them."""
        for painter in self._painters:
            painter.warm_up()

    def check_room(self, client: str) -> None:
        """Raise FullError if no more tasks are taken, of this client or of anybody."""
        if self.waiting >= self._most:
            raise FullError("too many pictures are being painted; try again in some seconds", everyone=True, seconds=5)
        if self._taken.get(client, 0) >= self._most_each:
            raise FullError(
                f"{self._most_each} of your pictures are being painted already; wait until one is done",
                everyone=False,
                seconds=2,
            )

    async def run(
        self, client: str, task: Task, *, limited: bool = True, is_wanted: Callable[[], bool] = lambda: True
    ) -> dict[str, Any] | Failure:
        """Carry out a task once it is the client's turn, if it `is_wanted` then; raise SupersededError otherwise.

        Raises FullError if too many tasks wait and this one is `limited`.
        """
        if limited:
            self.check_room(client)
        self._taken[client] = self._taken.get(client, 0) + 1
        try:
            async with self._turn(client) as painter:
                if not is_wanted():
                    raise SupersededError("a newer request has come meanwhile")
                return await painter.run(task)
        finally:
            self._taken[client] -= 1
            if not self._taken[client]:
                del self._taken[client]

    @asynccontextmanager
    async def _turn(self, client: str) -> AsyncIterator[Place]:
        if self._free:
            painter = self._free.popleft()
        else:
            future: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(client, deque()).append(future)
            try:
                painter = await future
            except asyncio.CancelledError:
                if future.done() and not future.cancelled():
                    self._give(future.result())
                raise
        try:
            yield painter
        finally:
            self._give(painter)

    def _give(self, painter: Place) -> None:
        """Give a painter to the next client in turn, or keep it."""
        while self._waiting:
            client, futures = next(iter(self._waiting.items()))
            future = futures.popleft()
            if futures:
                self._waiting.move_to_end(client)
            else:
                del self._waiting[client]
            if not future.done():
                future.set_result(painter)
                return
        self._free.append(painter)

    def close(self) -> None:
        """End all processes."""
        for painter in self._painters:
            painter.close()
