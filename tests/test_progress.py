from __future__ import annotations

import io
import sys

import pytest

from videostyle.cli import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)


@pytest.mark.usefixtures("always")
def test_without_a_terminal_progress_is_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.frames_bar("film.mp4", 4, quiet=False) as bar:
        for _ in range(4):
            bar.update()
    first, *_, last = capsys.readouterr().err.split("\n")[:-1]
    assert first.startswith("film.mp4: 0/4 frames")
    assert last.startswith("film.mp4: 4/4 frames, ")
    assert last.endswith(" left")


@pytest.mark.usefixtures("always")
def test_lines_of_films_of_unknown_name_and_length(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.frames_bar(quiet=False) as bar:
        bar.update(3)
    assert capsys.readouterr().err.split("\n")[-2].startswith("3/? frames, ")


@pytest.mark.usefixtures("always")
def test_lines_of_shares(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.share_bar("photo.jpg", quiet=False) as bar:
        bar.set_postfix_str("64x36", refresh=False)
        bar.update(0.25)
    last = capsys.readouterr().err.split("\n")[-2]
    assert last.startswith("photo.jpg:  25%, ")
    assert last.endswith("left, 64x36")


def test_nothing_is_said_of_what_is_done_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.frames_bar("film.mp4", 4, quiet=False) as bar:
        bar.update(4)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("always")
def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.frames_bar("film.mp4", 4, quiet=True) as bar:
        bar.update(4)
    assert capsys.readouterr().err == ""


def test_on_a_terminal_it_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress.frames_bar("film.mp4", 4, quiet=False) as bar:
        bar.update(4)
    assert "film.mp4: 100%|" in sys.stderr.getvalue()


def test_a_closed_standard_error_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with progress.frames_bar("film.mp4", 4, quiet=False) as bar:
        bar.update(4)
    assert bar.disable
