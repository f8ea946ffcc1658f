"""A Ray cluster of two nodes, one of which is taken away in the middle of the work."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import media
import pytest
from shots import plan, shots

import videostyle
from videostyle.batch.schedule import run
from videostyle.cli import main
from videostyle.plan import BatchPlan, EncodeOptions

pytestmark = pytest.mark.slow


def test_without_ray_it_says_what_to_install(
    toy_gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    film = shots(tmp_path / "film.mp4")
    argv = ["batch", str(film), "-o", str(tmp_path / "out"), "--style", "dots", "--engine", "ray", "-q"]
    assert main(argv) == 1
    assert "pip install 'videostyle[ray]'" in capsys.readouterr().err


def test_a_lost_node_loses_nothing(toy_gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Ray's workers otherwise stand back behind whatever else the machine does, tests included.
    monkeypatch.setenv("RAY_worker_niceness", "0")
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    film = plan(shots(tmp_path / "film.mp4", (24,) * 8, tone="aac"), tmp_path / "out" / "film.mkv")
    # The head only keeps the books: one of two equal workers can go.
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    here = {"PYTHONPATH": os.pathsep.join(sys.path), "VIDEOSTYLE_MODELS": str(toy_gallery)}
    lost: list[str] = []
    try:
        ray.init(cluster.address, runtime_env={"env_vars": here}, log_to_driver=False)
        journal = tmp_path / "out" / ".videostyle" / "film.mkv" / "journal.jsonl"

        def lose_one() -> None:
            """When both nodes have painted something and are at it again."""
            while not journal.exists() or journal.read_text().count('"segment":') < 2:
                time.sleep(0.05)
            lost.append(journal.read_text())
            cluster.remove_node(nodes[1], allow_graceful=False)

        thread = threading.Thread(target=lose_one, daemon=True)
        thread.start()
        batch = BatchPlan((film,), tmp_path / "out", workers=2, engine="ray", segment=1)
        (result,) = run(batch)
        thread.join(10)
        assert sum(node["Alive"] for node in ray.nodes()) == 2, "the head, and the worker that is left"
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert lost, "the node was there until the end"
    assert lost[0].count('"segment":') < 8
    assert (result.state, result.frames, result.painted, result.segments) == ("painted", 192, 192, (8, 8))
    single = tmp_path / "single.mkv"
    options = EncodeOptions("ffv1")
    videostyle.stylize(film.source, str(single), "dots", encode=options, engine="torch")
    mine, other = media.decode(film.output), media.decode(single)
    assert all(
        s == t and all((p == q).all() for p, q in zip(x, y, strict=True))
        for (s, x), (t, y) in zip(mine, other, strict=True)
    )
    assert media.packets(film.output) == media.packets(single)
