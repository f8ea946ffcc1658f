"""Job lists, and films and styles of the command line, as render plans of single films."""

from __future__ import annotations

import glob
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from videostyle.errors import SettingError, SourceError, UsageError, suggestion
from videostyle.files import fit_name, read_regular_file
from videostyle.io.names import FILMS, WRITABLE
from videostyle.plan import RenderPlan
from videostyle.settings import Setting, assemble, settings_of
from videostyle.style import SEGMENTED, Region, Style
from videostyle.timeline import as_seconds

M = TypeVar("M", bound=BaseModel)

NAME = "{stem}-{style}{suffix}"
"""Template for the name of an output; {stem} and {suffix} are the source's."""
_FIELDS = ("stem", "style", "suffix", "network")


def _as_time(value: Any) -> Fraction:
    try:
        return as_seconds(value)
    except UsageError as error:
        raise ValueError(str(error)) from None


_KINDS: dict[type, Any] = {Fraction: Annotated[Fraction, BeforeValidator(_as_time)], Path: str}
_Style = str | dict[str, float]
"""A style's name, or names and weights."""
_EXCLUDED = ("overwrite",)
"""Settings of a render that a job list cannot contain: replacing files is up to the user of the command."""


class _Region(BaseModel):
    """A table of `region`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    style: _Style
    mask: str


def model_field(name: str, each: Setting) -> Any:
    """Return a setting as a field of a pydantic model; a setting that is left out is None.

    Its range is for readers of the schema: the plan checks it, with a message of its own.
    """
    if name == "style":
        kind: Any = _Style
    elif name == "strength":
        kind = float
    elif name == "region":
        kind = list[_Region]
    elif each.choices is not None:
        kind = Literal[each.choices()]
    else:
        kind = _KINDS.get(each.kind, each.kind)
    span = {"minimum": each.low, "maximum": each.high}
    shown: dict[str, Any] = {key: value for key, value in span.items() if value is not None}
    return (kind | None, Field(default=None, description=each.help, json_schema_extra=shown or None))


Settings = create_model(
    "Settings",
    __config__=ConfigDict(extra="forbid", strict=True),
    __doc__="Settings in a table of a job list; those left out are as on the command line, or the defaults.",
    **{name: model_field(name, each) for name, each in settings_of(RenderPlan).items() if name not in _EXCLUDED},
    styles=(list[_Style] | None, Field(default=None, min_length=1)),
    name=(str | None, None),
)


class Job(Settings):  # type: ignore[misc, valid-type]
    """One [[jobs]] table."""

    source: str


class Defaults(BaseModel):
    """A user's file of defaults."""

    model_config = ConfigDict(extra="forbid")

    defaults: Settings = Settings()  # type: ignore[valid-type]


class JobList(BaseModel):
    """A whole job list."""

    model_config = ConfigDict(extra="forbid")

    defaults: Settings = Settings()  # type: ignore[valid-type]
    jobs: list[Job] = Field(min_length=1)


def films_of(source: str) -> list[str]:
    """List the films of a file, a folder or a glob pattern, in order; raise SourceError if there is none."""
    if os.path.isdir(source):
        found = [str(path) for path in sorted(Path(source).iterdir()) if path.suffix.lower() in FILMS]
        if not found:
            raise SourceError(f"{source}: no film in this folder; films end in {', '.join(FILMS)}")
        return found
    if os.path.exists(source) or not glob.has_magic(source):
        return [source]
    found = sorted(path for path in glob.glob(source, recursive=True) if os.path.isfile(path))
    if not found:
        raise SourceError(f"{source}: no file matches; check the pattern")
    return found


def plans(
    sources: Sequence[str], styles: Sequence[Style], folder: Path, base: RenderPlan, name: str = NAME
) -> Iterator[RenderPlan]:
    """Yield a plan for each film in each style, with the other settings of `base`."""
    for source in (film for one in sources for film in films_of(one)):
        for style in styles:
            wanted = folder / output_name(name, source, style)
            output = wanted.with_name(fit_name(wanted.stem, wanted.suffix))
            yield replace(base, source=source, output=str(output), style=style)


def output_name(name: str, source: str, style: Style) -> str:
    """Fill in the fields of the template `name`; raise UsageError for an unknown field."""
    path = Path(source)
    suffix = path.suffix.lower() if path.suffix.lower() in WRITABLE else ".mp4"
    values = {"stem": path.stem, "style": style.label, "suffix": suffix, "network": style.network}
    try:
        asked = [field for _, field, _, _ in Formatter().parse(name) if field is not None]
        if unknown := [field for field in asked if field not in _FIELDS]:
            raise ValueError(f"no field {{{unknown[0]}}}")
        filled = name.format(**values)
    except ValueError as error:
        allowed = ", ".join(f"{{{field}}}" for field in _FIELDS)
        raise UsageError(f"name {name!r}: {error}; there are {allowed}") from error
    if not filled or Path(filled).is_absolute() or ".." in Path(filled).parts:
        raise UsageError(f"name {name!r}: should be a name inside the output folder")
    return filled


def read_jobs(
    path: Path, styles: Sequence[Style], folder: Path, base: RenderPlan, name: str = NAME
) -> list[RenderPlan]:
    """Read the plans of a job list; settings that it leaves out are those of `styles`, `base` and `name`.

    Paths in it are relative to it. Raises UsageError naming the line and the key.
    """
    text, listed = _read(path, JobList)
    found: list[RenderPlan] = []
    for number, job in enumerate(listed.jobs):
        given = {key: value for key, value in [*listed.defaults, *job] if value is not None}
        if job.style is not None or job.styles is not None:  # a job's styles replace the defaults', written either way
            given = {key: value for key, value in given.items() if key in job.model_fields_set or "style" not in key}
        try:
            settings = _settings(given, base, path.parent)
            looks = _looks(given, styles, settings.style, base.style, path.parent)
            source = str(path.parent / Path(job.source).expanduser())
            found += plans([source], looks, folder, settings, given.get("name", name))
        except (UsageError, SourceError) as error:
            key = error.setting if isinstance(error, SettingError) else str(error).partition(" ")[0]
            at = _line(text, ("jobs", number, key)) or _line(text, ("defaults", key)) or _line(text, ("jobs", number))
            kind = UsageError if isinstance(error, UsageError) else SourceError
            raise kind(f"{path}:{at}: {error}") from error
    return found


def read_defaults(path: Path) -> RenderPlan:
    """Read a plan with the settings of the table [defaults] of a user's file; raise SourceError or UsageError.

    Paths in it are relative to it.
    """
    text, found = _read(path, Defaults)
    given = {key: value for key, value in vars(found.defaults).items() if value is not None}
    for key in ("styles", "name"):
        if key in given:
            raise UsageError(f"{path}:{_line(text, ('defaults', key)) or 1}: {key} is for job lists")
    try:
        return _settings(given, RenderPlan("", ""), path.parent)
    except SettingError as error:
        at = _line(text, ("defaults", error.setting)) or 1
        raise UsageError(f"{path}:{at}: {error}") from error


def _read(path: Path, model: type[M]) -> tuple[str, M]:
    """Read the text of a TOML file and its content as `model`; raise SourceError, or UsageError naming the line."""
    try:
        text = read_regular_file(path).decode("utf-8")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is no text in UTF-8 ({error.reason})") from error
    try:
        return text, model.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not a TOML file ({error})") from error
    except ValidationError as error:
        raise UsageError(
            "; ".join(_message(path, text, one, model.model_fields) for one in error.errors()[:3])
        ) from error


def _looks(given: dict[str, Any], styles: Sequence[Style], chosen: Style, base: Style, here: Path) -> list[Style]:
    """Return the styles that a job names, or else those of the command line with the job's settings, `chosen`."""
    if given.get("style") is not None and given.get("styles") is not None:
        raise UsageError("style and styles: give one of them")
    if "style" in given:
        return [chosen]
    if "styles" in given:
        return [replace(chosen, blend=_style(style, here)) for style in given["styles"]]
    if not styles:
        raise UsageError("source has no style: write styles = [...], in the job or in [defaults]")
    changed = {one.name: getattr(chosen, one.name) for one in fields(Style) if one.name != "blend"}
    changed = {name: value for name, value in changed.items() if value != getattr(base, name)}
    return [replace(style, **changed) for style in styles]


def _settings(given: dict[str, Any], base: RenderPlan, here: Path) -> RenderPlan:
    """Return `base` with a job's settings; paths are relative to the folder `here`."""
    declared = settings_of(RenderPlan)
    named = {name: value for name, value in given.items() if name in declared}
    for name in ("mask", "segmenter_weights", "flow_weights"):
        if name in named:
            named[name] = _path(named[name], here)
    if "region" in named:
        named["region"] = tuple(Region(_style(one.style, here), _path(one.mask, here)) for one in named["region"])
    if "style" in named:
        named["style"] = _style(named["style"], here)
    return assemble(RenderPlan, base, **named)


def _path(text: str, here: Path) -> str:
    """Return a path relative to the folder `here`; the masks that a segmenter makes are no paths."""
    return text if text in SEGMENTED else str(here / Path(text).expanduser())


def _style(value: Any, here: Path) -> Any:
    """Return a style, or a blend, with the pictures and style files in the folder `here` by their paths."""
    if isinstance(value, Mapping):
        return {_style(name, here): weight for name, weight in value.items()}
    file = here / Path(value).expanduser()
    return str(file) if file.suffix and file.is_file() else value


def _message(path: Path, text: str, error: Any, tables: Iterable[str]) -> str:
    """Return one of pydantic's errors as a line with the place in the file."""
    where = list(error["loc"])
    # pydantic reports a union once for each of its members, which are not in the file.
    known = [part for part in where if not (isinstance(part, str) and ("[" in part or part in ("str", "float")))]
    key = ".".join(f"{part + 1}" if isinstance(part, int) else part for part in known)
    what = {"extra_forbidden": "no such setting", "missing": "is missing"}.get(error["type"])
    at = next((line for end in range(len(known), 0, -1) if (line := _line(text, known[:end]))), 1)
    if error["type"] == "extra_forbidden":
        fields = Job.model_fields if known[:1] == ["jobs"] else Settings.model_fields
        names = list(fields if len(known) > 1 else tables)
        what = f"no such setting; {suggestion(str(known[-1]), names)}known: {', '.join(names)}"
    return f"{path}:{at}: {key}: {what or error['msg'].removeprefix('Value error, ')}"


def _line(text: str, where: Sequence[str | int]) -> int | None:
    """Return the line at which a value of a TOML file begins.

    A file cut off after a line is valid TOML, unless it is cut within a value: the shortest valid part with the value
    ends where the value does, and the value begins after the longest valid part before.
    """
    begins = 1
    lines = text.splitlines()
    for count in range(1, len(lines) + 1):
        try:
            found: Any = tomllib.loads("\n".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            continue
        try:
            for part in where:
                found = found[part]
        except (LookupError, TypeError):
            begins = count + 1
            continue
        return begins
    return None
