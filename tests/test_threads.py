from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import count, islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videostyle import interrupt
from videostyle.threads import background, latest, prefetch
from videostyle.types import Frame


@pytest.fixture(autouse=True)
def _no_thread_is_left_alive() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def frame(number: int = 0) -> Frame:
    return Frame(torch.zeros(3, 1, 1, dtype=torch.uint8), pts=number, time_base=Fraction(1, 25), index=number)


def wait_until(condition: object, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.001)


class Tape:
    """A sink that remembers what happened to it, and fails where it is told to."""

    def __init__(self, fail_at: int | None = None, error: BaseException | None = None) -> None:
        self.warnings = ["a subtitle was dropped"]
        self.written: list[int] = []
        self.outcome: object = "never entered"
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.fail_at = fail_at
        self.error = error or OSError("disk full")

    def __enter__(self) -> Tape:
        self.outcome = "entered"
        return self

    def write(self, item: Frame) -> None:
        self.gate.wait(10)
        self.threads.add(threading.current_thread().name)
        if item.index == self.fail_at:
            raise self.error
        self.written.append(item.index)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        assert threading.current_thread() is threading.main_thread()
        self.outcome = "committed" if error is None else error


def write(tape: Tape, depth: int, numbers: Iterable[int]) -> None:
    with background(tape, depth) as out:
        for number in numbers:
            out.write(frame(number))


# prefetch


@given(st.lists(st.integers() | st.none(), max_size=30), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_items_come_in_order_and_whole(items: list[int | None], depth: int) -> None:
    with prefetch(items, depth) as ahead:
        assert list(ahead) == items
        assert list(ahead) == []


def test_it_reads_ahead_and_no_further_than_asked() -> None:
    read: list[int] = []
    with prefetch((read.append(i) or i for i in count()), 3) as ahead:  # type: ignore[func-returns-value]
        wait_until(lambda: len(read) == 4)  # three wait, one is in the thread's hands
        time.sleep(0.02)
        assert len(read) == 4
        assert list(islice(ahead, 10)) == list(range(10))
        wait_until(lambda: len(read) == 14)


def test_what_came_before_a_failure_is_delivered_and_then_the_failure_once() -> None:
    def failing() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("bad sector")

    with prefetch(failing(), 4) as ahead:
        assert [next(ahead), next(ahead)] == [1, 2]
        with pytest.raises(OSError, match="bad sector") as raised:
            next(ahead)
        assert any(entry.name == "failing" for entry in raised.traceback)
        assert list(ahead) == []


def test_an_iterable_that_cannot_start_fails_in_the_reader() -> None:
    with pytest.raises(TypeError), prefetch(5, 1) as ahead:  # type: ignore[arg-type]
        next(ahead)


@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_leaving_early_stops_the_thread_and_closes_the_generator(error: type[BaseException] | None) -> None:
    closed_in: list[str] = []

    def endless() -> Iterator[int]:
        try:
            yield from count()
        finally:
            closed_in.append(threading.current_thread().name)

    def use() -> None:
        with prefetch(endless(), 2) as ahead:
            next(ahead)
            if error is not None:
                raise error

    if error is None:
        use()
    else:
        with pytest.raises(error):
            use()
    assert closed_in == ["videostyle-prefetch"]


def test_a_failure_nobody_waited_for_is_not_raised_on_leaving() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise OSError("too late to matter")

    with prefetch(failing(), 1) as ahead:
        assert next(ahead) == 1


def test_a_failure_while_closing_the_generator_does_not_hang() -> None:
    def stubborn() -> Iterator[int]:
        try:
            yield from count()
        finally:
            raise OSError("cannot close")

    with prefetch(stubborn(), 1) as ahead:
        assert next(ahead) == 0


def test_items_are_let_go() -> None:
    class Item:
        pass

    made: list[weakref.ref[Item]] = []

    def items() -> Iterator[Item]:
        while True:
            item = Item()
            made.append(weakref.ref(item))
            yield item
            del item

    with prefetch(items(), 2) as ahead:
        for _ in islice(ahead, 50):
            pass
        assert sum(ref() is not None for ref in made) <= 2 + 3
    gc.collect()
    del ahead
    assert sum(ref() is not None for ref in made) <= 1  # the loop variable of islice's consumer


def test_outside_its_with_block_it_says_so() -> None:
    ahead = prefetch([1], 1)
    with pytest.raises(RuntimeError, match="inside its with block"):
        next(ahead)
    with ahead:
        pass
    with pytest.raises(RuntimeError, match="inside its with block"):
        next(ahead)


def test_stages_can_be_chained() -> None:
    with prefetch(range(100), 2) as numbers, prefetch((n * n for n in numbers), 2) as squares:
        assert list(squares) == [n * n for n in range(100)]


def test_a_chain_ends_when_its_end_is_left_early() -> None:
    with prefetch(count(), 2) as numbers, prefetch((n * n for n in numbers), 2) as squares:
        assert list(islice(squares, 3)) == [0, 1, 4]


@pytest.mark.parametrize("make", [lambda: prefetch([], 0), lambda: background(Tape(), 0)])
def test_a_queue_holds_at_least_one(make: object) -> None:
    with pytest.raises(ValueError, match="depth must be at least 1"):
        make()  # type: ignore[operator]


def test_waiting_ends_with_an_item_the_end_or_the_time() -> None:
    gate = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        gate.wait(10)

    with prefetch(items(), 1) as ahead:
        assert ahead.wait(10)
        assert next(ahead) == 1
        assert not ahead.wait(0.01)
        gate.set()
        assert ahead.wait(10)
        assert next(ahead, None) is None


# latest


def test_the_newest_is_handed_on_and_the_overtaken_are_counted() -> None:
    step = threading.Semaphore(0)
    made: list[int] = []

    def camera() -> Iterator[int]:
        for number in range(20):
            step.acquire()
            made.append(number)
            yield number

    with latest(camera()) as frames:
        step.release(5)
        wait_until(lambda: frames.dropped == 4)
        assert next(frames) == 4
        step.release(1)
        assert next(frames) == 5
        step.release(14)
        wait_until(lambda: frames.dropped == 4 + 13)
        assert list(frames) == [19]


def test_a_live_source_that_fails_says_so() -> None:
    def unplugged() -> Iterator[int]:
        yield 1
        raise OSError("no camera")

    with pytest.raises(OSError, match="no camera"), latest(unplugged()) as frames:
        list(frames)


def test_leaving_a_live_source_early_stops_it() -> None:
    with latest(count()) as frames:
        first = next(frames)
        assert next(frames) > first


# background


@given(st.integers(0, 20), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_all_frames_are_written_in_order_and_committed(frames: int, depth: int) -> None:
    tape = Tape()
    with background(tape, depth) as out:
        for number in range(frames):
            out.write(frame(number))
    assert tape.written == list(range(frames))
    assert tape.outcome == "committed"
    assert tape.threads <= {"videostyle-background"}


def test_the_writer_waits_when_the_sink_is_behind() -> None:
    tape = Tape()
    tape.gate.clear()
    waiting = threading.Event()

    def release() -> None:
        waiting.wait(10)
        time.sleep(0.02)
        tape.gate.set()

    helper = threading.Thread(target=release)
    helper.start()
    with background(tape, 2) as out:
        for number in range(3):  # one in the sink's hands, two queued
            out.write(frame(number))
            wait_until(lambda: len(out._items) <= 2)
        assert tape.written == []
        waiting.set()
        out.write(frame(3))
        assert tape.written != []
    helper.join()
    assert tape.written == [0, 1, 2, 3]


def test_the_sinks_failure_comes_out_of_a_later_write() -> None:
    tape = Tape(fail_at=1)
    with pytest.raises(OSError, match="disk full"):
        write(tape, 1, count())
    assert tape.written == [0]
    assert tape.outcome is tape.error


def test_the_sinks_failure_on_the_last_frame_comes_out_of_leaving() -> None:
    tape = Tape(fail_at=2)
    with pytest.raises(OSError, match="disk full"):
        write(tape, 8, range(3))
    assert tape.outcome is tape.error


def test_the_sinks_failure_wakes_a_writer_that_waits() -> None:
    tape = Tape(fail_at=0)
    tape.gate.clear()
    timer = threading.Timer(0.05, tape.gate.set)
    timer.start()
    with pytest.raises(OSError, match="disk full"):
        write(tape, 1, range(3))  # the third waits: one is in the sink's hands, one queued
    timer.join()


@pytest.mark.parametrize("error", [RuntimeError("no more"), KeyboardInterrupt()])
def test_the_callers_failure_discards_what_is_queued_and_reaches_the_sink(error: BaseException) -> None:
    tape = Tape()
    tape.gate.clear()
    timer = threading.Timer(0.02, tape.gate.set)

    def use() -> None:
        with background(tape, 4) as out:
            for number in range(4):
                out.write(frame(number))
            timer.start()
            raise error

    with pytest.raises(type(error)):
        use()
    timer.join()
    assert tape.outcome is error
    assert len(tape.written) <= 1


def test_a_sink_that_cannot_open_is_never_written_to() -> None:
    class Closed(Tape):
        def __enter__(self) -> Tape:
            raise OSError("read-only")

    tape = Closed()
    with pytest.raises(OSError, match="read-only"), background(tape, 1):
        pytest.fail("entered")
    assert tape.outcome == "never entered"


def test_a_sink_that_cannot_commit_says_so() -> None:
    class Uncommitted(Tape):
        def __exit__(self, kind: object, error: object, trace: object) -> None:
            raise OSError("cannot rename")

    with pytest.raises(OSError, match="cannot rename"), background(Uncommitted(), 1) as out:
        out.write(frame())


def test_it_passes_the_sinks_warnings_on_and_refuses_frames_after_the_end() -> None:
    with background(Tape(), 1) as out:
        assert out.warnings == ["a subtitle was dropped"]
    with pytest.raises(RuntimeError, match="inside its with block"):
        out.write(frame())


# A stop that is asked for


@pytest.fixture
def asked() -> Iterator[threading.Timer]:
    """Asks for a stop a little later, once it is started."""
    timer = threading.Timer(0.05, interrupt.request_stop)
    yield timer
    timer.join()
    interrupt._reset()


@pytest.mark.parametrize("wait", [lambda items: next(items), lambda items: items.wait(0), lambda items: list(items)])
def test_who_waits_for_the_next_item_sees_that_a_stop_is_asked_for(wait: object, asked: threading.Timer) -> None:
    gate = threading.Event()

    def slow() -> Iterator[int]:
        gate.wait(60)
        yield 1

    def use() -> None:
        with prefetch(slow(), 2) as items:
            asked.start()
            try:
                while True:
                    wait(items)  # type: ignore[operator]
            finally:
                gate.set()

    with pytest.raises(KeyboardInterrupt):
        use()


def test_so_does_who_reads_through_several_stages(asked: threading.Timer) -> None:
    def use() -> None:
        with prefetch(count(), 1) as first, prefetch(map(float, first), 1) as second:
            asked.start()
            for _ in second:
                pass

    with pytest.raises(KeyboardInterrupt):
        use()


def test_so_does_who_waits_for_the_sink_and_what_is_queued_is_dropped(asked: threading.Timer) -> None:
    tape = Tape()
    tape.gate.clear()

    def use() -> None:
        with background(tape, 2) as out:
            asked.start()
            opened = threading.Timer(0.5, tape.gate.set)  # the sink ends what it is at
            opened.start()
            for number in count():
                out.write(frame(number))

    with pytest.raises(KeyboardInterrupt):
        use()
    assert isinstance(tape.outcome, KeyboardInterrupt)
    assert len(tape.written) <= 1


@pytest.mark.parametrize("drain_on_stop", [False, True])
def test_a_stop_while_the_last_frames_are_written_discards_unless_one_is_patient(
    drain_on_stop: bool, asked: threading.Timer
) -> None:
    tape = Tape()
    tape.gate.clear()

    def use() -> None:
        with background(tape, 4, drain_on_stop=drain_on_stop) as out:
            for number in range(3):
                out.write(frame(number))
            asked.start()
            threading.Timer(0.5, tape.gate.set).start()

    if drain_on_stop:
        use()
        assert tape.written == [0, 1, 2]
        assert tape.outcome == "committed"
    else:
        with pytest.raises(KeyboardInterrupt):
            use()
        assert isinstance(tape.outcome, KeyboardInterrupt)
        assert tape.written == [0]


@pytest.mark.parametrize("make", [lambda: prefetch([1], 1), lambda: background(Tape(), 1)])
def test_a_system_without_room_for_a_thread_leaves_nothing_open(make: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    one = make()  # type: ignore[operator]
    with pytest.raises(RuntimeError, match="new thread"):
        one.__enter__()
    sink = getattr(one, "_sink", None)
    assert sink is None or isinstance(sink.outcome, RuntimeError)
