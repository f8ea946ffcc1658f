"""Client of `benchmarks/soak.py`: the served studio, and what its page asks for over HTTP."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av

FRAMES = 24
GROWTH = 1.2
"""Of memory from half to half; a life is short here, and benchmarks/endurance.py measures it more finely."""
PATIENCE = 900.0
"""Seconds that anything may take on a busy machine."""


class Wrong(Exception):  # noqa: N818 - told as a result
    """What came of an attempt is not what should."""


class Refused(Wrong):
    """The page answered, and the answer is an error."""


def expect(holds: bool, what: str) -> None:
    if not holds:
        raise Wrong(what)


def frames_in(path: Path) -> int:
    """Frames that decode."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "videostyle", *map(str, words)]


TUS = {"Tus_Resumable": "1.0.0"}


class Server:
    """`videostyle studio` in a process, with its data in a folder of its own."""

    def __init__(self, folder: Path, style: str) -> None:
        self.data = folder / "data"
        self._words = command("studio", "--port", 0, "--no-browser", "--style", style, "--max-upload", 5)
        self._words += ["--data", str(self.data)]
        self.process: subprocess.Popen[str]
        self.where = ("", 0)
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        address = urlsplit(self.process.stdout.readline().strip())
        self.where = (address.hostname or "", address.port or 0)

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        status, content, _ = self.answer(method, path, body, **headers)
        return status, content

    def answer(self, method: str, path: str, body: bytes, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        connection = HTTPConnection(*self.where, timeout=PATIENCE)
        try:
            connection.request(method, path, body, {key.replace("_", "-"): value for key, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()

    def send(self, path: str, content: object) -> bytes:
        """Send JSON; raise Refused, with the server's sentence, for an answer that is an error."""
        status, body = self.ask("POST", path, json.dumps(content).encode(), Content_Type="application/json")
        if status >= 400:
            raise Refused(f"{status}: {json.loads(body).get('detail')}")
        return body

    @contextmanager
    def uploaded(self, path: Path, content: bytes | None = None, broken: bool = False) -> Iterator[str]:
        """The id under which a file came in, which is removed at the end: a client may have a hundred."""
        id = self.upload(path, content, broken)
        yield id
        status, _ = self.ask("DELETE", f"/v1/uploads/{id}", b"", **TUS)
        expect(status == 204, f"removing an upload is answered by {status}")

    def upload(self, path: Path, content: bytes | None = None, broken: bool = False) -> str:
        """The id under which a file came in; `broken`, it ends in the middle."""
        whole = path.read_bytes() if content is None else content
        metadata = f"filename {base64.b64encode(path.name.encode()).decode()}"
        told = {**TUS, "Upload_Length": str(len(whole)), "Upload_Metadata": metadata}
        status, body, headers = self.answer("POST", "/v1/uploads", b"", **told)
        if status != 201:
            raise Refused(f"{status}: {json.loads(body).get('detail')}")
        sent = whole[: len(whole) // 2] if broken else whole
        kind = "application/offset+octet-stream"
        status, _ = self.ask("PATCH", headers["location"], sent, **TUS, Upload_Offset="0", Content_Type=kind)
        expect(status == 204, f"an upload is answered by {status}")
        return headers["location"].rpartition("/")[2]

    def job(self, id: str) -> dict[str, Any]:
        status, body = self.ask("GET", f"/v1/jobs/{id}")
        expect(status == 200, f"a job is answered by {status}")
        found: dict[str, Any] = json.loads(body)
        return found

    def ended(self, id: str) -> dict[str, Any]:
        """A job, once it is over."""
        deadline = time.monotonic() + PATIENCE
        while (found := self.job(id))["status"] in ("starting", "processing"):
            expect(time.monotonic() < deadline, "a job does not end")
            time.sleep(0.3)
        return found

    def remove(self, id: str) -> None:
        """Cancel a job, or remove the files of one that is over."""
        expect(self.ask("DELETE", f"/v1/jobs/{id}")[0] == 200, "a job cannot be removed")

    def most(self, going_on: Callable[[], bool]) -> dict[str, float]:
        """The most memory, descriptors, threads and temporary files meanwhile, looked at twice a second."""
        most = self._state()
        while going_on():
            time.sleep(0.5)
            now = self._state()
            most = {what: max(value, now[what]) for what, value in most.items()}
        return most

    def _state(self) -> dict[str, float]:
        """Those of the server's own process; its painters and workers are used up and replaced."""
        at = Path(f"/proc/{self.process.pid}")
        text = (at / "status").read_text(encoding="ascii")
        return {
            "memory, MB": round(int(text.split("RssAnon:")[1].split()[0]) / 1024),
            "descriptors": len(os.listdir(at / "fd")),
            "threads": len(os.listdir(at / "task")),
            "temporary, MB": round(size_of(self.data / "temporary") / 1e6, 2),
        }


def size_of(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total
