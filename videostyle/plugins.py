"""A folder of modules as a registry: dropping a file in adds a part, and nothing else has to know."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pkgutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from videostyle.errors import UnknownNameError


def available(package: ModuleType | str) -> list[str]:
    """Names of the parts in a package, or in the package of that name, without importing anything.

    They are its modules that do not start with an underscore.
    """
    if isinstance(package, str):
        package = sys.modules.get(package) or package
    if isinstance(package, str):
        found = importlib.util.find_spec(package)
        folders = list(found.submodule_search_locations or ()) if found is not None else []
    else:
        folders = list(package.__path__)
    names = (module.name for module in pkgutil.iter_modules(folders) if not module.name.startswith("_"))
    return sorted(name.replace("_", "-") for name in names)


def load(package: ModuleType, name: str) -> Any:
    """The `build` function of one part; see `part`."""
    return part(package, name).build


def part(package: ModuleType, name: str) -> Any:
    """The module of one part, for what it declares beside `build`.

    Raises UnknownNameError naming the allowed ones. The part's heavy imports happen here and not before.
    """
    if name not in available(package):
        kind = package.__name__.rpartition(".")[2].removesuffix("s")
        raise UnknownNameError.among(kind, name, available(package))
    return importlib.import_module(f"{package.__name__}.{name.replace('-', '_')}")


def declared(package: ModuleType, name: str) -> dict[str, Any]:
    """Return the literal constants that a part's module declares at its top level, without importing it.

    `A, B = 1, "two"` and `A = 1` are read; anything that has to be computed is left out.
    """
    found = importlib.util.find_spec(f"{package.__name__}.{name.replace('-', '_')}")
    if found is None or found.origin is None:
        return {}
    constants: dict[str, Any] = {}
    for node in ast.parse(Path(found.origin).read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.Assign):
            continue
        target = node.targets[0]
        try:
            value = ast.literal_eval(node.value)
        except ValueError:
            continue
        if isinstance(target, ast.Name):
            constants[target.id] = value
        elif isinstance(target, ast.Tuple):
            constants.update(zip((ast.unparse(one) for one in target.elts), value, strict=True))
    return constants
