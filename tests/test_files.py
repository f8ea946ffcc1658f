"""Nothing of a user's is harmed: how files are written, whatever is there already and whoever else writes."""

from __future__ import annotations

import ast
import os
import resource
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from videostyle import files
from videostyle.errors import SinkError, UsageError
from videostyle.files import check_distinct, check_output, check_sequence, fit_name
from videostyle.partial_files import PartialFile, atomic_write, lock_folder, remove_stale, reserve_output


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.mp4"
    path.write_bytes(b"precious")
    return path


# What is refused


def link(path: Path, to: Path) -> Path:
    path.symlink_to(to)
    return path


def hard_link(path: Path, to: Path) -> Path:
    path.hardlink_to(to)
    return path


@pytest.mark.parametrize("make", [link, hard_link, lambda path, to: to, lambda path, to: to.parent / "." / to.name])
def test_the_source_is_never_written_to_under_any_name(source: Path, make: object) -> None:
    target = make(source.with_name("other.mp4"), source)  # type: ignore[operator]
    with pytest.raises(UsageError, match="is the input itself"):
        check_output(target, overwrite=True, sources=[None, source])
    with pytest.raises(UsageError, match="is the input itself"):
        atomic_write(target, b"new", sources=[source])
    assert source.read_bytes() == b"precious"


def test_a_picture_of_the_source_sequence_is_the_source(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"shot_{number:03}.png").write_bytes(b"precious")
    for sources in ([tmp_path], [tmp_path / "shot_%03d.png"]):
        with pytest.raises(UsageError, match="is the input itself"):
            check_output(tmp_path / "shot_002.png", overwrite=True, sources=sources)
        with pytest.raises(UsageError, match="is the input itself"):
            check_sequence(tmp_path / "shot_%03d.png", overwrite=True, sources=sources)
    check_output(tmp_path / "shot_003.png", overwrite=False, sources=[tmp_path])
    assert check_sequence(tmp_path / "other_%03d.png", overwrite=False) == set()


def test_what_exists_is_replaced_only_when_told(source: Path) -> None:
    with pytest.raises(UsageError, match="exists already"):
        atomic_write(source, b"new", overwrite=False)
    assert source.read_bytes() == b"precious"
    atomic_write(source, b"new")
    assert source.read_bytes() == b"new"
    assert names(source.parent) == ["source.mp4"]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("folder", UsageError, "is a folder"),
        ("pipe", UsageError, "not a regular file"),
        ("none/out.mp4", SinkError, "there is no folder"),
        ("source.mp4/out.mp4", SinkError, "there is no folder"),
        ("nowhere", SinkError, "there is no folder"),
        ("round", SinkError, "cannot be written"),
        ("x" * 256, SinkError, "the name is too long, 256 bytes"),
        ("ü" * 128, SinkError, "the name is too long, 256 bytes"),
        ("nul\0byte.mp4", UsageError, "is not a valid file name"),
    ],
)
def test_what_cannot_be_written_is_told_in_one_line(
    source: Path, name: str, error: type[Exception], message: str
) -> None:
    folder = source.parent
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "nowhere").symlink_to(folder / "gone" / "out.mp4")
    (folder / "round").symlink_to(folder / "round")
    before = names(folder)
    with pytest.raises(error, match=message) as caught:
        PartialFile(folder / name)
    assert "\n" not in str(caught.value)
    assert names(folder) == before


def test_two_outputs_of_one_command_are_two_files(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(tmp_path / "a.json")
    check_distinct([tmp_path / "a.json", tmp_path / "b.json", None, None])
    with pytest.raises(UsageError, match="is not a valid file name"):
        check_distinct([tmp_path / "a\0b.json"])
    with pytest.raises(UsageError, match="named for two outputs"):
        check_distinct([tmp_path / "a.json", tmp_path / "link.json"])


# How a file grows


def test_a_file_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    growing = PartialFile(target)
    assert names(tmp_path) == []
    growing.claim().write_bytes(b"half")
    assert not target.exists()
    growing.commit()
    assert names(tmp_path) == ["out.mp4"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_written_through_and_stays(tmp_path: Path, there: bool) -> None:
    (tmp_path / "elsewhere").mkdir()
    real = tmp_path / "elsewhere" / "real.mp4"
    if there:
        real.write_bytes(b"old")
        real.chmod(0o600)
    target = tmp_path / "out.mp4"
    target.symlink_to(real)
    atomic_write(target, b"new", overwrite=there)
    assert target.is_symlink()
    assert real.read_bytes() == b"new"
    assert names(real.parent) == ["real.mp4"]
    if there:
        assert stat.S_IMODE(real.stat().st_mode) == 0o600, "as private as before"


@pytest.mark.parametrize("length", [5, 200, 246, 247, 250, 254, 255])
def test_names_of_every_length_can_be_written_and_kept(tmp_path: Path, length: int) -> None:
    name = "n" * (length - 4) + ".mp4"
    atomic_write(tmp_path / name, b"whole")
    growing = PartialFile(tmp_path / name, overwrite=True)
    growing.claim().write_bytes(b"half")
    kept = growing.keep()
    assert kept.read_bytes() == b"half"
    assert kept.suffix == Path(name).suffix
    assert (tmp_path / name).read_bytes() == b"whole"
    assert len(names(tmp_path)) == 2


def test_long_names_that_begin_alike_stay_apart(tmp_path: Path) -> None:
    for letter in ("a", "é"):
        one, other = (fit_name(letter * 400 + end, ".mp4", tmp_path) for end in ("x", "y"))
        assert one != other
        for name in (one, other):
            assert len(os.fsencode(name)) <= 255
            assert name.startswith(letter * 100)
            assert name.endswith(".mp4")
            assert Path(name).stem.encode().decode() == Path(name).stem
    assert fit_name("short", ".mp4", tmp_path) == "short.mp4"


def test_what_is_kept_is_never_lost_to_a_later_run(tmp_path: Path) -> None:
    kept = []
    for number in range(3):
        growing = PartialFile(tmp_path / "out.mp4", sources=kept)
        growing.claim().write_bytes(b"%d" % number)
        kept.append(growing.keep())
    assert [path.read_bytes() for path in kept] == [b"0", b"1", b"2"]
    assert [path.name for path in kept] == ["out.unfinished.mp4", "out.unfinished-2.mp4", "out.unfinished-3.mp4"]


def test_a_growing_file_that_is_the_source_is_left_alone(tmp_path: Path) -> None:
    mine = PartialFile(tmp_path / "out.mp4").partial
    mine.write_bytes(b"precious")
    growing = PartialFile(tmp_path / "out.mp4", sources=[mine])
    growing.claim().write_bytes(b"new")
    growing.commit()
    assert mine.read_bytes() == b"precious"
    assert (tmp_path / "out.mp4").read_bytes() == b"new"


@pytest.mark.parametrize("links", [True, False])
def test_what_came_to_exist_meanwhile_is_left_alone(
    tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "no hard links here")

    if not links:
        monkeypatch.setattr(os, "link", refused)
    target = tmp_path / "out.mp4"
    growing = PartialFile(target)
    growing.claim().write_bytes(b"mine")
    target.write_bytes(b"theirs")
    with pytest.raises(SinkError, match=r"is not overwritten; the output is .*out\.unfinished\.mp4"):
        growing.commit()
    assert target.read_bytes() == b"theirs"
    assert (tmp_path / "out.unfinished.mp4").read_bytes() == b"mine"
    atomic_write(tmp_path / "free.mp4", b"new", overwrite=False)
    assert names(tmp_path) == ["free.mp4", "out.mp4", "out.unfinished.mp4"]


@pytest.mark.parametrize("data", [b"x" * 100_000, "x" * 100_000])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, data: bytes | str, small_disk: None) -> None:
    target = tmp_path / "report.json"
    for there in (False, True):
        if there:
            target.write_bytes(b"old")
        with pytest.raises(SinkError, match="the disk is full"):
            atomic_write(target, data)
        assert names(tmp_path) == ["report.json"] * there
    assert target.read_bytes() == b"old"


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may grow beyond 20 kB."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    atomic_write(pipe, "told")
    reader.join()
    assert read == [b"told"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    atomic_write(os.devnull, "told")
    assert not stat.S_ISREG(os.stat(os.devnull).st_mode)


# Two at once


def test_who_comes_second_is_told_and_the_first_is_not_disturbed(tmp_path: Path) -> None:
    first = PartialFile(tmp_path / "out.mp4", overwrite=True)
    second = PartialFile(tmp_path / "out.mp4", overwrite=True)
    first.claim().write_bytes(b"first")
    with pytest.raises(SinkError, match="another run is writing it"):
        second.claim()
    with pytest.raises(SinkError, match="another run is writing it"):
        PartialFile(tmp_path / "out.mp4", overwrite=True)
    second.discard()
    first.commit()
    assert (tmp_path / "out.mp4").read_bytes() == b"first"
    second.claim().write_bytes(b"second")
    second.commit()
    assert (tmp_path / "out.mp4").read_bytes() == b"second"
    assert names(tmp_path) == ["out.mp4"]


def test_many_processes_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    code = """
        import sys
        from videostyle.errors import VideostyleError
        from videostyle.partial_files import PartialFile
        sys.stdin.readline()
        try:
            growing = PartialFile(sys.argv[1])
            growing.claim().write_text(sys.argv[2] * 100_000)
            print("claimed", flush=True)
            sys.stdin.readline()
            growing.commit()
        except VideostyleError as error:
            print(error)
    """
    argv = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "out.mp4")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    runs = [subprocess.Popen([*argv, name], **pipes) for name in "abcd"]  # type: ignore[call-overload]
    for run in runs:
        run.stdin.write("go\n")
        run.stdin.flush()
    said = [run.stdout.readline().strip() for run in runs]
    for run in runs:
        run.communicate("go\n")
    assert said.count("claimed") == 1
    assert sum("another run is writing it" in line for line in said) == 3
    text = (tmp_path / "out.mp4").read_text()
    assert text == "abcd"[said.index("claimed")] * 100_000
    assert names(tmp_path) == ["out.mp4"]


def test_what_a_killed_run_left_is_taken_over(tmp_path: Path) -> None:
    code = """
        import os, sys
        from videostyle.partial_files import PartialFile
        PartialFile(sys.argv[1]).claim().write_bytes(b"left behind")
        os.kill(os.getpid(), 9)
    """
    target = tmp_path / "out.mp4"
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(target)], check=False)
    assert len(names(tmp_path)) == 1
    assert not target.exists()
    atomic_write(target, b"new")
    assert names(tmp_path) == ["out.mp4"]
    assert target.read_bytes() == b"new"


def test_a_leftover_that_is_also_the_finished_file_does_no_harm(tmp_path: Path) -> None:
    """A run killed between taking the final name and giving up the other."""
    target = tmp_path / "out.mp4"
    target.write_bytes(b"whole")
    growing = PartialFile(target, overwrite=True)
    growing.partial.hardlink_to(target)
    growing.claim().write_bytes(b"new")
    assert target.read_bytes() == b"whole"
    growing.commit()
    assert target.read_bytes() == b"new"


def test_without_locks_two_runs_have_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videostyle.partial_files.fcntl", None)
    growing = [PartialFile(tmp_path / "out.mp4", overwrite=True) for _ in range(2)]
    for number, one in enumerate(growing):
        one.claim().write_bytes(b"%d" % number)
    growing[0].commit()
    assert (tmp_path / "out.mp4").read_bytes() == b"0"
    growing[1].commit()
    assert (tmp_path / "out.mp4").read_bytes() == b"1"
    assert names(tmp_path) == ["out.mp4"]


def test_a_report_is_held_from_the_beginning_and_written_at_the_end(tmp_path: Path, source: Path) -> None:
    path = tmp_path / "report.json"
    with reserve_output(path, overwrite=False, sources=[source]) as write:
        assert not path.exists()
        with pytest.raises(SinkError, match="another run is writing it"), reserve_output(path, overwrite=True):
            raise AssertionError("it was held twice")
        write("{}")
    assert path.read_text() == "{}"
    with (
        pytest.raises(UsageError, match="is the input itself"),
        reserve_output(source, overwrite=True, sources=[source]),
    ):
        pass
    with pytest.raises(RuntimeError), reserve_output(path, overwrite=True) as write:
        raise RuntimeError
    with reserve_output(None, overwrite=False) as write:
        write("nowhere")
    with reserve_output(os.devnull, overwrite=False) as write:
        write("nowhere")
    assert names(tmp_path) == ["report.json", "source.mp4"]
    assert path.read_text() == "{}"


def test_a_folder_is_held_by_one_run_until_that_ends(tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from videostyle.partial_files import lock_folder
        with lock_folder(Path(sys.argv[1]), "a run"):
            print("held", flush=True)
            sys.stdin.readline()
    """
    argv = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "work")]
    owner = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "held\n"
    with pytest.raises(SinkError, match="another run is at work there"), lock_folder(tmp_path / "work", "another run"):
        pass
    owner.kill()
    owner.communicate()
    with lock_folder(tmp_path / "work", "another run"):
        pass


def test_a_folder_in_which_nothing_was_made_is_not_left(tmp_path: Path) -> None:
    with lock_folder(tmp_path / "new" / "work", "a run"):
        assert (tmp_path / "new" / "work").is_dir()
    assert names(tmp_path) == []
    with pytest.raises(RuntimeError), lock_folder(tmp_path / "work", "a run", "other.lock"):
        raise RuntimeError
    assert names(tmp_path) == []
    with lock_folder(tmp_path / "new" / "work", "a run"):
        (tmp_path / "new" / "work" / "result").touch()
    assert names(tmp_path / "new" / "work") == ["lock", "result"]
    (tmp_path / "mine").mkdir()
    with lock_folder(tmp_path / "mine", "a run"):
        pass
    assert (tmp_path / "mine").is_dir()


def test_nobody_else_writes_files() -> None:
    """But for journals, a server's notes and downloads in its own folder, names for whole files not yet final, standard
    output, and copies of the beginning of a pipe in a temporary folder.
    """
    package = Path(files.__file__).parent
    found = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func).replace("av.open", "av")
                modes = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
                opens = name.rpartition(".")[2] == "open" and any(mode in ("w", "wb", "a", "x") for mode in modes)
                if name in ("os.replace", "os.rename") or name.endswith((".write_text", ".write_bytes")) or opens:
                    found.add(path.relative_to(package).as_posix())
    assert found == {
        *("partial_files.py", "written_files.py", "train/journal.py", "batch/journal.py", "batch/tasks.py"),
        *("io/boxes.py", "web/storage.py", "service/worker.py"),
        *("cli/pipes.py", "io/pipes.py", "io/comparison.py"),
    }


# What dead runs have left


def left_by_a_killed_run(path: Path) -> Path:
    """The growing file that a run leaves when it is killed at its work on `path`."""
    growing = PartialFile(path)
    growing.claim()
    growing.write(b"half")
    assert growing._descriptor is not None
    os.close(growing._descriptor)  # as the system does
    return growing.partial


@pytest.mark.parametrize("name", ["film.mp4", "x" * 251 + ".mp4", "a[1]-%03d.png"])
def test_what_a_dead_run_left_is_removed_and_nothing_else(tmp_path: Path, name: str) -> None:
    dead = [left_by_a_killed_run(tmp_path / name)]
    if "%" in name:
        dead.append(left_by_a_killed_run(tmp_path / (name % 7)))
    for other in ("film.mp4", ".other.mp4.partial", ".film.mp4.part", "film.mp4.partial", ".film.mp4.notes.partial"):
        (tmp_path / other).write_bytes(b"precious")
    (tmp_path / "there").mkdir()
    living = PartialFile(tmp_path / "there" / name)
    living.claim()
    before = names(tmp_path)
    remove_stale(tmp_path / "there" / name)
    remove_stale(tmp_path / name)
    assert living.partial.exists()
    assert names(tmp_path) == sorted(set(before) - {path.name for path in dead})
    living.discard()
    remove_stale(tmp_path / "gone" / name)


def test_a_dead_runs_folder_is_removed_and_no_other(tmp_path: Path) -> None:
    for name in (".dead.learning", ".living.learning", ".mine", "visible"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious").touch()
    for name in (".dead.learning", "visible"):
        (tmp_path / name / "lock").touch()
    with lock_folder(tmp_path / ".living.learning", "this test"):
        for path in list(tmp_path.iterdir()):
            remove_stale(path)
    assert names(tmp_path) == [".living.learning", ".mine", "visible"]
