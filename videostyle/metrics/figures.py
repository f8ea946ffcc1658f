"""Figures that may be missing: nan stands for what could not be measured."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any


def mean(values: Iterable[float]) -> float:
    """Of those that are not nan; nan where there is none."""
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def ratio(part: float, whole: float) -> float:
    """`part` over `whole`; nan where there is no whole."""
    return part / whole if whole > 0 else math.nan


def plain(told: dict[str, Any]) -> dict[str, Any]:
    """As JSON can hold it: None for what is nan, lists for tuples, keys as text."""
    found: dict[str, Any] = json.loads(json.dumps(told), parse_constant=lambda _: None)
    return found
