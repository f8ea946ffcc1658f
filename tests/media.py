"""Makes small difficult films for the tests, with PyAV alone, so that nothing of videostyle judges itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

SPACE = {"bt709": 1, "bt470bg": 5, "smpte170m": 6, "bt2020nc": 9}
RANGE = {"tv": 1, "pc": 2}
PRIMARIES = {"bt709": 1, "smpte170m": 6, "bt2020": 9}
TRANSFER = {"bt709": 1, "smpte170m": 6, "smpte2084": 16, "arib-std-b67": 18}

Planes = list[np.ndarray[Any, Any]]


def planes_of(frame: av.VideoFrame) -> Planes:
    """The samples of a frame, plane by plane, without padding."""
    wide = frame.format.components[0].bits > 8
    found = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height]
        rows = rows[:, : plane.width * (2 if wide else 1)]
        found.append(np.ascontiguousarray(rows).view(np.uint16 if wide else np.uint8))
    return found


def frame_of(planes: Planes, pix_fmt: str) -> av.VideoFrame:
    """A frame with these samples."""
    frame = av.VideoFrame(planes[0].shape[1], planes[0].shape[0], pix_fmt)
    for plane, samples in zip(frame.planes, planes, strict=True):
        rows = np.zeros((plane.buffer_size // plane.line_size, plane.line_size), np.uint8)
        raw = np.ascontiguousarray(samples).view(np.uint8)
        rows[: raw.shape[0], : raw.shape[1]] = raw
        plane.update(rows)
    return frame


def natural(size: tuple[int, int], pix_fmt: str, index: int = 0, full: bool = False) -> Planes:
    """Planes of something like a photograph: texture in luma, soft but lively chroma, all inside the RGB cube."""
    width, height = size
    shape = av.VideoFormat(pix_fmt, width, height)
    depth = shape.components[0].bits
    rng = np.random.default_rng(7)
    scale = 2 ** (depth - 8)
    at = 64 - abs(64 - index % 128)  # to the right, and back
    planes = []
    for component in range(3):
        luma = component == 0
        w, h = (width, height) if luma else (shape.chroma_width(width), shape.chroma_height(height))
        noise = cv2.GaussianBlur(rng.normal(size=(h + 8, w + 64)), (0, 0), 0.7 if luma else 3.0)
        noise = noise[:h, at : at + w] / noise.std()
        values = (118 + 16 * noise) if luma else (128 + 9 * noise)
        if full and luma:
            values = (values - 16) * 255 / 219
        planes.append(np.clip(np.round(values * scale), 0, 2**depth - 1).astype(np.uint16 if depth > 8 else np.uint8))
    return planes


def flat(size: tuple[int, int], pix_fmt: str, values: Sequence[int]) -> Planes:
    """Planes of one colour, given in the format's own numbers."""
    width, height = size
    shape = av.VideoFormat(pix_fmt, width, height)
    kind = np.uint16 if shape.components[0].bits > 8 else np.uint8
    chroma = (shape.chroma_height(height), shape.chroma_width(width))
    return [np.full((height, width) if i == 0 else chroma, value, kind) for i, value in enumerate(values)]


def write_film(
    path: Path,
    pictures: Sequence[Planes],
    pix_fmt: str = "yuv420p",
    *,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    times: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 12800),
    rate: Fraction = Fraction(25),
    color: tuple[str, str, str, str] = ("", "", "", ""),
    aspect: Fraction | None = None,
    rotation: tuple[float, bool, bool] | None = None,
    interlaced: bool = False,
    tone: str | None = None,
    seconds: float | None = None,
    tags: dict[str, str] | None = None,
) -> Path:
    """A film of these pictures, lossless unless `options` say otherwise; `tone` is an audio encoder's name.

    `times` are in `time_base`; `color` is space, range, primaries, transfer in FFmpeg's words; `rotation` is degrees
    counter-clockwise, then horizontal and vertical mirroring.
    """
    step = int(1 / rate / time_base)
    times = times or [i * step for i in range(len(pictures))]
    ticks = str(time_base.denominator)
    container_options = (
        {"video_track_timescale": ticks, "movie_timescale": ticks} if path.suffix in (".mp4", ".mov") else {}
    )
    if options is None:
        options = {"libx264": {"qp": "0", "preset": "ultrafast"}}.get(codec, {})
    with av.open(str(path), "w", container_options=container_options) as out:
        out.metadata.update(tags or {})
        stream = out.add_stream(codec, rate=rate, options=options, time_base=time_base)
        context = stream.codec_context
        context.width, context.height = pictures[0][0].shape[1], pictures[0][0].shape[0]
        context.pix_fmt = pix_fmt
        context.colorspace, context.color_range = SPACE.get(color[0], 2), RANGE.get(color[1], 0)
        context.color_primaries, context.color_trc = PRIMARIES.get(color[2], 2), TRANSFER.get(color[3], 2)
        if aspect:
            context.sample_aspect_ratio = aspect
        if rotation:
            stream.set_display_rotation(*rotation)
        sound = out.add_stream(tone, rate=48000) if tone else None
        if sound is not None:
            sound.codec_context.layout = "stereo"
        out.start_encoding()
        for planes, pts in zip(pictures, times, strict=True):
            frame = frame_of(planes, pix_fmt)
            frame.pts, frame.time_base = pts, time_base
            frame.color_range, frame.colorspace = context.color_range, context.colorspace
            out.mux(stream.encode(frame))
        if sound is not None:
            length = seconds or float((times[-1] + step) * time_base)
            for frame in tone_frames(length):
                out.mux(sound.encode(frame))
            out.mux(sound.encode(None))
        out.mux(stream.encode(None))
    return path


def tone_frames(seconds: float, start: float = 0.0) -> list[av.AudioFrame]:
    """A 440 Hz tone, 48 kHz stereo, that gets a click at every half second."""
    frames = []
    for at in range(0, int(seconds * 48000), 1024):
        t = (np.arange(1024) + at) / 48000
        wave = 0.3 * np.sin(2 * math.pi * 440 * t) + 0.6 * (np.mod(t, 0.5) < 0.01)
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]).astype(np.float32), "fltp", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, at + int(start * 48000), Fraction(1, 48000)
        frames.append(frame)
    return frames


def film(path: Path, count: int = 10, size: tuple[int, int] = (64, 48), pix_fmt: str = "yuv420p", **more: Any) -> Path:
    """A film of `count` natural pictures that pan to the left."""
    full = more.get("color", ("", "", "", ""))[1] == "pc"
    return write_film(path, [natural(size, pix_fmt, i, full) for i in range(count)], pix_fmt, **more)


def decode(path: Path | str) -> list[tuple[Fraction, Planes]]:
    """Time in seconds and samples of every frame, read with PyAV alone."""
    with av.open(f"file:{path}") as container:
        stream = container.streams.best("video")
        return [(frame.pts * stream.time_base, planes_of(frame)) for frame in container.decode(stream)]


def times(path: Path | str) -> list[Fraction]:
    """The time of every frame in seconds."""
    return [time for time, _ in decode(path)]


def packets(path: Path | str, kind: str = "audio", number: int = 0) -> list[tuple[Fraction, bytes]]:
    """Time and bytes of each packet of one stream."""
    with av.open(f"file:{path}") as container:
        stream = [s for s in container.streams if s.type == kind][number]
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(stream) if p.size and p.pts is not None]


def psnr(one: Planes, other: Planes, depth: int = 8) -> float:
    """Of the worst plane, in dB; 99 where they are equal."""
    worst = 99.0
    for a, b in zip(one, other, strict=True):
        assert a.shape == b.shape
        error = float(np.mean((a.astype(np.float64) - b) ** 2))
        if error:
            worst = min(worst, 10 * math.log10((2**depth - 1) ** 2 / error))
    return worst
