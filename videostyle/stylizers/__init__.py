"""Stylizers: one module each, with `build(style, engine, device) -> Stylizer`.

A module that declares `STYLE`, a name, is the stylizer of that style: `--style NAME` selects it. All other styles are
codes of a style network, and `feedforward` stylizes with them. `SUMMARY` is one line for `videostyle styles`.
`PASSES_THROUGH = True` declares that the output is the content bit for bit, so that nothing has to be stabilized.
"""

from __future__ import annotations

import sys
from typing import Any

from videostyle.plugins import available, declared, load
from videostyle.style import Style
from videostyle.types import Stylizer
from videostyle.weights import load_codes

_CODES = "feedforward"


def _declarations() -> dict[str, dict[str, Any]]:
    """Return what each stylizer that needs no code declares, by its style's name; import none of them."""
    here = sys.modules[__name__]
    found = [{**declared(here, name), "module": name} for name in available(here)]
    return {one["STYLE"]: one for one in found if "STYLE" in one}


def _declaration_of(style: Style) -> dict[str, Any]:
    """Return what the stylizer of `style` declares; nothing for a style with a code, or a mixture."""
    return _declarations().get(style.names[0], {}) if len(style.names) == 1 else {}


def styles_without_code() -> dict[str, str]:
    """Return the names of the styles that need no code, each with its summary."""
    return {style: one.get("SUMMARY", "") for style, one in sorted(_declarations().items())}


def passes_through(style: Style) -> bool:
    """Return True if the stylizer of `style` leaves every pixel as it is."""
    return bool(_declaration_of(style).get("PASSES_THROUGH", False))


def _module_of(style: Style) -> str:
    module: str = _declaration_of(style).get("module", _CODES)
    return module


def load_stylizer(style: Style, engine: str, device: str) -> Stylizer:
    """Load the stylizer of `style`; `engine` and `device` are names that `videostyle.engines` has resolved.

    Raises UnknownNameError for a style that is not in the gallery, WeightsError, MissingDependencyError.
    """
    stylizer: Stylizer = load(sys.modules[__name__], _module_of(style))(style, engine, device)
    return stylizer


def check_style(style: Style) -> None:
    """Raise the error that `load_stylizer` would raise for a style that is not there, without loading an engine."""
    if _module_of(style) == _CODES:
        load_codes(style)
