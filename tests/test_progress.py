from __future__ import annotations

import io
import sys

import pytest

from videostyle.cli import progress
from videostyle.cli.progress import ProgressBar
from videostyle.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)


def frames(done: int, total: int | None = 4) -> Progress:
    return Progress("painting", done, total, "frames")


@pytest.mark.usefixtures("always")
def test_without_a_terminal_progress_is_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("film.mp4", unit="frames", quiet=False) as bar:
        for done in range(5):
            bar(frames(done))
    first, *_, last = capsys.readouterr().err.split("\n")[:-1]
    assert first.startswith("film.mp4: 0/? frames")
    assert last.startswith("film.mp4: 4/4 frames, ")
    assert last.endswith(" left")


@pytest.mark.usefixtures("always")
def test_lines_of_films_of_unknown_name_and_length(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar(unit="frames", quiet=False) as bar:
        bar(frames(3, None))
    assert capsys.readouterr().err.split("\n")[-2].startswith("3/? frames, ")


@pytest.mark.usefixtures("always")
def test_a_total_that_only_the_caller_knows(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar(unit="frames", total=8, quiet=False) as bar:
        bar(frames(3, None))
    assert capsys.readouterr().err.split("\n")[-2].startswith("3/8 frames, ")


@pytest.mark.usefixtures("always")
def test_lines_of_shares(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("photo.jpg", unit="", quiet=False) as bar:
        bar(Progress("painting", 0.25, note="64x36"))
    last = capsys.readouterr().err.split("\n")[-2]
    assert last.startswith("photo.jpg:  25%, ")
    assert last.endswith("left, 64x36")


@pytest.mark.usefixtures("always")
def test_each_stage_has_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar(quiet=False) as bar:
        bar(Progress("choosing keyframes", 3, 4, "frames"))
        bar(Progress("painting keyframes", 1, 2, "keyframes", "1 of 2"))
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("choosing keyframes: 3/4 frames") for line in lines)
    assert lines[-1].startswith("painting keyframes:  50%")
    assert lines[-1].endswith("1 of 2")


def test_nothing_is_said_of_what_is_done_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("film.mp4", unit="frames", quiet=False) as bar:
        bar(frames(4))
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("always")
def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("film.mp4", unit="frames", quiet=True) as bar:
        bar(frames(4))
        bar(Progress("measuring", 0.5))
    assert capsys.readouterr().err == ""


def test_on_a_terminal_it_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with ProgressBar("film.mp4", unit="frames", quiet=False) as bar:
        bar(frames(4))
    assert "film.mp4: 100%|" in sys.stderr.getvalue()  # type: ignore[attr-defined]


def test_a_closed_standard_error_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with ProgressBar("film.mp4", unit="frames", quiet=False) as bar:
        bar(frames(4))
