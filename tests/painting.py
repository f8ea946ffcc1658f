"""The way from a film to a painted one without the painting, and what a player makes of the result."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from videostyle.io import open_sink, open_source
from videostyle.plan import EncodeOptions
from videostyle.timeline import Span

PLAIN = EncodeOptions()
WHOLE = Span()


def paint(source: Path, output: Path, span: Span = WHOLE, options: EncodeOptions = PLAIN) -> list[str]:
    """Copy a film as painting does; returns the warnings of both ends."""
    with (
        open_source(str(source)) as film,
        open_sink(str(output), film.info, options, span, copy_from=str(source)) as sink,
    ):
        for frame in film.frames(span):
            sink.write(frame)
    return film.warnings + sink.warnings


def times_shown(path: Path) -> list[Fraction]:
    """When a player shows each picture, from the beginning of the film."""
    with av.open(str(path)) as container:
        shown = [frame.pts * Fraction(frame.time_base) for frame in container.decode(video=0)]
        return [time - Fraction(container.start_time, av.time_base) for time in shown]


def heard(path: Path, number: int = 0) -> np.ndarray[Any, Any]:
    """What a player plays of a sound stream from the beginning of the film, 48000 samples a second, silence in gaps."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[number]
        begins = Fraction(container.start_time, av.time_base)
        converters: dict[tuple[str, int], av.AudioResampler] = {}
        parts: list[tuple[int, np.ndarray[Any, Any]]] = []
        for frame in container.decode(stream):
            at = round((frame.pts * Fraction(frame.time_base) - begins) * 48000)
            frame.pts = None
            form = frame.layout.name, frame.sample_rate
            convert = converters.setdefault(form, av.AudioResampler("flt", "mono", 48000))
            for one in convert.resample(frame):
                parts.append((at, one.to_ndarray()[0]))
    whole = np.zeros(max(at + len(samples) for at, samples in parts), np.float32)
    for at, samples in parts:
        whole[max(at, 0) : at + len(samples)] = samples[max(-at, 0) :]
    return whole


def clicks(samples: np.ndarray[Any, Any]) -> list[float]:
    """The times in seconds at which a click of `media.tone_frames` begins."""
    loud = np.flatnonzero(np.abs(samples) > 0.55) / 48000
    return [float(loud[i]) for i in range(len(loud)) if not i or loud[i] - loud[i - 1] > 0.1]
