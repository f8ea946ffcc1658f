"""Values of the page's controls, checked, and the render plans that they ask for."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from videostyle.errors import UsageError
from videostyle.io.images import is_picture
from videostyle.plan import RenderPlan
from videostyle.settings import assemble
from videostyle.text import sanitize_line
from videostyle.timeline import Span
from videostyle.weights import gallery, models_folder, own_styles, read_manifest

NONE, OWN_SIZE = "none", "the film's own"
SIZES = ("240", "360", "480", "720", "1080")
SETTINGS = ("strength", "keep_colors", "brush", "network", "stabilize", "size")
"""Settings with a control on the page, in its order; label, range and help are those of their fields."""
LONGEST = 15
"""Greatest length of an excerpt, in seconds."""
# Bytes of a file's name at most.
_LONGEST_NAME = 200


def look(base: RenderPlan, style: str, second: str, share: float, *values: Any) -> RenderPlan:
    """Return the plan for the values of the controls: both styles, the second's share, and those of `SETTINGS`.

    Settings without a control are `base`'s. Raises SettingError.
    """
    share = round(share, 2)
    blend = ((style, 1.0),) if second in (NONE, style) or not share else ((style, round(1 - share, 2)), (second, share))
    chosen = dict(zip(SETTINGS, values, strict=True))
    chosen["size"] = None if chosen["size"] == OWN_SIZE else chosen["size"]
    return assemble(RenderPlan, base, style=blend, **chosen)


def checked_look(base: RenderPlan, values: Sequence[Any]) -> RenderPlan:
    """Return `look` of values that a page sent; raise UsageError for a value that the controls do not offer."""
    style, second, share, *others = values
    network, size = (others[SETTINGS.index(name)] for name in ("network", "size"))
    offered = [*(name for _, name in style_choices()), *base.style.names, NONE]
    for one in (style, second):
        if one not in offered:
            raise UsageError(f"no style named {sanitize_line(one, 80)!r} is offered here")
    if size not in (OWN_SIZE, base.size, *SIZES):
        raise UsageError(f"{sanitize_line(size, 80)!r} is no size that is offered here")
    if network not in [*read_manifest(models_folder())[0], base.style.network]:
        raise UsageError(f"no network named {sanitize_line(network, 80)!r} is offered here")
    weight = checked_number("the share", share)
    if not 0 <= weight <= 1:
        raise UsageError("the share of the second painting is between 0 and 1")
    return look(base, style, second, weight, *others)


def excerpt_span(film: str, start: object, seconds: object) -> Span:
    """Return the span of an excerpt, all of a picture; raise UsageError if it is too long or begins before the film."""
    begin, length = checked_number("the beginning", start), checked_number("the length", seconds)
    if begin < 0 or not 0 < length <= LONGEST:
        raise UsageError(f"an excerpt begins in the film and lasts {LONGEST} seconds at most")
    if is_picture(film):
        return Span()
    first = Fraction(str(round(begin, 2)))
    return Span(first, first + Fraction(str(round(length, 2))))


def style_choices() -> list[tuple[str, str]]:
    """Return the title of each style, for people, and its name for `--style`; each name once."""
    entries = {entry.name: entry for entry in (*gallery(), *own_styles())}
    return [(", ".join(filter(None, (one.title, one.painter))) or one.name, one.name) for one in entries.values()]


def checked_number(what: str, value: object) -> float:
    """Return a number that a page sent, which need not be one that its control gives; raise UsageError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"{what} is no number: {sanitize_line(value, 80)!r}")
    return float(value)


def checked_file_name(name: object) -> str:
    """Return a plain file name that a page sent, or ""; raise UsageError for anything else."""
    if not isinstance(name, str):
        raise UsageError("the name of the painted film is no text")
    if Path(name).name != name or name.startswith(".") or sanitize_line(name, _LONGEST_NAME) != name:
        raise UsageError(
            f"{sanitize_line(name, 80)}: is not a plain file name; the folder was chosen when the page was started"
        )
    if len(os.fsencode(name)) > _LONGEST_NAME:
        raise UsageError(f"{sanitize_line(name, 80)}: is too long for a file; {_LONGEST_NAME} letters are allowed")
    return name
