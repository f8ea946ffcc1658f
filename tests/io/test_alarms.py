"""No false alarms: what is whole is not called damaged, cut off or empty."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import media
import pytest

from videostyle.errors import SourceError
from videostyle.io import open_source
from videostyle.timeline import Span

F = Fraction
QUICK = {"bf": "0", "preset": "ultrafast"}


def read(path: Path) -> tuple[int, list[str]]:
    with open_source(str(path)) as film:
        return sum(1 for _ in film.frames(Span())), film.warnings


@pytest.mark.parametrize("nothing", [b"\0\0\0\0", b"\0\0\0\2\x09\xf0", b"\0"])
@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_samples_that_hold_no_picture_are_not_damage(tmp_path: Path, extension: str, nothing: bytes) -> None:
    source = media.film(tmp_path / "in.mp4", 10, options=QUICK)
    with av.open(str(source)) as film, av.open(str(tmp_path / f"out.{extension}"), "w") as out:
        stream = out.add_stream_from_template(film.streams.video[0], opaque=True)
        for number, packet in enumerate(packet for packet in film.demux(video=0) if packet.size):
            written = packet
            if number in (4, 6):
                written = av.Packet(nothing)
                written.pts, written.dts, written.time_base = packet.pts, packet.dts, packet.time_base
            written.stream = stream
            out.mux(written)
    assert read(tmp_path / f"out.{extension}") == (8, [])


def test_a_damaged_packet_is_still_told(tmp_path: Path) -> None:
    source = media.film(tmp_path / "in.mp4", 10, options=QUICK)
    with av.open(str(source)) as film, av.open(str(tmp_path / "out.mp4"), "w") as out:
        stream = out.add_stream_from_template(film.streams.video[0], opaque=True)
        for number, packet in enumerate(packet for packet in film.demux(video=0) if packet.size):
            written = packet
            if number == 4:
                written = av.Packet(bytes(range(1, 100)))
                written.pts, written.dts, written.time_base = packet.pts, packet.dts, packet.time_base
            written.stream = stream
            out.mux(written)
    assert [line for line in read(tmp_path / "out.mp4")[1] if "damaged" in line]


def test_a_cut_without_encoding_is_not_called_cut_off(tmp_path: Path) -> None:
    source = media.film(tmp_path / "in.mp4", 100, options=QUICK | {"g": "25"})
    with av.open(str(source)) as film, av.open(str(tmp_path / "out.mp4"), "w") as out:
        stream = out.add_stream_from_template(film.streams.video[0], opaque=True)
        film.seek(int(F(32, 25) / film.streams.video[0].time_base), stream=film.streams.video[0])
        start = int(F(32, 25) / film.streams.video[0].time_base)
        for packet in film.demux(video=0):
            if packet.size:  # what lies before the cut is there to be decoded, and hidden by an edit list
                packet.pts, packet.dts = packet.pts - start, packet.dts - start
                packet.stream = stream
                out.mux(packet)
    with av.open(str(tmp_path / "out.mp4")) as film:
        assert film.streams.video[0].frames == 75
    count, warned = read(tmp_path / "out.mp4")
    assert count == 68
    assert warned == []


def test_a_film_that_is_cut_off_is_told(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "in.mp4"), "w", container_options={"movflags": "+faststart"}) as out:
        stream = out.add_stream("libx264", rate=25, options=QUICK)
        stream.width, stream.height = 64, 48
        for i in range(60):
            frame = media.frame_of(media.natural((64, 48), "yuv420p", i), "yuv420p")
            frame.pts, frame.time_base = i, F(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    data = (tmp_path / "in.mp4").read_bytes()
    (tmp_path / "in.mp4").write_bytes(data[: len(data) * 3 // 4])
    assert read(tmp_path / "in.mp4")[1]


def test_a_pipe_is_called_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "film.mp4")
    with pytest.raises(SourceError, match="is a pipe"):
        open_source(str(tmp_path / "film.mp4"))
