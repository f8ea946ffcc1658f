"""What to paint, from a job list or from films and styles named on the command line, as the plans of single films."""

from __future__ import annotations

import glob
import os
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from videostyle.errors import SourceError, UsageError
from videostyle.files import fitted_name
from videostyle.io.names import FILMS, KEPT
from videostyle.plan import Blend, RenderPlan, Span, Style, read_seconds

NAME = "{stem}-{style}{suffix}"
"""Of a painted film; {stem} and {suffix} are the source's."""
_FIELDS = ("stem", "style", "suffix", "network")


def _as_seconds(value: Any) -> Fraction:
    # bool is a number to Python, and no time to anyone
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("should be seconds, or text such as '1:20'")
    return read_seconds(str(value))


_Seconds = Annotated[Fraction, BeforeValidator(_as_seconds)]
_Painting = str | dict[str, float]
"""A name, or names and weights."""


class Settings(BaseModel):
    """What a table of a job list may say; what it leaves open is as on the command line, or as it always is."""

    model_config = ConfigDict(extra="forbid", strict=True)

    style: _Painting | None = None
    styles: list[_Painting] | None = Field(default=None, min_length=1)
    strength: float | None = None
    keep_colors: bool | None = None
    network: str | None = None
    brush: float | None = None
    statistics: Literal["frame", "shot"] | None = None
    seed: int | None = None
    mask: str | None = None
    mask_feather: float | None = None
    stabilize: float | None = None
    stabilize_mode: Literal["auto", "causal", "lookahead"] | None = None
    start: _Seconds | None = None
    end: _Seconds | None = None
    size: str | None = None
    codec: str | None = None
    crf: int | None = None
    preset: str | None = None
    pix_fmt: str | None = None
    paint_engine: Literal["auto", "torch", "openvino"] | None = None
    device: str | None = None
    name: str | None = None


class Job(Settings):
    """One [[jobs]] table."""

    source: str


class JobList(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid")

    defaults: Settings = Settings()
    jobs: list[Job] = Field(min_length=1)


def films_of(source: str) -> list[str]:
    """The films that a file, a folder or a glob names, in order; raises SourceError where there is none."""
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
    """A plan for each film in each style, its other settings those of `base`."""
    for source in (film for one in sources for film in films_of(one)):
        for style in styles:
            wanted = folder / output_name(name, source, style)
            output = wanted.with_name(fitted_name(wanted.stem, wanted.suffix))
            yield replace(base, source=source, output=str(output), style=style)


def output_name(name: str, source: str, style: Style) -> str:
    """`name` with its fields filled in; raises UsageError for a field there is not."""
    path = Path(source)
    suffix = path.suffix.lower() if path.suffix.lower() in KEPT else ".mp4"
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
    """The plans that a job list asks for; what it leaves open is as in `styles`, `base` and `name`.

    Paths in it are relative to it. Raises UsageError naming the line and the key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is no text in UTF-8 ({error.reason})") from error
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not a TOML file ({error})") from error
    try:
        listed = JobList.model_validate(table)
    except ValidationError as error:
        raise UsageError("; ".join(_told(path, text, one) for one in error.errors()[:3])) from error
    found: list[RenderPlan] = []
    for number, job in enumerate(listed.jobs):
        given = {key: value for key, value in [*listed.defaults, *job] if value is not None}
        if job.style is not None or job.styles is not None:  # a job's own replace the defaults', either way written
            given = {key: value for key, value in given.items() if key in job.model_fields_set or "style" not in key}
        try:
            looks = _looks(given, styles, base.style, path.parent)
            settings = _settings(given, base)
            source = str(path.parent / Path(job.source).expanduser())
            found += plans([source], looks, folder, settings, given.get("name", name))
        except (UsageError, SourceError) as error:
            # What a plan refuses begins with the setting's name.
            key = str(error).partition(" ")[0].replace("-", "_")
            at = _line(text, ("jobs", number, key)) or _line(text, ("defaults", key)) or _line(text, ("jobs", number))
            raise type(error)(f"{path}:{at}: {error}") from error
    return found


def _looks(given: dict[str, Any], styles: Sequence[Style], base: Style, here: Path) -> list[Style]:
    changed: dict[str, Any] = {
        key: given[key] for key in ("strength", "keep_colors", "network", "brush", "statistics", "seed") if key in given
    }
    if "mask" in given:
        changed["mask"] = str(here / Path(given["mask"]).expanduser())
    if "mask_feather" in given:
        changed["feather"] = given["mask_feather"]
    if "style" in given and "styles" in given:
        raise UsageError("style and styles: give one of them")
    wanted = given.get("styles") or ([given["style"]] if "style" in given else [])
    if wanted:
        return [replace(base, blend=_blend(painting), **changed) for painting in wanted]
    if not styles:
        raise UsageError("source has no style: write styles = [...], in the job or in [defaults]")
    return [replace(style, **changed) for style in styles]


def _blend(painting: _Painting) -> Blend:
    return ((painting, 1.0),) if isinstance(painting, str) else tuple(painting.items())


def _settings(given: dict[str, Any], base: RenderPlan) -> RenderPlan:
    encode = {key: given[key] for key in ("codec", "crf", "preset", "pix_fmt") if key in given}
    steady = {"amount": given.get("stabilize"), "mode": given.get("stabilize_mode")}
    return replace(
        base,
        encode=replace(base.encode, **encode),
        stabilize=replace(base.stabilize, **{key: value for key, value in steady.items() if value is not None}),
        span=Span(given.get("start", base.span.start), given.get("end", base.span.end)),
        size=given.get("size", base.size),
        engine=given.get("paint_engine", base.engine),
        device=given.get("device", base.device),
    )


def _told(path: Path, text: str, error: Any) -> str:
    """One of pydantic's complaints, in a line that says where to look."""
    where = list(error["loc"])
    # A union is told once for each of its members, which is not in the file.
    known = [part for part in where if not (isinstance(part, str) and ("[" in part or part in ("str", "float")))]
    key = ".".join(f"{part + 1}" if isinstance(part, int) else part for part in known)
    what = {"extra_forbidden": "no such setting", "missing": "is missing"}.get(error["type"])
    at = next((line for end in range(len(known), 0, -1) if (line := _line(text, known[:end]))), 1)
    if error["type"] == "extra_forbidden":
        fields = Job.model_fields if known[:1] == ["jobs"] else Settings.model_fields
        what = f"no such setting; known: {', '.join(fields if len(known) > 1 else JobList.model_fields)}"
    return f"{path}:{at}: {key}: {what or error['msg'].removeprefix('Value error, ')}"


def _line(text: str, where: Sequence[str | int]) -> int | None:
    """The line at which a value of a TOML file begins.

    A file cut off after a line is a file, unless it is cut within a value: the shortest that holds the value ends where
    the value does, and the value begins after the longest before it that is a file.
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
