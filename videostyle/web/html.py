"""HTML of the page: the versions of an excerpt on top of each other, their measurements, and the style thumbnails."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import cv2

from videostyle.io import open_source
from videostyle.io.images import is_picture
from videostyle.metrics.report import chart
from videostyle.metrics.side_by_side import Flicker
from videostyle.plan import RenderPlan
from videostyle.text import escape_markup
from videostyle.web.preview import FRAME_BY_FRAME, STABILIZED, Version, estimate
from videostyle.weights import gallery

_THUMBNAIL = (192, 108)


def wipe(versions: dict[str, Version]) -> str:
    """Return the versions on top of each other, with a border that can be moved; `wipe.js` moves it."""
    names = list(versions)
    with open_source(str(next(iter(versions.values())).path)) as film:
        width, height = film.info.width, film.info.height
    layers = []
    for name, version in versions.items():
        where = f'class="layer" data-version="{name}" src="/media/{version.path.name}"'
        layers.append(
            f'<img {where} alt="{name}">'
            if is_picture(version.path.name)
            else f"<video {where} muted playsinline></video>"
        )
    pairs = [(names[0], names[-1])]
    if len(names) > 2:
        pairs += [(names[1], names[-1]), (names[0], names[1])]
    buttons = "".join(
        f'<button data-left="{left}" data-right="{right}">{left} | {right}</button>' for left, right in pairs
    )
    films = len(names) > 2
    play = (
        '<button class="play">Pause</button><input class="seek" type="range" max="1000" aria-label="time">'
        if films
        else ""
    )
    return (
        f'<div class="wipe" style="aspect-ratio: {width} / {height}; max-height: 68vh">{"".join(layers)}'
        '<div class="handle"></div><span class="name left"></span><span class="name right"></span>'
        '<input class="at" type="range" min="0" max="100" step="0.1" value="50" aria-label="border"></div>'
        f'<div class="bar">{play}{buttons}<button class="all">side by side</button></div>'
    )


def no_film(label: str) -> str:
    """Return the text that is shown in place of an excerpt before a film is open."""
    return f'<div class="empty">Open a film or a photo, and it is painted here: {escape_markup(label)}.</div>'


def figures(plan: RenderPlan, versions: dict[str, Version], measured: Flicker, drawn: dict[str, Path]) -> str:
    """Return an estimate for the whole film, the excerpt's flicker over time, and its slices."""
    whole = estimate(versions[STABILIZED], plan)
    means = measured.means()
    facts = [
        ("whole film, about", whole.time),
        ("file, about", whole.size),
        ("painted", f"{1 / versions[STABILIZED].seconds:.1f} frames/s"),
    ]
    if means[FRAME_BY_FRAME] > 0:
        facts.append(("flicker left", f"{means[STABILIZED] / means[FRAME_BY_FRAME]:.0%}"))
    boxes = "".join(f"<div><b>{value}</b><span>{name}</span></div>" for name, value in facts)
    curve = chart("Flicker: warping error ×1000 from frame to frame", measured.times, measured.errors, measured.cuts)
    strips = "".join(
        f'<figure><img src="/media/{path.name}" alt="slice, {name}"><figcaption>{name}</figcaption></figure>'
        for name, path in drawn.items()
    )
    return (
        f'<div class="figures"><div class="facts">{boxes}</div>{curve}'
        "<p>Lower is less flicker; the film's own curve is the floor. Dashed lines are cuts.</p>"
        f'<div class="slices">{strips}</div>'
        "<p>One row of pixels, time running downwards: smooth threads are stable, frayed ones flicker.</p></div>"
    )


def thumbnails(network: str, media: Path) -> str:
    """Return a button with a small picture for each style whose card has a picture."""
    buttons = []
    folder = media / "styles"
    folder.mkdir(exist_ok=True)
    for entry in gallery():
        card = entry.file.with_suffix(".jpg")
        picture = cv2.imread(str(card)) if entry.network == network and card.is_file() else None
        if picture is not None:
            name, title = escape_markup(entry.name), escape_markup(f"{entry.title}, {entry.painter}")
            cv2.imwrite(
                str(folder / f"{entry.name}.jpg"), cv2.resize(picture, _THUMBNAIL, interpolation=cv2.INTER_AREA)
            )
            buttons.append(
                f'<button data-name="{name}" title="{title}">'
                f'<img src="/media/styles/{quote(entry.name)}.jpg" alt="{title}"></button>'
            )
    return f'<div class="thumbnails">{"".join(buttons)}</div>'
