"""Requests that a page may make."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from media import film

from videostyle.hosting.asgi import Message
from videostyle.plan import RenderPlan
from videostyle.style import Style
from videostyle.web.gateway import LARGEST_REQUEST, Gateway, Visitors

META = {"_type": "gradio.FileData"}


def ignore(name: str) -> None:
    """Do nothing when a visitor has left."""


class Inside:
    """An app behind a gateway, which remembers what has reached it."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.bodies: list[Any] = []

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        self.paths.append(scope["path"])
        body = b""
        while scope["method"] == "POST":
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if body:
            self.bodies.append(json.loads(body))
            assert dict(scope["headers"])[b"content-length"] == str(len(body)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"inside"})


def ask(
    app: Any, path: str, chunks: Iterable[bytes | None] = (), method: str = "", headers: dict[str, str] | None = None
) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of an answer; a chunk that is None is the connection's end."""
    sent: list[Any] = []
    queue = list(chunks) or [b""]

    async def receive() -> Any:
        if not queue:  # the browser waits for its answer
            await asyncio.sleep(3600)
        chunk = queue.pop(0)
        if chunk is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunk, "more_body": bool(queue)}

    async def send(message: Any) -> None:
        sent.append(message)

    path, _, query = path.partition("?")
    fields = {"host": "127.0.0.1:7860", **(headers or {})}
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method or ("POST" if chunks else "GET"),
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 7860),
        "extensions": {},
    }
    asyncio.run(app(scope, receive, send))
    if not sent:
        return 0, b"", {}
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], body, {name.decode(): value.decode() for name, value in sent[0]["headers"]}


@pytest.fixture
def inside() -> Inside:
    return Inside()


@pytest.fixture
def gateway(inside: Inside) -> Gateway:
    return Gateway(inside, Visitors(ignore))


def test_only_what_the_page_needs_is_there(gateway: Gateway, inside: Inside) -> None:
    for path in ("/", "/theme.css", "/assets/index.js", "/media/a.mp4", "/gradio_api/heartbeat/abc"):
        assert ask(gateway, path)[0] == 200
    reached = list(inside.paths)
    for path in (
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=upload/a.png",
        "/gradio_api/file=http://example.org/",
        "/gradio_api/file/etc/passwd",
        "/gradio_api/proxy=http://example.org/",
        "/gradio_api/info",
        "/gradio_api/openapi.json",
        "/gradio_api/call/open/1",
        "/gradio_api/custom_component/1/client/component/../../x",
        "/gradio_api/vibe-code/",
        "/gradio_api/run-history/records",
        "/monitoring",
        "/docs",
        "/openapi.json",
        "/media/../../../etc/passwd",
        "/assets/..",
        "/elsewhere",
    ):
        assert ask(gateway, path)[0] == 404
    for path in (
        "/",
        "/gradio_api/call/open",
        "/gradio_api/api/open",
        "/login",
        "/gradio_api/process_recording",
        "/gradio_api/upload",
    ):
        assert ask(gateway, path, [b"{}"])[0] == 404
    assert ask(gateway, "/", method="PUT")[0] == 404
    assert inside.paths == reached


def test_no_other_sites_page_shows_this_one(gateway: Gateway) -> None:
    headers = ask(gateway, "/")[2]
    assert headers["x-frame-options"] == "DENY"
    assert headers["content-security-policy"] == "frame-ancestors 'none'"
    assert headers["x-content-type-options"] == "nosniff"


def event(gateway: Gateway, data: Any, path: str = "/gradio_api/queue/join") -> int:
    body = json.dumps({"data": data, "fn_index": 3, "session_hash": "abc"}).encode()
    return ask(gateway, path, [body])[0]


def test_no_file_is_named_to_the_app(gateway: Gateway, inside: Inside) -> None:
    for route in ("/gradio_api/queue/join", "/gradio_api/run/predict"):
        assert event(gateway, ["a text", 1, None], route) == 200
        assert inside.bodies.pop()["data"] == ["a text", 1, None]
    for path in ("/etc/passwd", "../secret.mp4", "http://x/a.mp4", "", None, 7, ["a"]):
        for sent in (
            {"path": path, "meta": META},
            {"path": path},
            {"path": None, "url": "data:image/jpeg;base64,AAAA", "meta": META},
            {"meta": META, "url": path},
            {"root": [{"path": path, "meta": META}]},
            {"value": {"image": {"path": path, "meta": META}}},
        ):
            for data in ([sent], {"deep": [[sent]]}):
                assert event(gateway, data) == 403
    assert inside.bodies == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"7", b"\xff\xfe", b"[" * 200_000])
def test_what_is_no_request_is_refused(gateway: Gateway, inside: Inside, body: bytes) -> None:
    assert ask(gateway, "/gradio_api/queue/join", [body])[0] == 400
    assert inside.bodies == []


def test_a_request_is_no_larger_than_a_picture(gateway: Gateway, inside: Inside) -> None:
    chunks = [b"x" * 1_000_000] * (LARGEST_REQUEST // 1_000_000 + 2)
    assert ask(gateway, "/gradio_api/queue/join", chunks)[0] == 413
    assert inside.paths == ["/gradio_api/queue/join"] * 0


def test_who_has_left_is_told_of_once() -> None:
    left: list[str] = []
    visitors = Visitors(left.append, grace=0.2)
    visitors.start()
    visitors.seen("A", 1)
    visitors.seen("B")
    visitors.seen("")
    deadline = time.monotonic() + 10
    while left != ["B"] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == ["B"]
    visitors.seen("A", -1)
    while len(left) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    visitors.close()
    assert left == ["B", "A"]


def test_a_failed_clean_up_is_logged_and_the_next_visitor_is_seen_leaving(caplog: pytest.LogCaptureFixture) -> None:
    left: list[str] = []

    def leave(name: str) -> None:
        if name == "A":
            raise OSError("no such file")
        left.append(name)

    visitors = Visitors(leave, grace=0.05, on_tick=lambda: leave("A"))
    visitors.seen("A")
    visitors.seen("B")
    visitors.start()
    deadline = time.monotonic() + 10
    while not left and time.monotonic() < deadline:
        time.sleep(0.02)
    visitors.close()
    assert left == ["B"]
    assert "no such file" in caplog.text


@pytest.fixture
def preview(toy_gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The page behind its gate and its gateway, as it is served."""
    pytest.importorskip("gradio")
    from videostyle.web.blocks import build
    from videostyle.web.jobs import JobQueue
    from videostyle.web.page import Page
    from videostyle.web.page_files import Settings
    from videostyle.web.server import application

    work = tmp_path / "work"
    for name in ("media", "gradio"):
        (work / name).mkdir(parents=True)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(work / "gradio"))
    clip = film(tmp_path / "a.mp4", 2)
    page = Page(Settings(RenderPlan("", "", style=Style((("dots", 1.0),))), work.resolve(), str(clip)), JobQueue())
    return application(build(page), work, None, Visitors(page.sessions.leave))


def test_another_sites_page_reaches_nothing(preview: Any) -> None:
    for foreign in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"host": "evil.example:7860"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"},
    ):
        assert ask(preview, "/gradio_api/queue/join", [b"{}"], headers=foreign)[0] in (403, 421)
        assert ask(preview, "/", headers=foreign)[0] in (403, 421)
        assert ask(preview, "/gradio_api/queue/data?session_hash=a", headers=foreign)[0] in (403, 421)


def test_the_page_takes_no_upload(preview: Any) -> None:
    assert ask(preview, "/")[0] == 200
    assert ask(preview, "/gradio_api/upload", [b"abc"])[0] == 404
