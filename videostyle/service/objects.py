"""Files of jobs in an object store (S3 and its like, by fsspec), so that the disk holds running jobs only.

A job's files have the keys PREFIX/jobs/ID/NAME, as in its folder. A record in the database follows the files that it
names, so an object that is only half there is never handed out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from videostyle.errors import MissingDependencyError, SinkError, UsageError

_BLOCK = 1 << 20


class StorageError(SinkError):
    """The object store does not answer, or refuses; another try may succeed."""


class Objects:
    """The files of jobs below an address such as s3://bucket/prefix."""

    def __init__(self, address: str) -> None:
        """Connect to the store; raise UsageError for an address of no known kind, StorageError if it cannot be used."""
        if not re.match(r"[a-z][a-z0-9+]*://", address):
            raise UsageError("--storage must be an address such as s3://bucket/prefix")
        try:
            from fsspec.core import url_to_fs

            with _translated():
                self._files, self._root = url_to_fs(address, use_listings_cache=False)
        except ImportError as error:
            needed = "fsspec" if error.name == "fsspec" else f"what fsspec needs for {address.partition(':')[0]}"
            raise MissingDependencyError(f"--storage needs {needed}: pip install fsspec s3fs ({error})") from error
        except ValueError as error:
            raise UsageError(f"--storage: {error}") from error
        self._root = self._root.rstrip("/")

    def _key(self, job: str, name: str = "") -> str:
        return f"{self._root}/jobs/{job}" + (f"/{name}" if name else "")

    def put_folder(self, job: str, folder: Path) -> None:
        """Store every file of a job's folder; raise StorageError."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(job, path.relative_to(folder).as_posix(), path)

    def put(self, job: str, name: str, path: Path) -> None:
        """Store a file of a job; raise StorageError."""
        with _translated():
            self._files.makedirs(self._key(job, name).rpartition("/")[0], exist_ok=True)
            self._files.put_file(str(path), self._key(job, name))

    def fetch(self, job: str, folder: Path) -> None:
        """Bring the files of a job that its folder lacks; raise StorageError."""
        folder.mkdir(parents=True, exist_ok=True)
        with _translated():
            for key in self._files.find(self._key(job)):
                target = folder / key.partition(f"/jobs/{job}/")[2]
                if not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    partial = target.with_name(f".{target.name}.partial")
                    self._files.get_file(key, str(partial))
                    partial.replace(target)

    def size(self, job: str, name: str) -> int | None:
        """Return the bytes of a file of a job; None if there is none; raise StorageError."""
        with _translated():
            try:
                return int(self._files.size(self._key(job, name)))
            except FileNotFoundError:
                return None

    def read(self, job: str, name: str, start: int, end: int) -> Iterator[bytes]:
        """Yield a file of a job from byte `start` to before `end`; raise StorageError."""
        with _translated(), self._files.open(self._key(job, name), "rb", block_size=_BLOCK) as file:
            file.seek(start)
            while start < end and (block := file.read(min(_BLOCK, end - start))):
                start += len(block)
                yield block

    def remove(self, job: str) -> None:
        """Remove the files of a job; raise StorageError."""
        with _translated(), suppress(FileNotFoundError):
            self._files.rm(self._key(job), recursive=True)

    def jobs(self) -> set[str]:
        """List the jobs that have files; raise StorageError."""
        with _translated():
            try:
                folders = self._files.ls(f"{self._root}/jobs", detail=False)
            except FileNotFoundError:
                folders = []
        return {one.rstrip("/").rpartition("/")[2] for one in folders}


@contextmanager
def _translated() -> Iterator[None]:
    """Raise what a store's library raises as StorageError, without its address."""
    try:
        yield
    except (ImportError, ValueError, FileNotFoundError, SinkError):
        raise
    except Exception as error:  # each store has errors of its own
        raise StorageError(f"the service's storage cannot be used ({type(error).__name__}); try again later") from error


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """Return the begin and end of a header such as `Range: bytes=0-99`; None for all of the file."""
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", header)
    if found is None or int(found[1]) >= size:
        return None
    return int(found[1]), min(int(found[2]) + 1, size) if found[2] else size


def described(start: int, end: int, size: int, name: str, disposition: str) -> dict[str, str]:
    """Return the headers of an answer with a part of a file."""
    headers = {"Content-Length": str(end - start), "Accept-Ranges": "bytes", "Content-Disposition": disposition}
    if name:
        headers["Content-Disposition"] += f"; filename*=utf-8''{quote(name)}"
    return headers | ({"Content-Range": f"bytes {start}-{end - 1}/{size}"} if end - start < size else {})
