"""The guide's examples run, by a shell and curl; and SECURITY.md names tests that are there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from media import film, times
from served import Listening, Served

from videostyle.service.plan import ServicePlan

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guide" / "serve.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```sh\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_the_examples_run(
    listen: Callable[..., Listening], tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = listen().address
    film(tmp_path / "film.mp4", 6)
    cv2.imwrite(str(tmp_path / "photo.jpg"), cv2.imread(str(photo)))
    videostyle = tmp_path / "bin" / "videostyle"
    videostyle.parent.mkdir()
    videostyle.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m videostyle "$@"\n')
    videostyle.chmod(0o755)
    where = f"{videostyle.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    for number, text in enumerate(EXAMPLES):
        text = text.replace("http://127.0.0.1:8000", address).replace("great-wave", "dots")
        done = subprocess.run(
            ["sh", "-ec", text], cwd=tmp_path, env={**os.environ, "PATH": where}, capture_output=True, text=True
        )
        assert done.returncode == 0, (number, done.stderr)
        assert '"status":4' not in done.stdout, (number, done.stdout)
    assert cv2.imread(str(tmp_path / "painted.jpg")).shape == (48, 64, 3)
    assert len(times(tmp_path / "painted.mp4")) == 6
    assert {one["name"] for one in json.loads((tmp_path / "styles.json").read_text())["styles"]} >= {"dots"}
    assert (tmp_path / "alice.txt").read_text().startswith("vs_")


def test_the_table_of_threats_names_tests_that_are_there() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \| .* \| (`test_.*`) \|$", text, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    there = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        there |= set(re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert len(rows) >= 20
    assert [name for name in named if name not in there] == []


def test_the_limits_in_the_guide_are_those_of_the_plan(served: Served) -> None:
    plan = ServicePlan
    rows = dict(re.findall(r"^\| (`--max[^|]*`|`--max-storage`[^|]*) \| ([^|]*) \|", GUIDE, re.MULTILINE))
    assert rows["`--max-upload`, `--max-picture`"] == f"{plan.largest // 10**6}, {plan.largest_picture // 10**6} MB"
    assert rows["`--max-pixels`, `--max-minutes`"] == f"{plan.pixels // 10**6} million, {plan.minutes:g}"
    assert rows["`--max-jobs`, `--max-jobs-each`"] == f"{plan.jobs}, {plan.jobs_each}"
    assert rows["`--max-storage`, `--keep`"] == f"{plan.storage // 10**9} GB, {plan.keep / 3600:g} hours"
    assert rows["`--max-learn`"] == f"{plan.learn_minutes:g} minutes"
