"""Signals are requests: nothing is raised where it happens to be, and a second Ctrl-C ends at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from videostyle import interrupt

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(3000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it does not happen")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_sets_a_flag_and_raises_nothing(number: signal.Signals) -> None:
    before = [signal.getsignal(one) for one in SIGNALS]
    with interrupt.listening():
        interrupt.check()
        os.kill(os.getpid(), number)
        wait_until(interrupt.stop_requested)
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()
        interrupt.acknowledge()
        interrupt.check()
    assert not interrupt.stop_requested()
    assert not interrupt.is_listening()
    assert [signal.getsignal(one) for one in SIGNALS] == before


def test_listening_twice_is_listening_once() -> None:
    with interrupt.listening():
        with interrupt.listening(), interrupt.deferring():
            os.kill(os.getpid(), signal.SIGTERM)
            wait_until(interrupt.stop_requested)
        assert interrupt.stop_requested()


def test_only_the_main_thread_listens() -> None:
    handlers: list[object] = []

    def elsewhere() -> None:
        with interrupt.listening(), interrupt.deferring():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]


def test_a_library_call_sees_ctrl_c_as_a_request_and_the_second_at_once() -> None:
    asked: list[bool] = []

    def work() -> None:
        with interrupt.deferring():
            signal.raise_signal(signal.SIGINT)
            asked.append(interrupt.stop_requested())
            signal.raise_signal(signal.SIGINT)
            asked.append(False)  # not reached

    with pytest.raises(KeyboardInterrupt):
        work()
    assert asked == [True]
    assert not interrupt.stop_requested()
    with pytest.raises(KeyboardInterrupt), interrupt.deferring():
        signal.raise_signal(signal.SIGINT)  # nobody looks: raised when the block is left
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_program_s_own_handler_is_left_alone(own_handler: list[int]) -> None:
    with interrupt.deferring():
        signal.raise_signal(signal.SIGINT)
        assert not interrupt.stop_requested()
    assert own_handler == [signal.SIGINT]


@pytest.fixture
def own_handler() -> Iterator[list[int]]:
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    yield seen
    signal.signal(signal.SIGINT, before)


def program(code: str, **more: object) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", "import time\nfrom videostyle import interrupt\n" + textwrap.dedent(code)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)  # type: ignore[call-overload]


def test_a_second_ctrl_c_ends_at_once_even_in_native_code() -> None:
    running = program("""
        import threading
        with interrupt.listening():
            print("ready", flush=True)
            stuck = threading.Lock()
            stuck.acquire()
            while not interrupt.stop_requested():
                time.sleep(0.01)
            print("asked", flush=True)
            stuck.acquire()  # for ever
    """)
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    running.send_signal(signal.SIGINT)
    assert running.stdout.readline() == "asked\n"
    running.send_signal(signal.SIGTERM)  # a service manager may say so twice
    time.sleep(0.3)
    assert running.poll() is None
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == interrupt.STATUS
    assert err == ""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a signal counts from when it is read")
def test_two_signals_that_are_read_at_once_are_two_if_they_were_sent_apart() -> None:
    """As while a large library is imported: no other thread of the program comes to its turn."""
    running = program("""
        import threading
        with interrupt.listening():
            print("ready", flush=True)
            sum(range(10**8))  # keeps Python's lock
            stuck = threading.Lock()
            stuck.acquire()
            stuck.acquire()  # for ever
    """)
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    for _ in range(2):
        running.send_signal(signal.SIGINT)
        time.sleep(3 * interrupt._ECHO)
    running.communicate(timeout=60)
    assert running.returncode == interrupt.STATUS


def test_two_signals_sent_at_once_are_one_request() -> None:
    """As GNU timeout sends them, to the process and to its group."""
    running = program("""
        import os, signal
        interrupt._ECHO = 60  # however busy the machine is
        with interrupt.listening():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.3)
            print(interrupt.stop_requested())
    """)
    assert running.communicate(timeout=60) == ("True\n", "")
    assert running.returncode == 0


@pytest.mark.parametrize("number", SIGNALS)
def test_a_command_that_imports_its_libraries_ends_at_once(number: signal.Signals) -> None:
    running = program("""
        import threading
        from types import SimpleNamespace
        import sys
        from videostyle.__main__ import entry
        def main():
            with interrupt.listening():  # as the command does once more
                print("ready", flush=True)
                stuck = threading.Lock()
                stuck.acquire()
                stuck.acquire()  # for ever
        sys.modules["videostyle.cli"] = SimpleNamespace(main=main)
        entry()
    """)
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    running.send_signal(number)
    assert running.communicate(timeout=60) == ("", "videostyle: interrupted\n")
    assert running.returncode == interrupt.STATUS


def test_a_command_that_has_begun_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from videostyle.partial_files import lock_folder, reserve_output
    from videostyle.web.storage import server_folder

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    begun: list[bool] = []
    for block in (
        interrupt.deferring,
        lambda: lock_folder(tmp_path / "folder", "another"),
        lambda: reserve_output(tmp_path / "report.json", overwrite=False),
        server_folder,
    ):
        with interrupt.listening(begun=False):
            begun.append(interrupt._begun)
            with block():
                begun.append(interrupt._begun)
    assert begun == 4 * [False, True]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_what_is_ignored_stays_ignored(number: signal.Signals) -> None:
    """As behind nohup, and in the background of a shell."""
    running = program(
        f"""
        import os
        with interrupt.listening():
            os.kill(os.getpid(), {int(number)})
            time.sleep(0.3)
            print(interrupt.stop_requested())
        """,
        preexec_fn=lambda: signal.signal(number, signal.SIG_IGN),
    )
    assert running.communicate(timeout=60) == ("False\n", "")


def test_one_visitors_work_stops_and_no_other() -> None:
    ended = threading.Event()
    told: list[bool] = []
    with interrupt.also_stop_if(ended.is_set):
        interrupt.check()
        ended.set()
        assert interrupt.stop_requested()
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()
        thread = threading.Thread(target=lambda: told.append(interrupt.stop_requested()))
        thread.start()
        thread.join()
    assert told == [False]
    interrupt.check()
