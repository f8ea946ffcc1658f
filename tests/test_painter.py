"""Painting in memory: what goes in comes out of the same kind, and is what a render paints."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from media import film
from moving import pan
from PIL import Image

import videostyle
from videostyle.io.memory import MemorySink, MemorySource
from videostyle.ops.pixels import to_pixels
from videostyle.painter import Painter, paint_frames
from videostyle.pipeline import render
from videostyle.plan import RenderPlan
from videostyle.types import Frame

FRAMES = [to_pixels(one[0]) for one in pan(4, (2, 0), size=(48, 64))]
ARRAYS = [one.permute(1, 2, 0).numpy().copy() for one in FRAMES]
ALPHA = np.dstack([ARRAYS[0], np.full((48, 64), 99, np.uint8)])


@pytest.fixture
def painter(toy_gallery: Path) -> Painter:
    return Painter("dots", engine="torch")


def as_bytes(value: Any) -> np.ndarray[Any, Any]:
    """Pixels (H, W, C) uint8 of whatever kind of picture."""
    if isinstance(value, Image.Image):
        return np.array(value)
    if isinstance(value, torch.Tensor):
        value = value.permute(1, 2, 0).numpy()
    scale = {np.dtype("uint8"): 1, np.dtype("uint16"): 1 / 257}.get(value.dtype, 255)
    return (value.astype(float) * scale).round().astype(np.uint8)


@pytest.mark.parametrize(
    "picture",
    [
        ARRAYS[0],
        ALPHA,
        ARRAYS[0].astype(np.uint16) * 257,
        ARRAYS[0].astype(np.float32) / 255,
        ARRAYS[0].astype(np.float64) / 255,
        Image.fromarray(ARRAYS[0]),
        Image.fromarray(ALPHA),
        FRAMES[0],
        FRAMES[0].float() / 255,
        (FRAMES[0].float() / 255).half(),
    ],
    ids=["array", "alpha", "uint16", "float32", "float64", "PIL", "PIL alpha", "tensor", "float tensor", "half"],
)
def test_what_goes_in_comes_out_of_the_same_kind(painter: Painter, picture: Any) -> None:
    output = painter(picture)
    assert type(output) is type(picture)
    if not isinstance(picture, Image.Image):
        assert (output.shape, output.dtype) == (picture.shape, picture.dtype)
    expected, found = painter(ARRAYS[0]), as_bytes(output)
    assert np.abs(found[..., :3].astype(int) - expected).max() <= 1
    assert not np.array_equal(expected, ARRAYS[0])
    if found.shape[2] == 4:
        assert (found[..., 3] == 99).all()


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "LA", "1"])
def test_images_of_every_mode_are_painted(painter: Painter, mode: str) -> None:
    output = painter(Image.fromarray(ARRAYS[0]).convert(mode))
    assert (output.size, output.mode) == ((64, 48), "RGBA" if mode == "LA" else "RGB")


def test_a_batch_is_its_pictures_one_by_one(painter: Painter) -> None:
    arrays = painter(np.stack(ARRAYS[:2]))
    assert np.array_equal(arrays, np.stack([painter(one) for one in ARRAYS[:2]]))
    tensors = painter(torch.stack(FRAMES[:2]))
    assert torch.equal(tensors.permute(0, 2, 3, 1), torch.from_numpy(arrays))


def test_a_picture_is_the_same_whatever_was_painted_before(painter: Painter) -> None:
    first = painter(ARRAYS[0])
    painter(ARRAYS[3])
    list(painter.video(ARRAYS))
    assert np.array_equal(painter(ARRAYS[0]), first)
    assert np.array_equal(videostyle.stylize_image(ARRAYS[0], "dots", engine="torch"), first)


def test_a_video_is_what_a_render_paints(painter: Painter) -> None:
    sink = MemorySink()
    plan = RenderPlan.of("memory", "memory", style="dots", engine="torch", stabilize_mode="causal")
    render(plan, source=MemorySource(FRAMES), sink=sink)
    found = list(painter.video(ARRAYS, fps=24))
    assert all(np.array_equal(a, b.pixels.permute(1, 2, 0).numpy()) for a, b in zip(found, sink.frames, strict=True))


def test_settings_are_honoured(toy_gallery: Path) -> None:
    assert Painter("dots", engine="torch", size=24)(ARRAYS[0]).shape == (24, 32, 3)
    assert np.array_equal(Painter("dots", engine="torch", strength=0)(ARRAYS[0]), ARRAYS[0])
    assert np.array_equal(Painter("none")(ARRAYS[0]), ARRAYS[0])


def test_the_callers_threads_are_left_alone(painter: Painter) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for _ in Painter("dots", engine="openvino").video(ARRAYS):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_frames_have_a_report(toy_gallery: Path) -> None:
    frames = paint_frames(MemorySource(FRAMES).frames(), "dots", engine="torch", size="24", flow="dis")
    with pytest.raises(videostyle.UsageError, match="once a frame was painted"):
        _ = frames.report
    assert [one.pixels.shape[1] for one in frames] == [24] * 4
    report = frames.report
    assert (report.frames, report.engine, report.flow, report.size) == (4, "torch", "dis", (32, 24))
    assert (report.settings["engine"], report.settings["stabilize_mode"]) == ("torch", "causal")


def test_the_rate_of_a_video_is_a_number_above_nothing(painter: Painter) -> None:
    with pytest.raises(videostyle.UsageError, match="fps must be above 0"):
        next(painter.video(ARRAYS, fps=0))
    assert len(list(painter.video(ARRAYS, fps=Fraction(30000, 1001)))) == 4


def test_every_public_name_is_there() -> None:
    assert all(getattr(videostyle, name) is not None for name in videostyle.__all__)
    assert (Path(videostyle.__file__).parent / "py.typed").exists()


def test_a_notebook_shows_frames_as_pictures_and_reports_as_tables(toy_gallery: Path, tmp_path: Path) -> None:
    pixels = torch.zeros(3, 2, 4, dtype=torch.uint8)
    pixels[0] = 200  # red
    shown = cv2.imdecode(np.frombuffer(Frame(pixels, 0, Fraction(1, 24))._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (2, 4, 3)
    assert shown[0, 0].tolist() == [0, 0, 200]
    film(tmp_path / "in.mp4", 2)
    report = videostyle.stylize(tmp_path / "in.mp4", tmp_path / "<b>.mp4", "none")
    assert "&lt;b&gt;.mp4</td>" in report._repr_html_()
