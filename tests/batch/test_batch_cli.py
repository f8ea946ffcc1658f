"""The command, with its own processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import media
import pytest
from command import failing, told
from shots import shots

from videostyle.batch.executors import load_executor
from videostyle.batch.plan import BatchPlan
from videostyle.batch.tasks import ScanTask
from videostyle.cli import main
from videostyle.plan import RenderPlan


@pytest.fixture
def films(toy_gallery: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    shots(folder / "a.mp4", tone="aac")
    (folder / "broken.mov").write_bytes(b"no film")
    return folder


def test_a_folder_in_two_styles(films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    argv = ["batch", str(films), "-o", str(out), "--style", "dots", "--style", "waves", "--segment", "8"]
    argv += ["--workers", "2", "--engine", "torch"]
    assert main([*argv, "--status"]) == 1
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[:4] for row in rows[1:3]] == [["a.mp4", "dots", "0/28", "0"], ["a.mp4", "waves", "0/28", "0"]]
    assert main([*argv, "--json"]) == 1
    captured = capsys.readouterr()
    results = {Path(one["output"]).name: one for one in map(json.loads, captured.out.splitlines())}
    assert {name: (one["state"], one["frames"]) for name, one in results.items()} == {
        "a-dots.mp4": ("painted", 28), "a-waves.mp4": ("painted", 28),
        "broken-dots.mov": ("failed", 0), "broken-waves.mov": ("failed", 0),
    }  # fmt: skip
    assert results["a-dots.mp4"]["segments"] == [2, 2]
    assert "broken.mov: is not a film" in captured.err
    assert "Traceback" not in captured.err
    assert len(media.times(out / "a-dots.mp4")) == 28
    assert media.packets(out / "a-dots.mp4") == media.packets(films / "a.mp4")
    # Once more: nothing is to be done but to fail again.
    assert main(argv) == 1
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["film", "style", "frames", "fps", "warnings", "output"]
    assert table[1].split()[:3] == ["a.mp4", "dots", "28"]
    assert "failed:" in table[3]


def test_a_job_list(films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = tmp_path / "jobs.toml"
    jobs.write_text('[[jobs]]\nsource = "films/a.mp4"\nstyles = ["none"]\nname = "{style}/{stem}.mkv"\n')
    assert main(["batch", str(jobs), "-o", str(tmp_path / "out"), "-q", "--workers", "1"]) == 0
    assert len(media.times(tmp_path / "out" / "none" / "a.mkv")) == 28
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("argv", "status", "message"),
    [
        (["{films}"], 2, "give --style"),
        (["{films}/*.avi", "--style", "dots"], 1, "no file matches"),
        (["{films}", "--style", "dots", "--workers", "0"], 2, "workers must be at least 1"),
        (["{films}", "--style", "dots", "--segment", "0"], 2, "segment must be at least 1"),
        (["{films}", "--style", "dots", "--retries", "-1"], 2, "retries must not be negative"),
        (["{films}", "--style", "dots", "--name", "{{stem}}.mp4", "--style", "waves"], 2, "is the output of both"),
        (["{films}", "--style", "dots", "--name", "{{painter}}.mp4"], 2, "no field {painter}"),
        (["no.toml"], 1, "no.toml: cannot be read"),
    ],
)
def test_mistakes_are_told_in_one_line(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: list[str], status: int, message: str
) -> None:
    given = [word.format(films=films) for word in argv]
    code, text = failing(capsys, "batch", "-o", str(tmp_path / "out"), *given)
    assert code == status
    assert message in told(text)
    assert len(told(text).splitlines()) == 1


def test_a_worker_that_dies_takes_only_its_task_with_it(films: Path, tmp_path: Path) -> None:
    plan = RenderPlan(str(films / "a.mp4"), str(tmp_path / "out.mp4"))
    with load_executor(BatchPlan((plan,), tmp_path, workers=1)) as executor:
        executor.submit("first", ScanTask(plan))
        (worker,) = executor._pool._processes.values()  # type: ignore[attr-defined]
        worker.kill()
        results = {}
        while not results:
            results = dict(executor.finished(1))
        assert "its worker died" in results["first"]["error"]
        executor.submit("again", ScanTask(plan))
        results = {}
        while not results:
            results = dict(executor.finished(1))
        assert results["again"]["frames"] == 28


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL"])
def test_workers_end_with_their_master(films: Path, tmp_path: Path, how: str) -> None:
    out = tmp_path / "out"
    argv = [sys.executable, "-m", "videostyle", "batch", str(films / "a.mp4"), "-o", str(out), "--style", "dots"]
    process = subprocess.Popen([*argv, "--workers", "1", "-q"], stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(600):
            workers = _children(process.pid)
            if len(workers) >= 2:  # the worker, and multiprocessing's own keeper of resources
                break
            time.sleep(0.1)
        process.send_signal(getattr(signal, how))
        _, err = process.communicate(timeout=60)
        if how == "SIGINT":
            assert process.returncode == 130
            assert "give the same command again to go on" in err
        for _ in range(300):
            if not any(_alive(worker) for worker in workers):
                break
            time.sleep(0.1)
        assert not any(_alive(worker) for worker in workers)
    finally:
        process.kill()
        process.wait()


def _children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [child for child in map(int, filter(str.isdigit, os.listdir("/proc"))) if _stat(child)[1:2] == [str(pid)]]


def _alive(pid: int) -> bool:
    return _stat(pid)[:1] not in ([], ["Z"])


def _stat(pid: int) -> list[str]:
    """State, parent and so on, as Linux tells them; nothing of a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
