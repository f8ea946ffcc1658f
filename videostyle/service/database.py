"""SQLite database of the service, which its processes share: one connection a process, short transactions."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from videostyle.errors import SinkError, too_little

_VERSION = 1
_WAIT = 30.0  # seconds until another process's transaction must have ended

_TABLES = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    client TEXT NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    created REAL NOT NULL,
    started REAL,
    ended REAL,
    expires REAL,
    request TEXT NOT NULL,
    idempotency TEXT,
    digest TEXT NOT NULL,
    worker TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0,
    cancel INTEGER NOT NULL DEFAULT 0,
    progress TEXT NOT NULL DEFAULT '{}',
    error TEXT NOT NULL DEFAULT '',
    result TEXT NOT NULL DEFAULT '{}',
    bytes INTEGER NOT NULL DEFAULT 0,
    UNIQUE (client, idempotency)
);
CREATE INDEX IF NOT EXISTS jobs_by_status ON jobs (status, client);
CREATE TABLE IF NOT EXISTS turns (client TEXT PRIMARY KEY, turn INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, client TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, expires REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS styles (
    id TEXT PRIMARY KEY, client TEXT NOT NULL, name TEXT NOT NULL, network TEXT NOT NULL, created REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL UNIQUE, scopes TEXT NOT NULL,
    created REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS webhooks (
    id TEXT PRIMARY KEY, client TEXT NOT NULL, url TEXT NOT NULL, body TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, not_before REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Database:
    """A connection to the database, for all threads of a process."""

    def __init__(self, path: Path) -> None:
        """Open the database, and create it where there is none; raise SinkError where that fails."""
        self._path = path
        self._lock = threading.RLock()
        try:
            self._connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
            self._connection.row_factory = sqlite3.Row
            # A write is on the disk before its client is answered; readers never wait for a writer.
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            if version not in (0, _VERSION):
                raise SinkError(f"{path}: was written by another version of videostyle; name another --data folder")
            self._connection.executescript(_TABLES)
            self._connection.execute(f"PRAGMA user_version = {_VERSION}")
        except sqlite3.Error as error:
            raise self._error(error) from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction that writes; raise SinkError where that fails, and nothing is written."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
                self._connection.execute("COMMIT")
            except sqlite3.IntegrityError:
                raise
            except sqlite3.Error as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise self._error(error) from error

    def rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        """Return the rows of a query that writes nothing."""
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise self._error(error) from error

    def row(self, query: str, *values: Any) -> sqlite3.Row | None:
        """Return the first row of a query; None if there is none."""
        found = self.rows(query, *values)
        return found[0] if found else None

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    def _error(self, error: sqlite3.Error) -> SinkError:
        return SinkError(f"{self._path.name}: {too_little(error) or f'the queue cannot be used ({error})'}")
