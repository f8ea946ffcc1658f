"""Gateway in front of Gradio: a page may request its own routes only, files by name only, within limits of size.

Gradio takes any path that a page names for an uploaded file, fetches addresses for pages, and serves every file that it
has copied. Therefore a page cannot name a path: uploads have names that cannot be guessed, the gateway replaces them by
their paths, and refuses every other path or address in a request.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from videostyle.errors import UsageError, too_little
from videostyle.hosting.asgi import App, Message, Receive, Send, answer
from videostyle.web.storage import Uploads

log = logging.getLogger(__name__)

API = "/gradio_api"
LARGEST_REQUEST = 16_000_000
"""Bytes of a request that is no upload: enough for a picture of the camera."""
GRACE = 10.0
"""Seconds after which a visitor whose page does not answer counts as gone."""

# Requests of the page's own scripts, by method.
_GET = re.compile(
    r"/|/config|/favicon\.ico|/theme\.css|/robots\.txt|/manifest\.json|/(assets|static|svelte|media)/[^\\]*"
    rf"|{API}/(theme\.css|startup-events|app_id|upload_progress|queue/data|heartbeat/\w+|file=upload/.*)"
)
_POST = re.compile(rf"{API}/(upload|queue/join|run/predict|cancel|reset)/?")
_STREAMS = re.compile(rf"{API}/(queue/data|heartbeat/(?P<visitor>\w+))")
# Of uploads, a page shows pictures; anything else is saved by the browser, never run.
_PICTURES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
_SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    # No other site may show this page in a frame, against clickjacking.
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
]


class Visitors:
    """Visitors who are present: their pages hold a connection, or have lost it less than `grace` seconds ago."""

    def __init__(
        self, on_left: Callable[[str], None], grace: float = GRACE, on_tick: Callable[[], None] = lambda: None
    ) -> None:
        """Call `on_left` once for each visitor who has left, and `on_tick` about every second, in the same thread."""
        self._on_left = on_left
        self._on_tick = on_tick
        self._grace = grace
        self._open: dict[str, int] = {}
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="videostyle-visitors", daemon=True)

    def start(self) -> None:
        """Start watching for visitors who leave."""
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()

    def seen(self, name: str, opened: int = 0) -> None:
        """Record a request of a visitor's page; `opened` is 1 when a connection begins, -1 when it ends."""
        if not name:
            return
        with self._lock:
            self._seen[name] = time.monotonic()
            self._open[name] = self._open.get(name, 0) + opened

    def _watch(self) -> None:
        while not self._closed.wait(min(self._grace / 4, 1.0)):
            self._call(self._on_tick)
            for name in self._gone():
                self._call(partial(self._on_left, name))

    def _call(self, act: Callable[[], None]) -> None:
        """Call `act`; an error is logged and does not end the thread, or nobody's departure would be seen again."""
        try:
            act()
        except Exception:
            log.exception("cleaning up after visitors failed; the next second tries again")

    def _gone(self) -> list[str]:
        now = time.monotonic()
        with self._lock:
            gone = [name for name, at in self._seen.items() if not self._open.get(name) and now - at > self._grace]
            for name in gone:
                del self._seen[name]
                self._open.pop(name, None)
        return gone


class Gateway:
    """Passes a page's own requests to the app, names and counts its uploads, and refuses everything else."""

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

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *_SECURITY_HEADERS]}
            await send(message)

        if path.rstrip("/") == f"{API}/upload":
            await self._upload(scope, receive, with_headers)
        elif path.startswith(f"{API}/file="):
            await self._file(scope, receive, with_headers)
        elif method == "POST":
            await self._event(scope, receive, with_headers)
        elif found := _STREAMS.fullmatch(path):
            await self._stream(found["visitor"] or _query(scope, "session_hash"), scope, receive, with_headers)
        else:
            await self._app(scope, receive, with_headers)

    async def _stream(self, visitor: str, scope: Message, receive: Receive, send: Send) -> None:
        """Pass on a connection that is open for as long as the page is."""
        self._visitors.seen(visitor, 1)
        try:
            await self._app(scope, receive, send)
        finally:
            self._visitors.seen(visitor, -1)

    async def _event(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass on an event, with the names of uploads replaced by paths; refuse it if it names another path."""
        body = await _read(receive, LARGEST_REQUEST)
        if body is None:
            await answer(scope, send, 413, "too much at once")
            return
        try:
            event = json.loads(body)
            visitor = str(event.get("session_hash") or "")
            # Before anything else, so that nothing is kept for a page that is gone.
            self._visitors.seen(visitor)
            event = {key: self._with_paths(value, visitor) for key, value in event.items()}
        except UsageError as error:
            await answer(scope, send, 403, str(error))
            return
        except (ValueError, AttributeError, TypeError, RecursionError):
            await answer(scope, send, 400, "not a request of this page")
            return
        body = json.dumps(event).encode()
        headers = [
            (name, value) for name, value in scope["headers"] if name not in (b"content-length", b"content-type")
        ]
        headers += [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]
        parts = [body]

        async def replaced() -> Message:
            if parts:
                return {"type": "http.request", "body": parts.pop(), "more_body": False}
            return await receive()

        await self._app({**scope, "headers": headers}, replaced, send)

    def _with_paths(self, value: Any, visitor: str) -> Any:
        """Return `value` with the paths of uploads in place of their names; raise UsageError for any other path."""
        if isinstance(value, list):
            return [self._with_paths(one, visitor) for one in value]
        if not isinstance(value, dict):
            return value
        if "path" not in value and "meta" not in value:
            return {key: self._with_paths(one, visitor) for key, one in value.items()}
        name, url = value.get("path"), value.get("url")
        meta = {"_type": "gradio.FileData"}
        if not name and isinstance(url, str) and url.startswith("data:image/"):
            return {"path": None, "url": url, "meta": meta}
        path = self._uploads.use(name, visitor) if isinstance(name, str) else None
        if path is None:
            raise UsageError("that file was not uploaded here, or is not here any more; upload it again")
        # Nothing else that the page says about the file is used.
        return {"path": str(path), "url": None, "size": path.stat().st_size, "orig_name": path.name, "meta": meta}

    async def _file(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve an upload by its name, which cannot be guessed."""
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
        """Receive an upload; its bytes are counted as they arrive, whatever its headers declare."""
        declared = dict(scope["headers"]).get(b"content-length", b"")
        most = self._uploads.largest + 100_000  # the parts of the request around the file
        if not self._uploads.largest:
            await answer(scope, send, 404, "nothing here")
            return
        size = int(declared) if declared.isdigit() else most
        if size > most:
            await answer(scope, send, 413, _too_large(self._uploads.largest))
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > size or message["type"] == "http.disconnect":
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
        except OSError as error:
            await answer(scope, send, 507, too_little(error) or f"the file could not be kept ({error.strerror})")
            return
        except Exception:  # the app may raise anything for an upload that ends early, or is none
            if received <= size:
                return
        if names:
            await answer(scope, send, 200, json.dumps(names), kind="application/json")
        elif answered.status == 413 or received > size:
            await answer(scope, send, 413, _too_large(self._uploads.largest))
        else:
            await answer(scope, send, 400, "no file came in; try again")


class _EndedEarly(Exception):  # noqa: N818
    """More bytes arrived than were declared, or the page was closed during an upload."""


class _Answer:
    """Captures the response of an app."""

    def __init__(self) -> None:
        self.status = 500
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self._body += message.get("body", b"")

    def listed(self) -> list[str]:
        """Return the list in the body; an empty one if the body is no list or the status is not 200."""
        found = json.loads(self._body) if self.status == 200 else []
        return found if isinstance(found, list) else []


def _too_large(largest: int) -> str:
    return f"the file has more than the maximum allowed size of {largest / 1e6:g} MB"


async def _read(receive: Receive, most: int) -> bytes | None:
    """Return the body of a request; None if it is longer than `most` bytes."""
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
