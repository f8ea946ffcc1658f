"""Pictures and numbered sequences: depth, alpha and EXIF orientation are kept; nothing broken is left behind."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import cv2
import media
import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from videostyle.errors import SinkError, SourceError, UsageError
from videostyle.io import open_sink, open_source, probe
from videostyle.io.images import ImageSink, ImageSource
from videostyle.io.memory import MemorySource
from videostyle.plan import EncodeOptions
from videostyle.timeline import Span

PLAIN = EncodeOptions()


def picture(channels: int = 3, kind: type = np.uint8, size: tuple[int, int] = (24, 16)) -> np.ndarray:
    rng = np.random.default_rng(channels)
    return rng.integers(0, np.iinfo(kind).max, (size[1], size[0], channels), kind)


def write(path: Path, *pictures: np.ndarray, options: EncodeOptions = PLAIN) -> list[str]:
    with MemorySource(list(pictures)) as source, open_sink(str(path), source.info, options) as sink:
        for frame in source.frames():
            sink.write(frame)
    return sink.warnings


def read(path: Path) -> list[np.ndarray]:
    with open_source(str(path)) as source:
        return [frame.pixels.permute(1, 2, 0).numpy() for frame in source.frames(Span())]


@pytest.mark.parametrize("extension", ["png", "tiff"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [3, 4])
def test_depth_and_alpha_are_kept(tmp_path: Path, channels: int, kind: type, extension: str) -> None:
    wanted = picture(channels, kind)
    assert write(tmp_path / f"a.{extension}", wanted) == []
    (got,) = read(tmp_path / f"a.{extension}")
    assert got.dtype == kind
    assert np.array_equal(got, wanted)


@pytest.mark.parametrize("extension", ["jpg", "webp", "bmp"])
def test_other_formats_show_the_same_picture(tmp_path: Path, extension: str) -> None:
    ramp = np.tile(np.linspace(20, 230, 48).astype(np.uint8)[:, None], (32, 1, 3))
    ramp[..., 2] = 255 - ramp[..., 2]
    write(tmp_path / f"a.{extension}", ramp.reshape(32, 48, 3))
    (got,) = read(tmp_path / f"a.{extension}")
    assert np.abs(got.astype(int) - ramp.reshape(32, 48, 3)).mean() < 3


def test_what_a_format_cannot_hold_is_named(tmp_path: Path) -> None:
    warned = write(tmp_path / "a.jpg", picture(4, np.uint16))
    assert [line.split(":")[0] for line in warned] == ["16-bit colour stored as 8-bit", "transparency dropped"]


def exif(orientation: int) -> bytes:
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_laid_upright(tmp_path: Path, orientation: int) -> None:
    stored = np.zeros((16, 32, 3), np.uint8)
    for value, (rows, columns) in zip((40, 90, 140, 190), ((0, 0), (0, 16), (8, 0), (8, 16)), strict=True):
        stored[rows : rows + 8, columns : columns + 16] = value
    jpeg = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg[:2] + exif(orientation) + jpeg[2:])
    reference = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)  # honours EXIF
    (got,) = read(path)
    assert got.shape == reference.shape
    assert np.abs(got.astype(int) - reference).max() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_scanned_pictures_are_laid_upright(tmp_path: Path, orientation: int) -> None:
    stored = picture(3)
    Image.fromarray(stored).save(tmp_path / "a.tif", tiffinfo={0x0112: orientation})
    upright = ImageOps.exif_transpose(Image.open(tmp_path / "a.tif"))
    (got,) = read(tmp_path / "a.tif")
    assert np.array_equal(got, np.asarray(upright))


def test_grey_and_palette_pictures_become_rgb(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), picture(1)[..., 0])
    (got,) = read(tmp_path / "grey.png")
    assert got.shape == (16, 24, 3)
    assert np.array_equal(got[..., 0], picture(1)[..., 0])


def test_a_sequence_may_start_at_any_number(tmp_path: Path) -> None:
    for number in (998, 999, 1000, 1001):
        cv2.imwrite(str(tmp_path / f"shot_{number:05d}.png"), np.full((8, 8, 3), number - 900, np.uint8))
    with open_source(str(tmp_path / "shot_%05d.png")) as source:
        frames = list(source.frames(Span()))
        assert source.info.average_rate == 24
    assert [int(f.pixels[0, 0, 0]) for f in frames] == [98, 99, 100, 101]
    assert [f.pts * f.time_base for f in frames] == [Fraction(i, 24) for i in range(4)]


def test_a_gap_in_the_numbers_is_told(tmp_path: Path) -> None:
    for number in (1, 2, 5):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((8, 8, 3), np.uint8))
    source = open_source(str(tmp_path / "%d.png"))
    assert len(list(source.frames(Span()))) == 3
    assert "2 numbers are missing" in source.warnings[0]


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 100):
        cv2.imwrite(str(tmp_path / f"f{number}.png"), np.full((8, 8, 3), number, np.uint8))
    (tmp_path / "notes.txt").write_text("not a picture")
    source = ImageSource(str(tmp_path), rate=10)
    assert [int(f.pixels[0, 0, 0]) for f in source.frames(Span())] == [9, 10, 100]
    assert [f.pts for f in source.frames(Span(Fraction(1, 10), Fraction(2, 10)))] == [1]


def test_a_sequence_is_written_from_one(tmp_path: Path) -> None:
    write(tmp_path / "f_%03d.png", picture(), picture(4)[..., :3])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f_001.png", "f_002.png"]
    assert np.array_equal(read(tmp_path / "f_001.png")[0], picture())


def test_a_film_becomes_pictures_and_pictures_a_film(tmp_path: Path) -> None:
    film = media.film(tmp_path / "a.mp4", 5, tone="aac")
    with (
        open_source(str(film)) as source,
        open_sink(str(tmp_path / "f%02d.png"), source.info, copy_from=str(film)) as sink,
    ):
        for frame in source.frames(Span()):
            sink.write(frame)
    pattern = str(tmp_path / "f%02d.png")
    with open_source(pattern) as source, open_sink(str(tmp_path / "b.mp4"), source.info, copy_from=pattern) as sink:
        for frame in source.frames(Span()):
            sink.write(frame)
    assert media.times(tmp_path / "b.mp4") == [Fraction(i, 24) for i in range(5)]


def test_one_name_holds_one_picture(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"name a sequence, a-%05d\.png"):
        write(tmp_path / "a.png", picture(), picture())


def test_pictures_are_not_overwritten_by_chance(tmp_path: Path) -> None:
    write(tmp_path / "a.png", picture())
    with pytest.raises(UsageError, match="exists already"):
        write(tmp_path / "a.png", picture())
    write(tmp_path / "a.png", picture(4), options=EncodeOptions(overwrite=True))
    with open_source(str(tmp_path / "a.png")) as source, pytest.raises(UsageError, match="is the input itself"):
        open_sink(str(tmp_path / "a.png"), source.info, EncodeOptions(overwrite=True))


def test_film_settings_do_not_fit_pictures(tmp_path: Path) -> None:
    for options in (EncodeOptions(crf=3), EncodeOptions(codec="h264"), EncodeOptions(pix_fmt="yuv420p")):
        with pytest.raises(UsageError, match="is for films"):
            ImageSink(str(tmp_path / "a.png"), options)


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(SinkError, match="the disk is full"):
        write(tmp_path / "a.png", picture())
    assert not list(tmp_path.iterdir())


def test_unlike_pictures_in_a_sequence_are_told(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), picture())
    cv2.imwrite(str(tmp_path / "2.png"), picture(size=(8, 8)))
    with pytest.raises(SourceError, match=r"2\.png: is 8x8 with 3 channels, the pictures before it 24x16"):
        list(open_source(str(tmp_path)).frames(Span()))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no.png", "no such file"),
        ("empty.png", "is empty"),
        ("text.png", "is not a picture"),
        ("x/%d.png", "no folder"),
    ],
)
def test_unreadable_pictures_are_told_in_one_line(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(SourceError, match=why) as caught:
        open_source(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_a_probe_tells_of_pictures(tmp_path: Path) -> None:
    write(tmp_path / "a.png", picture(4, np.uint16))
    info = probe(str(tmp_path / "a.png"))
    assert (info.width, info.height, info.bit_depth, info.has_alpha, info.frame_count) == (24, 16, 16, True, 1)


def test_sixteen_bit_pictures_are_full_scale(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((8, 8, 3), 65535, np.uint16))
    with open_source(str(tmp_path / "a.png")) as source:
        (frame,) = source.frames(Span())
    assert frame.pixels.dtype == torch.uint16
    assert int(frame.pixels.int().min()) == 65535
