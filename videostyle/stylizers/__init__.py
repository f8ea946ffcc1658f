"""Stylizers: one module each, with `build(style, engine, device) -> Stylizer`.

A module that declares `STYLE`, a name, is the stylizer of that style: `--style NAME` selects it. All other styles are
codes of a style network, and `feedforward` stylizes with them. `SUMMARY` is one line for `videostyle styles`.
"""

from __future__ import annotations

import sys
from types import ModuleType

from videostyle.plugins import available, part
from videostyle.style import Style
from videostyle.types import Stylizer
from videostyle.weights import load_codes

_CODES = "feedforward"


def _modules() -> dict[str, ModuleType]:
    """Return the modules that stylize without a code, by the name of their style."""
    here = sys.modules[__name__]
    modules = [part(here, name) for name in available(here) if name != _CODES]
    return {module.STYLE: module for module in modules if hasattr(module, "STYLE")}


def styles_without_code() -> dict[str, str]:
    """Return the names of the styles that need no code, each with its summary."""
    return {name: getattr(module, "SUMMARY", "") for name, module in sorted(_modules().items())}


def _own_module(style: Style) -> ModuleType | None:
    return _modules().get(style.names[0]) if len(style.names) == 1 else None


def load_stylizer(style: Style, engine: str, device: str) -> Stylizer:
    """Load the stylizer that `style` asks for; `engine` and `device` are those that `videostyle.engines` chose.

    Raises UnknownNameError for a style that is not in the gallery, WeightsError, MissingDependencyError.
    """
    module = _own_module(style) or part(sys.modules[__name__], _CODES)
    stylizer: Stylizer = module.build(style, engine, device)
    return stylizer


def check_style(style: Style) -> None:
    """Raise the error that `load_stylizer` would raise for a style that is not there, without loading an engine."""
    if _own_module(style) is None:
        load_codes(style)
