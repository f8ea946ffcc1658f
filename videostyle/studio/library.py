"""Films and pictures of this computer that the studio may open, and the folder that it may save to."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import videostyle
from videostyle.errors import SinkError, UsageError
from videostyle.files import sink_error
from videostyle.partial_files import PartialFile
from videostyle.service.schema import READABLE

_LONGEST_LIST = 500
"""Files in the list at most; a longer one is of no help in choosing."""
SAMPLE = "harbour.mp4"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that may be opened."""

    key: str
    """Name under which a page asks for it: a page never sees a path."""
    path: Path
    is_sample: bool
    is_first: bool
    """True for the file that was named when the studio was started."""


class Library:
    """The sample film, a film that was named, and what is in the folders, not in their subfolders."""

    def __init__(
        self,
        folders: Sequence[Path] = (),
        first: Path | None = None,
        output: Path | None = None,
        style: str = "great-wave",
    ) -> None:
        self.output = output
        """Folder that results may be saved to; None offers them as downloads only."""
        self.style = style
        self._folders = [real_path(one) for one in folders]
        self._first = first

    def entries(self) -> list[Entry]:
        """List the files; links that lead outside of the folders are left out."""
        found = [] if self._first is None else [_entry(self._first, is_first=True)]
        for folder in self._folders:
            try:
                paths = sorted(folder.iterdir())
            except OSError:
                continue  # removed, or closed to us, since the studio was started
            found += [_entry(path) for path in paths if self._is_allowed(path)]
        sample = sample_film()
        listed = list(islice(found, _LONGEST_LIST))
        return listed if sample is None else [*listed, _entry(sample, is_sample=True)]

    def find(self, key: str) -> Path:
        """Return the file of a key, every link followed; raise UsageError if there is none."""
        for entry in self.entries():
            if entry.key == key:
                return real_path(entry.path)
        raise UsageError("this file is not there any more, or is in no folder that the studio may open")

    def _is_allowed(self, path: Path) -> bool:
        # Unlike Path.is_file, this raises for no link, wherever it leads.
        if path.suffix.lower() not in READABLE or path.name.startswith(".") or not os.path.isfile(path):
            return False
        return any(real_path(path).is_relative_to(folder) for folder in self._folders)

    def save(self, result: Path, name: str, *, overwrite: bool) -> str:
        """Copy a result into the output folder, and return its name there; raise UsageError, SinkError."""
        if self.output is None:
            raise UsageError("this studio saves to no folder; start it with -o FOLDER, or download the result")
        target = self.output / name
        file = PartialFile(target, overwrite=overwrite, sources=[entry.path for entry in self.entries()])
        try:
            shutil.copyfile(result, file.claim())
            file.commit()
        except SinkError:
            raise
        except OSError as error:
            raise sink_error(target, error) from error
        finally:
            file.discard()
        return name


def _entry(path: Path, *, is_sample: bool = False, is_first: bool = False) -> Entry:
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:24]
    return Entry(digest, path, is_sample, is_first)


def real_path(path: Path) -> Path:
    """Follow every link and ..; unlike `Path.resolve`, which before Python 3.13 raises for links that go round."""
    return Path(os.path.realpath(path))


def sample_film() -> Path | None:
    """Return the sample film, of the installed package or of a checkout; None if it is not there."""
    package = Path(videostyle.__file__).parent
    for folder in (package / "samples", package.parent / "samples"):
        if (folder / SAMPLE).is_file():
            return folder / SAMPLE
    return None
