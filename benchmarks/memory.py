"""Resident memory over an hour of film: after the first minute, and the most until the end.

    python benchmarks/memory.py [--minutes 60] [--size 64x36] [--json FILE]

The film is made on the spot (noise that drifts, with sound), small so that the hour is painted in minutes: what grows
with length grows by frames and packets, whatever their size.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

import videostyle
from videostyle.plan import EncodeOptions, RenderPlan

RATE = 24


def make_film(path: Path, minutes: int, width: int, height: int) -> None:
    """A film of drifting noise with a quiet hum."""
    wall = np.random.default_rng(0).integers(0, 255, (height, 4 * width, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "crf": "30"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("aac", rate=16000, layout="mono")
        for second in range(minutes * 60):
            hum = (0.1 * np.sin(np.arange(16000) * 0.05)).astype(np.float32)[None]
            sound = av.AudioFrame.from_ndarray(hum, "fltp", "mono")
            sound.sample_rate, sound.pts, sound.time_base = 16000, second * 16000, Fraction(1, 16000)
            container.mux(audio.encode(sound))
            for number in range(RATE):
                shift = (second * RATE + number) % (3 * width)
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(wall[:, shift : shift + width]), "rgb24")
                container.mux(video.encode(frame))
        container.mux(audio.encode())
        container.mux(video.encode())


def resident() -> float:
    """Megabytes of this process in memory."""
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--size", default="64x36")
    parser.add_argument("--style", default="great-wave")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    by_minute: list[float] = []

    def watch(now: videostyle.Progress) -> None:
        if now.done and now.done % (60 * RATE) == 0:
            by_minute.append(round(resident(), 1))

    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        make_film(film, args.minutes, width, height)
        output = str(Path(folder) / "painted.mp4")
        plan = RenderPlan(str(film), output, style=args.style, encode=EncodeOptions(overwrite=True))
        report = videostyle.render(plan, on_progress=watch)
    result = {
        "minutes": args.minutes,
        "frames": report.frames,
        "size": args.size,
        "megabytes after the first minute": by_minute[0],
        "most megabytes after that": max(by_minute),
        "megabytes by minute": by_minute,
        "frames a second": round(report.fps, 1),
    }
    print(json.dumps(result, indent=2))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
