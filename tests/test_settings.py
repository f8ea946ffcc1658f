"""Every setting can be reached from the command line, job lists and Python, and comes back from JSON."""

from __future__ import annotations

import json
import pickle
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media import film

import videostyle.engines
import videostyle.flow
from videostyle.batch.jobs import read_jobs
from videostyle.cli import _parser
from videostyle.cli.options import given_settings, setting_names
from videostyle.errors import SettingError
from videostyle.plan import RenderPlan
from videostyle.settings import settings_of
from videostyle.style import Region, Style
from videostyle.timeline import Key, Timeline

OTHER: dict[str, tuple[Any, str, str]] = {
    "style": ("udnie", "udnie", '"udnie"'),
    "strength": (0.25, "0.25", "0.25"),
    "keep_colors": (True, "", "true"),
    "network": ("fine", "fine", '"fine"'),
    "brush": (2.0, "2", "2.0"),
    "mask": ("m.png", "m.png", '"m.png"'),
    "region": ((Region("scream", "r.png"),), "scream=r.png", '[{ style = "scream", mask = "r.png" }]'),
    "segmenter": ("deeplab", "deeplab", '"deeplab"'),
    "segmenter_weights": (Path("p.pt"), "p.pt", '"p.pt"'),
    "mask_feather": (5.0, "5", "5.0"),
    "statistics": ("shot", "shot", '"shot"'),
    "seed": (7, "7", "7"),
    "flow": ("dis", "dis", '"dis"'),
    "flow_weights": (Path("raft.pt"), "raft.pt", '"raft.pt"'),
    "download": (True, "", "true"),
    "flow_size": (256, "256", "256"),
    "stabilize": (0.5, "0.5", "0.5"),
    "stabilize_mode": ("causal", "causal", '"causal"'),
    "codec": ("hevc", "hevc", '"hevc"'),
    "crf": (20, "20", "20"),
    "preset": ("slow", "slow", '"slow"'),
    "pix_fmt": ("yuv420p", "yuv420p", '"yuv420p"'),
    "overwrite": (True, "", "true"),
    "size": ("360", "360", '"360"'),
    "engine": ("torch", "torch", '"torch"'),
    "device": ("cpu", "cpu", '"cpu"'),
    "queue_depth": (2, "2", "2"),
    "start": (Fraction(5), "5", '"0:05"'),
    "end": (Fraction(9), "9", "9"),
}
"""A value other than the default of each setting: in Python, on the command line, in a job list."""
NAMES = list(settings_of(RenderPlan))


def value_of(plan: RenderPlan, name: str) -> Any:
    value: Any = plan
    for part in settings_of(RenderPlan)[name].path:
        value = getattr(value, part)
    return value


def test_every_setting_has_an_example() -> None:
    assert set(OTHER) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_is_reached_from_python_and_the_command_line(name: str) -> None:
    value, text, _ = OTHER[name]
    wanted = RenderPlan.of("a.mp4", "b.mp4", **{name: value})
    assert value_of(wanted, name) != settings_of(RenderPlan)[name].default
    option = f"--{name.replace('_', '-')}"
    words = ["stylize", "a.mp4", *([] if name == "style" else ["--style", "none"]), option, *([text] if text else [])]
    found = RenderPlan.of("a.mp4", "b.mp4", **given_settings(_parser().parse_args(words), setting_names()))
    assert value_of(found, name) == value_of(wanted, name)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "overwrite"])
def test_a_setting_is_reached_from_a_job_list(name: str, tmp_path: Path) -> None:
    value, _, toml = OTHER[name]
    style = "" if name == "style" else 'style = "none"\n'
    (tmp_path / "a.mp4").write_bytes(b"film")
    jobs = tmp_path / "jobs.toml"
    jobs.write_text(f'[[jobs]]\nsource = "a.mp4"\n{style}{name} = {toml}\n')
    (plan,) = read_jobs(jobs, [], tmp_path, RenderPlan("", ""))
    if name == "region":
        value = (Region("scream", str(tmp_path / "r.png")),)
    elif name in ("mask", "segmenter_weights", "flow_weights"):
        value = type(value)(tmp_path / value)
    assert value_of(plan, name) == value_of(RenderPlan.of("", "", **{name: value}), name)


names = st.text("abc", min_size=1, max_size=3)
blends = st.dictionaries(names, st.floats(0.125, 9), min_size=1, max_size=3).map(lambda blend: tuple(blend.items()))
shares = st.floats(0, 1)


def along(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Values, and timelines of them."""
    times = st.lists(st.fractions(0, 99, max_denominator=1001), min_size=1, max_size=3, unique=True).map(sorted)
    keyed = times.flatmap(lambda starts: st.tuples(*(values.map(lambda value, t=t: Key(value, t)) for t in starts)))
    return values | keyed.map(Timeline)


@settings(max_examples=60, deadline=None)
@given(
    changes=st.fixed_dictionaries(
        {},
        optional={name: st.just(value) for name, (value, _, _) in OTHER.items()}
        | {"style": along(blends), "strength": along(shares), "start": st.fractions(0, 8), "stabilize": shares},
    )
)
def test_a_plan_comes_back_from_json(changes: dict[str, Any]) -> None:
    plan = RenderPlan.of("a.mp4", "b.mp4", **changes)
    told = json.loads(json.dumps(plan.to_json()))
    assert RenderPlan.of(told.pop("source"), told.pop("output"), **told) == plan


@pytest.mark.parametrize(
    ("package", "option"), [(videostyle.engines, "--engine"), (videostyle.flow, "--flow")], ids=["engine", "flow"]
)
def test_a_module_that_is_dropped_in_is_offered(
    package: Any, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dropped_in.py").write_text("def build(*args): ...\n")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    with pytest.raises(SystemExit):
        _parser().parse_args(["stylize", "--help"])
    assert "dropped-in" in capsys.readouterr().out
    name = option.removeprefix("--")
    assert RenderPlan.of("a", "b", **{name: "dropped-in"}) != RenderPlan("a", "b")


def test_the_users_own_defaults_hold_where_the_command_line_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from videostyle.cli import main

    source = str(film(tmp_path / "film.mp4", 3, (64, 48)))
    config = tmp_path / "config.toml"
    monkeypatch.setenv("VIDEOSTYLE_CONFIG", str(config))
    config.write_text('[defaults]\nstyle = "udnie"\ncrf = 30\nsize = "24"\n')
    assert main(["stylize", source, "--crf", "20", "--device", "cpu", "--dry-run"]) == 0
    told = re.sub(" +", " ", capsys.readouterr().out)
    assert f"writes {tmp_path}/film-udnie.mp4, 32x24" in told
    assert "crf 20\n" in told
    for text, message in (
        ("[defaults]\nbrush = 9.0\n", ":2: brush must be between 0.25 and 4"),
        ("[defaults]\nstyles = ['a']\n", ":2: styles is for job lists"),
        ("[default]\n", ":1: default: no such setting; did you mean defaults? known: defaults"),
        ("crf = \n", "not a TOML file"),
    ):
        config.write_text(text)
        assert main(["stylize", source, "--style", "none", "--dry-run"]) == 2
        assert message in capsys.readouterr().err


def test_an_error_about_a_setting_passes_between_processes() -> None:
    with pytest.raises(SettingError) as caught:
        Style("dots", brush=9)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.setting) == ("brush must be between 0.25 and 4, got 9", "brush")


def test_the_command_line_names_the_option(capsys: pytest.CaptureFixture[str]) -> None:
    from videostyle.cli import main

    assert main(["stylize", "a.mp4", "--style", "dots", "--mask-feather", "-1"]) == 2
    assert "videostyle: --mask-feather must be between 0 and 1000, got -1.0" in capsys.readouterr().err
