"""Addresses that a server listens at, the origin of its requests, and the loop that serves them."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from videostyle import interrupt
from videostyle.errors import UsageError
from videostyle.hosting.asgi import App, Lingering

if TYPE_CHECKING:
    import uvicorn


def is_loopback(host: str) -> bool:
    """Return True if only this computer can reach the address `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bind(host: str, port: int) -> socket.socket:
    """Open a listening socket; port 0 is any free one. Raise UsageError if the address is not available."""
    if not 0 <= port <= 65535:
        raise UsageError(f"--port must be between 0 and 65535, got {port}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            if os.name != "nt":  # there it would let two servers share a port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise UsageError(
            f"{host}, port {port}: cannot be listened on ({error.strerror}); choose another with --port or --host"
        ) from error
    return listener


def is_own(headers: dict[str, str], host: str) -> bool:
    """Return True for requests of the server's own pages or of a visitor who opens it, not of another site or port."""
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != host:
        return False
    # Browsers say where a request comes from, also where they send no origin: pictures, scripts, forms.
    if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return True
    return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"


def hostname(host: str) -> str:
    """Return the name in a Host header, without the port and brackets."""
    name = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.rpartition(":")[0] or host
    return name.lower()


def serve(app: App, listener: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    import uvicorn

    class Server(uvicorn.Server):
        """Ends when an interrupt is requested, without signal handlers of its own."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            with nullcontext() if interrupt.is_listening() else super().capture_signals():
                yield

        async def on_tick(self, counter: int) -> bool:
            return await super().on_tick(counter) or interrupt.stop_requested()

    Server(server_config(app)).run(sockets=[listener])


def server_config(app: App) -> uvicorn.Config:
    """Return how `app` is served, whatever optional packages of uvicorn are installed.

    uvloop would take over the descriptor by which signals arrive. No route uses WebSocket, so no package for it is
    loaded; some of them are deprecated. uvicorn alone would reset connections of refused uploads.
    """
    import uvicorn

    return uvicorn.Config(
        Lingering(app),
        loop="asyncio",
        ws="none",
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )


def address(listener: socket.socket, host: str, token: str | None) -> str:
    """Return the URL to open in a browser."""
    port = listener.getsockname()[1]
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")
