"""Webhooks: messages to clients' addresses when jobs end, signed and repeated as Standard Webhooks says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import sqlite3
import time
from typing import Any

from videostyle.errors import VideostyleError
from videostyle.service.database import Database
from videostyle.service.keys import Keys
from videostyle.service.outbound import Outbound
from videostyle.service.queue import new_id

log = logging.getLogger(__name__)

RETRIES = (5, 300, 1800, 7200, 18_000, 36_000, 50_400)
"""Seconds between two tries to deliver a message; after the last it is dropped."""


def signature(secret: str, id: str, timestamp: int, body: bytes) -> str:
    """Return the header `webhook-signature` of a message."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.digest(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(signed).decode()}"


def enqueue(connection: sqlite3.Connection, client: str, url: str, content: dict[str, Any]) -> None:
    """Add a message, in the transaction that ends its job."""
    body = json.dumps(content, separators=(",", ":"))
    connection.execute(
        "INSERT INTO webhooks (id, client, url, body, not_before) VALUES (?, ?, ?, ?, ?)",
        (new_id("msg"), client, url, body, time.time()),
    )


class Webhooks:
    """Delivers the messages in the database."""

    def __init__(self, database: Database, keys: Keys, outbound: Outbound) -> None:
        self._database, self._keys, self._outbound = database, keys, outbound

    def deliver(self) -> int:
        """Try to deliver one message that is due; return 0 if there is none."""
        now = time.time()
        if self._database.row("SELECT 1 FROM webhooks WHERE not_before <= ?", now) is None:
            return 0
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT * FROM webhooks WHERE not_before <= ? ORDER BY not_before LIMIT 1", (now,)
            ).fetchone()
            if row is None:
                return 0
            # Due again if this process is killed in between: a message may arrive twice, under one id.
            wait = RETRIES[min(row["attempts"], len(RETRIES) - 1)]
            connection.execute(
                "UPDATE webhooks SET attempts = attempts + 1, not_before = ? WHERE id = ?", (now + wait, row["id"])
            )
        if self._send(row) or row["attempts"] >= len(RETRIES):
            with self._database.transaction() as connection:
                connection.execute("DELETE FROM webhooks WHERE id = ?", (row["id"],))
        return 1

    def _send(self, row: sqlite3.Row) -> bool:
        """Send a message; return True if its receiver took it."""
        body, now = row["body"].encode(), int(time.time())
        headers = {
            "content-type": "application/json",
            "webhook-id": row["id"],
            "webhook-timestamp": str(now),
            "webhook-signature": signature(self._keys.webhook_secret(row["client"]), row["id"], now, body),
        }
        try:
            with self._outbound.request("POST", row["url"], body, headers) as response:
                if 200 <= response.status < 300:
                    return True
                log.warning(f"webhook {row['id']}: answered {response.status}")
                return response.status == 410
        except VideostyleError as error:
            log.warning(f"webhook {row['id']}: {error}")
        return False
