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
from videostyle.errors import UsageError
from videostyle.train.learn import work_folder
from videostyle.web.storage import Media, PendingOutputs, Uploads, server_folder


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
        from videostyle.partial_files import PartialFile, lock_folder
        from videostyle.web.storage import PendingOutputs, server_folder

        folder = Path(sys.argv[1])
        with ExitStack() as stack:
            work = stack.enter_context(server_folder())
            pending = PendingOutputs(work)
            stack.enter_context(pending.film(folder / "film.mp4"))
            PartialFile(folder / "film.mp4").claim()
            for name in ("begun", "the user's"):
                stack.enter_context(pending.style(folder / f"{name}.safetensors", "A"))
                stack.enter_context(lock_folder(folder / f".{name}.learning", "it"))
                (folder / f"{name}-samples.jpg").touch()
            (work / "media" / "film.mp4").write_bytes(bytes(1000))
            print(work, flush=True)
            input()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    outside = tmp_path / "outside"
    (outside / ".the user's.learning").mkdir(parents=True)
    users = ["the user's-samples.jpg", ".the user's.learning"]
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(outside)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    theirs = Path(program.stdout.readline().strip())
    made = sorted(path.name for path in outside.iterdir())
    assert made == sorted([".film.mp4.partial", ".begun.learning", "begun-samples.jpg", *users])
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


def begun(pending: PendingOutputs, output: Path, visitor: str) -> Path:
    """The folder of a painting that a visitor has learned for a while."""
    with pending.style(output, visitor):
        work_folder(output).mkdir(exist_ok=True)
        for name in ("lock", "checkpoint.pt"):
            (work_folder(output) / name).write_bytes(bytes(100))
    return work_folder(output)


def test_what_is_half_learned_goes_with_its_visitor(tmp_path: Path) -> None:
    pending = PendingOutputs(tmp_path)
    first, second = (begun(pending, tmp_path / f"{name}.safetensors", name) for name in "AB")
    users = tmp_path / ".mine.learning"
    users.mkdir()
    assert begun(pending, tmp_path / "mine.safetensors", "A") == users
    begun(pending, tmp_path / "A.safetensors", "A")  # it goes on
    pending.leave("A")
    assert (first.exists(), second.exists(), users.exists()) == (False, True, True)
    pending.close()
    assert not second.exists()
    assert users.exists()


def test_what_is_half_learned_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pending = PendingOutputs(tmp_path)

    def left(count: int) -> list[int]:
        folders = [begun(pending, tmp_path / f"{number}.safetensors", "A") for number in range(count)]
        return [number for number, folder in enumerate(folders) if folder.exists()]

    assert left(storage.RESUMABLE + 2) == list(range(2, storage.RESUMABLE + 2))
    pending.close()
    monkeypatch.setattr(storage, "RESUMABLE_BYTES", 500)
    assert left(4) == [2, 3]
    monkeypatch.setattr(storage, "RESUMABLE_AGE", -1.0)
    pending.sweep()
    assert not list(tmp_path.glob("*.learning"))


def arrived(uploads: Uploads, name: str, content: bytes = b"1234", folder: str = "0") -> str:
    """The name of an upload, as Gradio puts it into a folder named by its content."""
    path = uploads.folder / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return uploads.add(path)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_an_upload_is_found_by_its_name_alone(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, 100)
    name = arrived(uploads, "a.mp4")
    assert str(tmp_path) not in name
    assert uploads.find(name) == tmp_path / "0" / "a.mp4"
    for other in (str(tmp_path / "0" / "a.mp4"), "upload/a.mp4", name + "x", name.replace("a.mp4", "b.mp4"), ""):
        assert uploads.find(other) is None
    secret = tmp_path.parent / "secret"
    secret.write_text("secret")
    (tmp_path / "0" / "a.mp4").unlink()
    (tmp_path / "0" / "a.mp4").symlink_to(secret)
    assert uploads.find(name) is None


def test_it_goes_with_the_last_who_used_it(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, 100)
    name, again = arrived(uploads, "a.mp4"), arrived(uploads, "a.mp4")
    uploads.use(name, "A")
    uploads.use(again, "B")
    uploads.leave("A")
    assert files(tmp_path) == ["a.mp4"]
    uploads.leave("B")
    assert list(tmp_path.iterdir()) == []


def test_what_nobody_takes_up_goes_by_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = Uploads(tmp_path, 100)
    names = [arrived(uploads, f"{number}.mp4", folder=str(number)) for number in range(3)]
    uploads.use(names[0], "A")
    uploads.sweep()
    assert len(files(tmp_path)) == 3
    monkeypatch.setattr(storage, "UNUSED", -1.0)
    uploads.sweep()
    assert files(tmp_path) == ["0.mp4"]


def test_a_visitor_keeps_the_newest_few(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, 100)
    for number in range(9):
        uploads.use(arrived(uploads, f"{number}.mp4", folder=str(number)), "A")
    assert files(tmp_path) == ["5.mp4", "6.mp4", "7.mp4", "8.mp4"]


def test_what_broke_off_or_was_refused_is_removed(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, 100)
    kept = arrived(uploads, "kept.mp4")
    with uploads.arriving(50):
        (tmp_path / "tmpabc").write_bytes(bytes(40))
    assert files(tmp_path) == ["kept.mp4"]
    assert uploads.find(kept) is not None


def test_what_broke_off_is_bounded_while_another_upload_never_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = Uploads(tmp_path, 100, most=250)
    with uploads.arriving(100):
        for number in range(2):
            with uploads.arriving(100):
                (tmp_path / f"broken{number}").write_bytes(bytes(100))
        with pytest.raises(UsageError, match="the room for uploads is used up"), uploads.arriving(100):
            raise AssertionError("it came in")
        (tmp_path / "growing").write_bytes(b"1")
        for number in range(2):
            os.utime(tmp_path / f"broken{number}", (1000, 1000))
        uploads.sweep()
        assert files(tmp_path) == ["growing"]


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
    for name in ("films elsewhere", "styles elsewhere"):
        (tmp_path / "videostyle-dead" / name).mkdir(parents=True)
        (tmp_path / "videostyle-dead" / name / "entry").write_bytes(content)
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


def test_all_uploads_together_are_bounded(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, 100, most=250)
    name = arrived(uploads, "a.mp4", bytes(100))
    uploads.use(name, "A")
    with (
        uploads.arriving(100),
        pytest.raises(UsageError, match="the room for uploads is used up; try again"),
        uploads.arriving(100),
    ):
        raise AssertionError("it came in")
    uploads.leave("A")
    with uploads.arriving(100), uploads.arriving(100):
        pass


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


def test_a_painted_film_is_offered_by_a_name_that_cannot_be_guessed(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    film = tmp_path / "a film.mp4"
    film.write_bytes(b"film")
    media = Media(tmp_path / "media")
    first, second = media.publish(film, "A", "film"), media.publish(film, "A", "film")
    assert first != second
    assert first.endswith("-a%20film.mp4")
    assert len(files(media.folder)) == 2
    assert os.stat(film).st_size == 4
