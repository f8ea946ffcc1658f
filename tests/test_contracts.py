"""One suite for each kind of part: every stylizer, source, sink and executor does what its protocol promises."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from media import film
from PIL import Image

import videostyle.batch.executors
import videostyle.engines
import videostyle.flow
import videostyle.segmenters
import videostyle.stylizers
from videostyle.batch.executors import load_executor
from videostyle.batch.plan import BatchPlan, Segment
from videostyle.batch.segments import SegmentSource, checksum
from videostyle.batch.tasks import ScanTask
from videostyle.errors import MissingDependencyError
from videostyle.io import open_sink, open_source
from videostyle.io.camera import CameraSource
from videostyle.io.memory import MemorySink, MemorySource
from videostyle.plan import RenderPlan
from videostyle.plugins import available, load_module
from videostyle.style import Style
from videostyle.stylizers import load_stylizer
from videostyle.timeline import Span
from videostyle.types import Moment, Sink, Source, Stylizer

SIZE = (48, 32)


# Stylizers


@pytest.fixture(params=available(videostyle.stylizers))
def stylizer(request: pytest.FixtureRequest, toy_gallery: Path) -> Stylizer:
    module = load_module(videostyle.stylizers, request.param)
    return load_stylizer(Style(getattr(module, "STYLE", "dots")), "torch", "cpu")


@pytest.mark.parametrize("size", [(32, 48), (17, 23), (1, 1), (33, 7)])
def test_a_stylizer_keeps_size_type_and_range(stylizer: Stylizer, size: tuple[int, int]) -> None:
    content = torch.rand(1, 3, *size)
    before = content.clone()
    output = stylizer(content)
    assert output.shape == content.shape
    assert output.dtype == torch.float32
    assert 0 <= output.min() <= output.max() <= 1
    assert torch.equal(content, before), "the input is not the stylizer's to change"


def test_a_stylizer_forgets_at_a_cut(stylizer: Stylizer) -> None:
    first, second = torch.rand(2, 1, 3, 24, 32)
    alone = stylizer(second).clone()
    stylizer(first)
    assert torch.equal(stylizer(second, Moment(Fraction(1, 24), is_cut=True)), alone)


def test_a_stylizer_says_at_which_size_it_works(stylizer: Stylizer) -> None:
    height, width = stylizer.working_size(30, 50)
    assert height >= 1
    assert width >= 1
    assert isinstance(stylizer.recurrent, bool)


# Sources


def _pictures(count: int) -> list[np.ndarray[Any, Any]]:
    random = np.random.default_rng(0)
    return [random.integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8) for _ in range(count)]


def _from_file(folder: Path) -> Source:
    return open_source(str(film(folder / "film.mp4", 6, SIZE)))


def _from_pictures(folder: Path) -> Source:
    for number, picture in enumerate(_pictures(6)):
        cv2.imwrite(str(folder / f"{number:03d}.png"), picture)
    return open_source(str(folder / "%03d.png"), 24)


def _from_animation(folder: Path) -> Source:
    first, *rest = [Image.fromarray(picture) for picture in _pictures(6)]
    first.save(folder / "moving.webp", save_all=True, append_images=rest, duration=40)
    return open_source(str(folder / "moving.webp"))


def _from_memory(folder: Path) -> Source:
    return MemorySource(_pictures(6))


def _from_camera(folder: Path) -> Source:
    return CameraSource(str(film(folder / "film.mp4", 6, SIZE)))


def _from_segment(folder: Path) -> Source:
    path = str(film(folder / "film.mp4", 6, SIZE))
    with open_source(path) as video:
        first = next(iter(video.frames(Span())))
    segment = Segment(0, 6, 0, 6, first.pts, checksum(first.pixels), (0,))
    return SegmentSource(RenderPlan(path, ""), segment, folder)


SOURCES: dict[str, Callable[[Path], Source]] = {
    "film": _from_file,
    "sequence": _from_pictures,
    "animation": _from_animation,
    "memory": _from_memory,
    "camera": _from_camera,
    "segment": _from_segment,
}


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    return SOURCES[request.param](tmp_path)


def test_a_source_yields_frames_in_order(source: Source) -> None:
    assert (source.info.width, source.info.height) == SIZE
    assert isinstance(source.is_live, bool)
    with source as opened:
        frames = list(opened.frames(Span()))
    assert frames
    assert source.is_live or len(frames) == 6
    times = [frame.pts * frame.time_base for frame in frames]
    assert times == sorted(set(times))
    assert [frame.index for frame in frames] == sorted({frame.index for frame in frames})
    for frame in frames:
        assert tuple(frame.pixels.shape) == (3, SIZE[1], SIZE[0])
        assert frame.pixels.dtype == torch.uint8
    assert source.warnings == []


def test_a_source_may_be_left_early(source: Source) -> None:
    with source as opened:
        frames = iter(opened.frames(Span()))
        next(frames)
    close = getattr(frames, "close", None)
    if close is not None:
        close()


# Sinks


def _into(name: str) -> Callable[[Source, Path], Sink]:
    return lambda source, folder: open_sink(str(folder / name), source.info)


SINKS: dict[str, Callable[[Source, Path], Sink]] = {
    "film": _into("out.mp4"),
    "animation": _into("out.gif"),
    "sequence": _into("%03d.png"),
    "memory": lambda source, folder: MemorySink(),
}


@pytest.fixture(params=SINKS)
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Sink, Source, Path]:
    source = MemorySource(_pictures(4))
    (tmp_path / "out").mkdir()
    return SINKS[request.param](source, tmp_path / "out"), source, tmp_path / "out"


def test_a_sink_has_its_files_when_it_is_left(sink: tuple[Sink, Source, Path]) -> None:
    out, source, folder = sink
    with source as frames, out as opened:
        for frame in frames.frames(Span()):
            opened.write(frame)
    if isinstance(out, MemorySink):
        assert len(out.frames) == 4
    else:
        names = sorted(path.name for path in folder.iterdir())
        assert names in (["out.mp4"], ["out.gif"], ["001.png", "002.png", "003.png", "004.png"])
    assert all(isinstance(line, str) for line in out.warnings)


def test_a_sink_that_breaks_off_has_nothing_under_the_final_name(sink: tuple[Sink, Source, Path]) -> None:
    out, source, folder = sink
    with source as frames:
        frame = next(iter(frames.frames(Span())))

    def broken_off() -> None:
        with out as opened:
            opened.write(frame)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken_off()
    assert not (folder / "out.mp4").exists()
    assert not (folder / "out.gif").exists()


# Executors


@pytest.fixture(params=available(videostyle.batch.executors))
def executor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "ray":
        pytest.skip("a cluster takes long to start; tests/batch/test_batch_ray.py has it")
    try:
        with load_executor(BatchPlan((), tmp_path, workers=1, executor=request.param)) as opened:
            yield opened
    except MissingDependencyError as error:
        pytest.skip(str(error))


def test_an_executor_carries_out_what_it_is_given(executor: Any, tmp_path: Path) -> None:
    path = str(film(tmp_path / "film.mp4", 6, SIZE))
    assert executor.workers == 1
    executor.submit("right", ScanTask(RenderPlan(path, "")))
    executor.submit("wrong", ScanTask(RenderPlan(str(tmp_path / "none.mp4"), "")))
    found: dict[str, dict[str, Any]] = {}
    for _ in range(600):
        found.update(executor.finished(0.1))
        if len(found) == 2:
            break
    assert found["right"]["frames"] == 6
    assert "none.mp4" in found["wrong"]["error"]
    assert executor.frames >= 0


def test_local_workers_are_processes(tmp_path: Path) -> None:
    path = str(film(tmp_path / "film.mp4", 2, SIZE))
    with load_executor(BatchPlan((), tmp_path, workers=1)) as executor:
        executor.submit("one", ScanTask(RenderPlan(path, "")))
        assert multiprocessing.active_children()


# Parts that are dropped in

SKETCH = """
import torch
STYLE, SUMMARY = "sketch", "pencil strokes from local contrast"

class Sketch:
    recurrent = False

    def __call__(self, content, moment=None):
        blurred = torch.nn.functional.avg_pool2d(content, 9, 1, 4, count_include_pad=False)
        return (content / blurred.clamp(min=0.05)).clamp(0, 1)

    def working_size(self, height, width):
        return height, width

def build(style, engine, device):
    return Sketch()
"""

EAGER = '''"""PyTorch as it comes."""
import torch
RANK = -1

def build(net, inputs, device):
    @torch.inference_mode()
    def run(*given):
        result = net(*given)
        return result if isinstance(result, tuple) else (result,)
    return run
'''

PLUGIN = """
import videostyle.engines, videostyle.stylizers
for package in (videostyle.engines, videostyle.stylizers):
    package.__path__.append({folder!r} + package.__name__)
"""


def test_parts_that_are_dropped_in_are_listed_run_and_tested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], toy_gallery: Path
) -> None:
    from videostyle.cli import main

    with monkeypatch.context() as patch:
        for package, name, text in (
            (videostyle.stylizers, "sketch", SKETCH),
            (videostyle.engines, "eager", EAGER),
        ):
            folder = tmp_path / f"dropped.{package.__name__}"
            folder.mkdir()
            (folder / f"{name}.py").write_text(text, encoding="utf-8")
            patch.setattr(package, "__path__", [*package.__path__, str(folder)])
        assert main(["styles"]) == 0
        assert "pencil strokes" in capsys.readouterr().out
        with pytest.raises(SystemExit):
            main(["stylize", "--help"])
        assert "eager" in capsys.readouterr().out
        path = str(film(tmp_path / "film.mp4", 3, SIZE))
        assert main(["stylize", path, "--style", "sketch", "-o", str(tmp_path / "a.mp4"), "-q"]) == 0
        eager = ["--style", "dots", "--engine", "eager", "--device", "cpu"]
        assert main(["stylize", path, *eager, "-o", str(tmp_path / "b.mp4"), "-q"]) == 0
    # The suites of both kinds find them, too.
    (tmp_path / "dropping.py").write_text(PLUGIN.format(folder=str(tmp_path / "dropped.")), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VIDEOSTYLE_")}
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    suites = [__file__, str(Path(__file__).with_name("test_engines.py"))]
    command = [sys.executable, "-m", "pytest", "-p", "dropping", "-n", "0", "-q", *suites]
    asked = [*command, "-k", "sketch or (eager and agree and fast-great)"]
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert "7 passed" in done.stdout, done.stdout


KINDS = [
    videostyle.engines,
    videostyle.flow,
    videostyle.segmenters,
    videostyle.stylizers,
    videostyle.batch.executors,
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_part_has_a_build_function_and_a_docstring(kind: Any) -> None:
    for name in available(kind):
        module = load_module(kind, name)
        assert callable(module.build)
        assert module.__doc__
