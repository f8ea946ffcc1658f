"""Films through pipes: `stylize - -o -` reads once, goes back nowhere, and keeps times, sound and colours."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, cast

import av
import media
import pytest
from command import failing, told

from videostyle.errors import SinkError, SourceError, UsageError
from videostyle.io import InputFormat, PipeInput, PipeOutput, open_sink, open_source
from videostyle.io.pipes import PipeBytes
from videostyle.pipeline import render
from videostyle.plan import RenderPlan
from videostyle.report import RenderReport

IRREGULAR = [0, 512, 1280, 1536, 2560, 4262, 4608, 5120]
BASE = Fraction(1, 12800)
BT709 = ("bt709", "tv", "bt709", "bt709")


class Pipe(io.RawIOBase):
    """Bytes that come in small pieces, from which nobody can seek."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, 5000))

    def seekable(self) -> bool:
        return False


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Eight frames at irregular times with sound, a title and the tags of BT.709."""
    pictures = [media.natural((64, 48), "yuv420p", index) for index in range(8)]
    path = tmp_path / "film.mkv"
    return media.write_film(path, pictures, times=IRREGULAR, color=BT709, tone="flac", tags={"title": "Waves"})


@pytest.fixture
def nut(film: Path) -> bytes:
    """The same film in nut, copied packet by packet."""
    return remuxed(film, "nut")


def remuxed(path: Path, format: str) -> bytes:
    """A film in another format, copied packet by packet, as `ffmpeg -c copy -f nut -` does."""
    out = io.BytesIO()
    with av.open(str(path)) as source, av.open(out, "w", format=format) as target:
        target.metadata.update(source.metadata)
        copies = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                target.mux(packet)
    return out.getvalue()


def piped(data: bytes, format: str = "nut", output: str = "", **settings: Any) -> tuple[bytes, RenderReport]:
    """Render from a pipe; return the bytes that come out, none where a file is written, and the report."""
    out = io.BytesIO()
    pipe = PipeInput(cast(BinaryIO, Pipe(data)), format=settings.pop("input_format", None))
    plan = RenderPlan.of("-", output or "-", **{"style": "none", "stabilize": 0, **settings})
    with open_source(pipe) as source:
        sink = open_sink(
            output or PipeOutput(out, format), source.info, plan.encode, plan.span, size=None, copy_from=pipe
        )
        report = render(plan, source=source, sink=sink)
    return out.getvalue(), report


def frames_of(data: bytes) -> list[av.VideoFrame]:
    with av.open(io.BytesIO(data)) as container:
        return list(container.decode(container.streams.video[0]))


def times_of(data: bytes) -> list[Fraction]:
    return [frame.pts * Fraction(frame.time_base.numerator, frame.time_base.denominator) for frame in frames_of(data)]


def sound_of(data: bytes) -> list[tuple[float, bytes]]:
    with av.open(io.BytesIO(data)) as container:
        return [(float(p.pts * p.time_base), bytes(p)) for p in container.demux(container.streams.audio[0]) if p.size]


@pytest.mark.parametrize("format", ["nut", "matroska"])
def test_times_sound_tags_and_colours_go_through(nut: bytes, format: str) -> None:
    out, report = piped(nut, format)
    assert times_of(out) == times_of(nut)
    assert [round(float(t), 3) for t in times_of(out)] == [round(float(t * BASE), 3) for t in IRREGULAR]
    assert [(round(time, 3), data) for time, data in sound_of(out)] == [
        (round(time, 3), data) for time, data in sound_of(nut)
    ]
    frame = frames_of(out)[0]
    assert (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc) == (1, 1, 1, 1)
    with av.open(io.BytesIO(out)) as container:
        assert container.metadata["title"] == "Waves"
    assert report.frames == 8
    assert report.warnings == []


def test_nut_is_written_without_loss(nut: bytes) -> None:
    before, after = (media.planes_of(frames_of(data)[3]) for data in (nut, piped(nut)[0]))
    assert media.psnr(before, after) > 45  # through RGB and back


def test_a_file_from_a_pipe_is_the_file_from_a_file(film: Path, tmp_path: Path) -> None:
    piped(film.read_bytes(), output=str(tmp_path / "piped.mp4"))
    render(RenderPlan.of(film, tmp_path / "plain.mp4", style="none", stabilize=0))
    assert (tmp_path / "piped.mp4").read_bytes() == (tmp_path / "plain.mp4").read_bytes()


def test_a_part_of_a_film_with_its_sound(nut: bytes) -> None:
    out, _ = piped(nut, start="0.1", end="0.33")
    assert [round(float(t), 3) for t in times_of(out)] == [0, 0.02, 0.1]
    assert 0 <= min(time for time, _ in sound_of(out)) < 0.1


def test_a_damaged_pipe_is_told_as_a_damaged_file(nut: bytes) -> None:
    out, report = piped(nut[: len(nut) // 2])
    assert 0 < len(frames_of(out)) < 8
    assert 0 < report.frames < 8


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", "is empty"),
        (b"no film at all" * 1000, "is not a film that FFmpeg knows"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2\0\0\x10\0mdat" + bytes(4088), "moov"),
    ],
)
def test_what_is_no_film_is_told_in_a_line(data: bytes, line: str) -> None:
    with pytest.raises(SourceError, match=r"^standard input: ") as told_error:
        piped(data)
    assert line in str(told_error.value)
    assert "\n" not in str(told_error.value)


def test_a_playlist_opens_nothing(film: Path) -> None:
    with pytest.raises(SourceError):
        piped(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:{film}\n#EXT-X-ENDLIST\n".encode())


@pytest.mark.parametrize("format", ["y4m", "rawvideo"])
def test_formats_of_frames_name_what_they_cannot_hold(nut: bytes, format: str) -> None:
    out, report = piped(nut, format)
    lines = "\n".join(report.warnings)
    assert "audio stream 1 (flac) dropped" in lines
    assert "frame times dropped" in lines
    assert "colour tags (" in lines
    if format == "y4m":
        assert len(frames_of(out)) == 8
    else:
        assert len(out) == 8 * 64 * 48 * 3 // 2


@pytest.mark.parametrize(("pix_fmt", "bytes_each"), [("rgb24", 3), ("gray", 1), ("nv12", 1.5), ("yuv444p10le", 6)])
def test_the_pixel_format_of_raw_video_is_chosen(nut: bytes, pix_fmt: str, bytes_each: float) -> None:
    out, _ = piped(nut, "rawvideo", pix_fmt=pix_fmt)
    assert len(out) == 8 * 64 * 48 * bytes_each


def test_y4m_holds_yuv_only(nut: bytes) -> None:
    assert frames_of(piped(nut, "y4m", pix_fmt="yuv444p")[0])[0].format.name == "yuv444p"
    with pytest.raises(UsageError, match="pix_fmt for rawvideo must be one of yuv420p"):
        piped(nut, "y4m", pix_fmt="rgb24")


def test_y4m_and_rawvideo_are_read(tmp_path: Path) -> None:
    pictures = [media.natural((64, 48), "yuv420p10le", index) for index in range(5)]
    film = media.write_film(tmp_path / "a.mkv", pictures, "yuv420p10le", codec="ffv1", rate=Fraction(30000, 1001))
    y4m, report = piped(film.read_bytes(), "y4m")
    assert not [line for line in report.warnings if "times" in line]
    assert frames_of(y4m)[0].format.name == "yuv420p10le"
    raw, _ = piped(y4m, "rawvideo")
    shape = InputFormat("rawvideo", "64x48", "30000/1001", "yuv420p10le")
    out, report = piped(raw, "nut", input_format=shape)
    assert [round(float(time), 4) for time in times_of(out)] == [round(n * 1.001 / 30, 4) for n in range(5)]
    assert media.psnr(media.planes_of(frames_of(out)[4]), pictures[4], 10) > 40


@pytest.mark.parametrize(
    ("shape", "line"),
    [
        (("rawvideo",), "needs a video_size"),
        ((None, "64x48"), "video_size is for the input format rawvideo"),
        (("nutt",), "no input format named 'nutt'"),
    ],
)
def test_wrong_formats_are_told(shape: tuple[str | None, ...], line: str) -> None:
    with pytest.raises(UsageError, match=line):
        InputFormat(*shape)


def test_the_pipe_is_read_on_while_its_beginning_is_written(nut: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = PipeInput(cast(BinaryIO, Pipe(nut)))
    before = len(pipe._bytes.head)
    pipe._bytes._stream = cast(BinaryIO, Pipe(bytes(100)))

    def write_bytes(path: Path, data: bytes) -> int:
        with memoryview(data):  # as the operating system's write holds it
            pipe._bytes.read(100)
        return len(data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pipe.head():
        assert len(pipe._bytes.head) == before + 100
    pipe.close()


def test_no_more_sound_waits_than_is_needed(nut: bytes) -> None:
    pipe = PipeInput(cast(BinaryIO, Pipe(nut)))
    with open_source(pipe) as source:  # nobody copies its sound
        assert len(list(source.frames())) == 8
        assert pipe.take() is None


class Gone(io.BytesIO):
    """A pipe whose reader goes away after some bytes."""

    def write(self, data: Any) -> int:
        if self.tell() > 3000:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        return super().write(data)


def test_a_reader_that_goes_away_is_told_in_a_line(nut: bytes) -> None:
    pipe = PipeInput(cast(BinaryIO, Pipe(nut)))
    plan = RenderPlan.of("-", "-", style="none", stabilize=0)
    with open_source(pipe) as source:
        sink = open_sink(PipeOutput(Gone(), "nut"), source.info, copy_from=pipe)
        with pytest.raises(SinkError, match=r"^standard output: the program that reads it has ended$"):
            render(plan, source=source, sink=sink)


def test_a_pipe_that_sends_nothing_holds_nobody_up() -> None:
    read_end, write_end = os.pipe()
    try:
        with open(read_end, "rb", buffering=0) as stream:
            waiting = PipeBytes(stream)
            threading.Timer(0.05, lambda: setattr(waiting, "stopped", True)).start()
            assert waiting.read(1000) == b""
    finally:
        os.close(write_end)


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["stylize", "-", "--style", "none"], "standard input has no name: give -o"),
        (
            ["stylize", "{film}", "-o", "new.mp4", "--format", "nut", "--style", "none"],
            "--format is for standard output",
        ),
        (["stylize", "{film}", "-o", "-", "--dry-run", "--style", "none"], "--dry-run is for files"),
        (["stylize", "{film}", "--video-size", "4x4", "--style", "none"], "--video-size is for standard input"),
        (["stylize", "-", "-o", "-", "--start", "0:00:01:12", "--style", "none"], "write seconds"),
        (["batch", "-", "-o", "out", "--style", "none"], "standard input"),
        (["evaluate", "-", "{film}"], "only `stylize` and `probe` read standard input"),
    ],
)
def test_what_a_pipe_cannot_do_is_refused(
    film: Path, capsys: pytest.CaptureFixture[str], argv: list[str], line: str
) -> None:
    status, text = failing(capsys, *(word.format(film=film) for word in argv))
    assert status in (1, 2)
    assert line in told(text)


@pytest.mark.parametrize(("stream", "argv"), [("stdin", ["-", "-o", "new.mp4"]), ("stdout", ["{film}", "-o", "-"])])
def test_a_terminal_is_refused(
    film: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, stream: str, argv: list[str]
) -> None:
    monkeypatch.setattr(getattr(sys, stream), "isatty", lambda: True, raising=False)
    status, text = failing(capsys, "stylize", *(word.format(film=film) for word in argv), "--style", "none")
    assert status == 2
    assert "is a terminal" in told(text)
    assert len(told(text).splitlines()) == 1


def test_only_the_film_goes_to_standard_output(nut: bytes) -> None:
    command = [sys.executable, "-m", "videostyle", "stylize", "-", "-o", "-", "--style", "none", "--stabilize", "0"]
    done = subprocess.run(command, input=nut, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert times_of(done.stdout) == times_of(nut)
    assert b"8 frames" in done.stderr


def test_a_reader_that_ends_early_ends_the_command(nut: bytes) -> None:
    command = [sys.executable, "-m", "videostyle", "stylize", "-", "-o", "-", "--style", "none", "-q"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdin
        assert run.stdout
        assert run.stderr
        run.stdout.close()
        run.stdin.write(nut)
        run.stdin.close()
        assert run.stderr.read().decode() == "videostyle: standard output: the program that reads it has ended\n"
    assert run.returncode == 1


def test_probe_describes_a_pipe(nut: bytes) -> None:
    command = [sys.executable, "-m", "videostyle", "probe", "-"]
    done = subprocess.run(command, input=nut, capture_output=True, timeout=120)
    assert b"64x48 h264" in done.stdout
