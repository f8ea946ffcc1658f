"""How long each engine takes for one picture on the CPU, beside the others in the same run.

    python benchmarks/engines.py [--network fast] [--size 640x360] [--rounds 12] [--json FILE]

The engines take turns, so that a machine whose speed drifts slows all alike; the first round is left out. The figure to
quote is the ratio of the medians to ONNX Runtime's.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import torch

import videostyle.engines
from videostyle.engines import load_engine
from videostyle.nets.style_network import RECURRENT_CHANNELS
from videostyle.plugins import available
from videostyle.style import Style
from videostyle.weights import load_style


def measure(style: Style, width: int, height: int, rounds: int) -> dict[str, float]:
    """Median milliseconds of each engine."""
    network, code = load_style(style)
    engines = {name: load_engine(name, network, "cpu") for name in available(videostyle.engines)}
    inputs = [torch.rand(1, 3, height, width), code]
    if network.net.architecture.recurrent:
        inputs.append(torch.rand(1, RECURRENT_CHANNELS, height, width))
    taken: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(rounds + 1):
        for name, engine in engines.items():
            began = time.perf_counter()
            engine(*inputs)
            taken[name].append(1000 * (time.perf_counter() - began))
    return {name: round(statistics.median(each[1:]), 1) for name, each in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="fast")
    parser.add_argument("--style", default="great-wave")
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    found = measure(Style(((args.style, 1.0),), network=args.network), width, height, args.rounds)
    result = {
        "date": date.today().isoformat(),
        "machine": platform.machine(),
        "versions": {name: version(name) for name in ("torch", "openvino", "onnxruntime")},
        "network": args.network,
        "size": args.size,
        "milliseconds": found,
        "beside onnx": {name: round(each / found["onnx"], 2) for name, each in found.items()},
    }
    print(json.dumps(result, indent=2))
    if args.json is not None:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
