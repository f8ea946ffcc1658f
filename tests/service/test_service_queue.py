"""The queue: fair, and true after its worker or its API was killed."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from media import film, times
from served import Served

from videostyle.batch import schedule, tasks
from videostyle.errors import SinkError
from videostyle.service import queue as queues
from videostyle.service.core import Service
from videostyle.service.database import Database
from videostyle.service.plan import ServicePlan
from videostyle.service.queue import FullError, JobQueue
from videostyle.service.records import Job, ReusedKeyError
from videostyle.service.worker import Worker


@pytest.fixture
def queue(tmp_path: Path) -> JobQueue:
    (tmp_path / "locks").mkdir()
    return JobQueue(Database(tmp_path / "q.sqlite"), tmp_path / "locks", most=6, most_each=4)


def submit(queue: JobQueue, client: str, **more: Any) -> Job:
    return queue.submit(client, "film", {}, "digest", **more)[0]


def claim(queue: JobQueue, worker: str = "w") -> Job:
    found = queue.claim(worker)
    assert found is not None
    return found


def test_clients_take_turns(queue: JobQueue) -> None:
    for client in ("a", "a", "a", "b", "b", "c"):
        submit(queue, client)
    assert [claim(queue).client for _ in range(6)] == ["a", "b", "c", "a", "b", "a"]
    assert queue.claim("w") is None


def test_a_client_and_the_service_have_limits(queue: JobQueue) -> None:
    for _ in range(4):
        submit(queue, "a")
    with pytest.raises(FullError, match="4 of your jobs") as mine:
        submit(queue, "a")
    assert not mine.value.everyone
    for _ in range(2):
        submit(queue, "b")
    with pytest.raises(FullError, match="too many jobs are waiting") as all_full:
        submit(queue, "c")
    assert all_full.value.everyone
    queue.cancel(claim(queue).id)
    assert len(queue.jobs_of("a")) == 4


def test_a_key_stands_for_one_request_of_one_client(queue: JobQueue) -> None:
    first = submit(queue, "a", idempotency="k")
    assert submit(queue, "a", idempotency="k").id == first.id
    assert submit(queue, "b", idempotency="k").id != first.id
    with pytest.raises(ReusedKeyError):
        queue.submit("a", "film", {}, "other", idempotency="k")


def test_a_dead_workers_job_goes_back_and_a_living_ones_stays(queue: JobQueue, tmp_path: Path) -> None:
    submit(queue, "a")
    submit(queue, "a")
    dead, alive = claim(queue, "dead"), claim(queue, "alive")
    lock = queue.lock_of("alive")
    lock.acquire()
    # The database of another process sees the same.
    other = JobQueue(Database(tmp_path / "q.sqlite"), tmp_path / "locks")
    assert other.dead_workers() == ["dead"]
    assert other.recover("dead", blame=False) == [dead.id]
    assert other.dead_workers() == []
    assert [queue.get(one.id).status for one in (dead, alive)] == ["starting", "processing"]  # type: ignore[union-attr]
    lock.release()
    assert other.dead_workers() == ["alive"]


def test_a_job_that_kills_its_workers_fails_and_one_that_advances_does_not(queue: JobQueue) -> None:
    bad = submit(queue, "a")
    for _ in range(queues.MOST_DEATHS):
        assert claim(queue, "x").id == bad.id
        queue.recover("x", blame=True)
    found = queue.get(bad.id)
    assert found is not None
    assert (found.status, found.error[:14]) == ("failed", "3 workers in a")
    good = submit(queue, "a")
    for turn in range(2 * queues.MOST_DEATHS):
        queue.progress(claim(queue, "x"), {"done": turn}, advanced=True)
        queue.recover("x", blame=True)
    # A worker that dies together with its supervisor is not the job's fault.
    for _ in range(2 * queues.MOST_DEATHS):
        assert claim(queue, "x").id == good.id
        queue.recover("x", blame=False)
    assert queue.get(good.id).status == "starting"  # type: ignore[union-attr]


def test_a_canceled_job_of_a_dead_worker_is_canceled(queue: JobQueue) -> None:
    job = submit(queue, "a")
    claim(queue, "x")
    queue.cancel(job.id)
    assert queue.get(job.id).status == "processing"  # type: ignore[union-attr]
    queue.recover("x", blame=True)
    assert queue.get(job.id).status == "canceled"  # type: ignore[union-attr]


def test_a_full_disk_is_a_line(queue: JobQueue, tmp_path: Path) -> None:
    job = submit(queue, "a")
    database = Database(tmp_path / "q.sqlite")
    database._connection.execute("PRAGMA max_page_count = 1")

    def fill() -> None:
        with database.transaction() as connection:
            for _ in range(100):
                connection.execute("INSERT INTO secrets VALUES (hex(randomblob(2000)), '')")

    with pytest.raises(SinkError, match="the disk is full; free some space"):
        fill()
    assert queue.get(job.id) is not None


def test_a_database_of_another_version_is_not_touched(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "q.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(SinkError, match="another version of videostyle"):
        Database(tmp_path / "q.sqlite")


def test_a_film_goes_on_at_its_segments(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker is killed while it records the end of a film: the next finds the film, and paints nothing again."""
    job = served.submit(film(tmp_path / "in.mp4", 6), style="dots")
    queue = served.service.queue
    runs = []
    run = schedule.run

    def counted(*args: Any, **more: Any) -> Any:
        found = run(*args, **more)
        runs.extend(one.state for one in found)
        return found

    monkeypatch.setattr(schedule, "run", counted)
    worker = Worker(served.plan, queue, lambda: False)
    claimed = queue.claim(worker.name)
    assert claimed is not None

    def killed(*args: Any) -> None:
        raise GeneratorExit

    with monkeypatch.context() as patch:
        patch.setattr(queue, "finish", killed)
        with pytest.raises(GeneratorExit):
            worker.carry_out(claimed)
    assert served.get(job["urls"]["self"]).json()["status"] == "processing"
    assert queue.recover(worker.name, blame=True) == [job["id"]]
    served.work()
    assert runs == ["painted", "was painted"]
    (tmp_path / "out.mp4").write_bytes(served.get(f"{job['urls']['self']}/result").content)
    assert len(times(tmp_path / "out.mp4")) == 6


def test_a_stopped_worker_puts_its_job_back(served: Served, tmp_path: Path) -> None:
    job = served.submit(film(tmp_path / "in.mp4", 6), style="dots")
    queue = served.service.queue
    worker = Worker(served.plan, queue, lambda: True)
    claimed = queue.claim(worker.name)
    assert claimed is not None
    worker.carry_out(claimed)
    found = queue.get(job["id"])
    assert found is not None
    assert (found.status, found.attempts) == ("starting", 0)


def full(*args: Any, **more: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def nearly_full(path: object) -> Any:
    return shutil._ntuple_diskusage(10**12, 10**12, 10**6)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("where", "what", "fails"),
    [(tasks, "_paint", full), (tasks, "_join", full), (tasks, "_whole", full), (shutil, "disk_usage", nearly_full)],
    ids=["painting", "joining", "whole", "before"],
)
def test_a_full_disk_postpones_a_job(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: Any, what: str, fails: Callable[..., Any]
) -> None:
    """Wherever in the work of a job it is found full."""
    if what == "_whole":
        path = tmp_path / "in.png"
        cv2.imwrite(str(path), np.zeros((48, 64, 3), np.uint8))
    else:
        path = film(tmp_path / "in.mp4", 6)
    job = served.submit(path, style="dots")
    with monkeypatch.context() as patch:
        patch.setattr(where, what, fails)
        served.work()
    found = served.get(job["urls"]["self"]).json()
    assert (found["status"], found["progress"]["note"]) == (
        "starting",
        "the service's disk is full; it goes on later",
    ), found["error"]
    with served.service.database.transaction() as connection:
        connection.execute("UPDATE jobs SET not_before = 0")
    served.work()
    assert served.get(job["urls"]["self"]).json()["status"] == "succeeded"


@pytest.mark.parametrize("method", ["finish", "fail"])
def test_the_end_of_a_job_is_recorded_as_soon_as_the_queue_has_room(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr("videostyle.service.worker._POLL", 0.01)
    job = served.submit(film(tmp_path / "in.mp4", 6), style="dots")
    if method == "fail":
        monkeypatch.setattr(schedule, "run", lambda *args, **more: 1 / 0)
    queue = served.service.queue
    record, tries = getattr(queue, method), iter(range(3))

    def once_there_is_room(*args: Any) -> None:
        if next(tries) < 2:
            raise SinkError("service.sqlite: the disk is full; free some space")
        record(*args)

    monkeypatch.setattr(queue, method, once_there_is_room)
    served.work()
    assert served.get(job["urls"]["self"]).json()["status"] == ("failed" if method == "fail" else "succeeded")


def test_a_restarted_service_knows_its_jobs(serve: Callable[..., Served], tmp_path: Path) -> None:
    first = serve()
    job = first.submit(film(tmp_path / "in.mp4", 6), style="dots")
    first.close()
    again = Service(ServicePlan(tmp_path / "data", workers=0))
    found = again.queue.get(job["id"])
    assert found is not None
    assert found.status == "starting"
    again.database.close()
