"""Training configuration read from a TOML file, and written to one."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from videostyle.errors import TrainingError, UsageError, first_error, suggestion
from videostyle.files import read_regular_file
from videostyle.train.plan import TrainConfig, TrainingStyle

# Keys of earlier releases, and their names now.
_RENAMED = {
    "rate": "lr",
    "code_rate": "code_lr",
    "perceptual": "loss_network",
    "perceptual_weights": "loss_network_weights",
    "paintings": "styles",
    "steady_from": "temporal_from",
    "remembered_share": "running_norm_share",
    "train_trunk": "train_network",
}


def read_config(path: Path, **overrides: Any) -> TrainConfig:
    """Read the configuration in `path`; `overrides` replace its values. Paths in it are relative to its folder.

    Raises UsageError naming the key if one is missing, unknown or of the wrong type.
    """
    table = _table(path)
    table.pop("tune", None)
    try:
        read = _model(TrainConfig).model_validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        raise UsageError(f"{path}: {_line(error)}") from error
    here = path.parent
    values = _values(read, here)
    styles: list[BaseModel] = read.styles  # type: ignore[attr-defined]
    values["styles"] = tuple(TrainingStyle(**_values(style, here)) for style in styles)
    return TrainConfig(**(values | overrides))


def read_ranges(path: Path) -> dict[str, tuple[float, float]]:
    """Read the file's [tune] table: the lowest and the highest value of each weight to search; raises UsageError."""
    table = _table(path).get("tune", {})
    ranges = {}
    for name, value in table.items() if isinstance(table, dict) else [("tune", table)]:
        if not (isinstance(value, list) and len(value) == 2 and all(type(v) in (int, float) for v in value)):
            raise UsageError(f"{path}: {name} = {value!r} should be [lowest, highest] in a table headed [tune]")
        ranges[name] = (float(value[0]), float(value[1]))
    return ranges


def write_config(config: TrainConfig) -> str:
    """Format `config` as the text of a file that `read_config` reads; its paths are absolute."""
    styles = ["", *("\n".join(["[[styles]]", *_lines(style), ""]) for style in config.styles)]
    return "\n".join([*_lines(config), *styles])


def _lines(values: TrainConfig | TrainingStyle) -> Iterator[str]:
    """Yield the values that differ from their defaults as TOML, in the syntax that JSON and TOML share."""
    for field in fields(values):
        value = getattr(values, field.name)
        if value != field.default and field.name != "styles":
            plain = str(value.absolute()) if isinstance(value, Path) else value
            yield f"{field.name} = {json.dumps(plain, ensure_ascii=False)}"


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_regular_file(path).decode("utf-8"))
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not a TOML file ({error})") from error


def _model(kind: type) -> type[BaseModel]:
    """Make the model of a dataclass's fields; unknown keys and conversions between types are errors."""
    hints = get_type_hints(kind)
    if kind is TrainConfig:
        hints["styles"] = list[_model(TrainingStyle)]  # type: ignore[misc]
    given: dict[str, Any] = {
        one.name: (hints[one.name], ... if one.default is MISSING else one.default) for one in fields(kind)
    }
    return create_model(kind.__name__, __config__=ConfigDict(extra="forbid", strict=True), **given)


def _line(error: ValidationError) -> str:
    """Return the first error in one line."""
    where, first = first_error(error)
    if first["type"] == "extra_forbidden":
        kind = TrainingStyle if first["loc"][0] == "styles" else TrainConfig
        known = [one.name for one in fields(kind)]
        name = str(first["loc"][-1])
        hint = suggestion(_RENAMED.get(name, name), known)
        return f"no setting named {where!r}; {hint}known: {', '.join(known)}"
    if first["type"] == "missing":
        return f"{where!r} is missing" + (
            "; write each style as a table headed [[styles]]" if where == "styles" else ""
        )
    if where == "styles":
        return "write each style as a table headed [[styles]]"
    return f"{where} = {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}"


def _values(read: BaseModel, here: Path) -> dict[str, Any]:
    """Return the values that were given, with paths relative to `here`."""
    given = {name: getattr(read, name) for name in read.model_fields_set}
    return {name: here / value.expanduser() if isinstance(value, Path) else value for name, value in given.items()}
