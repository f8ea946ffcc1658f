"""Journal of one film's progress on disk: JSON lines; a kill loses at most the line that it cuts off."""

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

from videostyle import interrupt
from videostyle.batch.plan import Segment
from videostyle.errors import SinkError
from videostyle.files import make_folder, sink_error
from videostyle.io.images import is_pattern, numbered_path
from videostyle.plan import RenderPlan
from videostyle.written_files import WrittenFiles, file_crc32

# Version of the journal. Raise it when its keys change, or when the same plan comes to be rendered differently: the
# journals of other versions are then refused.
VERSION = 4

_Count = Annotated[int, Field(ge=0)]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Line(BaseModel):
    """A line of a journal, of one of the four kinds below."""

    # Strict: a text is not read as a number, nor a number as a text.
    model_config = ConfigDict(strict=True)


class _Begun(_Line):
    version: int
    plan: str
    source: str
    output: str


class _Split(_Line):
    segments: list[Segment]
    warnings: list[str]


class _Work(_Line):
    """Result of finished work."""

    frames: _Count
    painted: _Count
    seconds: _Seconds
    warnings: list[str]


class _Painted(_Work):
    segment: _Count
    file: Annotated[str, Field(pattern=r"^\d{6}\.\w+$")]
    bytes: _Count
    file_crc32: _Count


class _Finished(_Line):
    film: _Work


_LINES: TypeAdapter[_Begun | _Split | _Painted | _Finished] = TypeAdapter(_Begun | _Split | _Painted | _Finished)


class Journal:
    """The working folder of one film, and its journal.

    A segment is done when its file has its final name and its line is written; the film, when it has its own name and
    its line is written. The files that took a final name are on record beside the journal, so that a file of other
    origin is never taken for the output. A writer holds the lock on the whole output folder.
    """

    def __init__(self, folder: Path, plan: RenderPlan) -> None:
        """Read the journal in `folder`, without changing anything."""
        self.folder = folder
        self.plan = plan
        self.segments: tuple[Segment, ...] | None = None
        """None until the film is split."""
        self.done: dict[int, dict[str, Any]] = {}
        """Results of the finished segments, by number."""
        self.film: dict[str, Any] | None = None
        """Result of the whole film, once it is done."""
        self.warnings: list[str] = []
        """Warnings about the source film."""
        self.stale = False
        """True if the folder holds the work of another plan, or of another state of the files that it names."""
        self.damage = ""
        """Error message if the journal cannot be read: the film cannot be resumed then."""
        self.written_path = folder / "written.jsonl"
        """File in which workers record the outputs that they write; see `WrittenFiles`."""
        self.written = WrittenFiles(self.written_path)
        self._path = folder / "journal.jsonl"
        self._mark = fingerprint(plan)
        try:
            self._read(self._lines())
        except SinkError as error:
            self.damage = str(error)

    def part(self, number: int, suffix: str) -> Path:
        """Return the path of a segment's file."""
        return self.folder / f"{number:06}{suffix}"

    @property
    def frames(self) -> int:
        """Number of frames that are rendered, and need not be rendered again."""
        if self.film is not None:
            return int(self.film["frames"])
        return sum(int(result["frames"]) for result in self.done.values())

    def _read(self, lines: list[_Line]) -> None:
        """Take over the lines; raise SinkError, with nothing taken over, if they contradict each other."""
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
        for line in rest:
            if isinstance(line, _Split):
                self.segments, self.warnings = tuple(line.segments), line.warnings
            elif isinstance(line, _Painted):
                self.done.pop(line.segment, None)  # an earlier line, if the segment was damaged and rendered again
                if _has_size(self.folder / line.file, line.bytes):
                    self.done[line.segment] = line.model_dump()
            elif isinstance(line, _Finished) and self._is_there(line.film.frames):
                self.film = line.film.model_dump()

    def _is_there(self, frames: int) -> bool:
        """Return True if the output, or each of its numbered pictures, is the file that was written."""
        output = self.plan.output
        if is_pattern(output):
            return all(numbered_path(output, number) in self.written for number in range(1, frames + 1))
        return output in self.written

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
        # A line that a kill cut off has no line end.
        for number, row in enumerate(text.splitlines(keepends=True), 1):
            if row.endswith(b"\n"):
                try:
                    text = _checked(row)
                    if number == 1:
                        self._check_version(json.loads(text))
                    found.append(_LINES.validate_json(text))
                except (ValueError, RecursionError) as error:
                    raise self._damaged(f"line {number}") from error
        return found

    def _check_version(self, line: Any) -> None:
        """Raise SinkError for the first line of a journal of another version."""
        if isinstance(line, dict) and "plan" in line and line.get("version") != VERSION:
            reason = "was written by another version of videostyle"
            raise SinkError(f"{self._path}: {reason}; remove {self.folder} to start the film again")

    def begin(self) -> int:
        """Prepare the folder for work: remove unfinished files, and the work of another plan.

        Returns the number of segments that are damaged, and are rendered again. Raises SinkError if the folder cannot
        be prepared.
        """
        try:
            if self.stale:
                shutil.rmtree(self.folder)
                self.stale = False
                self.written = WrittenFiles(self.written_path)
            make_folder(self.folder)
            self._clean()
            damaged = [number for number, line in self.done.items() if not self._is_undamaged(line)]
            for number in damaged:
                del self.done[number]
            # An incomplete line would run into the next one.
            text = self._path.read_bytes() if self._path.exists() else b""
            whole = text[: text.rfind(b"\n") + 1]
            if whole != text:
                os.truncate(self._path, len(whole))
        except SinkError:
            raise
        except OSError as error:
            raise SinkError(f"{error.filename or self.folder}: cannot be resumed ({error.strerror})") from error
        if not whole:
            self._write(
                {"version": VERSION, "plan": self._mark, "source": self.plan.source, "output": self.plan.output}
            )
        return len(damaged)

    def _is_undamaged(self, line: dict[str, Any]) -> bool:
        """Return True if a segment's file is the one that was recorded; a lost power supply can leave zeros in it."""
        interrupt.check()
        return file_crc32(self.folder / line["file"]) == line["file_crc32"]

    def split(self, segments: tuple[Segment, ...], warnings: Sequence[str]) -> None:
        """Record the segments of the film, and its warnings."""
        self.segments, self.warnings = segments, list(warnings)
        self._write({"segments": [asdict(segment) for segment in segments], "warnings": self.warnings})

    def painted(self, number: int, file: Path, result: dict[str, Any]) -> None:
        """Record that a segment is done."""
        self.done[number] = {"segment": number, "file": file.name, **result}
        self._write(self.done[number])

    def finished(self, result: dict[str, Any]) -> None:
        """Record that the film is done, and remove its segments, which were joined to it."""
        self.film = result
        self._write({"film": result})
        with suppress(OSError):  # the film is complete, even if something cannot be removed
            for line in self.done.values():
                (self.folder / line["file"]).unlink(missing_ok=True)
            self._clean()

    def _clean(self) -> None:
        """Remove the unfinished files of workers that died."""
        for partial in self.folder.glob("*.partial*"):
            if not partial.is_dir():
                partial.unlink()

    def _write(self, line: dict[str, Any]) -> None:
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_with_crc32(line))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise sink_error(self._path, error) from error


_CRC32 = ', "crc32": '
"""Key of the checksum at the end of a line, over the text before it, by which any damage is detected."""


def _with_crc32(line: dict[str, Any]) -> str:
    text = json.dumps(line)
    return f"{text[:-1]}{_CRC32}{zlib.crc32(text.encode())}}}\n"


def _checked(row: bytes) -> bytes:
    """Return a line without its checksum; raise ValueError if the checksum is wrong."""
    text, _, check = row.rpartition(_CRC32.encode())
    if check.rstrip() != b"%d}" % zlib.crc32(text + b"}"):
        raise ValueError("the checksum is wrong")
    return text + b"}"


def _has_size(path: Path, size: int) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == size


def _is_whole(segments: Sequence[Segment]) -> bool:
    """Return True if the segments are not empty and follow each other from the film's first frame on."""
    at = 0
    for one in segments:
        if not (one.start == at < one.end <= one.lookahead_end and 0 <= one.warmup_start <= one.start):
            return False
        at = one.end
    return bool(segments)


def fingerprint(plan: RenderPlan) -> str:
    """Compute a hash of everything that the output depends on: settings, the source, masks and style files.

    Settings that do not change the frames are left out: the folder of the output, the depth of queues.
    """
    from videostyle.weights import (
        gallery,
        is_picture_name,
        models_folder,
        own_network,
        own_styles,
        predictor_digest,
        read_manifest,
    )

    same = replace(plan, output=Path(plan.output).suffix, queue_depth=1, encode=replace(plan.encode, overwrite=False))
    files = [plan.source, *plan.style.mask_files, plan.segmenter.weights, plan.flow.weights]
    stamps: list[Any] = [_stamp(Path(file)) for file in files if file is not None]
    styles = {(entry.network, entry.name): entry for entry in (*gallery(), *own_styles())}
    for name in plan.style.names:
        entry = styles.get((plan.style.network, name))
        file = entry.file if entry is not None else Path(name)
        stamps += [entry.sha256 if entry is not None else _stamp(file), _stamp(own_network(file))]
    if any(map(is_picture_name, plan.style.names)):
        stamps.append(predictor_digest(plan.style.network))
    stamps += [digest for name, (_, digest) in read_manifest(models_folder())[0].items() if name == plan.style.network]
    text = json.dumps([VERSION, asdict(same), stamps], default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _stamp(path: Path) -> list[int] | None:
    """Return size and modification time; of a folder or a numbered sequence, those of all files in the folder."""
    path = path.parent if is_pattern(str(path)) else path
    try:
        files = sorted(path.iterdir()) if os.path.isdir(path) else [path]
        stats = [file.stat() for file in files]
    except (OSError, ValueError):  # no such file, or an invalid file name
        return None
    return [number for stat in stats for number in (stat.st_size, stat.st_mtime_ns)]
