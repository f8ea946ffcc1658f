"""Paints nothing: for measuring what decoding and encoding do to a film."""

from __future__ import annotations

from torch import Tensor

from videostyle.style import Style
from videostyle.types import ALONE, Moment, Stylizer

STYLE, SUMMARY = "none", "leaves the film as it is"


class Identity:
    """Returns what it is given."""

    recurrent = False

    def __call__(self, content: Tensor, moment: Moment = ALONE) -> Tensor:
        return content

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """That of the picture."""
        return height, width


def build(style: Style, engine: str, device: str) -> Stylizer:
    """`engine` and `device` play no part."""
    return Identity()
