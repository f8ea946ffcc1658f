"""What somebody tries first, and what they are told."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import media
import numpy as np
import pytest
import torch
from command import failing, told

import videostyle
from videostyle import (
    EncodeOptions,
    Frame,
    Painter,
    RenderPlan,
    Span,
    StabilizeOptions,
    Style,
    UsageError,
    paint_frames,
)
from videostyle.cli import main
from videostyle.io import codecs
from videostyle.io.codecs import choose_codec

ROOT = Path(__file__).parents[1]


@pytest.fixture
def film(tmp_path: Path) -> str:
    return str(media.film(tmp_path / "film.mp4", 3))


@pytest.mark.parametrize("name", ["painting.jpg", "folder/the painting.PNG", "painting.webp"])
@pytest.mark.parametrize("exists", [True, False])
def test_a_picture_as_style_is_to_be_learned_first(
    toy_gallery: Path, film: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, exists: bool
) -> None:
    picture = tmp_path / name
    if exists:
        picture.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(picture), np.zeros((8, 8, 3), np.uint8))
    status, text = failing(capsys, "stylize", film, "-o", str(tmp_path / "o.mp4"), "--style", str(picture), "-q")
    assert status == 2
    assert "is a picture, and fast has no predictor of codes; learn it: " in text
    assert f"videostyle learn {picture}".partition(" the")[0] in text.replace("'", "")


@pytest.mark.parametrize("command", ["paint", "keyframes"])
def test_a_style_where_a_painting_is_wanted(
    toy_gallery: Path, film: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    words = {
        "paint": ["paint", film, "dots", "-o", str(tmp_path / "o.png")],
        "keyframes": ["keyframes", film, "--style", "dots", "-o", str(tmp_path / "o.mp4")],
    }
    status, text = failing(capsys, *words[command], "-q")
    assert status == 2
    assert "dots: is a style, and this command needs pictures" in text
    assert "videostyle stylize --style dots" in text


def test_nobody_is_told_to_install_this_from_an_index() -> None:
    texts = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "videostyle").rglob("*.py")]
    for path in texts:
        assert not re.search(r"pip install ['\"]?videostyle", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize(
    ("asked", "codec"),
    [("h265", "hevc"), ("H.265", "hevc"), ("x265", "hevc"), ("libx265", "hevc"), ("avc", "h264"), ("libx264", "h264")]
    + [(codec.encoder, name) for name, codec in codecs.CODECS.items()],
)
def test_codecs_are_known_by_all_their_names(asked: str, codec: str) -> None:
    container = codecs.CODECS[codec].containers[0]
    assert choose_codec(container, EncodeOptions(asked))[0] == codec


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--flow", "none", "--stabilize", "1"], "--flow none estimates no motion, so --stabilize 1 has no effect"),
        (["--flow", "none", "--stabilize-mode", "causal"], "so --stabilize-mode causal has no effect"),
        (["--stabilize", "0", "--stabilize-mode", "lookahead"], "so --stabilize-mode lookahead has no effect"),
        (["--flow", "dis", "--flow-weights", "raft.pt"], "so --flow-weights raft.pt is not read"),
        (["--flow", "none"], ""),
        (["--stabilize", "0"], ""),
        (["--stabilize-mode", "causal"], ""),
    ],
)
def test_options_that_contradict_each_other_are_named(
    toy_gallery: Path, film: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], line: str
) -> None:
    words = ["stylize", film, "-o", str(tmp_path / "o.mp4"), "--style", "dots", "--engine", "torch", "-q", *options]
    assert main(words) == 0
    text = told(capsys.readouterr().err)
    assert (line in text) if line else (text == "")


@pytest.mark.parametrize(("size", "warned"), [((64, 48), False), ((32, 24), False), ((48, 48), True), ((48, 64), True)])
def test_a_mask_of_another_shape_is_named(
    toy_gallery: Path,
    film: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    size: tuple[int, int],
    warned: bool,
) -> None:
    mask = str(tmp_path / "mask.png")
    cv2.imwrite(mask, np.full(size[::-1], 255, np.uint8))
    words = ["stylize", film, "-o", str(tmp_path / "o.mp4"), "--style", "dots", "--engine", "torch", "-q"]
    assert main([*words, "--mask", mask]) == 0
    text = told(capsys.readouterr().err)
    wide, tall = size
    assert (f"mask.png: the mask is {wide}x{tall}, another shape than the frames, 64x48" in text) == warned
    assert bool(text) == warned


@pytest.mark.parametrize("style", ["dots", "none"])
def test_a_size_that_no_memory_holds_is_refused(
    toy_gallery: Path, film: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], style: str
) -> None:
    words = ["stylize", film, "-o", str(tmp_path / "o.mp4"), "--style", style, "--size", "200000", "-q"]
    status, text = failing(capsys, *words)
    assert status == 2
    assert re.search(r"266666x200000 needs some \d+ GB of memory, and \d+\.\d are free; choose a smaller size", text)
    assert not list(tmp_path.glob("*o.mp4*"))


def array(index: int) -> Any:
    return np.zeros((48, 64, 3), np.uint8) + index


def frame(index: int) -> Frame:
    return Frame(torch.from_numpy(array(index)).permute(2, 0, 1), index, Fraction(1, 24))


def small(index: int) -> Frame:
    return Frame(frame(index).pixels[:, :24, :32], index, Fraction(1, 24))


DOTS = (("dots", 1.0),)


@pytest.mark.parametrize(
    ("wrong", "suggestion"),
    [
        (lambda: Style(("great-wave", 1.0)), 'write "great-wave", or {"great-wave": 2, "scream": 1} for a blend'),
        (lambda: Style(DOTS, strength="0.5"), "write a number between 0 and 1"),
        (lambda: Style(DOTS, brush="2"), "write a number between 0.25 and 4"),
        (lambda: Style(DOTS, statistics="film"), "there are frame, shot"),
        (lambda: Style(DOTS, keep_colors="yes"), "must be True or False"),
        (lambda: RenderPlan("a", "b", size=(426, 240, 3)), "size cannot be (426, 240, 3)"),
        (lambda: RenderPlan("a", "b", engine="opnvino"), "did you mean openvino?"),
        (lambda: RenderPlan("a", "b", flow="diss"), "did you mean dis?"),
        (lambda: RenderPlan(1, "b"), "write the path of a file"),
        (lambda: StabilizeOptions("1"), "write a number between 0 and 1"),
        (lambda: StabilizeOptions(True), "write a number between 0 and 1"),
        (lambda: Span("1:2x"), "write seconds, m:ss, h:mm:ss or 1m20s"),
        (lambda: videostyle.stylize("a", "b", brushes=2), "did you mean brush?"),
        (lambda: videostyle.stylize("a", "b", keep_colours=True), "did you mean keep_colors?"),
        (lambda: videostyle.stylize("a", "b", ["dots"]), "for a blend"),
        (lambda: videostyle.stylize("a", "b", "dots", stabilize_mode="casual"), "did you mean causal?"),
        (lambda: paint_frames([], Style(DOTS), overwrite=True), "paint_frames has no setting 'overwrite'"),
        (lambda: Painter("dots", codec="hevc"), "Painter has no setting 'codec'"),
        (lambda: list(paint_frames([array(0)], Style(DOTS))), "Painter(style).video(frames, fps=24)"),
        (lambda: list(paint_frames([Frame(array(0), 0, Fraction(1, 24))], Style(DOTS))), "Painter(style).video("),
        (lambda: list(paint_frames([frame(0), small(1)], "dots", engine="torch")), "the size of the first, 64x48"),
        (lambda: Painter("dots", engine="torch")(array(0)[..., 0]), "give (H, W, 3) RGB"),
        (lambda: Painter("dots", engine="torch")(array(0).astype(int)), "give uint8, uint16, or floats in 0..1"),
        (lambda: Painter("dots", engine="torch")(array(9).astype(float)), "divide by 255"),
        (lambda: Painter("dots", engine="torch")("photo.jpg"), "give a NumPy array (H, W, 3), a PIL image or a tensor"),
    ],
)
def test_in_python_a_wrong_value_is_told_with_the_right_one(
    toy_gallery: Path, wrong: Callable[[], object], suggestion: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(suggestion)):
        wrong()


def test_what_people_write_works(toy_gallery: Path, film: str, tmp_path: Path) -> None:
    output = tmp_path / "o.mp4"
    videostyle.stylize(
        Path(film), output, {"dots": 2, "lines": 1}, engine="torch", size=24, codec="hevc", crf=20, stabilize=0.5,
        start="0:00", strength=0.8, flow="dis",
    )  # fmt: skip
    assert videostyle.probe(str(output)).height == 24
