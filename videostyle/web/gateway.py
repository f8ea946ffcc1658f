"""Gateway in front of Gradio: a page may request its own routes only, and name no file, within limits of size.

Gradio takes any path that a page names for an uploaded file, fetches addresses for pages, and serves every file that it
has copied. Therefore the gateway refuses every path or address in a request.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from videostyle.errors import UsageError
from videostyle.hosting.asgi import App, Message, Receive, Send, answer

log = logging.getLogger(__name__)

API = "/gradio_api"
LARGEST_REQUEST = 1_000_000
"""Bytes of a request."""
GRACE = 10.0
"""Seconds after which a visitor whose page does not answer counts as gone."""

# Requests of the page's own scripts, by method.
_GET = re.compile(
    r"/|/config|/favicon\.ico|/theme\.css|/robots\.txt|/manifest\.json|/(assets|static|svelte|media)/[^\\]*"
    rf"|{API}/(theme\.css|startup-events|app_id|queue/data|heartbeat/\w+)"
)
_POST = re.compile(rf"{API}/(queue/join|run/predict|cancel|reset)/?")
_STREAMS = re.compile(rf"{API}/(queue/data|heartbeat/(?P<visitor>\w+))")
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
    """Passes a page's own requests to the app, and refuses everything else."""

    def __init__(self, app: App, visitors: Visitors) -> None:
        self._app = app
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

        if method == "POST":
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
        """Pass on an event; refuse it if it names a file."""
        body = await _read(receive, LARGEST_REQUEST)
        if body is None:
            await answer(scope, send, 413, "too much at once")
            return
        try:
            event = json.loads(body)
            visitor = str(event.get("session_hash") or "")
            # Before anything else, so that nothing is kept for a page that is gone.
            self._visitors.seen(visitor)
            _check_no_file(event)
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


def _check_no_file(value: Any) -> None:
    """Raise UsageError for a file, a path or an address anywhere in `value`: Gradio would open or fetch it."""
    if isinstance(value, dict):
        if "path" in value or "meta" in value:
            raise UsageError("this page takes no files")
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            _check_no_file(one)


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
