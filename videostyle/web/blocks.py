"""Layout of the page, and the functions of its controls. Imports Gradio; call `server.require_gradio` first."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from videostyle.errors import UsageError
from videostyle.io.images import EXTENSIONS
from videostyle.io.names import FILMS
from videostyle.plan import RenderPlan
from videostyle.settings import disassemble, settings_of
from videostyle.style import Blend
from videostyle.timeline import Timeline
from videostyle.web.controls import LONGEST, NONE, OWN_SIZE, SETTINGS, SIZES, style_choices
from videostyle.web.gradio_errors import as_gradio_error
from videostyle.web.html import thumbnails
from videostyle.web.learning import MINUTES
from videostyle.web.page import Page
from videostyle.weights import models_folder, read_manifest

# The page's own job queue runs one job at a time, and shows how many wait.
_QUEUED: dict[str, Any] = {"concurrency_limit": None, "api_visibility": "private"}
_QUIET: dict[str, Any] = {"show_progress": "hidden", "queue": False, "api_visibility": "private"}
_PICK = """element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) trigger("click", { name: button.dataset.name });
});"""
_WATCHED = 3
"""Seconds between two looks at the samples of a painting that is being learned."""
_PROGRESS_HEIGHT = 64
"""Height of a progress bar and its text, in pixels."""
_EMPTY = '<div class="empty">{}</div>'


def build(page: Page) -> gr.Blocks:
    """Build the page for one film (`settings.film`), or the studio, where films, photos and paintings are uploaded."""
    settings = page.settings
    studio = settings.film is None
    title = "videostyle studio" if studio else "videostyle preview"
    with gr.Blocks(title=title, analytics_enabled=False) as blocks:
        film = gr.State(None)
        with gr.Row():
            with gr.Column(scale=1, min_width=300, elem_classes="settings"):
                gr.Markdown(f"# {title}")
                controls, picked = _controls(settings.base, page.sessions.media.folder)
            with gr.Column(scale=3, min_width=520):
                if studio:
                    with gr.Tabs():
                        with gr.Tab("Film or photo"):
                            work = _film_tab(page, film, controls, picked, blocks)
                        with gr.Tab("Learn a painting"):
                            _learning_tab(page, film, controls, work)
                        with gr.Tab("Camera"):
                            _camera_tab(page, controls)
                else:
                    _film_tab(page, film, controls, picked, blocks)
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


def _film_tab(page: Page, film: Any, controls: list[Any], picked: Any, blocks: Any) -> dict[str, Any]:
    """Make the tab with the film, its excerpt, the measurements, and the whole film.

    Return the arguments of an event that paints the excerpt.
    """
    settings, call = page.settings, partial(as_gradio_error, folders=page.files.folders)
    if settings.film is None:
        with gr.Row():
            limits = f"up to {settings.largest / 1e6:g} MB and {settings.minutes:g} minutes"
            upload = gr.File(
                label=f"A film or a photo, {limits}", file_types=[*FILMS, *EXTENSIONS], height=120, elem_id="upload"
            )
            listed = page.files.choices()
            if listed:
                chooser = gr.Dropdown(listed, value=None, label="or one that is here already", elem_id="listed")
    # Boxes that show progress need a text and a height.
    about = gr.Markdown(
        "Choose a film or a photo." if settings.film is None else "Looking at the film…",
        elem_id="about",
        min_height=_PROGRESS_HEIGHT,
        container=True,
    )
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
    if settings.film is None:
        seen = upload.upload(inputs=[upload, *controls], **glance)
        chosen = seen.then(call(page.open), upload, opened, show_progress_on=about, **_QUEUED)
        chosen.success(**work).then(**command)
        if listed:
            seen = chooser.input(inputs=[chooser, *controls], **glance)
            taken = seen.then(call(page.open), chooser, opened, show_progress_on=about, **_QUEUED)
            taken.success(**work).then(**command)
    else:
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
    return work


def _learning_tab(page: Page, film: Any, controls: list[Any], work: dict[str, Any]) -> None:
    """Make the tab that learns a painting of the visitor's own; `work` paints the excerpt, in every new style."""
    gr.Markdown(
        "A picture of a painting is painted with at once, by a prediction of its style. Learned, it becomes a style of "
        "your own, a file of a few kilobytes; how it gets nearer is shown below. Ten minutes are enough; stopped, it "
        "goes on where it was when the same picture and name are given again."
    )
    with gr.Row():
        # The picture stays as it was uploaded: its size is checked before it is decoded.
        painting = gr.Image(
            type="filepath",
            image_mode=None,
            sources=["upload", "clipboard"],
            format="png",
            label="The painting",
            height=260,
            elem_id="painting",
        )
        with gr.Column():
            name = gr.Textbox(label="Name", placeholder="the file's own", elem_id="new-name")
            minutes = gr.Slider(1, MINUTES, 10, step=1, label="Minutes")
            on_film = gr.Checkbox(True, label="Learn on the film that is open: best for that film")
            with gr.Row():
                go = gr.Button("Learn it", variant="primary")
                stop = gr.Button("Stop", variant="stop")
    said = gr.Markdown("Nothing is learned yet.", elem_id="said", min_height=_PROGRESS_HEIGHT, container=True)
    sheet = gr.HTML(elem_id="sheet")
    call = partial(as_gradio_error, folders=page.files.folders)
    styles, network = controls[:2], controls[3 + SETTINGS.index("network")]
    # This request registers the upload as the visitor's, too, so that it is kept.
    dropped = painting.upload(
        call(page.learning.predict), [painting, network], [said, *styles], show_progress_on=said, **_QUEUED
    )
    dropped.success(**work)
    watch = gr.Timer(_WATCHED, active=False)
    watch.tick(call(page.learning.latest), None, sheet, **_QUIET)
    go.click(lambda: gr.Timer(active=True), None, watch, **_QUIET)
    learned = go.click(
        call(page.learning.learn),
        [painting, name, minutes, film, on_film],
        [said, sheet, *styles],
        show_progress_on=said,
        **_QUEUED,
    )
    learned.then(lambda: gr.Timer(active=False), None, watch, **_QUIET)
    learned.success(**work)
    stop.click(call(page.sessions.job_queue.stop), **_QUIET)


def _camera_tab(page: Page, controls: list[Any]) -> None:
    """Make the tab that stylizes the browser's camera."""
    gr.Markdown("Painted on this computer as the browser sends it, and stabilised; nothing is kept.")
    with gr.Row():
        seen = gr.Image(sources="webcam", streaming=True, type="numpy", label="Camera", elem_id="camera")
        painted = gr.HTML(_EMPTY.format("Painted"), elem_id="painted")
    seen.stream(
        as_gradio_error(page.camera.see, page.files.folders),
        [seen, *controls],
        painted,
        stream_every=0.1,
        concurrency_limit=1,
        show_progress="hidden",
        api_visibility="private",
    )
