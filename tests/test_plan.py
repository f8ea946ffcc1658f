from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import pytest

from videostyle.errors import UnknownNameError, UsageError, VideostyleError
from videostyle.plan import StabilizeOptions
from videostyle.style import Style
from videostyle.timeline import Span
from videostyle.train.plan import TrainConfig, TrainingStyle


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_shares_are_between_nothing_and_all(bad: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        Style(strength=bad)
    with pytest.raises(UsageError, match="between 0 and 1"):
        StabilizeOptions(bad)


@pytest.mark.parametrize(("start", "end"), [(-1, None), (2, 2), (3, 1)])
def test_spans_are_not_empty(start: int, end: int | None) -> None:
    with pytest.raises(UsageError):
        Span(Fraction(start), None if end is None else Fraction(end))


@pytest.mark.parametrize("blend", [(), (("a", -1.0),), (("a", 0.0),), (("a", 1.0), ("b", -0.5))])
def test_blends_weigh_something(blend: tuple[tuple[str, float], ...]) -> None:
    with pytest.raises(UsageError):
        Style(blend)


def test_none_is_none_only_alone() -> None:
    assert Style().is_none
    assert not Style((("none", 1), ("waves", 1))).is_none


def test_training_needs_something_to_learn(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match="name at least one style"):
        TrainConfig(tmp_path, (), tmp_path)
    with pytest.raises(UsageError, match="as long as"):
        TrainConfig(tmp_path, (TrainingStyle("a", tmp_path),), tmp_path, style_weights=(1.0,))


def test_errors_say_what_to_do_and_are_builtins_too() -> None:
    error = UnknownNameError.among("style", "grate-wave", ["great-wave", "scream"])
    assert str(error) == "no style named 'grate-wave'; did you mean great-wave? choose from: great-wave, scream"
    assert isinstance(error, LookupError | ValueError)
    assert isinstance(error, VideostyleError)
    assert error.status == 2


def test_plans_cost_no_torch() -> None:
    code = "import sys, videostyle.plan, videostyle.errors, videostyle.weights; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
