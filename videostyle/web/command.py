"""Command lines for render plans."""

from __future__ import annotations

import shlex
from decimal import Decimal
from fractions import Fraction
from typing import Any

from videostyle.plan import RenderPlan
from videostyle.settings import flag, settings_of
from videostyle.style import Blend
from videostyle.timeline import Timeline


def command(plan: RenderPlan) -> str:
    """Return `videostyle stylize ...` for a POSIX shell, without the settings that have their defaults.

    The command line cannot express a region in several styles, nor keys of a timeline at thirds of a second.
    """
    return shlex.join(["videostyle", "stylize", *arguments(plan)])


def arguments(plan: RenderPlan) -> list[str]:
    """Return the arguments of `videostyle stylize` for a plan."""
    words = [plan.source, "-o", plan.output]
    for name, each in settings_of(RenderPlan).items():
        value: Any = plan
        for part in each.path:
            value = getattr(value, part)
        option = flag(name)
        if name == "style":
            for key in Timeline.of(value).keys:
                words += _pairs(option, _weighted(key.value), _moment(value, key.start, key.hold))
        elif value == each.default:
            continue
        elif name == "strength":
            for line in Timeline.of(value).keys:
                words += _pairs(option, [repr(line.value)], _moment(value, line.start, line.hold))
        elif name == "region":
            words += _pairs(option, [f"{region.blend[0][0]}={region.mask}" for region in value], "")
        elif isinstance(value, bool):
            words.append(option)
        else:
            words += [option, _seconds(value) if isinstance(value, Fraction) else str(value)]
    return words


def _pairs(name: str, values: list[str], moment: str) -> list[str]:
    return [word for value in values for word in (name, value + moment)]


def _weighted(blend: Blend) -> list[str]:
    # The weight of a single style is left out, unless its name could be read as having one.
    if len(blend) == 1 and blend[0][1] == 1 and ":" not in blend[0][0]:
        return [blend[0][0]]
    return [f"{name}:{weight!r}" for name, weight in blend]


def _moment(value: object, start: Fraction, hold: Fraction) -> str:
    if not isinstance(value, Timeline):
        return ""
    return f"@{_seconds(start)}" + (f"-{_seconds(start + hold)}" if hold else "")


def _seconds(time: Fraction) -> str:
    """Write a time as 12.5 where decimals are exact, else as 1/24."""
    decimal = Decimal(time.numerator) / Decimal(time.denominator)
    return f"{decimal:f}" if Fraction(decimal) == time else str(time)
