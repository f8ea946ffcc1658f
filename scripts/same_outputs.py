"""Show that a change leaves what six commands write as it was, bit for bit.

    python scripts/same_outputs.py write before.json   # in the tree before the change
    python scripts/same_outputs.py check before.json   # in the tree after it; exit status 1 where anything differs

The commands run single-threaded on a part of the sample film; what is compared is the decoded pixels, times and sound,
and what `evaluate` measures.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import av
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PART = ["--start", "3.7", "--end", "4.2", "--size", "160"]
KEYS = ["--steps", "4", "--propagate", "warp"]
RENDER = [*PART, "--engine", "torch", "--device", "cpu", "--quiet"]


def commands(film: Path, painting: Path, still: Path, out: Path) -> dict[str, tuple[list[str | Path], Path]]:
    """By name, the arguments of each command and the file that it writes."""
    two = ["--style", "great-wave@0:03.7", "--style", "scream@0:04.1", "--strength", "0.8"]
    short = ["--steps", "6", "--size", "96", "--device", "cpu", "--quiet"]
    batch = out / "batch"
    painted = out / "lookahead.mp4"
    return {
        "stylize, looking ahead": (["stylize", film, "-o", painted, "--style", "great-wave", *RENDER], painted),
        "stylize, causal, two styles": (
            ["stylize", film, "-o", out / "causal.mkv", *two, "--stabilize-mode", "causal", "--codec", "ffv1", *RENDER],
            out / "causal.mkv",
        ),
        "batch": (
            ["batch", film, "-o", batch, "--style", "udnie", "--workers", "1", "--segment", "5", *RENDER],
            batch,
        ),
        "keyframes": (
            ["keyframes", film, "-o", out / "keys.mp4", "--style", painting, *KEYS, *RENDER],
            out / "keys.mp4",
        ),
        "paint": (["paint", still, painting, "-o", out / "still.png", *short], out / "still.png"),
        "evaluate": (
            ["evaluate", film, painted, "--start", "3.7", "--end", "4.2", "--json", out / "measured.json", "--quiet"],
            out / "measured.json",
        ),
    }


def digest(path: Path) -> str:
    """SHA-256 of what a file holds: decoded frames and their times, or measured numbers without names and seconds."""
    found = hashlib.sha256()
    if path.suffix == ".json":
        data = json.loads(path.read_text(encoding="utf-8"))
        found.update(json.dumps(numbers(data), sort_keys=True).encode())
        return found.hexdigest()
    with av.open(str(next(path.glob("*.mp4")) if path.is_dir() else path)) as container:
        for frame in container.decode():
            found.update(f"{frame.pts} {frame.time_base}".encode())
            found.update(frame.to_ndarray().tobytes())
    return found.hexdigest()


def numbers(data: object) -> object:
    """The measured numbers of a report, without what tells of files and of time spent."""
    if isinstance(data, dict):
        return {key: numbers(value) for key, value in data.items() if key not in ("seconds", "stages")}
    if isinstance(data, list):
        return [numbers(value) for value in data]
    return None if isinstance(data, str) else data


def digests() -> dict[str, str]:
    """Of what each command writes, by the command's name."""
    film = ROOT / "samples" / "harbour.mp4"
    quiet = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        still, painting = out / "in.png", ROOT / "models" / "fast" / "great-wave.jpg"
        with av.open(str(film)) as container:
            first = next(container.decode(video=0)).to_ndarray(format="rgb24")
        Image.fromarray(first).resize((160, 90)).save(still)
        for name, (arguments, written) in commands(film, painting, still, out).items():
            line = [sys.executable, "-m", "videostyle", *map(str, arguments)]
            subprocess.run(line, cwd=ROOT, env=quiet, check=True)
            found[name] = digest(written)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("write", "check"))
    parser.add_argument("file", type=Path, help="digests by command, as JSON")
    options = parser.parse_args()
    now = digests()
    if options.action == "write":
        options.file.write_text(json.dumps(now, indent=2) + "\n", encoding="utf-8")
        return 0
    before = json.loads(options.file.read_text(encoding="utf-8"))
    for name, found in now.items():
        print(f"{name}: {'the same' if before.get(name) == found else 'differs'}")
    return 0 if before == now else 1


if __name__ == "__main__":
    sys.exit(main())
