"""Layout of the page, and the functions of its controls. Imports Gradio; call `server.require_gradio` first."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from videostyle.errors import UsageError
from videostyle.plan import RenderPlan
from videostyle.settings import disassemble, settings_of
from videostyle.style import Blend
from videostyle.timeline import Timeline
from videostyle.web.controls import LONGEST, NONE, OWN_SIZE, SETTINGS, SIZES, style_choices
from videostyle.web.gradio_errors import as_gradio_error
from videostyle.web.html import thumbnails
from videostyle.web.page import Page
from videostyle.weights import models_folder, read_manifest

# The page's own job queue runs one job at a time, and shows how many wait.
_QUEUED: dict[str, Any] = {"concurrency_limit": None, "api_visibility": "private"}
_QUIET: dict[str, Any] = {"show_progress": "hidden", "queue": False, "api_visibility": "private"}
_PICK = """element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) trigger("click", { name: button.dataset.name });
});"""
_PROGRESS_HEIGHT = 64
"""Height of a progress bar and its text, in pixels."""
_EMPTY = '<div class="empty">{}</div>'


def build(page: Page) -> gr.Blocks:
    """Build the page."""
    settings = page.settings
    with gr.Blocks(title="videostyle preview", analytics_enabled=False) as blocks:
        film = gr.State(None)
        with gr.Row():
            with gr.Column(scale=1, min_width=300, elem_classes="settings"):
                gr.Markdown("# videostyle preview")
                controls, picked = _controls(settings.base, page.sessions.media.folder)
            with gr.Column(scale=3, min_width=520):
                _film(page, film, controls, picked, blocks)
    return blocks


def _controls(base: RenderPlan, media: Path) -> tuple[list[Any], Any]:
    """Make the controls, in the order that `controls.look` takes, and the event of picking a style by its thumbnail."""
    first, second, share, strong = _constant(base)
    choices = style_choices()
    choices += [(name, name) for name in (first, second) if name not in {*dict(choices).values(), NONE}]
    style = gr.Dropdown(choices, value=first, label="Painting", elem_id="style")
    shown = gr.HTML(thumbnails(base.style.network, media), js_on_load=_PICK, elem_id="thumbnails")
    other = gr.Dropdown([(NONE, NONE), *choices], value=second, label="Blended with")
    weight = gr.Slider(0, 1, share, step=0.05, label="Share of the second painting", visible=second != NONE)
    other.change(lambda name: gr.update(visible=name != NONE), other, weight, **_QUIET)
    offered = {
        "network": list(read_manifest(models_folder())[0]),
        "size": list(dict.fromkeys([OWN_SIZE, base.size or OWN_SIZE, *SIZES])),
    }
    values = {**disassemble(base), "strength": strong, "size": base.size or OWN_SIZE}
    made = [_control(name, values[name], offered.get(name)) for name in SETTINGS]
    picked = shown.click(_picked, outputs=style, **_QUIET)
    return [style, other, weight, *made], picked


def _control(name: str, value: Any, choices: list[str] | None) -> Any:
    """Make the control of a setting from its field; `choices` are offered for a setting that takes other texts, too."""
    declared = settings_of(RenderPlan)[name]
    # The help's first clause; the rest is about how the command line writes the value.
    about: dict[str, Any] = {
        "label": declared.label,
        "info": re.split(r"[;:] ", declared.help)[0],
        "elem_id": name.replace("_", "-"),
    }
    if declared.kind is bool:
        return gr.Checkbox(value, **about)
    if declared.low is not None and declared.high is not None:
        step = declared.step or (declared.high - declared.low) / 20
        return gr.Slider(declared.low, declared.high, value, step=step, **about)
    offered = choices or list(declared.choices() if declared.choices else ())
    return gr.Dropdown(offered, value=value, **about) if len(offered) > 4 else gr.Radio(offered, value=value, **about)


def _picked(event: gr.EventData) -> str:
    return str(event.name)


def _constant(base: RenderPlan) -> tuple[str, str, float, float]:
    """Return both styles, the second's share, and the strength; raise UsageError for values that change over time."""
    style = base.style
    if isinstance(style.blend, Timeline) or isinstance(style.strength, Timeline):
        raise UsageError("the page shows one look at a time: give --style and --strength without times")
    blend: Blend = style.blend
    if len(blend) > 2:
        raise UsageError(f"the page blends two paintings at most, got {len(blend)}")
    total = sum(weight for _, weight in blend)
    if len(blend) == 1:
        return blend[0][0], NONE, 0.5, style.strength
    return blend[0][0], blend[1][0], blend[1][1] / total, style.strength


def _film(page: Page, film: Any, controls: list[Any], picked: Any, blocks: Any) -> None:
    """Make the film, its excerpt, the measurements, and the whole film."""
    settings, call = page.settings, partial(as_gradio_error, folders=page.folders)
    # Boxes that show progress need a text and a height.
    about = gr.Markdown("Looking at the film…", elem_id="about", min_height=_PROGRESS_HEIGHT, container=True)
    shown = gr.HTML(
        _EMPTY.format("The film, painted frame by frame, and stabilised will be here side by side."),
        js_on_load=(Path(__file__).parent / "wipe.js").read_text(encoding="utf-8"),
        elem_id="wipe",
    )
    # The picture stays in view while the excerpt is painted: progress has a place of its own.
    status = gr.Markdown("", elem_id="status", min_height=_PROGRESS_HEIGHT)
    moments = gr.Radio([], label="Telling moments", visible=False, elem_id="moments")
    with gr.Row():
        start = gr.Slider(0, 1, 0, step=0.1, label="Excerpt from, seconds", visible=False)
        seconds = gr.Slider(0.5, LONGEST, settings.seconds, step=0.5, label="for, seconds", visible=False)
    paint = gr.Button("Paint the excerpt", elem_id="paint", interactive=False)
    name = gr.Textbox(
        label="Name of the painted film", placeholder="the film's name with the painting's", elem_id="name"
    )
    with gr.Row():
        show = gr.Button("Show the command", elem_id="show")
        start_all = gr.Button("Paint the whole film", variant="primary", elem_id="start", interactive=False)
        stop = gr.Button("Stop", variant="stop", elem_id="stop")
    stays = gr.Checkbox(False, label="Go on painting the whole film when I leave this page", elem_id="stays")
    line = gr.Textbox(
        label="The same on the command line", visible=False, interactive=False, buttons=["copy"], elem_id="command"
    )
    done = gr.Markdown(
        "The whole film is not painted yet.", elem_id="done", min_height=_PROGRESS_HEIGHT, container=True
    )
    with gr.Accordion("Cost, and flicker", open=False, elem_id="measures") as measures:
        measurements = gr.HTML(elem_id="figures")
        row = gr.Slider(0, 1, 0.5, step=0.01, label="Row of the slices, from the top", elem_id="row")

    opened = [film, about, moments, start, seconds, measures, paint, start_all]
    excerpt = [film, start, seconds, row, *controls]
    whole = [film, name, *controls]
    work: dict[str, Any] = {"fn": call(page.paint), "inputs": excerpt, "outputs": [shown, measurements], **_QUEUED}
    work["show_progress_on"] = status
    still: dict[str, Any] = {"fn": call(page.still), "inputs": [film, start, seconds, *controls], "outputs": shown}
    glance: dict[str, Any] = {"fn": call(page.glance), "outputs": shown}
    for quick in (still, glance):
        quick |= {"show_progress": "hidden", "concurrency_limit": 1, "api_visibility": "private"}
    command: dict[str, Any] = {"fn": call(page.command), "inputs": whole, "outputs": line, **_QUIET}
    only = gr.State(settings.film)
    seen = blocks.load(inputs=[only, *controls], **glance)
    first = seen.then(call(page.open), only, opened, show_progress_on=about, **_QUEUED)
    first.success(**work).then(**command)
    moments.input(lambda at: float(at), moments, start, **_QUIET).then(**still).then(**work)
    # A released slider or a choice renders at once; of several changes meanwhile, the last counts.
    sliders = [one.release for one in [start, seconds, *controls] if isinstance(one, gr.Slider)]
    others = [one.input for one in controls if not isinstance(one, gr.Slider)]
    gr.on([*sliders, *others], trigger_mode="always_last", **still)
    gr.on([paint.click, row.release, *sliders, *others], trigger_mode="always_last", **work)
    picked.success(**still).then(**work)
    gr.on([one.change for one in [name, *controls]], **command)
    show.click(**command).then(lambda: gr.update(visible=True), None, line, **_QUIET)
    start_all.click(call(page.start), [film, name, stays, *controls], done, show_progress_on=done, **_QUEUED)
    stop.click(call(page.sessions.job_queue.stop), **_QUIET)
