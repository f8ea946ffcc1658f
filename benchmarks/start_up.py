"""What commands cost before they paint, which of them load torch, and what a path without torch would gain.

    python benchmarks/start_up.py [FILM] [--style great-wave] [--rounds 3] [--json FILE]

Each command runs in new processes: processor seconds, and the most memory that it held. `stylize` paints one frame, the
network compiled by a run before. Then packages are imported in new processes, torch after all others that painting
needs: the difference is the most that painting without torch would gain.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
OTHERS = ("numpy", "cv2", "av", "scenedetect", "safetensors", "pydantic", "openvino")
"""Packages, beside torch, that painting a film with OpenVINO needs."""
IMPORTS: dict[str, tuple[str, ...]] = {
    "the others": OTHERS,
    "the others and torch": (*OTHERS, "torch"),
    "torch": ("torch",),
    "openvino": ("openvino",),
    "onnxruntime": ("onnxruntime",),
}


def used(arguments: list[str]) -> tuple[float, float]:
    """Processor seconds and most megabytes of a Python process, its children left out."""
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)}: ended with status {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1e6


def median(arguments: list[str], rounds: int) -> dict[str, float]:
    seconds, megabytes = zip(*(used(arguments) for _ in range(rounds)), strict=True)
    return {"processor seconds": round(statistics.median(seconds), 2), "MB": round(statistics.median(megabytes))}


def import_seconds(arguments: list[str], package: str) -> float | None:
    """Seconds for which a command imports a package, what that imports included; None if it does not."""
    done = subprocess.run([sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, check=True)
    found = re.search(rf"^import time: +\d+ \| +(\d+) \| +{package}$", done.stderr, re.MULTILINE)
    return None if found is None else round(int(found[1]) / 1e6, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("film", nargs="?", default=str(ROOT / "samples" / "harbour.mp4"))
    parser.add_argument("--style", default="great-wave")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--note", default="")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        painting = ["stylize", args.film, "-o", str(Path(folder) / "x.mp4"), "--style", args.style, "--end", "0.04"]
        painting += ["--overwrite", "-q", "--engine"]
        commands = {
            "--version": ["--version"],
            "--help": ["--help"],
            "stylize --help": ["stylize", "--help"],
            "styles": ["styles"],
            "probe": ["probe", args.film],
            "stylize, one frame, openvino": [*painting, "openvino"],
        }
        if find_spec("onnxruntime") and find_spec("onnx"):
            commands["stylize, one frame, onnx"] = [*painting, "onnx"]
        found: dict[str, Any] = {
            "date": date.today().isoformat(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "versions": {one: version(one) for one in ("torch", "openvino", "numpy")},
            "note": args.note,
            "commands": {},
            "imports": {},
        }
        for name, words in commands.items():
            command = ["-m", "videostyle", *words]
            seconds = import_seconds(command, "torch")  # a run that compiles the network, too
            found["commands"][name] = {**median(command, args.rounds), "seconds of importing torch": seconds}
            print(f"{name}: {found['commands'][name]}")
    for name, packages in IMPORTS.items():
        if all(find_spec(one) is not None for one in packages):
            found["imports"][name] = median(["-c", f"import {', '.join(packages)}"], args.rounds)
            print(f"import {name}: {found['imports'][name]}")
    with_torch, without = found["imports"]["the others and torch"], found["imports"]["the others"]
    found["torch adds"] = {key: round(with_torch[key] - without[key], 2) for key in without}
    print(f"torch adds: {found['torch adds']}")
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
