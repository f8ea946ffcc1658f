"""Nothing is sent to anybody, and nothing is left in the home folder but compiled networks: as a user runs it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import media
import numpy as np
import pytest

# The command, which stops when the page has been asked for once, after a few seconds of what runs beside it.
PAGE = """
import os, signal, threading, time, urllib.request
from videostyle.__main__ import entry
from videostyle.hosting import addresses
def serve(app, listener):
    def visit():
        host, port = listener.getsockname()
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://{host}:{port}/").read()
        print("visited", flush=True)
        time.sleep(3)
        os.kill(os.getpid(), signal.SIGTERM)
    threading.Thread(target=visit).start()
    served(app, listener)
served, addresses.serve = addresses.serve, serve
entry()
"""
RAY = """
from videostyle.batch.executors.ray import Ray
from videostyle.batch.plan import BatchPlan
with Ray(BatchPlan((), ".", workers=1)):
    from ray._common.usage.usage_lib import usage_stats_enabled
    assert not usage_stats_enabled()
"""


class Listener:
    """A proxy that answers nobody and counts who asked."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.asked: list[bytes] = []
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def _listen(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                connection.settimeout(5)
                if (said := connection.recv(200)) == b"end":
                    return
                self.asked.append(said)

    def close(self) -> None:
        with socket.create_connection(self._socket.getsockname()) as connection:
            connection.sendall(b"end")
        self._thread.join()
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def started(listener: Listener, home: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A program as a new user starts it, not as continuous integration does: that is where reports are left out."""
    kept = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "VIDEOSTYLE_MODELS", "OMP_NUM_THREADS")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"HOME": str(home), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        environment |= {name: listener.address, name.upper(): listener.address}
    # The machine's own addresses: itself, and whose cloud it runs in, which Ray asks it.
    environment |= {"no_proxy": "127.0.0.1,localhost,169.254.169.254"}
    argv = [sys.executable, "-B", *words]
    return subprocess.run(argv, env=environment, cwd=cwd, capture_output=True, text=True, timeout=600)


def left_in(home: Path) -> list[Path]:
    """The files in a home folder that are not of the one cache that painting keeps."""
    return [one for one in home.rglob("*") if one.is_file() and one.parent != home / ".cache/videostyle/openvino"]


def test_the_listener_hears_who_reports(listener: Listener, home: Path, tmp_path: Path) -> None:
    ask = "import urllib.request; urllib.request.urlopen('https://videostyle.invalid', timeout=10)"
    assert started(listener, home, "-c", ask, cwd=tmp_path).returncode != 0
    assert listener.asked[0].startswith(b"CONNECT videostyle.invalid")


def test_painting_reports_to_nobody(toy_gallery: Path, listener: Listener, home: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))
    words = ["-m", "videostyle", "stylize", "photo.png", "-o", "painted.png", "--style", "dots", "--engine", "openvino"]
    done = started(listener, home, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert listener.asked == []
    assert left_in(home) == []


def test_workers_report_to_nobody(toy_gallery: Path, listener: Listener, home: Path, tmp_path: Path) -> None:
    media.film(tmp_path / "film.mp4", 6)
    words = ["batch", "film.mp4", "-o", "out", "--style", "dots", "--workers", "2", "--engine", "openvino"]
    done = started(listener, home, "-m", "videostyle", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert listener.asked == []
    assert left_in(home) == []


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["studio", "film.mp4", "--folder", ".", "--data", "data"], id="studio"),
        pytest.param(["preview", "film.mp4"], id="preview", marks=pytest.mark.slow),
    ],
)
def test_the_pages_report_to_nobody(
    toy_gallery: Path, listener: Listener, home: Path, tmp_path: Path, words: list[str]
) -> None:
    pytest.importorskip("gradio")
    media.film(tmp_path / "film.mp4", 6)
    more = ["--style", "dots", "--no-browser", "--port", "0"]
    done = started(listener, home, "-c", PAGE, *words, *more, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "visited" in done.stdout
    assert listener.asked == []
    assert left_in(home) == []


@pytest.mark.slow
def test_a_cluster_reports_to_nobody(listener: Listener, home: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    done = started(listener, home, "-c", RAY, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert listener.asked == []
