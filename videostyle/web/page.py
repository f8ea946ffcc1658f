"""The page: a film, its settings, an excerpt painted side by side, and the command for all of it.

Imports Gradio; call `server.require_gradio` first.
"""

from __future__ import annotations

import html
import math
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import gradio as gr
import numpy as np

from videostyle import interrupt
from videostyle.errors import UsageError, VideostyleError
from videostyle.io import open_source
from videostyle.io.images import is_picture
from videostyle.io.names import painted_name
from videostyle.metrics.report import data_uri
from videostyle.pipeline import render
from videostyle.plan import RenderPlan, StabilizeOptions
from videostyle.text import plain, prose
from videostyle.timeline import Span
from videostyle.train.plan import LearnPlan, TrainingStyle
from videostyle.types import Frame, Source
from videostyle.web import excerpts
from videostyle.web.allowed_files import LARGEST, check_upload, key_of, listed, nameless, within
from videostyle.web.camera import Camera
from videostyle.web.command import command
from videostyle.web.html import figures, wipe
from videostyle.web.jobs import Desk, Job, OnWait, Stopped, visitor
from videostyle.web.preview import (
    ALONE,
    FILM,
    STEADY,
    Flicker,
    PreviewCache,
    clock,
    flicker,
    slices,
)
from videostyle.web.storage import Making, Media, Uploads
from videostyle.weights import gallery, models_folder, own_styles, read_manifest, styles_folder

P = ParamSpec("P")
T = TypeVar("T")

NONE, OWN_SIZE = "none", "the film's own"
SIZES = ("240", "360", "480", "720", "1080")
LONGEST = 15
"""Seconds of an excerpt."""
MINUTES = 60
"""Of learning a painting, at most."""
# Measurements that are remembered, and bytes of a file's name.
_MEASURED, _NAME = 64, 200
# Visitors whose cameras are painted; of one more, who has not sent a picture for longest begins anew.
_CAMERAS = 16


# Gradio looks for such a default and gives each call one of its own.
_PROGRESS = gr.Progress()


def as_gradio_error(function: Callable[P, T], folders: Sequence[Path] = ()) -> Callable[..., T]:
    """The same for Gradio to call: for the visitor who asks, its errors shown in one line that names no folder."""

    def call(request: gr.Request, *args: P.args, **kwargs: P.kwargs) -> T:
        whose = visitor.set((request and request.session_hash) or "")
        try:
            return function(*args, **kwargs)
        except VideostyleError as error:
            raise _shown(str(error), folders) from error
        except (Stopped, KeyboardInterrupt) as error:  # the latter where the whole server is to end
            raise _shown(str(error) or "nothing is kept", folders, title="Stopped") from error
        except Exception as error:
            told = plain(error)
            print(f"videostyle: unexpected {type(error).__name__}: {told}", file=sys.stderr, flush=True)
            raise _shown(f"unexpected {type(error).__name__}; the server's terminal says more", folders) from error
        finally:
            visitor.reset(whose)

    for name in ("__name__", "__qualname__", "__doc__"):
        setattr(call, name, getattr(function, name, name))
    return call


def _shown(text: str, folders: Sequence[Path], title: str = "Error") -> gr.Error:
    return gr.Error(html.escape(plain(nameless(text, folders))), title=title, print_exception=False)


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
    named: str | None = None
    """The film as it was named when the page was started, for the command."""
    at: float | None = None
    """Where the excerpt begins; None chooses."""
    seconds: float = 4.0
    minutes: float = 60.0
    """The longest upload."""
    largest: int = 0
    """The largest upload, in bytes; 0 allows none."""


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
        self.uploads = Uploads(settings.work / "gradio", settings.largest)
        self.media = Media(settings.work / "media")
        self.cache = PreviewCache(self.media.folder)
        self._making = Making(settings.work)
        self._measured: OrderedDict[Path, Flicker] = OrderedDict()
        self._cameras: OrderedDict[str, Camera] = OrderedDict()
        """By visitor, the last used last."""
        self._gone: set[str] = set()
        """Visitors who have left while something of theirs was at work."""

    @property
    def folders(self) -> list[Path]:
        """Those whose place on this computer is no page's business."""
        output = [] if self.settings.output is None else [self.settings.output.absolute()]
        film = [] if self.settings.film is None else [Path(self.settings.film).parent]
        return [self.settings.work, *self.settings.folders, *output, *film]

    def leave(self, name: str) -> None:
        """A visitor has left: end what they have asked for, and remove what only they needed."""
        self.desk.leave(name)
        self._cameras.pop(name, None)
        self._gone.add(name)
        self._settle()

    def _settle(self) -> None:
        for name in [name for name in self._gone if not self.desk.is_busy(name)]:
            self._gone.discard(name)
            self.media.leave(name)
            self.uploads.leave(name)
            self._making.leave(name)

    def sweep(self) -> None:
        """Remove what is too old; called again and again."""
        self.uploads.sweep()
        self._making.sweep()

    def close(self) -> None:
        """End everything, and remove what nobody will go on with."""
        self.desk.close()
        self._making.close()

    @contextmanager
    def _work(self, progress: gr.Progress, stays: bool = False) -> Iterator[Job]:
        """Wait for the work before, saying so; then do what the visitor has asked for."""
        try:
            with self.desk.work(_waiting(progress), stays=stays) as job, interrupt.also_if(job.is_ended):
                yield job
        finally:
            self._settle()

    def shelf(self) -> list[tuple[str, str]]:
        """The films and pictures in the folders: what people read, and what the page calls them."""
        return [(plain(Path(path).name), key_of(path)) for path in listed(self.settings.folders)]

    def plan(self, film: str, start: float, seconds: float, look_of: Sequence[Any]) -> RenderPlan:
        """An excerpt, to be painted as the controls say."""
        if _number("the beginning", start) < 0 or not 0 < _number("the length", seconds) <= LONGEST:
            raise UsageError(f"an excerpt begins in the film and lasts {LONGEST} seconds at most")
        begin = Fraction(str(round(start, 2)))
        span = Span() if is_picture(film) else Span(begin, begin + Fraction(str(round(seconds, 2))))
        return replace(self._look(look_of), source=film, span=span)

    def whole(self, film: str, name: str, look_of: Sequence[Any]) -> RenderPlan:
        """All of the film, to be painted as the controls say."""
        plan = replace(self._look(look_of), source=film)
        name = _file_name(name)
        return replace(plan, output=str(self._folder(film) / (name or painted_name(film, plan.style.label))))

    def _look(self, look_of: Sequence[Any]) -> RenderPlan:
        """What the controls ask for, none of it but what they offer."""
        base = self.settings.base
        style, second, share, strength, keep_colors, brush, network, steady, size = look_of
        offered = [*(name for _, name in style_choices()), *base.style.names, NONE]
        for one in (style, second):
            if one not in offered:
                raise UsageError(f"no style named {plain(one, 80)!r} is offered here")
        if size not in (OWN_SIZE, base.size, *SIZES):
            raise UsageError(f"{plain(size, 80)!r} is no size that is offered here")
        if network not in [*read_manifest(models_folder())[0], base.style.network]:
            raise UsageError(f"no network named {plain(network, 80)!r} is offered here")
        weight = _number("the share", share)
        if not 0 <= weight <= 1:
            raise UsageError("the share of the second painting is between 0 and 1")
        much, large, amount = _number("strength", strength), _number("brush", brush), _number("steadiness", steady)
        return look(base, style, second, weight, much, bool(keep_colors), large, network, amount, size)

    def _folder(self, film: str) -> Path:
        return self.settings.output or (Path.cwd() if self._is_upload(film) else Path(film).parent)

    def _is_upload(self, film: str) -> bool:
        return Path(film).is_relative_to(self.settings.work.resolve())

    def _allowed(self, path: str) -> str:
        """The file that a page may open by this name: the page's own, one of the list, in the folders, or uploaded."""
        if path == self.settings.film:
            return path
        if self.settings.film is not None:
            raise UsageError("this page shows one film only")
        path = {key_of(one): one for one in listed(self.settings.folders)}.get(path, path)
        real = Path(path).resolve()
        if self._is_upload(str(real)):
            if not self.uploads.is_one(real):
                raise UsageError(f"{real.name}: was not uploaded here, or is not here any more; upload it again")
            within(real, [self.settings.work])
            check_upload(real, self.settings.minutes)
            return str(real)
        return str(within(path, self.settings.folders))

    # Each of these is called by Gradio, in a thread of its own.

    def open(self, path: str | None, progress: gr.Progress = _PROGRESS) -> list[Any]:
        """Take up a film: what it is, and where its excerpts are."""
        if not path:
            return [None, "", gr.update(visible=False), *[gr.update()] * 3, *self._buttons(False)]
        path = self._allowed(path)
        with open_source(path) as film:
            info = film.info
        name = prose(Path(path).name)
        if is_picture(path):
            about = f"**{name}** · {info.width}×{info.height}"
            return [path, about, *[gr.update(visible=False)] * 4, *self._buttons(True)]
        progress(0, desc="looking for telling moments")
        with self._work(progress) as job:

            def far(share: float) -> None:
                job.check()
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
            *self._buttons(True),
        ]

    def _buttons(self, is_open: bool) -> list[Any]:
        """Those that paint, which do nothing before something is open."""
        return [gr.update(interactive=is_open)] * 2

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
        plan = self._look(look_of)
        if film is None:
            return unopened(plan.style.label), ""
        plan = self.plan(film, start, seconds, look_of)
        if not 0 <= _number("the row", row) <= 1:
            raise UsageError("the row of the slices is between 0, the top, and 1")
        with self._work(progress) as job:

            def far(share: float, what: str) -> None:
                job.check()
                progress(share, desc={FILM: "reading the film", "flicker": "measuring"}.get(what, f"painting, {what}"))

            versions = self.cache.versions(plan, far)
            paths = [one.path for one in versions.values()]
            if ALONE not in versions:
                self.media.show(visitor.get(), "excerpt", paths)
                return wipe(versions), ""
            # Another row of the slices, or a control moved back: nothing to measure. The last film tells all three.
            key = versions[STEADY].path
            measured = self._measured.pop(key, None) or flicker(versions, far)
            self._measured[key] = measured
            while len(self._measured) > _MEASURED:
                self._measured.popitem(last=False)
            drawn = slices(versions, row, self.media.folder)
            self.media.show(visitor.get(), "excerpt", [*paths, *drawn.values()])
        return wipe(versions), figures(plan, versions, measured, drawn)

    def command(self, film: str | None, name: str, *look_of: Any) -> str:
        """What to type for all of the film."""
        if film is None:
            return ""
        plan = self.whole(film, name, look_of)
        output = Path(plan.output).name
        if self.settings.film is None:
            # Where it lies is this computer's business, or nowhere tomorrow: the command is for the folder it is in.
            plan = replace(plan, source=_relative(Path(film).name), output=_relative(output))
        else:
            source = self.settings.named or film
            plan = replace(
                plan, source=source, output=_relative(str((self.settings.output or Path(source).parent) / output))
            )
        return command(plan)

    def start(
        self,
        film: str | None,
        name: str,
        stays: bool,
        *look_of: Any,
        progress: gr.Progress = _PROGRESS,
    ) -> str:
        """Paint all of it; with `stays` it goes on when the visitor has left."""
        if film is None:
            raise UsageError("choose a film or a photo first")
        plan = self.whole(film, name, look_of)
        done, total = 0, 0

        with self._work(progress, bool(stays)) as job, self._making.film(Path(plan.output).absolute()):

            def begin(video: Source, plan: RenderPlan) -> None:
                nonlocal total
                total = video.info.frame_count or 0
                progress((0, max(total, 1)), desc="painting the whole film", unit="frames")

            def step(frame: Frame) -> None:
                nonlocal done
                job.check()
                done += 1
                progress((done, max(total, done)), desc="painting the whole film", unit="frames")

            try:
                report = render(plan, on_start=begin, on_frame=step)
            except (Stopped, KeyboardInterrupt) as stopped:
                raise Stopped(*_kept(stopped, job)) from stopped
            # Before the visitor's leaving is looked at: of one who has left, nothing is kept to be shown.
            where = self.media.offer(Path(report.output), visitor.get(), "film") if self._is_upload(film) else ""
        how = "" if is_picture(film) else f", {report.frames} frames, {report.fps:.1f} a second"
        lines = [f"**Done:** {prose(Path(report.output).name)}{how}"]
        lines += [prose(nameless(warning, self.folders)) for warning in report.warnings]
        if where:
            lines.append(f'<a href="/media/{where}" download>Download it</a>')
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
        picture = Path(painting).resolve()
        if not self.uploads.is_one(picture):
            raise UsageError(f"{picture.name}: was not uploaded here, or is not here any more; upload it again")
        if is_picture(str(picture)):
            check_upload(picture, self.settings.minutes)
        if not 0 < _number("the time", minutes) <= MINUTES:
            raise UsageError(f"a painting is learned in up to {MINUTES} minutes")
        name = name.strip() or picture.stem
        plan = LearnPlan(
            TrainingStyle(name, picture),
            styles_folder() / f"{name}.safetensors",
            content=Path(film) if on_film and film and not is_picture(film) else None,
            minutes=minutes,
        )
        began = time.monotonic()
        with self._work(progress) as job, self._making.style(plan.output, visitor.get()):

            def log(line: str) -> None:
                job.check()
                share = min((time.monotonic() - began) / (60 * minutes), 0.99)
                progress(share, desc=plain(nameless(line, self.folders)))

            try:
                style = learn(plan, log)
            except (Stopped, KeyboardInterrupt) as stopped:
                raise Stopped("with the same picture and name it goes on from here") from stopped
            sheet = self.media.offer(style.with_name(f"{style.stem}-samples.jpg"), visitor.get(), "sheet")
        shown = f'<img src="/media/{sheet}" alt="samples of {html.escape(name)}">'
        choices = style_choices()
        return (
            f"**Learned:** it is now the style {prose(name)}.",
            shown,
            gr.update(choices=choices, value=name),
            gr.update(choices=[(NONE, NONE), *choices]),
        )

    def see(self, picture: np.ndarray | None, *look_of: Any) -> str:
        """Paint what the camera sees now."""
        plan = self._look(look_of)
        if picture is None:
            return ""
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.shape[0] * picture.shape[1] > LARGEST:
            raise UsageError("that is no picture of a camera")
        camera = self._cameras.pop(visitor.get(), None)
        if camera is None or camera.plan != plan:
            camera = Camera(plan)
        self._cameras[visitor.get()] = camera
        while len(self._cameras) > _CAMERAS:
            self._cameras.popitem(last=False)
        return f'<img class="live" src="{data_uri(camera(picture))}" alt="painted">'


def style_choices() -> list[tuple[str, str]]:
    """What people read and what `--style` takes, each name once."""
    entries = {entry.name: entry for entry in (*gallery(), *own_styles())}
    return [(", ".join(filter(None, (one.title, one.painter))) or one.name, one.name) for one in entries.values()]


def unopened(label: str) -> str:
    """What is shown in place of a painting before a film is open."""
    return f'<div class="empty">Open a film or a photo, and it is painted here: {prose(label)}.</div>'


def _waiting(progress: gr.Progress) -> OnWait:
    def told(before: int, seconds: float) -> None:
        jobs = "1 job is" if before == 1 else f"{before} jobs are"
        progress(0, desc=f"waiting for {seconds:.0f} s: {jobs} before this one")

    return told


def _kept(stopped: BaseException, job: Job) -> list[str]:
    """What is said of what was painted so far; what nobody waits for any more is removed."""
    notes: list[str] = getattr(stopped, "__notes__", [])
    if not job.is_left:
        return notes
    for note in notes:
        path = Path(note.partition(" is in ")[2])
        if path.name and path.is_file():
            path.unlink(missing_ok=True)
    return []


def _number(what: str, value: object) -> float:
    """`value`, which came from a page and need not be what its control gives."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"{what} is no number: {plain(value, 80)!r}")
    return float(value)


def _file_name(name: object) -> str:
    """A plain file name as a page gave it, or nothing."""
    if not isinstance(name, str):
        raise UsageError("the name of the painted film is no text")
    if Path(name).name != name or name.startswith(".") or plain(name, _NAME) != name:
        raise UsageError(
            f"{plain(name, 80)}: is not a plain file name; where it goes was settled when the page was started"
        )
    if len(os.fsencode(name)) > _NAME:
        raise UsageError(f"{plain(name, 80)}: is too long for a file; {_NAME} letters are allowed")
    return name


def _relative(path: str) -> str:
    # Not to be taken for an option.
    return f"./{path}" if path.startswith("-") else path
