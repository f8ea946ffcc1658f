"""The app of the studio: the service's API, the page at `/`, and the files of this computer that it may open."""

from __future__ import annotations

import secrets
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.staticfiles import StaticFiles

from videostyle.hosting.asgi import App, Message, Receive, Send
from videostyle.hosting.auth import Auth, read_cookie
from videostyle.service.app import api
from videostyle.service.core import Service
from videostyle.service.guard import SAFE_HEADERS, Guard, RequestLog
from videostyle.service.keys import ANYBODY, Client
from videostyle.studio import routes
from videostyle.studio.library import Library

STATIC = Path(__file__).parent / "static"
"""Files of the page, which are served as they are."""
_HEADERS = SAFE_HEADERS | {
    # Nothing is loaded from another machine, and no script from the page's own text.
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-cache",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}
_COOKIE = "videostyle_visitor"
_SCOPES = frozenset({"read", "paint"})


class Visitor:
    """Tells visitors apart by a cookie, where a token lets in more than one."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = read_cookie(dict(scope["headers"]).get(b"cookie", b"").decode("latin-1"), _COOKIE)
        is_new = len(given) != 32 or not given.isalnum()
        visitor = secrets.token_hex(16) if is_new else given
        scope.setdefault("state", {})["visitor"] = visitor

        async def with_cookie(message: Message) -> None:
            if is_new and message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.append("set-cookie", f"{_COOKIE}={visitor}; Path=/; HttpOnly; SameSite=Lax; Max-Age=31536000")
            await send(message)

        await self._app(scope, receive, with_cookie)


def _client(scope: Message) -> Client:
    """Return the client of a request: without a token all tabs are one person's."""
    visitor = scope.get("state", {}).get("visitor")
    return ANYBODY if visitor is None else Client(visitor, visitor[:8], _SCOPES)


def application(service: Service, library: Library, token: str | None) -> App:
    """Return the studio's app, behind the address's token if there is one, and the service's guard and log."""
    app = api(service)
    app.state.library = library
    app.include_router(routes.router)
    app.mount("/", StaticFiles(directory=STATIC, html=True))
    guarded = Guard(app, service, require_keys=False, known=_client)
    served: App = RequestLog(guarded, service, _HEADERS)
    return Auth(Visitor(served) if token else served, token)
