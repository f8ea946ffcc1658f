"""Jobs in the database: what is known of them, how many there are, and which have expired."""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import dataclass
from typing import Any, Literal

from videostyle.errors import UsageError
from videostyle.service.database import Database

Status = Literal["starting", "processing", "succeeded", "failed", "canceled"]
ACTIVE = ("starting", "processing")


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is in the database."""

    id: str
    client: str
    kind: str
    """Kind of work: film (a picture, too) or style."""
    status: Status
    created: float
    started: float | None
    ended: float | None
    expires: float | None
    request: dict[str, Any]
    progress: dict[str, Any]
    error: str
    result: dict[str, Any]
    attempts: int
    cancel: bool

    @property
    def is_over(self) -> bool:
        """True if nothing changes any more."""
        return self.status not in ACTIVE


def job_of(row: sqlite3.Row) -> Job:
    """Return the job of a row of the table."""
    return Job(
        id=row["id"],
        client=row["client"],
        kind=row["kind"],
        status=row["status"],
        created=row["created"],
        started=row["started"],
        ended=row["ended"],
        expires=row["expires"],
        request=json.loads(row["request"]),
        progress=json.loads(row["progress"]),
        error=row["error"],
        result=json.loads(row["result"]) | ({"expired": True} if row["bytes"] < 0 else {}),
        attempts=row["attempts"],
        cancel=bool(row["cancel"]),
    )


class ReusedKeyError(UsageError):
    """An idempotency key that came with another request before."""


class Records:
    """The jobs of all clients, over or not."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, id: str, client: str | None = None) -> Job | None:
        """Return a job; None if there is none, or it is not this client's (None is any)."""
        row = self._database.row("SELECT * FROM jobs WHERE id = ? AND ? IN (client, '')", id, client or "")
        return None if row is None else job_of(row)

    def jobs_of(self, client: str, limit: int = 100, before: str | None = None) -> list[Job]:
        """List a client's jobs, the newest first: up to `limit`, those submitted before the job `before`."""
        return [
            job_of(row)
            for row in self._database.rows(
                "SELECT * FROM jobs WHERE client = ? "
                "AND (? IS NULL OR number < (SELECT number FROM jobs WHERE id = ?)) ORDER BY number DESC LIMIT ?",
                client, before, before, limit,
            )
        ]  # fmt: skip

    def ahead(self, job: Job) -> int | None:
        """Return the number of jobs, of all clients, that were submitted before one that waits; None if it does not."""
        row = self._database.row(
            "SELECT COUNT(*) AS n FROM jobs WHERE status IN ('starting', 'processing') "
            "AND number < (SELECT number FROM jobs WHERE id = ?)",
            job.id,
        )
        return int(row["n"]) if row is not None and job.status == "starting" else None

    def expired(self) -> list[Job]:
        """List the jobs whose files have expired."""
        rows = self._database.rows("SELECT * FROM jobs WHERE expires < ? AND bytes >= 0", time.time())
        return [job_of(row) for row in rows]

    def forget(self, job: Job, *, entirely: bool) -> None:
        """Record that the files of a job are removed; `entirely` removes the job, too."""
        with self._database.transaction() as connection:
            if entirely:
                connection.execute("DELETE FROM jobs WHERE id = ?", (job.id,))
            else:
                connection.execute("UPDATE jobs SET bytes = -1 WHERE id = ?", (job.id,))

    def ids(self) -> set[str]:
        """Return the ids of all jobs."""
        return {row["id"] for row in self._database.rows("SELECT id FROM jobs")}

    def total_bytes(self) -> int:
        """Return the bytes of all files of jobs, as far as they are known."""
        row = self._database.row("SELECT COALESCE(SUM(MAX(bytes, 0)), 0) AS n FROM jobs")
        return int(row["n"]) if row is not None else 0

    def counts(self) -> dict[str, int]:
        """Return the number of jobs in each status."""
        rows = self._database.rows("SELECT status, COUNT(*) AS n FROM jobs GROUP BY status")
        return {status: 0 for status in (*ACTIVE, "succeeded", "failed", "canceled")} | {
            row["status"]: row["n"] for row in rows
        }

    def longest_wait(self) -> float:
        """Return the seconds since the oldest waiting job was submitted."""
        row = self._database.row("SELECT MIN(created) AS t FROM jobs WHERE status = 'starting'")
        return max(time.time() - row["t"], 0.0) if row is not None and row["t"] is not None else 0.0

    def is_canceled(self, job: Job) -> bool:
        """Return True if a job was canceled, or removed."""
        row = self._database.row("SELECT cancel FROM jobs WHERE id = ?", job.id)
        return row is None or bool(row["cancel"])

    def active(self) -> dict[str, int]:
        """Return the number of jobs of each client that wait or run."""
        rows = self._database.rows(
            "SELECT client, COUNT(*) AS n FROM jobs WHERE status IN ('starting', 'processing') GROUP BY client"
        )
        return {row["client"]: row["n"] for row in rows}

    def replayed(self, client: str, idempotency: str | None, digest: str | None) -> Job | None:
        """Return the job that a client has submitted with this key; raise ReusedKeyError if it was another request.

        `digest` None does not compare.
        """
        if idempotency is None:
            return None
        row = self._database.row("SELECT * FROM jobs WHERE client = ? AND idempotency = ?", client, idempotency)
        if row is None:
            return None
        if digest is not None and row["digest"] != digest:
            raise ReusedKeyError("this Idempotency-Key came with another request before; use a new one")
        return job_of(row)
