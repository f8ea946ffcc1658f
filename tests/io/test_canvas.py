"""One canvas a film: sizes and pixel shapes that change are fitted, not stretched; matrices are computed or named."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import media
import numpy as np
import pytest
from torch import Tensor

from videostyle.io import open_source, probe
from videostyle.io.canvas import Canvas
from videostyle.timeline import Span

F = Fraction
WHOLE = Span()


def raw(path: Path, size: tuple[int, int], count: int, aspect: Fraction | None = None) -> bytes:
    """H.264 without a container: white pictures with a black square of 16 by 16 in their middle."""
    planes = media.flat(size, "yuv420p", (235, 128, 128))
    y, x = size[1] // 2 - 8, size[0] // 2 - 8
    planes[0][y : y + 16, x : x + 16] = 16
    return media.write_film(path, [planes] * count, aspect=aspect).read_bytes()


def black_box(pixels: np.ndarray) -> tuple[int, int]:
    """Width and height of what is black in the middle of a picture, (3, H, W)."""
    dark = pixels.max(axis=0) < 100
    middle = dark[dark.shape[0] // 2], dark[:, dark.shape[1] // 2]
    widths = []
    for line in middle:
        at = len(line) // 2
        left = next(i for i in range(at, -1, -1) if not line[i])
        right = next(i for i in range(at, len(line)) if not line[i])
        widths.append(right - left - 1)
    return widths[0], widths[1]


def test_pictures_of_another_size_are_fitted_with_bars_and_named(tmp_path: Path) -> None:
    one, other = raw(tmp_path / "a.h264", (128, 64), 5), raw(tmp_path / "b.h264", (64, 64), 5)
    (tmp_path / "in.h264").write_bytes(one + other)
    with open_source(str(tmp_path / "in.h264")) as film:
        frames = [frame.pixels.numpy() for frame in film.frames(WHOLE)]
    assert [frame.shape for frame in frames] == [(3, 64, 128)] * 10
    assert black_box(frames[2]) == (16, 16)
    assert black_box(frames[7]) == (16, 16)
    assert frames[7][:, :, :30].max() < 30  # a bar
    assert frames[7][:, :, 34:50].min() > 220
    assert [line for line in film.warnings if "64x64 in mid-film" in line]


def test_a_film_whose_size_changes_all_the_time_keeps_few_converters(tmp_path: Path) -> None:
    sizes = [(64, 64), *((64 + 16 * number, 64) for number in range(1, 13)), (80, 64)]
    parts = [raw(tmp_path / f"{number}.h264", size, 2) for number, size in enumerate(sizes)]
    (tmp_path / "in.h264").write_bytes(b"".join(parts))
    made: list[tuple[int, int]] = []
    kept: list[int] = []
    with open_source(str(tmp_path / "in.h264")) as film, pytest.MonkeyPatch.context() as patch:
        fit = Canvas._fit

        def watched(canvas: Canvas, picture: av.VideoFrame, stretch: Fraction) -> Tensor:
            pixels = fit(canvas, picture, stretch)
            made.append((picture.width, picture.height))
            kept.append(len(canvas._fitted))
            return pixels

        patch.setattr(Canvas, "_fit", watched)
        assert len(list(film.frames(WHOLE))) == 28
    assert made == [size for size in sizes[1:] for _ in range(2)]
    assert max(kept) <= 5
    (line,) = (line for line in film.warnings if "in mid-film" in line)
    assert line.count("x64") == 8
    assert "others in mid-film" in line


def test_a_span_that_begins_in_another_size_has_the_film_s_own(tmp_path: Path) -> None:
    (tmp_path / "in.ts").write_bytes(b"")
    with av.open(str(tmp_path / "in.ts"), "w") as out:
        stream = out.add_stream("mpeg2video", rate=25)
        stream.width, stream.height = 128, 64
        for i in range(50):
            frame = media.frame_of(media.natural((128, 64), "yuv420p", i), "yuv420p")
            frame.pts, frame.time_base = i, F(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    info = probe(str(tmp_path / "in.ts"))
    with open_source(str(tmp_path / "in.ts")) as film:
        frame = next(film.frames(Span(F(1))))
    assert tuple(frame.pixels.shape) == (3, info.height, info.width)


def test_pixels_of_another_shape_are_not_stretched(tmp_path: Path) -> None:
    square, wide = raw(tmp_path / "a.h264", (128, 64), 5, F(1)), raw(tmp_path / "b.h264", (128, 64), 5, F(2))
    (tmp_path / "in.h264").write_bytes(square + wide)
    with open_source(str(tmp_path / "in.h264")) as film:
        frames = [frame.pixels.numpy() for frame in film.frames(WHOLE)]
    assert black_box(frames[2]) == (16, 16)
    assert black_box(frames[7]) == (16, 8)  # twice as wide as high, as it is shown
    assert [line for line in film.warnings if "with pixels 2 as wide" in line]


def turned(path: Path, degrees: int) -> bytes:
    """H.264 without a container, whose first picture alone says how the film is to be turned."""
    natural = [media.natural((128, 64), "yuv420p", number) for number in range(5)]
    plain = media.write_film(path, natural)
    if degrees:
        told = f"h264_metadata=display_orientation=insert:rotate={degrees}"
        with av.open(str(plain)) as source:
            stream = source.streams.video[0]
            change = av.bitstream.BitStreamFilterContext(told, stream)
            return b"".join(bytes(one) for packet in source.demux(stream) for one in change.filter(packet))
    return plain.read_bytes()


@pytest.mark.parametrize("degrees", [90, 180])
def test_pictures_that_are_turned_in_mid_film_are_laid_upright(tmp_path: Path, degrees: int) -> None:
    (tmp_path / "in.h264").write_bytes(turned(tmp_path / "a.h264", 0) + turned(tmp_path / "b.h264", degrees))
    with open_source(str(tmp_path / "in.h264")) as film:
        frames = [frame.pixels.numpy() for frame in film.frames(WHOLE)]
    assert [frame.shape for frame in frames] == [(3, 64, 128)] * 10
    for before, after in zip(frames[:5], frames[5:], strict=True):
        if degrees == 180:
            assert np.array_equal(after, before[:, ::-1, ::-1])
        else:
            assert after[:, :, :48].max() == after[:, :, 80:].max() == 0  # bars
            small = np.rot90(before.reshape(3, 32, 2, 64, 2).mean((2, 4)), axes=(1, 2))
            right, wrong = (np.abs(after[:, :, 48:80] - one).mean() for one in (small, small[:, ::-1, ::-1]))
            assert right < wrong / 3


def test_a_part_of_a_film_that_is_turned_at_its_beginning_is_upright(tmp_path: Path) -> None:
    (tmp_path / "in.h264").write_bytes(turned(tmp_path / "a.h264", 90))
    with av.open(str(tmp_path / "in.h264")) as source, av.open(str(tmp_path / "in.mkv"), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux() if packet.size):
            packet.stream, packet.time_base, packet.pts, packet.dts = stream, F(1, 25), number, number
            out.mux(packet)
    parts = []
    for span in (WHOLE, Span(F(2, 25))):
        with open_source(str(tmp_path / "in.mkv")) as film:
            parts.append([frame.pixels.numpy() for frame in film.frames(span)])
    assert [frame.shape for frame in parts[0]] == [(3, 128, 64)] * 5
    assert len(parts[1]) == 3
    for whole, part in zip(parts[0][2:], parts[1], strict=True):
        assert np.array_equal(whole, part)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pix_fmt", ["yuv444p", "yuv444p10le", "yuv420p"])
def test_ycgco_comes_out_in_its_colours(tmp_path: Path, pix_fmt: str, full: bool) -> None:
    depth = 10 if "10" in pix_fmt else 8
    red, green, blue = 200, 60, 90
    luma, cg, co = (red + 2 * green + blue) / 4, (2 * green - red - blue) / 4, (red - blue) / 2
    top = 2**depth - 1
    if full:
        values = [luma / 255 * top, *(2 ** (depth - 1) + chroma / 255 * top for chroma in (cg, co))]
    else:
        unit = 2 ** (depth - 8)
        values = [(16 + luma * 219 / 255) * unit, *((128 + chroma * 224 / 255) * unit for chroma in (cg, co))]
    planes = media.flat((64, 48), pix_fmt, [round(value) for value in values])
    path = tmp_path / "in.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"qp": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        stream.codec_context.colorspace, stream.codec_context.color_range = 8, 2 if full else 1
        frame = media.frame_of(planes, pix_fmt)
        frame.pts, frame.time_base, frame.colorspace, frame.color_range = 0, F(1, 25), 8, 2 if full else 1
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with open_source(str(path)) as film:
        pixels = next(film.frames(WHOLE)).pixels.numpy().astype(float) / (257 if depth == 10 else 1)
    assert np.abs(pixels.reshape(3, -1).mean(1) - (red, green, blue)).max() < 1.5
    assert film.warnings == []


def test_a_matrix_that_is_not_computed_is_named(tmp_path: Path) -> None:
    path = media.film(tmp_path / "in.mkv", 2, time_base=F(1, 1000))
    with av.open(str(path)) as source, av.open(str(tmp_path / "ictcp.mkv"), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height = 64, 48
        stream.codec_context.colorspace = 14
        for frame in source.decode(video=0):
            frame.colorspace = 14
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with open_source(str(tmp_path / "ictcp.mkv")) as film:
        assert [line for line in film.warnings if "ictcp" in line]


@pytest.mark.parametrize(("pix_fmt", "size"), [("rgb48be", (50, 30)), ("rgb555be", (49, 31)), ("rgb555be", (64, 48))])
def test_16_bit_rgb_of_quicktime_comes_out_in_its_colours(tmp_path: Path, pix_fmt: str, size: tuple[int, int]) -> None:
    ramp = np.zeros((size[1], size[0], 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1])[:, None]
    with av.open(str(tmp_path / "in.mov"), "w") as out:
        stream = out.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        # swscale writes big-endian RGB of 16 bits wrongly, so the numbers are packed here.
        wide = ramp.astype(np.uint16)
        thousands = wide[..., 0] >> 3 << 10 | wide[..., 1] >> 3 << 5 | wide[..., 2] >> 3
        packed = (thousands if pix_fmt == "rgb555be" else wide * 257).astype(">u2").reshape(size[1], -1).view(np.uint8)
        frame = av.VideoFrame(*size, pix_fmt)
        rows = np.zeros((size[1], frame.planes[0].line_size), np.uint8)
        rows[:, : packed.shape[1]] = packed
        frame.planes[0].update(rows.tobytes())
        frame.pts, frame.time_base = 0, F(1, 25)
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with open_source(str(tmp_path / "in.mov")) as film:
        pixels = next(film.frames(WHOLE)).pixels
    levels = pixels.numpy().astype(float) / (257 if pixels.element_size() == 2 else 1)
    assert np.abs(levels.transpose(1, 2, 0) - ramp).mean() < 4  # five bits round by 4
