from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from command import failing, told

from videostyle.cli import main
from videostyle.cli.options import read_along, read_blend, read_strength, read_weighted, seconds
from videostyle.io.names import output_name
from videostyle.timeline import Key, Timeline


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Eight frames of a moving gradient, 64x48."""
    import av

    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(8):
            picture = np.add.outer(np.arange(48) * 3, np.arange(64) * 2 + 5 * index) % 256
            frame = av.VideoFrame.from_ndarray(np.repeat(picture[..., None], 3, 2).astype(np.uint8), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_a_film_is_painted_and_reported(toy_gallery: Path, film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, report = film.with_name("painted.mp4"), film.with_name("report.json")
    argv = ["stylize", str(film), "-o", str(output), "--style", "dots:2", "--style", "waves", "--report", str(report)]
    assert main([*argv, "--strength", "0.8"]) == 0
    assert output.is_file()
    told = json.loads(report.read_text())
    assert told["frames"] == 8
    assert told["style"]["blend"] == [["dots", 2.0], ["waves", 1.0]]
    assert told["encoder"]["codec"] == "h264"
    assert told["fps"] > 0
    captured = capsys.readouterr()
    assert captured.out.strip() == str(output)
    assert "8 frames" in captured.err


def test_quiet_is_quiet(toy_gallery: Path, film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stylize", str(film), "-o", str(film.with_name("q.mp4")), "--style", "dots", "-q"]) == 0
    assert capsys.readouterr().err == ""


def test_a_picture_is_painted(toy_gallery: Path, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    cv2.imwrite(str(picture), np.random.default_rng(0).integers(0, 255, (33, 47, 3), np.uint8))
    assert main(["stylize", str(picture), "--style", "lines", "-q"]) == 0
    assert cv2.imread(str(tmp_path / "a-lines.png")).shape == (33, 47, 3)


def test_part_of_a_film(toy_gallery: Path, film: Path) -> None:
    import av

    output = film.with_name("part.mp4")
    argv = ["stylize", str(film), "-o", str(output), "--style", "none", "--start", "0.1", "--end", "0:00.25", "-q"]
    assert main(argv) == 0
    with av.open(str(output)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3


@pytest.mark.parametrize(
    ("argv", "status", "message"),
    [
        (["stylize", "{film}"], 2, "--style"),
        (["stylize", "{film}", "--style", "dotz"], 2, "no style named 'dotz'; did you mean dots"),
        (["stylize", "{film}", "--style", "dots", "--strength", "2"], 2, "strength must be between 0 and 1"),
        (["stylize", "{film}", "--style", "dots", "--strength", "much"], 2, "--strength much: is not a number"),
        (["stylize", "{film}", "--style", "dots@noon"], 2, "--style dots@noon: 'noon' is not a time"),
        (["stylize", "{film}", "--style", "dots@0:05-"], 2, "is not a time"),
        (["stylize", "{film}", "--style", "dots@0:05-0:03"], 2, "a time ends before it starts"),
        (["stylize", "{film}", "--style", "dots@0-5", "--style", "lines@3"], 2, "times overlap"),
        (["stylize", "{film}", "--style", "dots@0", "--style", "lines"], 2, "--style lines: has no time"),
        (["stylize", "{film}", "--style", "dots@0", "--style", "linse@5"], 2, "no style named 'linse'; did you mean"),
        (["stylize", "{film}", "--style", "dots:0@1"], 2, "one must be above 0"),
        (["stylize", "{film}", "--style", "dots", "--strength", "0@0", "--strength", "1@x"], 2, "'x' is not a time"),
        (["stylize", "{film}", "--style", "dots", "--strength", "0", "--strength", "1"], 2, "only one at a time"),
        (["stylize", "{film}", "--style", "dots", "--strength", "2@0:01"], 2, "strength must be between 0 and 1"),
        (["stylize", "{film}", "--style", "dots", "--brush", "0"], 2, "brush must be between 0.25 and 4"),
        (["stylize", "{film}", "--style", "dots", "--brush", "big"], 2, "invalid float"),
        (["stylize", "{film}", "--style", "dots", "--statistics", "film"], 2, "invalid choice"),
        (["stylize", "{film}", "--style", "dots", "--mask", "{folder}/missing.png"], 1, "missing.png: no such file"),
        (["stylize", "{film}", "--style", "dots", "--mask", "{folder}/text.png"], 1, "text.png: is not a picture"),
        (["stylize", "{film}", "--style", "dots", "--mask-feather", "-2"], 2, "mask-feather must be between"),
        (["stylize", "{film}", "--style", "dots", "--region", "lines"], 2, "write a style and its mask, NAME=FILE"),
        (["stylize", "{film}", "--style", "dots", "--region", "lines={folder}/missing.mp4"], 1, "missing.mp4: no such"),
        (["stylize", "{film}", "--style", "dots", "--region", "linse={film}"], 2, "no style named 'linse'"),
        (["stylize", "{film}", "--style", "dots", "--size", "large"], 2, "size must look like"),
        (["stylize", "{film}", "--style", "dots", "--start", "5", "--end", "4"], 2, "end must be after start"),
        (["stylize", "{film}", "--style", "dots", "--start", "noon"], 2, "is not a time"),
        (["stylize", "{film}", "--style", "dots", "--device", "tpu"], 2, "no device 'tpu'"),
        (["stylize", "{film}", "--style", "dots", "--codec", "h265x"], 2, "h265x"),
        (["stylize", "{film}", "--style", "dots", "-o", "{film}"], 2, "is the input itself"),
        (["stylize", "{film}", "--style", "dots", "-o", "{folder}/none/out.mp4"], 1, "there is no folder"),
        (["stylize", "{film}", "--style", "dots", "--report", "{folder}/none/r.json"], 1, "there is no folder"),
        (["stylize", "{folder}/missing.mp4", "--style", "dots"], 1, "missing.mp4"),
        (["stylize", "{folder}/text.mp4", "--style", "dots"], 1, "text.mp4"),
        (["stylize", "{folder}/empty.mp4", "--style", "dots"], 1, "empty.mp4"),
        (
            ["stylize", "{film}", "--style", "dots", "--flow", "raft", "--flow-weights", "{folder}/text.mp4"],
            1,
            "text.mp4",
        ),
        (["probe", "{folder}/missing.mp4"], 1, "missing.mp4"),
        (["train", "{folder}/missing.toml"], 1, "missing.toml"),
        (["paint"], 2, "videostyle paint: the following arguments are required"),
    ],
)
def test_mistakes_get_one_clear_line(
    toy_gallery: Path,
    film: Path,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    status: int,
    message: str,
) -> None:
    film.with_name("text.mp4").write_text("this is no film, whatever its name says\n" * 20)
    film.with_name("text.png").write_text("nor a picture")
    film.with_name("empty.mp4").write_bytes(b"")
    before = sorted(film.parent.iterdir())
    got, text = failing(capsys, *(arg.format(film=film, folder=film.parent) for arg in argv))
    assert got == status
    assert message in told(text)
    assert len(told(text).splitlines()) == 1
    assert sorted(film.parent.iterdir()) == before


def test_an_existing_output_is_kept_unless_told_otherwise(
    toy_gallery: Path, film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = film.with_name("out.mp4")
    output.write_bytes(b"precious")
    status, text = failing(capsys, "stylize", str(film), "-o", str(output), "--style", "dots")
    assert status == 2
    assert "exists already" in text
    assert output.read_bytes() == b"precious"
    assert main(["stylize", str(film), "-o", str(output), "--style", "dots", "--overwrite", "-q"]) == 0
    assert output.read_bytes() != b"precious"


STOPPED = """
import sys, time
from videostyle import interrupt
from videostyle.io.writer import VideoSink
write = VideoSink.write
def slowly(sink, frame):
    write(sink, frame)
    if frame.index == 5:
        print("six", flush=True)
        while not interrupt.stop_requested():
            time.sleep(0.01)
VideoSink.write = slowly
from videostyle.__main__ import entry
entry()
"""


def test_sigterm_and_ctrl_c_leave_a_part_that_plays(toy_gallery: Path, film: Path, tmp_path: Path) -> None:
    """The program runs as a user's would, and is stopped after six frames of eight."""
    import os
    import signal

    import media

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    running = []
    for number in (signal.SIGTERM, signal.SIGINT):
        output = tmp_path / number.name / "out.mp4"
        output.parent.mkdir()
        argv = [sys.executable, "-c", STOPPED, "stylize", str(film), "-o", str(output), "--style", "dots", "-q"]
        argv += ["--engine", "torch"]
        pipe = subprocess.PIPE
        running.append((number, output, subprocess.Popen(argv, stdout=pipe, stderr=pipe, text=True, env=environment)))
    for number, output, process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "six\n"
        process.send_signal(number)
        _, err = process.communicate(timeout=300)
        assert process.returncode == 130, err
        assert "Traceback" not in err
        (kept,) = output.parent.iterdir()
        assert kept.name == "out.unfinished.mp4"
        assert str(kept) in err
        assert 6 <= len(media.times(kept)) <= 8


def test_styles_are_listed(toy_gallery: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["styles"]) == 0
    assert "dots   Dots, Nobody, 1900  (fast" in capsys.readouterr().out
    assert main(["styles", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in listed] == ["dots", "lines", "waves"]


def test_probe_tells_what_a_file_holds(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", str(film), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["width"], told["height"], told["frame_count"]) == (64, 48, 8)
    assert main(["probe", str(film)]) == 0
    assert "64x48" in capsys.readouterr().out


def test_help_needs_no_torch() -> None:
    for argv in (["--help"], ["stylize", "--help"], ["live", "--help"], ["styles"]):
        code = (
            f"import sys; sys.argv[1:] = {argv}; import videostyle.cli as c\ntry: c.main()\nexcept SystemExit: pass\n"
        )
        unneeded = {"torch", "av", "cv2"} | (set() if argv == ["styles"] else {"numpy"})  # it reads the styles' numbers
        code += f"sys.exit(bool({unneeded} & set(sys.modules)))"
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_every_public_name_is_there() -> None:
    import videostyle

    for name in videostyle.__all__:
        assert getattr(videostyle, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = videostyle.nothing


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("12", 12),
        ("1/24", Fraction(1, 24)),
        ("12.5", Fraction(25, 2)),
        ("1:02", 62),
        ("1:02:03.25", Fraction(14893, 4)),
    ],
)
def test_times_are_exact(text: str, time: Fraction) -> None:
    assert seconds(text) == time


def test_weights_follow_the_last_colon() -> None:
    assert read_weighted("great-wave") == ("great-wave", 1.0)
    assert read_weighted("great-wave:0.3") == ("great-wave", 0.3)
    assert read_weighted("C:/my styles/mine.safetensors") == ("C:/my styles/mine.safetensors", 1.0)


def test_times_of_styles_and_strengths_make_a_timeline() -> None:
    assert read_along("--style", ["a:2", "b"], read_blend) == (("a", 2.0), ("b", 1.0))
    later = Key((("b", 1.0), ("c", 3.0)), Fraction(1, 2), Fraction(2))
    texts = ["b@0:00.5-2.5", "a:2@0", "c:3@0.5-0:02.5"]
    assert read_along("--style", texts, read_blend) == Timeline((Key((("a", 2.0),)), later))
    assert read_along("--strength", ["1@5", "0@0"], read_strength) == Timeline((Key(0.0), Key(1.0, Fraction(5))))
    path = "/home/me@work/mine.safetensors"
    assert read_along("--style", [path, "my@1.safetensors"], read_blend) == ((path, 1.0), ("my@1.safetensors", 1.0))


def test_every_look_at_once(toy_gallery: Path, film: Path) -> None:
    """The film is its own mask, and its name holds an = sign."""
    mask = film.with_name("a=b.mp4")
    mask.write_bytes(film.read_bytes())
    output, report = film.with_name("out.mp4"), film.with_name("report.json")
    argv = ["stylize", str(film), "-o", str(output), "--report", str(report), "--engine", "torch", "-q"]
    argv += ["--style", "dots@0", "--style", "waves:2@0:00.1-0:00.2", "--strength", "0@0", "--strength", "1@0.2"]
    argv += ["--mask", str(mask), "--region", f"lines={mask}", "--mask-feather", "1"]
    argv += ["--keep-colors", "--brush", "1.5", "--statistics", "shot"]
    assert main(argv) == 0
    told = json.loads(report.read_text())
    assert told["style"]["regions"] == [{"blend": [["lines", 1.0]], "mask": str(mask)}]
    assert told["style"]["strength"]["keys"][1]["start"] == 0.2
    assert told["frames"] == 8


def test_the_output_is_named_after_film_and_style(tmp_path: Path) -> None:
    assert output_name("a/film.mkv", "dots") == "film-dots.mkv"
    assert output_name("film.avi", "dots+waves") == "film-dots+waves.mp4"
    assert output_name("film.M4V", "dots") == "film-dots.m4v"
    assert output_name("photo.jpg", "dots") == "photo-dots.jpg"
    assert output_name("shots/f_%05d.png", "dots") == "f-dots.mp4"
    assert output_name("shots/%05d.png", "dots") == "shots-dots.mp4"
    (tmp_path / "reel.01").mkdir()
    assert output_name(str(tmp_path / "reel.01"), "dots") == "reel.01-dots.mp4"
