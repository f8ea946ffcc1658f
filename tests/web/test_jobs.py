"""Who works when, and who may end it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from videostyle.errors import UsageError
from videostyle.web.jobs import Desk, Stopped, visitor


class Worker(threading.Thread):
    """Works at a desk until it is stopped or let go."""

    def __init__(self, desk: Desk, name: str, log: list[str], stays: bool = False) -> None:
        super().__init__()
        self.desk, self.owner, self.log, self.stays = desk, name, log, stays
        self.begun, self.go, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.waited: list[int] = []
        self.stopped = False
        self.start()

    def run(self) -> None:
        visitor.set(self.owner)
        try:
            with self.desk.work(lambda before, seconds: self.waited.append(before), stays=self.stays) as job:
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
    desk, log = Desk(), list[str]()
    first = Worker(desk, "A", log)
    assert first.begun.wait(10)
    others = []
    for name in "BCD":
        others.append(Worker(desk, name, log))
        while not desk.is_busy(name):
            time.sleep(0.01)
    while not all(other.waited for other in others):
        time.sleep(0.01)
    assert [other.waited[0] for other in others] == [1, 2, 3]
    for worker in (first, *others):
        worker.go.set()
        assert worker.ended.wait(10)
    assert log == ["A", "B", "C", "D"]


def test_stop_ends_ones_own_work_alone() -> None:
    desk, log = Desk(), list[str]()
    a = Worker(desk, "A", log)
    assert a.begun.wait(10)
    b, c = Worker(desk, "B", log), Worker(desk, "C", log)
    while not (desk.is_busy("B") and desk.is_busy("C")):
        time.sleep(0.01)
    by("B", desk.stop)
    assert b.ended.wait(10)
    assert b.stopped
    assert not b.begun.is_set()
    by("D", desk.stop)
    desk.leave("D")
    assert not a.ended.wait(0.2)
    by("A", desk.stop)
    assert a.ended.wait(10)
    assert a.stopped
    assert c.begun.wait(10)
    c.go.set()


def test_who_has_left_leaves_the_place_unless_it_is_to_stay() -> None:
    desk, log = Desk(), list[str]()
    a, b, c = (Worker(desk, "A", log, stays=True), *(Worker(desk, name, log) for name in "BC"))
    assert a.begun.wait(10)
    desk.leave("B")
    assert b.ended.wait(10)
    desk.leave("A")
    assert not a.ended.wait(0.2)
    a.go.set()
    assert c.begun.wait(10)
    desk.leave("C")
    assert c.ended.wait(10)
    assert (a.stopped, b.stopped, c.stopped) == (False, True, True)


def test_places_are_bounded() -> None:
    desk, log = Desk(), list[str]()
    workers = [Worker(desk, "A", log) for _ in range(4)]
    while not all(worker.begun.is_set() or worker.waited for worker in workers):
        time.sleep(0.01)
    visitor.set("A")
    with pytest.raises(UsageError, match="too much is waiting"), desk.work():
        pass
    visitor.set("B")
    other = Worker(desk, "B", log)
    while not (other.waited or other.begun.is_set()):
        time.sleep(0.01)
    desk.close()
    for worker in (*workers, other):
        assert worker.ended.wait(10)


def test_closing_waits_for_the_work_and_lets_none_begin() -> None:
    desk, log = Desk(), list[str]()
    worker = Worker(desk, "A", log)
    assert worker.begun.wait(10)
    desk.close()
    assert worker.ended.is_set()
    with pytest.raises(Stopped), desk.work():
        raise AssertionError("it began")
