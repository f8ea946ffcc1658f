"""Load on a service on this computer: pictures, queued films, and what many requests leave behind.

    python benchmarks/serve_load.py [--pictures 200] [--rate 2] [--films 50] [--clients 5] [--requests 2000]
                                    [--size 640x360] [--style great-wave] [--json FILE]
    python benchmarks/serve_load.py --replicas [--seconds 60]

Pictures are sent at a steady rate, whether or not those before were answered (an open loop, so that waiting counts).
Films are queued by several clients at once, by keys of their own, and the order in which they end shows whether the
clients took turns. Memory and open files are those of the API's process, before and after the many requests.

With --replicas one API replica, bound to one core, and then two over the same queue, bound to a core each, are given as
many pictures as they take, by clients that send the next when the last is answered. The clients run on other cores;
where there are only two, on those of the replicas that they ask, so that one gains nothing from the other's idle core.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import httpx2 as httpx
import numpy as np

import videostyle
from videostyle.io import open_sink, open_source, probe
from videostyle.threads import cores

ROOT = Path(__file__).parents[1]


def serve_command(data: Path) -> list[str]:
    return [sys.executable, "-m", "videostyle", "serve", "--data", str(data), "--port", "0"]


def new_keys(data: Path, clients: int) -> list[str]:
    """A key for each client."""
    commands = ([*serve_command(data), "--new-key", f"client {number}"] for number in range(clients))
    return [subprocess.run(one, check=True, capture_output=True, text=True).stdout.split()[0] for one in commands]


@contextmanager
def served(data: Path, core: int | None = None) -> Iterator[tuple[str, int]]:
    """A running service, bound to a core if one is named: its address, and the API's process id."""
    bound = [] if core is None else ["taskset", "-c", str(core)]
    with data.with_name(f"{data.name}-{core}.log").open("w") as log:
        process = subprocess.Popen([*bound, *serve_command(data)], stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip().rstrip("/")
        while True:
            with suppress(httpx.TransportError):
                if httpx.get(f"{address}/readyz").status_code == 200:
                    break
            time.sleep(0.5)
        yield address, process.pid
    finally:
        process.terminate()
        process.wait()


async def pictures(address: str, key: str, picture: bytes, settings: str, count: int, rate: float) -> dict[str, Any]:
    """Seconds until each of `count` pictures was painted, sent `rate` a second."""
    seconds: list[float] = []
    refused = 0

    async def send(client: httpx.AsyncClient) -> None:
        nonlocal refused
        began = time.perf_counter()
        answer = await client.post(
            f"{address}/v1/images", files={"file": ("a.jpg", picture)}, data={"settings": settings}
        )
        if answer.status_code == 200:
            seconds.append(time.perf_counter() - began)
        else:
            refused += 1

    async with httpx.AsyncClient(timeout=300, headers={"Authorization": f"Bearer {key}"}) as client:
        await send(client)  # the first compiles the network for this size
        seconds.clear()
        tasks = []
        for _ in range(count):
            tasks.append(asyncio.create_task(send(client)))
            await asyncio.sleep(1 / rate)
        await asyncio.gather(*tasks)
    ordered = sorted(seconds)
    return {
        "pictures": count,
        "a second": rate,
        "refused": refused,
        "mean": round(statistics.mean(ordered), 3) if ordered else None,
        "p95": round(ordered[int(0.95 * (len(ordered) - 1))], 3) if ordered else None,
        "worst": round(ordered[-1], 3) if ordered else None,
    }


async def films(address: str, keys: list[str], film: bytes, settings: str, count: int) -> dict[str, Any]:
    """Time until all films are painted, and in which order their clients were served."""
    began = time.perf_counter()
    async with httpx.AsyncClient(timeout=300) as client:

        async def submit(key: str, share: int) -> None:
            for _ in range(share):
                answer = await client.post(
                    f"{address}/v1/jobs",
                    files={"file": ("a.mp4", film)},
                    data={"settings": settings},
                    headers={"Authorization": f"Bearer {key}"},
                )
                answer.raise_for_status()

        share = count // len(keys)
        await asyncio.gather(*(submit(key, share) for key in keys))
        submitted = time.perf_counter() - began
        while True:
            lists = [
                (await client.get(f"{address}/v1/jobs?limit=100", headers={"Authorization": f"Bearer {key}"})).json()
                for key in keys
            ]
            jobs = [(job, number) for number, one in enumerate(lists) for job in one["jobs"]]
            if all(job["completed_at"] for job, _ in jobs):
                break
            await asyncio.sleep(1)
    order = [number for _, number in sorted((job["completed_at"], number) for job, number in jobs)]
    # The most films of one client that were done while another, who was waiting as well, had fewer.
    done, widest = [0] * len(keys), 0
    for number in order:
        done[number] += 1
        widest = max(widest, max(done) - min(done))
    return {
        "films": len(jobs),
        "clients": len(keys),
        "succeeded": sum(job["status"] == "succeeded" for job, _ in jobs),
        "seconds to submit": round(submitted, 1),
        "seconds": round(time.perf_counter() - began, 1),
        "widest lead of a client": widest,
    }


async def requests(address: str, key: str, pid: int, count: int) -> dict[str, Any]:
    """Memory and open files of the API's process over many small requests."""
    paths = ("/v1/styles", "/v1/jobs", "/healthz", "/v1/jobs/none", "/openapi.json")

    def state() -> tuple[float, int]:
        text = Path(f"/proc/{pid}/status").read_text()
        resident = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS"))
        return round(resident / 1024, 1), len(os.listdir(f"/proc/{pid}/fd"))

    async with httpx.AsyncClient(timeout=60, headers={"Authorization": f"Bearer {key}"}) as client:
        before = state()
        marks = []
        began = time.perf_counter()
        for number in range(count):
            await client.get(address + paths[number % len(paths)])
            if (number + 1) % max(count // 5, 1) == 0:
                marks.append(state())
        spent = time.perf_counter() - began
    return {
        "requests": count,
        "a second": round(count / spent, 1),
        "MB": [before[0], *(memory for memory, _ in marks)],
        "open files": [before[1], *(files for _, files in marks)],
    }


async def pictures_a_second(services: list[tuple[str, str]], picture: bytes, settings: str, seconds: float) -> float:
    """Pictures a second that services paint, each with two clients that wait for no more than their own answer."""
    done = 0

    async def send(client: httpx.AsyncClient, address: str, key: str) -> None:
        answer = await client.post(
            f"{address}/v1/images",
            files={"file": ("a.jpg", picture)},
            data={"settings": settings},
            headers={"Authorization": f"Bearer {key}"},
        )
        answer.raise_for_status()

    async def keep_sending(client: httpx.AsyncClient, address: str, key: str, until: float) -> None:
        nonlocal done
        while time.perf_counter() < until:
            await send(client, address, key)
            done += time.perf_counter() < until

    async with httpx.AsyncClient(timeout=300) as client:
        for address, key in services:
            await send(client, address, key)  # the first compiles the network for this size
        until = time.perf_counter() + seconds
        await asyncio.gather(*(keep_sending(client, *one, until) for one in services for _ in range(2)))
    return done / seconds


def replicas(folder: Path, picture: bytes, settings: str, seconds: float) -> dict[str, Any]:
    """Pictures a second of one replica on a core, and of two on a core each: the first, both, the second, both."""
    everywhere = sorted(os.sched_getaffinity(0))
    own, others = everywhere[:2], everywhere[2:]
    found: dict[int, list[float]] = {1: [], 2: []}
    (key,) = new_keys(folder / "data", 1)
    with ExitStack() as stack:
        running = [(stack.enter_context(served(folder / "data", core))[0], key) for core in own]
        stack.callback(os.sched_setaffinity, 0, everywhere)
        for asked in (slice(1), slice(2), slice(1, 2), slice(2)):
            os.sched_setaffinity(0, others or own[asked])
            rate = asyncio.run(pictures_a_second(running[asked], picture, settings, seconds))
            found[len(running[asked])].append(round(rate, 3))
    times = statistics.mean(found[2]) / statistics.mean(found[1])
    return {"one's pictures a second": found[1], "two's": found[2], "times": round(times, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--rate", type=float, default=2.0)
    parser.add_argument("--films", type=int, default=50)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--clients", type=int, default=5)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--film-size", default="320x180")
    parser.add_argument("--style", default="great-wave")
    parser.add_argument("--replicas", action="store_true", help="how much two services carry beside one")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each of four turns with --replicas")
    parser.add_argument("--note", default="")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    source = ROOT / "samples" / "harbour.mp4"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        short = folder / "film.mp4"
        with open_source(str(source)) as video, open_sink(str(short), probe(str(source))) as sink:
            for frame, _ in zip(video.frames(), range(args.frames), strict=False):
                sink.write(frame)
        pixels = np.ascontiguousarray(frame.pixels.permute(1, 2, 0).numpy())
        picture = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
        still = json.dumps({"style": args.style, "size": args.size})
        moving = json.dumps({"style": args.style, "size": args.film_size})
        found: dict[str, Any] = {
            "date": date.today().isoformat(),
            "machine": f"{platform.machine()}, {cores()} cores",
            "versions": {one: version(one) for one in ("torch", "openvino", "fastapi", "uvicorn")}
            | {"videostyle": videostyle.__version__},
            "note": args.note,
        }
        if args.replicas:
            found["replicas"] = replicas(folder, picture, still, args.seconds)
        else:
            keys = new_keys(folder / "data", args.clients)
            with served(folder / "data") as (address, pid):
                found["pictures"] = asyncio.run(pictures(address, keys[0], picture, still, args.pictures, args.rate))
                found["requests"] = asyncio.run(requests(address, keys[0], pid, args.requests))
                found["films"] = asyncio.run(films(address, keys, short.read_bytes(), moving, args.films))
    for part in ("pictures", "requests", "films", "replicas"):
        if part in found:
            print(f"| {part} | " + " | ".join(f"{key}: {value}" for key, value in found[part].items()) + " |")
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
