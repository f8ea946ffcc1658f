"""Messages between a server and an app, as ASGI defines them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


async def answer(
    scope: Message,
    send: Send,
    status: int,
    text: str,
    headers: list[tuple[str, str]] | None = None,
    kind: str = "text/plain; charset=utf-8",
) -> None:
    """Send `text` as the whole response."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    body = text.encode()
    fields = [("content-type", kind), ("content-length", str(len(body))), ("cache-control", "no-store")]
    fields += headers or []
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in fields]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


_LINGER, _SILENCE = 30.0, 5.0
"""Seconds, in all and between two pieces, for which the rest of a refused request is read."""


class Lingering:
    """Reads the rest of a request that was refused before it had come whole, and throws it away.

    Closing a connection while the other side still sends resets it, and a client that sends first and reads then loses
    the answer that says why.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", []))
        # One that expects 100 Continue sends nothing after a refusal.
        if scope["type"] != "http" or not _has_body(headers) or b"expect" in headers:
            await self._app(scope, receive, send)
            return
        is_whole = is_sized = False

        async def tracked() -> Message:
            nonlocal is_whole
            message = await receive()
            is_whole = is_whole or not message.get("more_body", False)
            return message

        async def lingering(message: Message) -> None:
            nonlocal is_sized
            if message["type"] == "http.response.start":
                is_sized = any(name.lower() == b"content-length" for name, _ in message.get("headers", []))
            elif is_sized and not is_whole and not message.get("more_body", False):
                # The length tells a client that it has the whole answer already.
                await send({**message, "more_body": True})
                try:
                    async with asyncio.timeout(_LINGER):
                        while not is_whole:
                            await asyncio.wait_for(tracked(), _SILENCE)
                except TimeoutError:
                    pass
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        await self._app(scope, tracked, lingering)


def _has_body(headers: dict[bytes, bytes]) -> bool:
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
