from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import pytest
from media import decode, film

from videostyle.io.names import output_name
from videostyle.metrics.side_by_side import flicker
from videostyle.plan import RenderPlan, StabilizeOptions
from videostyle.progress import Progress
from videostyle.style import Style
from videostyle.timeline import Span
from videostyle.web.preview import (
    FILM,
    FRAME_BY_FRAME,
    PAINTED,
    PHOTO,
    STABILIZED,
    Estimate,
    PreviewCache,
    estimate,
    files,
    format_time,
    slices,
)


def quiet(progress: Progress) -> None:
    assert 0 <= progress.share <= 1


@pytest.fixture
def plan(toy_gallery: Path, tmp_path: Path) -> RenderPlan:
    """Twelve frames from the middle of thirty, of odd size, to be painted."""
    source = film(tmp_path / "film.mp4", 30, (97, 65), "yuv444p")
    span = Span(Fraction("0.4"), Fraction("0.88"))
    return RenderPlan(str(source), "", style="dots", span=span, engine="torch")


@pytest.fixture
def cache(tmp_path: Path) -> PreviewCache:
    folder = tmp_path / "media"
    folder.mkdir()
    return PreviewCache(folder)


def test_an_excerpt_comes_in_three_versions_that_browsers_play(plan: RenderPlan, cache: PreviewCache) -> None:
    versions = cache.versions(plan, quiet)
    assert list(versions) == [FILM, FRAME_BY_FRAME, STABILIZED]
    for painted in versions.values():
        assert painted.frames == len(decode(painted.path)) == 12
        with av.open(str(painted.path)) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
            assert stream.width % 2 == stream.height % 2 == 0
        data = painted.path.read_bytes()
        assert data.index(b"moov") < data.index(b"mdat")  # plays before it is whole


def test_what_was_painted_once_is_not_painted_again(plan: RenderPlan, cache: PreviewCache) -> None:
    first = cache.versions(plan, quiet)
    touched: list[str] = []
    second = cache.versions(
        replace(plan, stabilize=StabilizeOptions(0.5)), lambda progress: touched.append(progress.stage)
    )
    assert set(touched) == {f"painting, {STABILIZED}"}
    assert second[FILM] == first[FILM]
    assert second[FRAME_BY_FRAME] == first[FRAME_BY_FRAME]
    assert second[STABILIZED].path != first[STABILIZED].path


def test_old_versions_are_forgotten_and_painted_again(plan: RenderPlan, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    cache = PreviewCache(folder, keep=3)
    first = cache.versions(plan, quiet)
    cache.versions(replace(plan, stabilize=StabilizeOptions(0.5)), quiet)
    first[STABILIZED].path.unlink()
    again = cache.versions(plan, quiet)
    assert again[STABILIZED].path == first[STABILIZED].path
    assert again[STABILIZED].path.exists()


def test_a_picture_has_two_versions(plan: RenderPlan, cache: PreviewCache, tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    cv2.imwrite(str(picture), cv2.UMat(40, 60, cv2.CV_8UC3, (90, 30, 200)).get())
    versions = cache.versions(replace(plan, source=str(picture), span=Span()), quiet)
    assert list(versions) == [PHOTO, PAINTED]
    assert all(cv2.imread(str(one.path)).shape == (40, 60, 3) for one in versions.values())


def test_stopping_leaves_nothing_half_done(plan: RenderPlan, cache: PreviewCache) -> None:
    def stop(progress: Progress) -> None:
        if STABILIZED in progress.stage:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        cache.versions(plan, stop)
    # Those that are whole, for the next time, and nothing of the third.
    left = sorted(path.name for path in cache.folder.iterdir())
    assert len(left) == 2
    assert not any("unfinished" in name or name.startswith(".") for name in left)
    assert cache.versions(plan, quiet)[STABILIZED].frames == 12


def test_an_unpainted_film_flickers_as_the_film(plan: RenderPlan, cache: PreviewCache) -> None:
    versions = cache.versions(replace(plan, style=Style()), quiet)
    found = flicker(files(versions), quiet)
    assert len(found.times) == 11
    assert found.times[0] == pytest.approx(0.04)
    for line in found.errors.values():
        assert line == found.errors[FILM]
        assert all(value >= 0 for value in line)
    assert found.means()[STABILIZED] < 1000


def test_a_picture_too_small_is_not_measured(toy_gallery: Path, cache: PreviewCache, tmp_path: Path) -> None:
    tiny = RenderPlan(str(film(tmp_path / "tiny.mp4", 4, (24, 16))), "", span=Span(end=Fraction(1)))
    found = flicker(files(cache.versions(tiny, quiet)), quiet)
    assert not found.times
    assert math.isnan(found.means()[FILM])


def test_a_slice_is_one_row_over_time(plan: RenderPlan, cache: PreviewCache) -> None:
    versions = cache.versions(replace(plan, style=Style()), quiet)
    drawn = slices(versions, 1.0, cache.folder)
    (height, width, _), *others = (cv2.imread(str(path)).shape for path in drawn.values())
    assert width == 96
    assert height == 12 * 14
    assert all(other == (height, width, 3) for other in others)
    film_slice, bottom = cv2.imread(str(drawn[FILM])), decode(versions[FILM].path)[-1][1][0][-1]
    assert abs(film_slice[-1].mean() - 1.164 * (float(bottom.mean()) - 16)) < 6


def test_the_whole_film_is_estimated_from_its_excerpt(plan: RenderPlan, cache: PreviewCache) -> None:
    painted = cache.versions(plan, quiet)[STABILIZED]
    found = estimate(painted, plan)
    assert found.frames == 30
    assert found.seconds == pytest.approx(30 * painted.seconds)
    assert found.bytes == round(painted.path.stat().st_size * 30 / 12)


@pytest.mark.parametrize(
    ("seconds", "size", "words"),
    [
        (0.2, 2_000, ("1 s", "0.1 MB")),
        (89, 5e6, ("89 s", "5.0 MB")),
        (600, 2.5e9, ("10 min", "2.5 GB")),
        (7500, 1, ("2 h 05 min", "0.1 MB")),
    ],
)
def test_estimates_are_written_for_people(seconds: float, size: float, words: tuple[str, str]) -> None:
    one = Estimate(seconds, int(size), 10)
    assert (one.time, one.size) == words


def test_times_are_told_as_the_command_line_takes_them() -> None:
    assert [format_time(seconds) for seconds in (0, 7.5, 59.96, 62, 3723)] == [
        "0:00",
        "0:07.5",
        "1:00",
        "1:02",
        "1:02:03",
    ]


def test_the_painted_film_is_named_after_film_and_style() -> None:
    style = Style((("dots", 1.0), ("x/waves.safetensors", 1.0)))
    names = [output_name(source, style.label) for source in ("/a/b.mkv", "b.avi", "b.MP4", "c.png")]
    assert names == ["b-dots+waves.mkv", "b-dots+waves.mp4", "b-dots+waves.mp4", "c-dots+waves.png"]
