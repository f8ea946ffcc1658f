"""The page: a film, its settings, an excerpt painted side by side, and the command for all of it.

Imports Gradio; call `server.require_gradio` first.
"""

from __future__ import annotations

import functools
import html
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import quote

import gradio as gr
import numpy as np

from videostyle.errors import UsageError, VideostyleError
from videostyle.io import open_source
from videostyle.io.images import is_picture
from videostyle.io.names import painted_name
from videostyle.metrics.report import data_uri
from videostyle.pipeline import render
from videostyle.plan import LearnPlan, Painting, RenderPlan, Span, StabilizeOptions
from videostyle.types import Frame, Source
from videostyle.web import excerpts
from videostyle.web.boxes import figures, wipe
from videostyle.web.camera import Camera
from videostyle.web.command import command
from videostyle.web.preview import (
    ALONE,
    FILM,
    STEADY,
    Darkroom,
    Flicker,
    clock,
    flicker,
    slices,
)
from videostyle.web.shelf import check_length, within
from videostyle.weights import gallery, own_styles, styles_folder

P = ParamSpec("P")
T = TypeVar("T")

NONE, OWN_SIZE = "none", "the film's own"
SIZES = ("240", "360", "480", "720", "1080")
LONGEST = 15
"""Seconds of an excerpt."""


# Gradio looks for such a default and gives each call one of its own.
_PROGRESS = gr.Progress()


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """Somebody pressed Stop, or the server ends."""


class Desk:
    """One work at a time: painting and learning take the whole machine."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._closed = False

    @contextmanager
    def work(self) -> Iterator[Callable[[], None]]:
        """Wait for the work before; what is yielded raises Stopped once this one is to end."""
        with self._lock:
            self._stop.clear()

            def check() -> None:
                if self._stop.is_set() or self._closed:
                    raise Stopped

            yield check

    def stop(self) -> None:
        """End the work that is being done, at its next frame."""
        self._stop.set()

    def close(self) -> None:
        """End it, let none begin, and wait until it is gone, but not for ever."""
        self._closed = True
        if self._lock.acquire(timeout=30):
            self._lock.release()


def plainly(function: Callable[P, T]) -> Callable[P, T]:
    """The same, its errors shown on the page in their one line."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except VideostyleError as error:
            raise gr.Error(str(error), print_exception=False) from error
        except Stopped as error:
            raise gr.Error(str(error) or "nothing is kept", title="Stopped", print_exception=False) from error

    return call


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a page finds films and leaves them, and what it allows."""

    base: RenderPlan
    """What the page has no control for, and what its controls begin with."""
    work: Path
    """Uploads and excerpts, and films to be downloaded in its folder media; all temporary."""
    folders: tuple[Path, ...] = ()
    """Films in these may be opened."""
    output: Path | None = None
    """Where painted films go; None is beside the film, and the current folder for uploads."""
    film: str | None = None
    """The one film of this page; None lets films be chosen."""
    at: float | None = None
    """Where the excerpt begins; None chooses."""
    seconds: float = 4.0
    minutes: float = 60.0
    """The longest upload."""


def look(
    base: RenderPlan,
    style: str,
    second: str,
    share: float,
    strength: float,
    keep_colors: bool,
    brush: float,
    network: str,
    stabilize: float,
    size: str,
) -> RenderPlan:
    """The plan that the page's controls ask for, in their order; what they do not know of is as in `base`."""
    share = round(share, 2)
    blend = ((style, 1.0),) if second in (NONE, style) or not share else ((style, round(1 - share, 2)), (second, share))
    chosen = replace(base.style, blend=blend, strength=strength, keep_colors=keep_colors, brush=brush, network=network)
    return replace(
        base,
        style=chosen,
        stabilize=StabilizeOptions(stabilize, base.stabilize.mode),
        size=None if size == OWN_SIZE else size,
    )


class Page:
    """What the page's controls do."""

    def __init__(self, settings: Settings, desk: Desk) -> None:
        self.settings = settings
        self.desk = desk
        self.media = settings.work / "media"
        self.darkroom = Darkroom(self.media)
        self._measured: dict[Path, Flicker] = {}

    def plan(self, film: str, start: float, seconds: float, look_of: Sequence[Any]) -> RenderPlan:
        """An excerpt, to be painted as the controls say."""
        begin = Fraction(str(round(start, 2)))
        span = Span() if is_picture(film) else Span(begin, begin + Fraction(str(round(seconds, 2))))
        return replace(look(self.settings.base, *look_of), source=film, span=span)

    def whole(self, film: str, name: str, look_of: Sequence[Any]) -> RenderPlan:
        """All of the film, to be painted as the controls say."""
        plan = replace(look(self.settings.base, *look_of), source=film)
        if Path(name).name != name or name.startswith("."):
            raise UsageError(f"{name}: is not a plain file name; where it goes was settled when the page was started")
        return replace(plan, output=str(self._folder(film) / (name or painted_name(film, plan.style.label))))

    def _folder(self, film: str) -> Path:
        return self.settings.output or (Path.cwd() if self._is_upload(film) else Path(film).parent)

    def _is_upload(self, film: str) -> bool:
        return Path(film).is_relative_to(self.settings.work.resolve())

    # Each of these is called by Gradio, in a thread of its own.

    def open(self, path: str | None, progress: gr.Progress = _PROGRESS) -> list[Any]:
        """Take up a film: what it is, and where its excerpts are."""
        if not path:
            return [None, "", gr.update(visible=False), *[gr.update()] * 3]
        if path != self.settings.film:
            path = str(within(path, [*self.settings.folders, self.settings.work]))
            if self._is_upload(path):
                check_length(Path(path), self.settings.minutes)
        with open_source(path) as film:
            info = film.info
        name = html.escape(Path(path).name)
        if is_picture(path):
            about = f"**{name}** · {info.width}×{info.height}"
            return [path, about, *[gr.update(visible=False)] * 4]
        progress(0, desc="looking for telling moments")
        with self.desk.work() as check:

            def far(share: float) -> None:
                check()
                progress(share, desc="looking for telling moments")

            glances = excerpts.glance(path, far)
        length = float(info.duration) if info.duration else glances[-1].time
        found = excerpts.choose(glances, self.settings.seconds, length)
        start = found[0].start if self.settings.at is None or path != self.settings.film else self.settings.at
        if start >= length:
            raise UsageError(f"--at {start:g}: {Path(path).name} lasts {length:g} s; choose an earlier time")
        longest = min(LONGEST, max(round(length, 1), 0.5))
        choices = [(f"{one.reason} · {clock(one.start)}", str(one.start)) for one in found]
        rate = f"{float(info.average_rate):g} frames a second, " if info.average_rate else ""
        return [
            path,
            f"**{name}** · {info.width}×{info.height}, {rate}{clock(length)}",
            gr.update(choices=choices, value=choices[0][1] if self.settings.at is None else None, visible=True),
            gr.update(maximum=max(round(length - 0.1, 1), start), value=start, visible=True),
            gr.update(maximum=longest, value=min(self.settings.seconds, longest), visible=True),
            gr.update(visible=True),
        ]

    def paint(
        self,
        film: str | None,
        start: float,
        seconds: float,
        row: float,
        *look_of: Any,
        progress: gr.Progress = _PROGRESS,
    ) -> tuple[str, str]:
        """Paint the excerpt; the box with the wipe, and what was measured."""
        if film is None:
            raise UsageError("choose a film or a photo first")
        plan = self.plan(film, start, seconds, look_of)
        with self.desk.work() as check:

            def far(share: float, what: str) -> None:
                check()
                progress(share, desc={FILM: "reading the film", "flicker": "measuring"}.get(what, f"painting, {what}"))

            versions = self.darkroom.versions(plan, far)
            if ALONE not in versions:
                return wipe(versions), ""
                # Another row of the slices, or a control moved back: nothing to measure. The last film tells all three.
            key = versions[STEADY].path
            measured = self._measured[key] = self._measured.get(key) or flicker(versions, far)
            drawn = slices(versions, row, self.media)
        return wipe(versions), figures(plan, versions, measured, drawn)

    def command(self, film: str | None, name: str, *look_of: Any) -> str:
        """What to type for all of the film."""
        if film is None:
            return ""
        plan = self.whole(film, name, look_of)
        if self._is_upload(film):  # where it lies now is nowhere tomorrow
            plan = replace(plan, source=Path(film).name)
        return command(plan)

    def start(
        self,
        film: str | None,
        name: str,
        *look_of: Any,
        progress: gr.Progress = _PROGRESS,
    ) -> str:
        """Paint all of it."""
        if film is None:
            raise UsageError("choose a film or a photo first")
        plan = self.whole(film, name, look_of)
        done, total = 0, 0

        with self.desk.work() as check:

            def begin(video: Source, plan: RenderPlan) -> None:
                nonlocal total
                total = video.info.frame_count or 0

            def step(frame: Frame) -> None:
                nonlocal done
                check()
                done += 1
                progress((done, max(total, done)), desc="painting the whole film", unit="frames")

            try:
                report = render(plan, on_start=begin, on_frame=step)
            except Stopped as stopped:
                raise Stopped(*getattr(stopped, "__notes__", [])) from stopped
        how = "" if is_picture(film) else f", {report.frames} frames, {report.fps:.1f} a second"
        lines = [f"**Done:** `{report.output}`{how}"]
        lines += [html.escape(warning) for warning in report.warnings]
        if self._is_upload(film):
            lines.append(f'<a href="/media/{offer(Path(report.output), self.media)}" download>Download it</a>')
        return "  \n".join(lines)

    def learn(
        self,
        painting: str | None,
        name: str,
        minutes: float,
        film: str | None,
        on_film: bool,
        progress: gr.Progress = _PROGRESS,
    ) -> tuple[str, str, Any, Any]:
        """Learn a painting; what to say of it, its sheet of samples, and the styles there are now."""
        from videostyle.train.learn import learn

        if painting is None:
            raise UsageError("choose a picture of the painting first")
        name = name.strip() or Path(painting).stem
        plan = LearnPlan(
            Painting(name, Path(painting)),
            styles_folder() / f"{name}.safetensors",
            content=Path(film) if on_film and film and not is_picture(film) else None,
            minutes=minutes,
        )
        began = time.monotonic()
        with self.desk.work() as check:

            def log(line: str) -> None:
                check()
                progress(min((time.monotonic() - began) / (60 * minutes), 0.99), desc=line)

            try:
                style = learn(plan, log)
            except Stopped as stopped:
                raise Stopped("with the same picture and name it goes on from here") from stopped
        sheet = offer(style.with_name(f"{style.stem}-samples.jpg"), self.media)
        shown = f'<img src="/media/{sheet}" alt="samples of {html.escape(name)}">'
        choices = style_choices()
        return (
            f"**Learned:** it is now the style `{name}`.",
            shown,
            gr.update(choices=choices, value=name),
            gr.update(choices=[(NONE, NONE), *choices]),
        )

    def see(self, picture: np.ndarray | None, camera: Camera | None, *look_of: Any) -> tuple[str, Camera | None]:
        """Paint what the camera sees now."""
        plan = look(self.settings.base, *look_of)
        if picture is None:
            return "", camera
        if camera is None or camera.plan != plan:
            camera = Camera(plan)
        return f'<img class="live" src="{data_uri(camera(picture))}" alt="painted">', camera


def style_choices() -> list[tuple[str, str]]:
    """What people read and what `--style` takes, each name once."""
    entries = {entry.name: entry for entry in (*gallery(), *own_styles())}
    return [(", ".join(filter(None, (one.title, one.painter))) or one.name, one.name) for one in entries.values()]


def offer(path: Path, media: Path) -> str:
    """Let a file be fetched from /media: the rest of its address. It is linked where the disk allows, copied else."""
    name = f"{secrets.token_hex(8)}-{path.name}"
    try:
        os.link(path, media / name)
    except OSError:
        shutil.copyfile(path, media / name)
    return quote(name)
