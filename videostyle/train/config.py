"""Training configuration read from a TOML file, and written to one."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from videostyle.errors import TrainingError, UsageError
from videostyle.train.plan import TrainConfig, TrainingStyle


def read_config(path: Path, **overrides: Any) -> TrainConfig:
    """Read the configuration in `path`; `overrides` replace its values. Paths in it are relative to its folder.

    Raises UsageError naming the key if one is missing, unknown or of the wrong type.
    """
    table = _table(path)
    table.pop("tune", None)
    styles = table.pop("styles", [])
    if not isinstance(styles, list) or not all(isinstance(style, dict) for style in styles):
        raise UsageError(f"{path}: write each style as a table headed [[styles]]")
    here = path.parent
    values = _typed(TrainConfig, table, here, path)
    values["styles"] = tuple(TrainingStyle(**_typed(TrainingStyle, style, here, path)) for style in styles)
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
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not a TOML file ({error})") from error


def _typed(kind: type, table: dict[str, Any], here: Path, path: Path) -> dict[str, Any]:
    known = {field.name: field for field in fields(kind)}
    for key in table:
        if key not in known:
            raise UsageError(f"{path}: no setting named {key!r}; known: {', '.join(known)}")
    for name, field in known.items():
        if field.default is MISSING and name not in table and name != "styles":
            raise UsageError(f"{path}: {name!r} is missing")
    return {key: _value(known[key], value, here, path) for key, value in table.items()}


def _value(field: Field[Any], value: Any, here: Path, path: Path) -> Any:
    wanted = str(field.type).removesuffix(" | None")
    if wanted == "Path" and isinstance(value, str):
        return here / Path(value).expanduser()
    if wanted.startswith("tuple") and isinstance(value, list):
        return tuple(value)
    if wanted == "float" and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if wanted in ("int", "str", "bool") and type(value).__name__ == wanted:
        return value
    raise UsageError(f"{path}: {field.name} = {value!r} should be of type {wanted}")
