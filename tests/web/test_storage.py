"""Files that a page keeps on disk are bounded, and removed with the visitor who needed them."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

import videostyle.web.storage as storage
from videostyle.web.storage import Media, server_folder


def test_what_was_put_in_the_workplace_is_gone_afterwards() -> None:
    with server_folder() as work:
        (work / "media" / "film.mp4").write_bytes(b"1")
    assert not work.exists()
    with pytest.raises(RuntimeError), server_folder() as work:
        raise RuntimeError
    assert not work.exists()


def test_a_dead_servers_folder_is_cleared_away_and_a_living_ones_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    code = """
        import os, signal, sys
        from contextlib import ExitStack
        from pathlib import Path
        from videostyle.partial_files import PartialFile
        from videostyle.web.storage import PendingOutputs, server_folder

        folder = Path(sys.argv[1])
        with ExitStack() as stack:
            work = stack.enter_context(server_folder())
            pending = PendingOutputs(work)
            stack.enter_context(pending.film(folder / "film.mp4"))
            PartialFile(folder / "film.mp4").claim()
            (work / "media" / "film.mp4").write_bytes(bytes(1000))
            print(work, flush=True)
            input()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "the user's.mp4").touch()
    users = ["the user's.mp4"]
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(outside)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    theirs = Path(program.stdout.readline().strip())
    made = sorted(path.name for path in outside.iterdir())
    assert made == sorted([".film.mp4.partial", *users])
    somebodys = tmp_path / "videostyle-notes"
    somebodys.mkdir()
    with server_folder() as work:
        assert work.parent == theirs.parent == tmp_path
        assert (theirs / "media" / "film.mp4").exists()
    assert sorted(path.name for path in outside.iterdir()) == made
    program.communicate("\n", timeout=60)
    assert program.returncode == -9
    assert (theirs / "media" / "film.mp4").exists()
    with server_folder():
        assert not theirs.exists()
    assert sorted(tmp_path.iterdir()) == [outside, somebodys]
    assert sorted(path.name for path in outside.iterdir()) == sorted(users)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_files_that_vanish_meanwhile_are_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    media = Media(tmp_path)
    (tmp_path / "there").touch()
    gone = [tmp_path / "gone", tmp_path / "there"]
    monkeypatch.setattr(Path, "iterdir", lambda folder: iter(gone))
    monkeypatch.setattr(Path, "is_file", lambda path: True)
    media.show("A", "excerpt", [])
    assert (tmp_path / "there").exists()


@pytest.mark.parametrize("content", [b"", b"a\0b", b"film.mp4", b"/", b"\xff"])
def test_a_damaged_list_of_a_dead_server_stops_no_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "videostyle-dead" / "films elsewhere").mkdir(parents=True)
    (tmp_path / "videostyle-dead" / "films elsewhere" / "entry").write_bytes(content)
    (tmp_path / "videostyle-dead" / "lock").touch()
    with server_folder() as work:
        assert os.listdir(tmp_path) == [work.name]


def test_no_file_left_to_open_is_an_error_and_no_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)

    def acquire(lock: object, *args: object, **more: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(storage.FileLock, "acquire", acquire)
    with pytest.raises(OSError, match="Too many open files"), server_folder():
        raise AssertionError("it started")


def test_what_is_shown_stays_and_the_rest_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "FILES", 2)
    media = Media(tmp_path)

    def made(name: str, size: int = 1) -> Path:
        (tmp_path / name).write_bytes(bytes(size))
        return tmp_path / name

    media.show("A", "excerpt", [made("a1"), made("a2")])
    for number in range(9):
        media.show("B", "excerpt", [made(f"b{number}")])
    assert files(tmp_path) == ["a1", "a2", "b6", "b7", "b8"]
    media.leave("A")
    assert files(tmp_path) == ["b6", "b7", "b8"] or len(files(tmp_path)) == 3
    monkeypatch.setattr(storage, "BYTES", 10)
    media.show("B", "excerpt", [made("large", 100)])
    media.leave("B")
    assert "large" not in files(tmp_path)


def test_what_was_made_and_never_shown_is_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "FILES", 2)
    media = Media(tmp_path)
    (tmp_path / "styles").mkdir()
    for name in ("stopped1", "stopped2", "stopped3", ".growing", "styles/dots.jpg", "shown"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000, 1000 + len(files(tmp_path))))
    media.show("A", "excerpt", [tmp_path / "shown"])
    assert files(tmp_path) == [".growing", "dots.jpg", "shown", "stopped2", "stopped3"]
