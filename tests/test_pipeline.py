from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import videostyle
from videostyle.errors import SourceError, UnknownNameError, UsageError
from videostyle.io.memory import MemorySink, MemorySource
from videostyle.painter import paint_frames
from videostyle.pipeline import fit, render
from videostyle.plan import RenderPlan, StabilizeOptions
from videostyle.progress import Progress
from videostyle.stabilize import WINDOW
from videostyle.style import Region, Style
from videostyle.timeline import Key, Span, Timeline
from videostyle.types import Frame

DOTS = Style((("dots", 1.0),))


def pan(count: int, height: int = 48, width: int = 64, channels: int = 3, deep: bool = False) -> list[torch.Tensor]:
    """A textured wall passing by, two pixels a frame."""
    generator = torch.Generator().manual_seed(0)
    wall = torch.rand(1, channels, height // 4, width, generator=generator)
    wall = torch.nn.functional.interpolate(wall, (height, width + 2 * count), mode="bicubic").clamp(0, 1)[0]
    scale, dtype = (65535, torch.uint16) if deep else (255, torch.uint8)
    return [(wall[:, :, 2 * i : 2 * i + width] * scale).to(dtype) for i in range(count)]


def run(pictures, **plan) -> tuple[videostyle.RenderReport, list[Frame]]:  # type: ignore[no-untyped-def]
    sink = MemorySink()
    plan = {"style": DOTS, "engine": "torch", **plan}  # the reference; nothing to compile
    report = render(RenderPlan("memory", "memory", **plan), source=MemorySource(pictures), sink=sink)
    assert sink.committed
    return report, sink.frames


def test_every_frame_is_painted_at_its_own_time(toy_gallery: Path) -> None:
    pictures = pan(5)
    odd_times = [
        Frame(p, pts, Fraction(1, 1000), 40, i)
        for i, (p, pts) in enumerate(zip(pictures, [7, 40, 90, 91, 300], strict=True))
    ]
    report, frames = run(odd_times, engine="auto")
    assert [frame.pts for frame in frames] == [7, 40, 90, 91, 300]
    assert report.frames == 5
    assert all(f.pixels.shape == (3, 48, 64) and f.pixels.dtype == torch.uint8 for f in frames)
    assert all(not torch.equal(f.pixels, p) for f, p in zip(frames, pictures, strict=True))
    assert report.engine == "openvino"
    assert report.flow == "dis"
    assert set(report.stages) == {"decode", "flow", "paint", "stabilize", "encode"}


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("channels", [3, 4])
def test_the_pass_through_changes_no_pixel(channels: int, deep: bool) -> None:
    pictures = pan(4, channels=channels, deep=deep)
    report, frames = run(pictures, style=Style())
    assert all(torch.equal(f.pixels, p) for f, p in zip(frames, pictures, strict=True))
    assert report.engine == ""
    assert report.flow == "none"


def test_strength_zero_is_the_film(toy_gallery: Path) -> None:
    pictures = pan(4, deep=True)
    _, frames = run(pictures, style=Style((("dots", 1.0),), strength=0), stabilize=StabilizeOptions(0))
    assert all(torch.equal(f.pixels, p) for f, p in zip(frames, pictures, strict=True))


def test_depth_and_alpha_are_kept(toy_gallery: Path) -> None:
    pictures = pan(3, channels=4, deep=True)
    _, frames = run(pictures)
    assert all(f.pixels.dtype == torch.uint16 and f.pixels.shape[0] == 4 for f in frames)
    assert all(torch.equal(f.pixels[3], p[3]) for f, p in zip(frames, pictures, strict=True))
    # No 8-bit bottleneck: the painting uses the bits below an eighth.
    assert (frames[0].pixels[:3].int() % 257).float().std() > 40


def test_alpha_follows_the_size(toy_gallery: Path) -> None:
    _, frames = run(pan(2, channels=4), size="32x24")
    assert frames[0].pixels.shape == (4, 24, 32)


def test_the_pass_through_can_be_scaled() -> None:
    report, frames = run(pan(2), style=Style(), size="24")
    assert frames[0].pixels.shape == (3, 24, 32)
    assert report.size == (32, 24)


def test_stabilising_steadies_a_pan(toy_gallery: Path) -> None:
    """The painting should move with the wall, two pixels a frame: shifted back, frames should agree."""

    def unsteadiness(amount: float) -> float:
        _, frames = run(pan(10), stabilize=StabilizeOptions(amount))
        painted = [frame.pixels.float() / 255 for frame in frames]
        return sum(
            (a[:, 8:-8, 12:-8] - b[:, 8:-8, 10:-10]).square().mean().item() for a, b in itertools.pairwise(painted)
        )

    assert unsteadiness(0.8) < 0.7 * unsteadiness(0)


def test_nothing_of_the_shot_before_remains_after_a_cut(toy_gallery: Path) -> None:
    before, after = [p // 4 for p in pan(6)], [255 - p // 4 for p in pan(6)]
    report, frames = run(before + after)
    assert len(report.cuts) == 1
    assert report.cuts[0] == pytest.approx(6 / 24, abs=1e-3)
    _, alone = run(after)
    assert torch.equal(frames[6].pixels, alone[0].pixels)


def test_where_cuts_are_known_none_are_looked_for(toy_gallery: Path) -> None:
    pictures = [p // 4 for p in pan(6)] + [255 - p // 4 for p in pan(6)]
    frames = [Frame(p, i, Fraction(1, 24), 1, i, is_cut=i in (0, 3)) for i, p in enumerate(pictures)]
    plan = RenderPlan("memory", "memory", style=DOTS, engine="torch")
    known = render(plan, source=MemorySource(frames), sink=MemorySink(), cuts_known=True)
    found = render(plan, source=MemorySource(frames), sink=MemorySink())
    assert known.cuts == pytest.approx([3 / 24], abs=1e-3)
    assert found.cuts == pytest.approx([3 / 24, 6 / 24], abs=1e-3)


def test_memory_is_bounded(toy_gallery: Path) -> None:
    """However long the film, a few frames are alive."""
    alive, most, lock = 0, 0, threading.Lock()

    class Counted:
        pass

    def ended() -> None:
        nonlocal alive
        with lock:
            alive -= 1

    def endless() -> Iterator[Frame]:
        nonlocal alive, most
        import weakref

        for index, picture in enumerate(itertools.islice(itertools.cycle(pan(6)), 150)):
            pixels = picture.clone()
            with lock:
                alive += 1
                most = max(most, alive)
            weakref.finalize(pixels, ended)
            yield Frame(pixels, index, Fraction(1, 24), 1, index)

    class Counter(MemorySink):
        def write(self, frame: Frame) -> None:
            self.frames = [frame]

    sink = Counter()
    plan = RenderPlan("memory", "memory", style=DOTS, engine="torch", queue_depth=2)
    report = render(plan, source=MemorySource(endless()), sink=sink)
    assert report.frames == 150
    assert most < 25 + WINDOW


def test_an_early_end_leaves_no_thread(toy_gallery: Path) -> None:
    before = threading.active_count()
    frames = paint_frames(MemorySource(itertools.cycle(pan(4))).frames(Span()), DOTS, engine="torch")
    assert next(frames).pixels.shape == (3, 48, 64)
    frames.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


class Damaged(MemorySource):
    def frames(self, span: Span = Span()) -> Iterator[Frame]:  # noqa: B008
        yield from itertools.islice(super().frames(span), 3)
        raise SourceError("memory: the disk was pulled out")


def test_a_failing_source_discards_the_output(toy_gallery: Path) -> None:
    sink = MemorySink()
    before = threading.active_count()
    with pytest.raises(SourceError, match="pulled out"):
        render(RenderPlan("memory", "memory", style=DOTS, engine="torch"), source=Damaged(pan(9)), sink=sink)
    assert not sink.committed
    assert threading.active_count() == before


def test_a_failing_sink_ends_the_render(toy_gallery: Path) -> None:
    class Full(MemorySink):
        def write(self, frame: Frame) -> None:
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        render(
            RenderPlan("memory", "memory", style=DOTS, engine="torch"),
            source=MemorySource(itertools.cycle(pan(4))),
            sink=Full(),
        )


def test_an_interruption_says_where_the_rest_is(toy_gallery: Path, tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.done == 6:
            raise KeyboardInterrupt

    plan = RenderPlan("memory", str(tmp_path / "out.mp4"), style=DOTS, engine="torch")
    with pytest.raises(KeyboardInterrupt) as caught:
        render(plan, source=MemorySource(itertools.cycle(pan(6))), on_progress=interrupt)
    (note,) = caught.value.__notes__
    assert not (tmp_path / "out.mp4").exists()
    (partial,) = tmp_path.iterdir()
    assert str(partial) in note
    with videostyle.open_source(str(partial)) as video:
        assert 1 <= len(list(video.frames(Span()))) <= 6


def test_bad_requests_fail_before_anything_is_written(toy_gallery: Path, tmp_path: Path) -> None:
    plan = RenderPlan("memory", str(tmp_path / "out.mp4"), style=Style((("dot", 1.0),)))
    with pytest.raises(UnknownNameError, match="did you mean dots"):
        render(plan, source=MemorySource(pan(2)))
    assert list(tmp_path.iterdir()) == []


def test_a_span_beyond_the_end_is_an_error(toy_gallery: Path) -> None:
    with pytest.raises(SourceError, match="no frame in the part asked for"):
        run(pan(3), span=Span(Fraction(100)))


def test_paint_frames_agrees_with_render(toy_gallery: Path) -> None:
    _, rendered = run(pan(4), stabilize=StabilizeOptions(mode="causal"))
    painted = list(paint_frames(MemorySource(pan(4)).frames(Span()), DOTS, engine="torch"))
    assert all(torch.equal(a.pixels, b.pixels) for a, b in zip(painted, rendered, strict=True))


@pytest.mark.parametrize(
    ("size", "source", "expected"),
    [
        (None, (641, 361), (641, 361)),
        ("360", (1920, 1080), (640, 360)),
        ("360", (1080, 1920), (360, 640)),
        ("640x360", (640, 480), (480, 360)),
        ("640x360", (640, 272), (640, 272)),
        ("640X360", (320, 180), (640, 360)),
    ],
)
def test_sizes_fit(size: str | None, source: tuple[int, int], expected: tuple[int, int]) -> None:
    assert fit(size, *source) == expected


@given(st.integers(2, 4000), st.integers(2, 4000), st.integers(1, 4000), st.integers(1, 4000))
@settings(max_examples=60, deadline=None)
def test_a_fitted_size_stays_in_the_box_but_for_rounding(box_w: int, box_h: int, w: int, h: int) -> None:
    wide, tall = fit(f"{box_w}x{box_h}", w, h)
    assert wide >= 1
    assert tall >= 1
    assert wide <= box_w + 1
    assert tall <= box_h + 1


@pytest.mark.parametrize("bad", ["", "x", "640x", "-5", "1", "big", "640x1", "12.5"])
def test_sizes_that_make_no_sense_are_refused(bad: str) -> None:
    with pytest.raises(UsageError, match="size must look like"):
        fit(bad, 640, 360)


# Frames that repeat the one before


def held(count: int, channels: int = 3) -> list[torch.Tensor]:
    """One picture, decoded anew for every frame."""
    return [pan(1, channels=channels)[0] for _ in range(count)]


@pytest.mark.parametrize("deep", [False, True])
def test_a_film_on_twos_is_the_film_on_ones_each_frame_shown_twice(toy_gallery: Path, deep: bool) -> None:
    ones = pan(4, deep=deep)
    _, once = run(ones)
    report, twice = run([picture.clone() for picture in ones for _ in range(2)])
    assert report.repeated == 4
    assert [frame.pts for frame in twice] == list(range(8))
    for frame, first, second in zip(once, twice[::2], twice[1::2], strict=True):
        assert torch.equal(frame.pixels, first.pixels)
        assert torch.equal(frame.pixels, second.pixels)


def test_nearly_the_same_is_painted_anew(toy_gallery: Path) -> None:
    pictures = held(3)
    pictures[1][1, 20, 30] ^= 1
    report, _ = run(pictures)
    assert report.repeated == 0


def test_a_still_is_painted_anew_while_its_style_changes(toy_gallery: Path) -> None:
    second = Fraction(1, 24)
    style = Style(Timeline((Key((("dots", 1.0),), Fraction(0), 3 * second), Key((("lines", 1.0),), 5 * second))))
    report, frames = run(held(8), style=style, stabilize=StabilizeOptions(0))
    changed = [not torch.equal(a.pixels, b.pixels) for a, b in itertools.pairwise(frames)]
    assert changed == [False, False, False, True, True, False, False]
    assert report.repeated == 5
    stronger = Style((("dots", 1.0),), strength=Timeline((Key(0.2), Key(1.0, 7 * second))))
    report, frames = run(held(8), style=stronger)
    assert report.repeated == 0


def test_a_mask_moves_over_a_still(toy_gallery: Path, tmp_path: Path) -> None:
    for number in range(4):
        mask = np.zeros((48, 64), np.uint8)
        mask[:, : 16 * (number + 1)] = 255
        cv2.imwrite(str(tmp_path / f"{number}.png"), mask)
    mask_film = str(tmp_path / "%d.png")
    picture = held(1)[0]
    for style in (
        Style((("dots", 1.0),), mask=mask_film, feather=0),
        Style((("none", 1.0),), regions=(Region((("dots", 1.0),), mask_film),), feather=0),
    ):
        report, frames = run(held(4), style=style)
        assert report.repeated == 3
        for number, frame in enumerate(frames):
            edge = 16 * (number + 1)
            assert not torch.equal(frame.pixels[..., :edge], picture[..., :edge])
            assert torch.equal(frame.pixels[..., edge:], picture[..., edge:])


def test_alpha_changes_over_a_still(toy_gallery: Path) -> None:
    pictures = held(3, channels=4)
    for number, picture in enumerate(pictures):
        picture[3] = 40 * number
    report, frames = run(pictures)
    assert report.repeated == 2
    assert all(torch.equal(f.pixels[3], p[3]) for f, p in zip(frames, pictures, strict=True))


def test_a_cut_is_painted_even_where_it_shows_the_same(toy_gallery: Path) -> None:
    frames = [Frame(p, n, Fraction(1, 24), 1, n, is_cut=n == 2) for n, p in enumerate(held(4))]
    report, _ = run(frames)
    assert report.repeated == 2


def test_a_still_can_be_scaled_without_being_painted(toy_gallery: Path) -> None:
    report, frames = run(held(3), style=Style(), size="24")
    assert report.repeated == 2
    assert all(torch.equal(frame.pixels, frames[0].pixels) for frame in frames)
