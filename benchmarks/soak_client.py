"""Client of `benchmarks/soak.py`: the served studio, and visitors who use it over HTTP as browsers do."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av

FRAMES = 24
API = "/gradio_api"
GROWTH = 1.2
"""Of memory from half to half; a life is short here, and benchmarks/endurance.py measures it more finely."""
NOTICED = 20.0
"""Seconds after which a visitor who has left is known to have."""
PATIENCE = 900.0
"""Seconds that anything may take on a busy machine."""
EDGE = "soak"


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


class Server:
    """`videostyle studio` in a process, its temporary files in a folder of their own."""

    def __init__(self, folder: Path, style: str) -> None:
        self._words = command("studio", "--port", 0, "--no-browser", "--style", style, "--max-upload", 5)
        self._words += ["-o", str(folder / "painted")]
        self.output = folder / "painted"
        self.temporary = folder / "tmp"
        self.styles = folder / "styles"
        for one in (self.output, self.temporary, self.styles):
            one.mkdir()
        self.process: subprocess.Popen[str]
        self.where = ("", 0)
        self.config: dict[str, Any] = {}
        self.start()

    def start(self) -> None:
        environment = {**os.environ, "TMPDIR": str(self.temporary), "VIDEOSTYLE_STYLES": str(self.styles)}
        self.process = subprocess.Popen(
            self._words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        assert self.process.stdout is not None
        address = urlsplit(self.process.stdout.readline().strip())
        self.where = (address.hostname or "", address.port or 0)
        self.config = json.loads(self.ask("GET", "/config")[1])

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        connection = HTTPConnection(*self.where, timeout=PATIENCE)
        try:
            connection.request(method, path, body, {key.replace("_", "-"): value for key, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def event(self, element: str, name: str) -> int:
        """The number of what happens when an element of the page, by id or label, is clicked, or given something."""
        numbers = {
            one["id"]
            for one in self.config["components"]
            if element in (one["props"].get("elem_id"), one["props"].get("value"))
        }
        for one in self.config["dependencies"]:
            if any(target in numbers and event == name for target, event in one["targets"]):
                return int(one["id"])
        raise Wrong(f"the page has no {name} of {element}")

    def values(self, event: int) -> list[Any]:
        """What the controls of an event say before anybody has touched them."""
        (found,) = (one for one in self.config["dependencies"] if one["id"] == event)
        known = {one["id"]: one["props"].get("value") for one in self.config["components"]}
        return [known.get(number) for number in found["inputs"]]

    def most(self, going_on: Callable[[], bool]) -> dict[str, float]:
        """The most memory, descriptors, threads and temporary files meanwhile, looked at twice a second."""
        most = self._state()
        while going_on():
            time.sleep(0.5)
            now = self._state()
            most = {what: max(value, now[what]) for what, value in most.items()}
        return most

    def _state(self) -> dict[str, float]:
        at = Path(f"/proc/{self.process.pid}")
        text = (at / "status").read_text(encoding="ascii")
        return {
            "memory, MB": round(int(text.split("RssAnon:")[1].split()[0]) / 1024),
            "descriptors": len(os.listdir(at / "fd")),
            "threads": len(os.listdir(at / "task")),
            "temporary, MB": round(size_of(self.temporary) / 1e6, 2),
        }


def size_of(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


class Visitor:
    """A browser's page, as far as the server sees one."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._name = secrets.token_hex(6)
        self._there = HTTPConnection(*server.where, timeout=PATIENCE)
        self._there.request("GET", f"{API}/heartbeat/{self._name}")
        self._heart: HTTPResponse = self._there.getresponse()

    def leave(self) -> None:
        self._there.close()
        self._heart.close()

    def upload(self, path: Path, content: bytes | None = None, broken: bool = False) -> Any:
        """The name under which a file came in; `broken` off in the middle, nothing."""
        start = f'--{EDGE}\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n\r\n'.encode()
        body = start + (path.read_bytes() if content is None else content) + f"\r\n--{EDGE}--\r\n".encode()
        kind = f"multipart/form-data; boundary={EDGE}"
        if broken:
            connection = HTTPConnection(*self._server.where, timeout=PATIENCE)
            connection.putrequest("POST", f"{API}/upload")
            connection.putheader("content-type", kind)
            connection.putheader("content-length", str(len(body)))
            connection.endheaders(body[: len(body) // 2])
            connection.close()
            return None
        status, answer = self._server.ask("POST", f"{API}/upload", body, content_type=kind)
        expect(status == 200, f"an upload is answered by {status}")
        return {"path": json.loads(answer)[0], "meta": {"_type": "gradio.FileData"}}

    def begin(self, event: int, data: list[Any]) -> Callable[[], list[Any]]:
        """Do something on the page; what is returned waits for what comes of it, and raises Wrong for an error."""
        told = {"data": data, "fn_index": event, "session_hash": self._name}
        status, answer = self._server.ask(
            "POST", f"{API}/queue/join", json.dumps(told).encode(), content_type="application/json"
        )
        expect(status == 200, f"a click is answered by {status}")
        number = json.loads(answer)["event_id"]

        def wait() -> list[Any]:
            connection = HTTPConnection(*self._server.where, timeout=PATIENCE)
            found: dict[str, Any] = {}
            told: list[str] = []
            try:
                connection.request("GET", f"{API}/queue/data?session_hash={self._name}")
                # To its end: what is said next would go to a connection that is left before.
                for line in connection.getresponse():
                    one = json.loads(line[5:]) if line.startswith(b"data:") else {}
                    if one.get("event_id") == number and one.get("msg") == "process_completed":
                        found = one
                    elif one:
                        told.append(f"{one.get('msg')} {one.get('message') or ''}".strip())
            finally:
                connection.close()
            expect(bool(found), f"the page got no answer; at the end {told[-3:]}")
            output = found["output"]
            if not found["success"]:
                raise Refused(f"{output.get('title')}: {output.get('error')}")
            return list(output["data"])

        return wait

    def do(self, event: int, data: list[Any]) -> list[Any]:
        return self.begin(event, data)()

    def press_stop(self) -> None:
        told = {"data": [], "fn_index": self._server.event("stop", "click"), "session_hash": self._name}
        status, _ = self._server.ask(
            "POST", f"{API}/run/predict", json.dumps(told).encode(), content_type="application/json"
        )
        expect(status == 200, f"stop is answered by {status}")

    def open(self, path: Path) -> list[Any]:
        """Upload a film or picture; how the page's controls change."""
        return self.do(self._server.event("upload", "upload"), [self.upload(path)])

    def whole(self, name: str) -> list[Any]:
        """What the button that paints the whole film is given."""
        data = self._server.values(self._server.event("start", "click"))
        data[1] = name
        return data


@contextmanager
def visiting(server: Server) -> Iterator[Visitor]:
    visitor = Visitor(server)
    try:
        yield visitor
    finally:
        visitor.leave()
