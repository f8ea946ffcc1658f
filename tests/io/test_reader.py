"""Reading films: every frame, upright, progressive, in the right colours, at the right time."""

from __future__ import annotations

import os
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import media
import numpy as np
import pytest
import torch

from videostyle.errors import SourceError
from videostyle.io import describe, open_source, probe, to_json
from videostyle.io.reader import VideoSource
from videostyle.timeline import Span

F = Fraction


def times_read(path: Path | str, span: Span | None = None) -> list[Fraction]:
    with open_source(str(path)) as source:
        return [frame.pts * frame.time_base for frame in source.frames(span or Span())]


# Colours

COEFFICIENTS = {"smpte170m": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020nc": (0.2627, 0.0593)}


def to_yuv(rgb: tuple[float, float, float], space: str, full: bool, depth: int) -> list[int]:
    """Textbook RGB (0..1) to Y'CbCr numbers."""
    red, blue = COEFFICIENTS[space]
    y = red * rgb[0] + (1 - red - blue) * rgb[1] + blue * rgb[2]
    cb, cr = (rgb[2] - y) / (2 - 2 * blue), (rgb[0] - y) / (2 - 2 * red)
    if full:
        top = 2**depth - 1
        return [round(y * top), round(cb * top + 2 ** (depth - 1)), round(cr * top + 2 ** (depth - 1))]
    scale = 2 ** (depth - 8)
    return [round((16 + 219 * y) * scale), round((128 + 224 * cb) * scale), round((128 + 224 * cr) * scale)]


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("colour_range", ["tv", "pc"])
@pytest.mark.parametrize("space", list(COEFFICIENTS))
def test_a_tagged_film_is_read_with_its_own_matrix_and_range(
    tmp_path: Path, space: str, colour_range: str, depth: int
) -> None:
    wanted = (0.8, 0.3, 0.15)
    pix_fmt = "yuv420p" if depth == 8 else "yuv420p10le"
    planes = media.flat((32, 32), pix_fmt, to_yuv(wanted, space, colour_range == "pc", depth))
    path = media.write_film(tmp_path / "a.mp4", [planes], pix_fmt, color=(space, colour_range, "", ""))
    with open_source(str(path)) as source:
        (frame,) = source.frames(Span())
    top = 255 if depth == 8 else 65535
    assert frame.pixels.dtype == (torch.uint8 if depth == 8 else torch.uint16)
    got = frame.pixels.permute(1, 2, 0).numpy()[16, 16] / top
    assert np.abs(got - wanted).max() < (0.008 if depth == 8 else 0.003)


@pytest.mark.parametrize(("height", "space"), [(576, "smpte170m"), (578, "bt709")])
def test_an_untagged_film_is_read_as_players_do(tmp_path: Path, height: int, space: str) -> None:
    wanted = (0.8, 0.3, 0.15)
    path = media.write_film(tmp_path / "a.mp4", [media.flat((32, height), "yuv420p", to_yuv(wanted, space, False, 8))])
    with open_source(str(path)) as source:
        (frame,) = source.frames(Span())
    assert np.abs(frame.pixels[:, 16, 16].numpy() / 255 - wanted).max() < 0.008


def test_pixels_are_a_view_of_rows_columns_channels(tmp_path: Path) -> None:
    with open_source(str(media.film(tmp_path / "a.mp4", 1))) as source:
        (frame,) = source.frames(Span())
    assert frame.pixels.shape == (3, 48, 64)
    assert frame.pixels.stride()[0] == 1
    assert frame.pixels.stride()[2] == 3


# Which way is up

# Degrees counter-clockwise, mirrored left-right, top-bottom, then: corners of the upright picture, clockwise from
# top left, when the stored one has 0 1 / 2 3.
ORIENTATIONS = [
    (0, False, False, (0, 1, 3, 2)),
    (90, False, False, (1, 3, 2, 0)),
    (-90, False, False, (2, 0, 1, 3)),
    (180, False, False, (3, 2, 0, 1)),
    (0, True, False, (1, 0, 2, 3)),
    (0, False, True, (2, 3, 1, 0)),
]


@pytest.mark.parametrize(("degrees", "hflip", "vflip", "corners"), ORIENTATIONS)
def test_a_film_is_laid_upright(
    tmp_path: Path, degrees: int, hflip: bool, vflip: bool, corners: tuple[int, ...]
) -> None:
    levels = np.array([40, 90, 140, 190], np.uint8)
    luma = np.kron(levels.reshape(2, 2), np.ones((16, 32), np.uint8)).astype(np.uint8)
    planes = [luma, *media.flat((64, 32), "yuv420p", (0, 128, 128))[1:]]
    path = media.write_film(tmp_path / "a.mp4", [planes], rotation=(degrees, hflip, vflip), aspect=F(4, 3))
    with open_source(str(path)) as source:
        (frame,) = source.frames(Span())
        info = source.info
    upright = frame.pixels[1].numpy().astype(int)
    seen = [upright[4, 4], upright[4, -5], upright[-5, -5], upright[-5, 4]]
    order = np.argsort(np.argsort([levels[c] for c in corners]))
    assert list(np.argsort(np.argsort(seen))) == list(order)
    swapped = degrees in (90, -90)
    assert (info.width, info.height) == ((32, 64) if swapped else (64, 32)) == upright.shape[::-1]
    assert info.sample_aspect_ratio == (F(3, 4) if swapped else F(4, 3))
    if not hflip and not vflip:
        assert info.rotation == -degrees % 360


# Interlacing


def combing(picture: np.ndarray) -> float:
    """How much neighbouring rows differ beyond rows two apart."""
    rows = picture.astype(float)
    return float(np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean())


def test_an_interlaced_film_comes_out_progressive_one_picture_each(tmp_path: Path) -> None:
    def bar(at: int) -> np.ndarray:
        picture = np.full((64, 96), 60, np.uint8)
        picture[:, at : at + 20] = 180
        return picture

    pictures = []
    for i in range(8):
        luma = bar(4 + 8 * i)
        luma[1::2] = bar(8 + 8 * i)[1::2]
        pictures.append([luma, *media.flat((96, 64), "yuv420p", (0, 128, 128))[1:]])
    path = media.write_film(
        tmp_path / "a.mp4", pictures, options={"qp": "0", "preset": "ultrafast", "x264-params": "tff=1"}
    )
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    with open_source(str(path)) as source:
        frames = list(source.frames(Span()))
        assert source.info.interlaced
    assert [f.pts * f.time_base for f in frames] == media.times(path)
    upright = media.write_film(
        tmp_path / "b.mp4", pictures, options={"qp": "0", "preset": "ultrafast", "x264-params": "tff=1"},
        rotation=(90, False, False),
    )  # fmt: skip
    with open_source(str(upright)) as source:
        assert next(source.frames(Span())).pixels.shape == (3, 96, 64)
    combed = np.mean([combing(p[0]) for p in pictures])
    assert np.mean([combing(f.pixels[1].numpy()) for f in frames]) < combed / 10


# Times


def test_irregular_times_are_kept_to_the_tick(tmp_path: Path) -> None:
    ticks = [127995, 128507, 128600, 130043, 140000, 140001]
    path = media.film(tmp_path / "a.mp4", 6, times=ticks, time_base=F(1, 15360))
    with open_source(str(path)) as source:
        frames = list(source.frames(Span()))
    assert [f.pts for f in frames] == ticks
    assert {f.time_base for f in frames} == {F(1, 15360)}
    assert [f.index for f in frames] == list(range(6))
    assert source.info.start == F(127995, 15360)


@pytest.mark.parametrize(
    ("start", "end"),
    [("0", "1"), ("0.98", "1.5"), ("2.001", None), ("1.9", "2"), ("1.95", "2.1"), ("3.1", "3.2"), ("9", None)],
)
def test_a_span_holds_the_frames_from_start_to_before_end(tmp_path: Path, start: str, end: str | None) -> None:
    path = media.film(  # B-frames and a key frame every two seconds, starting at 0.5 s
        tmp_path / "a.mp4", 100, times=[6400 + 512 * i for i in range(100)],
        options={"preset": "fast", "g": "50", "bf": "3", "crf": "30"},
    )  # fmt: skip
    span = Span(F(start), F(end) if end else None)
    relative = [time - F(1, 2) for time in media.times(path)]
    expected = [F(1, 2) + t for t in relative if t >= span.start and (span.end is None or t < span.end)]
    assert times_read(path, span) == expected


def test_a_span_of_a_file_that_cannot_seek_is_read_from_the_beginning(tmp_path: Path) -> None:
    path = media.film(tmp_path / "a.h264", 30, options={"preset": "fast", "bf": "0"})
    whole = times_read(path)
    assert len(whole) == 30
    assert len(times_read(path, Span(F(1, 2)))) == len([t for t in whole if t >= whole[0] + F(1, 2)])


def test_a_seek_that_lands_late_loses_no_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(self: VideoSource, container: Any, stream: Any, start: Fraction) -> bool:
        container.seek(int((start + 1) / self.info.time_base), stream=stream)
        return True

    path = media.film(tmp_path / "a.mp4", 75, options={"g": "10", "preset": "ultrafast"})
    monkeypatch.setattr(VideoSource, "_seek", late)
    assert times_read(path, Span(F(1))) == [F(i, 25) for i in range(25, 75)]


@pytest.mark.parametrize(
    ("codec", "name", "options"),
    [
        ("mpeg4", "a.mp4", {"sc_threshold": "1000000000"}),
        ("mpeg2video", "a.mkv", {"sc_threshold": "1000000000"}),
        ("flv1", "a.flv", {"sc_threshold": "1000000000"}),
        ("libx264", "a.mp4", {"preset": "fast", "sc_threshold": "0"}),
        ("libx264", "a.mkv", {"preset": "fast", "x264-params": "intra-refresh=1:keyint=15"}),
        ("libvpx", "a.mkv", {"deadline": "realtime"}),
    ],
)
def test_a_film_whose_index_is_wrong_shows_what_it_shows_from_its_beginning(
    tmp_path: Path, codec: str, name: str, options: dict[str, str]
) -> None:
    with av.open(str(tmp_path / name), "w") as out:
        stream = out.add_stream(codec, rate=25, options={"g": "200", "bf": "0", **options})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        y, x = np.mgrid[:64, :96]
        frames = [np.stack([x * 3 + n * 5, y * 4 + n * 3, (x + y) * 2 + n * 7], -1).astype(np.uint8) for n in range(45)]
        packets = [
            packet
            for frame in (*(av.VideoFrame.from_ndarray(frame, "rgb24") for frame in frames), None)
            for packet in stream.encode(frame)
        ]
        for number, packet in enumerate(packets):
            packet.is_keyframe = number in (0, 15, 30)
            out.mux(packet)
    with open_source(str(tmp_path / name)) as source:
        whole = [frame.pixels for frame in source.frames(Span())]
    with open_source(str(tmp_path / name)) as source:
        late = [frame.pixels for frame in source.frames(Span(F(32, 25)))]
    assert len(late) > 10
    assert all(torch.equal(one, other) for one, other in zip(late, whole[-len(late) :], strict=True))
    assert not source.warnings


# Which stream, and what when there is none


def test_cover_art_is_not_the_film(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as out:
        sound = out.add_stream("aac", rate=48000)
        cover = out.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 16, 16, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        for frame in media.tone_frames(0.2):
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
        out.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8))))
        out.mux(cover.encode(None))
    with pytest.raises(SourceError, match="has no video stream, only audio, cover art;"):
        open_source(str(path))


def broken(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / f"{kind}.mp4"
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("Dear diary, today I made a film.\n" * 50)
    elif kind == "cut off":
        whole = media.film(tmp_path / "whole.mp4", 20).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "folder":
        path.mkdir()
    elif kind == "sound":
        with av.open(str(path), "w") as out:
            sound = out.add_stream("aac", rate=48000)
            for frame in media.tone_frames(0.2):
                out.mux(sound.encode(frame))
            out.mux(sound.encode(None))
    return path


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("missing", "no such file"),
        ("empty", "is empty"),
        ("text", "is not a film or picture"),
        ("cut off", "moov"),
        ("folder", "folder without pictures"),
        ("sound", "has no video stream, only audio"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(tmp_path: Path, kind: str, why: str) -> None:
    path = broken(tmp_path, kind)
    with pytest.raises(SourceError) as caught:
        open_source(str(path))
    message = str(caught.value)
    assert message.startswith(str(path))
    assert why in message
    assert "\n" not in message


def test_a_file_one_may_not_read_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = media.film(tmp_path / "a.mp4", 1)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SourceError, match=r"a\.mp4: permission denied; "):
        open_source(str(path))


@pytest.mark.parametrize("name", ["-x.mp4", "a:b.mp4", "100%.mp4", "ünï ç.mp4"])
def test_odd_names_are_just_names(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    media.film(tmp_path / "plain.mp4", 3).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(times_read(name)) == 3


# Damage


def test_damaged_frames_in_mid_film_are_skipped_and_counted(tmp_path: Path) -> None:
    path = media.film(tmp_path / "a.mkv", 30, codec="ffv1", options={"slicecrc": "1"}, time_base=F(1, 1000))
    with av.open(str(path)) as container:
        middle = [p.pos for p in container.demux(video=0) if p.size][12]
    data = bytearray(path.read_bytes())
    data[middle + 8 : middle + 60] = bytes(52)
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with open_source(str(path)) as source:
            found = [frame.pts for frame in source.frames(Span())]
    assert 25 <= len(found) <= 30
    assert found[-1] == 29 * 40
    if len(found) < 30:
        assert "damaged" in source.warnings[0]


def test_a_film_cut_off_after_its_index_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    whole = media.film(tmp_path / "whole.mp4", 50)
    moved = tmp_path / "a.mp4"
    with av.open(str(whole)) as source, av.open(str(moved), "w", container_options={"movflags": "faststart"}) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    data = moved.read_bytes()
    moved.write_bytes(data[: len(data) * 2 // 3])
    with open_source(str(moved)) as source:
        count = len(list(source.frames(Span())))
    assert 20 < count < 50
    assert source.warnings


# Alpha, deep colour


def test_vp9_alpha_is_read(tmp_path: Path) -> None:
    planes = [*media.flat((32, 32), "yuv420p", (120, 128, 128)), np.full((32, 32), 77, np.uint8)]
    path = media.write_film(
        tmp_path / "a.webm", [planes] * 3, "yuva420p", codec="libvpx-vp9", time_base=F(1, 1000),
        options={"crf": "10", "b": "0", "auto-alt-ref": "0"},
    )  # fmt: skip
    with open_source(str(path)) as source:
        frames = list(source.frames(Span()))
        assert source.info.has_alpha
    assert [f.pixels.shape[0] for f in frames] == [4] * 3
    assert abs(int(frames[0].pixels[3, 16, 16]) - 77) < 4


# What a probe tells


def test_a_probe_tells_the_streams_and_fits_json(tmp_path: Path) -> None:
    path = media.film(tmp_path / "a.mp4", 25, tone="aac", color=("bt709", "tv", "bt709", "bt709"), aspect=F(224, 225))
    info = probe(str(path))
    assert (info.width, info.height, info.frame_count, info.average_rate) == (64, 48, 25, 25)
    assert (info.codec, info.pix_fmt, info.bit_depth, info.has_alpha) == ("h264", "yuv420p", 8, False)
    assert info.duration == 1
    assert [(s.kind, s.codec) for s in info.streams] == [("video", "h264"), ("audio", "aac")]
    plain = to_json(info)
    assert plain["time_base"] == "1/12800"
    assert plain["sample_aspect_ratio"] == "224/225"
    assert plain["color"] == {"space": "bt709", "range": "tv", "primaries": "bt709", "transfer": "bt709"}
    assert "48000 Hz stereo" in describe(info)


# Real files

COUNTS = {
    "awkward/-video-with-dash-.mp4": 5,
    "awkward/animated.gif": 4,
    "awkward/av1_video.mkv": 125,
    "awkward/bt601_full_range.mp4": 60,
    "awkward/h264_10bits.mp4": 30,
    "awkward/nasa_13013_rotated.mp4": 17,
    "awkward/no_duration.webm": 74,
    "awkward/test_non_zero_start.mp4": 12,
    "awkward/testsrc2_444_10bit_hevc.mp4": 25,
    "awkward/testsrc2_hdr.mp4": 60,
    "awkward/testsrc2_mpeg4.mp4": 1,
    "awkward/testsrc2_odd_height_444.mp4": 25,
    "awkward/transparent.webm": 150,
    "awkward/video_90.mov": 3,
    "clips/bikes.mp4": 250,
    "clips/chaplin.mp4": 241,
    "clips/nasa_13013.mp4": 390,
}


@pytest.mark.parametrize("name", COUNTS)
def test_every_frame_of_a_real_file_is_read_at_its_time(data: Path, name: str) -> None:
    path = data / name
    found = times_read(path)
    assert len(found) == COUNTS[name]
    assert found == media.times(path)


def test_a_damaged_real_file_gives_what_decodes(data: Path) -> None:
    with open_source(str(data / "awkward/corrupted.mp4")) as source:
        count = len(list(source.frames(Span())))
    assert count == 49
    assert any("damaged" in line for line in source.warnings)


def test_a_film_whose_decoder_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    pictures = [media.natural((64, 48), "yuv420p", index) for index in range(4)]
    path = media.write_film(tmp_path / "a.avi", pictures, codec="mpeg4")
    data = bytearray(path.read_bytes())
    about = data.index(b"strf") + 8  # BITMAPINFOHEADER
    data[about + 14 : about + 20] = b"\x07\0\0\0\0\0"  # 7 bits a pixel, uncompressed: no pixel format has that
    handler = data.index(b"vids") + 4
    data[handler : handler + 4] = bytes(4)
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"none of its frames can be decoded; the file is damaged"):
        probe(str(path))
