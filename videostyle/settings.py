"""Settings of a render, each declared once: at the field that holds it.

`setting` declares a field of a frozen dataclass with its help, its range or its choices, and the name that the command
line, job lists and reports have for it. `settings_of` lists the settings of a plan, `assemble` makes a plan from values
by these names, `disassemble` gives the values of a plan as plain data.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from fractions import Fraction
from numbers import Real
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_type_hints

from videostyle.errors import SettingError, UsageError, suggestion

P = TypeVar("P")

Group = Literal["the painting", "the film", "flicker", "the machine", "the output"]
"""Heading under which `--help` shows a setting."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Declaration of one setting, beside its default, which is the field's."""

    help: str
    """Help text, a sentence that stands alone."""
    group: Group
    name: str = ""
    """Name on the command line and in job lists, with underscores; "" is the field's."""
    low: float | None = None
    high: float | None = None
    """Range of a number, both ends included."""
    choices: Callable[[], tuple[str, ...]] | None = None
    """The closed set of values; a function, since what is installed decides some."""
    metavar: str | None = None
    """Placeholder that `--help` writes for the value; None derives it from the range or the choices."""
    label: str = ""
    """Name on the page, for people; "" is the setting's name."""
    step: float | None = None
    """Step of the page's slider; None divides the range into twenty."""
    many: bool = False
    """True if the command line takes the option several times."""
    path: tuple[str, ...] = ()
    """Fields that lead to it in the plan: ("stabilize", "mode"). `settings_of` fills in this and the next two."""
    default: Any = None
    kind: type = str
    """Type of the value: bool, int, float, str, Path or Fraction; `object` for any other."""


def setting(default: Any, help: str, group: Group, **more: Any) -> Any:
    """Make a dataclass field with a `default` and a `Setting`."""
    return field(default=default, metadata={"setting": Setting(help, group, **more)})


def like(owner: type, name: str, **changes: Any) -> Any:
    """Make a field of the same setting as the field `name` of `owner`, with `changes` of `default` or `Setting`."""
    same = next(one for one in fields(owner) if one.name == name)
    declared = replace(same.metadata["setting"], name=same.metadata["setting"].name or name)
    default = changes.pop("default", same.default)
    return field(default=default, metadata={"setting": replace(declared, **changes)})


_known: dict[type, Mapping[str, Setting]] = {}  # one entry a class of plan


def set_fields(plan: object, **values: object) -> None:
    """Set fields of a frozen dataclass while it is being made, from its `__post_init__`."""
    for name, value in values.items():
        object.__setattr__(plan, name, value)


def settings_of(plan: type) -> Mapping[str, Setting]:
    """Return the settings of a plan's class by name, those of its nested dataclasses included."""
    if plan not in _known:
        _known[plan] = _found(plan)
    return _known[plan]


def _found(plan: type) -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    hints = get_type_hints(plan)
    for one in fields(plan):
        declared = one.metadata.get("setting")
        if declared is not None:
            name = declared.name or one.name
            label, kind = declared.label or name.replace("_", " ").capitalize(), _kind_of(hints[one.name])
            found[name] = replace(declared, name=name, label=label, path=(one.name,), default=one.default, kind=kind)
        elif is_dataclass(one.default_factory):
            inner = settings_of(one.default_factory)
            found |= {name: replace(each, path=(one.name, *each.path)) for name, each in inner.items()}
    return found


def _kind_of(hint: Any) -> type:
    kinds = [kind for kind in (get_args(hint) or (hint,)) if kind is not NoneType]
    plain = [kind for kind in (bool, int, float, str, Path, Fraction) if kinds == [kind]]
    if plain:
        return plain[0]
    return str if all(isinstance(kind, str) for kind in kinds) else object


def flag(name: str) -> str:
    """Return the option of a setting on the command line."""
    return f"--{name.replace('_', '-')}"


def check(plan: Any) -> None:
    """Raise SettingError for the first setting of a dataclass that has the wrong type, is out of its range or is none
    of its choices.
    """
    for name, each in settings_of(type(plan)).items():
        if len(each.path) > 1 or each.kind is object:
            continue
        value = getattr(plan, each.path[0])
        if value is None and each.default is None:
            continue
        if each.kind is bool and not isinstance(value, bool):
            raise SettingError(name, f"must be True or False, got {value!r}")
        if each.kind in (int, float):
            check_number(name, value, each.low, each.high, whole=each.kind is int)
        elif each.kind is str and not isinstance(value, str):
            raise SettingError(name, f"cannot be {value!r}; write text")
        if each.choices is not None:
            check_choice(name, value, each.choices())


def check_number(name: str, value: object, low: float | None, high: float | None, *, whole: bool = False) -> None:
    """Raise SettingError unless `value` is a number, `whole` if asked for, from `low` to `high`."""
    kind = "a whole number" if whole else "a number"
    span = f" between {low:g} and {high:g}" if low is not None and high is not None else ""
    span = span or (f" from {low:g}" if low is not None else "")
    if isinstance(value, bool) or not isinstance(value, int if whole else Real):
        raise SettingError(name, f"cannot be {value!r}; write {kind}{span}")
    number = float(value)
    if (low is not None and not number >= low) or (high is not None and not number <= high):
        raise SettingError(name, f"must be{span}, got {value}")


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Raise SettingError unless `value` is one of the `choices`, with the nearest of them."""
    allowed = tuple(choices)
    if value not in allowed:
        raise SettingError(
            name, f"cannot be {value!r}; {suggestion(str(value), allowed)}there are {', '.join(allowed)}"
        )


def check_names(owner: str, given: Iterable[str], allowed: Iterable[str]) -> None:
    """Raise UsageError for a name of a setting that is none of the `allowed`, with the nearest of them."""
    names = sorted(allowed)
    for name in given:
        if name not in names:
            hint = suggestion(_SPELLINGS.get(name, name), names)
            raise UsageError(f"{owner} has no setting {name!r}; {hint}there are {', '.join(names)}")


# What people write, and our name for it, where the two do not look alike.
_SPELLINGS = {"keep_colours": "keep_colors", "stabilise": "stabilize", "quality": "crf", "vcodec": "codec"}


def assemble(plan: type[P], base: P | None = None, /, **values: Any) -> P:
    """Make a plan from `values` of settings by name; the others are those of `base`, or the defaults.

    A nested dataclass may be given whole as well: `stabilize=StabilizeOptions(0.5)`.
    """
    declared = settings_of(plan)
    parts: dict[str, type] = {
        one.name: one.default_factory  # type: ignore[misc]
        for one in fields(plan)  # type: ignore[arg-type]
        if one.default_factory is not MISSING and is_dataclass(one.default_factory)
    }
    own = [one.name for one in fields(plan) if one.init]  # type: ignore[arg-type]
    check_names(plan.__name__, values, {*declared, *own})
    changed: dict[str, Any] = {}
    inside: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        whole = isinstance(value, parts.get(name, ())) if name in parts else name not in declared
        if whole:
            changed[name] = value
        elif len(declared[name].path) == 1:
            changed[declared[name].path[0]] = value
        else:
            part, inner = declared[name].path
            inside.setdefault(part, {})[inner] = value
    for part, inner_values in inside.items():
        start = changed.get(part, getattr(base, part) if base is not None else parts[part]())
        changed[part] = replace(start, **inner_values)
    return replace(base, **changed) if base is not None else plan(**changed)  # type: ignore[type-var]


def disassemble(plan: Any) -> dict[str, Any]:
    """Return the values of a plan's settings by name, as JSON has them; `assemble` makes the same plan of them."""
    values: dict[str, Any] = {}
    for name, each in settings_of(type(plan)).items():
        value = plan
        for part in each.path:
            value = getattr(value, part)
        values[name] = plain_value(value)
    return values


def plain_value(value: Any) -> Any:
    """Return a setting's value as JSON has it: times as text, a pair of a name and a weight as a list."""
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain_value(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, tuple | list):
        return [plain_value(one) for one in value]
    return value
