"""Plugins: a package whose modules are its registry. Adding a file adds a plugin; no other code needs a change."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pkgutil
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from videostyle.errors import UnknownNameError


def available(package: ModuleType | str) -> list[str]:
    """List the names of the plugins in a package, or in the package of that name, without importing them.

    Plugins are the modules of the package that do not start with an underscore.
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
    """Return the `build` function of one plugin; see `load_module`."""
    return load_module(package, name).build


def load_module(package: ModuleType, name: str) -> Any:
    """Import the module of one plugin, with its `build` function and its other declarations.

    Raises UnknownNameError, which lists the allowed names. The plugin's heavy imports happen here and not before.
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
    return dict(_constants(found.origin, Path(found.origin).stat().st_mtime_ns))


@lru_cache(maxsize=64)
def _constants(path: str, changed: int) -> dict[str, Any]:
    """Return the literal constants of the source file `path`, which was last `changed` at this time."""
    constants: dict[str, Any] = {}
    for node in ast.parse(Path(path).read_text(encoding="utf-8")).body:
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
