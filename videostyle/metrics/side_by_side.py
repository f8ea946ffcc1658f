"""Flicker of a short film and of painted versions of it, decoded side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from videostyle.cuts import mark_cuts
from videostyle.io import open_source
from videostyle.metrics.evaluation import SMALLEST
from videostyle.metrics.figures import mean
from videostyle.metrics.temporal import Pairs
from videostyle.ops.filters import shrink
from videostyle.ops.pixels import to_float
from videostyle.progress import OnProgress, Progress, ignore
from videostyle.timeline import Span
from videostyle.types import Frame, Source

# Flicker is measured at this width, in pixels, because the evaluation flow is costly.
_EVALUATION_WIDTH = 480


@dataclass(frozen=True, slots=True)
class Flicker:
    """Warping error, times 1000, from each frame of an excerpt to the next."""

    times: list[float]
    errors: dict[str, list[float]]
    """Errors by version; nan where the motion cannot be followed."""
    cuts: list[float]

    def means(self) -> dict[str, float]:
        """Return the mean error of each version over the excerpt."""
        return {name: mean(line) for name, line in self.errors.items()}


def flicker(versions: Mapping[str, Path], on_progress: OnProgress = ignore, film_span: Span | None = None) -> Flicker:
    """Measure the warping error of each version; the evaluation flow is not the one that stabilized.

    The first version is the film, of which `film_span` is compared; without it, all of the film.
    """
    found = Flicker([], {name: [] for name in versions}, [])
    pairs = Pairs()
    original = next(iter(versions))
    with open_source(str(versions[original])) as source:
        total = source.info.frames_in(film_span or Span())
    for number, frames in enumerate(side_by_side(versions, film_span)):
        on_progress(Progress("measuring", number, total, "frames"))
        film = frames[original]
        height, width = film.pixels.shape[1:]
        wide = min(_EVALUATION_WIDTH, *(frame.pixels.shape[2] for frame in frames.values()))
        size = max(round(height * wide / width), 1), wide
        if min(size) < SMALLEST:
            break
        pictures = {name: shrink(to_float(frame), size) for name, frame in frames.items()}
        if film.is_cut and number:
            found.cuts.append(film.time)
        for comparison in pairs.add(film.is_cut, pictures[original], pictures):
            found.times.append(film.time)
            for name, line in found.errors.items():
                line.append(1000 * comparison.errors[name])
    return found


def side_by_side(versions: Mapping[str, Path], film_span: Span | None = None) -> Iterator[dict[str, Frame]]:
    """Yield the frames of all versions, as many as the shortest has; the cuts of the first, the film, are marked."""
    with ExitStack() as stack:
        opened: list[Source] = [open_source(str(path)) for path in versions.values()]
        spans = [film_span or Span(), *[Span()] * (len(opened) - 1)]
        films = [stack.enter_context(source).frames(span) for source, span in zip(opened, spans, strict=True)]
        films[0] = mark_cuts(films[0])
        for frames in zip(*films, strict=False):
            yield dict(zip(versions, frames, strict=True))
