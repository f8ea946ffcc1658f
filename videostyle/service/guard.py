"""Guard before the API: who asks, whether they may, and how much they send, before any of it is read."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool

from videostyle.errors import VideostyleError
from videostyle.hosting.addresses import hostname, is_loopback, is_own
from videostyle.hosting.asgi import App, Message, Receive, Send
from videostyle.service.core import Service
from videostyle.service.keys import ANYBODY, Client
from videostyle.service.log import request_id
from videostyle.service.problems import Problem, as_problem, send_problem

log = logging.getLogger(__name__)

SMALL = 1_000_000
"""Bytes of a request that brings no file, and of what is around a file in one that does."""
_OPEN = ("/healthz", "/readyz", "/openapi.json")
"""Routes that need no key."""
SAFE_HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "x-frame-options": "DENY"}
"""Headers of every answer, of the API or of a page."""
API_HEADERS = SAFE_HEADERS | {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
"""Headers of the API's answers."""


class RequestLog:
    """Gives each request an id, logs and counts it, and answers what nothing else has answered."""

    def __init__(self, app: App, service: Service, headers: Mapping[str, str] = API_HEADERS) -> None:
        """Take the headers of every answer."""
        self._app, self._service = app, service
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = _header(scope, "x-request-id")
        id = given if re.fullmatch(r"[\w.-]{8,64}", given) else secrets.token_hex(8)
        token = request_id.set(id)
        began = time.perf_counter()
        status = 0

        async def with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [(b"x-request-id", id.encode()), *self._headers]
                names = {name for name, _ in own}
                rest = [(name, value) for name, value in message.get("headers", []) if name.lower() not in names]
                message = {**message, "headers": [*rest, *own]}
            await send(message)

        try:
            await self._app(scope, receive, with_headers)
        except Exception as error:
            log.exception("a request failed unexpectedly")
            if not status:
                await send_problem(scope, with_headers, as_problem(error))
        finally:
            spent = time.perf_counter() - began
            # The route and not the path, which has ids: an unknown path counts as one.
            route = getattr(scope.get("route"), "path", "") or "none"
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._service.metrics.requests.labels(method, route, str(status)).inc()
            self._service.metrics.seconds.labels(method, route).observe(spent)
            client: Client | None = scope.get("state", {}).get("client")
            fields = {
                "method": method,
                "route": route,
                "status": status,
                "milliseconds": round(1000 * spent, 1),
                "client": client.name if client else "",
            }
            log.info(f"{method} {route} {status}", extra=fields)
            request_id.reset(token)


_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Guard:
    """Lets through requests of known clients, within their scopes and limits."""

    def __init__(
        self, app: App, service: Service, *, require_keys: bool, known: Callable[[Message], Client] | None = None
    ) -> None:
        """Let nobody in without a key if `require_keys` is true, even if there is no key.

        `known` tells the client of a request that has been let in before it came here.
        """
        self._app, self._service = app, service
        self._require_keys = require_keys
        self._known = known

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send_problem(scope, send, Problem(404, "nothing here"))
            return
        most = self._most(scope)
        try:
            if scope["path"] not in _OPEN:
                client = await run_in_threadpool(self._authenticate, scope)
                scope.setdefault("state", {})["client"] = client
                await run_in_threadpool(self._check_room, scope, client, most)
        except (Problem, VideostyleError) as error:
            await send_problem(scope, send, as_problem(error, self._service.plan.folders))
            return
        received = 0
        too_large = Problem(413, f"a request of this kind may have at most {most} bytes")
        declared = _header(scope, "content-length")
        if declared.isdigit() and int(declared) > most:
            await send_problem(scope, send, too_large)
            return

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise too_large
            return message

        await self._app(scope, counted, send)

    def _authenticate(self, scope: Message) -> Client:
        """Return the client of a request; raise Problem if it is none, or may not do this."""
        service = self._service
        if self._known is not None:
            return self._known(scope)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if not self._require_keys and not service.keys:
            # Another site could point its own name here (DNS rebinding), or send a form.
            host = headers.get("host", "").lower()
            if not is_loopback(hostname(host)):
                raise Problem(421, "without keys this service answers to localhost and 127.0.0.1 only")
            if not is_own(headers, host):
                raise Problem(403, "other sites' pages may not use this service")
            return ANYBODY
        client = service.keys.find(key.strip()) if scheme.lower() == "bearer" else None
        if client is None:
            raise Problem(
                401, "send a key of this service: Authorization: Bearer vs_...", {"WWW-Authenticate": "Bearer"}
            )
        wanted = "admin" if scope["path"] == "/metrics" else "read" if scope["method"] in _READING else "paint"
        if wanted not in client.scopes:
            raise Problem(403, f"this key has no scope {wanted!r}")
        return client

    def _most(self, scope: Message) -> int:
        """Return the most bytes that a request may have."""
        plan = self._service.plan
        if scope["method"] == "PATCH" and scope["path"].startswith("/v1/uploads/"):
            return plan.largest
        if scope["method"] != "POST" or not _header(scope, "content-type").startswith("multipart/form-data"):
            return SMALL
        return (plan.largest_picture if scope["path"] in _PICTURES else plan.largest) + SMALL

    def _check_room(self, scope: Message, client: Client, most: int) -> None:
        """Refuse work that there is no room for before its file is sent; raises FullError and SinkError."""
        service = self._service
        if scope["method"] not in ("POST", "PATCH"):
            return
        path = scope["path"]
        if path == "/v1/images":
            service.painters.check_room(client.id)
        if path in ("/v1/jobs", "/v1/styles"):
            key = _header(scope, "idempotency-key") or None
            if service.queue.replayed(client.id, key, None) is None:
                service.queue.check_room(client.id)
        if most > SMALL and scope["method"] == "POST":
            declared = _header(scope, "content-length")
            service.storage.check_room(min(int(declared), most) if declared.isdigit() else most)


_READING = ("GET", "HEAD", "OPTIONS")
_PICTURES = ("/v1/images", "/v1/styles")


def _header(scope: Message, name: str) -> str:
    value: Any = dict(scope["headers"]).get(name.encode(), b"")
    return value.decode("latin-1")
