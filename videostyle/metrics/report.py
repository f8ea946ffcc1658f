"""An evaluation as one HTML file for people who do not know the terms: no scripts, nothing fetched from elsewhere."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from videostyle.metrics.evaluation import FILM, PAINTED, REFERENCE, Evaluation, Worst
from videostyle.metrics.figures import ratio
from videostyle.metrics.probes import Probes

# Where `findings` warns. Judgement: a quarter of the finest detail's energy gone shows as blur beside the per-frame
# painting, and a tenth of an old picture left over is the ghost worth noticing.
_BLURRED, _FROZEN, _LEFT_OVER, _BELOW_FILM = 0.75, 0.5, 0.1, 0.7


def findings(evaluation: Evaluation, probes: Probes | None = None) -> list[str]:
    """What the figures say, in sentences for people; the first says how steady the painting is."""
    found = list(_steadiness(evaluation)) + list(_costs(evaluation))
    if probes is not None:
        found += list(_of_the_painter(probes))
    return found


def _steadiness(evaluation: Evaluation) -> Iterator[str]:
    scores, kept = evaluation.scores, evaluation.kept
    film, painted = scores[FILM], scores[PAINTED]
    for gap, error in painted.warping_error.items():
        floor = film.warping_error[gap]
        where = "From one frame to the next" if gap == 1 else f"Over {gap} frames"
        if math.isnan(error):
            yield f"{where} nothing could be judged."
            continue
        sentence = (
            f"{where}, what moves is painted {_times(ratio(error, floor))} as unsteadily as the film itself shows it"
        )
        if kept is not None:
            alone = scores[REFERENCE].warping_error[gap]
            sentence += f", and {_times(ratio(error, alone))} as unsteadily as when every frame is painted alone"
        yield sentence + "."
    if evaluation.pairs.get(1) and painted.warping_error[1] < _BELOW_FILM * film.warping_error[1]:
        yield "That is steadier than the film: look for blur or a picture that stands still, not for success."
    if not math.isnan(painted.flicker):
        yield (
            f"Where the film stands still, the painting changes by {255 * painted.flicker:.1f} of 255 steps a frame; "
            f"the film itself by {255 * film.flicker:.1f}."
        )


def _costs(evaluation: Evaluation) -> Iterator[str]:
    kept = evaluation.kept
    if kept is None:
        yield "What steadiness cost is not known: give the same painting made frame by frame as the reference."
        return
    yield f"It keeps {kept.laplacian:.0%} of the finest detail's energy of the painting made frame by frame."
    if kept.laplacian < _BLURRED:
        yield "That is blurred: part of the steadiness was bought with it."
    if kept.change < _FROZEN:
        yield f"It changes only {kept.change:.0%} as much from frame to frame: part of the picture stands still."
    if not math.isnan(kept.after_cut):
        warning = " That shows." if kept.after_cut > _LEFT_OVER else ""
        yield f"After a cut, {max(kept.after_cut, 0):.0%} of the shot before is left.{warning}"
    if not math.isnan(kept.ghost):
        warning = " That shows." if kept.ghost > _LEFT_OVER else ""
        yield f"In what comes into view, {max(kept.ghost, 0):.0%} of what stood in front is left.{warning}"


def _of_the_painter(probes: Probes) -> Iterator[str]:
    step, drift = probes.light_step, probes.drift
    yield f"Noise in the film comes out {_times(probes.noise_gain)} as loud in the painting."
    when = "at once" if step.frames == 0 else f"within {step.frames + 1} frames"
    yield (
        f"When the film becomes lighter, the painting becomes so {_times(step.gain)} as much, and is settled {when}; "
        f"besides, it is redrawn by {_times(step.redrawn)} the film's change."
    )
    yield (
        f"After {len(drift.curve)} frames of a still picture the painting differs from its first by "
        f"{255 * drift.last:.1f} of 255 steps."
    )
    if not math.isnan(probes.after_cut[0]):
        yield f"In the first frame after a cut, {max(probes.after_cut[0], 0):.0%} of the shot before is left."


def _times(value: float) -> str:
    return "an unknown number of times" if math.isnan(value) else f"{value:.2f} times"


def write_html(evaluation: Evaluation, title: str, probes: Probes | None = None) -> str:
    """The whole page. `title` names the film that was judged."""
    width, height = evaluation.size
    cuts = ", ".join(f"{time:g} s" for time in evaluation.cuts) or "none"
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        f'<p class="quiet">{evaluation.frames} frames of {width}×{height}; cuts: {cuts}.</p>',
        "<h2>In short</h2>",
        "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in findings(evaluation, probes)) + "</ul>",
        _figures(evaluation),
        _curves(evaluation),
        _still_curve(probes) if probes is not None else "",
        _worst(evaluation.worst),
        _method(evaluation),
        _GLOSSARY,
    ]
    return _PAGE.format(title=html.escape(title), body="\n".join(parts))


def rows(evaluation: Evaluation) -> list[tuple[str, dict[str, float], str]]:
    """The table of figures: what it is, its value by version (those that have one), and how many digits to show."""
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
            ("likeness to per frame (SSIM)", kept.ssim),
            ("style distance to per frame", kept.style_distance),
            ("left of the shot before a cut", kept.after_cut),
            ("left of what moved away", kept.ghost),
        ):
            table.append((name, {PAINTED: value}, ".3f"))
    known = [(name, {k: v for k, v in values.items() if not math.isnan(v)}, digits) for name, values, digits in table]
    return [row for row in known if row[1]]


def _figures(evaluation: Evaluation) -> str:
    versions = list(evaluation.scores)
    head = "".join(f"<th>{html.escape(version)}</th>" for version in versions)
    body = "".join(
        f"<tr><th>{html.escape(name)}</th>"
        + "".join(f"<td>{format(values[one], digits) if one in values else ''}</td>" for one in versions)
        + "</tr>"
        for name, values, digits in rows(evaluation)
    )
    return f'<h2>Figures</h2><div class="wide"><table><tr><th></th>{head}</tr>{body}</table></div>'


def _curves(evaluation: Evaluation) -> str:
    versions, moments = list(evaluation.scores), evaluation.moments
    charts = {
        f"Warping error ×1000, {'to the next frame' if gap == 1 else f'over {gap} frames'}": {
            one: [1000 * moment.warping_error.get(gap, {}).get(one, math.nan) for moment in moments] for one in versions
        }
        for gap in evaluation.pairs
    }
    charts["Flicker where the film stands still, steps of 255"] = {
        one: [255 * moment.flicker.get(one, math.nan) for moment in moments] for one in versions
    }
    if evaluation.kept is not None:
        energies = [moment.laplacian_energy for moment in moments]
        charts["Detail, share of the per-frame painting's"] = {
            PAINTED: [ratio(energy[PAINTED], energy[REFERENCE]) for energy in energies]
        }
    times = [moment.time for moment in moments]
    drawn = "".join(chart(name, times, lines, evaluation.cuts) for name, lines in charts.items())
    return (
        "<h2>Over time</h2><p>In seconds; dashed lines are cuts. For errors and flicker lower is steadier, and the "
        f"film's own curve is the floor.</p>{drawn}"
    )


def _still_curve(probes: Probes) -> str:
    curve = [255 * value for value in probes.drift.curve]
    frames = [float(number) for number in range(len(curve))]
    # Eight steps of brightness are just about seen: what is below should look as little as it is.
    return (
        "<h2>A still film</h2><p>What the painter makes of one picture that stands still: by frame, how far the "
        "painting is from its first frame. It should stay where it is.</p>"
        + chart("Distance from the first frame, steps of 255", frames, {PAINTED: curve}, least=8)
    )


def chart(
    name: str, times: Sequence[float], lines: dict[str, list[float]], cuts: Sequence[float] = (), least: float = 0.0
) -> str:
    """Lines over time as SVG; "" where there is nothing to draw. A line is broken where a value is nan.

    The scale reaches at least to `least`, so that nothing looks large because it is alone.
    """
    values = [value for line in lines.values() for value in line if math.isfinite(value)]
    if len(times) < 2 or not values:
        return ""
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
                # A line of no length is a dot: a value that stands alone is seen too.
                path.append(f"{pen}{x(time):.1f} {y(value):.1f}" + ("h0" if pen == "M" else ""))
                pen = "L"
            else:
                pen = "M"
        marks.append(f'<path class="{kind}" d="{" ".join(path)}"/>')
    label = html.escape(name)
    return (
        f"<figure><figcaption>{label} {' '.join(legend)}</figcaption>"
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{"".join(marks)}</svg></figure>'
    )


def _round_up(value: float) -> float:
    """The least of 1, 2, 4, 8 or 10 times a power of ten that is not below `value`: it divides well by four."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 8, 10) if step * power >= value * (1 - 1e-9))


def _worst(worst: Sequence[Worst]) -> str:
    if not worst:
        return ""
    names = {
        FILM: "the film",
        PAINTED: "the painting",
        "moved": "its neighbouring frame, moved to where things are here",
        "heat": "how the two differ",
        REFERENCE: "painted alone",
    }
    parts = [
        "<h2>Worst moments</h2><p>If nothing flickered, the second and third picture would be the same. In the heat "
        "map black is no difference and yellow a large one; grey could not be judged.</p>"
    ]
    for one in worst:
        figures = "".join(
            f'<figure><img src="{data_uri(one.pictures[name].permute(1, 2, 0).numpy())}" alt="{html.escape(label)}">'
            f"<figcaption>{html.escape(label)}</figcaption></figure>"
            for name, label in names.items()
            if name in one.pictures
        )
        parts.append(
            f"<h3>{one.time:.2f} s, frame {one.index}: warping error ×1000 {1000 * one.error:.2f}, "
            f"the film's own {1000 * one.film_error:.2f}</h3>"
            f'<div class="row">{figures}</div>'
        )
    return "".join(parts)


def data_uri(picture: np.ndarray) -> str:
    """An (H, W, 3) uint8 RGB picture as a JPEG inside a page: no file is written for it."""
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii")


def _method(evaluation: Evaluation) -> str:
    pairs = ", ".join(f"{count} pairs of frames {gap} apart" for gap, count in evaluation.pairs.items())
    return (
        f"<h2>How it was judged</h2><p>Motion was found by {html.escape(evaluation.judged_by)}, on the film and never "
        "on the painting. It is not the motion that steadied the painting unless that was made with the same. "
        f"{pairs}; pairs across a cut are not compared, nor is what was hidden, left the picture or lies at the edge "
        "of something that moves.</p>"
    )


_GLOSSARY = """<h2>Words</h2><dl>
<dt>film, painted, per frame</dt><dd>The source; its painting that is judged; the same painting with every frame painted
alone, which is as lively as the style gets and flickers most.</dd>
<dt>warping error</dt><dd>One frame is moved to where things are in another, as the film's motion tells, and the two are
compared. Paint that sticks to things gives 0; paint that is drawn anew in every frame gives much. Even the film is not
at 0: light changes, grain does too, and motion is never found perfectly. So compare with the film's own.</dd>
<dt>10 frames on</dt><dd>The same over a longer time. What creeps slowly is not seen from one frame to the next.</dd>
<dt>warped LPIPS</dt><dd>The same as people would see it, by a network that was fitted to their judgement.</dd>
<dt>e_stab</dt><dd>The same with motion that is known and not estimated, over the whole picture.</dd>
<dt>flicker where still</dt><dd>How much the painting changes where the film does not move at all. No motion need be
found for this, so nothing can go wrong in finding it.</dd>
<dt>change</dt><dd>How much the picture changes from frame to frame, motion included. A frozen picture has none.</dd>
<dt>detail, edges</dt><dd>How much fine structure there is. A blurred painting flickers less and has less of it: a
steadiness that costs detail is none.</dd>
<dt>likeness (SSIM)</dt><dd>1 is the same picture as when every frame is painted alone.</dd>
<dt>style distance</dt><dd>How far texture and colours are from those of the per-frame painting; 0 is the same.</dd>
<dt>content distance</dt><dd>How far what is shown is from the film: 0 is the film, 1 as far off as black.</dd>
<dt>left of the shot before a cut, of what moved away</dt><dd>Ghosts. 0 is none, 1 is all of the old picture.</dd>
</dl>"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
:root {{ color-scheme: light dark; --ink: #222; --quiet: #667; --page: #fdfdfb; --grid: #ddd;
  --film: #888; --painted: #c2410c; --alone: #2563a8; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e6e6e6; --quiet: #9aa; --page: #17181a; --grid: #383a3e;
  --film: #999; --painted: #fb923c; --alone: #7ab8f5; }} }}
body {{ font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }}
h2 {{ margin-top: 2.5rem; }} h3 {{ font-size: 1rem; font-weight: 600; }} .quiet, figcaption {{ color: var(--quiet); }}
.wide {{ overflow-x: auto; }} table {{ border-collapse: collapse; }}
th, td {{ padding: .25rem .9rem .25rem 0; text-align: right; border-bottom: 1px solid var(--grid); }}
th {{ font-weight: 500; }} tr > th:first-child {{ text-align: left; }} td {{ font-variant-numeric: tabular-nums; }}
figure {{ margin: 1rem 0; }} figcaption {{ font-size: .85rem; }} svg {{ width: 100%; height: auto; }}
svg text {{ font-size: 11px; fill: var(--quiet); }} svg path {{ fill: none; stroke-width: 2; stroke-linecap: round; }}
.grid {{ stroke: var(--grid); }} .cut {{ stroke: var(--quiet); stroke-dasharray: 3 4; }}
path.film {{ stroke: var(--film); }} path.painted {{ stroke: var(--painted); }}
path.per-frame {{ stroke: var(--alone); }}
.key::before {{ content: "— "; font-weight: 700; }} .key {{ margin-left: .8rem; }}
.key.film {{ color: var(--film); }} .key.painted {{ color: var(--painted); }} .key.per-frame {{ color: var(--alone); }}
.row {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: .5rem; }}
.row figure {{ margin: 0; }} img {{ width: 100%; display: block; }} dt {{ font-weight: 600; margin-top: .6rem; }}
dd {{ margin: 0; }}
</style></head><body>
{body}
</body></html>
"""
