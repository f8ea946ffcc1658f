"""The notebook runs, and shows what is small and of no machine."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "examples" / "painting.ipynb"
TEXT = NOTEBOOK.read_text(encoding="utf-8")


def shown(notebook: Any) -> list[str]:
    """The text that each cell prints, and the kinds of what it displays."""
    found = []
    for cell in notebook["cells"]:
        for one in cell.get("outputs", []):
            found += ["".join(one["text"])] if "text" in one else sorted({*one["data"]} - {"text/plain"})
    return found


def test_it_was_run_and_is_small() -> None:
    notebook = json.loads(TEXT)
    counts = [cell["execution_count"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert len(TEXT) < 300_000
    assert not re.search(r"/(home|root|work|Users|tmp)/", TEXT)
    assert [one for one in shown(notebook) if one.startswith("image/")] == ["image/jpeg"] * 4


@pytest.mark.slow
def test_it_runs_and_shows_the_same() -> None:
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    pytest.importorskip("fastapi")
    spec = importlib.util.spec_from_file_location("make_notebook", ROOT / "scripts" / "make_notebook.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert shown(module.executed(NOTEBOOK)) == shown(json.loads(TEXT))
