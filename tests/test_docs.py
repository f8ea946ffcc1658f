"""Examples in the docs run, links lead somewhere, and figures are those that the benchmarks wrote."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from media import film

from videostyle import engines, stabilize
from videostyle.batch import segments
from videostyle.engines import openvino
from videostyle.export import export_style
from videostyle.live import ladder
from videostyle.live.plan import LivePlan
from videostyle.nets import style_network
from videostyle.nets.style_network import macs_per_pixel
from videostyle.plan import RenderPlan
from videostyle.settings import settings_of
from videostyle.stylizers import feedforward
from videostyle.weights import load_network

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks(name: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


EXAMPLES = ("README.md", "docs/api.md", "docs/guide/export.md")


@pytest.mark.parametrize(
    ("name", "number"),
    [
        (name, number)
        for name in ("README.md", "docs/api.md", "docs/guide/export.md")
        for number in range(len(blocks(name)))
    ],
)
def test_examples_run(name: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    film(tmp_path / "film.mp4", 6, (64, 48))
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    cv2.imwrite("photo.jpg", picture)
    cv2.imwrite("sky.png", picture[..., 0])
    if "wave.onnx" in blocks(name)[number]:
        pytest.importorskip("onnxruntime")
        export_style("great-wave", "wave.onnx")
    exec(compile(blocks(name)[number], f"{name}, example {number + 1}", "exec"), {})


def test_the_api_page_lists_every_setting() -> None:
    table = (ROOT / "docs/api.md").read_text(encoding="utf-8").partition("## The settings")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", " ".join(cells))) == set(settings_of(RenderPlan))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_the_readme_is_short_and_its_table_is_measured() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    measured = json.loads((ROOT / "benchmarks/results/speed.json").read_text(encoding="utf-8"))["networks"]
    rows = re.findall(
        r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) fps \| ([\d.]+) fps \| ([\d.]+) fps \| (\d+) MB", text, re.MULTILINE
    )
    assert {name: [float(one) for one in figures] for name, *figures in rows} == {
        name: list(row.values()) for name, row in measured.items()
    }
    for name, row in measured.items():
        net = load_network(name).net
        assert row["thousand multiply-adds a pixel"] == round(macs_per_pixel(net.architecture) / 1000, 1)


BESIDE_ONNX = json.loads((ROOT / "benchmarks/results/engines.json").read_text(encoding="utf-8"))["beside onnx"]
QUOTED: list[tuple[str, str, float]] = [
    ("docs/guide/export.md", r"without bfloat16\) ([\d.]+) and torch", BESIDE_ONNX["openvino"]),
    ("docs/guide/export.md", r"and torch ([\d.]+) times as long", BESIDE_ONNX["torch"]),
    ("docs/architecture.md", r"darker than ([\d.]+) of white", feedforward.LIT),
    ("docs/architecture.md", r"and below ([\d.]+) the output is the film", feedforward.BLACK),
    ("docs/architecture.md", r"stylizes at most (\d+) lines", feedforward.GALLERY_SIDE),
    ("docs/architecture.md", r"time constant (\d+) s", feedforward.TIME_CONSTANT),
    ("docs/architecture.md", r"new one \(at most ([\d.]+)\s+of it\)", style_network.GATE_CAP),
    ("docs/architecture.md", r"visitor \((\d+) at most\)", engines.CACHE_SIZE),
    ("docs/architecture.md", r"for a size \((\d+)\s+sizes", openvino.CACHE_SIZE),
    ("docs/architecture.md", r"and (\d+) million pixels together", openvino.CACHE_PIXELS / 1e6),
    ("docs/architecture.md", r"up to (\d+)\s+frames later", stabilize.WINDOW),
    ("docs/guide/batch.md", r"Shots of more than (\d+) frames", segments.LONGEST),
    ("docs/guide/live.md", r"never below (\d+) lines", ladder.FEWEST_LINES),
    ("docs/guide/live.md", r"`--fps` \((\d+)\)", LivePlan.fps),
    ("docs/guide/train.md", r"open \(([\d.]+) where", round(0.95 / (1 + math.exp(-style_network.GATE_START)), 2)),
    ("README.md", r"Films of more than (\d+) lines", feedforward.GALLERY_SIDE),
]


@pytest.mark.parametrize(("page", "words", "value"), QUOTED, ids=[words for _, words, _ in QUOTED])
def test_figures_in_the_docs_are_those_of_the_code(page: str, words: str, value: float) -> None:
    found = re.search(words, (ROOT / page).read_text(encoding="utf-8"))
    assert found is not None
    assert float(found[1]) == value
