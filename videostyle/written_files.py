"""Record of the files that a program wrote, by which a later run tells them from files of other origin."""

from __future__ import annotations

import json
import os
import stat
import zlib
from pathlib import Path
from typing import NamedTuple

from videostyle.files import AnyPath, read_regular_file


class _Stamp(NamedTuple):
    bytes: int
    mtime_ns: int
    crc32: int


class WrittenFiles:
    """The files of one folder that were written by runs with the record at `path`, a file of JSON lines.

    A file is known by its name and size, and by its modification time or, where that is another one because the folder
    was copied, by its CRC-32. A line is appended just before the file takes its name, so a run that is killed at any
    moment leaves no file without its line. A damaged line is ignored: its file counts as one of other origin.
    """

    def __init__(self, path: AnyPath) -> None:
        """Read the record, if there is one; nothing is created."""
        self._path = Path(path)
        self._known: dict[str, list[_Stamp]] = {}
        try:
            rows = read_regular_file(path).splitlines()
        except OSError:
            rows = []
        for row in rows:
            try:
                line = json.loads(row)
                self._known.setdefault(line["file"], []).append(_Stamp(line["bytes"], line["mtime_ns"], line["crc32"]))
            except (ValueError, TypeError, KeyError, RecursionError):
                continue

    def __contains__(self, path: object) -> bool:
        """Return True if the file at `path` is there, and is one of those that were written."""
        assert isinstance(path, (str, os.PathLike))
        try:
            found = os.stat(path)
            known = [one for one in self._known.get(os.path.basename(path), ()) if one.bytes == found.st_size]
            if not known or not stat.S_ISREG(found.st_mode):
                return False
            if any(one.mtime_ns == found.st_mtime_ns for one in known):
                return True
            crc32 = file_crc32(path)
        except (OSError, ValueError):
            return False
        return any(one.crc32 == crc32 for one in known)

    def add(self, path: AnyPath, partial: AnyPath, *, sync: bool = True) -> None:
        """Record the finished file `partial`, which is about to be renamed to `path`; raise OSError.

        With `sync` the record is flushed to the disk.
        """
        found = os.stat(partial)
        stamp = _Stamp(found.st_size, found.st_mtime_ns, file_crc32(partial))
        name = os.path.basename(path)
        with self._path.open("a", encoding="ascii") as file:
            # A line that a kill has cut off ends here.
            file.write("\n" + json.dumps({"file": name, **stamp._asdict()}) + "\n")
            file.flush()
            if sync:
                os.fsync(file.fileno())
        self._known.setdefault(name, []).append(stamp)


def file_crc32(path: AnyPath) -> int:
    """Compute the CRC-32 of a file."""
    total = 0
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            total = zlib.crc32(block, total)
    return total
