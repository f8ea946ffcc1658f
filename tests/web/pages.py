"""Helpers of the page's tests: values of its controls, uploads, visitors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from videostyle.web.jobs import visitor

if TYPE_CHECKING:
    pass

CONTROLS = ("dots", "none", 0.5, 1.0, False, 1.0, "fast", 1.0, "the film's own")


def silent(*args: Any, **kwargs: Any) -> None:
    """Do nothing; stands for a progress bar."""


def as_visitor(name: str, function: Callable[..., Any], *args: Any) -> Any:
    """Call `function` as the page of this visitor would."""
    whose = visitor.set(name)
    try:
        return function(*args)
    finally:
        visitor.reset(whose)
