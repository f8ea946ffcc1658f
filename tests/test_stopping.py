"""A stop may be asked for at any moment: the film is whole, or it is not there."""

from __future__ import annotations

import faulthandler
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import media
import pytest

from videostyle import interrupt
from videostyle.cli import main

FRAMES = 6


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return media.film(tmp_path / "film.mp4", FRAMES, (64, 48), tone="aac")


class Injector:
    """Sends this process a signal when as many functions have been called or left, in any thread, as it is told.

    They are counted from when the command listens to signals. Before, nothing is begun, and they end it as they end any
    program.
    """

    def __init__(self, at: int | None, number: int) -> None:
        self.seen = 0
        self._at = at
        self._number = number

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        self.seen += interrupt.is_listening()
        if self.seen == self._at:
            self._at = None
            signal.pthread_kill(threading.main_thread().ident or 0, self._number)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        threading.setprofile(self)
        sys.setprofile(self)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type]


def paint(film: Path, folder: Path, at: int | None, number: int) -> tuple[int, int]:
    """The exit status of painting into `folder`, stopped at that event, and how many events there were."""
    folder.mkdir()
    injector = Injector(at, number)
    argv = ["stylize", str(film), "-o", str(folder / "out.mp4"), "--style", "dots", "--engine", "torch", "-q"]
    faulthandler.dump_traceback_later(300, exit=True, file=sys.__stderr__)  # a hang is a failure, and says where
    try:
        with injector.at_work():
            status = main(argv)
    finally:
        faulthandler.cancel_dump_traceback_later()
    return status, injector.seen


def check_one_stop(film: Path, folder: Path, at: int, number: int, told: str) -> None:
    threads = threading.active_count()
    status, _ = paint(film, folder, at, number)
    left = sorted(path.name for path in folder.iterdir())
    where = f"{signal.Signals(number).name} at event {at}: status {status}, {left}, {told}"
    if status == 0:  # too late to be seen, or seen by nobody
        assert left == ["out.mp4"], where
        assert len(media.times(folder / "out.mp4")) == FRAMES, where
    else:
        assert status == 130, where
        assert left in ([], ["out.unfinished.mp4"]), where
        for kept in left:
            assert 1 <= len(media.times(folder / kept)) <= FRAMES, where
    assert threading.active_count() == threads, where
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, where


def events(film: Path, folder: Path) -> int:
    """How many there are in a run that nobody stops."""
    paint(film, folder / "first", None, signal.SIGINT)  # what is imported and cached is so from now on
    status, count = paint(film, folder / "second", None, signal.SIGINT)
    assert status == 0
    return count


def stop_everywhere(film: Path, tmp_path: Path, points: int, told: Callable[[], str]) -> None:
    count = events(film, tmp_path)
    rng = random.Random(points)
    for turn in range(points):
        # One in each stretch, so that none is left out.
        at = 1 + int(count * (turn + rng.random()) / points)
        number = rng.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
        check_one_stop(film, tmp_path / f"{turn}", at, number, told())


def test_a_stop_at_any_moment_leaves_the_film_whole_or_not_there(
    toy_gallery: Path, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_everywhere(film, tmp_path, 8, lambda: "".join(capsys.readouterr()))


@pytest.mark.slow
def test_a_stop_at_hundreds_of_moments(
    toy_gallery: Path, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_everywhere(film, tmp_path, 400, lambda: "".join(capsys.readouterr()))
