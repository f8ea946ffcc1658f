"""Frames and sound to an MP4 whose colour is tagged."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from sample import motion, sound

BT709 = 1
"""The number of BT.709 in H.264's tables of primaries, transfers and matrices."""


def grade(picture: np.ndarray) -> np.ndarray:
    """The print: black and white points, a little contrast and saturation; (H, W, 3) uint8 to uint8.

    Last and apart from the rendering, because the look can then be changed in seconds.
    """
    x = np.clip((picture / np.float32(255) - 0.05) / 0.85, 0, 1)
    x += 0.35 * x * (1 - x) * (2 * x - 1)
    grey = x @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    x = grey[..., None] + 1.15 * (x - grey[..., None])
    return (np.clip(x, 0, 1) * 255).round().astype(np.uint8)


def read_picture(path: Path) -> np.ndarray:
    """A rendered picture, graded, as (H, W, 3) uint8."""
    with av.open(str(path)) as container:
        return grade(next(container.decode(video=0)).to_ndarray(format="rgb24"))


def write_film(output: Path, pictures: Sequence[Path], crf: int = 19) -> None:
    """Encode pictures and the sound that goes with the whole film: H.264 4:2:0 BT.709, AAC stereo."""
    part = output.with_name(f"{output.stem}.part{output.suffix}")
    audio = sound.soundtrack()
    with av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        height, width = read_picture(pictures[0]).shape[:2]
        video = container.add_stream("libx264", rate=motion.FPS, options={"crf": str(crf), "preset": "slow"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.time_base = video.codec_context.time_base = Fraction(1, motion.FPS)
        context = video.codec_context
        context.color_primaries = context.color_trc = context.colorspace = BT709
        context.color_range = ColorRange.MPEG
        sounds = container.add_stream("aac", rate=sound.RATE, layout="stereo")
        sounds.bit_rate = 160_000
        for number, path in enumerate(pictures):
            picture = av.VideoFrame.from_ndarray(read_picture(path), format="rgb24")
            frame = picture.reformat(
                format="yuv420p",
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
                dst_colorspace=Colorspace.ITU709,
                interpolation="LANCZOS",
            )
            frame.pts, frame.time_base = number, Fraction(1, motion.FPS)
            container.mux(video.encode(frame))
            # a frame's worth of sound beside it, so that the file is interleaved
            step = sound.RATE // motion.FPS
            block = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(audio[:, number * step : (number + 1) * step]), format="fltp", layout="stereo"
            )
            block.sample_rate, block.pts, block.time_base = sound.RATE, number * step, Fraction(1, sound.RATE)
            container.mux(sounds.encode(block))
        container.mux(video.encode(None))
        container.mux(sounds.encode(None))
    part.replace(output)
