"""Numbers that may be missing: nan stands for a value that could not be measured."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any


def mean(values: Iterable[float]) -> float:
    """Average the values that are not nan; returns nan if there are none."""
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def ratio(part: float, whole: float) -> float:
    """Divide `part` by `whole`; returns nan unless `whole` is positive."""
    return part / whole if whole > 0 else math.nan


def to_plain(data: dict[str, Any]) -> dict[str, Any]:
    """Convert to data that JSON can represent: None for nan, lists for tuples, keys as text."""
    plain: dict[str, Any] = json.loads(json.dumps(data), parse_constant=lambda _: None)
    return plain
