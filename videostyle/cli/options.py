"""Options that several commands share, made from the settings of plans, and readers of their values."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from videostyle.cli import events
from videostyle.cli.progress import ProgressBar
from videostyle.errors import UsageError
from videostyle.files import check_distinct, check_output
from videostyle.plan import RenderPlan
from videostyle.settings import Group, Setting, assemble, flag, settings_of
from videostyle.style import SEGMENTED, Blend, Region
from videostyle.text import sanitize_line
from videostyle.timeline import Key, Timeline, read_seconds, read_timecode

if TYPE_CHECKING:
    from videostyle.report import RenderReport

T = TypeVar("T")


def setting_names(*groups: Group, without: Iterable[str] = ()) -> list[str]:
    """Return the names of a render's settings in these groups, or in all."""
    found = settings_of(RenderPlan).items()
    return [name for name, each in found if (not groups or each.group in groups) and name not in set(without)]


def add_settings(parser: argparse.ArgumentParser, names: Iterable[str], of: type = RenderPlan) -> None:
    """Declare an option for each of these settings of the plan `of`, under the heading of its group.

    `given_settings` and `read_plan` read them.
    """
    declared, names = settings_of(of), list(names)
    for heading in get_args(Group):
        wanted = [name for name in names if declared[name].group == heading]
        if not wanted:
            continue
        there = [group for group in parser._action_groups if group.title == heading]
        group = there[0] if there else parser.add_argument_group(heading)
        for name in wanted:
            keywords = _keywords(declared[name])
            group.add_argument(*(["-y"] if name == "overwrite" else []), flag(name), dest=name, **keywords)


def _keywords(each: Setting) -> dict[str, Any]:
    """Return the arguments of `add_argument` for a setting; its default is None, to tell whether it was given."""
    if each.kind is bool:
        return {"action": "store_true", "help": each.help}
    keywords: dict[str, Any] = {"default": None, "metavar": each.metavar, "help": _help(each)}
    if each.many:
        keywords["action"] = "append"
    else:
        keywords["type"] = _READERS.get(each.kind, each.kind)
    if each.choices is not None:
        keywords["choices"] = each.choices()
    elif each.metavar is None and each.low is not None and each.high is not None:
        keywords["metavar"] = f"{each.low:g}..{each.high:g}"
    return keywords


def _help(each: Setting) -> str:
    text = each.help.replace("%", "%%")
    if "default:" in text or each.default in (None, ()) or not isinstance(each.default, str | int | float):
        return text
    return f"{text}; default: {f'{each.default:g}' if isinstance(each.default, float) else each.default}"


def given_settings(args: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Return the settings that were given on the command line, by name, as `settings.assemble` takes them."""
    given: dict[str, Any] = {}
    for name in names:
        value = getattr(args, name)
        if value is None or value is False:
            continue
        if name in _ALONG and isinstance(value, list):
            value = read_along(flag(name), value, _ALONG[name])
        elif name == "region":
            value = tuple(read_region(text) for text in value)
        given[name] = value
    return given


def contradictions(args: argparse.Namespace) -> Iterator[str]:
    """Yield a line for each stabilization option that has no effect beside the others."""
    if args.flow == "none" and args.stabilize:
        yield f"--flow none estimates no motion, so --stabilize {args.stabilize:g} has no effect"
    if args.stabilize_mode not in (None, "auto") and (args.flow == "none" or args.stabilize == 0):
        why = "--flow none" if args.flow == "none" else "--stabilize 0"
        yield f"{why} turns stabilising off, so --stabilize-mode {args.stabilize_mode} has no effect"
    if args.flow not in (None, "auto", "raft", "raft-large") and args.flow_weights is not None:
        yield f"--flow {args.flow} has no weights, so --flow-weights {args.flow_weights} is not read"
    given = vars(args)
    masks = [given.get("mask"), *(text.rpartition("=")[2] for text in given.get("region") or ())]
    for name in ("segmenter", "segmenter_weights"):
        if given.get(name) is not None and not any(mask in SEGMENTED for mask in masks):
            yield f"no mask is person or background, so {flag(name)} {given[name]} has no effect"


def read_plan(
    args: argparse.Namespace, source: str = "", output: str = "", names: Iterable[str] | None = None
) -> RenderPlan:
    """Return the plan of the options of `add_settings`, by default of all of them.

    A line is printed for each option that has no effect beside the others.
    """
    warn(contradictions(args))
    given = given_settings(args, setting_names() if names is None else names)
    for name, value in given.items():
        if isinstance(value, Timecode):
            given[name] = _in_seconds(flag(name), value, source)
    return assemble(RenderPlan, defaults(), source=source, output=output, **given)


def defaults() -> RenderPlan:
    """Return the settings of a render that are not on the command line: the user's own defaults, if there are any.

    They are in the table [defaults] of $VIDEOSTYLE_CONFIG, or of config.toml where the system keeps a user's settings.
    """
    named = os.environ.get("VIDEOSTYLE_CONFIG")
    if not named:
        import platformdirs

        path = platformdirs.user_config_path("videostyle", appauthor=False) / "config.toml"
        if not path.exists():
            return RenderPlan("", "")
    from videostyle.batch.jobs import read_defaults

    return read_defaults(Path(named) if named else path)


def _in_seconds(option: str, timecode: Timecode, source: str) -> Fraction:
    from videostyle.io import probe

    rate = probe(source).average_rate if source not in ("", "-") else None
    if rate is None:
        raise UsageError(f"{option} {timecode}: counts frames, and the frame rate is not known; write seconds")
    try:
        return read_timecode(timecode, rate) or Fraction(0)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from None


def render_with_progress(plan: RenderPlan, *, quiet: bool, **ends: Any) -> RenderReport:
    """Render with a progress bar that counts frames; `ends` are the source and sink, if they are not the plan's."""
    from videostyle.pipeline import render

    with ProgressBar(Path(plan.source).name, unit="frames", quiet=quiet) as bar:
        return render(plan, on_progress=bar, **ends)


def warn(lines: Iterable[str]) -> None:
    """Print warnings, even with --quiet."""
    for line in lines:
        if events.telling():
            events.tell("warning", text=sanitize_line(line))
        else:
            print(f"videostyle: {sanitize_line(line)}", file=sys.stderr)


def check_reports(
    reports: Iterable[Path | None],
    *,
    overwrite: bool,
    sources: Iterable[str | Path | None] = (),
    outputs: Iterable[str | Path | None] = (),
) -> None:
    """Raise UsageError or SinkError if a report cannot be written, before the work that it reports on.

    It may be none of the `sources`, none of the other `outputs`, and no existing file unless `overwrite` is True. Write
    it inside `files.reserve_output`.
    """
    sources, reports = list(sources), list(reports)
    check_distinct([*outputs, *reports])
    for report in reports:
        if report is not None:
            check_output(report, overwrite=overwrite, sources=sources, special=True)


def read_along(option: str, texts: list[str], read: Callable[[list[str]], T]) -> T | Timeline[T]:
    """Read several VALUEs as one; with times, VALUE@T or VALUE@T-T, as a timeline of those of each time."""
    timed: dict[tuple[Fraction, Fraction], list[str]] = {}
    untimed: list[str] = []
    for text in texts:
        value, at, times = text.rpartition("@")
        # An @ in a path does not begin a time.
        if not at or os.sep in times or _names_file(times):
            untimed.append(text)
            continue
        start, dash, end = times.partition("-")
        try:
            first, last = seconds(start), seconds(end if dash else start)
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"{option} {text}: {error}") from None
        timed.setdefault((first, last - first), []).append(value)
    if untimed and timed:
        raise UsageError(f"{option} {untimed[0]}: has no time, and others have; give all a time (@0:05) or none")
    if untimed:
        return read(untimed)
    return Timeline(tuple(Key(read(values), *when) for when, values in sorted(timed.items())))


def _names_file(text: str) -> bool:
    """Return True for the end of a file's name, as in picture@2x.png or style@1.safetensors:2."""
    from videostyle.weights import is_picture_name

    name = read_weighted(text)[0]
    return name.endswith(".safetensors") or is_picture_name(name)


def read_blend(texts: list[str]) -> Blend:
    """Read a blend of several NAME or NAME:WEIGHT."""
    return tuple(read_weighted(text) for text in texts)


def read_strength(texts: list[str]) -> float:
    """Read a strength; raise UsageError if there are several."""
    if len(texts) > 1:
        raise UsageError(f"--strength {' and '.join(texts)}: only one at a time")
    try:
        return float(texts[0])
    except ValueError:
        raise UsageError(f"--strength {texts[0]}: is not a number") from None


def read_region(text: str) -> Region:
    """Read a region from NAME=FILE."""
    name, mask = read_pair(text, f"--region {text}: write a style and its mask, NAME=FILE")
    return Region(((name, 1.0),), mask)


def read_pair(text: str, message: str) -> tuple[str, str]:
    """Split at the first "="; raise UsageError with `message` if either part is empty."""
    name, _, value = text.partition("=")
    if not name or not value:
        raise UsageError(message)
    return name, value


def read_weighted(text: str) -> tuple[str, float]:
    """Split NAME or NAME:WEIGHT; a colon in a path is not a weight."""
    found = re.fullmatch(r"(.+):([0-9.]+)", text)
    if found is None:
        return text, 1.0
    try:
        return found[1], float(found[2])
    except ValueError:
        raise UsageError(f"{text}: the weight after the colon is not a number") from None


class Timecode(str):
    """A time that counts frames, "0:01:20:12", and needs the film's frame rate to be converted."""


def time_of_film(text: str) -> Fraction | Timecode:
    """Read a time like `seconds`, or a `Timecode`."""
    return Timecode(text) if read_timecode(text, Fraction(1000)) is not None else seconds(text)


def seconds(text: str) -> Fraction:
    """Read exact seconds from "12.5", "1:02", "1:02:03.5", "1m20s" or "1/24"."""
    try:
        return read_seconds(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


_READERS: dict[type, Callable[[str], Any]] = {Fraction: time_of_film}
_ALONG: dict[str, Callable[[list[str]], Any]] = {"style": read_blend, "strength": read_strength}
