"""Styles that clients may name: the gallery, the operator's own, and each client's own."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

from videostyle.errors import UnknownNameError, UsageError
from videostyle.service.database import Database
from videostyle.service.plan import ServicePlan
from videostyle.service.views import StyleView
from videostyle.stylizers import styles_without_code
from videostyle.weights import GalleryEntry, gallery, own_styles


class Styles:
    """Names of styles, and the files that they stand for."""

    def __init__(self, plan: ServicePlan, database: Database) -> None:
        self._plan, self._database = plan, database

    def listed(self, client: str) -> list[StyleView]:
        """List the styles that a client may name."""
        found = [
            StyleView(
                name=one.name, network=one.network, title=one.title, painter=one.painter, year=one.year, own=False,
                thumbnail=f"/v1/styles/{one.network}/{one.name}/thumbnail" if thumbnail_of(one) is not None else None,
            )
            for one in (*gallery(), *own_styles())
        ]  # fmt: skip
        found += [own_style(row["name"], row["network"]) for row in self._rows(client)]
        found += [
            StyleView(name=name, network="", title=summary, painter="", year="", own=False, thumbnail=None)
            for name, summary in styles_without_code().items()
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

    def remove(self, name: str, network: str, client: str) -> bool:
        """Remove a client's own style; return False if there is none of this name."""
        for row in self._rows(client):
            if (row["name"], row["network"]) == (name, network):
                with self._database.transaction() as connection:
                    connection.execute("DELETE FROM styles WHERE id = ?", (row["id"],))
                for path in self._plan.styles_folder.glob(f"{Path(row['id']).stem}.*"):
                    path.unlink(missing_ok=True)
                return True
        return False

    def thumbnail(self, name: str, network: str, client: str) -> Path | None:
        """Return the picture of a style in the gallery, or the one that a client's own style was made of."""
        for row in self._rows(client):
            if (row["name"], row["network"]) == (name, network):
                path = (self._plan.styles_folder / row["id"]).with_suffix(".jpg")
                return path if path.is_file() else None
        for one in gallery():
            if (one.name, one.network) == (name, network):
                return thumbnail_of(one)
        return None


def own_style(name: str, network: str) -> StyleView:
    """Return a style that a client has made, as that client sees it."""
    picture = f"/v1/styles/{network}/{name}/thumbnail"
    return StyleView(name=name, network=network, title="", painter="", year="", own=True, thumbnail=picture)


def record(connection: sqlite3.Connection, file: str, client: str, name: str, network: str) -> None:
    """Record a style that a client has made, in a transaction."""
    connection.execute(
        "INSERT OR REPLACE INTO styles VALUES (?, ?, ?, ?, ?)", (file, client, name, network, time.time())
    )


def thumbnail_of(style: GalleryEntry) -> Path | None:
    """Return the sample picture beside a style file; None if there is none."""
    path = style.file.with_suffix(".jpg")
    return path if path.is_file() else None
