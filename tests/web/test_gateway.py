"""Requests that a page may make; the same for the preview's page and the studio's."""

from __future__ import annotations

import asyncio
import errno
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
from videostyle.web.storage import Uploads

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
def uploads(tmp_path: Path) -> Uploads:
    (tmp_path / "gradio").mkdir()
    return Uploads(tmp_path / "gradio", 1_000_000)


@pytest.fixture
def gateway(inside: Inside, uploads: Uploads) -> Gateway:
    return Gateway(inside, uploads, Visitors(ignore))


def test_only_what_the_page_needs_is_there(gateway: Gateway, inside: Inside) -> None:
    for path in ("/", "/theme.css", "/assets/index.js", "/media/a.mp4", "/gradio_api/heartbeat/abc"):
        assert ask(gateway, path)[0] == 200
    reached = list(inside.paths)
    for path in (
        "/gradio_api/file=/etc/passwd",
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
    for path in ("/", "/gradio_api/call/open", "/gradio_api/api/open", "/login", "/gradio_api/process_recording"):
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


def test_uploads_reach_the_app_by_their_path_and_nothing_else_does(
    gateway: Gateway, inside: Inside, uploads: Uploads, tmp_path: Path
) -> None:
    path = film(uploads.folder / "a.mp4", 2)
    name = uploads.add(path)
    for route in ("/gradio_api/queue/join", "/gradio_api/run/predict"):
        sent = {"path": name, "url": "http://x/y", "size": 7, "orig_name": "../b.svg", "is_stream": True, "meta": META}
        assert event(gateway, ["a text", 1, None, sent], route) == 200
        given = {"path": str(path), "url": None, "size": path.stat().st_size, "orig_name": "a.mp4", "meta": META}
        assert inside.bodies.pop()["data"] == ["a text", 1, None, given]
    secret = film(tmp_path / "secret.mp4", 2)
    (uploads.folder / "link.mp4").symlink_to(secret)
    for other in (str(secret), str(path), "/etc/passwd", "../secret.mp4", str(uploads.folder / "link.mp4"), "http://x/a.mp4",
                  f"{name}/../../secret.mp4", "", None, 7, [name]):  # fmt: skip
        for sent in (
            {"path": other, "meta": META},
            {"path": other},
            {"path": other, "url": "http://127.0.0.1/", "meta": META},
            {"meta": META, "url": str(secret)},
            {"root": [{"path": other, "meta": META}]},
            {"value": {"image": {"path": other, "meta": META}}},
        ):
            for data in ([sent], {"deep": [[sent]]}):
                assert event(gateway, data) == 403
    assert inside.bodies == []


def test_pictures_of_the_camera_come_inline_alone(gateway: Gateway, inside: Inside) -> None:
    picture = {"path": None, "url": "data:image/jpeg;base64,AAAA", "orig_name": "x", "meta": META}
    assert event(gateway, [picture]) == 200
    assert inside.bodies.pop()["data"] == [{"path": None, "url": "data:image/jpeg;base64,AAAA", "meta": META}]
    for url in ("data:text/html;base64,AAAA", "http://example.org/a.png", "file:///etc/passwd", "/etc/passwd", None):
        assert event(gateway, [{"path": None, "url": url, "meta": META}]) == 403


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"7", b"\xff\xfe", b"[" * 200_000])
def test_what_is_no_request_is_refused(gateway: Gateway, inside: Inside, body: bytes) -> None:
    assert ask(gateway, "/gradio_api/queue/join", [body])[0] == 400
    assert inside.bodies == []


def test_a_request_is_no_larger_than_a_picture(gateway: Gateway, inside: Inside) -> None:
    chunks = [b"x" * 1_000_000] * (LARGEST_REQUEST // 1_000_000 + 2)
    assert ask(gateway, "/gradio_api/queue/join", chunks)[0] == 413
    assert inside.paths == ["/gradio_api/queue/join"] * 0


def test_uploads_are_shown_to_who_knows_their_names(gateway: Gateway, uploads: Uploads) -> None:
    for file, kind in (
        ("a.png", "image/png"),
        ("a.svg", "application/octet-stream"),
        ("a.html", "application/octet-stream"),
    ):
        (uploads.folder / file).write_bytes(b"content")
        name = uploads.add(uploads.folder / file)
        status, body, headers = ask(gateway, f"/gradio_api/file={name}")
        assert (status, body) == (200, b"content")
        assert headers["content-type"] == kind
        assert headers["content-disposition"].startswith("inline" if kind == "image/png" else "attachment")


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


def test_an_upload_for_which_the_disk_is_full_is_answered(uploads: Uploads) -> None:
    async def full(scope: Message, receive: object, send: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    status, body, _ = ask(Gateway(full, uploads, Visitors(ignore)), "/gradio_api/upload", [b"abc"])
    assert status == 507
    assert b"the disk is full" in body


@pytest.fixture
def studio(toy_gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The studio's page behind its gate and its gateway, as it is served."""
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
    page = Page(
        Settings(RenderPlan("", "", style=Style((("dots", 1.0),))), work.resolve(), largest=1_000_000), JobQueue()
    )
    app = application(build(page), work, None, page.sessions.uploads, Visitors(page.sessions.leave))
    return app, page


def form(content: bytes, name: str = "a.mp4") -> tuple[bytes, bytes, dict[str, str]]:
    """The beginning and the end of a form with a file in it, and its headers."""
    start = f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
    return start + content, b"\r\n--edge--\r\n", {"content-type": "multipart/form-data; boundary=edge"}


def left_over(page: Any) -> list[Path]:
    return [path for path in page.sessions.uploads.folder.rglob("*") if path.is_file()]


def test_an_upload_is_answered_by_a_name_and_no_path(studio: Any) -> None:
    app, page = studio
    start, end, headers = form(b"content")
    status, body, _ = ask(app, "/gradio_api/upload", [start, end], headers=headers)
    (name,) = json.loads(body)
    assert status == 200
    assert str(page.settings.work) not in name
    assert page.sessions.uploads.find(name).read_bytes() == b"content"
    assert ask(app, f"/gradio_api/file={name}")[:2] == (200, b"content")


def test_an_upload_that_is_refused_or_breaks_off_leaves_nothing(studio: Any) -> None:
    app, page = studio
    start, end, headers = form(bytes(600_000))
    # More than is allowed, whether it says so, says less, or nothing.
    for said in ({"content-length": "5000000"}, {"content-length": "1000"}, {}):
        status, body, _ = ask(app, "/gradio_api/upload", [start, bytes(700_000), end], headers={**headers, **said})
        assert status == 413
        assert b"maximum allowed size of 1 MB" in body
        assert left_over(page) == []
    assert ask(app, "/gradio_api/upload", [start, bytes(1000), None], headers=headers)[0] == 0
    assert left_over(page) == []
    for chunks, kind in (([b"no form"], headers), ([start], headers), ([b"{}"], {"content-type": "application/json"})):
        assert ask(app, "/gradio_api/upload", chunks, headers=kind)[0] in (0, 400)
        assert left_over(page) == []
    # What came in whole before is still there.
    whole, end, headers = form(b"content")
    (name,) = json.loads(ask(app, "/gradio_api/upload", [whole, end], headers=headers)[1])
    ask(app, "/gradio_api/upload", [start, None], headers=headers)
    assert left_over(page) == [page.sessions.uploads.find(name)]


def test_many_uploads_at_once_are_bounded(studio: Any) -> None:
    app, page = studio
    for number in range(5):
        start, end, headers = form(bytes([number]) * 900_000, f"{number}.mp4")
        status, body, _ = ask(app, "/gradio_api/upload", [start, end], headers=headers)
        assert status == (200 if number < 4 else 507)
    assert b"used up" in body
    assert len(left_over(page)) == 4


def test_another_sites_page_reaches_nothing(studio: Any) -> None:
    app, page = studio
    start, end, headers = form(b"content")
    for foreign in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"host": "evil.example:7860"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"},
    ):
        assert ask(app, "/gradio_api/upload", [start, end], headers={**headers, **foreign})[0] in (403, 421)
        assert ask(app, "/", headers=foreign)[0] in (403, 421)
        assert ask(app, "/gradio_api/queue/data?session_hash=a", headers=foreign)[0] in (403, 421)
    assert left_over(page) == []


def test_the_page_itself_tells_no_folder(studio: Any, tmp_path: Path) -> None:
    app, _ = studio
    status, body, _ = ask(app, "/")
    assert status == 200
    assert str(tmp_path).encode() not in body
