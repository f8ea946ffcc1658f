"""Job lists say what they mean, and where they are wrong."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from videostyle.batch.jobs import output_name, plans, read_jobs
from videostyle.errors import SourceError, UsageError, VideostyleError
from videostyle.plan import RenderPlan
from videostyle.style import Style
from videostyle.timeline import Span

BASE = RenderPlan("", "")
DOTS = Style((("dots", 1.0),))


@pytest.fixture
def here(tmp_path: Path) -> Path:
    for name in ("a.mp4", "b.MOV", "c.webm", "notes.txt", "deep/d.mkv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"film")
    return tmp_path


def read(here: Path, text: str, *styles: Style) -> list[RenderPlan]:
    path = here / "jobs.toml"
    path.write_text(text)
    return read_jobs(path, styles, here / "out", BASE)


def test_defaults_hold_where_a_job_says_nothing(here: Path) -> None:
    one, two, three = read(
        here,
        """
        [defaults]
        styles = ["great-wave", "scream"]
        strength = 0.8
        codec = "hevc"
        crf = 22
        size = "640x360"

        [[jobs]]
        source = "a.mp4"

        [[jobs]]
        source = "deep/d.mkv"
        style = { scream = 1.0, mosaic = 2.0 }
        strength = 0.5
        start = "1:20"
        end = 90
        stabilize_mode = "causal"
        name = "{stem}/{style}.mp4"
        """,
    )
    assert [Path(plan.output).relative_to(here / "out").as_posix() for plan in (one, two, three)] == [
        "a-great-wave.mp4",
        "a-scream.mp4",
        "d/scream+mosaic.mp4",
    ]
    assert one.source == str(here / "a.mp4")
    assert (one.style.strength, one.encode.codec, one.encode.crf, one.size) == (0.8, "hevc", 22, "640x360")
    assert (three.style.blend, three.style.strength) == ((("scream", 1.0), ("mosaic", 2.0)), 0.5)
    assert three.span == Span(Fraction(80), Fraction(90))
    assert three.stabilize.mode == "causal"
    assert three.encode.codec == "hevc"


def test_styles_of_the_command_line_fill_in(here: Path) -> None:
    (one,) = read(here, '[[jobs]]\nsource = "a.mp4"\nbrush = 2.0\n', DOTS)
    assert one.style == Style((("dots", 1.0),), brush=2.0)


def test_a_folder_and_a_pattern_name_films(here: Path) -> None:
    (here / "out").mkdir()
    folder = [Path(plan.source).name for plan in plans([str(here)], [DOTS], here / "out", BASE)]
    assert folder == ["a.mp4", "b.MOV", "c.webm"]
    deep = [Path(plan.source).name for plan in plans([f"{here}/**/*.m*"], [DOTS], here / "out", BASE)]
    assert deep == ["a.mp4", "d.mkv"]
    with pytest.raises(SourceError, match="no file matches"):
        list(plans([f"{here}/*.avi"], [DOTS], here, BASE))
    with pytest.raises(SourceError, match="no film in this folder"):
        list(plans([str(here / "out")], [DOTS], here, BASE))


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("{stem}-{style}{suffix}", "a/film.mkv", "film-dots.mkv"),
        ("{stem}-{style}{suffix}", "a/film.avi", "film-dots.mp4"),
        ("{network}/{stem:.2}.webm", "a/film.mkv", "fast/fi.webm"),
    ],
)
def test_names_by_template(name: str, source: str, expected: str) -> None:
    assert output_name(name, source, DOTS) == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [("{painter}.mp4", "no field {painter}; there are {stem}, {style}"), ("{stem", "expected '}'"),
     ("/tmp/{stem}.mp4", "inside the output folder"), ("../{stem}.mp4", "inside the output folder")],
)  # fmt: skip
def test_bad_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        output_name(name, "film.mkv", DOTS)
    assert message in str(caught.value)


GOOD = '[[jobs]]\nsource = "a.mp4"\nstyle = "dots"\n'


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (
            GOOD + "strenght = 0.5\n",
            4,
            "jobs.1.strenght: no such setting; did you mean strength? known: style",
        ),
        (GOOD + "strength = 'much'\n", 4, "jobs.1.strength: Input should be a valid number"),
        (GOOD + "strength = 2.0\n", 4, "strength must be between 0 and 1, got 2.0"),
        (GOOD + "brush = 9.0\n", 4, "brush must be between 0.25 and 4"),
        (GOOD + "\n# later\nstart = 'noon'\n", 6, "jobs.1.start: 'noon' is not a time"),
        (GOOD + "start = 5\nend = 3\n", 5, "end must be after start"),
        (GOOD + "statistics = 'film'\n", 4, "jobs.1.statistics: Input should be 'frame' or 'shot'"),
        (GOOD + "name = '{who}.mp4'\n", 4, "name '{who}.mp4': no field {who}"),
        ("[defaults]\n\ncrf = 'low'\n" + GOOD, 3, "defaults.crf: Input should be a valid integer"),
        ("[defaults]\nbrush = 9.0\n" + GOOD, 2, "brush must be between"),
        (GOOD + "[[jobs]]\nstyle = 'dots'\n", 4, "jobs.2.source: is missing"),
        ("[[jobs]]\nsource = 'a.mp4'\n", 2, "source has no style"),
        (GOOD + "styles = ['dots']\n", 3, "style and styles: give one of them"),
        (GOOD + "styles = [\n  'dots',\n  5,\n]\n", 4, "jobs.1.styles"),
        ("[[jobs]]\nsource = 'no/*.mp4'\nstyle = 'dots'\n", 1, "no file matches"),
        ("[job]\n", 1, "job: no such setting; did you mean jobs? known: defaults, jobs"),
        ("jobs = []\n", 1, "jobs: List should have at least 1 item"),
        ("defaults = 1\n" + GOOD, 1, "defaults"),
    ],
)
def test_a_mistake_is_told_with_its_line(here: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(VideostyleError) as caught:
        read(here, text)
    assert message in str(caught.value)
    assert f"jobs.toml:{line}: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_toml_is_told(here: Path) -> None:
    with pytest.raises(UsageError, match=r"not a TOML file \(.*line 2"):
        read(here, "[defaults]\nstrength 5\n")
    with pytest.raises(SourceError, match="cannot be read"):
        read_jobs(here / "none.toml", [], here, BASE)
