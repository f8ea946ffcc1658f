"""Settings that a client may give, made from the declarations of the render's own settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from videostyle.batch.jobs import model_field
from videostyle.errors import SettingError, UnknownNameError, UsageError
from videostyle.files import fit_name
from videostyle.io import heif
from videostyle.io.images import EXTENSIONS
from videostyle.io.names import FILMS, WRITABLE, output_name
from videostyle.plan import RenderPlan
from videostyle.settings import Setting, settings_of
from videostyle.style import SEGMENTED
from videostyle.weights import models_folder, read_manifest

READABLE = (*FILMS, *EXTENSIONS, *heif.EXTENSIONS)
"""Extensions of files that clients may upload."""
UPLOAD = "upload_"
"""Begin of the id of an upload, which may stand where a file is named."""
_SERVERS = {"overwrite", "download", "flow_size"}


def is_clients(name: str, each: Setting) -> bool:
    """Return True for a setting that clients may give: none of the machine, and none that names a server's file."""
    return each.kind is not Path and each.group != "the machine" and name not in _SERVERS


CLIENT_SETTINGS = {name: each for name, each in settings_of(RenderPlan).items() if is_clients(name, each)}


class StyleKey(BaseModel):
    """A style from a time on, and how long it holds; it is interpolated to the next one's."""

    model_config = ConfigDict(extra="forbid")

    value: str | dict[str, float]
    start: float = Field(ge=0, description="seconds from the first frame")
    hold: float = Field(default=0, ge=0, description="seconds")


class StrengthKey(BaseModel):
    """A strength from a time on, and how long it holds; it is interpolated to the next one's."""

    model_config = ConfigDict(extra="forbid")

    value: float = Field(ge=0, le=1)
    start: float = Field(ge=0, description="seconds from the first frame")
    hold: float = Field(default=0, ge=0, description="seconds")


class StyleTimeline(BaseModel):
    """A style that changes along the film."""

    model_config = ConfigDict(extra="forbid")

    keys: list[StyleKey] = Field(min_length=1, max_length=100)


class StrengthTimeline(BaseModel):
    """A strength that changes along the film."""

    model_config = ConfigDict(extra="forbid")

    keys: list[StrengthKey] = Field(min_length=1, max_length=100)


_TIMELINES: dict[str, Any] = {"style": StyleTimeline, "strength": StrengthTimeline}


def _field(name: str, each: Setting) -> Any:
    kind, declared = model_field(name, each)
    return (kind | _TIMELINES[name] if name in _TIMELINES else kind, declared)


RenderSettings: type[BaseModel] = create_model(
    "RenderSettings",
    __config__=ConfigDict(extra="forbid", strict=True),
    __doc__="Settings of a render, by their names on the command line; those left out have their defaults.",
    **{name: _field(name, each) for name, each in CLIENT_SETTINGS.items()},
)

Format = Literal["mp4", "m4v", "mov", "mkv", "webm", "gif", "png", "jpg", "jpeg", "tif", "tiff", "webp", "bmp"]
assert {f".{one}" for one in Format.__args__} == {*WRITABLE, *EXTENSIONS}  # type: ignore[attr-defined]


class Webhook(BaseModel):
    """Address that is told when the job has ended."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(max_length=2000, pattern=r"^https?://")


class JobRequest(BaseModel):
    """A film or a picture to paint."""

    model_config = ConfigDict(extra="forbid")

    input: str = Field(
        default="",
        max_length=2000,
        description="the id of an upload, or, where the service allows it, an address that begins with https://; "
        "left out where the file comes with the request",
    )
    settings: RenderSettings = Field(default_factory=RenderSettings)  # type: ignore[valid-type]
    format: Format | None = Field(default=None, description="extension of the result; default: the input's")
    webhook: Webhook | None = None


class StillRequest(BaseModel):
    """One frame of an upload, which is painted while the client waits."""

    model_config = ConfigDict(extra="forbid")

    input: str = Field(max_length=200, description="the id of an upload")
    at: float = Field(default=0, ge=0, description="seconds from the first frame")
    lines: int = Field(default=540, ge=16, le=2160, description="most pixels of the short side")
    view: str = Field(
        default="", max_length=80, description="a view of your own, in which a newer request replaces those that wait"
    )
    settings: RenderSettings | None = Field(  # type: ignore[valid-type]
        default=None, description="left out, the frame is returned as it is"
    )


class StyleRequest(BaseModel):
    """A style to make of a picture."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(pattern=r"^\w[\w-]*$", max_length=80)]
    minutes: float = Field(default=0, ge=0, description="time for learning it; 0 predicts it at once")
    network: str = "fast"
    input: str = Field(
        default="", max_length=200, description="the id of an upload; left out where the picture comes along"
    )
    webhook: Webhook | None = None


def render_settings(
    given: Mapping[str, Any], find_style: Callable[[str, str], str], find_upload: Callable[[str, str], str]
) -> dict[str, Any]:
    """Return a client's settings as plain values, with the files of a job, ./NAME, in place of the ids of uploads.

    `find_style` takes the name of a style and of its network, `find_upload` an id and the use of the file. Raises
    UsageError for any name that is not known.
    """
    named = {name: _plain(value) for name, value in given.items() if value is not None}
    network = named.get("network", RenderPlan("", "").style.network)
    networks, _ = read_manifest(models_folder())
    if network not in networks:
        raise UnknownNameError.among("network", network, networks)

    def style(value: Any) -> Any:
        if isinstance(value, Mapping) and isinstance(value.get("keys"), list):
            return {"keys": [{**key, "value": style(key["value"])} for key in value["keys"]]}
        if isinstance(value, Mapping):
            return {style(name): weight for name, weight in value.items()}
        return find_upload(value, "style") if value.startswith(UPLOAD) else find_style(value, network)

    def mask(setting: str, value: str) -> str:
        if value in SEGMENTED:
            return value
        if not value.startswith(UPLOAD):
            raise SettingError(setting, f"must be {' or '.join(SEGMENTED)}, or the id of an upload")
        return find_upload(value, "mask")

    if "style" in named:
        named["style"] = style(named["style"])
    if "mask" in named:
        named["mask"] = mask("mask", named["mask"])
    if "region" in named:
        named["region"] = [
            {"blend": style(one["style"]), "mask": mask("region", one["mask"])} for one in named["region"]
        ]
    return named


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Fraction) else value


def given_settings(request: JobRequest) -> dict[str, Any]:
    """Return the settings that a client gave, as JSON has them."""
    given: BaseModel = request.settings
    return {name: _plain(value) for name, value in given.model_dump(exclude_none=True).items()}


def with_paths(value: Any, folder: Path) -> Any:
    """Return plain settings with the files of a job, ./NAME, by their paths in its `folder`."""
    if isinstance(value, str):
        return str(folder / value.removeprefix("./")) if value.startswith("./") else value
    if isinstance(value, Mapping):
        return {with_paths(key, folder): with_paths(one, folder) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [with_paths(one, folder) for one in value]
    return value


def check_name(name: str) -> str:
    """Return the extension of an upload's name, in lower case; raise UsageError if it is no film's or picture's."""
    suffix = Path(name.replace("\\", "/")).suffix.lower()
    if suffix not in READABLE:
        raise UsageError(f"the file's name must end in one of {', '.join(READABLE)}")
    return suffix


def result_name(name: str, request: JobRequest) -> tuple[str, str]:
    """Return the name of a result for people, after the client's `name` of the input, and its extension."""
    suffix = Path(output_name(f"file{check_name(name)}", "")).suffix if request.format is None else f".{request.format}"
    style = getattr(request.settings, "style", None) or "none"
    label = "timeline" if isinstance(style, StyleTimeline) else "+".join([style] if isinstance(style, str) else style)
    return fit_name(f"{Path(name).stem}-{'picture' if label.startswith(UPLOAD) else label}", suffix), suffix
