"""API keys: random, kept as hashes, each with its scopes. And the secrets that webhooks are signed with."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass

from videostyle.errors import UnknownNameError, UsageError
from videostyle.service.database import Database
from videostyle.settings import check_choice

SCOPES = ("read", "paint", "admin")
"""read: jobs, results, styles; paint: also makes and cancels them; admin: also metrics."""
_PREFIX = "vs_"


@dataclass(frozen=True, slots=True)
class Client:
    """A client of the service, by its key; without keys there is one client."""

    id: str
    name: str
    scopes: frozenset[str]


ANYBODY = Client("local", "local", frozenset(SCOPES))
"""The client of a service without keys."""


class Keys:
    """API keys in the database, by their SHA-256: a key has 256 random bits, so it needs no slow hash."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __bool__(self) -> bool:
        return self._database.row("SELECT 1 FROM keys") is not None

    def add(self, name: str, scopes: Iterable[str] = ("read", "paint")) -> str:
        """Make a key, and return it: it is shown once. Raises UsageError for a name that is taken."""
        given = list(dict.fromkeys(scopes))
        for scope in given:
            check_choice("scope", scope, SCOPES)
        if not name.strip() or len(name) > 100 or not name.isprintable():
            raise UsageError("the name of a key must have 1 to 100 printable characters")
        key = f"{_PREFIX}{secrets.token_urlsafe(32)}"
        try:
            with self._database.transaction() as connection:
                connection.execute(
                    "INSERT INTO keys VALUES (?, ?, ?, ?, ?)",
                    (secrets.token_hex(8), name, _hash(key), " ".join(given), time.time()),
                )
        except sqlite3.IntegrityError as error:
            raise UsageError(f"there is a key named {name!r} already; revoke it, or choose another name") from error
        return key

    def revoke(self, name: str) -> None:
        """Remove a key; raise UnknownNameError if there is none of that name."""
        with self._database.transaction() as connection:
            if not connection.execute("DELETE FROM keys WHERE name = ?", (name,)).rowcount:
                names = [row["name"] for row in connection.execute("SELECT name FROM keys")]
                raise UnknownNameError.among("key", name, names)

    def clients(self) -> list[Client]:
        """List the keys' clients, by name."""
        return [_client(row) for row in self._database.rows("SELECT * FROM keys ORDER BY name")]

    def find(self, key: str) -> Client | None:
        """Return the client of a key; None if it is no key of this service."""
        row = self._database.row("SELECT * FROM keys WHERE sha256 = ?", _hash(key))
        return None if row is None else _client(row)

    def webhook_secret(self, client: str) -> str:
        """Return the secret that signs a client's webhooks, in the form of Standard Webhooks."""
        with self._database.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO secrets VALUES ('webhooks', ?)", (secrets.token_hex(32),))
            (root,) = connection.execute("SELECT value FROM secrets WHERE name = 'webhooks'").fetchone()
        own = hmac.digest(bytes.fromhex(root), client.encode(), "sha256")
        return f"whsec_{base64.b64encode(own).decode()}"


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def _client(row: sqlite3.Row) -> Client:
    return Client(row["id"], row["name"], frozenset(row["scopes"].split()))
