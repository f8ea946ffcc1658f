"""Stylizers: one module each, with `build(style, engine, device) -> Stylizer`.

A module that declares `STYLE`, a name, is the stylizer of that style: `--style NAME` selects it. All other styles are
codes of a style network, and `feedforward` stylizes with them. `SUMMARY` is one line for `videostyle styles`.
"""

from __future__ import annotations

import sys

from videostyle.plugins import available, declared, load
from videostyle.style import Style
from videostyle.types import Stylizer
from videostyle.weights import load_codes

_CODES = "feedforward"


def _declared() -> dict[str, tuple[str, str]]:
    """Return module and summary of each stylizer that needs no code, by its style's name; import none of them."""
    here = sys.modules[__name__]
    found = {name: declared(here, name) for name in available(here)}
    return {
        declared["STYLE"]: (name, declared.get("SUMMARY", ""))
        for name, declared in found.items()
        if "STYLE" in declared
    }


def styles_without_code() -> dict[str, str]:
    """Return the names of the styles that need no code, each with its summary."""
    return {style: summary for style, (_, summary) in sorted(_declared().items())}


def _module_of(style: Style) -> str:
    found = _declared().get(style.names[0]) if len(style.names) == 1 else None
    return found[0] if found else _CODES


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
