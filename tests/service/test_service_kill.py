"""The service killed outright: no job is lost, and none is done twice under its name."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import media
import pytest

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def ask(port: int, path: str, method: str = "GET", body: bytes | None = None, kind: str = "") -> Any:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, method=method)
    if kind:
        request.add_header("content-type", kind)
    with urllib.request.urlopen(request, timeout=60) as answer:
        data = answer.read()
    return json.loads(data) if answer.headers["content-type"] == "application/json" else data


def submit(port: int, film: Path, style: str) -> Any:
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="settings"\r\n\r\n',
        json.dumps({"style": style}).encode(),
        b'\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="film.mp4"\r\n\r\n',
        film.read_bytes(),
        b"\r\n--b--\r\n",
    ]
    return ask(port, "/v1/jobs", "POST", b"".join(parts), "multipart/form-data; boundary=b")


@contextmanager
def server(data: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "videostyle", "serve", "--data", str(data), "--port", str(port)]
    process = subprocess.Popen([*command, "--engine", "torch"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        for _ in range(1200):
            with suppress(urllib.error.URLError, OSError):
                ask(port, "/readyz")
                break
            time.sleep(0.2)
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(60)


def children(process: subprocess.Popen[bytes]) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[1]) == process.pid:
                found.append(int(path.parent.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_no_job_is_lost_whatever_is_killed(toy_gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOSTYLE_MODELS", str(toy_gallery))
    pictures = [media.natural((160, 120), "yuv420p", number % 60) for number in range(90)]
    film = media.write_film(tmp_path / "film.mp4", pictures, "yuv420p")
    data, port = tmp_path / "data", free_port()
    rng = random.Random(3)
    jobs: list[str] = []
    for turn in range(3):
        with server(data, port) as process:
            jobs += [submit(port, film, style)["id"] for style in ("dots", "lines")]
            time.sleep(4 * rng.random())
            for child in children(process) if turn == 1 else ():
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            if turn != 1:
                process.kill()
                process.wait()
    with server(data, port):
        for _ in range(1200):
            found = {job["id"]: job for job in ask(port, "/v1/jobs?limit=100")["jobs"]}
            if all(job["status"] not in ("starting", "processing") for job in found.values()):
                break
            time.sleep(0.5)
        assert [found[id]["status"] for id in jobs] == ["succeeded"] * len(jobs), found
        assert set(found) == set(jobs)
        for id in jobs:
            (tmp_path / f"{id}.mp4").write_bytes(ask(port, f"/v1/jobs/{id}/result"))
            assert len(media.times(tmp_path / f"{id}.mp4")) == 90
            # Of the segments nothing is left beside the film.
            out = {path.name for path in (data / "jobs" / id / "out").iterdir() if not path.name.startswith(".")}
            assert out == {"painted.mp4"}


def test_a_painter_that_dies_is_started_again(toy_gallery: Path, tmp_path: Path) -> None:
    import asyncio

    from videostyle.service.painters import Painter, Painters
    from videostyle.service.tasks import Failure, Inspect

    path = media.film(tmp_path / "film.mp4", 6)
    task = Inspect(str(path), 1, 1_000_000)
    painters = Painters([Painter((tmp_path,), 60.0, task)], 8, 8)

    async def run() -> None:
        first = await painters.run("a", task)
        assert not isinstance(first, Failure)
        (painter,) = painters._painters
        assert painter._process is not None
        painter._process.kill()
        again = await painters.run("a", task)
        assert again == first
        assert painters.restarts == 1

    try:
        asyncio.run(run())
    finally:
        painters.close()
