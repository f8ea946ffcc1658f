"""Subtitles that cannot be decoded, one line or all of them, are no reason to stop."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import media
import pytest
from painting import paint

F = Fraction
QUICK = {"preset": "ultrafast", "crf": "30"}
HEADER = (
    b"[Script Info]\nScriptType: v4.00+\n"
    b"[V4+ Styles]\nFormat: Name, Fontname, Fontsize\nStyle: Default,Arial,16\n"
    b"[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
)


def subtitled(path: Path, lines: Sequence[bytes]) -> Path:
    """A film with these packets of subtitles, one every 200 ms, whatever is in them."""
    with av.open(str(path), "w") as out:
        film = out.add_stream("libx264", rate=25, options=QUICK)
        film.width, film.height = 64, 48
        text = out.add_stream("mov_text" if path.suffix in (".mp4", ".mov") else "srt")
        text.codec_context.subtitle_header = HEADER
        text.codec_context.time_base = F(1, 1000)
        out.start_encoding()
        for index in range(25):
            frame = media.frame_of(media.natural((64, 48), "yuv420p", index), "yuv420p")
            frame.pts, frame.time_base = index, F(1, 25)
            out.mux(film.encode(frame))
        out.mux(film.encode(None))
        for number, line in enumerate(lines):
            packet = av.Packet(line)
            packet.pts = packet.dts = 200 * number
            packet.duration, packet.time_base, packet.stream = 150, F(1, 1000), text
            out.mux(packet)
    return path


def read(path: Path) -> list[str]:
    """The text of each line of subtitles."""
    with av.open(str(path)) as film:
        stream = film.streams.subtitles[0]
        found = []
        for packet in film.demux(stream):
            for line in stream.codec_context.decode2(packet) or () if packet.size else ():
                found.append(line.dialogue.decode())
        return [words for line in found if (words := re.sub(r"\{.*?\}", "", line))]


@pytest.mark.parametrize("target", ["mp4", "mov", "webm"])
def test_a_line_in_an_old_code_page_is_read_and_told(tmp_path: Path, target: str) -> None:
    source = subtitled(tmp_path / "in.mkv", [b"One", "Zwölf".encode("latin-1"), "Drei ü".encode(), b"Four"])
    said = [line for line in paint(source, tmp_path / f"out.{target}") if "subtitle" in line]
    assert len(said) == 2
    assert said[1].endswith("lines 1 not in UTF-8, read as Windows-1252")
    assert read(tmp_path / f"out.{target}") == ["One", "Zwölf", "Drei ü", "Four"]
    assert len(media.times(tmp_path / f"out.{target}")) == 25


def test_a_line_that_cannot_be_decoded_is_left_out_and_told(tmp_path: Path) -> None:
    # The third says that it is longer than it is, the fourth has no room for its length.
    lines = [b"\0\3One", b"\0\3Two", b"\xff\xffThree", b"\0", b"\0\4Four"]
    source = subtitled(tmp_path / "in.mp4", lines)
    paint(source, tmp_path / "out.mkv")
    found = read(tmp_path / "out.mkv")
    assert (found[:2], found[-1]) == (["One", "Two"], "Four")
    assert len(media.times(tmp_path / "out.mkv")) == 25


@pytest.mark.parametrize("tag", [b"stpp", b"sbtt", b"qqqq"])
@pytest.mark.parametrize("target", ["mp4", "mov", "mkv", "webm"])
def test_subtitles_without_a_decoder_are_dropped_in_one_line(tmp_path: Path, tag: bytes, target: str) -> None:
    source = subtitled(tmp_path / "in.mp4", [b"\0\3One", b"\0\3Two"])
    data = source.read_bytes()
    at = data.index(b"tx3g", data.index(b"moov"))
    source.write_bytes(data[:at] + tag + data[at + 4 :])
    said = [line for line in paint(source, tmp_path / f"out.{target}") if "stream 1" in line]
    with av.open(str(tmp_path / f"out.{target}")) as film:
        copied = len(film.streams) == 2  # as data, which mov holds of any kind
    assert len(said) == 1 - copied
    assert all("dropped" in line for line in said)
    assert not copied or target == "mov"
    assert len(media.times(tmp_path / f"out.{target}")) == 25


def crc32_mpeg(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc


@pytest.mark.parametrize(
    ("name", "descriptor"),
    [
        ("teletext", bytes([0x56, 5]) + b"eng\x09\0"),
        ("AC-4", bytes([0x7F, 2, 0x15, 0])),
        ("ARIB captions", bytes([0x52, 1, 0x30, 0xFD, 3, 0, 8, 0x3D])),
        ("nothing known", bytes([0xFE, 1, 7])),
    ],
)
def test_broadcast_streams_without_a_decoder_are_dropped_in_one_line(
    tmp_path: Path, name: str, descriptor: bytes
) -> None:
    source = media.film(tmp_path / "in.ts", 25, options=QUICK, time_base=F(1, 90000), tone="mp2")
    data = bytearray(source.read_bytes())
    for start in range(0, len(data), 188):
        pid = (data[start + 1] & 0x1F) << 8 | data[start + 2]
        at = start + 5 + data[start + 4]
        if not data[start + 1] & 0x40 or data[at] != 2 or pid == 0x11:  # a programme map
            continue
        length = (data[at + 1] & 0xF) << 8 | data[at + 2]
        stream = bytes([6, 0xE1, 0x55, 0xF0, len(descriptor)]) + descriptor
        section = bytearray(data[at : at + 3 + length - 4]) + stream
        struct_length = len(section) - 3 + 4
        section[1], section[2] = 0xB0 | struct_length >> 8, struct_length & 0xFF
        section += crc32_mpeg(bytes(section)).to_bytes(4, "big")
        data[at : at + len(section)] = section
    assert bytes(data) != source.read_bytes()
    # One packet for the new stream, so that FFmpeg takes it for real.
    payload = b"\0\0\1\xbd\0\x36\x84\x80\x05\x21\0\x09\x7e\x41" + b"\x10" * 48
    packet = bytes([0x47, 0x41, 0x55, 0x30, 183 - len(payload), 0]) + b"\xff" * (182 - len(payload)) + payload
    source.write_bytes(bytes(data[: 188 * 12]) + packet + bytes(data[188 * 12 :]))
    with av.open(str(source)) as film:
        assert len(film.streams) == 3
    said = [line for line in paint(source, tmp_path / "out.mkv") if "stream 2" in line]
    assert len(said) == 1, name
    assert "dropped" in said[0]
    assert len(media.times(tmp_path / "out.mkv")) == 25
