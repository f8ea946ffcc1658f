"""Time against quality by precision and by the processor's instructions: float32, bfloat16 and int8, for each network.

    python benchmarks/precision.py FILM [--networks fast fine] [--styles great-wave scream] [--json FILE] [--table FILE]

int8 is NNCF's post-training quantization of the network as OpenVINO runs it (pip install nncf), calibrated on what the
network is given in the first frames of the film: all convolutions; all but the first and the last two ("ends in
float"); or those of the residual blocks. Every precision paints the film by itself, with its own warped output as
prior. PSNR is that of its frames against those of float32; the Gram difference is that of the last frame's VGG
features, relative to float32's; the warping error (Lai et al. 2018) is over float32's. Within tolerance are 38 dB, a
Gram difference of 2 % and a warping error no higher (2 %). The networks take turns; the figure to quote is the time
over float32's in the same run.

Instructions: time of one picture with ONEDNN_MAX_CPU_ISA, in a process for each, over that without a limit. Not every
kernel of OpenVINO obeys, so it is measured what the variable does, not what an older processor takes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import date
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov
import torch
from torch import Tensor

import videostyle
from videostyle.engines import Engine, openvino
from videostyle.io import open_source
from videostyle.io.memory import MemorySink, MemorySource
from videostyle.metrics.temporal import TemporalMetrics
from videostyle.nets.running_norm import FrameNorm
from videostyle.ops.losses import gram
from videostyle.ops.pixels import to_float
from videostyle.pipeline import render
from videostyle.plan import RenderPlan
from videostyle.style import Style
from videostyle.stylizers import load_stylizer
from videostyle.stylizers.feedforward import FeedForward
from videostyle.threads import cores
from videostyle.timeline import Span
from videostyle.types import Frame
from videostyle.weights import load_loss_network

LEAST_PSNR, MOST_GRAM = 38.0, 0.02
ISAS = ("SSE41", "AVX", "AVX2", "AVX512_CORE", "DEFAULT")


def network_model(style: Style) -> tuple[ov.Model, Tensor]:
    """The network of a style as OpenVINO is given it, and its code."""
    from videostyle.weights import load_style

    network, code = load_style(style)
    net = network.net.folded()
    side = 4 * net.architecture.stride
    inputs = [torch.zeros(1, 3, side, side), code]
    if net.architecture.recurrent:
        inputs.append(torch.zeros(1, 8, side, side))
    return openvino.convert(FrameNorm(net), inputs), code


def engine_of(compiled: Any) -> Engine:
    request = compiled.create_infer_request()

    def run(*given: Tensor) -> tuple[Tensor, ...]:
        request.infer({number: each.contiguous().numpy() for number, each in enumerate(given)})
        return tuple(torch.from_numpy(output.data.copy()) for output in request.output_tensors)

    return run


def quantized(model: ov.Model, given: Sequence[Sequence[Tensor]], floats: str) -> ov.Model:
    """The model in int8, calibrated on `given` inputs of the network; `floats` says which do not."""
    import nncf

    convolutions = [op for op in model.get_ordered_ops() if "Convolution" in op.get_type_name()]
    names = [op.get_friendly_name() for op in convolutions]
    kept = {
        "": [],
        "ends in float": [*names[:2], *names[-2:]],
        "residual blocks only": [
            name
            for name, op in zip(names, convolutions, strict=True)
            if op.input_value(1).get_partial_shape()[0] != op.input_value(1).get_partial_shape()[1]
        ],
    }[floats]
    return nncf.quantize(
        model,
        nncf.Dataset([[each.contiguous().numpy() for each in one] for one in given]),
        subset_size=len(given),
        ignored_scope=nncf.IgnoredScope(names=kept) if kept else None,
    )


def read(film: Path, size: tuple[int, int], count: int) -> list[Frame]:
    with open_source(str(film)) as source:
        found = list(islice(source.frames(Span()), count))
    rows = [cv2.resize(one.pixels.permute(1, 2, 0).numpy(), size, interpolation=cv2.INTER_AREA) for one in found]
    return [one.with_pixels(torch.from_numpy(row).permute(2, 0, 1)) for one, row in zip(found, rows, strict=True)]


def painted(frames: Sequence[Frame], style: Style, engine: Engine) -> list[Tensor]:
    stylizer = load_stylizer(style, "torch", "cpu")
    assert isinstance(stylizer, FeedForward)
    stylizer.engine = engine
    sink = MemorySink()
    plan = RenderPlan("film", "film", style=style, engine="torch", device="cpu")
    render(plan, source=MemorySource(frames), sink=sink, stylizer=stylizer)
    return [to_float(frame) for frame in sink.frames]


def psnr(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    error = statistics.mean(float((a - b).square().mean()) for a, b in zip(one, other, strict=True))
    return float(-10 * np.log10(max(error, 1e-12)))


def compare(frames: list[Frame], style: Style, rounds: int) -> dict[str, dict[str, Any]]:
    """Time and quality of each precision, for one network and style."""
    model, _ = network_model(style)
    given: list[list[Tensor]] = []
    free = core_settings("f32")
    single = engine_of(openvino.core().compile_model(model, "CPU", free))

    def noted(*inputs: Tensor) -> tuple[Tensor, ...]:
        given.append([one.clone() for one in inputs])
        return single(*inputs)

    films = {"float32": painted(frames, style, noted)}
    shapes = [list(one.shape) for one in given[0]]
    model.reshape(dict(enumerate(shapes)))
    models = {"float32": (model, "f32")}
    if "BF16" in openvino.core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        models["bfloat16"] = (model, "bf16")
    if find_spec("nncf") is not None:
        for floats in ("", "ends in float", "residual blocks only"):
            models["int8" + (f", {floats}" if floats else "")] = (quantized(model, given, floats), "f32")
    engines = {}
    for name, (one, hint) in models.items():
        one.reshape(dict(enumerate(shapes)))
        engines[name] = engine_of(openvino.core().compile_model(one, "CPU", core_settings(hint)))
    taken: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(rounds + 1):
        for name, engine in engines.items():
            began = time.perf_counter()
            engine(*given[-1])
            taken[name].append(1000 * (time.perf_counter() - began))
    for name, engine in engines.items():
        if name != "float32":
            films[name] = painted(frames, style, engine)
    metrics = TemporalMetrics()
    for number, frame in enumerate(frames):
        metrics.add(number == 0, to_float(frame), {name: film[number] for name, film in films.items()})
    scores, grams = metrics.result(), {name: features(film[-1]) for name, film in films.items()}
    base = min(taken["float32"][1:])
    found = {}
    for name in films:
        difference = [float((a - b).norm() / b.norm()) for a, b in zip(grams[name], grams["float32"], strict=True)]
        row = {
            "milliseconds": round(statistics.median(taken[name][1:]), 1),
            "time over float32": round(min(taken[name][1:]) / base, 2),
            "PSNR": round(psnr(films[name], films["float32"]), 1),
            "Gram difference": round(statistics.mean(difference), 4),
            "warping error over float32": round(scores[name].warping_error / scores["float32"].warping_error, 3),
        }
        row["within tolerance"] = bool(
            row["PSNR"] >= LEAST_PSNR
            and row["Gram difference"] <= MOST_GRAM
            and row["warping error over float32"] <= 1.02
        )
        found[name] = row
    return found


def core_settings(hint: str) -> dict[str, Any]:
    return {**openvino.settings(), "INFERENCE_PRECISION_HINT": hint}


def features(picture: Tensor) -> list[Tensor]:
    """Gram matrices of the small loss network's features."""
    loss_network = load_loss_network("vgg19-small")
    with torch.inference_mode():
        return [gram(one) for one in loss_network(picture, LAYERS).values()]


LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")


def one_picture(style: Style, size: tuple[int, int], rounds: int) -> float:
    """The least milliseconds that one picture takes in this process."""
    model, code = network_model(style)
    shapes = [[1, 3, size[1], size[0]], list(code.shape), [1, 8, size[1], size[0]]][: len(model.inputs)]
    model.reshape(dict(enumerate(shapes)))
    engine = engine_of(openvino.core().compile_model(model, "CPU", core_settings("f32")))
    given = [torch.rand(*shape) for shape in shapes]
    taken = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        engine(*given)
        taken.append(1000 * (time.perf_counter() - began))
    return min(taken[1:])


def instructions(style: Style, args: argparse.Namespace) -> dict[str, float]:
    """The time of one picture by the limit of instructions, over that without."""
    found: dict[str, float] = {}
    for _ in range(2):
        for isa in args.isa:
            command = [sys.executable, __file__, str(args.film), "--one-picture", "--size", args.size]
            command += ["--styles", style.names[0], "--networks", style.network, "--rounds", str(args.rounds)]
            environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": isa}
            told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
            found[isa] = min(float(told.stdout.split()[-1]), found.get(isa, float("inf")))
    return {isa: round(taken / found[args.isa[-1]], 2) for isa, taken in found.items()}


def table(result: dict[str, Any]) -> str:
    head = ["network, style", "precision", "time over float32", "PSNR", "Gram difference", "warping error", "within"]
    rows = [head, ["---"] * len(head)]
    for style, measured in result["precisions"].items():
        for name, row in measured.items():
            cells = [f"{row['time over float32']:.2f}", f"{row['PSNR']:.1f} dB", f"{row['Gram difference']:.1%}"]
            cells += [f"{row['warping error over float32']:.2f}", "yes" if row["within tolerance"] else "no"]
            rows.append([style, name, *(cells if name != "float32" else ["1", "", "", "1", ""])])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film", type=Path)
    parser.add_argument("--networks", nargs="*", default=["fast", "fine"])
    parser.add_argument("--styles", nargs="*", default=["great-wave", "scream"])
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--isa", nargs="*", default=list(ISAS), help="the last is what the others are compared with")
    parser.add_argument("--one-picture", action="store_true", help="print the milliseconds of one picture, no more")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    styles = [Style(((name, 1.0),), network=network) for network in args.networks for name in args.styles]
    if args.one_picture:
        print(one_picture(styles[0], (width, height), args.rounds))
        return
    result: dict[str, Any] = {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {cores()} cores, load {os.getloadavg()[0]:.1f} before",
        "processor": openvino.core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
        "versions": {"torch": torch.__version__, "openvino": ov.__version__, "videostyle": videostyle.__version__},
        "size": args.size,
        "precisions": {},
    }
    frames = read(args.film, (width, height), args.frames)
    for style in styles:
        name = f"{style.network}, {style.names[0]}"
        result["precisions"][name] = compare(frames, style, args.rounds)
        print(name, json.dumps(result["precisions"][name], indent=2), flush=True)
    if args.isa:
        result["time of one picture by ONEDNN_MAX_CPU_ISA"] = instructions(styles[0], args)
    print(json.dumps(result, indent=2))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if args.table:
        args.table.write_text(table(result), encoding="utf-8")


if __name__ == "__main__":
    main()
