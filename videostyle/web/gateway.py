"""What a page may ask for: its own routes and nothing else, files by name only, and no more bytes than are allowed.

Gradio, behind it, takes any path that a page names for a file that was uploaded, fetches addresses for pages, and
serves whatever it has copied. So a page never gets to name a path: uploads have names that cannot be guessed, which
are exchanged for their paths here, and every other path or address in a request is refused.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from videostyle.errors import UsageError
from videostyle.web.storage import Uploads

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

API = "/gradio_api"
LARGEST_REQUEST = 16_000_000
"""Bytes of a request that is no upload: a picture of the camera, and room to spare."""
GRACE = 10.0
"""Seconds after which a visitor whose page does not answer is taken to have left."""

# What the page's own scripts ask for; of it, what may be sent.
_GET = re.compile(
    r"/|/config|/favicon\.ico|/theme\.css|/robots\.txt|/manifest\.json|/(assets|static|svelte|media)/[^\\]*"
    rf"|{API}/(theme\.css|startup-events|app_id|upload_progress|queue/data|heartbeat/\w+|file=upload/.*)"
)
_POST = re.compile(rf"{API}/(upload|queue/join|run/predict|cancel|reset)/?")
_STREAMS = re.compile(rf"{API}/(queue/data|heartbeat/(?P<visitor>\w+))")
# Of what was uploaded, a page shows pictures; anything else is saved, never run.
_PICTURES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    # No other site's page may show this one under something to be clicked on.
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
]


class Visitors:
    """Who is there: those whose pages hold a connection, and for a while those whose pages have lost it."""

    def __init__(
        self, on_left: Callable[[str], None], grace: float = GRACE, on_tick: Callable[[], None] = lambda: None
    ) -> None:
        """`on_left` is told of each who has left, once; `on_tick` is called again and again, in the same thread."""
        self._on_left = on_left
        self._on_tick = on_tick
        self._grace = grace
        self._open: dict[str, int] = {}
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="videostyle-visitors", daemon=True)

    def start(self) -> None:
        """Begin to look who has left."""
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()

    def seen(self, name: str, opened: int = 0) -> None:
        """Note that a visitor's page asked for something; `opened` is 1 where a connection begins, -1 where it ends."""
        if not name:
            return
        with self._lock:
            self._seen[name] = time.monotonic()
            self._open[name] = self._open.get(name, 0) + opened

    def _watch(self) -> None:
        while not self._closed.wait(min(self._grace / 4, 1.0)):
            self._on_tick()
            for name in self._gone():
                self._on_left(name)

    def _gone(self) -> list[str]:
        now = time.monotonic()
        with self._lock:
            gone = [name for name, at in self._seen.items() if not self._open.get(name) and now - at > self._grace]
            for name in gone:
                del self._seen[name]
                self._open.pop(name, None)
        return gone


class Gateway:
    """Lets a page's own requests through to the app, its uploads named and counted, and refuses the rest."""

    def __init__(self, app: App, uploads: Uploads, visitors: Visitors) -> None:
        self._app = app
        self._uploads = uploads
        self._visitors = visitors

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await answer(scope, send, 404, "nothing here")
            return
        path, method = scope["path"], scope["method"]
        allowed = {"GET": _GET, "HEAD": _GET, "POST": _POST}.get(method)
        if allowed is None or not allowed.fullmatch(path) or ".." in path.split("/"):
            await answer(scope, send, 404, "nothing here")
            return

        async def armed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *_ALWAYS]}
            await send(message)

        if path.rstrip("/") == f"{API}/upload":
            await self._upload(scope, receive, armed)
        elif path.startswith(f"{API}/file="):
            await self._file(scope, receive, armed)
        elif method == "POST":
            await self._event(scope, receive, armed)
        elif found := _STREAMS.fullmatch(path):
            await self._stream(found["visitor"] or _query(scope, "session_hash"), scope, receive, armed)
        else:
            await self._app(scope, receive, armed)

    async def _stream(self, visitor: str, scope: Message, receive: Receive, send: Send) -> None:
        """A connection that is open for as long as the page is."""
        self._visitors.seen(visitor, 1)
        try:
            await self._app(scope, receive, send)
        finally:
            self._visitors.seen(visitor, -1)

    async def _event(self, scope: Message, receive: Receive, send: Send) -> None:
        """Something is clicked: paths in what is sent are exchanged, or it is refused."""
        body = await _read(receive, LARGEST_REQUEST)
        if body is None:
            await answer(scope, send, 413, "too much at once")
            return
        try:
            told = json.loads(body)
            visitor = str(told.get("session_hash") or "")
            # Before anything else, so that nothing is kept for a page that is gone.
            self._visitors.seen(visitor)
            told = {key: self._exchanged(value, visitor) for key, value in told.items()}
        except UsageError as error:
            await answer(scope, send, 403, str(error))
            return
        except (ValueError, AttributeError, TypeError, RecursionError):
            await answer(scope, send, 400, "not a request of this page")
            return
        body = json.dumps(told).encode()
        headers = [
            (name, value) for name, value in scope["headers"] if name not in (b"content-length", b"content-type")
        ]
        headers += [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]
        parts = [body]

        async def given() -> Message:
            if parts:
                return {"type": "http.request", "body": parts.pop(), "more_body": False}
            return await receive()

        await self._app({**scope, "headers": headers}, given, send)

    def _exchanged(self, value: Any, visitor: str) -> Any:
        """`value` with the paths of uploads in place of their names; raises UsageError for any other path."""
        if isinstance(value, list):
            return [self._exchanged(one, visitor) for one in value]
        if not isinstance(value, dict):
            return value
        if "path" not in value and "meta" not in value:
            return {key: self._exchanged(one, visitor) for key, one in value.items()}
        name, url = value.get("path"), value.get("url")
        meta = {"_type": "gradio.FileData"}
        if not name and isinstance(url, str) and url.startswith("data:image/"):
            return {"path": None, "url": url, "meta": meta}
        path = self._uploads.use(name, visitor) if isinstance(name, str) else None
        if path is None:
            raise UsageError("that file was not uploaded here, or is not here any more; upload it again")
        # Nothing else that the page says of the file is believed.
        return {"path": str(path), "url": None, "size": path.stat().st_size, "orig_name": path.name, "meta": meta}

    async def _file(self, scope: Message, receive: Receive, send: Send) -> None:
        """An upload shown to whoever knows its name."""
        from starlette.responses import FileResponse

        path = self._uploads.find(unquote(scope["path"].partition("file=")[2]))
        if path is None:
            await answer(scope, send, 404, "nothing here")
            return
        kind = _PICTURES.get(path.suffix.lower())
        response = FileResponse(
            path,
            media_type=kind or "application/octet-stream",
            filename=path.name,
            content_disposition_type="inline" if kind else "attachment",
        )
        await response(scope, receive, send)

    async def _upload(self, scope: Message, receive: Receive, send: Send) -> None:
        """Take in a file: its bytes are counted as they come, whatever was said of their number."""
        declared = dict(scope["headers"]).get(b"content-length", b"")
        most = self._uploads.largest + 100_000  # what surrounds the file
        if not self._uploads.largest:
            await answer(scope, send, 404, "nothing here")
            return
        size = int(declared) if declared.isdigit() else most
        if size > most:
            await answer(scope, send, 413, _too_large(self._uploads.largest))
            return
        came = 0

        async def counted() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > size or message["type"] == "http.disconnect":
                raise _EndedEarly
            return message

        answered, names = _Answer(), []
        try:
            with self._uploads.arriving(size):
                await self._app(scope, counted, answered)
                names = [self._uploads.add(Path(path)) for path in answered.listed()]
        except UsageError as error:
            await answer(scope, send, 507, str(error))
            return
        except Exception:  # whatever the app makes of an upload that ends early, or is none
            if came <= size:
                return
        if names:
            await answer(scope, send, 200, json.dumps(names), kind="application/json")
        elif answered.status == 413 or came > size:
            await answer(scope, send, 413, _too_large(self._uploads.largest))
        else:
            await answer(scope, send, 400, "no file came in; try again")


class _EndedEarly(Exception):  # noqa: N818
    """More bytes came than were said, or the page is gone in the middle of an upload."""


class _Answer:
    """Catches what an app answers."""

    def __init__(self) -> None:
        self.status = 500
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self._body += message.get("body", b"")

    def listed(self) -> list[str]:
        """The list in it, where it is one."""
        found = json.loads(self._body) if self.status == 200 else []
        return found if isinstance(found, list) else []


def _too_large(largest: int) -> str:
    return f"the file has more than the maximum allowed size of {largest / 1e6:g} MB"


async def _read(receive: Receive, most: int) -> bytes | None:
    """The body of a request; None where it is longer than `most`."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > most:
            return None
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return bytes(body)


def _query(scope: Message, name: str) -> str:
    return parse_qs(scope.get("query_string", b"").decode("latin-1")).get(name, [""])[0]


async def answer(
    scope: Message,
    send: Send,
    status: int,
    text: str,
    headers: list[tuple[str, str]] | None = None,
    kind: str = "text/plain; charset=utf-8",
) -> None:
    """Answer by `text` alone."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    told = [("content-type", kind), ("cache-control", "no-store"), *(headers or [])]
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in told]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": text.encode()})
