"""What pictures hold beside their pixels: profiles, EXIF data, several pictures, how often and how long they show."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import media
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from videostyle.io import open_sink, open_source, probe
from videostyle.plan import EncodeOptions
from videostyle.timeline import Span
from videostyle.types import Frame

F = Fraction
PLAIN = EncodeOptions()
WHOLE = Span()


def pass_through(source: Path, output: Path, options: EncodeOptions = PLAIN) -> list[str]:
    with open_source(str(source)) as film, open_sink(str(output), film.info, options, copy_from=str(source)) as sink:
        for frame in film.frames(WHOLE):
            sink.write(frame)
    return film.warnings + sink.warnings


def frames(path: Path) -> list[Frame]:
    with open_source(str(path)) as film:
        return list(film.frames(WHOLE))


def photograph(size: tuple[int, int] = (96, 64), seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(60, 200, (size[1], size[0], 3)).astype(np.uint8)
    return Image.fromarray(cv2.GaussianBlur(noise, (0, 0), 3))


@cache
def profile() -> bytes:
    """Like that of Display P3: sRGB's with another red."""
    srgb = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (count,) = struct.unpack_from(">I", srgb, 128)
    for number in range(count):
        name, at, _ = struct.unpack_from(">4sII", srgb, 132 + 12 * number)
        if name == b"rXYZ":
            srgb[at + 8 : at + 20] = struct.pack(">3i", *(round(v * 65536) for v in (0.51512, 0.2412, -0.00105)))
    return bytes(srgb)


KINDS = ["jpg", "png", "webp", "tif"]


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_colour_profile_is_kept(tmp_path: Path, kind: str, target: str) -> None:
    photograph().save(tmp_path / f"in.{kind}", icc_profile=profile())
    assert pass_through(tmp_path / f"in.{kind}", tmp_path / f"out.{target}") == []
    with Image.open(tmp_path / f"out.{target}") as painted:
        painted.load()
        assert painted.info["icc_profile"] == profile()


@pytest.mark.parametrize("target", ["png", "tif"])
def test_16_bits_with_transparency_and_a_profile_stay_as_they_are(tmp_path: Path, target: str) -> None:
    picture = np.random.default_rng(1).integers(0, 65535, (21, 33, 4)).astype(np.uint16)
    photograph((33, 21)).convert("RGBA").save(tmp_path / "in.png", icc_profile=profile())
    with open_source(str(tmp_path / "in.png")) as film:
        info = film.info
    _, data = cv2.imencode(".png", picture)
    (tmp_path / "deep.png").write_bytes(data.tobytes())
    with open_sink(str(tmp_path / f"out.{target}"), info) as sink:
        sink.write(frames(tmp_path / "deep.png")[0])
    assert np.array_equal(cv2.imread(str(tmp_path / f"out.{target}"), cv2.IMREAD_UNCHANGED), picture)
    with Image.open(tmp_path / f"out.{target}") as painted:
        assert painted.info["icc_profile"] == profile()


def test_a_profile_without_a_place_is_named(tmp_path: Path) -> None:
    photograph().save(tmp_path / "in.jpg", icc_profile=profile())
    for name, holder in (("out.bmp", ".bmp"), ("out.mp4", "h264 in mp4")):
        warned = pass_through(tmp_path / "in.jpg", tmp_path / name)
        assert warned == [f"ICC colour profile dropped: {holder} is written without it"]


@pytest.mark.parametrize("target", ["jpg", "png", "webp"])
def test_exif_data_is_kept_but_for_orientation_and_thumbnail(tmp_path: Path, target: str) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x8298], exif[0x0112] = "Maker", "(c) Me", 6
    exif.get_ifd(0x8769)[0x9003] = "2024:05:01 12:00:00"
    exif.get_ifd(0x8825)[1] = "N"
    photograph().save(tmp_path / "in.jpg", exif=exif)
    assert pass_through(tmp_path / "in.jpg", tmp_path / f"out.{target}") == []
    with Image.open(tmp_path / f"out.{target}") as painted:
        found = painted.getexif()
        assert painted.size == (64, 96)
        assert (found[0x010F], found[0x8298]) == ("Maker", "(c) Me")
        assert 0x0112 not in found
        assert found.get_ifd(0x8769)[0x9003] == "2024:05:01 12:00:00"
        assert found.get_ifd(0x8825)[1] == "N"


def test_a_picture_without_tags_warns_of_nothing(tmp_path: Path) -> None:
    for kind in [*KINDS, "bmp"]:
        photograph().save(tmp_path / f"in.{kind}")
        assert pass_through(tmp_path / f"in.{kind}", tmp_path / f"out.{kind}") == []
        assert pass_through(tmp_path / f"in.{kind}", tmp_path / f"{kind}.mp4") == []


def test_cmyk_is_read_by_its_profile(tmp_path: Path) -> None:
    photograph().convert("CMYK").save(tmp_path / "in.jpg", quality=95)
    without = frames(tmp_path / "in.jpg")[0].pixels.numpy().transpose(1, 2, 0)
    with Image.open(tmp_path / "in.jpg") as stored:
        assert np.abs(np.asarray(stored.convert("RGB")).astype(int) - without).mean() < 3


# Several pictures in one file


def animation(path: Path, durations: list[int], loop: int | None) -> Path:
    pictures = [photograph(seed=seed) for seed in range(len(durations))]
    more = {} if loop is None else {"loop": loop}
    if path.suffix == ".gif":
        more["disposal"] = 2
    if path.suffix == ".webp":
        more["lossless"] = True
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=durations, **more)
    return path


def shown(path: Path) -> tuple[list[float], int | None]:
    """How long each picture of an animation is shown, in milliseconds, and how often it plays; None is once."""
    with Image.open(path) as file:
        durations = []
        for number in range(file.n_frames):
            file.seek(number)
            file.load()
            durations.append(file.info["duration"])
        return durations, file.info.get("loop")


DURATIONS = [100, 50, 200, 100, 300]


def test_the_picture_in_place_of_an_animation_is_not_painted(tmp_path: Path) -> None:
    pictures = [photograph(seed=seed) for seed in range(3)]
    pictures[0].save(tmp_path / "in.png", save_all=True, append_images=pictures[1:], duration=100, default_image=True)
    with open_source(str(tmp_path / "in.png")) as source:
        painted = [frame.pixels.permute(1, 2, 0).numpy() for frame in source.frames(Span())]
    assert [np.array_equal(got, np.asarray(one)) for got, one in zip(painted, pictures[1:], strict=True)] == [True] * 2
    assert source.info.frame_count == 2
    assert source.warnings == []


@pytest.mark.parametrize("target", ["gif", "apng", "png", "webp"])
@pytest.mark.parametrize("kind", ["gif", "png", "webp"])
def test_an_animation_keeps_its_pictures_delays_and_loops(tmp_path: Path, kind: str, target: str) -> None:
    source = animation(tmp_path / f"in.{kind}", DURATIONS, 0)
    assert not [line for line in pass_through(source, tmp_path / f"out.{target}") if "dropped" in line]
    assert shown(tmp_path / f"out.{target}") == (DURATIONS, 0)


@pytest.mark.parametrize(
    ("loop", "expected"), [(None, {"gif": None, "apng": 1, "webp": 1}), (3, dict.fromkeys(["gif", "apng", "webp"], 3))]
)
def test_a_gif_plays_as_often_as_before(tmp_path: Path, loop: int | None, expected: dict[str, int | None]) -> None:
    source = animation(tmp_path / "in.gif", [100] * 3, loop)
    for target, plays in expected.items():
        pass_through(source, tmp_path / f"out.{target}")
        assert shown(tmp_path / f"out.{target}")[1] == plays


@pytest.mark.parametrize("target", ["png", "webp"])
@pytest.mark.parametrize("kind", ["png", "webp"])
def test_an_animation_keeps_its_colour_profile(tmp_path: Path, kind: str, target: str) -> None:
    pictures = [photograph(seed=seed) for seed in range(3)]
    pictures[0].save(tmp_path / f"in.{kind}", save_all=True, append_images=pictures[1:], icc_profile=profile())
    assert pass_through(tmp_path / f"in.{kind}", tmp_path / f"out.{target}") == []
    with Image.open(tmp_path / f"out.{target}") as painted:
        assert painted.n_frames == 3
        painted.seek(2)
        painted.load()
        assert painted.info["icc_profile"] == profile()


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_an_animated_picture_becomes_a_film(tmp_path: Path, kind: str) -> None:
    source = animation(tmp_path / f"in.{kind}", DURATIONS, 0)
    with Image.open(source) as file:
        stored = [np.asarray(file.convert("RGB")) for number in range(5) if file.seek(number) is None]
    read = frames(source)
    assert [frame.pts for frame in read] == [0, 100, 150, 350, 450]
    for frame, picture in zip(read, stored, strict=True):
        assert np.array_equal(frame.pixels[:3].permute(1, 2, 0).numpy(), picture)
    pass_through(source, tmp_path / "out.mp4")
    assert media.times(tmp_path / "out.mp4") == [F(0), F(1, 10), F(3, 20), F(7, 20), F(9, 20)]


def test_pages_are_painted_one_after_the_other(tmp_path: Path) -> None:
    pages = [photograph(seed=seed) for seed in range(4)]
    pages[0].save(tmp_path / "in.tif", save_all=True, append_images=pages[1:])
    read = frames(tmp_path / "in.tif")
    assert len(read) == 4
    for frame, page in zip(read, pages, strict=True):
        assert np.array_equal(frame.pixels.permute(1, 2, 0).numpy(), np.asarray(page))
    pass_through(tmp_path / "in.tif", tmp_path / "out.mp4")
    assert len(media.times(tmp_path / "out.mp4")) == 4


def test_pictures_that_do_not_fit_into_one_are_named(tmp_path: Path) -> None:
    source = animation(tmp_path / "in.webp", DURATIONS, 0)
    assert pass_through(source, tmp_path / "out.jpg") == ["only the first of 5 pictures is kept: .jpg holds one"]
    pages = [photograph(), photograph((40, 40))]
    pages[0].save(tmp_path / "in.tif", save_all=True, append_images=pages[1:])
    (line,) = pass_through(tmp_path / "in.tif", tmp_path / "out.png")
    assert "only the first of 2 pages is stylized" in line


def test_a_film_becomes_an_animated_webp(tmp_path: Path) -> None:
    source = media.film(tmp_path / "in.mp4", 10, rate=F(10))
    pass_through(source, tmp_path / "out.webp")
    assert shown(tmp_path / "out.webp") == ([100] * 10, 0)


# Photographs in tiles


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def tiled(
    path: Path, picture: Image.Image, side: int, turned: int = 0, beside: Sequence[tuple[bytes, bytes]] = ()
) -> Path:
    """A HEIC file as phones write it: HEVC tiles, and an item that says how they lie; turned by quarters.

    `beside` are the kind and the bytes of further items.
    """
    columns, rows = -(-picture.width // side), -(-picture.height // side)
    whole = Image.new("RGB", (columns * side, rows * side))
    whole.paste(picture)
    samples, header = [], b""
    for number in range(rows * columns):
        y, x = divmod(number, columns)
        tile = np.asarray(whole.crop((x * side, y * side, (x + 1) * side, (y + 1) * side)))
        file = io.BytesIO()
        with av.open(file, "w", format="mp4") as out:
            stream = out.add_stream("libx265", rate=25, options={"x265-params": "log-level=none", "crf": "4"})
            stream.width = stream.height = side
            stream.codec_context.codec_tag = "hvc1"
            for at in range(3):
                frame = av.VideoFrame.from_ndarray(tile).reformat(format="yuv420p")
                frame.pts, frame.time_base = at, F(1, 25)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        data = file.getvalue()
        at = data.index(b"hvcC")
        header = data[at - 4 : at - 4 + int.from_bytes(data[at - 4 : at])]
        file.seek(0)
        with av.open(file) as container:
            samples.append(next(bytes(p) for p in container.demux(video=0) if p.size))
    count = len(samples)
    items = range(2, 2 + count)
    entries = [box(b"infe", struct.pack(">IHH4s", 2 << 24, 1, 0, b"grid"), b"\0")]
    entries += [box(b"infe", struct.pack(">IHH4s", 2 << 24 | 1, item, 0, b"hvc1"), b"\0") for item in items]
    for number, (kind, data) in enumerate(beside):
        name = b"\0application/rdf+xml\0" if kind == b"mime" else b"\0"
        entries.append(box(b"infe", struct.pack(">IHH4s", 2 << 24 | 1, 2 + count + number, 0, kind), name))
        samples.append(data)
    sides = [box(b"ispe", struct.pack(">III", 0, *size)) for size in (picture.size, (side, side))]
    properties = box(b"ipco", header, *sides, box(b"irot", bytes([turned])))
    links = struct.pack(">HB2B", 1, 2, 2, 0x84) + b"".join(struct.pack(">HB2B", i, 2, 0x81, 3) for i in items)
    grid = struct.pack(">4BHH", 0, 0, rows - 1, columns - 1, *picture.size)

    def meta(start: int) -> bytes:
        places = struct.pack(">HHHHII", 1, 1, 0, 1, 0, len(grid))
        for item, sample in enumerate(samples, 2):
            places += struct.pack(">HHHHII", item, 0, 0, 1, start, len(sample))
            start += len(sample)
        return box(
            b"meta", bytes(4),
            box(b"hdlr", struct.pack(">II4s", 0, 0, b"pict"), bytes(13)),
            box(b"pitm", struct.pack(">IH", 0, 1)),
            box(b"iinf", struct.pack(">IH", 0, len(entries)), *entries),
            box(b"iref", bytes(4), box(b"dimg", struct.pack(f">HH{count}H", 1, count, *items))),
            box(b"iprp", properties, box(b"ipma", struct.pack(">II", 0, 1 + count), links)),
            box(b"idat", grid),
            box(b"iloc", struct.pack(">IBBH", 1 << 24, 0x44, 0, 1 + len(samples)), places),
        )  # fmt: skip

    head = box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    start = len(head) + len(meta(0)) + 8
    path.write_bytes(head + meta(start) + box(b"mdat", *samples))
    return path


@pytest.mark.parametrize("turned", [0, 1, 3])
def test_a_photograph_in_tiles_is_put_together(tmp_path: Path, turned: int) -> None:
    x, y = np.meshgrid(np.arange(150), np.arange(100))
    picture = Image.fromarray(np.stack([x + 50, y + 80, 255 - x], axis=-1).astype(np.uint8))
    source = tiled(tmp_path / "in.heic", picture, 64, turned)
    upright = picture.rotate(90 * turned, expand=True)
    info = probe(str(source))
    assert (info.width, info.height) == upright.size
    (frame,) = frames(source)
    assert np.abs(frame.pixels.permute(1, 2, 0).numpy().astype(int) - np.asarray(upright)).mean() < 6
    assert pass_through(source, tmp_path / "out.png") == []
    with Image.open(tmp_path / "out.png") as painted:
        assert painted.size == upright.size


def test_a_photograph_in_tiles_keeps_its_exif_data_and_other_data_is_named(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Orientation] = "A phone", 6
    beside = [(b"Exif", struct.pack(">I", 6) + exif.tobytes()), (b"mime", b"<x:xmpmeta/>")]
    source = tiled(tmp_path / "in.heic", photograph((100, 60)), 64, beside=beside)
    said = pass_through(source, tmp_path / "out.jpg")
    assert len(said) == 1
    assert "XMP data dropped" in said[0]
    with Image.open(tmp_path / "out.jpg") as painted:
        assert painted.size == (100, 60)
        assert dict(painted.getexif()) == {ExifTags.Base.Make: "A phone"}


def test_a_photograph_of_which_a_tile_is_missing_is_refused(tmp_path: Path) -> None:
    from videostyle.errors import SourceError

    source = tiled(tmp_path / "in.heic", photograph((100, 60)), 64)
    data = bytearray(source.read_bytes())
    data[-600:] = bytes(600)
    source.write_bytes(data)
    with pytest.raises(SourceError, match="tile 2 of 2"):
        open_source(str(source))
