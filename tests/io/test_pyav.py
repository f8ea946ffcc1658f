"""What PyAV says of streams, tags and frames means the same in every version that is supported."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import media
import numpy as np
import pytest
from av.sidedata.sidedata import Type as SideDataType

from videostyle.io import probe
from videostyle.io.info import open_container
from videostyle.io.pyav import (
    codec_of,
    fraction,
    kind_of,
    open_input,
    open_output,
    printable,
    side_data_of,
    time_base_of,
)
from videostyle.types import VideoInfo


@pytest.mark.parametrize("unset", [None, (0, 1), (0, 0), (1, 0), (-1, 0)])
def test_what_ffmpeg_has_not_set_is_none(unset: tuple[int, int] | None) -> None:
    number = None if unset is None else SimpleNamespace(numerator=unset[0], denominator=unset[1])
    assert fraction(number) is None
    assert time_base_of(SimpleNamespace(time_base=number)) == Fraction(1, 1_000_000)
    assert time_base_of(SimpleNamespace(time_base=number), Fraction(1, 25)) == Fraction(1, 25)


def test_a_film_is_described_in_fractions_of_python(tmp_path: Path) -> None:
    info = probe(str(media.film(tmp_path / "in.mp4", 4, rate=Fraction(30000, 1001), time_base=Fraction(1, 30000))))
    assert isinstance(info, VideoInfo)
    numbers = (info.time_base, info.average_rate, info.start, info.duration, info.sample_aspect_ratio)
    assert [type(number) for number in numbers] == [Fraction] * 5
    # PyAV 19's own rationals have 32 bits and round what does not fit.
    assert info.time_base * info.time_base * info.time_base == Fraction(1, 30000**3)


def test_time_bases_of_streams_packets_and_frames_are_exact(tmp_path: Path) -> None:
    path = media.film(tmp_path / "in.mp4", 2, time_base=Fraction(1, 15360))
    with open_container(str(path)) as container:
        stream = container.streams.video[0]
        packet = next(container.demux(stream))
        frame = packet.decode()[0]
        for timed in (stream, packet, frame):
            assert time_base_of(timed) == Fraction(1, 15360)
            assert type(time_base_of(timed)) is Fraction


def test_kinds_and_codecs_of_streams(tmp_path: Path) -> None:
    path = media.film(tmp_path / "in.mkv", 2, time_base=Fraction(1, 1000), tone="aac")
    with av.open(str(path)) as source, av.open(str(tmp_path / "more.mkv"), "w") as out:
        twins = [out.add_stream_from_template(stream) for stream in source.streams]
        out.add_attachment("sign.ttf", "font/ttf", b"letters")
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = twins[packet.stream_index]
                out.mux(packet)
    with open_container(str(tmp_path / "more.mkv")) as container:
        found = [(kind_of(stream), codec_of(stream)) for stream in container.streams]
    assert found == [("video", "h264"), ("audio", "aac"), ("attachment", "sign.ttf")]


def test_side_data_comes_as_data_not_as_kinds(tmp_path: Path) -> None:
    path = media.film(tmp_path / "in.mp4", 1, rotation=(90, False, False))
    with open_container(str(path)) as container:
        attached = side_data_of(next(container.decode(video=0)))
    assert [len(bytes(data)) for data in attached if data.type == SideDataType.DISPLAYMATRIX] == [36]


def test_a_tag_that_is_not_utf8_is_copied_byte_for_byte_and_can_be_printed(tmp_path: Path) -> None:
    latin = "Caf\udce9"  # 0xE9, é in Latin-1, as old programs wrote it
    path = tmp_path / "in.mkv"
    with open_output(str(path)) as out:
        out.metadata["title"] = latin
        stream = out.add_stream("ffv1", rate=25)
        out.mux(stream.encode(media.frame_of(media.natural((16, 16), "yuv420p", 0), "yuv420p")))
        out.mux(stream.encode(None))
    with open_container(str(path)) as container:
        assert container.metadata["TITLE" if "TITLE" in container.metadata else "title"] == latin
    assert b"Caf\xe9" in path.read_bytes()
    assert printable(latin) == "Caf\N{REPLACEMENT CHARACTER}"
    assert printable("Café") == "Café"


def test_no_callback_of_pyavs_is_there_to_wait_for_pythons_lock(tmp_path: Path) -> None:
    """A decoder's thread that logs while Python frees the decoder would wait for ever."""
    av.logging.set_level(av.logging.ERROR)  # as some releases of torchvision do when imported
    try:
        with pytest.raises(av.error.FFmpegError):
            open_input(str(tmp_path / "missing.mp4"))
        assert av.logging.get_level() is None
    finally:
        av.logging.set_level(None)


def test_naming_a_codec_without_a_decoder_installs_no_log_callback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoder's thread that logs meanwhile would wait for ever."""
    path = tmp_path / "in.mov"
    with open_output(str(path)) as out:
        sound = out.add_stream("alac", rate=48000)
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 4096), np.int16), "s16p", "stereo")
        silence.sample_rate = 48000
        out.mux([*sound.encode(silence), *sound.encode(None)])
    data = path.read_bytes()
    at = data.index(b"alac", data.index(b"moov"))
    path.write_bytes(data[:at] + b"ac-4" + data[at + 4 :])

    def refused(level: int | None) -> None:
        raise AssertionError(f"FFmpeg's log is set to {level}")

    with open_container(str(path)) as container:
        monkeypatch.setattr(av.logging, "set_level", refused)
        assert codec_of(container.streams[0]) == "ac4"
        monkeypatch.setattr(sys, "executable", "/usr/bin/editor")  # Python inside another program, which is not run
        path.write_bytes(path.read_bytes() + b"\0\0\0\x08free")
        assert codec_of(container.streams[0]) == "unknown"
