"""Make the models of the Python client, integrations/python, from the OpenAPI document of the service.

python scripts/make_client.py
"""

from __future__ import annotations

import argparse
import json
import tempfile
import textwrap
from pathlib import Path
from typing import Any

from videostyle.service.app import api
from videostyle.service.core import Service
from videostyle.service.plan import ServicePlan

MODELS = Path(__file__).parents[1] / "integrations" / "python" / "videostyle_client" / "models.py"

_HEAD = '''"""Requests and answers of the service, made by scripts/make_client.py from its OpenAPI document."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Required, TypedDict

'''
_KINDS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}


def document() -> dict[str, Any]:
    """Return the OpenAPI document of a service."""
    with tempfile.TemporaryDirectory() as folder:
        service = Service(ServicePlan(Path(folder) / "data", workers=0))
        try:
            return api(service).openapi()
        finally:
            service.close()


def models(described: dict[str, Any]) -> str:
    """Return the module: the routes, a dataclass for each answer, a typed dictionary for each request."""
    schemas = described["components"]["schemas"]
    lines = ["ROUTES = {"]
    for path, operations in described["paths"].items():
        lines += [f'    "{one["operationId"]}": ("{method.upper()}", "{path}"),' for method, one in operations.items()]
    lines += ["}", '"""Method and path of each operation."""']
    for name in sorted(schemas, key=lambda name: (_depth(schemas, name), name)):
        lines += ["", "", *_model(_name(name), schemas[name])]
    return _HEAD + "\n".join(lines) + "\n"


def _depth(schemas: dict[str, Any], name: str) -> int:
    """Return how many models must stand before one."""
    used = {one.rpartition("/")[2] for one in _references(schemas[name])}
    return 1 + max((_depth(schemas, one) for one in used), default=0)


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [found for one in value.values() for found in _references(one)]
    return [found for one in value for found in _references(one)] if isinstance(value, list) else []


def _name(schema: str) -> str:
    return schema.lstrip("_").removesuffix("View")


def _model(name: str, schema: dict[str, Any]) -> list[str]:
    is_request = schema.get("additionalProperties") is False
    required = schema.get("required", [])
    text = schema.get("description") or f"A table of {name}."
    if is_request:
        total = "" if len(required) == len(schema["properties"]) else ", total=False"
        lines = [f"class {name}(TypedDict{total}):"]
    else:
        lines = ["@dataclass(frozen=True, slots=True, kw_only=True)", f"class {name}:"]
    lines += [f'    """{text}"""', ""]
    for field, one in schema["properties"].items():
        default = "" if is_request or field in required else f" = {_default(one)}"
        lines += [f"    # {line}" for line in textwrap.wrap(one.get("description", ""), 112)]
        # What a request leaves out has its default, so nothing needs a None.
        kind = _kind(one).removesuffix(" | None") if is_request else _kind(one)
        if is_request and field in required and len(required) < len(schema["properties"]):
            kind = f"Required[{kind}]"
        lines.append(f"    {field}: {kind}{default}")
    return lines


def _default(schema: dict[str, Any]) -> str:
    value = schema.get("default")
    return "field(default_factory=list)" if value == [] else _literal(value)


def _literal(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str) else repr(value)


def _kind(schema: dict[str, Any]) -> str:
    """Return a schema as a type hint."""
    if "$ref" in schema:
        return _name(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " | ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return f"Literal[{', '.join(_literal(one) for one in schema['enum'])}]"
    kind = schema["type"]
    if kind == "null":
        return "None"
    if kind == "array":
        return f"list[{_kind(schema['items'])}]"
    if kind == "object":
        values = schema.get("additionalProperties", True)
        return f"dict[str, {'Any' if values is True else _kind(values)}]"
    return _KINDS[kind]


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    MODELS.write_text(models(document()), encoding="utf-8")


if __name__ == "__main__":
    main()
