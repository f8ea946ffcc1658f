"""What a GPU does with each part of the work, in one call of at most ten minutes: network, flow, codecs, whole command.

    python benchmarks/gpu.py FILM [--device cuda] [--networks fast fine] [--seconds 540] [--json FILE] [--table FILE]

Network: milliseconds a picture in float32, in half precision, channels last, and from a CUDA graph as the engine runs
it. Flow: DIS on the processor's cores beside RAFT-small on the device (untrained, which costs the same), float32 and
half precision. Codecs: frames a second of decoders and encoders, NVIDIA's where FFmpeg and the card have them. Command:
frames a second of whole films, start-up left out. What is measured first is written first: after --seconds no further
measurement begins. On the processor (--device cpu) the same script runs in its smallest form, to see that it does.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import date
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from speed import prepare
from torch import Tensor

import videostyle
from videostyle.engines import torch as engine
from videostyle.flow import load_flow
from videostyle.nets.running_norm import FrameNorm
from videostyle.nets.style_network import RECURRENT_CHANNELS
from videostyle.plan import EncodeOptions, FlowOptions, RenderPlan
from videostyle.stabilize import WINDOW
from videostyle.style import Style
from videostyle.threads import cores
from videostyle.weights import load_style

DECODERS, ENCODERS = ("h264", "h264_cuvid", "hevc_cuvid"), ("libx264", "h264_nvenc", "hevc_nvenc")


def milliseconds(run: Callable[[], object], device: str, rounds: int) -> float:
    """The median time of a run, the device's work included; the first two warm up."""

    def finished() -> None:
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)

    taken = []
    for _ in range(rounds + 2):
        finished()
        began = time.perf_counter()
        run()
        finished()
        taken.append(1000 * (time.perf_counter() - began))
    return round(statistics.median(taken[2:]), 2)


def network(style: Style, size: tuple[int, int], device: str, rounds: int) -> dict[str, float]:
    """Milliseconds a picture by the way in which the network runs."""
    found_network, code = load_style(style)
    net = FrameNorm(found_network.net.folded()).to(device)
    given = [torch.rand(1, 3, size[1], size[0], device=device), code.to(device)]
    if found_network.net.architecture.recurrent:
        given.append(torch.rand(1, RECURRENT_CHANNELS, size[1], size[0], device=device))
    kind = device.partition(":")[0]
    half = torch.float16 if kind == "cuda" else torch.bfloat16

    def eager(dtype: torch.dtype | None) -> Callable[[], object]:
        def run() -> object:
            with torch.inference_mode(), torch.autocast(kind, dtype) if dtype else nullcontext():
                return net(*given)

        return run

    found = {
        "float32": milliseconds(eager(None), device, rounds),
        "half precision": milliseconds(eager(half), device, rounds),
    }
    net = net.to(memory_format=torch.channels_last)
    given[0] = given[0].contiguous(memory_format=torch.channels_last)
    found["float32, channels last"] = milliseconds(eager(None), device, rounds)
    found["half precision, channels last"] = milliseconds(eager(half), device, rounds)
    run = engine.build(net, given, device)
    found["as the engine runs it"] = milliseconds(lambda: run(*given), device, rounds)
    return found


def flow(size: tuple[int, int], device: str, rounds: int) -> dict[str, float]:
    """Milliseconds a frame of both directions, by estimator."""
    from torchvision.models.optical_flow import raft_small

    pictures = [torch.rand(1, 3, size[1], size[0]) for _ in range(2)]
    dis = load_flow(FlowOptions("dis"), "cpu")
    found = {"DIS, one core": milliseconds(lambda: dis.both(*pictures), "cpu", rounds)}
    for name, divisor in (("RAFT-small, half the size", 2), ("RAFT-small, a quarter of the size", 4)):
        raft = raft_small(weights=None).eval().to(device)
        height, width = (max(side // divisor // 8 * 8, 128) for side in (size[1], size[0]))
        pair = [torch.rand(2, 3, height, width, device=device) for _ in range(2)]
        for kind in ("float32", "half precision") if device.startswith("cuda") else ("float32",):

            def run(raft: Any = raft, pair: list[Tensor] = pair, kind: str = kind) -> None:
                with torch.inference_mode(), torch.autocast("cuda", torch.float16, enabled=kind != "float32"):
                    raft(*pair)

            found[f"{name}, {kind}"] = milliseconds(run, device, max(rounds // 2, 1))
    return found


def codecs(clip: Path) -> dict[str, float | str]:
    """Frames a second of decoders and encoders, or why there is none."""
    found: dict[str, float | str] = {}
    with av.open(str(clip)) as container:
        frames = [frame.reformat(format="yuv420p") for frame in container.decode(video=0)]
    for name in DECODERS:
        try:
            began, count = time.perf_counter(), 0
            with av.open(str(clip)) as container:
                stream = container.streams.video[0]
                decoder = av.CodecContext.create(name, "r")
                decoder.extradata = stream.codec_context.extradata
                for packet in container.demux(stream):
                    count += len(decoder.decode(packet))  # type: ignore[attr-defined]
            found[f"decode, {name}"] = round(count / (time.perf_counter() - began), 1)
        except (av.FFmpegError, ValueError) as error:
            found[f"decode, {name}"] = f"not here ({type(error).__name__})"
    for name in ENCODERS:
        try:
            encoder = av.CodecContext.create(name, "w")
            encoder.width, encoder.height, encoder.pix_fmt = frames[0].width, frames[0].height, "yuv420p"  # type: ignore[attr-defined]
            encoder.time_base = Fraction(1, 24)
            began = time.perf_counter()
            for number, frame in enumerate(frames):
                frame.pts = number
                frame.pict_type = 0
                encoder.encode(frame)  # type: ignore[attr-defined]
            encoder.encode(None)  # type: ignore[attr-defined]
            found[f"encode, {name}"] = round(len(frames) / (time.perf_counter() - began), 1)
        except (av.FFmpegError, ValueError) as error:
            found[f"encode, {name}"] = f"not here ({type(error).__name__})"
    return found


def command(clip: Path, style: Style, device: str) -> float:
    """Frames a second of the whole command, start-up left out."""
    stamps: list[float] = []
    plan = RenderPlan(
        str(clip), str(clip.with_name("painted.mp4")), style=style, device=device, encode=EncodeOptions(overwrite=True)
    )
    videostyle.render(plan, on_progress=lambda now: stamps.append(time.perf_counter()) if now.done else None)
    before = min(WINDOW, len(stamps) - 1)
    return round((len(stamps) - before) / max(stamps[-1] - stamps[0], 1e-9), 2)


def table(result: dict[str, Any]) -> str:
    """Return all figures as one Markdown table."""
    rows = [["what", "size", "measured"], ["---"] * 3]
    for what, measured in result["measured"].items():
        name, _, size = what.partition(" at ")
        values = measured if isinstance(measured, dict) else {"": measured}
        rows += [[f"{name}{', ' * bool(key)}{key}", size, str(value)] for key, value in values.items()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--networks", nargs="*", default=["fast", "fine"])
    parser.add_argument("--style", default="great-wave")
    parser.add_argument("--sizes", nargs="*", default=["640x360", "1280x720", "1920x1080", "3840x2160"])
    parser.add_argument("--frames", type=int, default=120, help="of each film")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=540)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    ends = time.monotonic() + args.seconds
    on_gpu = args.device.startswith("cuda")
    result: dict[str, Any] = {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {cores()} cores",
        "device": torch.cuda.get_device_name(args.device) if on_gpu else args.device,
        "versions": {"torch": torch.__version__, "cuda": torch.version.cuda, "videostyle": videostyle.__version__},
        "measured": {},
        "left out": [],
    }
    torch.manual_seed(0)
    np.random.seed(0)
    sizes = {name: (int(name.split("x")[0]), int(name.split("x")[1])) for name in args.sizes}
    styles = {name: Style(((args.style, 1.0),), network=name) for name in args.networks}
    with tempfile.TemporaryDirectory() as folder:
        clips: dict[str, Path] = {}

        def clip(size: str) -> Path:
            if size not in clips:
                clips[size] = prepare(args.film, Path(folder) / f"{size}.mp4", size, args.frames)
            return clips[size]

        # Films first: they are what counts, and the rest explains them.
        jobs: dict[str, Callable[[], Any]] = {}

        def whole(size: str, style: Style) -> float:
            return command(clip(size), style, args.device)

        for name, style in styles.items():
            for size in sizes:
                jobs[f"command, {name} at {size}"] = partial(whole, size, style)
        for name, style in styles.items():
            for size, sides in sizes.items():
                jobs[f"network, {name} at {size}"] = partial(network, style, sides, args.device, args.rounds)
        for size, sides in sizes.items():
            jobs[f"flow at {size}"] = partial(flow, sides, args.device, args.rounds)
            jobs[f"codecs at {size}"] = partial(lambda size: codecs(clip(size)), size)
        for what, job in jobs.items():
            if time.monotonic() > ends:
                result["left out"].append(what)
                continue
            try:
                result["measured"][what] = job()
            except torch.cuda.OutOfMemoryError:
                result["measured"][what] = "not enough memory"
            print(what, result["measured"][what], flush=True)
            if args.json:
                args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
            if args.table:
                args.table.write_text(table(result), encoding="utf-8")


if __name__ == "__main__":
    main()
