"""What the page's controls do, called as Gradio calls them."""

from __future__ import annotations

import os
import shlex
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from media import decode, film

from videostyle.plan import LearnPlan, Region, RenderPlan, StabilizeOptions, Style

pytest.importorskip("gradio")

from videostyle.errors import UsageError
from videostyle.web.blocks import build
from videostyle.web.camera import Camera
from videostyle.web.page import NONE, OWN_SIZE, Desk, Page, Settings, Stopped, look, plainly

CONTROLS = ("dots", NONE, 0.5, 1.0, False, 1.0, "fast", 1.0, OWN_SIZE)


def silent(*args: Any, **kwargs: Any) -> None:
    """In place of a progress bar."""


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A folder with one film in it."""
    folder = tmp_path / "films"
    folder.mkdir()
    film(folder / "a.mp4", 12, (64, 48))
    return folder.resolve()


@pytest.fixture
def page(toy_gallery: Path, tmp_path: Path, films: Path) -> Page:
    work = tmp_path / "work"
    (work / "media").mkdir(parents=True)
    base = RenderPlan("", "", Style((("dots", 1.0),)), engine="torch")
    return Page(Settings(base, work.resolve(), (films,)), Desk())


def uploaded(page: Page, name: str = "b c.mp4", count: int = 4) -> str:
    folder = page.settings.work / "gradio"
    folder.mkdir(exist_ok=True)
    return str(film(folder / name, count, (64, 48)))


def test_controls_make_the_plan() -> None:
    base = RenderPlan("", "", Style(mask="m.png", regions=(Region((("lines", 1.0),), "r.png"),)), engine="torch")
    plan = look(base, "dots", "waves", 0.30000000000000004, 0.5, True, 2.0, "fine", 0.25, "360")
    assert plan.style.blend == (("dots", 0.7), ("waves", 0.3))
    assert (plan.style.strength, plan.style.keep_colors, plan.style.brush, plan.style.network) == (
        0.5,
        True,
        2.0,
        "fine",
    )
    assert (plan.stabilize, plan.size, plan.engine) == (StabilizeOptions(0.25), "360", "torch")
    assert (plan.style.mask, plan.style.regions) == (base.style.mask, base.style.regions)
    for second, share in ((NONE, 0.5), ("dots", 0.5), ("waves", 0.0)):
        assert look(base, "dots", second, share, *CONTROLS[3:]).style.blend == (("dots", 1.0),)


def test_a_film_is_opened_and_painted(page: Page, films: Path) -> None:
    path, about, moments, start, *_ = page.open(str(films / "a.mp4"), silent)
    assert path == str(films / "a.mp4")
    assert "64×48" in about
    assert moments["choices"][0][0] == "the whole film · 0:00"
    assert start["value"] == 0
    box, told = page.paint(path, 0.0, 0.4, 0.5, *CONTROLS, progress=silent)  # type: ignore[arg-type]
    for name in ("film", "frame by frame", "stabilised"):
        assert f'data-version="{name}"' in box
        assert f'alt="slice, {name}"' in told
    assert "whole film, about" in told
    assert "<svg" in told


def test_sliders_end_with_the_film(page: Page, films: Path) -> None:
    """Gradio refuses a value beyond a slider's end, and with it everything."""
    *_, start, seconds, _ = page.open(str(films / "a.mp4"), silent)  # type: ignore[arg-type]
    assert start["value"] <= start["maximum"]
    assert seconds["value"] <= seconds["maximum"] == 0.5
    late = Page(Settings(page.settings.base, page.settings.work, film=str(films / "a.mp4"), at=7.0), Desk())
    with pytest.raises(UsageError, match=r"--at 7: a\.mp4 lasts 0\.48 s; choose an earlier time"):
        late.open(str(films / "a.mp4"), silent)  # type: ignore[arg-type]


def test_no_file_elsewhere_is_opened(page: Page, tmp_path: Path, films: Path) -> None:
    secret = film(tmp_path / "secret.mp4", 2)
    (films / "link.mp4").symlink_to(secret)
    for path in (secret, films / ".." / "secret.mp4", films / "link.mp4"):
        with pytest.raises(UsageError, match="is not in a folder"):
            page.open(str(path), silent)  # type: ignore[arg-type]


def test_a_long_upload_is_refused_and_a_long_film_of_ones_own_is_not(page: Page, films: Path) -> None:
    short = Page(Settings(page.settings.base, page.settings.work, (films,), minutes=0.001), Desk())
    with pytest.raises(UsageError, match="--max-minutes"):
        short.open(uploaded(page), silent)  # type: ignore[arg-type]
    assert short.open(str(films / "a.mp4"), silent)[0]  # type: ignore[arg-type]


def test_the_command_names_the_film_and_where_it_goes(page: Page, films: Path) -> None:
    words = shlex.split(page.command(str(films / "a.mp4"), "", *CONTROLS))
    assert words[2:5] == [str(films / "a.mp4"), "-o", str(films / "a-dots.mp4")]
    assert page.command(None, "", *CONTROLS) == ""


def test_the_command_for_an_upload_says_nothing_of_where_it_lay(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(page.command(uploaded(page), "", *CONTROLS))
    assert words[2:5] == ["b c.mp4", "-o", str(tmp_path / "b c-dots.mp4")]


@pytest.mark.parametrize("name", ["../out.mp4", "/tmp/out.mp4", "a/b.mp4", "..", ".hidden.mp4"])
def test_a_painted_film_stays_in_its_folder(page: Page, films: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is not a plain file name"):
        page.start(str(films / "a.mp4"), name, *CONTROLS, progress=silent)  # type: ignore[arg-type]


def test_the_whole_film_is_painted_and_an_upload_comes_back(
    page: Page, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done: list[Any] = []
    said = page.start(str(films / "a.mp4"), "mine.mp4", *CONTROLS, progress=lambda at, **_: done.append(at))  # type: ignore[arg-type]
    assert len(decode(films / "mine.mp4")) == 12
    assert done[-1] == (12, 12)
    assert "/media/" not in said
    said = page.start(uploaded(page), "", *CONTROLS, progress=silent)  # type: ignore[arg-type]
    assert len(decode(tmp_path / "b c-dots.mp4")) == 4
    link = said.partition('href="/media/')[2].partition('"')[0].replace("%20", " ")
    assert (page.media / link).read_bytes() == (tmp_path / "b c-dots.mp4").read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        page.start(str(films / "a.mp4"), "mine.mp4", *CONTROLS, progress=silent)  # type: ignore[arg-type]


def test_stop_ends_the_work_at_its_next_frame(page: Page, films: Path) -> None:
    def stop(at: Any, **_: Any) -> None:
        if at[0] == 10:  # by then some are on the disk
            page.desk.stop()

    with pytest.raises(Stopped, match="what was painted so far is in"):
        page.start(str(films / "a.mp4"), "mine.mp4", *CONTROLS, progress=stop)  # type: ignore[arg-type]
    assert not (films / "mine.mp4").exists()
    page.start(str(films / "a.mp4"), "again.mp4", *CONTROLS, progress=silent)  # type: ignore[arg-type]


def test_a_painting_is_learned_and_can_be_chosen(
    page: Page, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import videostyle.train.learn

    plans: list[LearnPlan] = []

    def learn(plan: LearnPlan, log: Callable[[str], None]) -> Path:
        """Learns nothing, at once: gives back a style there is."""
        log("step 1")
        plans.append(plan)
        plan.output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(os.environ["VIDEOSTYLE_MODELS"]) / "fast" / "dots.safetensors", plan.output)
        plan.output.with_name("mine-samples.jpg").write_bytes(b"a sheet")
        return plan.output

    monkeypatch.setattr(videostyle.train.learn, "learn", learn)
    film = str(films / "a.mp4")
    said, sheet, styles, others = page.learn("/p/painting.png", " mine ", 2.0, film, True, progress=silent)  # type: ignore[arg-type]
    (plan,) = plans
    assert (plan.painting.name, plan.minutes, plan.content) == ("mine", 2.0, Path(film))
    assert "`mine`" in said
    assert (page.media / sheet.partition("/media/")[2].partition('"')[0]).read_bytes() == b"a sheet"
    assert styles["value"] == "mine"
    assert "mine" in dict(styles["choices"]).values()
    assert "mine" in dict(others["choices"]).values()
    with pytest.raises(UsageError, match="choose a picture"):
        page.learn(None, "mine", 2.0, film, True, progress=silent)  # type: ignore[arg-type]


def test_closing_waits_for_the_work_and_lets_none_begin() -> None:
    desk = Desk()
    begun, ended = threading.Event(), threading.Event()

    def labour() -> None:
        with desk.work() as check:
            begun.set()
            try:
                while True:
                    check()
            except Stopped:
                ended.set()

    thread = threading.Thread(target=labour)
    thread.start()
    begun.wait(10)
    desk.close()
    assert ended.is_set()
    thread.join(10)
    with desk.work() as check, pytest.raises(Stopped):
        check()


def test_errors_are_one_line_on_the_page() -> None:
    import gradio as gr

    def fail() -> None:
        raise UsageError("brush must be between 0.25 and 4, got 9")

    with pytest.raises(gr.Error, match=r"brush must be between 0\.25 and 4, got 9"):
        plainly(fail)()


def test_the_camera_is_painted_and_steadied(toy_gallery: Path) -> None:
    plan = RenderPlan("", "", Style((("dots", 1.0),)), engine="torch", size="64")
    camera = Camera(plan)
    picture = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    picture.setflags(write=False)  # as Gradio gives it
    first = camera(picture)
    assert first.shape == (64, 86, 3)
    assert abs(first.astype(int) - cv2.resize(picture, (86, 64))).mean() > 5
    again = camera(picture)
    # A still picture stays: what was painted is carried on.
    assert abs(again.astype(int) - first).mean() < 2
    assert camera(picture[::2, ::2]).shape == (64, 86, 3)


@pytest.mark.parametrize("film", ["films/a.mp4", None])
def test_the_page_is_laid_out(page: Page, films: Path, film: str | None) -> None:
    settings = Settings(page.settings.base, page.settings.work, (films,), film=film and str(films / "a.mp4"))
    events = build(settings, Desk()).config["dependencies"]
    assert events
    assert all(event["api_visibility"] == "private" for event in events)


def test_a_style_that_changes_has_no_control(page: Page) -> None:
    from videostyle.plan import Key, Timeline

    for style, match in (
        (Style(Timeline((Key((("dots", 1.0),)),))), "without times"),
        (Style((("dots", 1.0), ("waves", 1.0), ("lines", 1.0))), "two paintings at most"),
    ):
        with pytest.raises(UsageError, match=match):
            build(Settings(RenderPlan("", "", style), page.settings.work), Desk())
