from __future__ import annotations

import shlex
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import videostyle.cli.stylize
from videostyle.cli import main
from videostyle.plan import EncodeOptions, FlowOptions, RenderPlan, StabilizeOptions
from videostyle.style import Region, Style
from videostyle.timeline import Key, Span, Timeline
from videostyle.web.command import command


class Caught(Exception):  # noqa: N818 - nothing went wrong
    """Holds the plan that the command line made."""


def understood(line: str, monkeypatch: pytest.MonkeyPatch) -> RenderPlan:
    """The plan that the real command line makes of `line`."""

    def catch(plan: RenderPlan, *, quiet: bool) -> None:
        raise Caught(plan)

    monkeypatch.setattr(videostyle.cli.stylize, "render_with_progress", catch)
    program, *words = shlex.split(line)
    assert program == "videostyle"
    with pytest.raises(Caught) as caught:
        main([*words, "--debug"])
    plan = caught.value.args[0]
    assert isinstance(plan, RenderPlan)
    return plan


EVERYTHING = RenderPlan(
    "/films/it's a $HOME of `films`.mkv",
    "/out/a b.mkv",
    style=Style((("great-wave", 2.0), ("/my styles/mine.safetensors", 0.35)), 0.65, True, "fine", 1.5, "m=1.png",
                (Region((("scream", 1.0),), "sky=2.png"),), 0.5, "shot", 7),
    flow=FlowOptions("raft", Path("raft.pt"), True, 256),
    stabilize=StabilizeOptions(0.35, "causal"),
    encode=EncodeOptions("hevc", 21, "slow", "yuv420p10le", True),
    span=Span(Fraction(7, 3), Fraction(25, 2)),
    size="640x360",
    engine="torch",
    device="cpu",
    queue_depth=7,
)  # fmt: skip


def test_the_plainest_plan_is_the_plainest_command() -> None:
    plan = RenderPlan("a.mp4", "b.mp4", style="udnie")
    assert command(plan) == "videostyle stylize a.mp4 -o b.mp4 --style udnie"


def test_every_setting_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    assert understood(command(EVERYTHING), monkeypatch) == EVERYTHING


def test_a_style_along_the_film_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    blends = Timeline((Key((("a", 1.0),)), Key((("b", 1.0), ("c", 3.0)), Fraction(7, 2), Fraction(2))))
    style = Style(blends, Timeline((Key(0.0), Key(0.25, Fraction(4)))))
    plan = RenderPlan("a.mp4", "b.mp4", style=style)
    assert understood(command(plan), monkeypatch) == plan


shares = st.integers(0, 20).map(lambda number: number / 20)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    source=st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=1).map(lambda name: f"/{name}"),
    share=shares.filter(lambda share: 0 < share < 1),
    strength=shares,
    amount=shares,
    keep=st.booleans(),
    brush=st.integers(1, 16).map(lambda number: number / 4),
    size=st.sampled_from([None, "360", "640x360"]),
)
def test_whatever_the_page_asks_for_comes_back(
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    share: float,
    strength: float,
    amount: float,
    keep: bool,
    brush: float,
    size: str | None,
) -> None:
    style = Style((("dots", round(1 - share, 2)), ("waves", share)), strength, keep, "fine", brush)
    plan = RenderPlan(source, "/o.mp4", style=style, stabilize=StabilizeOptions(amount), size=size)
    assert understood(command(plan), monkeypatch) == plan
