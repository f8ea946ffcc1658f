"""Styles that clients may name: the gallery, the operator's own, and each client's own."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videostyle.errors import UnknownNameError, UsageError
from videostyle.service.database import Database
from videostyle.service.plan import ServicePlan
from videostyle.stylizers import styles_without_code
from videostyle.weights import GalleryEntry, gallery, own_styles


@dataclass(frozen=True, slots=True)
class ListedStyle:
    """A style in the list."""

    name: str
    network: str
    title: str
    painter: str
    year: str
    own: bool
    """True for a style that this client has made."""
    thumbnail: str | None
    """Address of a picture painted in the style; None if there is none."""


class Styles:
    """Names of styles, and the files that they stand for."""

    def __init__(self, plan: ServicePlan, database: Database) -> None:
        self._plan, self._database = plan, database

    def listed(self, client: str) -> list[ListedStyle]:
        """List the styles that a client may name."""
        found = [
            ListedStyle(
                one.name, one.network, one.title, one.painter, one.year, False,
                f"/v1/styles/{one.network}/{one.name}/thumbnail" if thumbnail_of(one) is not None else None,
            )
            for one in (*gallery(), *own_styles())
        ]  # fmt: skip
        found += [ListedStyle(row["name"], row["network"], "", "", "", True, None) for row in self._rows(client)]
        found += [
            ListedStyle(name, "", summary, "", "", False, None) for name, summary in styles_without_code().items()
        ]
        return found

    def _rows(self, client: str) -> Any:
        return self._database.rows("SELECT * FROM styles WHERE client = ? ORDER BY network, name", client)

    def find(self, name: str, network: str, client: str) -> str:
        """Return a style's name, or the file of a client's own, from a job's folder; raise UnknownNameError."""
        own = {row["name"]: row["id"] for row in self._rows(client) if row["network"] == network}
        if name in own:
            return f"./../../{self._plan.styles_folder.name}/{own[name]}"
        known = {one.name for one in (*gallery(), *own_styles()) if one.network == network} | set(styles_without_code())
        if name not in known:
            raise UnknownNameError.among("style", name, [*known, *own])
        return name

    def check_new(self, name: str, network: str, client: str) -> None:
        """Raise UsageError for the name of a new style that is taken."""
        taken = {one.name for one in (*gallery(), *own_styles())} | set(styles_without_code())
        if name in taken or any((row["name"], row["network"]) == (name, network) for row in self._rows(client)):
            raise UsageError(f"there is a style named {name!r} already; choose another name")

    def add(self, file: str, client: str, name: str, network: str) -> None:
        """Record a style that a client has made."""
        with self._database.transaction() as connection:
            record(connection, file, client, name, network)

    def thumbnail(self, name: str, network: str) -> Path | None:
        """Return the picture of a style in the gallery."""
        for one in gallery():
            if (one.name, one.network) == (name, network):
                return thumbnail_of(one)
        return None


def record(connection: sqlite3.Connection, file: str, client: str, name: str, network: str) -> None:
    """Record a style that a client has made, in a transaction."""
    connection.execute(
        "INSERT OR REPLACE INTO styles VALUES (?, ?, ?, ?, ?)", (file, client, name, network, time.time())
    )


def thumbnail_of(style: GalleryEntry) -> Path | None:
    """Return the sample picture beside a style file; None if there is none."""
    path = style.file.with_suffix(".jpg")
    return path if path.is_file() else None
