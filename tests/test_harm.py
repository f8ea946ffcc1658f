"""Commands as a user gives them: nothing of the user's is harmed, and what ends otherwise than planned ends cleanly."""

from __future__ import annotations

import errno
import io
import os
import shlex
import shutil
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import av
import cv2
import media
import numpy as np
import pytest
from command import failing, told

from videostyle.__main__ import entry
from videostyle.cli import main
from videostyle.io.names import output_name
from videostyle.partial_files import reserve_output


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return media.film(tmp_path / "film.mp4", 8, (64, 48))


@pytest.fixture
def painted(tmp_path: Path, film: Path) -> Path:
    path = tmp_path / "painted.mp4"
    shutil.copyfile(film, path)
    return path


STYLIZE = ["stylize", "{film}", "-o", "{folder}/new.mp4", "--style", "none", "-q"]
EVALUATE = ["evaluate", "{film}", "{painted}", "--perceptual-every", "0", "-q"]


@pytest.mark.parametrize(
    "argv",
    [
        [*STYLIZE, "--report", "{film}"],
        [*STYLIZE, "--report", "{film}", "--overwrite"],
        [*STYLIZE, "--report", "{folder}/link.mp4", "--overwrite"],
        [*STYLIZE, "--report", "{folder}/mine.json"],
        [*STYLIZE, "--report", "{folder}/new.mp4"],
        [*STYLIZE, "--report", "{folder}/new.mp4", "--overwrite"],
        [*STYLIZE, "--mask", "{folder}/m.png", "--report", "{folder}/m.png", "--overwrite"],
        [
            "stylize",
            "{film}",
            "-o",
            "{folder}/m.png",
            "--style",
            "none",
            "--mask",
            "{folder}/m.png",
            "--overwrite",
        ],
        ["stylize", "{film}", "-o", "{folder}/link.mp4", "--style", "none", "--overwrite"],
        ["stylize", "{film}", "-o", "{folder}/new.png", "--style", "none"],
        ["stylize", "{folder}", "-o", "{folder}/m.png", "--style", "none", "--overwrite"],
        [*EVALUATE, "--html", "{film}"],
        [*EVALUATE, "--html", "{painted}", "--overwrite"],
        [*EVALUATE, "--json", "{film}", "--overwrite"],
        [*EVALUATE, "--json", "{folder}/mine.json"],
        [*EVALUATE, "--json", "{folder}/new.json", "--html", "{folder}/new.json"],
        [*EVALUATE, "--reference", "{painted}", "--json", "{painted}", "--overwrite"],
        ["live", "--camera", "{film}", "--headless", "--report", "{film}", "-q"],
        ["live", "--camera", "{film}", "--headless", "--report", "{film}", "-q", "--overwrite"],
        ["live", "--camera", "{film}", "--headless", "-o", "{film}", "-q", "--overwrite"],
        ["paint", "{folder}/m.png", "{folder}/other.png", "-o", "{folder}/new.png", "--curve", "{folder}/other.png"],
        ["paint", "{folder}/m.png", "{folder}/other.png", "-o", "{folder}/other.png", "--overwrite"],
        ["paint", "{folder}/m.png", "{folder}/other.png", "-o", "{folder}/old.png", "--save-every", "1", "-q"],
        ["learn", "{folder}/other.png", "-o", "{folder}/mine.safetensors", "--steps", "1"],
        ["learn", "{folder}/other.png", "-o", "{folder}/sheet.safetensors", "--steps", "1"],
        ["learn", "{folder}/other.png", "-o", "{folder}/own.safetensors", "--steps", "1"],
        ["learn", "{folder}/other.png", "-o", "{folder}/busy.safetensors", "--steps", "1"],
        ["keyframes", "{film}", "--keys", "{folder}/out.keyframes/mine", "-o", "{folder}/out.mp4", "-q"],
        ["keyframes", "{film}", "--style", "{folder}/other.png", "-o", "{folder}/foreign.mp4", "-q"],
    ],
    ids=" ".join,
)
def test_no_command_writes_over_what_it_reads_or_what_is_there(
    toy_gallery: Path, film: Path, painted: Path, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    folder = film.parent
    (folder / "link.mp4").symlink_to(film)
    rng = np.random.default_rng(0)
    for name in ("m.png", "other.png", "old-0001.png", "sheet-samples.jpg"):
        cv2.imwrite(str(folder / name), rng.integers(0, 255, (96, 96, 3), np.uint8))
    for name in ("mine.json", "mine.safetensors", "own.network.safetensors"):
        (folder / name).write_text("precious")
    for name in (".busy.learning", "out.keyframes/mine", "foreign.keyframes/chosen"):
        (folder / name).mkdir(parents=True)
        (folder / name / "notes.txt").write_text("precious")
    before = contents(folder)
    status, text = failing(capsys, *(arg.format(film=film, painted=painted, folder=folder) for arg in argv))
    assert status == 2, text
    assert len(told(text).splitlines()) == 1
    after = contents(folder)
    # Where runs go on, the lock that kept others away may stay.
    assert {name: data for name, data in after.items() if not name.endswith("lock")} == before


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_names_with_percent_signs_stay_themselves(tmp_path: Path) -> None:
    for name in ("100% cotton.mp4", "100% wool.mp4", "50%d off.mp4", "50%d.png"):
        (tmp_path / name).touch()
    assert output_name(str(tmp_path / "100% cotton.mp4"), "dots") == "100% cotton-dots.mp4"
    assert output_name(str(tmp_path / "100% wool.mp4"), "dots") == "100% wool-dots.mp4"
    assert output_name(str(tmp_path / "50%d.png"), "dots") == "50d-dots.png", "one picture, and no sequence"
    assert output_name("gone/shot%d.png", "dots") == "shot-dots.mp4"


@pytest.mark.parametrize("length", [240, 247, 250, 255])
def test_films_with_long_names_are_painted(toy_gallery: Path, film: Path, length: int) -> None:
    long = film.with_name("x" * (length - 4) + ".mp4")
    film.rename(long)
    assert main(["stylize", str(long), "--style", "none", "-q"]) == 0
    (made,) = (path for path in long.parent.glob("x*.mp4") if path != long)
    assert len(media.times(made)) == 8


def test_a_link_as_output_is_written_through(toy_gallery: Path, film: Path) -> None:
    (film.parent / "disk").mkdir()
    output = film.with_name("out.mp4")
    output.symlink_to(film.parent / "disk" / "real.mp4")
    assert main(["stylize", str(film), "-o", str(output), "--style", "none", "-q"]) == 0
    assert output.is_symlink()
    assert len(media.times(film.parent / "disk" / "real.mp4")) == 8


def test_one_name_for_a_film_leaves_no_picture(
    toy_gallery: Path, film: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told before anything is painted, and where the container does not say how long it is, at the second frame."""
    argv = ["stylize", str(film), "-o", str(film.with_name("one.png")), "--style", "none", "-q"]
    for known in (True, False):
        if not known:
            monkeypatch.setattr("videostyle.types.VideoInfo.frames_in", lambda *_: None)
        status, text = failing(capsys, *argv)
        assert status == 2
        assert "one-%05d.png" in text
        assert sorted(path.name for path in film.parent.iterdir()) == ["film.mp4"]
    assert main([*argv, "--end", "0.03"]) == 0
    assert film.with_name("one.png").is_file()


def test_what_is_kept_of_a_run_can_be_the_next_one_s_film(
    toy_gallery: Path, film: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from videostyle.io.writer import VideoSink

    output, write = film.with_name("out.mp4"), VideoSink.write

    def stopped(sink: VideoSink, frame: object) -> None:
        write(sink, frame)  # type: ignore[arg-type]
        if frame.index == 5:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(VideoSink, "write", stopped)
        status, text = failing(capsys, "stylize", str(film), "-o", str(output), "--style", "none", "-q")
    assert status == 130
    kept = film.with_name("out.unfinished.mp4")
    assert str(kept) in text
    data = kept.read_bytes()
    assert main(["stylize", str(kept), "-o", str(output), "--style", "none", "-q"]) == 0
    assert kept.read_bytes() == data
    assert len(media.times(output)) == len(media.times(kept)) == 6


def test_a_sequence_is_replaced_only_when_told_and_what_remains_of_it_is_named(
    toy_gallery: Path, film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(1, 11):
        film.with_name(f"f{number:02}.png").write_bytes(b"precious")
    argv = ["stylize", str(film), "-o", str(film.with_name("f%02d.png")), "--style", "none", "-q"]
    status, text = failing(capsys, *argv)
    assert status == 2
    assert "f01.png: exists already" in text
    assert main([*argv, "--overwrite"]) == 0
    assert "2 more pictures of an earlier sequence" in capsys.readouterr().err
    assert [film.with_name(f"f{n:02}.png").read_bytes() == b"precious" for n in (1, 8, 9, 10)] == [0, 0, 1, 1]


# Odd surroundings


class Full(io.TextIOBase):
    """Standard error on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")

    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def test_a_full_standard_error_stops_nothing(toy_gallery: Path, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = film.with_name("out.mp4")
    monkeypatch.setattr(sys, "stderr", Full())
    assert main(["stylize", str(film), "-o", str(output), "--style", "none"]) == 0
    assert main(["stylize", str(film), "-o", str(output), "--style", "none"]) == 2
    assert len(media.times(output)) == 8


def test_a_result_that_cannot_be_printed_is_told(
    toy_gallery: Path, film: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = film.with_name("out.mp4")
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["stylize", str(film), "-o", str(output), "--style", "none", "-q"]) == 1
    assert told(capfd.readouterr().err) == "videostyle: the result could not be printed (No space left on device)"
    assert len(media.times(output)) == 8


def test_a_report_on_a_full_disk_is_told_and_not_there(
    toy_gallery: Path, film: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output, report, write = film.with_name("out.mp4"), film.with_name("report.json"), Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        write(path, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    argv = ["stylize", str(film), "-o", str(output), "--style", "none", "--report", str(report), "-q"]
    status, text = failing(capsys, *argv)
    assert status == 1
    assert told(text) == f"videostyle: {report}: the disk is full; free some space or write elsewhere"
    assert sorted(path.name for path in film.parent.iterdir()) == ["film.mp4", "out.mp4"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "too little memory"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:115] DefaultCPUAllocator: can't allocate memory"), "too little"),
        (RuntimeError("std::bad_alloc"), "too little memory"),
        (RuntimeError("Exception from src/inference/src/dev/plugin.cpp:54: can't alloc"), "too little memory"),
        (RuntimeError("could not create a primitive"), "too little memory"),
        (ImportError("libtorch.so: failed to map segment from shared object"), "too little memory"),
        (OSError(24, "Too many open files"), "too many files are open"),
        (ImportError("libcudart.so: cannot open shared object file: Too many open files"), "too many files are open"),
        (RuntimeError("can't start new thread"), "no more threads"),
        (FileNotFoundError(2, "No usable temporary directory found in ['/tmp']"), "set TMPDIR"),
    ],
)
def test_too_little_of_something_is_told_in_a_line(
    film: Path,
    toy_gallery: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    message: str,
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("something else") from error

    monkeypatch.setattr("videostyle.step.load_stylizer", fails)
    status, text = failing(capsys, "stylize", str(film), "-o", str(film.with_name("o.mp4")), "--style", "dots", "-q")
    assert status == 1
    assert message in told(text)
    assert "unexpected" not in text
    assert len(text.splitlines()) == 1


def test_a_decoder_without_memory_does_not_call_the_film_damaged(
    film: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(packet: object) -> NoReturn:
        raise av.error.MemoryError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr("videostyle.io.info.decoder_of", lambda stream: SimpleNamespace(decode=decode))
    status, text = failing(capsys, "stylize", str(film), "-o", str(film.with_name("o.mp4")), "--style", "none", "-q")
    assert status == 1
    assert "none of its frames can be decoded; there is too little memory" in told(text)


def test_a_current_folder_that_was_removed_is_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(SystemExit, match="the current folder is not there any more"):
        entry()


def in_shell(film: Path, redirections: str, *, limits: str = "") -> subprocess.CompletedProcess[str]:
    output = film.with_name("out.mp4")
    argv = [sys.executable, "-m", "videostyle", "stylize", str(film), "-o", str(output), "--style", "none"]
    line = f"{limits} {shlex.join(argv)} {redirections}"
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, timeout=600)


def test_closed_standard_streams_do_no_harm(film: Path) -> None:
    done = in_shell(film, "<&- >&- 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(media.times(film.with_name("out.mp4"))) == 8
    assert sorted(path.name for path in film.parent.iterdir()) == ["film.mp4", "out.mp4"]


@pytest.mark.slow
@pytest.mark.parametrize("limits", [f"ulimit -n {n};" for n in (5, 8, 12, 20, 40)] + [
    f"ulimit -v {kilobytes};" for kilobytes in (500_000, 1_500_000, 2_500_000, 4_000_000)
])  # fmt: skip
def test_a_machine_that_gives_too_little_is_told_in_a_line(film: Path, limits: str) -> None:
    done = in_shell(film, "-q", limits=limits)
    output = film.with_name("out.mp4")
    if done.returncode == 0:
        assert len(media.times(output)) == 8
        return
    assert not output.exists()
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
    assert "unexpected" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("videostyle:")]) == 1


def test_a_sink_that_is_dropped_leaves_nothing_open(tmp_path: Path, film: Path) -> None:
    import gc

    from videostyle.io import open_sink, open_source
    from videostyle.timeline import Span

    with open_source(str(film)) as source:
        frames = list(source.frames(Span()))
        before = len(os.listdir("/proc/self/fd"))
        for name in ("out.mp4", "one.png", "f%02d.png"):
            sink = open_sink(str(tmp_path / name), source.info, span=Span(end=Fraction(3, 100)))
            with pytest.raises(RuntimeError, match="inside its with block"):
                sink.write(frames[0])
            sink.__enter__()
            sink.write(frames[0])
            del sink
            gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f01.png", "film.mp4"]


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.gif", "out.png", "out-%02d.png"])
def test_of_two_at_once_the_second_is_told_before_it_paints(
    toy_gallery: Path,
    film: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    from videostyle.io import open_sink, open_source
    from videostyle.timeline import Span

    def paints(*_: object) -> None:
        raise AssertionError("it paints")

    output = str(tmp_path / name)
    with open_source(str(film)) as source:
        frames = list(source.frames(Span()))[: 1 if name == "out.png" else None]
        with open_sink(output, source.info, span=Span(end=Fraction(len(frames), 25))) as sink:
            sink.write(frames[0])
            with monkeypatch.context() as patch:
                patch.setattr("videostyle.step.load_stylizer", paints)
                for more in ([], ["--overwrite"]):
                    argv = ["stylize", str(film), "-o", output, "--style", "dots", "--end", "0.03", "-q", *more]
                    status, said = failing(capsys, *argv)
                    assert status == 1
                    assert "another run is writing it" in said
            for frame in frames[1:]:
                sink.write(frame)
    made = [path for path in sorted(tmp_path.iterdir()) if path != film and path.is_file()]
    if "%" in name:
        assert [path.name for path in made] == [f"out-{number:02}.png" for number in range(1, len(frames) + 1)]
    else:
        assert [path.name for path in made] == [name]
        with open_source(str(made[0])) as source:
            assert len(list(source.frames(Span()))) == len(frames)


@pytest.mark.parametrize("argv", [[*STYLIZE, "--report"], [*EVALUATE, "--json"], [*EVALUATE, "--html"]])
def test_who_would_write_a_report_that_another_run_writes_is_told_before_the_work(
    film: Path, painted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    words = [word.format(film=film, painted=painted, folder=tmp_path) for word in argv]
    with reserve_output(tmp_path / "r.json", overwrite=False) as write:
        status, said = failing(capsys, *words, str(tmp_path / "r.json"))
        assert status == 1
        assert told(said).endswith("another run is writing it; wait until it ends or choose another name")
        assert not (tmp_path / "new.mp4").exists()
        write("the other's")
    assert (tmp_path / "r.json").read_text() == "the other's"


def test_a_name_of_two_lines_is_told_in_one(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "a\nvideostyle: all is well.mp4"
    assert main(["stylize", str(film), "-o", str(output), "--style", "none"]) == 0
    said = capsys.readouterr()
    lines = (said.out + said.err).replace("\r", "\n").splitlines()
    assert not [line for line in lines if line.startswith("videostyle: all")]
    assert said.out == f"{tmp_path}/a videostyle: all is well.mp4\n"


@pytest.mark.skipif(sys.platform != "linux", reason="limits of other systems")
@pytest.mark.parametrize("most", [5, 6, 8])
def test_with_hardly_a_file_to_open_there_is_one_line(most: int) -> None:
    """The interpreter itself needs three or four."""
    code = f"""
import resource, sys
from videostyle.__main__ import entry
resource.setrlimit(resource.RLIMIT_NOFILE, ({most}, {most}))
sys.argv = ["videostyle", "styles"]
entry()
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    if done.returncode:
        assert done.stderr == "videostyle: too many files are open; raise the limit (ulimit -n 1024)\n"
        assert done.returncode == 1
    else:
        assert done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="limits of other systems")
@pytest.mark.parametrize(
    ("words", "count"), [(["preview", "{film}", "--style", "dots"], 40), (["studio", "--style", "dots"], 200)]
)
def test_a_page_with_hardly_a_file_to_open_is_not_served(
    toy_gallery: Path, film: Path, capsys: pytest.CaptureFixture[str], words: list[str], count: int
) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    unused = os.open(os.devnull, os.O_RDONLY)
    os.close(unused)
    resource.setrlimit(resource.RLIMIT_NOFILE, (unused + 20, before[1]))
    try:
        argv = [word.format(film=film) for word in words]
        status, text = failing(capsys, *argv, "--port", "0", "--no-browser")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert status == 2
    assert f"more files can be opened, a page needs {count}; raise the limit (ulimit -n 1024)" in text
    assert len(text.splitlines()) == 1


def test_an_error_in_a_library_s_thread_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """TensorBoard writes in a thread of its own."""

    def fail() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def begin(args: object) -> int:
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        return 0

    monkeypatch.setattr("videostyle.cli.styles.run", begin)
    before = threading.excepthook
    assert failing(capsys, "styles") == (0, "videostyle: the disk is full; free some space")
    assert threading.excepthook is before
