"""A folder of modules as a registry: dropping a file in adds a part, and nothing else has to know."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Any

from videostyle.errors import UnknownNameError


def available(package: ModuleType) -> list[str]:
    """Names of the parts in a package: its modules that do not start with an underscore, without importing them."""
    names = (module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_"))
    return sorted(name.replace("_", "-") for name in names)


def load(package: ModuleType, name: str) -> Any:
    """The `build` function of one part.

    Raises UnknownNameError naming the allowed ones. The part's heavy imports happen here and not before.
    """
    if name not in available(package):
        kind = package.__name__.rpartition(".")[2].removesuffix("s")
        raise UnknownNameError.among(kind, name, available(package))
    return importlib.import_module(f"{package.__name__}.{name.replace('-', '_')}").build
