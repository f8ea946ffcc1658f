"""A process that runs for long does not grow: see benchmarks/endurance.py, whose counts are larger."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "endurance.py"
COUNTS = {"pictures": 150, "films": 60, "pages": 30, "cameras": 50}

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]


@pytest.mark.parametrize("kind", COUNTS)
def test_memory_threads_and_descriptors_stay(toy_gallery: Path, tmp_path: Path, kind: str) -> None:
    if kind == "cameras":
        pytest.importorskip("fastapi")
    told = tmp_path / "told.json"
    counts = [word for name, count in COUNTS.items() for word in (f"--{name}", str(count if name == kind else 0))]
    words = [sys.executable, str(SCRIPT), *counts, "--styles", "dots", "lines", "waves", "--json", str(told)]
    subprocess.run(words, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))})
    found = json.loads(told.read_text(encoding="utf-8"))[kind]
    assert found["times"] == COUNTS[kind]
    assert not found["grown"], found
    assert found["at the end"]["threads"] <= found["after the first fifth"]["threads"] + 2, found


def test_a_busy_server_loses_nothing_and_leaves_nothing(toy_gallery: Path, tmp_path: Path) -> None:
    """Visitors, commands and a kill in the middle: see benchmarks/soak.py, which by default goes on for longer."""
    pytest.importorskip("fastapi")
    told = tmp_path / "told.json"
    words = [sys.executable, str(SCRIPT.with_name("soak.py")), "--minutes", "2", "--style", "dots", "--json", str(told)]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))})
    found = json.loads(told.read_text(encoding="utf-8"))
    assert {kind: errors for kind, (*_, errors) in found["attempts"].items() if errors} == {}
    assert len(found["attempts"]) >= 6
    assert done.returncode == 0
