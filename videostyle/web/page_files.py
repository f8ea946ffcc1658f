"""Settings of a page, and the files that it reads and writes by them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from videostyle.errors import UsageError
from videostyle.hosting.limits import check_upload
from videostyle.io.images import is_picture
from videostyle.plan import RenderPlan
from videostyle.text import sanitize_line
from videostyle.web.allowed_files import file_key, list_films, real_path, resolve_allowed
from videostyle.web.storage import Uploads


@dataclass(frozen=True, slots=True)
class Settings:
    """Folders of a page's films and outputs, and its limits."""

    base: RenderPlan
    """Initial values of the controls, and the settings that have no control."""
    work: Path
    """Temporary folder of uploads and excerpts; films to be downloaded are in its subfolder media."""
    folders: tuple[Path, ...] = ()
    """Folders whose films may be opened."""
    output: Path | None = None
    """Folder of the stylized films; None is the film's own folder, and the current folder for uploads."""
    film: str | None = None
    """The one film of this page; None lets films be chosen."""
    named: str | None = None
    """The film as it was named when the page was started, for the command."""
    at: float | None = None
    """Start of the excerpt, in seconds; None chooses it."""
    seconds: float = 4.0
    minutes: float = 60.0
    """The longest upload."""
    largest: int = 0
    """The largest upload, in bytes; 0 allows none."""


class PageFiles:
    """The films that a page may open, its uploads, and the folders of its outputs."""

    def __init__(self, settings: Settings, uploads: Uploads) -> None:
        self._settings = settings
        self._uploads = uploads

    @property
    def folders(self) -> list[Path]:
        """Folders that the page's messages must not show."""
        output = [] if self._settings.output is None else [self._settings.output.absolute()]
        film = [] if self._settings.film is None else [Path(self._settings.film).parent]
        return [self._settings.work, *self._settings.folders, *output, *film]

    def choices(self) -> list[tuple[str, str]]:
        """Return the films and pictures in the folders: their names for people, and their keys for the page."""
        return [(sanitize_line(Path(path).name), file_key(path)) for path in list_films(self._settings.folders)]

    def is_upload(self, film: str) -> bool:
        """Return True for a file in the page's own folder."""
        return Path(film).is_relative_to(self._settings.work.resolve())

    def output_folder(self, film: str) -> Path:
        """Return the folder in which the stylized film is written."""
        return self._settings.output or (Path.cwd() if self.is_upload(film) else Path(film).parent)

    def resolve(self, path: str) -> str:
        """Return the file that a page names: its own film, one of the list or of the folders, or an upload.

        Raises UsageError for any other file.
        """
        if path == self._settings.film:
            return path
        if self._settings.film is not None:
            raise UsageError("this page shows one film only")
        path = {file_key(one): one for one in list_films(self._settings.folders)}.get(path, path)
        real = real_path(path)
        if not self.is_upload(str(real)):
            return str(resolve_allowed(path, self._settings.folders))
        self._check_is_upload(real)
        resolve_allowed(real, [self._settings.work])
        check_upload(real, self._settings.minutes)
        return str(real)

    def resolve_painting(self, path: str) -> Path:
        """Return the uploaded picture of a painting to learn; raise UsageError if it is none, or too large."""
        picture = real_path(path)
        self._check_is_upload(picture)
        if is_picture(str(picture)):
            check_upload(picture, self._settings.minutes)
        return picture

    def is_painting(self, path: str) -> bool:
        """Return True for an uploaded picture, which may be a style."""
        return is_picture(path) and self._uploads.is_one(real_path(path))

    def _check_is_upload(self, path: Path) -> None:
        if not self._uploads.is_one(path):
            raise UsageError(f"{path.name}: was not uploaded here, or is not here any more; upload it again")
