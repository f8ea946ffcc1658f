"""The page: opens films, stylizes excerpts side by side, and renders whole films.

Imports Gradio; call `server.require_gradio` first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from videostyle.errors import UsageError, VideostyleError
from videostyle.hosting.messages import without_folders
from videostyle.io import open_source
from videostyle.io.images import is_picture
from videostyle.io.names import output_name
from videostyle.metrics import excerpts
from videostyle.metrics.side_by_side import Flicker, flicker
from videostyle.pipeline import render
from videostyle.plan import RenderPlan
from videostyle.progress import OnProgress, Progress
from videostyle.text import escape_markup
from videostyle.web.command import command
from videostyle.web.controls import LONGEST, checked_file_name, checked_look, checked_number, excerpt_span
from videostyle.web.html import figures, no_film, wipe
from videostyle.web.jobs import Job, JobQueue, Stopped, Superseded, visitor
from videostyle.web.page_files import Settings
from videostyle.web.preview import (
    FRAME_BY_FRAME,
    STABILIZED,
    PreviewCache,
    files,
    format_time,
    slices,
)
from videostyle.web.sessions import Sessions, shown_in

# Excerpts whose measurements are cached.
_MEASURED = 64
# Gradio looks for such a default and gives each call one of its own.
_PROGRESS = gr.Progress()


class Page:
    """Functions of the page's controls; Gradio calls each in a thread of its own."""

    def __init__(self, settings: Settings, job_queue: JobQueue) -> None:
        self.settings = settings
        self.sessions = Sessions(settings.work, job_queue)
        self.cache = PreviewCache(self.sessions.media.folder)
        self._measured: OrderedDict[Path, Flicker] = OrderedDict()

    def _look(self, values: Sequence[Any]) -> RenderPlan:
        return checked_look(self.settings.base, values)

    @property
    def folders(self) -> list[Path]:
        """Folders that the page's messages must not show."""
        output = [] if self.settings.output is None else [self.settings.output.absolute()]
        return [self.settings.work, *output, Path(self.settings.film).parent]

    def _only(self, path: str) -> str:
        if path != self.settings.film:
            raise UsageError("this page shows one film only")
        return path

    def excerpt_plan(self, film: str, start: float, seconds: float, values: Sequence[Any]) -> RenderPlan:
        """Return the plan of an excerpt for the values of the controls."""
        return replace(self._look(values), source=film, span=excerpt_span(film, start, seconds))

    def film_plan(self, film: str, name: str, values: Sequence[Any]) -> RenderPlan:
        """Return the plan of the whole film for the values of the controls; it writes to the file `name`, if given."""
        plan = replace(self._look(values), source=film)
        output = checked_file_name(name) or output_name(film, plan.style.label)
        return replace(plan, output=str((self.settings.output or Path(film).parent) / output))

    def open(self, path: str | None, progress: gr.Progress = _PROGRESS) -> list[Any]:
        """Open a film; return its description, its excerpts and the state of the other controls."""
        if not path:
            return [None, "", gr.update(visible=False), *[gr.update()] * 3, *self._buttons(False)]
        path = self._only(path)
        with open_source(path) as film:
            info = film.info
        name = escape_markup(Path(path).name)
        if is_picture(path):
            about = f"**{name}** · {info.width}×{info.height}"
            return [path, about, *[gr.update(visible=False)] * 4, *self._buttons(True)]
        with self.sessions.job(progress) as job:
            show = shown_in(progress, job)
            show(Progress("looking for telling moments"))
            frames = excerpts.measure_frames(path, show)
        length = float(info.duration) if info.duration else frames[-1].time
        found = excerpts.choose(frames, self.settings.seconds, length)
        start = found[0].start if self.settings.at is None else self.settings.at
        if start >= length:
            raise UsageError(f"--at {start:g}: {Path(path).name} lasts {length:g} s; choose an earlier time")
        longest = min(LONGEST, max(round(length, 1), 0.5))
        choices = [(f"{one.reason} · {format_time(one.start)}", str(one.start)) for one in found]
        rate = f"{float(info.average_rate):g} frames a second, " if info.average_rate else ""
        return [
            path,
            f"**{name}** · {info.width}×{info.height}, {rate}{format_time(length)}",
            gr.update(choices=choices, value=choices[0][1] if self.settings.at is None else None, visible=True),
            gr.update(maximum=max(round(length - 0.1, 1), start), value=start, visible=True),
            gr.update(maximum=longest, value=min(self.settings.seconds, longest), visible=True),
            gr.update(visible=True),
            *self._buttons(True),
        ]

    def _buttons(self, is_open: bool) -> list[Any]:
        """Enable the buttons that render, which need an open film."""
        return [gr.update(interactive=is_open)] * 2

    def glance(self, path: str | None, *values: Any) -> Any:
        """Return the HTML of the first frame of a film that is being opened, stylized by itself.

        Nothing is shown, and nothing said, if that fails: opening it says what is wrong.
        """
        if not path:
            return gr.skip()
        try:
            path = self._only(path)
            return self.still(path, float(self.settings.at or 0), self.settings.seconds, *values)
        except VideostyleError:
            return gr.skip()

    def still(self, film: str | None, start: float, seconds: float, *values: Any) -> Any:
        """Return the HTML of the excerpt's first frame, stylized by itself, and end excerpts for other values."""
        if film is None or is_picture(film):
            return gr.skip()
        plan = self.excerpt_plan(film, start, seconds, values)
        self.sessions.job_queue.supersede(plan)
        versions = self.cache.still(plan)
        self.sessions.media.show(visitor.get(), "still", [one.path for one in versions.values()])
        return wipe(versions)

    def paint(
        self,
        film: str | None,
        start: float,
        seconds: float,
        row: float,
        *values: Any,
        progress: gr.Progress = _PROGRESS,
    ) -> tuple[Any, Any]:
        """Render the excerpt; return the HTML of its versions and of their measurements.

        Nothing changes if the visitor wants another excerpt meanwhile, see `still`.
        """
        plan = self._look(values)
        if film is None:
            return no_film(plan.style.label), ""
        plan = self.excerpt_plan(film, start, seconds, values)
        if not 0 <= checked_number("the row", row) <= 1:
            raise UsageError("the row of the slices is between 0, the top, and 1")
        try:
            with self.sessions.job(progress, excerpt=plan) as job:
                return self._excerpt(plan, row, shown_in(progress, job))
        except Superseded:
            return gr.skip(), gr.skip()

    def _excerpt(self, plan: RenderPlan, row: float, show: OnProgress) -> tuple[str, str]:
        versions = self.cache.versions(plan, show)
        paths = [one.path for one in versions.values()]
        if FRAME_BY_FRAME not in versions:
            self.sessions.media.show(visitor.get(), "excerpt", paths)
            return wipe(versions), ""
        # Moving the row, or a control back, needs no new measurement; the stabilized file identifies all versions.
        key = versions[STABILIZED].path
        measured = self._measured.pop(key, None) or flicker(files(versions), show)
        self._measured[key] = measured
        while len(self._measured) > _MEASURED:
            self._measured.popitem(last=False)
        drawn = slices(versions, row, self.sessions.media.folder)
        self.sessions.media.show(visitor.get(), "excerpt", [*paths, *drawn.values()])
        return wipe(versions), figures(plan, versions, measured, drawn)

    def command(self, film: str | None, name: str, *values: Any) -> str:
        """Return the command line that renders the whole film."""
        if film is None:
            return ""
        plan = self.film_plan(film, name, values)
        source = self.settings.named or film
        output = (self.settings.output or Path(source).parent) / Path(plan.output).name
        return command(replace(plan, source=source, output=_relative(str(output))))

    def start(
        self,
        film: str | None,
        name: str,
        stays: bool,
        *values: Any,
        progress: gr.Progress = _PROGRESS,
    ) -> str:
        """Render the whole film; with `stays` the job goes on when the visitor has left. Return a message."""
        if film is None:
            raise UsageError("the film is not open yet; wait a moment")
        plan = self.film_plan(film, name, values)
        with self.sessions.job(progress, bool(stays)) as job, self.sessions.pending.film(Path(plan.output).absolute()):
            show = shown_in(progress, job)
            try:
                report = render(plan, on_progress=lambda now: show(replace(now, stage="painting the whole film")))
            except (Stopped, KeyboardInterrupt) as stopped:
                raise Stopped(*_stop_notes(stopped, job)) from stopped
        speed = "" if is_picture(film) else f", {report.frames} frames, {report.fps:.1f} a second"
        lines = [f"**Done:** {escape_markup(Path(report.output).name)}{speed}"]
        for name in report.predicted:
            lines.append(f"The style was predicted from the picture {escape_markup(Path(name).name)}.")
        lines += [escape_markup(without_folders(warning, self.folders)) for warning in report.warnings]
        return "  \n".join(lines)


def _stop_notes(stopped: BaseException, job: Job) -> list[str]:
    """Return the notes about the unfinished output; if the visitor has left, remove it and return none."""
    notes: list[str] = getattr(stopped, "__notes__", [])
    if not job.is_left:
        return notes
    for note in notes:
        path = Path(note.partition(" is in ")[2])
        if path.name and path.is_file():
            path.unlink(missing_ok=True)
    return []


def _relative(path: str) -> str:
    # A path that begins with a dash would be taken for an option.
    return f"./{path}" if path.startswith("-") else path
