"""Scheduler of a batch: gives the segments of all films to workers, records results, and joins finished films."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from videostyle import interrupt
from videostyle.batch.executors import load_executor
from videostyle.batch.journal import Journal
from videostyle.batch.plan import BatchPlan
from videostyle.batch.segments import Scan, split
from videostyle.batch.tasks import (
    JoinTask,
    PaintTask,
    ScanTask,
    Task,
    WholeTask,
    is_joinable,
    open_output,
    part_suffix,
)
from videostyle.errors import SinkError, UsageError, VideostyleError
from videostyle.files import make_folder
from videostyle.io import open_source
from videostyle.io.codecs import choose_codec, container_for
from videostyle.io.images import is_picture
from videostyle.partial_files import lock_folder
from videostyle.pipeline import fit
from videostyle.plan import RenderPlan
from videostyle.progress import OnProgress, Progress, ignore
from videostyle.style import Style
from videostyle.stylizers import check_style
from videostyle.types import VideoInfo

log = logging.getLogger(__name__)

# Subfolder of the output folder for journals and segments.
WORK = ".videostyle"
# Estimated bytes per pixel of an output: strong styles have much detail, and took up to 0.21 in the lossy codecs for
# viewing, 0.86 in those for editing and archives, at 320x180 and 8 bits. Films exist twice while they are joined.
LOSSY, EDITING = 0.2, 1.0
# The disk counts as full when less than this, in bytes, is left beside the output of the running tasks.
LEAST_FREE = 200 * 2**20
POLL = 0.2


@dataclass(slots=True)
class Result:
    """Result of one film."""

    source: str
    style: str
    output: str
    state: str
    """State: painted, was painted (before this run), unfinished, or failed."""
    frames: int = 0
    """Number of frames that are rendered."""
    expected: int | None = None
    """Number of frames in the film; an estimate until it is split."""
    segments: tuple[int, int] = (0, 0)
    """Number of finished segments, and of all."""
    painted: int = 0
    """Number of frames stylized for it, over all runs, with the frames before and after segments that are not kept."""
    seconds: float = 0.0
    """Seconds of workers' time, over all runs."""
    warnings: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def fps(self) -> float:
        """Frames a second of one worker's time."""
        return self.frames / self.seconds if self.seconds else 0.0


class _Film:
    """One film of a batch, with its journal and its running tasks."""

    def __init__(self, plan: RenderPlan, folder: Path) -> None:
        where = Path(plan.output).absolute().relative_to(folder.absolute())
        self.plan = plan
        self.journal = Journal(folder / WORK / where, plan)
        self.info: VideoInfo | None = None
        self.joinable = True
        self.suffix = ""
        self.busy: set[int] = set()
        """Numbers of the segments being rendered; -1 is the scan, the join, or the whole film."""
        self.tries: Counter[int] = Counter()
        self.error = self.journal.damage
        self.was_painted = self.journal.film is not None

    def check(self) -> None:
        """Check what can be checked before rendering; raise VideostyleError if the film cannot be rendered."""
        plan = self.plan
        self.info = open_source(plan.source).info
        self.joinable = is_joinable(plan)
        if self.joinable:
            self.suffix = part_suffix(plan, self.info)
        make_folder(Path(plan.output).parent)
        # A file there may be our own, finished just before a stop that prevented the record in the journal.
        written = None if self.journal.stale else self.journal.written
        open_output(plan, self.info, written)
        for mask in plan.style.mask_files:
            open_source(mask)
        _check_style(plan.style)

    @property
    def expected(self) -> int | None:
        """Number of frames in the film, as far as known."""
        if self.journal.film is not None:
            return int(self.journal.film["frames"])
        if self.journal.segments is not None:
            return self.journal.segments[-1].end
        return self.info.frames_in(self.plan.span) if self.info is not None else None

    @property
    def over(self) -> bool:
        """True if nothing is left to do."""
        return bool(self.error) or self.journal.film is not None

    def task(self, scanning: set[Any]) -> tuple[int, Task] | None:
        """Return the next task and its number; None while there is none. `scanning` are the sources being scanned."""
        segments, done = self.journal.segments, self.journal.done
        if self.over or -1 in self.busy:
            return None
        if not self.joinable:
            return -1, WholeTask(self.plan, str(self.journal.written_path))
        if segments is None:
            return None if self.scanned in scanning else (-1, ScanTask(self.plan))
        for number, segment in enumerate(segments):
            if number not in done and number not in self.busy:
                return number, PaintTask(self.plan, segment, str(self.journal.part(number, self.suffix)))
        if self.busy:
            return None
        paths = tuple(str(self.journal.folder / done[number]["file"]) for number in range(len(segments)))
        return -1, JoinTask(self.plan, paths, str(self.journal.written_path))

    @property
    def scanned(self) -> tuple[Any, ...]:
        """Key of the scan: films with the same key are split by one scan."""
        return self.plan.source, self.plan.span

    def bytes(self, frames: int) -> int:
        """Estimate the bytes on disk of a number of output frames."""
        if self.info is None:
            return 0
        width, height = fit(self.plan.size, self.info.width, self.info.height)
        each = EDITING
        if not is_picture(self.plan.output):
            _, codec = choose_codec(container_for(self.plan.output), self.plan.encode)
            each = LOSSY if codec.crf is not None else EDITING * (2 if self.info.bit_depth > 8 else 1)
        return round(frames * width * height * each)

    def take(self, number: int, task: Task, result: dict[str, Any]) -> None:
        """Record the result of a task."""
        if isinstance(task, PaintTask):
            self.journal.painted(number, Path(task.path), result)
            return
        if isinstance(task, WholeTask):
            self.journal.finished(result)
            return
        done = self.journal.done.values()
        warnings = [line for one in (*done, result) for line in one["warnings"]]
        film = {
            "frames": sum(one["frames"] for one in done),
            "painted": sum(one["painted"] for one in done),
            "seconds": round(result["seconds"] + sum(one["seconds"] for one in done), 3),
            "warnings": list(dict.fromkeys([*self.journal.warnings, *warnings])),
        }
        self.journal.finished(film)

    def result(self) -> Result:
        """Return the result of the film."""
        journal = self.journal
        film = journal.film
        state = "was painted" if self.was_painted else "painted" if film else "failed" if self.error else "unfinished"
        found = Result(
            self.plan.source, self.plan.style.label, self.plan.output, state, journal.frames, self.expected,
            (len(journal.done), len(journal.segments or ())), error=self.error,
        )  # fmt: skip
        for one in [film] if film else journal.done.values():
            found.painted += one["painted"]
            found.seconds += one["seconds"]
            found.warnings += one["warnings"]
        return found


@lru_cache(maxsize=64)
def _check_style(style: Style) -> None:
    check_style(style)


def status(plan: BatchPlan) -> list[Result]:
    """Return the state of each film; nothing is begun, and a running batch is not disturbed."""
    films = [_Film(film, plan.folder) for film in plan.films]
    for film in films:
        try:
            film.info = open_source(film.plan.source).info
        except VideostyleError as error:
            film.error = film.error or str(error)
    return [film.result() for film in films]


def run(plan: BatchPlan, *, on_progress: OnProgress = ignore) -> list[Result]:
    """Render every film that is not finished yet, resuming where an earlier run was stopped.

    If a film fails, the others go on. `on_progress` is called with the number of rendered frames and of all frames, as
    far as known, and the newest frame where this process paints. Events that the user should see at once are logged.

    Raises UsageError if nothing can be begun, SinkError if the folder is in use, or the disk full: all finished work is
    kept then, as after KeyboardInterrupt.
    """
    _check_names(plan)
    with interrupt.deferring(), lock_folder(plan.folder / WORK, "another batch"):
        films = [_Film(film, plan.folder) for film in plan.films]
        for film in films:
            interrupt.check()
            if film.was_painted:
                continue
            if film.error:
                log.warning(film.error)
                continue
            try:
                film.check()
                damaged = film.journal.begin()
                if damaged:
                    log.warning(f"{film.plan.output}: damaged segments, which are painted again: {damaged}")
            except VideostyleError as error:
                film.error = str(error)
                log.warning(_named(film, film.error))
        if all(film.over for film in films):
            return [film.result() for film in films]
        _check_space(plan.folder, films)
        try:
            _carry_out(plan, films, on_progress)
        except BaseException as error:
            error.add_note("all finished work is kept; give the same command again to go on")
            raise
        return [film.result() for film in films]


def _carry_out(plan: BatchPlan, films: list[_Film], on_progress: OnProgress) -> None:
    begun: dict[tuple[int, int], Task] = {}
    disk_full = ""
    with load_executor(plan) as executor:
        settled = 0
        while True:
            interrupt.check()
            for key, task in _tasks(films, begun) if not disk_full else ():
                if len(begun) == executor.workers:
                    break
                disk_full = _check_disk(plan.folder, films, {**begun, key: task})
                if disk_full:
                    log.warning("no more is begun, and running tasks are finished first")
                    break
                films[key[0]].busy.add(key[1])
                begun[key] = task
                executor.submit(key, task)
            if not begun:
                break
            for key, result in executor.finished(POLL):
                film, number, task = films[key[0]], key[1], begun.pop(key)
                film.busy.discard(number)
                settled += result.get("painted", 0)
                if "error" in result:
                    disk_full = disk_full or (result["error"] if result["disk_full"] else "")
                    _retry(film, number, result, plan.retries if result["retryable"] else 0)
                elif isinstance(task, ScanTask):
                    _split(plan, films, film, Scan.of(result), executor.workers)
                else:
                    film.take(number, task, result)
            done = sum(film.journal.frames for film in films)
            painting = max(executor.frames - settled, 0)
            total = sum(film.expected or 0 for film in films if not film.error)
            on_progress(Progress("painting", min(done + painting, total), total, "frames", latest=executor.latest))
    if disk_full:
        raise SinkError(disk_full) from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _tasks(films: list[_Film], begun: dict[tuple[int, int], Task]) -> Iterator[tuple[tuple[int, int], Task]]:
    """Yield the tasks that can begin now, the first film first; a task must be marked busy before the next."""
    for at, film in enumerate(films):
        while True:
            scanning = {films[key[0]].scanned for key, task in begun.items() if isinstance(task, ScanTask)}
            found = film.task(scanning)
            if found is None:
                break
            yield (at, found[0]), found[1]


def _split(plan: BatchPlan, films: list[_Film], film: _Film, found: Scan, workers: int) -> None:
    """Split every film of this scan, finely enough for all workers to get a part."""
    share = found.frames * sum(not one.over for one in films) // workers
    shortest = max(min(plan.segment, share), 1)
    for one in films:
        if one.scanned == film.scanned and one.joinable and one.journal.segments is None and not one.over:
            one.journal.split(split(found, one.plan, shortest, plan.whole_shots), found.warnings)


def _retry(film: _Film, number: int, result: dict[str, Any], retries: int) -> None:
    film.tries[number] += 1
    if result["disk_full"] or film.error:
        return
    if film.tries[number] <= retries:
        log.warning(f"{_named(film, result['error'])}; trying again")
        return
    film.error = result["error"]
    log.warning(f"{film.plan.output}: failed: {result['error']}; the other films go on")


def _named(film: _Film, error: str) -> str:
    return error if film.plan.source in error else f"{film.plan.source}: {error}"


def _check_names(plan: BatchPlan) -> None:
    if not plan.films:
        raise UsageError("no film to paint")
    seen: dict[str, str] = {}
    for film in plan.films:
        other = seen.setdefault(os.path.abspath(film.output), f"{film.source} in {film.style.label}")
        mine = f"{film.source} in {film.style.label}"
        if other != mine or list(plan.films).count(film) > 1:
            raise UsageError(f"{film.output}: is the output of both {other} and {mine}; put more into the names")
        if not Path(film.output).absolute().is_relative_to(plan.folder.absolute()):
            raise UsageError(f"{film.output}: is outside {plan.folder}; choose another name")


def _check_space(folder: Path, films: Iterable[_Film]) -> None:
    """Warn if the films may not fit on the disk, by an estimate of their sizes."""
    need = sum(2 * film.bytes(film.expected or 0) - film.bytes(film.journal.frames) for film in films if not film.over)
    free = shutil.disk_usage(folder).free
    if need + LEAST_FREE > free:
        log.warning(
            f"{folder}: {_size(free)} free, and the films may need {_size(need)}; painting stops in good time, "
            "and all finished work is kept"
        )


def _check_disk(folder: Path, films: list[_Film], begun: dict[tuple[int, int], Task]) -> str:
    """Return a message if the disk has no room for the running tasks, else ""."""
    need = LEAST_FREE
    for (at, _), task in begun.items():
        film = films[at]
        if isinstance(task, PaintTask):
            need += film.bytes(task.segment.end - task.segment.start)
        elif isinstance(task, JoinTask):
            need += sum(one["bytes"] for one in film.journal.done.values())
        elif isinstance(task, WholeTask):
            need += film.bytes(film.expected or 0)
    free = shutil.disk_usage(folder).free
    return (
        f"{folder}: the disk is nearly full, {_size(free)} left of {_size(need)} needed; free some space"
        if free < need
        else ""
    )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
