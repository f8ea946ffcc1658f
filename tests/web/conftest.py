"""Fixtures of the page's tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from media import film

from videostyle.plan import RenderPlan
from videostyle.style import Style

if TYPE_CHECKING:
    from videostyle.web.page import Page


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A folder with one film in it."""
    folder = tmp_path / "films"
    folder.mkdir()
    film(folder / "a.mp4", 12, (64, 48))
    return folder.resolve()


@pytest.fixture
def page(toy_gallery: Path, tmp_path: Path, films: Path) -> Page:
    pytest.importorskip("gradio")
    from videostyle.web.jobs import JobQueue
    from videostyle.web.page import Page
    from videostyle.web.page_files import Settings

    work = tmp_path / "work"
    (work / "media").mkdir(parents=True)
    base = RenderPlan("", "", style=Style((("dots", 1.0),)), engine="torch")
    return Page(Settings(base, work.resolve(), str(films / "a.mp4")), JobQueue())
