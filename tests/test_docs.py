"""The Python in README.md and docs/api.md runs, and docs/api.md lists every setting."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from media import film

from videostyle.plan import RenderPlan
from videostyle.settings import settings_of

ROOT = Path(__file__).parents[1]


def blocks(name: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name in ("README.md", "docs/api.md") for number in range(len(blocks(name)))]
)
def test_examples_run(name: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    film(tmp_path / "film.mp4", 6, (64, 48))
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    cv2.imwrite("photo.jpg", picture)
    cv2.imwrite("sky.png", picture[..., 0])
    exec(compile(blocks(name)[number], f"{name}, example {number + 1}", "exec"), {})


def test_the_api_page_lists_every_setting() -> None:
    table = (ROOT / "docs/api.md").read_text(encoding="utf-8").partition("## The settings")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", " ".join(cells))) == set(settings_of(RenderPlan))
