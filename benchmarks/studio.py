"""Time to the first picture in the studio, and to a still that is painted again, as the page asks for them.

    python benchmarks/studio.py FILM [--rounds 10] [--style great-wave] [--json FILE]

The studio runs as a user starts it. The requests are those of the page, one after the other: the film is uploaded and
looked at, its first frame is shown, then painted; after that the strength, the style and the moment change. Times are
those until the whole answer has arrived, without the browser's own to draw it. The first round follows the start of the
processes, whose network is loaded already.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import torch

import videostyle
from videostyle.threads import cores
from videostyle.weights import gallery

TUS = {"Tus-Resumable": "1.0.0"}


@contextmanager
def served(data: Path, style: str) -> Iterator[tuple[str, float]]:
    """The address of a running studio, and the seconds until it could paint."""
    command = [sys.executable, "-m", "videostyle", "studio", "--no-browser", "--port", "0"]
    command += ["--data", str(data), "--style", style]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip().rstrip("/")
        if not address:
            raise SystemExit("the studio did not start")
        while True:
            with suppress(URLError), urlopen(f"{address}/readyz"):
                break
            time.sleep(0.1)
        yield address, time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def ask(address: str, content: object, **headers: str) -> tuple[bytes, Any]:
    """Send JSON or bytes, and return the answer and its headers."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    method = sent.pop("method", "POST")
    with urlopen(Request(address, body, sent, method=method)) as answer:
        return answer.read(), answer.headers


def upload(address: str, film: Path) -> str:
    """Upload a film, and return its id."""
    content = film.read_bytes()
    metadata = f"filename {base64.b64encode(film.name.encode()).decode()}"
    told = {**TUS, "Upload-Length": str(len(content)), "Upload-Metadata": metadata}
    _, headers = ask(f"{address}/v1/uploads", b"", **told)
    kind = "application/offset+octet-stream"
    where = f"{address}{headers['Location']}"
    ask(where, content, **TUS, Upload_Offset="0", Content_Type=kind, method="PATCH")
    return str(headers["Location"]).rpartition("/")[2]


def one_round(address: str, film: Path, styles: list[str], number: int) -> dict[str, float]:
    """Seconds of one visit."""
    took: dict[str, float] = {}

    def still(name: str, at: float, settings: dict[str, Any] | None) -> None:
        began = time.perf_counter()
        ask(f"{address}/v1/stills", {"input": id, "at": at, "view": "benchmark", "settings": settings})
        took[name] = time.perf_counter() - began

    began = time.perf_counter()
    id = upload(address, film)
    with urlopen(f"{address}/v1/uploads/{id}") as answer:
        seconds = json.loads(answer.read())["seconds"] or 0.0
    still("a frame", 0.0, None)
    took["opened until its first frame is shown"] = time.perf_counter() - began
    still("painted", 0.0, {"style": styles[0]})
    took["opened until that is painted"] = time.perf_counter() - began
    still("another strength", 0.0, {"style": styles[0], "strength": 0.4 + 0.05 * (number % 10)})
    others = styles[1:] or styles
    still("another style", 0.0, {"style": others[number % len(others)]})
    at = seconds * (number % 7 + 1) / 9
    still("another moment, its frame", at, None)
    still("another moment, painted", at, {"style": styles[0]})
    del took["a frame"], took["painted"]
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("film", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--style", default="great-wave")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    names = [one.name for one in gallery() if one.network == "fast"]
    styles = [args.style, *(name for name in names if name != args.style)]
    busy = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, served(Path(folder) / "data", args.style) as (address, started):
        rounds = [one_round(address, args.film, styles, number) for number in range(args.rounds)]
    info = videostyle.probe(str(args.film))
    result = {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {cores()} cores of {os.cpu_count()}",
        "load before": round(busy, 1),
        "versions": {"torch": torch.__version__, "videostyle": videostyle.__version__},
        "size": f"{info.width}x{info.height}",
        "rounds": args.rounds,
        "seconds until it can paint": round(started, 2),
        "seconds": {
            name: {
                "first": round(rounds[0][name], 3),
                "median": round(statistics.median(one[name] for one in rounds), 3),
                "most": round(max(one[name] for one in rounds), 3),
            }
            for name in rounds[0]
        },
    }
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
