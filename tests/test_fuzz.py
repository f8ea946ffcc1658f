"""Films and pictures damaged at random: no traceback, no hang, nothing left behind, the source as it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzzed import PATIENCE, SEEDS, mutate, paint

_MUTANTS = 100
"""Of each format."""


def paint_mutants(kind: str, first: int, count: int, folder: Path, models: Path) -> list[str]:
    """What went wrong, one line each; a mutant that ends the process is one of them, and the next goes on."""
    script = Path(__file__).with_name("fuzzed.py")
    surroundings = {**os.environ, "VIDEOSTYLE_MODELS": str(models), "OMP_NUM_THREADS": "1", "CI": "true"}
    surroundings["PYTHONPATH"] = os.pathsep.join([str(script.parents[1]), os.environ.get("PYTHONPATH", "")])
    wrong: list[str] = []
    end = first + count
    while first < end:
        command = [sys.executable, str(script), kind, str(first), str(end - first), str(folder)]
        ran = subprocess.run(command, capture_output=True, text=True, errors="replace", env=surroundings, check=False)
        reports = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
        for report in reports:
            if report.get("wrong"):
                wrong.append(f"{kind} {report['number']}: {report['wrong']} {report['said']}")
        if ran.returncode == 0:
            return wrong
        assert reports, ran.stderr[-4000:]
        first = reports[-1]["number"] + 1
        wrong.append(f"{kind} {first - 1}: ended with {ran.returncode}, or took {PATIENCE} s: {ran.stderr[-4000:]}")
        for path in (folder / "work").iterdir():
            path.unlink()
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("kind", SEEDS)
def test_however_a_file_is_damaged_it_is_painted_or_refused_in_a_line(
    tmp_path: Path, toy_models: Path, kind: str
) -> None:
    wrong = paint_mutants(kind, 0, _MUTANTS, tmp_path, toy_models)
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("kind", ["mp4", "ts", "webp", "tif"])
def test_some_damaged_files(tmp_path: Path, toy_gallery: Path, kind: str) -> None:
    seed = tmp_path / f"seed.{kind}"
    SEEDS[kind](seed)
    work = tmp_path / "work"
    work.mkdir()
    for number in range(1000, 1004):
        source = work / f"source.{kind}"
        source.write_bytes(mutate(seed.read_bytes(), f"{kind} {number}"))
        found = paint(source, work / "painted.mp4")
        assert not found["wrong"], (number, found)


def test_a_mutant_is_made_from_its_number_alone() -> None:
    whole = bytes(range(256)) * 20
    assert mutate(whole, "mp4 1") == mutate(whole, "mp4 1") != mutate(whole, "mp4 2")
