"""Functions of the page's controls, called as Gradio calls them."""

from __future__ import annotations

import errno
import html
import json
import os
import re
import shlex
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from media import decode, film
from pages import CONTROLS, as_visitor, silent, uploaded

from videostyle.plan import RenderPlan, StabilizeOptions
from videostyle.progress import OnProgress, Progress
from videostyle.style import Region, Style
from videostyle.train.plan import LearnPlan

pytest.importorskip("gradio")

import gradio as gr

import videostyle.web.camera
import videostyle.web.html
from videostyle import interrupt, weights
from videostyle.errors import SourceError, UsageError
from videostyle.nets.code_predictor import CodePredictor
from videostyle.settings import settings_of
from videostyle.web.blocks import build
from videostyle.web.camera import Camera
from videostyle.web.controls import LONGEST, NONE, SETTINGS, look
from videostyle.web.gradio_errors import as_gradio_error
from videostyle.web.jobs import JobQueue, Stopped
from videostyle.web.page import Page
from videostyle.web.page_files import Settings
from videostyle.weights import gallery, styles_folder


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
    for path in (None, str(films / "bad.mp4"), str(films / "absent.mp4")):
        assert page.glance(path, *CONTROLS) == gr.skip()


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
    late = Page(Settings(page.settings.base, page.settings.work, film=str(films / "a.mp4"), at=7.0), JobQueue())
    with pytest.raises(UsageError, match=r"--at 7: a\.mp4 lasts 0\.48 s; choose an earlier time"):
        late.open(str(films / "a.mp4"), silent)  # type: ignore[arg-type]


def test_no_file_elsewhere_is_opened(page: Page, tmp_path: Path, films: Path) -> None:
    secret = film(tmp_path / "secret.mp4", 2)
    (films / "link.mp4").symlink_to(secret)
    for path in (secret, films / ".." / "secret.mp4", films / "link.mp4"):
        with pytest.raises(UsageError, match="is not in a folder") as caught:
            page.open(str(path), silent)  # type: ignore[arg-type]
        assert str(tmp_path) not in str(caught.value)
    # What lies beside the uploads is none.
    beside = film(page.sessions.uploads.folder / "beside.mp4", 2)
    (page.sessions.uploads.folder / "link.mp4").symlink_to(secret)
    for path in (beside, page.sessions.uploads.folder / "link.mp4", page.sessions.media.folder / "beside.mp4"):
        with pytest.raises(UsageError, match=r"was not uploaded here|is not in a folder"):
            page.open(str(path), silent)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="was not uploaded here"):
            page.learning.learn(str(path), "x", 1.0, None, False, progress=silent)  # type: ignore[arg-type]


def test_the_page_of_one_film_opens_no_other(page: Page, films: Path) -> None:
    one = Page(replace(page.settings, film=str(films / "a.mp4")), JobQueue())
    other = film(films / "b.mp4", 2)
    for path in (str(other), uploaded(page)):
        with pytest.raises(UsageError, match="one film only"):
            one.open(path, silent)  # type: ignore[arg-type]


def test_the_list_names_no_folder(page: Page, films: Path) -> None:
    ((name, key),) = page.files.choices()
    assert name == "a.mp4"
    assert str(films) not in key
    assert page.open(key, silent)[0] == str(films / "a.mp4")  # type: ignore[arg-type]


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
    with pytest.raises(UsageError):
        page.camera.see(np.zeros((8, 8, 3), np.uint8), *controls)
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


def test_a_long_upload_is_refused_and_a_long_film_of_ones_own_is_not(page: Page, films: Path) -> None:
    short = Page(Settings(page.settings.base, page.settings.work, (films,), minutes=0.001), JobQueue())
    with pytest.raises(UsageError, match="--max-minutes"):
        short.open(uploaded(short), silent)  # type: ignore[arg-type]
    assert short.open(str(films / "a.mp4"), silent)[0]  # type: ignore[arg-type]


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


def test_the_command_of_the_studio_names_no_folder(
    page: Page, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shlex.split(page.command(uploaded(page), "", *CONTROLS))[2:5] == ["b c.mp4", "-o", "b c-dots.mp4"]
    assert shlex.split(page.command(str(films / "a.mp4"), "", *CONTROLS))[2:5] == ["a.mp4", "-o", "a-dots.mp4"]


@pytest.mark.parametrize(
    "name",
    ["../out.mp4", "/tmp/out.mp4", "a/b.mp4", "..", ".hidden.mp4", "a\nb.mp4", "a\0b.mp4", "\x1b[31m.mp4", "a" * 300],
)
def test_a_painted_film_stays_in_its_folder(page: Page, films: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"is not a plain file name|is too long") as caught:
        page.start(str(films / "a.mp4"), name, False, *CONTROLS, progress=silent)  # type: ignore[arg-type]
    assert str(caught.value).isprintable()


def test_the_whole_film_is_painted_and_an_upload_comes_back(
    page: Page, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done: list[Any] = []
    said = page.start(str(films / "a.mp4"), "mine.mp4", False, *CONTROLS, progress=lambda at, **_: done.append(at))  # type: ignore[arg-type]
    assert len(decode(films / "mine.mp4")) == 12
    assert done[-1] == (12, 12)
    assert "/media/" not in said
    assert str(films) not in said
    said = page.start(uploaded(page), "", False, *CONTROLS, progress=silent)  # type: ignore[arg-type]
    assert len(decode(tmp_path / "b c-dots.mp4")) == 4
    link = said.partition('href="/media/')[2].partition('"')[0].replace("%20", " ")
    assert (page.sessions.media.folder / link).read_bytes() == (tmp_path / "b c-dots.mp4").read_bytes()
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


def test_a_painting_is_learned_and_can_be_chosen(
    page: Page, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import videostyle.train.learn

    plans: list[LearnPlan] = []

    def learn(plan: LearnPlan, on_progress: OnProgress) -> Path:
        """Learns nothing, at once: gives back a style there is."""
        on_progress(Progress("training", 0.5, note="step 1"))
        plans.append(plan)
        plan.output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(os.environ["VIDEOSTYLE_MODELS"]) / "fast" / "dots.safetensors", plan.output)
        plan.output.with_name("mine-samples.jpg").write_bytes(b"a sheet")
        return plan.output

    monkeypatch.setattr(videostyle.train.learn, "learn", learn)
    film = str(films / "a.mp4")
    cv2.imwrite(str(page.sessions.uploads.folder / "painting.png"), np.zeros((64, 64, 3), np.uint8))
    picture = page.sessions.uploads.use(page.sessions.uploads.add(page.sessions.uploads.folder / "painting.png"), "")
    said, sheet, styles, others = page.learning.learn(str(picture), " mine ", 2.0, film, True, progress=silent)  # type: ignore[arg-type]
    (plan,) = plans
    assert (plan.style.name, plan.minutes, plan.content) == ("mine", 2.0, Path(film))
    assert "style mine." in said
    assert (page.sessions.media.folder / sheet.partition("/media/")[2].partition('"')[0]).read_bytes() == b"a sheet"
    assert styles["value"] == "mine"
    assert "mine" in dict(styles["choices"]).values()
    assert "mine" in dict(others["choices"]).values()
    with pytest.raises(UsageError, match="choose a picture"):
        page.learning.learn(None, "mine", 2.0, film, True, progress=silent)  # type: ignore[arg-type]


@pytest.fixture
def dropped(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An uploaded painting, where the network has a predictor, untrained."""
    folder = tmp_path / "models"
    shutil.copytree(os.environ["VIDEOSTYLE_MODELS"], folder)
    monkeypatch.setenv("VIDEOSTYLE_MODELS", str(folder))
    monkeypatch.setenv("VIDEOSTYLE_CACHE", str(tmp_path / "cache"))
    network = weights.load_network("fast")
    predictor = CodePredictor(network.net.code_size)
    weights.save_predictor(folder / "fast" / "predictor.safetensors", predictor, network, {}, {})
    weights.write_manifest(folder)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    path = page.sessions.uploads.folder / "a painting.png"
    cv2.imwrite(str(path), pixels)
    return str(page.sessions.uploads.use(page.sessions.uploads.add(path), ""))


def test_a_dropped_picture_is_painted_with_at_once(page: Page, films: Path, dropped: str) -> None:
    said, styles, others = page.learning.predict(dropped, "fast", silent)  # type: ignore[arg-type]
    assert "Predicted:" in said
    assert styles["value"] == dropped
    assert dict(styles["choices"])["a painting, predicted"] == dropped
    assert dropped in dict(others["choices"]).values()
    film, values = str(films / "a.mp4"), (dropped, *CONTROLS[1:])
    box, _ = page.paint(film, 0.0, 0.2, 0.5, *values, progress=silent)  # type: ignore[arg-type]
    assert 'data-version="stabilised"' in box
    assert "--style 'a painting.png'" in page.command(film, "", *values)
    assert "upload" not in page.command(film, "", *values)
    assert page.camera.see(np.zeros((48, 64, 3), np.uint8), *values)
    done = page.start(film, "painted.mp4", False, *values, progress=silent)  # type: ignore[arg-type]
    assert "The style was predicted from the picture a painting&#46;png." in done
    assert page.learning.predict(None, "fast", silent)[1] == gr.skip()  # type: ignore[arg-type]


def test_only_uploaded_pictures_are_styles(page: Page, films: Path, dropped: str, tmp_path: Path) -> None:
    private = tmp_path / "private.png"
    shutil.copyfile(dropped, private)
    for name in (str(private), uploaded(page), f"{Path(dropped).parent}/../../{private.name}"):
        with pytest.raises(UsageError, match="no style named"):
            page.paint(str(films / "a.mp4"), 0.0, 0.2, 0.5, name, *CONTROLS[1:], progress=silent)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="no style named"):
            page.camera.see(None, name, *CONTROLS[1:])
    with pytest.raises(UsageError):
        page.learning.predict(str(private), "fast", silent)  # type: ignore[arg-type]


def test_a_network_that_predicts_nothing_says_so(page: Page) -> None:
    cv2.imwrite(str(page.sessions.uploads.folder / "p.png"), np.zeros((64, 64, 3), np.uint8))
    picture = page.sessions.uploads.use(page.sessions.uploads.add(page.sessions.uploads.folder / "p.png"), "")
    said, styles, others = page.learning.predict(str(picture), "fast", silent)  # type: ignore[arg-type]
    assert "predicts no styles" in said
    assert styles == others == gr.skip()


def test_the_samples_are_shown_while_a_painting_is_learned(
    page: Page, dropped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import videostyle.train.learn

    shown: list[Any] = []

    def learn(plan: LearnPlan, on_progress: OnProgress) -> Path:
        samples = plan.output.with_name("mine-samples.jpg")
        shown.append(page.learning.latest())
        for content in (b"first", b"second"):
            samples.write_bytes(content)
            shown.append(page.learning.latest())
            shown.append(page.learning.latest())  # not again
            shown.append(as_visitor("another", page.learning.latest))
        return plan.output

    monkeypatch.setattr(videostyle.train.learn, "learn", learn)
    styles_folder().mkdir(parents=True, exist_ok=True)
    (styles_folder() / "mine-samples.jpg").write_bytes(b"of an earlier style")
    page.learning.learn(dropped, "mine", 2.0, None, False, progress=silent)  # type: ignore[arg-type]
    skip = gr.skip()
    assert [one == skip for one in shown] == [True, False, True, True, False, True, True]
    assert "/media/" in shown[1] != shown[4]
    assert page.learning.latest() == skip


def test_who_stops_learning_may_go_on_until_they_leave(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    import videostyle.train.learn as learning

    def learn(plan: LearnPlan, on_progress: OnProgress) -> Path:
        """Learns until it is stopped, which it is in the middle of a step."""
        (learning.work_folder(plan.output)).mkdir(parents=True, exist_ok=True)
        (learning.work_folder(plan.output) / "lock").touch()
        page.sessions.job_queue.stop()
        interrupt.check()
        raise AssertionError("it was not stopped")

    monkeypatch.setattr(learning, "learn", learn)
    cv2.imwrite(str(page.sessions.uploads.folder / "p.png"), np.zeros((64, 64, 3), np.uint8))
    picture = as_visitor(
        "A", lambda: page.sessions.uploads.use(page.sessions.uploads.add(page.sessions.uploads.folder / "p.png"), "A")
    )
    for _ in range(2):
        with pytest.raises(Stopped, match="with the same picture and name it goes on"):
            as_visitor("A", lambda: page.learning.learn(str(picture), "mine", 2.0, None, False, progress=silent))  # type: ignore[arg-type]
        (left,) = styles_folder().iterdir()
        assert left.name == ".mine.learning"
    page.sessions.leave("A")
    assert not list(styles_folder().iterdir())


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
    film(films / name, 2, (64, 48))
    _, about, *_ = page.open(str(films / name), silent)  # type: ignore[arg-type]
    assert not set("<*`[]") & set(about.replace("**", "", 2))
    assert html.unescape(about).startswith(f"**{name}**")


def test_the_camera_is_stylized_and_stabilized(toy_gallery: Path) -> None:
    plan = RenderPlan("", "", style=Style((("dots", 1.0),)), engine="torch", size="64")
    camera = Camera(plan)
    picture = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    picture.setflags(write=False)  # as Gradio gives it
    first = camera(picture)
    assert first.shape == (64, 86, 3)
    assert abs(first.astype(int) - cv2.resize(picture, (86, 64))).mean() > 5
    again = camera(picture)
    # A still picture stays: the previous output is kept.
    assert abs(again.astype(int) - first).mean() < 2
    assert camera(picture[::2, ::2]).shape == (64, 86, 3)


def test_a_camera_goes_with_its_visitor_and_there_are_only_so_many(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(videostyle.web.camera, "_CAMERAS", 2)
    made: list[Camera] = []
    monkeypatch.setattr(videostyle.web.camera, "Camera", lambda plan: made.append(Camera(plan)) or made[-1])
    picture = np.zeros((48, 64, 3), np.uint8)

    def see(name: str) -> int:
        assert "<img" in as_visitor(name, lambda: page.camera.see(picture, *CONTROLS))  # type: ignore[arg-type]
        return len(made)

    assert [see(name) for name in "AABA"] == [1, 1, 2, 2]
    page.sessions.leave("A")
    assert [see(name) for name in "BA"] == [2, 3]
    # A third one: who has not sent a picture for longest begins anew.
    assert [see(name) for name in "CAB"] == [4, 4, 5]


@pytest.mark.parametrize("film", ["films/a.mp4", None])
def test_the_page_is_laid_out(page: Page, films: Path, film: str | None) -> None:
    settings = replace(page.settings, film=film and str(films / "a.mp4"))
    blocks = build(Page(settings, JobQueue()))
    events = blocks.config["dependencies"]
    assert events
    assert all(event["api_visibility"] == "private" for event in events)
    # What is sent to the browser tells of no folder.
    assert str(films.parent) not in json.dumps(blocks.get_config_file(), default=str)


def test_a_style_that_changes_has_no_control(page: Page) -> None:
    from videostyle.timeline import Key, Timeline

    for style, match in (
        (Style(Timeline((Key((("dots", 1.0),)),))), "without times"),
        (Style((("dots", 1.0), ("waves", 1.0), ("lines", 1.0))), "two paintings at most"),
    ):
        with pytest.raises(UsageError, match=match):
            build(Page(Settings(RenderPlan("", "", style=style), page.settings.work), JobQueue()))
