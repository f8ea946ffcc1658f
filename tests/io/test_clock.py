"""Times as a player shows them, whatever clock the file has: joined, wrapped, late, or made up by FFmpeg."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import media
import numpy as np
import pytest
from painting import clicks, heard, paint, times_shown

from videostyle.io import open_source, probe
from videostyle.timeline import Span

F = Fraction
TS = {"time_base": F(1, 90000), "options": {"preset": "ultrafast", "bf": "2"}}
QUICK = {"preset": "ultrafast", "crf": "30"}
STEP = F(1, 25)
TICK = F(1, 1000)
"""The coarsest clock of the containers that are written here."""


def even(shown: list[Fraction], count: int, step: Fraction = STEP) -> None:
    """Assert that so many pictures are shown one `step` after the other."""
    assert len(shown) == count
    for number, time in enumerate(shown):
        assert abs(time - shown[0] - number * step) <= TICK


def remuxed(source: Path, target: Path, change: Callable[[av.Packet[Any]], None], **options: str) -> Path:
    """A copy of a film in which every packet was changed."""
    with av.open(str(source)) as film, av.open(str(target), "w", container_options=options) as out:
        twins = {stream.index: out.add_stream_from_template(stream, opaque=True) for stream in film.streams}
        for packet in film.demux():
            if packet.dts is not None:
                change(packet)
                packet.stream = twins[packet.stream_index]
                out.mux(packet)
    return target


def later(seconds: Fraction) -> Callable[[av.Packet[Any]], None]:
    def change(packet: av.Packet[Any]) -> None:
        ticks = round(seconds / Fraction(packet.time_base))
        packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks

    return change


# Clocks that start again


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_joined_recordings_play_one_after_the_other(tmp_path: Path, extension: str) -> None:
    part = media.film(tmp_path / "part.ts", 25, tone="mp2", **TS)
    (tmp_path / "in.ts").write_bytes(part.read_bytes() * 2)
    warned = paint(tmp_path / "in.ts", tmp_path / f"out.{extension}")
    assert [line for line in warned if "its clock starts again once" in line]
    even(times_shown(tmp_path / f"out.{extension}"), 50)
    found = clicks(heard(tmp_path / f"out.{extension}"))
    assert found == pytest.approx([0, 0.5, 1, 1.5], abs=0.05)


@pytest.mark.parametrize("name", ["silent.ts", "cells.vob"])
def test_joined_pictures_without_sound_play_one_after_the_other(tmp_path: Path, name: str) -> None:
    base = {"time_base": F(1, 25), "codec": "mpeg2video", "options": {}} if name.endswith("vob") else TS
    part = media.film(tmp_path / f"part.{name[-3:]}", 24, **base)
    (tmp_path / name).write_bytes(part.read_bytes() * 3)
    paint(tmp_path / name, tmp_path / "out.mp4")
    even(times_shown(tmp_path / "out.mp4"), 72)


def test_a_part_of_joined_recordings_is_counted_from_the_beginning(tmp_path: Path) -> None:
    part = media.film(tmp_path / "part.ts", 25, tone="mp2", **TS)
    (tmp_path / "in.ts").write_bytes(part.read_bytes() * 2)
    paint(tmp_path / "in.ts", tmp_path / "out.mp4", Span(F(6, 5), F(8, 5)))
    even(times_shown(tmp_path / "out.mp4"), 10)
    assert clicks(heard(tmp_path / "out.mp4")) == pytest.approx([0.3], abs=0.05)


# Clocks that begin elsewhere


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv"])
def test_a_clock_that_wraps_hides_nothing(tmp_path: Path, extension: str) -> None:
    plain = media.film(tmp_path / "plain.ts", 25, tone="mp2", **TS)
    wraps = F(2**33, 90000)
    source = remuxed(plain, tmp_path / "in.ts", later(wraps - F(19, 10)))
    with av.open(str(source)) as film:
        assert min(packet.pts for packet in film.demux(video=0) if packet.size) < 0  # as FFmpeg unwraps it
    paint(source, tmp_path / f"out.{extension}")
    even(times_shown(tmp_path / f"out.{extension}"), 25)
    with av.open(str(tmp_path / f"out.{extension}")) as film:
        assert all(packet.pts >= 0 for packet in film.demux(video=0) if packet.size)
    assert clicks(heard(tmp_path / f"out.{extension}")) == pytest.approx([0, 0.5], abs=0.05)


def shifted_fragments(path: Path, seconds: int) -> Path:
    """An mp4 in fragments, whose clock counts from so many seconds before, as streams of cameras have it."""
    plain = media.film(path.with_name("plain.mkv"), 25, tone="flac", options=QUICK | {"bf": "0"})
    remuxed(plain, path, lambda packet: None, movflags="frag_keyframe+empty_moov+default_base_moof")
    data = bytearray(path.read_bytes())
    scale = {}  # of each track, by its number
    at = -1
    while (at := data.find(b"tkhd", at + 1)) >= 0:
        track = struct.unpack_from(">I", data, at + 16)[0]
        scale[track] = struct.unpack_from(">I", data, data.find(b"mdhd", at) + 16)[0]
    at = -1
    while (at := data.find(b"tfhd", at + 1)) >= 0:
        track = struct.unpack_from(">I", data, at + 8)[0]
        time = data.find(b"tfdt", at)
        assert data[time + 4] == 1
        before = struct.unpack_from(">Q", data, time + 8)[0]
        struct.pack_into(">Q", data, time + 8, before + seconds * scale[track])
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", ["ts", "mkv", "mp4"])
@pytest.mark.parametrize("hours", [22, 54 * 365 * 24])
def test_a_film_that_starts_late_plays_at_once(tmp_path: Path, kind: str, hours: int) -> None:
    if kind == "mp4":
        source = shifted_fragments(tmp_path / "in.mp4", hours * 3600)
    elif kind == "ts" and hours > 26:
        pytest.skip("its clock wraps after 26.5 hours")
    else:
        plain = media.film(tmp_path / "plain.mkv", 25, tone="mp2", options=QUICK)
        source = remuxed(plain, tmp_path / f"in.{kind}", later(F(hours * 3600)))
    with av.open(str(source)) as film:
        assert film.start_time > 79000 * av.time_base
    warned = paint(source, tmp_path / "out.mp4")
    assert warned == [line for line in warned if "re-encoded" in line]
    with av.open(str(tmp_path / "out.mp4")) as film:
        assert film.start_time < av.time_base / 10
        assert film.duration < 1.2 * av.time_base
    even(times_shown(tmp_path / "out.mp4"), 25)
    assert clicks(heard(tmp_path / "out.mp4"))[:2] == pytest.approx([0, 0.5], abs=0.06)
    assert float(probe(str(source)).start or 0) < 0.1


def test_a_part_of_a_film_that_starts_late_is_found(tmp_path: Path) -> None:
    plain = media.film(tmp_path / "plain.mkv", 50, tone="mp2", options=QUICK | {"g": "10"})
    source = remuxed(plain, tmp_path / "in.ts", later(F(80000)))
    paint(source, tmp_path / "out.mp4", Span(F(6, 5), F(8, 5)))
    even(times_shown(tmp_path / "out.mp4"), 10)
    assert clicks(heard(tmp_path / "out.mp4")) == pytest.approx([0.3], abs=0.05)


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv"])
def test_a_part_before_the_sound_begins_is_painted(tmp_path: Path, extension: str) -> None:
    plain = media.film(tmp_path / "plain.mkv", 25, tone="aac", options=QUICK)

    def change(packet: av.Packet[Any]) -> None:
        if isinstance(packet.stream, av.AudioStream):
            later(F(1))(packet)

    source = remuxed(plain, tmp_path / "in.mkv", change)
    assert paint(source, tmp_path / f"out.{extension}", Span(F(0), F(2, 5))) == []
    assert len(times_shown(tmp_path / f"out.{extension}")) == 10


# Times that the file does not state


def pictures_in_order(source: Path, count: int) -> None:
    """Assert that the pictures are those of `media.film`, each at its place."""
    with open_source(str(source)) as film:
        seen = [frame.pixels[:, :, : frame.pixels.shape[2]].float().numpy() for frame in film.frames()]
    assert len(seen) == count
    for number in range(count - 1):
        # The picture pans to the left, one pixel each.
        assert np.abs(seen[number][:, :, 1:] - seen[number + 1][:, :, :-1]).mean() < 8


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_reordered_frames_in_avi_are_on_time(tmp_path: Path, codec: str) -> None:
    options = (
        {"bf": "2", "qp": "4", "preset": "fast", "x264-params": "b-adapt=0"}
        if codec == "libx264"
        else {"bf": "2", "b": "8000000"}
    )
    source = media.film(tmp_path / "in.avi", 14, codec=codec, options=options, time_base=F(1, 25), tone="mp3")
    with av.open(str(source)) as film:
        assert av.video.frame.PictureType.B in {frame.pict_type for frame in film.decode(video=0)}
    pictures_in_order(source, 14)
    warned = paint(source, tmp_path / "out.mp4")
    assert warned == []
    shown = times_shown(tmp_path / "out.mp4")
    even(shown, 14)
    assert shown[0] <= F(1, 100)


@pytest.mark.parametrize("field_order", ["tff=1", "bff=1"])
def test_raw_interlaced_h264_plays_at_its_speed(tmp_path: Path, field_order: str) -> None:
    options = {"preset": "ultrafast", "x264-params": f"{field_order}:fps=25/1:force-cfr=1"}
    source = media.film(tmp_path / "in.h264", 12, size=(64, 64), options=options)
    assert probe(str(source)).interlaced
    assert probe(str(source)).average_rate == 25
    paint(source, tmp_path / "out.mp4")
    even(times_shown(tmp_path / "out.mp4"), 12)


@pytest.mark.parametrize("rate", [F(12), F(30), F(60000, 1001), F(120)])
def test_raw_progressive_h264_plays_at_its_speed(tmp_path: Path, rate: Fraction) -> None:
    options = {"preset": "fast", "bf": "2", "x264-params": f"fps={rate}:force-cfr=1"}
    source = media.film(tmp_path / "in.h264", 12, options=options, rate=rate, time_base=1 / rate)
    assert probe(str(source)).average_rate == rate
    paint(source, tmp_path / "out.mp4")
    even(times_shown(tmp_path / "out.mp4"), 12, 1 / rate)


@pytest.mark.parametrize(
    ("size", "pix_fmt", "rate", "aspect", "extension"),
    [((720, 480), "yuv411p", F(30000, 1001), F(8, 9), "mp4"), ((720, 576), "yuv420p", F(25), F(16, 15), "mov")],
)
def test_raw_dv_has_the_rate_of_a_television(
    tmp_path: Path, size: tuple[int, int], pix_fmt: str, rate: Fraction, aspect: Fraction, extension: str
) -> None:
    source = media.film(
        tmp_path / "in.dv", 4, size, pix_fmt, codec="dvvideo", options={}, rate=rate, time_base=1 / rate,
        aspect=aspect, interlaced=True, tone="pcm_s16le",
    )  # fmt: skip
    info = probe(str(source))
    assert (info.average_rate, info.sample_aspect_ratio, info.interlaced) == (rate, aspect, True)
    paint(source, tmp_path / f"out.{extension}")
    even(times_shown(tmp_path / f"out.{extension}"), 4, 1 / rate)
    assert probe(str(tmp_path / f"out.{extension}")).sample_aspect_ratio == aspect
