"""The page's tab that learns a painting as a new style. Imports Gradio; call `server.require_gradio` first."""

from __future__ import annotations

import html
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from videostyle.errors import UsageError
from videostyle.io.images import is_picture
from videostyle.progress import Progress
from videostyle.text import escape_markup, sanitize_line
from videostyle.train.plan import LearnPlan, TrainingStyle
from videostyle.web.controls import NONE, checked_number, style_choices
from videostyle.web.jobs import Stopped, visitor
from videostyle.web.page_files import PageFiles
from videostyle.web.sessions import Sessions, shown_in
from videostyle.weights import load_network, predict_code, predictor_digest, styles_folder


@dataclass(slots=True)
class _Sheet:
    """Sheet of samples that a run of `learn` rewrites."""

    path: Path
    shown: int
    """Time of the version that is shown, in nanoseconds since the epoch."""


MINUTES = 60
"""Longest time for learning a painting, in minutes."""
# Gradio looks for such a default and gives each call one of its own.
_PROGRESS = gr.Progress()


class LearningTab:
    """Learns uploaded paintings as styles of the user."""

    def __init__(self, files: PageFiles, sessions: Sessions) -> None:
        self._files = files
        self._sessions = sessions
        self._running: dict[str, _Sheet] = {}
        """The sheets of samples of the visitors who are learning."""

    def predict(self, painting: str | None, network: str, progress: gr.Progress = _PROGRESS) -> tuple[str, Any, Any]:
        """Predict the code of a painting; return a message, and the new choices of both styles with the painting."""
        if painting is None:
            return "Nothing is learned yet.", gr.skip(), gr.skip()
        picture = self._files.resolve_painting(painting)
        if predictor_digest(network) is None:
            return f"The network {escape_markup(network)} predicts no styles: learn this one.", gr.skip(), gr.skip()
        with self._sessions.job(progress):
            predict_code(picture, load_network(network))
        choices = [(f"{picture.stem}, predicted", str(picture)), *style_choices()]
        return (
            f"**Predicted:** {escape_markup(picture.stem)} is the painting now. Learning brings it nearer.",
            gr.update(choices=choices, value=str(picture)),
            gr.update(choices=[(NONE, NONE), *choices]),
        )

    def latest(self) -> Any:
        """Return the sheet of samples of what the visitor is learning, as HTML, where it has changed."""
        sheet = self._running.get(visitor.get())
        try:
            changed = sheet.path.stat().st_mtime_ns if sheet is not None else 0
        except OSError:  # none is written yet
            return gr.skip()
        if sheet is None or changed <= sheet.shown:
            return gr.skip()
        sheet.shown = changed
        return self._html(sheet.path)

    def _html(self, samples: Path) -> str:
        sheet = self._sessions.media.publish(samples, visitor.get(), "sheet")
        return f'<img src="/media/{sheet}" alt="samples of {html.escape(samples.stem.removesuffix("-samples"))}">'

    def learn(
        self,
        painting: str | None,
        name: str,
        minutes: float,
        film: str | None,
        on_film: bool,
        progress: gr.Progress = _PROGRESS,
    ) -> tuple[str, str, Any, Any]:
        """Learn a painting; return a message, the sheet of samples, and the new choices of both styles."""
        from videostyle.train.learn import learn, samples_path

        if painting is None:
            raise UsageError("choose a picture of the painting first")
        picture = self._files.resolve_painting(painting)
        if not 0 < checked_number("the time", minutes) <= MINUTES:
            raise UsageError(f"a painting is learned in up to {MINUTES} minutes")
        name = name.strip() or picture.stem
        plan = LearnPlan(
            TrainingStyle(name, picture),
            styles_folder() / f"{name}.safetensors",
            content=Path(film) if on_film and film and not is_picture(film) else None,
            minutes=minutes,
        )
        began = time.monotonic()
        samples = samples_path(plan.output)
        with self._sessions.job(progress) as job, self._sessions.pending.style(plan.output, visitor.get()):
            show = shown_in(progress, job)

            def show_time(now: Progress) -> None:
                # The time for everything is a better measure than the steps of one stage.
                done = min(time.monotonic() - began, 59.4 * minutes)
                show(replace(now, done=done, total=60 * minutes, unit="", note=sanitize_line(now.note)))

            # A sheet that is there already is of an earlier style of this name.
            self._running[visitor.get()] = _Sheet(samples, time.time_ns())
            try:
                learn(plan, show_time)
            except (Stopped, KeyboardInterrupt) as stopped:
                raise Stopped("with the same picture and name it goes on from here") from stopped
            finally:
                del self._running[visitor.get()]
            shown = self._html(samples)
        choices = style_choices()
        return (
            f"**Learned:** it is now the style {escape_markup(name)}.",
            shown,
            gr.update(choices=choices, value=name),
            gr.update(choices=[(NONE, NONE), *choices]),
        )
