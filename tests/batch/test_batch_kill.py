"""Killed outright, again and again: the films are the same."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import media
import pytest
from shots import shots

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def test_killed_three_times_three_films_in_two_styles_are_right(toy_gallery: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "films", tmp_path / "out"
    folder.mkdir()
    lengths = {"a": (60, 40, 80, 70, 50), "b": (90, 60, 30, 100), "c": (50, 50, 50, 50, 50, 50)}
    for name, shot_lengths in lengths.items():
        shots(folder / f"{name}.mp4", shot_lengths, tone="aac")
    argv = [sys.executable, "-m", "videostyle", "batch", str(folder), "-o", str(out), "--style", "dots"]
    argv += ["--style", "waves", "--codec", "ffv1", "--name", "{stem}-{style}.mkv", "--segment", "30", "-q"]
    argv += ["--workers", "2"]
    rng = random.Random(6)
    kept = 0
    for _ in range(3):
        process = subprocess.Popen(argv)
        # Somewhere in the middle of it: after some more segments are done, and some time.
        goal = kept + rng.randint(1, 5)
        while process.poll() is None and kept < goal:
            time.sleep(0.02)
            kept = len(done(out))
        time.sleep(rng.random())
        process.kill()
        process.wait()
        kept = len(done(out))
    assert 3 <= kept < 30, "killed too late to show anything"
    lines = {path: path.read_text() for path in out.rglob("journal.jsonl")}
    subprocess.run(argv, check=True)
    for path, text in lines.items():
        assert path.read_text().startswith(text[: text.rfind("\n") + 1]), "what was noted was not gone on with"
    segments = done(out)
    assert len(segments) == len(set(segments)), "painted twice"
    for name, shot_lengths in lengths.items():
        for style in ("dots", "waves"):
            noted = sum(frames for film, _, frames in segments if film == f"{name}-{style}.mkv")
            assert noted == sum(shot_lengths), "missing, or painted twice"
            single = tmp_path / f"{name}-{style}.mkv"
            paint = ["-m", "videostyle", "stylize", str(folder / f"{name}.mp4"), "-o", str(single), "--style", style]
            # A network rounds otherwise when more cores share its work: by a step of 255, here and there.
            subprocess.run([sys.executable, *paint, "--codec", "ffv1", "-q"], check=True, preexec_fn=keep_to_a_share)
            mine, other = media.decode(out / f"{name}-{style}.mkv"), media.decode(single)
            assert all(
                s == t and all((p == q).all() for p, q in zip(x, y, strict=True))
                for (s, x), (t, y) in zip(mine, other, strict=True)
            )
            assert media.packets(out / f"{name}-{style}.mkv") == media.packets(single)


def keep_to_a_share() -> None:
    """Use as many cores as one of two workers does."""
    if hasattr(os, "sched_getaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[: max(len(cores) // 2, 1)])


def done(out: Path) -> list[tuple[str, int, int]]:
    """Film, segment and frames of every line that says a segment is done."""
    found = []
    for path in out.rglob("journal.jsonl"):
        for line in path.read_text().splitlines(keepends=True):
            result = json.loads(line) if line.endswith("\n") else {}
            if "segment" in result:
                found.append((path.parent.name, result["segment"], result["painted"]))
    return found
