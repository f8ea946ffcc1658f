"""Functions of the page's controls, called as Gradio calls them."""

from __future__ import annotations

import errno
import html
import os
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from media import decode, film
from pages import CONTROLS, as_visitor, silent

from videostyle.plan import RenderPlan, StabilizeOptions
from videostyle.style import Region, Style

pytest.importorskip("gradio")

import gradio as gr

import videostyle.web.html
from videostyle.errors import SourceError, UsageError
from videostyle.settings import settings_of
from videostyle.web.blocks import build
from videostyle.web.controls import LONGEST, NONE, SETTINGS, look
from videostyle.web.gradio_errors import as_gradio_error
from videostyle.web.jobs import JobQueue, Stopped
from videostyle.web.page import Page
from videostyle.weights import gallery


def test_controls_make_the_plan() -> None:
    base = RenderPlan("", "", style=Style(mask="m.png", regions=(Region((("lines", 1.0),), "r.png"),)), engine="torch")
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
    box, figures = page.paint(path, 0.0, 0.4, 0.5, *CONTROLS, progress=silent)  # type: ignore[arg-type]
    for name in ("film", "frame by frame", "stabilised"):
        assert f'data-version="{name}"' in box
        assert f'alt="slice, {name}"' in figures
    assert "whole film, about" in figures
    assert "<svg" in figures


def test_the_first_frame_is_painted_before_the_film_is_looked_through(page: Page, films: Path) -> None:
    box = page.glance(str(films / "a.mp4"), *CONTROLS)
    assert [name for name in ("film", "painted") if f'data-version="{name}"' in box] == ["film", "painted"]
    shown = [page.sessions.media.folder / name for name in re.findall(r'src="/media/([^"]+)"', box)]
    assert [cv2.imread(str(path)).shape for path in shown] == [(48, 64, 3)] * 2
    assert page.still(str(films / "a.mp4"), 0.0, page.settings.seconds, *CONTROLS) == box
    assert page.still(str(films / "a.mp4"), 0.2, page.settings.seconds, *CONTROLS) != box
    with pytest.raises(SourceError, match=r"a\.mp4 has no frame at 0:20"):
        page.still(str(films / "a.mp4"), 20.0, 1.0, *CONTROLS)
    # What is wrong with a file is told by `open`, once.
    (films / "bad.mp4").write_bytes(b"nothing")
    bad = Page(replace(page.settings, film=str(films / "bad.mp4")), JobQueue())
    for path in (None, str(films / "bad.mp4"), str(films / "absent.mp4")):
        assert bad.glance(path, *CONTROLS) == gr.skip()


def test_an_excerpt_that_is_not_wanted_any_more_ends(page: Page, films: Path) -> None:
    film = str(films / "a.mp4")

    def change(at: Any, **_: Any) -> None:
        page.still(film, 0.0, 0.4, "waves", *CONTROLS[1:])

    def same(at: Any, **_: Any) -> None:
        page.still(film, 0.0, 0.4, *CONTROLS)

    def another_visitor(at: Any, **_: Any) -> None:
        as_visitor("another", change, at)

    assert page.paint(film, 0.0, 0.4, 0.5, *CONTROLS, progress=change) == (gr.skip(), gr.skip())  # type: ignore[arg-type]
    assert not list(page.sessions.media.folder.glob("*.mp4"))
    for harmless in (same, another_visitor):
        box, _ = page.paint(film, 0.0, 0.4, 0.5, *CONTROLS, progress=harmless)  # type: ignore[arg-type]
        assert 'data-version="stabilised"' in box
    # The whole film goes on, whatever is tried meanwhile.
    assert "Done" in page.start(film, "whole.mp4", False, *CONTROLS, progress=change)  # type: ignore[arg-type]


def test_sliders_end_with_the_film(page: Page, films: Path) -> None:
    """Gradio refuses a value beyond a slider's end, and with it everything."""
    *_, start, seconds, _, _, _ = page.open(str(films / "a.mp4"), silent)  # type: ignore[arg-type]
    assert start["value"] <= start["maximum"]
    assert seconds["value"] <= seconds["maximum"] == 0.5
    late = Page(replace(page.settings, at=7.0), JobQueue())
    with pytest.raises(UsageError, match=r"--at 7: a\.mp4 lasts 0\.48 s; choose an earlier time"):
        late.open(str(films / "a.mp4"), silent)  # type: ignore[arg-type]


def test_the_page_of_one_film_opens_no_other(page: Page, films: Path) -> None:
    for path in (str(film(films / "b.mp4", 2)), str(films / ".." / "films" / "a.mp4"), "/etc/passwd"):
        with pytest.raises(UsageError, match="one film only"):
            page.open(path, silent)  # type: ignore[arg-type]


WRONG: dict[str, tuple[int, Any]] = {
    "a file as a style": (0, "/etc/passwd"),
    "a style that is not there": (0, "dotz"),
    "a style that is a list": (0, ["dots"]),
    "a file as the second style": (1, "../x.safetensors"),
    "a share beyond 1": (2, 2.0),
    "a share that is a text": (2, "half"),
    "a strength that is no number": (3, float("nan")),
    "a strength beyond 1": (3, 7),
    "a brush beyond its range": (5, 1e9),
    "a network that is not there": (6, "huge"),
    "a steadiness that is null": (7, None),
    "a size that is not offered": (8, "20000"),
    "a size that is a number": (8, 90),
}


def test_controls_are_made_from_the_settings_fields(page: Page) -> None:
    from videostyle.web.blocks import build

    made = {one.elem_id: one for one in build(page).blocks.values() if getattr(one, "elem_id", None)}
    for name in SETTINGS:
        declared, control = settings_of(RenderPlan)[name], made[name.replace("_", "-")]
        assert control.label == declared.label
        assert declared.help.startswith(control.info)
        assert (getattr(control, "minimum", None), getattr(control, "maximum", None)) == (declared.low, declared.high)


@pytest.mark.parametrize(("place", "value"), WRONG.values(), ids=WRONG)
def test_what_the_controls_do_not_offer_is_refused(page: Page, films: Path, place: int, value: Any) -> None:
    controls = [*CONTROLS]
    controls[place] = value
    path = str(films / "a.mp4")
    with pytest.raises(UsageError):
        page.paint(path, 0.0, 0.4, 0.5, *controls, progress=silent)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        page.start(path, "", False, *controls, progress=silent)  # type: ignore[arg-type]
    assert sorted(path.name for path in films.iterdir()) == ["a.mp4"]


@pytest.mark.parametrize(
    ("start", "seconds", "row"),
    [
        (-1, 0.4, 0.5),
        (0, LONGEST + 1, 0.5),
        (0, 0, 0.5),
        (0, "1", 0.5),
        (None, 1, 0.5),
        (0, 1, 3),
        (0, 1, float("nan")),
    ],
)
def test_an_excerpt_is_no_longer_than_is_offered(page: Page, films: Path, start: Any, seconds: Any, row: Any) -> None:
    with pytest.raises(UsageError):
        page.paint(str(films / "a.mp4"), start, seconds, row, *CONTROLS, progress=silent)  # type: ignore[arg-type]


def test_a_painting_chosen_before_a_film_is_no_error(page: Page) -> None:
    box, figures = page.paint(None, 0.0, 4.0, 0.5, "waves", *CONTROLS[1:], progress=silent)  # type: ignore[arg-type]
    assert "Open a film or a photo" in box
    assert "waves" in box
    assert figures == ""


def test_the_command_of_a_preview_names_the_film_as_it_was_named(page: Page, films: Path) -> None:
    path = str(films / "a.mp4")
    for named, output, source, painted in (
        ("a.mp4", None, "a.mp4", "a-dots.mp4"),
        ("films/a.mp4", None, "films/a.mp4", "films/a-dots.mp4"),
        (path, None, path, str(films / "a-dots.mp4")),
        ("-a.mp4", None, "-a.mp4", "./-a-dots.mp4"),
        ("a.mp4", Path("out"), "a.mp4", "out/a-dots.mp4"),
    ):
        one = Page(replace(page.settings, film=path, named=named, output=output), JobQueue())
        words = shlex.split(one.command(path, "" if named[0] != "-" else "-a-dots.mp4", *CONTROLS))
        assert words[2:5] == [source, "-o", painted]
    assert page.command(None, "", *CONTROLS) == ""


@pytest.mark.parametrize(
    "name",
    ["../out.mp4", "/tmp/out.mp4", "a/b.mp4", "..", ".hidden.mp4", "a\nb.mp4", "a\0b.mp4", "\x1b[31m.mp4", "a" * 300],
)
def test_a_painted_film_stays_in_its_folder(page: Page, films: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"is not a plain file name|is too long") as caught:
        page.start(str(films / "a.mp4"), name, False, *CONTROLS, progress=silent)  # type: ignore[arg-type]
    assert str(caught.value).isprintable()


def test_the_whole_film_is_painted(page: Page, films: Path) -> None:
    done: list[Any] = []
    said = page.start(str(films / "a.mp4"), "mine.mp4", False, *CONTROLS, progress=lambda at, **_: done.append(at))  # type: ignore[arg-type]
    assert len(decode(films / "mine.mp4")) == 12
    assert done[-1] == (12, 12)
    assert str(films) not in said
    with pytest.raises(UsageError, match="exists already"):
        page.start(str(films / "a.mp4"), "mine.mp4", False, *CONTROLS, progress=silent)  # type: ignore[arg-type]


def test_stop_ends_the_work_at_its_next_frame(page: Page, films: Path) -> None:
    def stop(at: Any, **_: Any) -> None:
        if at[0] == 10:  # by then some are on the disk
            page.sessions.job_queue.stop()

    with pytest.raises(Stopped, match="what was painted so far is in"):
        page.start(str(films / "a.mp4"), "mine.mp4", False, *CONTROLS, progress=stop)  # type: ignore[arg-type]
    assert not (films / "mine.mp4").exists()
    page.start(str(films / "a.mp4"), "again.mp4", False, *CONTROLS, progress=silent)  # type: ignore[arg-type]


def test_errors_are_one_line_on_the_page() -> None:
    def fail() -> None:
        raise UsageError("brush must be between 0.25 and 4, got 9")

    with pytest.raises(gr.Error, match=r"brush must be between 0\.25 and 4, got 9"):
        as_gradio_error(fail)(None)


def test_errors_tell_no_folder_and_show_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import gradio as gr

    def fail(error: Exception) -> None:
        raise error

    folder = tmp_path / "a secret place"
    lines = {
        f"{folder}/sub dir/film.mp4: cannot be read": "film.mp4: cannot be read",
        f"{folder}/a.mp4: is larger than {folder}/b.mp4": "a.mp4: is larger than b.mp4",
        "/srv/films/x.mp4: HEVC/AV1 at 24 frames/s": "x.mp4: HEVC/AV1 at 24 frames/s",
        "<b>\x1b[31m\nred.mp4": "&lt;b&gt;\ufffd[31m red.mp4",
    }
    for line, shown in lines.items():
        with pytest.raises(gr.Error) as caught:
            as_gradio_error(fail, [folder])(None, UsageError(line))
        assert caught.value.message == shown
    # Unexpected errors are shown in full on the server's terminal only.
    with pytest.raises(gr.Error, match="unexpected FileNotFoundError") as caught:
        as_gradio_error(fail, [folder])(None, OSError(2, "no such file", f"{folder}/x"))
    assert str(folder) not in caught.value.message
    assert "unexpected FileNotFoundError" in capsys.readouterr().err


def test_a_full_disk_is_told_on_the_page() -> None:
    import gradio as gr

    def fail() -> None:
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/srv/films/.x.mp4.partial")
        except OSError as error:
            raise RuntimeError("Cannot write to the cache") from error

    with pytest.raises(gr.Error) as caught:
        as_gradio_error(fail)(None)
    assert caught.value.message == "the disk is full; free some space"


def test_titles_of_styles_are_no_markup(toy_gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    title, painter = '"><script>alert(1)</script>', "<b onclick='x'>&amp;"
    entries = [replace(entry, title=title, painter=painter, file=tmp_path / "dots.safetensors") for entry in gallery()]
    cv2.imwrite(str(tmp_path / "dots.jpg"), np.zeros((60, 60, 3), np.uint8))
    monkeypatch.setattr(videostyle.web.html, "gallery", lambda: entries[:1])
    text = videostyle.web.html.thumbnails("fast", tmp_path)
    assert re.findall(r"<[^/ >]+", text) == ["<div", "<button", "<img"]
    seen: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.extend(value or "" for name, value in attrs if name in ("title", "alt"))
            assert {name for name, _ in attrs} <= {"class", "data-name", "title", "src", "alt"}

    Reader().feed(text)
    assert seen == [f"{title}, {painter}"] * 2


def test_names_of_files_are_no_markup(page: Page, films: Path) -> None:
    name = "![x](http:evil.example)<img src=x>*a*`b`.mp4"
    one = Page(replace(page.settings, film=str(film(films / name, 2, (64, 48)))), JobQueue())
    _, about, *_ = one.open(str(films / name), silent)  # type: ignore[arg-type]
    assert not set("<*`[]") & set(about.replace("**", "", 2))
    assert html.unescape(about).startswith(f"**{name}**")


def test_the_page_is_laid_out(page: Page, films: Path) -> None:
    blocks = build(page)
    events = blocks.config["dependencies"]
    assert events
    assert all(event["api_visibility"] == "private" for event in events)


def test_a_style_that_changes_has_no_control(page: Page) -> None:
    from videostyle.timeline import Key, Timeline

    for style, match in (
        (Style(Timeline((Key((("dots", 1.0),)),))), "without times"),
        (Style((("dots", 1.0), ("waves", 1.0), ("lines", 1.0))), "two paintings at most"),
    ):
        with pytest.raises(UsageError, match=match):
            build(Page(replace(page.settings, base=RenderPlan("", "", style=style)), JobQueue()))
