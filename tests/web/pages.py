"""Helpers of the page's tests: values of its controls, uploads, visitors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from media import film

from videostyle.web.jobs import visitor

if TYPE_CHECKING:
    from videostyle.web.page import Page

CONTROLS = ("dots", "none", 0.5, 1.0, False, 1.0, "fast", 1.0, "the film's own")


def silent(*args: Any, **kwargs: Any) -> None:
    """Do nothing; stands for a progress bar."""


def uploaded(page: Page, name: str = "b c.mp4", count: int = 4) -> str:
    """Upload a film and use it as the visitor; return its path."""
    path = film(page.sessions.uploads.folder / name, count, (64, 48))
    assert page.sessions.uploads.use(page.sessions.uploads.add(path), visitor.get()) == path
    return str(path)


def as_visitor(name: str, function: Callable[..., Any], *args: Any) -> Any:
    """Call `function` as the page of this visitor would."""
    whose = visitor.set(name)
    try:
        return function(*args)
    finally:
        visitor.reset(whose)
