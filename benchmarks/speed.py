"""How fast the whole command is: against a naive loop on the same clip in the same run, and stage by stage.

    python benchmarks/speed.py FILM [--size 640x360] [--frames 150] [--rounds 3] [--busy 2] [--json FILE]

The naive loop is what most scripts do: OpenCV reads a frame, Johnson's 32/64/128 network paints it in eager PyTorch
(float32, as it comes), OpenCV writes it; no sound, no stabilising, no overlap. Both run as in use, start-up left out,
alternating, so that a machine whose speed drifts slows both alike; the figure to quote is the ratio.

"Beside busy cores": milliseconds that one picture takes in the network alone, beside none, one and more processes that
keep a core busy each, with OpenVINO's threads free to move, as we run them, and pinned to cores, as it does by itself.

"Networks": each shipped network on the same clip, in processes of its own, with the most memory that one had. README's
table is made from it (`--table README.md` replaces the table there).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

import videostyle
from videostyle.engines import openvino
from videostyle.nets.style_network import ARCHITECTURES, Architecture, StyleNetwork, macs_per_pixel
from videostyle.plan import EncodeOptions, RenderPlan, StabilizeOptions
from videostyle.stabilize import WINDOW
from videostyle.style import Style
from videostyle.weights import load_network, load_style

MODES = {
    "lookahead": StabilizeOptions(mode="lookahead"),
    "causal": StabilizeOptions(mode="causal"),
    "per frame": StabilizeOptions(0),
}
JOHNSON = Architecture(unshuffle=1, widths=(32, 64, 128), blocks=5, kernel=9, head=32)


def naive(film: Path, output: Path, frames: int) -> float:
    """Frames a second of the naive loop."""
    torch.manual_seed(0)
    net = StyleNetwork(JOHNSON).eval()  # random weights cost the same
    code = torch.zeros(1, net.code_size)
    code[:, -1] = 1
    capture = cv2.VideoCapture(str(film))
    width, height = (int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    writer = cv2.VideoWriter(str(output), cv2.VideoWriter.fourcc(*"mp4v"), 24, (width, height))
    started, count = 0.0, 0
    with torch.no_grad():
        while count <= frames:
            ok, bgr = capture.read()
            if not ok:
                break
            picture = torch.from_numpy(bgr[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255
            painted = net(picture, code)[0].permute(1, 2, 0).mul(255).byte().numpy()
            writer.write(np.ascontiguousarray(painted[..., ::-1]))
            count += 1
            if count == 1:
                started = time.perf_counter()  # the first frame warms up
    seconds = time.perf_counter() - started
    writer.release()
    return (count - 1) / seconds


def whole(film: Path, output: Path, stabilize: StabilizeOptions, style: Style) -> tuple[float, dict[str, float]]:
    """Frames a second of the command from its second frame on, and milliseconds a frame by stage."""
    stamps: list[float] = []
    plan = RenderPlan(
        source=str(film),
        output=str(output),
        style=style,
        stabilize=stabilize,
        encode=EncodeOptions(overwrite=True),
    )
    report = videostyle.render(plan, on_progress=lambda now: stamps.append(time.perf_counter()) if now.done else None)
    # The network is compiled before the first frame, and so much painted that is held back to look ahead. What the
    # queues held back then is painted by the last stamp.
    before = WINDOW if report.stabilizer == "lookahead" else 1
    rate = (len(stamps) - before) / (stamps[-1] - stamps[0])
    return rate, {stage: seconds / report.frames * 1000 for stage, seconds in report.stages.items()}


def spin() -> None:
    while True:
        pass


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """So many processes, each of which keeps a core busy."""
    busy = [multiprocessing.Process(target=spin, daemon=True) for _ in range(count)]
    for process in busy:
        process.start()
    try:
        yield
    finally:
        for process in busy:
            process.kill()


def beside_busy_cores(style: Style, size: str, most: int, rounds: int) -> dict[str, dict[str, float]]:
    """Median milliseconds a picture, by how many neighbours there are and whether threads are pinned."""
    network, code = load_style(style)
    width, height = map(int, size.split("x"))
    given = torch.rand(1, 3, height, width), code
    model = openvino.convert(network.net.folded(), given)
    model.reshape({number: list(each.shape) for number, each in enumerate(given)})
    requests = {}
    for name, pinned in (("free", False), ("pinned", True)):
        settings = {**openvino.settings(), "ENABLE_CPU_PINNING": pinned}
        requests[name] = openvino.core().compile_model(model, "CPU", settings).create_infer_request()
    found: dict[str, dict[str, float]] = {}
    for count in range(most + 1):
        times: dict[str, list[float]] = {name: [] for name in requests}
        with neighbours(count):
            for _ in range(rounds):
                for name, request in requests.items():
                    for number in range(6):
                        started = time.perf_counter()
                        request.infer({place: each.numpy() for place, each in enumerate(given)})
                        if number:  # the first after a change warms the caches
                            times[name].append(1000 * (time.perf_counter() - started))
        found[str(count)] = {name: round(statistics.median(values), 1) for name, values in times.items()}
    return found


def peak_memory(clip: Path, output: Path, network: str, style: str) -> int:
    """Return the most megabytes that a process of the command had in memory."""
    command = [sys.executable, "-m", "videostyle", "stylize", str(clip), "-o", str(output), "--style", style]
    # A child's figure begins with its parent's: a small process in between keeps this one's out.
    measure = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    told = subprocess.run(
        [sys.executable, "-c", measure, *command, "--network", network, "--overwrite", "--quiet"],
        check=True,
        capture_output=True,
        text=True,
    )
    return round(int(told.stdout) / 1024)


def networks(clip: Path, names: list[str], style: str, rounds: int) -> dict[str, dict[str, float]]:
    """Measure each network: thousand multiply-adds a pixel, frames a second by mode, megabytes."""
    output = clip.with_name("painted.mp4")
    rates: dict[str, dict[str, list[float]]] = {name: {mode: [] for mode in MODES} for name in names}
    for _ in range(rounds):
        for name in names:
            for mode, stabilize in MODES.items():
                rates[name][mode].append(whole(clip, output, stabilize, Style(((style, 1.0),), network=name))[0])
    return {
        name: {
            "thousand multiply-adds a pixel": round(macs_per_pixel(load_network(name).net.architecture) / 1000, 1),
            **{mode: round(statistics.median(values), 1) for mode, values in rates[name].items()},
            "megabytes": peak_memory(clip, output, name, style),
        }
        for name in names
    }


def table(measured: dict[str, dict[str, float]], size: str) -> str:
    """Return the networks as a Markdown table."""
    head = ["network", "thousand multiply-adds a pixel", "lookahead", "causal", "`--stabilize 0`", "memory"]
    rows = [head, ["---"] * len(head)]
    for name, row in measured.items():
        each = [f"{row[mode]:.1f} fps" for mode in MODES]
        rows.append([f"`{name}`", f"{row['thousand multiply-adds a pixel']:.1f}", *each, f"{row['megabytes']:.0f} MB"])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    head_line = (
        f"Frames per second of the whole command at {size} on {torch.get_num_threads()} threads, start-up left out:"
    )
    return "\n".join([head_line, "", *lines])


def replace_table(page: Path, text: str) -> None:
    """Put the table between the page's two comments."""
    before, begin, rest = page.read_text(encoding="utf-8").partition("<!-- networks -->\n")
    _, end, after = rest.partition("<!-- end of networks -->")
    assert begin, f"{page} has no place for the table"
    assert end, f"{page} has no end of the table"
    page.write_text(f"{before}{begin}{text}\n{end}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("film", type=Path)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--frames", type=int, default=150, help="of the command; the naive loop paints a tenth")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--style", default="great-wave")
    parser.add_argument("--network", default=Style.network)
    parser.add_argument("--networks", nargs="*", default=list(ARCHITECTURES))
    parser.add_argument("--table", type=Path, help="a page whose table of networks is replaced")
    parser.add_argument("--busy", type=int, default=2, help="neighbours, at most")
    parser.add_argument("--only-busy", action="store_true", help="measure nothing but the network beside them")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.frames < WINDOW + 12:
        raise SystemExit(f"--frames must be at least {WINDOW + 12}: the first {WINDOW} are held back to look ahead")
    style = Style(((args.style, 1.0),), network=args.network)
    result: dict[str, Any] = {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "versions": {"torch": torch.__version__, "videostyle": videostyle.__version__},
        "size": args.size,
        "network": args.network,
    }
    if not args.only_busy:
        result |= compared(args, style)
    if args.networks:
        with tempfile.TemporaryDirectory() as folder:
            clip = prepare(args.film, Path(folder) / "clip.mp4", args.size, args.frames)
            result["networks"] = networks(clip, args.networks, args.style, args.rounds)
        if args.table:
            replace_table(args.table, table(result["networks"], args.size))
    result["milliseconds a picture in the network, beside busy cores"] = beside_busy_cores(
        style, args.size, args.busy, args.rounds
    )
    print(json.dumps(result, indent=2))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def compared(args: argparse.Namespace, style: Style) -> dict[str, Any]:
    """The whole command and the naive loop, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        clip = prepare(args.film, Path(folder) / "clip.mp4", args.size, args.frames)
        rates: dict[str, list[float]] = {"naive": [], **{name: [] for name in MODES}}
        stages: dict[str, list[dict[str, float]]] = {name: [] for name in MODES}
        for _ in range(args.rounds):
            rates["naive"].append(naive(clip, Path(folder) / "naive.mp4", max(args.frames // 10, 5)))
            for name, stabilize in MODES.items():
                rate, cost = whole(clip, Path(folder) / "painted.mp4", stabilize, style)
                rates[name].append(rate)
                stages[name].append(cost)
    ratios = [fast / slow for fast, slow in zip(rates["causal"], rates["naive"], strict=True)]
    return {
        "frames a second": {name: [round(rate, 2) for rate in values] for name, values in rates.items()},
        "causal over naive": round(statistics.median(ratios), 2),
        "milliseconds a frame by stage": {
            name: {stage: round(statistics.median(cost[stage] for cost in costs), 1) for stage in costs[0]}
            for name, costs in stages.items()
        },
    }


def prepare(film: Path, clip: Path, size: str, frames: int) -> Path:
    """The first `frames` frames of the film at `size`, as h264."""
    with videostyle.open_source(str(film)) as video:
        rate = video.info.average_rate or Fraction(24)
    plan = RenderPlan(source=str(film), output=str(clip), size=size, span=videostyle.Span(end=Fraction(frames) / rate))
    videostyle.render(plan)
    return clip


if __name__ == "__main__":
    main()
