"""Stages are done once for the same settings, resumed where that is possible, and done again for others."""

from __future__ import annotations

from pathlib import Path

import pytest

from videostyle.errors import UsageError
from videostyle.stages import recorded, run_stage


class Work:
    """Writes a file, after which it may be interrupted, and counts what it saw."""

    def __init__(self) -> None:
        self.found: list[list[str]] = []
        self.is_interrupted = False

    def __call__(self, folder: Path) -> None:
        self.found.append(sorted(one.name for one in folder.iterdir() if one.suffix == ".png"))
        (folder / f"{len(self.found)}.png").write_bytes(b"")
        if self.is_interrupted:
            raise KeyboardInterrupt


def test_the_same_settings_are_not_worked_on_twice(tmp_path: Path) -> None:
    work = Work()
    for size in ((3, 4), (3, 4), (5, 6)):  # JSON has lists for tuples
        run_stage(tmp_path / "stage", {"size": size, "file": Path("a.png")}, work)
    assert work.found == [[], []]
    assert recorded(tmp_path / "stage") == {"settings": {"size": [5, 6], "file": "a.png"}, "done": True}


@pytest.mark.parametrize(("resumable", "found"), [(True, ["1.png"]), (False, [])])
def test_an_incomplete_stage(tmp_path: Path, resumable: bool, found: list[str]) -> None:
    work, folder = Work(), tmp_path / "stage"
    work.is_interrupted = True
    with pytest.raises(KeyboardInterrupt):
        run_stage(folder, {"size": 3}, work, resumable=resumable)
    work.is_interrupted = False
    run_stage(folder, {"size": 3}, work, resumable=resumable)
    assert work.found == [[], found]


def test_a_damaged_record_begins_anew_and_keeps_the_lock(tmp_path: Path) -> None:
    work = Work()
    (tmp_path / "lock").write_bytes(b"")
    run_stage(tmp_path, {"size": 3}, work)
    (tmp_path / "settings.json").write_text("[1, 2")
    run_stage(tmp_path, {"size": 3}, work)
    assert work.found == [[], []]
    assert (tmp_path / "lock").exists()


def test_a_folder_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="contains files that this command did not make"):
        run_stage(tmp_path, {}, Work())
    assert [one.name for one in tmp_path.iterdir()] == ["letter.txt"]
