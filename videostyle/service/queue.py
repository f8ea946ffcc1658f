"""Queue of jobs in the database: fair between clients, and nothing in it is lost or done twice after a kill.

A worker holds the lock of a file with its name, which ends with its process. A job whose worker's lock is free goes
back into the queue; its finished segments are on disk, so it goes on where it was.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from videostyle.errors import UsageError
from videostyle.service.database import Database
from videostyle.service.records import Job, Records, Status, job_of

MOST_DEATHS = 3
"""Workers that may die in a row over a job, without a frame of progress, until it fails."""


class FullError(UsageError):
    """The queue, or a client's share of it, is full; `seconds` later there may be room."""

    def __init__(self, message: str, *, everyone: bool, seconds: int = 30) -> None:
        super().__init__(message)
        self.everyone = everyone
        self.seconds = seconds


def new_id(kind: str) -> str:
    """Return an id that cannot be guessed."""
    return f"{kind}_{secrets.token_urlsafe(18)}"


class JobQueue(Records):
    """The jobs of all clients; for any number of processes on one computer."""

    def __init__(
        self,
        database: Database,
        locks: Path,
        *,
        most: int = 5000,
        most_each: int = 500,
        keep: float = 86_400.0,
        on_end: Callable[[sqlite3.Connection, Job], None] = lambda connection, job: None,
    ) -> None:
        """Take the folder of the workers' lock files; `on_end` is called in the transaction that ends a job."""
        super().__init__(database)
        self._locks = locks
        self._most, self._most_each, self._keep = most, most_each, keep
        self._on_end = on_end

    def check_room(self, client: str) -> None:
        """Raise FullError if no more jobs are taken, of this client or of anybody."""
        counts = self.active()
        if sum(counts.values()) >= self._most:
            raise FullError("too many jobs are waiting already; try again later", everyone=True)
        if counts.get(client, 0) >= self._most_each:
            raise FullError(
                f"{self._most_each} of your jobs are waiting or running already; wait until one has ended",
                everyone=False,
            )

    def submit(
        self,
        client: str,
        kind: str,
        request: dict[str, Any],
        digest: str,
        *,
        id: str | None = None,
        idempotency: str | None = None,
        size: int = 0,
    ) -> tuple[Job, bool]:
        """Add a job, and return it and True; or that which came before with the same key, and False.

        `digest` identifies the request, `size` is the bytes of its files. Raises ReusedKeyError and FullError.
        """
        with self._database.transaction() as connection:
            if (before := self.replayed(client, idempotency, digest)) is not None:
                return before, False
            self.check_room(client)
            name = id or new_id("job")
            connection.execute(
                "INSERT INTO jobs (id, client, kind, status, created, request, idempotency, digest, bytes) "
                "VALUES (?, ?, ?, 'starting', ?, ?, ?, ?, ?)",
                (name, client, kind, time.time(), json.dumps(request), idempotency, digest, size),
            )
        job = self.get(name)
        assert job is not None
        return job, True

    def claim(self, worker: str) -> Job | None:
        """Give a worker the next job: of the client who was served the longest time ago, the oldest."""
        if self._database.row("SELECT 1 FROM jobs WHERE status = 'starting' AND not_before <= ?", time.time()) is None:
            return None
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT jobs.* FROM jobs LEFT JOIN turns USING (client) WHERE status = 'starting' AND not_before <= ? "
                "ORDER BY COALESCE(turn, 0), number LIMIT 1",
                (time.time(),),
            ).fetchone()
            if row is None:
                return None
            connection.execute(
                "INSERT OR REPLACE INTO turns VALUES (?, (SELECT COALESCE(MAX(turn), 0) + 1 FROM turns))",
                (row["client"],),
            )
            connection.execute(
                "UPDATE jobs SET status = 'processing', worker = ?, started = COALESCE(started, ?) WHERE id = ?",
                (worker, time.time(), row["id"]),
            )
        return self.get(row["id"])

    def progress(self, job: Job, progress: dict[str, Any], *, advanced: bool) -> bool:
        """Record the progress of a job; return False if it was canceled. `advanced` is True after a frame of it."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE jobs SET progress = ?, attempts = CASE WHEN ? THEN 0 ELSE attempts END "
                "WHERE id = ? AND status = 'processing'",
                (json.dumps(progress), advanced, job.id),
            )
        return not self.is_canceled(job)

    def finish(self, job: Job, result: dict[str, Any], size: int) -> None:
        """Record that a job has succeeded; `size` is the bytes of its files."""
        with self._database.transaction() as connection:
            self._end(connection, job.id, "succeeded", result=result, size=size)

    def fail(self, job: Job, error: str) -> None:
        """Record that a job has failed, and why."""
        with self._database.transaction() as connection:
            self._end(connection, job.id, "failed", error=error)

    def put_back(self, job: Job, *, seconds: float = 0, note: str = "") -> None:
        """Return a job to the queue, for `seconds` later: the disk is full, or the worker ends."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE jobs SET status = 'starting', worker = NULL, not_before = ?, progress = ? "
                "WHERE id = ? AND status = 'processing'",
                (time.time() + seconds, json.dumps({**job.progress, "note": note}), job.id),
            )

    def cancel(self, id: str) -> Job | None:
        """Cancel a job: at once if it waits, else by its worker; one that is over stays as it is."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE jobs SET cancel = 1 WHERE id = ? AND status = 'processing'", (id,))
            waiting = connection.execute("SELECT 1 FROM jobs WHERE id = ? AND status = 'starting'", (id,)).fetchone()
            if waiting is not None:
                self._end(connection, id, "canceled")
        return self.get(id)

    def canceled(self, job: Job) -> None:
        """Record that the worker of a canceled job has stopped."""
        with self._database.transaction() as connection:
            self._end(connection, job.id, "canceled")

    def _end(
        self,
        connection: sqlite3.Connection,
        id: str,
        status: Status,
        *,
        error: str = "",
        result: dict[str, Any] | None = None,
        size: int = 0,
    ) -> None:
        now = time.time()
        done = connection.execute(
            "UPDATE jobs SET status = ?, ended = ?, expires = ?, error = ?, result = ?, bytes = ?, worker = NULL "
            "WHERE id = ? AND status IN ('starting', 'processing')",
            (status, now, now + self._keep, error, json.dumps(result or {}), size, id),
        ).rowcount
        row = connection.execute("SELECT * FROM jobs WHERE id = ?", (id,)).fetchone()
        if done and row is not None:
            self._on_end(connection, job_of(row))

    def lock_of(self, worker: str) -> FileLock:
        """Return the lock that a worker holds while it lives."""
        return FileLock(self._locks / f"{worker}.lock", timeout=0)

    def dead_workers(self) -> list[str]:
        """List the workers that have a job and do not live."""
        rows = self._database.rows("SELECT DISTINCT worker FROM jobs WHERE status = 'processing'")
        return [row["worker"] for row in rows if not _is_held(self.lock_of(row["worker"]))]

    def recover(self, worker: str, *, blame: bool) -> list[str]:
        """Return the jobs of a dead worker to the queue, and their ids.

        With `blame` its death counts: after MOST_DEATHS in a row the job fails. A death together with its supervisor,
        as when the computer is switched off, is not the job's fault.
        """
        recovered = []
        with self._database.transaction() as connection:
            for dead in connection.execute(
                "SELECT * FROM jobs WHERE status = 'processing' AND worker = ?", (worker,)
            ).fetchall():
                recovered.append(dead["id"])
                if dead["cancel"]:
                    self._end(connection, dead["id"], "canceled")
                elif blame and dead["attempts"] + 1 >= MOST_DEATHS:
                    error = f"{MOST_DEATHS} workers in a row died over it; its file may be damaged or too large"
                    self._end(connection, dead["id"], "failed", error=error)
                else:
                    connection.execute(
                        "UPDATE jobs SET status = 'starting', worker = NULL, attempts = attempts + ? WHERE id = ?",
                        (int(blame), dead["id"]),
                    )
        with suppress(OSError):
            (self._locks / f"{worker}.lock").unlink(missing_ok=True)
        return recovered


def _is_held(lock: FileLock) -> bool:
    """Return True if a living process holds a lock."""
    try:
        lock.acquire()
    except Timeout:
        return True
    lock.release()
    return False
