"""HTML report of an evaluation, one file for readers who do not know the terms: no scripts, no external resources."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from videostyle.metrics.figures import ratio
from videostyle.metrics.probes import Probes
from videostyle.metrics.scores import FILM, REFERENCE, STYLIZED, Evaluation, WorstMoment
from videostyle.text import sanitize, sanitize_line

# Limits at which `findings` warns, chosen by eye: without a quarter of the finest detail's energy, a film looks blurred
# beside the reference, and a ghost of a tenth of an old picture is visible.
_BLURRED, _FROZEN, _LEFT_OVER, _BELOW_FILM = 0.75, 0.5, 0.1, 0.7


def findings(evaluation: Evaluation, probes: Probes | None = None) -> list[str]:
    """Describe the scores in sentences for readers; the first is about temporal stability."""
    found = list(_stability(evaluation)) + list(_costs(evaluation))
    if probes is not None:
        found += list(_probe_findings(probes))
    return found


def _stability(evaluation: Evaluation) -> Iterator[str]:
    scores, kept = evaluation.scores, evaluation.kept
    film, stylized = scores[FILM], scores[STYLIZED]
    for gap, error in stylized.warping_error.items():
        floor = film.warping_error[gap]
        where = "From one frame to the next" if gap == 1 else f"Over {gap} frames"
        if math.isnan(error):
            yield f"{where}, no pair of frames could be compared."
            continue
        sentence = f"{where}, the stylized film flickers {_times(ratio(error, floor))} as much as the film itself"
        if kept is not None:
            alone = scores[REFERENCE].warping_error[gap]
            sentence += f", and {_times(ratio(error, alone))} as much as with every frame stylized alone"
        yield sentence + " (warping error)."
    if evaluation.pairs.get(1) and stylized.warping_error[1] < _BELOW_FILM * film.warping_error[1]:
        yield "This is less than the film's own: it points to blur or to a picture that stands still, not to success."
    if not math.isnan(stylized.flicker):
        yield (
            f"Where the film stands still, the stylized film changes by {255 * stylized.flicker:.1f} of 255 steps a "
            f"frame; the film itself by {255 * film.flicker:.1f}."
        )


def _costs(evaluation: Evaluation) -> Iterator[str]:
    kept = evaluation.kept
    if kept is None:
        yield "The cost of stabilization is unknown: give the film stylized frame by frame as the reference."
        return
    yield f"It keeps {kept.laplacian:.0%} of the finest detail's energy of the film stylized frame by frame."
    if kept.laplacian < _BLURRED:
        yield "It is blurred: part of its stability comes from blur."
    if kept.change < _FROZEN:
        yield f"It changes only {kept.change:.0%} as much from frame to frame: part of the picture stands still."
    if not math.isnan(kept.after_cut):
        warning = " This is visible." if kept.after_cut > _LEFT_OVER else ""
        yield f"After a cut, {max(kept.after_cut, 0):.0%} of the shot before is left.{warning}"
    if not math.isnan(kept.ghost):
        warning = " This is visible." if kept.ghost > _LEFT_OVER else ""
        yield f"In areas that come into view, {max(kept.ghost, 0):.0%} of what covered them is left.{warning}"


def _probe_findings(probes: Probes) -> Iterator[str]:
    step, drift = probes.light_step, probes.drift
    yield f"The output has {_times(probes.noise_gain)} the noise of the film."
    when = "at once" if step.frames == 0 else f"within {step.frames + 1} frames"
    yield (
        f"When the film becomes lighter, the output follows it {_times(step.gain)} as much, and settles {when}; "
        f"besides, strokes change by {_times(step.redrawn)} the film's change."
    )
    yield (
        f"After {len(drift.curve)} frames of a still picture, the output differs from its first frame by "
        f"{255 * drift.last:.1f} of 255 steps."
    )
    if not math.isnan(probes.after_cut[0]):
        yield f"In the first frame after a cut, {max(probes.after_cut[0], 0):.0%} of the shot before is left."


def _times(value: float) -> str:
    return "an unknown number of times" if math.isnan(value) else f"{value:.2f} times"


def write_html(evaluation: Evaluation, title: str, probes: Probes | None = None) -> str:
    """Format the whole page by the template `report.html`. `title` is the name of the evaluated film."""
    width, height = evaluation.size
    versions = list(evaluation.scores)
    template = Environment(
        autoescape=True, finalize=_printable, undefined=StrictUndefined, trim_blocks=True
    ).from_string((files("videostyle.metrics") / "report.html").read_text(encoding="utf-8"))
    return template.render(
        title=sanitize_line(title),
        frames=evaluation.frames,
        width=width,
        height=height,
        cuts=", ".join(f"{time:g} s" for time in evaluation.cuts) or "none",
        findings=findings(evaluation, probes),
        versions=versions,
        rows=[
            (name, [format(values[one], digits) if one in values else "" for one in versions])
            for name, values, digits in rows(evaluation)
        ],
        charts=_charts(evaluation),
        still_chart=_still_chart(probes) if probes is not None else "",
        worst=[_worst(one) for one in evaluation.worst],
        flow_name=evaluation.flow_name,
        pairs=", ".join(f"{count} pairs of frames {gap} apart" for gap, count in evaluation.pairs.items()),
    )


def _printable(value: Any) -> Any:
    """Return text, which may come from a file, without unprintable characters; finished markup as it is."""
    return sanitize(value) if type(value) is str else value


def rows(evaluation: Evaluation) -> list[tuple[str, dict[str, float], str]]:
    """Return the rows of the table: name, value by version (without missing ones), and format of the numbers."""
    scores = evaluation.scores
    table: list[tuple[str, dict[str, float], str]] = []
    for gap in evaluation.pairs:
        name = "warping error ×1000, " + ("next frame" if gap == 1 else f"{gap} frames on")
        table.append((name, {version: 1000 * one.warping_error[gap] for version, one in scores.items()}, ".3f"))
    table += [
        ("warped LPIPS", {version: one.warped_lpips for version, one in scores.items()}, ".3f"),
        ("e_stab", {version: one.e_stab for version, one in scores.items()}, ".4f"),
        ("flicker where still, steps of 255", {version: 255 * one.flicker for version, one in scores.items()}, ".2f"),
        ("change, steps of 255", {version: 255 * one.change for version, one in scores.items()}, ".2f"),
        ("detail (Laplacian) ×1000", {version: 1000 * one.laplacian_energy for version, one in scores.items()}, ".2f"),
        ("edges (gradient) ×1000", {version: 1000 * one.gradient_energy for version, one in scores.items()}, ".2f"),
        ("content distance to the film", {version: one.content_distance for version, one in scores.items()}, ".3f"),
    ]
    if evaluation.kept is not None:
        kept = evaluation.kept
        for name, value in (
            ("detail kept", kept.laplacian),
            ("edges kept", kept.gradient),
            ("change kept", kept.change),
            ("similarity to per frame (SSIM)", kept.ssim),
            ("style distance to per frame", kept.style_distance),
            ("left of the shot before a cut", kept.after_cut),
            ("left of what moved away", kept.ghost),
        ):
            table.append((name, {STYLIZED: value}, ".3f"))
    known = [(name, {k: v for k, v in values.items() if not math.isnan(v)}, digits) for name, values, digits in table]
    return [row for row in known if row[1]]


def _charts(evaluation: Evaluation) -> list[Markup]:
    versions, frames = list(evaluation.scores), evaluation.frame_scores
    charts = {
        f"Warping error ×1000, {'to the next frame' if gap == 1 else f'over {gap} frames'}": {
            version: [1000 * frame.warping_error.get(gap, {}).get(version, math.nan) for frame in frames]
            for version in versions
        }
        for gap in evaluation.pairs
    }
    charts["Flicker where the film stands still, steps of 255"] = {
        version: [255 * frame.flicker.get(version, math.nan) for frame in frames] for version in versions
    }
    if evaluation.kept is not None:
        energies = [one.laplacian_energy for one in frames]
        charts["Detail, share of the per-frame version's"] = {
            STYLIZED: [ratio(energy[STYLIZED], energy[REFERENCE]) for energy in energies]
        }
    times = [one.time for one in frames]
    return [chart(name, times, lines, evaluation.cuts) for name, lines in charts.items()]


def _still_chart(probes: Probes) -> Markup:
    curve = [255 * value for value in probes.drift.curve]
    frames = [float(number) for number in range(len(curve))]
    # Eight steps of brightness are just visible: the chart should show smaller differences as small.
    return chart("Distance from the first frame, steps of 255", frames, {STYLIZED: curve}, least=8)


def chart(
    name: str, times: Sequence[float], lines: dict[str, list[float]], cuts: Sequence[float] = (), least: float = 0.0
) -> Markup:
    """Draw lines over time as SVG; returns "" if there are no values. A line is broken where a value is nan.

    The scale reaches at least to `least`, so that small values look small.
    """
    values = [value for line in lines.values() for value in line if math.isfinite(value)]
    if len(times) < 2 or not values:
        return Markup()
    width, height, left, top, bottom = 860, 220, 56, 12, 26
    first, last, most = times[0], times[-1], _round_up(max(*values, least))

    def x(time: float) -> float:
        return left + (width - left - 8) * (time - first) / ((last - first) or 1)

    def y(value: float) -> float:
        return height - bottom - (height - bottom - top) * value / most

    marks = []
    for step in range(5):
        value = most * step / 4
        marks.append(f'<line class="grid" x1="{left}" x2="{width - 8}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        marks.append(f'<text x="{left - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    every = _round_up((last - first) / 8)
    for number in range(math.ceil(first / every), math.floor(last / every) + 1):
        time = number * every
        marks.append(f'<text x="{x(time):.1f}" y="{height - 8}" text-anchor="middle">{time:g}</text>')
    marks += [
        f'<line class="cut" x1="{x(cut):.1f}" x2="{x(cut):.1f}" y1="{top}" y2="{height - bottom}"/>' for cut in cuts
    ]
    legend = []
    for version, line in lines.items():
        kind = version.replace(" ", "-")
        legend.append(f'<span class="key {kind}">{html.escape(version)}</span>')
        path, pen = [], "M"
        for time, value in zip(times, line, strict=True):
            if math.isfinite(value):
                # A line of no length is a dot: a single value is visible too.
                path.append(f"{pen}{x(time):.1f} {y(value):.1f}" + ("h0" if pen == "M" else ""))
                pen = "L"
            else:
                pen = "M"
        marks.append(f'<path class="{kind}" d="{" ".join(path)}"/>')
    label = html.escape(name)
    return Markup(
        f"<figure><figcaption>{label} {' '.join(legend)}</figcaption>"
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{"".join(marks)}</svg></figure>'
    )


def _round_up(value: float) -> float:
    """Round up to 1, 2, 4, 8 or 10 times a power of ten, which divides well by four."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 8, 10) if step * power >= value * (1 - 1e-9))


def _worst(one: WorstMoment) -> dict[str, Any]:
    names = {
        FILM: "the film",
        STYLIZED: "the stylized film",
        "moved": "its neighbouring frame, warped to this one",
        "heat": "the difference of the two",
        REFERENCE: "stylized alone",
    }
    return {
        "time": f"{one.time:.2f}",
        "index": one.index,
        "error": f"{1000 * one.error:.2f}",
        "film_error": f"{1000 * one.film_error:.2f}",
        "pictures": [
            (data_uri(one.pictures[name].permute(1, 2, 0).numpy()), label)
            for name, label in names.items()
            if name in one.pictures
        ],
    }


def data_uri(picture: np.ndarray) -> str:
    """Encode an (H, W, 3) uint8 RGB picture as a JPEG in a data URI, so that the page needs no further file."""
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii")
