"""Ways to paint: one module a stylizer, each with `build(style, engine, device) -> Stylizer`."""

from __future__ import annotations

import sys

from videostyle.plugins import load
from videostyle.style import Style
from videostyle.types import Stylizer


def load_stylizer(style: Style, engine: str, device: str) -> Stylizer:
    """The stylizer that `style` asks for; `engine` and `device` as `videostyle.engines` chose them.

    Raises UnknownNameError for a style that is not in the gallery, WeightsError, MissingDependencyError.
    """
    name = "identity" if style.is_none else "feedforward"
    stylizer: Stylizer = load(sys.modules[__name__], name)(style, engine, device)
    return stylizer
