"""What goes in comes out: captions, projections, crops, timecode, tags; what cannot is named, and nothing else is."""

from __future__ import annotations

import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import media
import pytest
from av.stream import Disposition
from painting import WHOLE, paint

from videostyle.io import open_sink, open_source, probe
from videostyle.io.boxes import add_to_movie, spherical_box, stereo_box
from videostyle.io.pyav import fraction, side_data_of
from videostyle.io.timecode import offset_timecode
from videostyle.plan import EncodeOptions
from videostyle.timeline import Span

F = Fraction


def side_data(path: Path) -> list[dict[str, bytes]]:
    """Of each frame, by kind."""
    with av.open(str(path)) as container:
        return [{d.type.name: bytes(d) for d in side_data_of(f)} for f in container.decode(video=0)]


# Closed captions


def captioned(path: Path, words: list[bytes]) -> Path:
    """An H.264 film with a pair of CEA-608 characters in each picture, as ATSC A/53 puts them."""
    raw = path.with_suffix(".264")
    plain = media.film(raw, len(words), options={"preset": "ultrafast", "bf": "0", "crf": "30"})
    units = [unit for part in plain.read_bytes().split(b"\0\0\1") if (unit := part.rstrip(b"\0"))]
    out, number = b"", 0
    for unit in units:
        if unit[0] & 31 in (1, 5):
            message = b"\xb5\0\x31GA94\3" + bytes([0x41, 0xFF, 0xFC]) + words[number] + b"\xff"
            out += b"\0\0\0\1\6" + bytes([4, len(message)]) + message + b"\x80"
            number += 1
        out += b"\0\0\0\1" + unit
    raw.write_bytes(out)
    with av.open(str(raw)) as source, av.open(str(path), "w") as film:
        stream = film.add_stream_from_template(source.streams.video[0], opaque=True)
        packets = [packet for packet in source.demux(video=0) if packet.size]
        for at, packet in enumerate(packets):
            packet.time_base, packet.pts, packet.dts, packet.stream = F(1, 25), at, at, stream
            film.mux(packet)
    return path


WORDS = [bytes([65 + i, 97 + i]) for i in range(12)]


@pytest.mark.parametrize(("codec", "extension"), [("h264", "mp4"), ("h264", "mkv"), ("hevc", "mp4")])
def test_closed_captions_go_along_picture_by_picture(tmp_path: Path, codec: str, extension: str) -> None:
    source = captioned(tmp_path / "in.mp4", WORDS)
    assert [data["A53_CC"][1:3] for data in side_data(source)] == WORDS
    warned = paint(source, tmp_path / f"out.{extension}", options=EncodeOptions(codec=codec))
    assert [data["A53_CC"][1:3] for data in side_data(tmp_path / f"out.{extension}")] == WORDS
    assert not [line for line in warned if "captions" in line]


@pytest.mark.parametrize("extension", ["webm", "gif"])
def test_closed_captions_that_no_encoder_writes_are_named(tmp_path: Path, extension: str) -> None:
    source = captioned(tmp_path / "in.mp4", WORDS)
    warned = paint(source, tmp_path / f"out.{extension}")
    assert len([line for line in warned if line.startswith("closed captions (CEA-608/708) dropped")]) == 1


def test_captions_that_end_before_the_part_that_is_painted_are_not_missed(tmp_path: Path) -> None:
    source = captioned(tmp_path / "in.mp4", WORDS)
    with open_source(str(source)) as film:
        frames = [frame if frame.index < 6 else replace(frame, side_data=None) for frame in film.frames(WHOLE)]
    with open_sink(str(tmp_path / "out.webm"), film.info, span=Span(F(6, 25))) as sink:
        for frame in frames[6:]:
            sink.write(frame)
    assert not [line for line in sink.warnings if "captions" in line]


# All around, and in depth

SPHERE = struct.pack("=4i5I", 0, 10 << 16, -(5 << 16), 0, 0, 0, 0, 0, 0)


def all_around(path: Path) -> Path:
    """A 360-degree film whose two views lie side by side."""
    media.film(path, 5)
    add_to_movie(str(path), path.suffix[1:], 1, stereo_box(1, False) + spherical_box(SPHERE))
    first = side_data(path)[0]
    assert first["SPHERICAL"] == SPHERE
    assert struct.unpack("=i", first["STEREO3D"][:4]) == (1,)
    return path


@pytest.mark.parametrize("extension", ["mp4", "mov"])
def test_projection_and_stereo_layout_are_kept(tmp_path: Path, extension: str) -> None:
    source = all_around(tmp_path / "in.mp4")
    assert paint(source, tmp_path / f"out.{extension}") == []
    before, after = side_data(source)[0], side_data(tmp_path / f"out.{extension}")[0]
    for kind in ("SPHERICAL", "STEREO3D"):
        assert after[kind] == before[kind]
    assert media.times(tmp_path / f"out.{extension}") == media.times(source)


def test_a_projection_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    source = all_around(tmp_path / "in.mp4")
    warned = paint(source, tmp_path / "out.mkv")
    assert [line for line in warned if line.startswith("360-degree projection dropped")]
    assert not [line for line in warned if line.startswith("stereo")]
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert container.streams.video[0].metadata["stereo_mode"] == "left_right"


def test_a_stereo_layout_that_webm_has_no_word_for_is_named(tmp_path: Path) -> None:
    options = {"preset": "ultrafast", "x264-params": "frame-packing=5"}  # one view after the other
    source = media.film(tmp_path / "in.mp4", 5, options=options)
    assert "STEREO3D" in side_data(source)[0]
    warned = paint(source, tmp_path / "out.webm")
    assert len([line for line in warned if line.startswith("stereo 3-D layout dropped")]) == 1
    assert paint(source, tmp_path / "out.mkv", options=EncodeOptions(codec="ffv1"))[1:] == []
    assert "STEREO3D" in side_data(tmp_path / "out.mkv")[0]


def test_a_film_without_anything_special_warns_of_nothing(tmp_path: Path) -> None:
    source = media.film(tmp_path / "in.mp4", 5, tone="aac")
    for extension in ("mp4", "mov"):
        assert paint(source, tmp_path / f"out.{extension}") == []


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_films_joined_from_parts_have_all_that_goes_along(tmp_path: Path, extension: str) -> None:
    source = captioned(tmp_path / "in.mp4", WORDS)
    add_to_movie(str(source), "mp4", 1, stereo_box(1, False) + spherical_box(SPHERE), {"com.apple.make": "Apple"})
    parts = [tmp_path / "0.mp4", tmp_path / "1.mp4"]
    with open_source(str(source)) as film:
        frames = list(film.frames(WHOLE))
        for part, some in zip(parts, (frames[:6], frames[6:]), strict=True):
            with open_sink(str(part), film.info) as sink:
                for frame in some:
                    sink.write(frame)
            assert sink.warnings == []
    out = tmp_path / f"out.{extension}"
    with open_sink(str(out), film.info, copy_from=str(source)) as sink:
        sink.concat([str(part) for part in parts])
    assert not [line for line in sink.warnings if "dropped" in line]
    found = side_data(out)
    assert [data["A53_CC"][1:3] for data in found] == WORDS
    assert found[0]["SPHERICAL"] == SPHERE
    assert found[0]["STEREO3D"] == side_data(source)[0]["STEREO3D"]
    with av.open(str(out)) as container:
        assert {key.lower(): value for key, value in container.metadata.items()}["com.apple.make"] == "Apple"


# Crops


def test_what_matroska_crops_is_not_painted(tmp_path: Path) -> None:
    pictures = [media.flat((64, 48), "yuv420p", (100, 128, 128)) for _ in range(3)]
    for planes in pictures:
        planes[0][:8], planes[0][42:] = 230, 230
    source = media.write_film(tmp_path / "in.mkv", pictures, time_base=F(1, 1000))
    crop_matroska(source, top=8, bottom=6)
    info = probe(str(source))
    assert (info.width, info.height, info.crop) == (64, 34, (0, 0, 8, 6))
    paint(source, tmp_path / "out.mp4")
    with open_source(str(tmp_path / "out.mp4")) as film:
        frame = next(film.frames(WHOLE))
    assert tuple(frame.pixels.shape) == (3, 34, 64)
    assert int(frame.pixels.max()) < 130


def crop_matroska(path: Path, **sides: int) -> None:
    """Add PixelCrop elements to the Video element."""
    data = path.read_bytes()
    crop = b"".join(
        element + bytes([0x81, sides[side]])
        for side, element in (
            ("left", b"\x54\xcc"),
            ("right", b"\x54\xdd"),
            ("top", b"\x54\xbb"),
            ("bottom", b"\x54\xaa"),
        )
        if side in sides
    )
    path.write_bytes(b"".join(_grown(data, crop)))


MASTERS = (b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae", b"\xe0")
POSITIONS = (b"\x11\x4d\x9b\x74", b"\x1c\x53\xbb\x6b", b"\xbf")  # no longer hold where something grows


def _grown(data: bytes, crop: bytes) -> list[bytes]:
    out, at = [], 0
    while at < len(data):
        width = 9 - data[at].bit_length()
        element, at = data[at : at + width], at + width
        width = 9 - data[at].bit_length()
        size, at = int.from_bytes(data[at : at + width]) & ((1 << 7 * width) - 1), at + width
        body = data[at:] if size == (1 << 7 * width) - 1 else data[at : at + size]
        at += len(body)
        if element in POSITIONS:
            continue
        if element in MASTERS:
            body = b"".join(_grown(body, crop)) + (crop if element == b"\xe0" else b"")
        out += [element, (len(body) | 1 << 56).to_bytes(8), body]
    return out


def test_what_mp4_crops_is_not_painted(tmp_path: Path) -> None:
    pictures = [media.flat((64, 48), "yuv420p", (100, 128, 128)) for _ in range(3)]
    for planes in pictures:
        planes[0][:, :10] = 230
    source = media.write_film(tmp_path / "in.mov", pictures)
    # 54x48 pixels are shown, their centre 5 to the right of the picture's.
    clap = struct.pack(">I4s4I2i2i", 40, b"clap", 54, 1, 48, 1, 5, 1, 0, 1)
    add_to_movie(str(source), "mov", 1, clap)
    info = probe(str(source))
    assert (info.width, info.height, info.crop) == (54, 48, (10, 0, 0, 0))
    with open_source(str(source)) as film:
        assert int(next(film.frames(WHOLE)).pixels.max()) < 130


# Timecode


@pytest.mark.parametrize(
    ("start", "rate", "seconds", "expected"),
    [
        ("10:20:30:15", F(24), F(1), "10:20:31:15"),
        ("23:59:59:24", F(25), F(1, 25), "00:00:00:00"),
        ("00:00:59;29", F(30000, 1001), F(1001, 30000), "00:01:00;02"),
        ("00:09:59;29", F(30000, 1001), F(1001, 30000), "00:10:00;00"),
        ("00:00:00;00", F(30000, 1001), F(107892 * 1001, 30000), "01:00:00;00"),
        ("01:00:00;00", F(25), F(0), ""),
        ("noon", F(25), F(0), ""),
    ],
)
def test_timecode_moves_with_the_start(start: str, rate: Fraction, seconds: Fraction, expected: str) -> None:
    assert offset_timecode(start, seconds, rate) == expected


def timecoded(path: Path, codec: str = "libx264", count: int = 50) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options={"preset": "ultrafast"} if codec == "libx264" else {})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.metadata["timecode"] = "10:20:30:15"
        for i in range(count):
            frame = media.frame_of(media.natural((64, 48), "yuv420p", i), "yuv420p")
            frame.pts, frame.time_base = i, F(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv"])
def test_timecode_is_kept_and_its_track_is_not_called_lost(tmp_path: Path, extension: str) -> None:
    source = timecoded(tmp_path / "in.mov")
    warned = paint(source, tmp_path / "whole.mov") + paint(source, tmp_path / f"out.{extension}", Span(F(1)))
    assert not [line for line in warned if "dropped" in line]
    for path, expected in ((tmp_path / "whole.mov", "10:20:30:15"), (tmp_path / f"out.{extension}", "10:20:31:15")):
        with av.open(str(path)) as container:
            tags = {key.lower(): value for key, value in container.streams.video[0].metadata.items()}
            assert tags["timecode"] == expected
            assert [s for s in container.streams if "timecode" in s.metadata] or extension == "mkv"


def test_timecode_is_kept_where_ffmpeg_has_no_average_rate(tmp_path: Path) -> None:
    source = timecoded(tmp_path / "in.mxf", "jpeg2000", 3)
    with av.open(str(source)) as container:
        assert not fraction(container.streams.video[0].average_rate)
    assert not [line for line in paint(source, tmp_path / "out.mov") if "timecode" in line]
    with av.open(str(tmp_path / "out.mov")) as container:
        assert container.streams.video[0].metadata["timecode"] == "10:20:30:15"


def test_timecode_that_a_container_cannot_hold_is_named(tmp_path: Path) -> None:
    warned = paint(timecoded(tmp_path / "in.mov"), tmp_path / "out.gif")
    assert "tags dropped: gif cannot hold the timecode 10:20:30:15" in warned


# Tags


def test_tags_of_the_pictures_and_of_the_sound_are_kept(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "in.mkv"), "w") as out:
        picture = out.add_stream("libx264", rate=25)
        picture.width, picture.height = 64, 48
        picture.metadata.update({"title": "Camera B", "language": "fre"})
        sound = out.add_stream("aac", rate=48000)
        sound.metadata.update({"title": "Boom", "language": "hrv", "microphone": "left"})
        sound.disposition = Disposition.hearing_impaired
        out.start_encoding()
        for i in range(5):
            frame = media.frame_of(media.natural((64, 48), "yuv420p", i), "yuv420p")
            frame.pts, frame.time_base = i, F(1, 25)
            out.mux(picture.encode(frame))
        out.mux(picture.encode(None))
        for frame in media.tone_frames(0.2):
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    assert paint(tmp_path / "in.mkv", tmp_path / "out.mkv") == []
    for extension in ("mkv", "mp4", "mov"):
        warned = paint(tmp_path / "in.mkv", tmp_path / f"out-{extension}.{extension}")
        with av.open(str(tmp_path / f"out-{extension}.{extension}")) as container:
            for stream, title, language in zip(container.streams, ("Camera B", "Boom"), ("fre", "hrv"), strict=True):
                assert title in (stream.metadata.get("title"), stream.metadata.get("name"))
                assert stream.metadata["language"] == language
        if extension != "mkv":
            (line,) = [line for line in warned if line.startswith("tags dropped")]
            assert "microphone of stream 1" in line


@pytest.mark.parametrize("extension", ["mov", "mp4", "mkv"])
def test_a_phone_s_own_keys_are_kept(tmp_path: Path, extension: str) -> None:
    keys = {
        "com.apple.quicktime.make": "Apple",
        "com.apple.quicktime.location.ISO6709": "+48.8584+002.2945+035/",
        "com.apple.quicktime.creationdate": "2024-05-01T12:00:00+0200",
    }
    source = media.film(tmp_path / "in.mov", 5, tags={"title": "Tower", "creation_time": "2024-05-01T10:00:00Z"})
    add_to_movie(str(source), "mov", 1, tags=keys)
    warned = paint(source, tmp_path / f"out.{extension}")
    assert not [line for line in warned if "tags" in line]
    with av.open(str(tmp_path / f"out.{extension}")) as container:
        found = {key.lower(): value for key, value in container.metadata.items()}
    for key, value in keys.items():
        assert found[key.lower()] == value
    assert found["title"] == "Tower"
    assert found["creation_time"].startswith("2024-05-01T10:00:00")


def test_boxes_are_added_without_a_change_to_pictures_and_sound(tmp_path: Path) -> None:
    for options in ({}, {"movflags": "+faststart"}):
        path = media.film(tmp_path / "film.mp4", 20, tone="aac")
        with av.open(str(path)) as source, av.open(str(tmp_path / "copy.mp4"), "w", container_options=options) as out:
            twins = [out.add_stream_from_template(stream, opaque=True) for stream in source.streams]
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = twins[packet.stream_index]
                    out.mux(packet)
        before = media.decode(tmp_path / "copy.mp4"), media.packets(tmp_path / "copy.mp4")
        add_to_movie(str(tmp_path / "copy.mp4"), "mp4", 1, stereo_box(2, False), {"k" * 5000: "v" * 70000}, {2: "hrv"})
        after = media.decode(tmp_path / "copy.mp4"), media.packets(tmp_path / "copy.mp4")
        assert after[1] == before[1]
        assert [time for time, _ in after[0]] == [time for time, _ in before[0]]
        assert all(media.psnr(a, b) == 99 for (_, a), (_, b) in zip(before[0], after[0], strict=True))
        with av.open(str(tmp_path / "copy.mp4")) as container:
            assert container.metadata["k" * 5000] == "v" * 70000
            assert container.streams.audio[0].metadata["language"] == "hrv"


# Telemetry


def telemetry(path: Path, stored: bytes = b"gpmd", handler: bytes = b"meta") -> Path:
    """A film with chapters and a packet of a camera's telemetry, or of something else by the track's codes."""
    with av.open(str(path), "w") as out:
        picture = out.add_stream("libx264", rate=25)
        picture.width, picture.height = 64, 48
        text = out.add_stream("mov_text")
        text.codec_context.subtitle_header = (
            b"[Script Info]\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\nStyle: Default,Arial,16\n"
            b"[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
        )
        text.codec_context.time_base = F(1, 1000)
        second = F(1, 1000)
        out.set_chapters([{"id": 1, "start": 0, "end": 100, "time_base": second, "metadata": {"title": "One"}}])
        out.start_encoding()
        packet = text.codec_context.encode_subtitle(
            av.subtitles.subtitle.SubtitleSet.create(b"0,0,Default,,0,0,0,,DEVC", 0, 100)
        )
        packet.stream, packet.time_base, packet.pts, packet.dts, packet.duration = text, second, 0, 0, 100
        out.mux(packet)
        for i in range(5):
            frame = media.frame_of(media.natural((64, 48), "yuv420p", i), "yuv420p")
            frame.pts, frame.time_base = i, F(1, 25)
            out.mux(picture.encode(frame))
        out.mux(picture.encode(None))
    path.write_bytes(path.read_bytes().replace(b"tx3g", stored).replace(b"sbtl", handler))
    return path


def test_a_caption_track_is_copied_where_the_muxer_takes_it(tmp_path: Path) -> None:
    source = telemetry(tmp_path / "in.mp4", b"c608", b"clcp")
    assert [s.codec for s in probe(str(source)).streams if s.kind == "subtitle"] == ["eia_608"]
    assert paint(source, tmp_path / "out.mov") == []
    assert [s.codec for s in probe(str(tmp_path / "out.mov")).streams if s.kind == "subtitle"] == ["eia_608"]
    assert len(media.packets(tmp_path / "out.mov", "subtitle")) == 1
    assert paint(source, tmp_path / "out.mp4") == ["subtitle stream 1 (eia_608) dropped: mp4 cannot hold it"]


def test_telemetry_is_copied_beside_chapters_or_named(tmp_path: Path) -> None:
    source = telemetry(tmp_path / "in.mp4")
    assert paint(source, tmp_path / "out.mp4") == []
    with av.open(str(tmp_path / "out.mp4")) as container:
        data = next(s for s in container.streams if str(s.type) == "data")
        assert [bytes(p) for p in container.demux(data) if p.size]
        assert [c["metadata"]["title"] for c in container.chapters()] == ["One"]
    warned = paint(source, tmp_path / "out.mkv")
    assert [line for line in warned if line.startswith("data stream 1 (gpmd) dropped")]


# Shape and colours of pixels


def test_what_the_pixels_mean_is_kept_or_named(tmp_path: Path) -> None:
    color = ("bt2020nc", "tv", "bt2020", "smpte2084")
    source = media.film(tmp_path / "in.mp4", 3, (64, 48), "yuv420p10le", color=color, aspect=F(16, 15))
    assert paint(source, tmp_path / "out.mov") == []
    warned = paint(source, tmp_path / "out.webp")
    for lost in ("pixel aspect 16/15", "HDR transfer smpte2084", "wide gamut bt2020"):
        assert f"{lost} dropped: webp is written without it" in warned
