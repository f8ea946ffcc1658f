"""A Ray cluster of two nodes, one of which is taken away in the middle of the work."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import media
import pytest
from shots import plan, shots

import videostyle
from videostyle.batch.plan import BatchPlan
from videostyle.batch.schedule import run
from videostyle.cli import main
from videostyle.plan import EncodeOptions

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")]


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for child in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1] == str(pid):
                found.append(int(child))
    return found


def opened(pid: int) -> list[str]:
    """The files that a process has open."""
    found = []
    for number in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found.append(os.readlink(number))
    return found


def test_without_ray_it_says_what_to_install(
    toy_gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    film = shots(tmp_path / "film.mp4")
    argv = ["batch", str(film), "-o", str(tmp_path / "out"), "--style", "dots", "--executor", "ray", "-q"]
    assert main(argv) == 1
    assert "pip install ray" in capsys.readouterr().err


def test_a_lost_node_loses_nothing(toy_gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Ray's workers otherwise stand back behind whatever else the machine does, tests included.
    monkeypatch.setenv("RAY_worker_niceness", "0")
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    film = plan(shots(tmp_path / "film.mp4", (40,) * 8, tone="aac"), tmp_path / "out" / "film.mkv")
    # The head only keeps the books: one of two equal workers can go.
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    here = {"PYTHONPATH": os.pathsep.join(sys.path), "VIDEOSTYLE_MODELS": str(toy_gallery)}
    lost: list[str] = []
    done: list[str] = []
    try:
        ray.init(cluster.address, runtime_env={"env_vars": here}, log_to_driver=False)
        journal = tmp_path / "out" / ".videostyle" / "film.mkv" / "journal.jsonl"

        def lose_one() -> None:
            """Kill a node in the middle of a segment, when others are done, with all of its processes."""
            raylet = nodes[1].all_processes["raylet"][0].process.pid
            while True:
                time.sleep(0.02)
                for worker in children(raylet) if journal.exists() and '"segment":' in journal.read_text() else ():
                    os.kill(worker, signal.SIGSTOP)
                    if unfinished := [path for path in opened(worker) if ".partial" in path]:
                        cluster.remove_node(nodes[1], allow_graceful=False)
                        os.kill(worker, signal.SIGKILL)
                        lost.extend(unfinished)
                        done.append(journal.read_text())
                        return
                    os.kill(worker, signal.SIGCONT)

        thread = threading.Thread(target=lose_one, daemon=True)
        thread.start()
        batch = BatchPlan((film,), tmp_path / "out", workers=2, executor="ray", segment=1)
        (result,) = run(batch)
        thread.join(10)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert lost, "the node was there until the end"
    # The segment that it was at has been painted, elsewhere.
    number = int(Path(lost[0]).name.lstrip(".")[:6])
    assert f'"segment": {number},' not in done[0]
    assert journal.read_text().count(f'"segment": {number},') == 1
    assert {path.name for path in journal.parent.iterdir()} == {"journal.jsonl", "written.jsonl"}
    assert (result.state, result.frames, result.painted, result.segments) == ("painted", 320, 320, (8, 8))
    single = tmp_path / "single.mkv"
    options = EncodeOptions("ffv1")
    videostyle.stylize(film.source, str(single), "dots", encode=options, engine="torch")
    mine, other = media.decode(film.output), media.decode(single)
    assert all(
        s == t and all((p == q).all() for p, q in zip(x, y, strict=True))
        for (s, x), (t, y) in zip(mine, other, strict=True)
    )
    assert media.packets(film.output) == media.packets(single)
