"""Visitors of the page: their jobs, and the files that go when they leave."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

import pytest
from pages import CONTROLS, as_visitor, silent

from videostyle.plan import RenderPlan
from videostyle.progress import OnProgress, Progress

pytest.importorskip("gradio")

import videostyle.web.page
import videostyle.web.storage
from videostyle.errors import UsageError
from videostyle.web.jobs import JobQueue, Stopped
from videostyle.web.page import Page
from videostyle.web.sessions import Sessions


class Slow:
    """A render that goes on until it is stopped; it leaves an unfinished file."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, films: Path) -> None:
        self.begun, self.go_on, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.partial = films / ".growing.mp4"
        monkeypatch.setattr(videostyle.web.page, "render", self)

    def __call__(self, plan: RenderPlan, *, on_progress: OnProgress) -> None:
        self.begun.set()
        try:
            while not self.go_on.wait(0.01):
                on_progress(Progress("painting", 1, 2, "frames"))
        except Stopped as stopped:
            self.partial.write_bytes(b"what was painted")
            stopped.add_note(f"what was painted so far is in {self.partial}")
            raise
        finally:
            self.ended.set()
        raise UsageError("painted to the end")


def painting(page: Page, path: str, name: str, stays: bool = False) -> tuple[threading.Thread, list[str]]:
    """A thread in which a visitor's film is painted, and what became of it."""
    said: list[str] = []

    def work() -> None:
        try:
            as_visitor(name, lambda: page.start(path, "", stays, *CONTROLS, progress=silent))  # type: ignore[arg-type]
        except (UsageError, Stopped) as error:
            said.append(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=work)
    thread.start()
    return thread, said


def test_nobody_ends_anothers_work(page: Page, films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch, films)
    path = str(films / "a.mp4")
    first, first_messages = painting(page, path, "A")
    assert slow.begun.wait(10)
    second, second_messages = painting(page, path, "B")
    while not page.sessions.job_queue.is_busy("B"):
        time.sleep(0.01)
    # B, who waits, stops: only what B has asked for ends.
    as_visitor("B", page.sessions.job_queue.stop)
    second.join(10)
    assert second_messages == ["Stopped: "]
    as_visitor("B", page.sessions.job_queue.stop)
    as_visitor("C", page.sessions.job_queue.stop)
    page.sessions.leave("B")
    page.sessions.leave("C")
    assert not slow.ended.is_set()
    slow.go_on.set()
    first.join(10)
    assert first_messages == ["UsageError: painted to the end"]


def test_who_has_left_keeps_no_place_and_leaves_nothing(
    page: Page, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(monkeypatch, films)
    path = str(films / "a.mp4")
    first, messages = painting(page, path, "A")
    assert slow.begun.wait(10)
    page.sessions.leave("A")
    first.join(10)
    assert messages == ["Stopped: "]
    assert not slow.partial.exists()
    # Who stops on purpose keeps what was painted so far.
    second, messages = painting(page, str(films / "a.mp4"), "B")
    while not page.sessions.job_queue.is_busy("B"):
        time.sleep(0.01)
    slow.begun.wait(10)
    as_visitor("B", page.sessions.job_queue.stop)
    second.join(10)
    assert "what was painted so far is in" in messages[0] or messages == ["Stopped: "]


def test_who_wants_it_finished_may_leave(page: Page, films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch, films)
    path = str(films / "a.mp4")
    first, messages = painting(page, path, "A", stays=True)
    assert slow.begun.wait(10)
    page.sessions.leave("A")
    assert not slow.ended.wait(0.3)
    slow.go_on.set()
    first.join(10)
    assert messages == ["UsageError: painted to the end"]


def test_what_is_shown_stays_however_much_is_painted_after(
    page: Page, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(videostyle.web.storage, "FILES", 3)
    path = str(films / "a.mp4")

    def shown(name: str, strength: float) -> list[Path]:
        controls = (*CONTROLS[:3], strength, *CONTROLS[4:])
        box, figures = as_visitor(name, lambda: page.paint(path, 0.0, 0.2, 0.5, *controls, progress=silent))  # type: ignore[arg-type]
        return [page.sessions.media.folder / name for name in re.findall(r'src="/media/([^"]+)"', box + figures)]

    first = shown("A", 1.0)
    assert len(first) == 6
    for number in range(3):
        last = shown("B", 0.2 + number / 10)
    assert all(file.exists() for file in (*first, *last))
    page.sessions.leave("A")
    page.sessions.leave("B")
    assert len(list(page.sessions.media.folder.iterdir())) <= 3
    assert all(file.exists() for file in shown("A", 1.0))


def test_one_may_leave_while_another_has_just_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of those who have left is read and changed by one thread at a time."""
    queue = JobQueue()
    sessions = Sessions(tmp_path, queue)
    leaving: list[threading.Thread] = []

    def is_busy(name: str) -> bool:
        if not leaving:
            leaving.append(threading.Thread(target=sessions.leave, args=("B",)))
            leaving[0].start()
            leaving[0].join(0.2)
        return False

    left: list[str] = []
    monkeypatch.setattr(queue, "is_busy", is_busy)
    monkeypatch.setattr(sessions.media, "leave", left.append)
    sessions.leave("A")
    leaving[0].join(10)
    assert left == ["A", "B"]


def test_what_could_not_be_removed_when_a_visitor_left_is_removed_by_the_next_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = Sessions(tmp_path, JobQueue())
    (tmp_path / "media").mkdir()
    shown = tmp_path / "media" / "shown"
    shown.touch()
    monkeypatch.setattr(videostyle.web.storage, "FILES", 0)
    sessions.media.show("A", "excerpt", [shown])

    def fail(name: str) -> None:
        raise OSError("busy")

    with monkeypatch.context() as patch:
        patch.setattr(sessions.media, "leave", fail)
        with pytest.raises(OSError, match="busy"):
            sessions.leave("A")
    assert shown.exists()
    sessions.sweep()
    assert not shown.exists()
