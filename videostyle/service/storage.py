"""Files of clients on disk: uploads that may be resumed, folders of jobs; bounded by bytes and age."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from videostyle.errors import SinkError, UsageError
from videostyle.files import make_folder, sink_error
from videostyle.service.database import Database
from videostyle.service.objects import Objects
from videostyle.service.plan import ServicePlan
from videostyle.service.queue import JobQueue, new_id
from videostyle.service.schema import check_name
from videostyle.text import sanitize_line

LEAST_FREE = 200 * 2**20
"""Bytes of the disk that stay free."""
THUMBNAIL = "thumbnail.jpg"
"""Name of the small copy of a frame in the folder of a job."""
_BLOCK = 1 << 20
_LOOK = 3600.0  # seconds between two looks for objects of no job


class BusyError(UsageError):
    """An upload that another request is writing at this moment."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload, complete or not."""

    id: str
    client: str
    name: str
    size: int
    expires: float
    path: Path

    @property
    def offset(self) -> int:
        """Number of bytes that have arrived: those in the file, so that a kill loses none of them."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    @property
    def is_complete(self) -> bool:
        """True if every byte is there."""
        return self.offset == self.size


class Storage:
    """Uploads and the folders of jobs, in the data folder."""

    def __init__(self, plan: ServicePlan, database: Database, queue: JobQueue) -> None:
        self._plan, self._database, self._queue = plan, database, queue
        self.objects = Objects(plan.objects) if plan.objects else None
        self._strays: set[str] = set()
        """Jobs that have objects and were not known at the last look."""
        self._next_look = 0.0

    def check_room(self, size: int) -> None:
        """Raise SinkError if `size` more bytes would be too many for the service or for the disk."""
        row = self._database.row("SELECT COALESCE(SUM(size), 0) AS n FROM uploads")
        used = self._queue.total_bytes() + (int(row["n"]) if row is not None else 0)
        if used + size > self._plan.storage:
            raise SinkError("the service's storage is used up; fetch and delete your results, or try again later")
        if shutil.disk_usage(self._plan.shared).free < size + LEAST_FREE:
            raise SinkError("the service's disk is full; try again later")

    # Uploads

    def create(self, client: str, name: str, size: int) -> Upload:
        """Reserve room for an upload; raise UsageError for a name or size that is not allowed, SinkError."""
        check_name(name)
        if not 0 < size <= self._plan.largest:
            raise UsageError(f"an upload may have 1 to {self._plan.largest} bytes, not {size}")
        self.check_room(size)
        upload = Upload(new_id("upload"), client, clean_name(name), size, self._expiry(), Path())
        self._record(upload)
        found = self.find(upload.id, client)
        assert found is not None
        try:
            found.path.touch()
        except OSError as error:
            self.remove(found)
            raise sink_error(found.name, error) from error
        return found

    def _expiry(self) -> float:
        return time.time() + self._plan.keep

    def _record(self, upload: Upload) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO uploads VALUES (?, ?, ?, ?, ?)",
                (upload.id, upload.client, upload.name, upload.size, upload.expires),
            )

    def adopt(self, client: str, path: Path) -> Upload:
        """Return an upload that is a link to a file of this computer; raise UsageError, SinkError."""
        check_name(path.name)
        upload = Upload(new_id("upload"), client, clean_name(path.name), path.stat().st_size, self._expiry(), Path())
        linked = self._plan.uploads_folder / f"{upload.id}{check_name(upload.name)}"
        try:
            linked.symlink_to(path)
        except OSError as error:
            raise sink_error(upload.name, error) from error
        self._record(upload)
        return replace(upload, path=linked)

    def find(self, id: str, client: str) -> Upload | None:
        """Return a client's upload; None if there is none of this id, or it has expired."""
        row = self._database.row("SELECT * FROM uploads WHERE id = ? AND client = ?", id, client)
        if row is None or row["expires"] < time.time():
            return None
        path = self._plan.uploads_folder / f"{row['id']}{check_name(row['name'])}"
        return Upload(row["id"], client, row["name"], row["size"], row["expires"], path)

    def count(self, client: str) -> int:
        """Return the number of a client's uploads."""
        row = self._database.row("SELECT COUNT(*) AS n FROM uploads WHERE client = ?", client)
        return int(row["n"]) if row is not None else 0

    @contextmanager
    def locked(self, upload: Upload) -> Iterator[None]:
        """Hold the lock of an upload; raise BusyError if another request writes it."""
        lock = FileLock(self._plan.uploads_folder / f"{upload.id}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise BusyError("another request is writing this upload; ask for its offset again") from error
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def writing(self, upload: Upload) -> Iterator[BinaryIO]:
        """Open an upload to append to it; raise BusyError if another request writes it, SinkError."""
        with self.locked(upload):
            try:
                with upload.path.open("ab") as file:
                    yield file
            except OSError as error:
                if isinstance(error, SinkError):
                    raise
                raise sink_error(upload.name, error) from error

    def take(self, id: str, client: str) -> Upload:
        """Return a complete upload; raise UsageError if there is none of this id, or bytes of it are missing."""
        found = self.find(id, client)
        if found is None:
            raise UsageError("there is no upload of this id; it may have expired")
        if not found.is_complete:
            raise UsageError(f"the upload has {found.offset} of {found.size} bytes; send the others first")
        return found

    def remove(self, upload: Upload) -> None:
        """Remove an upload."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM uploads WHERE id = ?", (upload.id,))
        for path in (upload.path, self._plan.uploads_folder / f"{upload.id}.lock"):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    # Jobs

    def new_job(self) -> tuple[str, Path]:
        """Make the folder of a new job, and return the job's id and the folder."""
        name = new_id("job")
        make_folder(self.job_folder(name))
        return name, self.job_folder(name)

    def job_folder(self, id: str) -> Path:
        """Return the folder of a job."""
        return self._plan.jobs_folder / id

    def remove_job(self, id: str) -> None:
        """Remove the files of a job; raise StorageError."""
        shutil.rmtree(self.job_folder(id), ignore_errors=True)
        if self.objects is not None:
            self.objects.remove(id)

    def put_away(self, id: str) -> None:
        """Move the files of a new job into the object store, if there is one, until a worker takes it; StorageError."""
        if self.objects is not None:
            self.objects.put_folder(id, self.job_folder(id))
            shutil.rmtree(self.job_folder(id), ignore_errors=True)

    def sweep(self) -> None:
        """Remove what has expired: results, unused uploads, folders without a job; and jobs that nobody needs."""
        now = time.time()
        for row in self._database.rows("SELECT id, client, expires FROM uploads WHERE expires < ?", now):
            for path in self._plan.uploads_folder.glob(f"{row['id']}.*"):
                path.unlink(missing_ok=True)
            with self._database.transaction() as connection:
                connection.execute("DELETE FROM uploads WHERE id = ?", (row["id"],))
        for job in self._queue.expired():
            self.remove_job(job.id)
            self._queue.forget(job, entirely=False)
        for row in self._database.rows(
            "SELECT id FROM jobs WHERE bytes < 0 AND expires < ?", now - 7 * self._plan.keep
        ):
            if (job_found := self._queue.get(row["id"])) is not None:
                self._queue.forget(job_found, entirely=True)
        if self.objects is not None and now > self._next_look:
            self._next_look = now + _LOOK
            # The files of a job are there a moment before its record.
            unknown = self.objects.jobs() - self._queue.ids()
            for id in unknown & self._strays:
                self.objects.remove(id)
            self._strays = unknown
        known = self._queue.ids()
        for folder in (self._plan.jobs_folder, self._plan.temporary):
            for path in folder.iterdir():
                # A folder is made a moment before its job is recorded.
                with suppress(OSError):
                    if path.name not in known and now - path.stat().st_mtime > max(3600.0, self._plan.picture_seconds):
                        shutil.rmtree(path) if path.is_dir() else path.unlink()


def clean_name(name: str) -> str:
    """Return the last part of a client's file name, printable and not long."""
    return sanitize_line(os.path.basename(name.replace("\\", "/")), 1000)[-120:].lstrip(".") or "file"


def move_or_copy(source: Path, target: Path) -> None:
    """Link a file under another name, or copy it; raise SinkError."""
    try:
        try:
            os.link(source.resolve(), target)  # of a link, the file
        except OSError:
            shutil.copyfile(source, target)
    except OSError as error:
        raise sink_error(target.name, error) from error


def receive(file: BinaryIO, target: Path) -> str:
    """Copy an uploaded file that has arrived to `target`, onto the disk, and return its SHA-256; raise SinkError."""
    digest = hashlib.sha256()
    try:
        with target.open("xb") as out:
            while block := file.read(_BLOCK):
                digest.update(block)
                out.write(block)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        with suppress(OSError):
            target.unlink(missing_ok=True)
        raise sink_error(target.name, error) from error
    return digest.hexdigest()


def folder_bytes(folder: Path) -> int:
    """Return the bytes of the files in a folder and its subfolders."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file():
                total += path.stat().st_size
    return total
