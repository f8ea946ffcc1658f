"""The job queue: the order of jobs, and the visitors who may end them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from videostyle.errors import UsageError
from videostyle.web.jobs import JobQueue, Stopped, visitor


class Worker(threading.Thread):
    """Works in a job queue until it is stopped or let go."""

    def __init__(self, job_queue: JobQueue, name: str, log: list[str], stays: bool = False) -> None:
        super().__init__()
        self.job_queue, self.owner, self.log, self.stays = job_queue, name, log, stays
        self.begun, self.go, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.waited: list[int] = []
        self.stopped = False
        self.start()

    def run(self) -> None:
        visitor.set(self.owner)
        try:
            with self.job_queue.run(lambda progress: self.waited.append(progress.latest), stays=self.stays) as job:
                self.log.append(self.owner)
                self.begun.set()
                while not self.go.wait(0.01):
                    job.check()
        except Stopped:
            self.stopped = True
        finally:
            self.ended.set()


def by(name: str, function: Callable[[], None]) -> None:
    thread = threading.Thread(target=lambda: (visitor.set(name), function()))
    thread.start()
    thread.join(10)


def test_they_work_in_the_order_of_asking_and_are_told_their_places() -> None:
    job_queue, log = JobQueue(), list[str]()
    first = Worker(job_queue, "A", log)
    assert first.begun.wait(10)
    others = []
    for name in "BCD":
        others.append(Worker(job_queue, name, log))
        while not job_queue.is_busy(name):
            time.sleep(0.01)
    while not all(other.waited for other in others):
        time.sleep(0.01)
    assert [other.waited[0] for other in others] == [1, 2, 3]
    for worker in (first, *others):
        worker.go.set()
        assert worker.ended.wait(10)
    assert log == ["A", "B", "C", "D"]


def test_stop_ends_ones_own_work_alone() -> None:
    job_queue, log = JobQueue(), list[str]()
    a = Worker(job_queue, "A", log)
    assert a.begun.wait(10)
    b, c = Worker(job_queue, "B", log), Worker(job_queue, "C", log)
    while not (job_queue.is_busy("B") and job_queue.is_busy("C")):
        time.sleep(0.01)
    by("B", job_queue.stop)
    assert b.ended.wait(10)
    assert b.stopped
    assert not b.begun.is_set()
    by("D", job_queue.stop)
    job_queue.leave("D")
    assert not a.ended.wait(0.2)
    by("A", job_queue.stop)
    assert a.ended.wait(10)
    assert a.stopped
    assert c.begun.wait(10)
    c.go.set()


def test_who_has_left_leaves_the_place_unless_it_is_to_stay() -> None:
    job_queue, log = JobQueue(), list[str]()
    a, b, c = (Worker(job_queue, "A", log, stays=True), *(Worker(job_queue, name, log) for name in "BC"))
    assert a.begun.wait(10)
    job_queue.leave("B")
    assert b.ended.wait(10)
    job_queue.leave("A")
    assert not a.ended.wait(0.2)
    a.go.set()
    assert c.begun.wait(10)
    job_queue.leave("C")
    assert c.ended.wait(10)
    assert (a.stopped, b.stopped, c.stopped) == (False, True, True)


def test_places_are_bounded() -> None:
    job_queue, log = JobQueue(), list[str]()
    workers = [Worker(job_queue, "A", log) for _ in range(4)]
    while not all(worker.begun.is_set() or worker.waited for worker in workers):
        time.sleep(0.01)
    visitor.set("A")
    with pytest.raises(UsageError, match="too much is waiting"), job_queue.run():
        pass
    visitor.set("B")
    other = Worker(job_queue, "B", log)
    while not (other.waited or other.begun.is_set()):
        time.sleep(0.01)
    job_queue.close()
    for worker in (*workers, other):
        assert worker.ended.wait(10)


def test_closing_waits_for_the_work_and_lets_none_begin() -> None:
    job_queue, log = JobQueue(), list[str]()
    worker = Worker(job_queue, "A", log)
    assert worker.begun.wait(10)
    job_queue.close()
    assert worker.ended.is_set()
    with pytest.raises(Stopped), job_queue.run():
        raise AssertionError("it began")
