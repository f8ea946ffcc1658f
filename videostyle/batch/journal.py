"""What is done of one film, on disk: JSON lines, each for good once written; a kill loses the line it cuts off."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from videostyle.batch.plan import Segment
from videostyle.errors import SinkError
from videostyle.files import make_folder
from videostyle.io.images import is_pattern
from videostyle.plan import RenderPlan

# Raise it when the same plan comes to be painted differently: what older versions left is then not gone on with.
VERSION = 1

_Count = Annotated[int, Field(ge=0)]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Line(BaseModel):
    """A line of a journal, of one of the four kinds below."""

    # A text is no number, and no number a text.
    model_config = ConfigDict(strict=True)


class _Begun(_Line):
    plan: str
    source: str
    output: str


class _Split(_Line):
    segments: list[Segment]
    warnings: list[str]


class _Work(_Line):
    """What was told of work that is done."""

    frames: _Count
    painted: _Count
    seconds: _Seconds
    warnings: list[str]


class _Painted(_Work):
    segment: _Count
    file: Annotated[str, Field(pattern=r"^\d{6}\.\w+$")]
    bytes: _Count


class _Whole(_Work):
    bytes: _Count | None


class _Finished(_Line):
    film: _Whole


_LINES: TypeAdapter[_Begun | _Split | _Painted | _Finished] = TypeAdapter(_Begun | _Split | _Painted | _Finished)


class Journal:
    """The folder in which one film is made, and its journal.

    A segment is done when its file bears its final name and its line is written; the film, when it bears its own name
    and a line says so. Whoever writes holds the lock on the whole output folder.
    """

    def __init__(self, folder: Path, plan: RenderPlan) -> None:
        """Reads what is there, and touches nothing."""
        self.folder = folder
        self.plan = plan
        self.segments: tuple[Segment, ...] | None = None
        """None until the film is split."""
        self.done: dict[int, dict[str, Any]] = {}
        """What was told of each segment that is done, by number."""
        self.film: dict[str, Any] | None = None
        """What was told of the whole film, once it is done."""
        self.warnings: list[str] = []
        """Of the film as it was read."""
        self.begun = False
        """True where what stands under the film's name can only be ours."""
        self.stale = False
        """True where the folder holds what was done by another plan, or of another state of the files it names."""
        self.damage = ""
        """What is wrong with the journal, in a line, where it cannot be read: the film cannot be gone on with."""
        self._path = folder / "journal.jsonl"
        self._mark = fingerprint(plan)
        try:
            self._read(self._lines())
        except SinkError as error:
            self.damage = str(error)

    def part(self, number: int, suffix: str) -> Path:
        """The file of a segment."""
        return self.folder / f"{number:06}{suffix}"

    @property
    def frames(self) -> int:
        """Frames that are painted, and need not be painted again."""
        if self.film is not None:
            return int(self.film["frames"])
        return sum(int(told["frames"]) for told in self.done.values())

    def _read(self, lines: list[_Line]) -> None:
        """Take over what the lines tell; raises SinkError, with nothing taken, where they contradict themselves."""
        if not lines:
            return
        first, *rest = lines
        if not isinstance(first, _Begun):
            raise self._damaged("its first line is missing")
        if first.plan != self._mark:
            self.stale = True
            return
        lengths: list[int] = []
        for line in rest:
            if isinstance(line, _Split):
                if not _is_whole(line.segments):
                    raise self._damaged("its segments leave gaps")
                lengths = [segment.end - segment.start for segment in line.segments]
            elif isinstance(line, _Painted):
                if lengths[line.segment : line.segment + 1] != [line.frames]:
                    raise self._damaged(f"it has no segment {line.segment} of {line.frames} frames")
                if line.file != self.part(line.segment, Path(line.file).suffix).name:
                    raise self._damaged(f"{line.file} is not segment {line.segment}")
        self.begun = True
        for line in rest:
            if isinstance(line, _Split):
                self.segments, self.warnings = tuple(line.segments), line.warnings
            elif isinstance(line, _Painted):
                if _has_size(self.folder / line.file, line.bytes):
                    self.done[line.segment] = line.model_dump()
            elif isinstance(line, _Finished):
                # Numbered pictures have no one file to know them by.
                if is_pattern(self.plan.output) or _has_size(Path(self.plan.output), line.film.bytes):
                    self.film = line.film.model_dump()
                else:  # what is there now, if anything, is somebody else's
                    self.begun = False

    def _damaged(self, reason: str) -> SinkError:
        return SinkError(f"{self._path}: damaged ({reason}); remove {self.folder} to start the film again")

    def _lines(self) -> list[_Line]:
        try:
            if not stat.S_ISREG(self._path.stat().st_mode):
                raise self._damaged("it is no file")
            text = self._path.read_bytes()
        except FileNotFoundError:
            return []
        except SinkError:
            raise
        except OSError as error:
            raise SinkError(f"{self._path}: cannot be read ({error.strerror})") from error
        found: list[_Line] = []
        # What a kill cut off has no end.
        for number, row in enumerate(text.splitlines(keepends=True), 1):
            if row.endswith(b"\n"):
                try:
                    found.append(_LINES.validate_json(_checked(row)))
                except ValueError as error:
                    raise self._damaged(f"line {number}") from error
        return found

    def begin(self) -> None:
        """Make the folder fit to go on in: nothing half written, nothing of another plan.

        Raises SinkError where that cannot be done.
        """
        try:
            if self.stale:
                shutil.rmtree(self.folder)
                self.stale = False
            make_folder(self.folder)
            self._clean()
            # A line cut off in the middle would run into the next.
            text = self._path.read_bytes() if self._path.exists() else b""
            whole = text[: text.rfind(b"\n") + 1]
            if whole != text:
                os.truncate(self._path, len(whole))
        except SinkError:
            raise
        except OSError as error:
            raise SinkError(f"{error.filename or self.folder}: cannot be gone on with ({error.strerror})") from error
        if not whole:
            self._write({"plan": self._mark, "source": self.plan.source, "output": self.plan.output})

    def split(self, segments: tuple[Segment, ...], warnings: Sequence[str]) -> None:
        """Note how the film is split, and what there is to warn of."""
        self.segments, self.warnings = segments, list(warnings)
        self._write({"segments": [asdict(segment) for segment in segments], "warnings": self.warnings})

    def painted(self, number: int, file: Path, told: dict[str, Any]) -> None:
        """Note that a segment is done."""
        self.done[number] = {"segment": number, "file": file.name, **told}
        self._write(self.done[number])

    def finished(self, told: dict[str, Any]) -> None:
        """Note that the film is done, and remove its segments: joined, they are the film."""
        self.film = told
        self._write({"film": told})
        with suppress(OSError):  # the film is there, whatever cannot be removed
            for line in self.done.values():
                (self.folder / line["file"]).unlink(missing_ok=True)
            self._clean()

    def _clean(self) -> None:
        """Remove what workers that died left half written."""
        for partial in self.folder.glob("*.partial*"):
            if not partial.is_dir():
                partial.unlink()

    def _write(self, line: dict[str, Any]) -> None:
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_with_check(line))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise SinkError(f"{self._path}: cannot be written ({error.strerror})") from error


_CHECK = ', "crc32": '
"""Before the sum over what comes before it, at the end of a line: whatever a line may say, a damaged one is noticed."""


def _with_check(line: dict[str, Any]) -> str:
    text = json.dumps(line)
    return f"{text[:-1]}{_CHECK}{zlib.crc32(text.encode())}}}\n"


def _checked(row: bytes) -> bytes:
    """A line without its sum; raises ValueError where it is not the line's."""
    text, _, check = row.rpartition(_CHECK.encode())
    if check.rstrip() != b"%d}" % zlib.crc32(text + b"}"):
        raise ValueError("the sum is wrong")
    return text + b"}"


def _has_size(path: Path, size: int | None) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == size


def _is_whole(segments: Sequence[Segment]) -> bool:
    """Whether they follow upon each other from the film's first frame on, each with something in it."""
    at = 0
    for one in segments:
        if not (one.start == at < one.end <= one.ahead and 0 <= one.warm <= one.start):
            return False
        at = one.end
    return bool(segments)


def fingerprint(plan: RenderPlan) -> str:
    """Changes with everything that the painted film depends on: settings, the source, masks and style files.

    Not with what only decides how it is reached: where the output is, how many frames wait in queues.
    """
    from videostyle.weights import gallery, models_folder, own_network, own_styles, read_manifest

    same = replace(plan, output=Path(plan.output).suffix, queue_depth=1, encode=replace(plan.encode, overwrite=False))
    files = [plan.source, plan.style.mask, *(region.mask for region in plan.style.regions), plan.flow.weights]
    stamps: list[Any] = [_stamp(Path(file)) for file in files if file is not None]
    styles = {(entry.network, entry.name): entry for entry in (*gallery(), *own_styles())}
    for name in plan.style.names:
        entry = styles.get((plan.style.network, name))
        file = entry.file if entry is not None else Path(name)
        stamps += [entry.sha256 if entry is not None else _stamp(file), _stamp(own_network(file))]
    stamps += [digest for name, (_, digest) in read_manifest(models_folder())[0].items() if name == plan.style.network]
    text = json.dumps([VERSION, asdict(same), stamps], default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _stamp(path: Path) -> list[int] | None:
    """Size and time of the last change; of a folder or a numbered sequence, of everything in the folder."""
    path = path.parent if is_pattern(str(path)) else path
    try:
        files = sorted(path.iterdir()) if os.path.isdir(path) else [path]
        stats = [file.stat() for file in files]
    except (OSError, ValueError):  # no such file, or no name that a file can have
        return None
    return [number for stat in stats for number in (stat.st_size, stat.st_mtime_ns)]
