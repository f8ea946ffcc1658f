"""Access to a server: for this computer alone, or for those who have a token."""

from __future__ import annotations

import hmac
import secrets
import threading
import webbrowser
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from videostyle.hosting.addresses import hostname, is_loopback, is_own
from videostyle.hosting.asgi import App, Message, Receive, Send, answer


class Auth:
    """Authenticates requests: by `token` if there is one, else by the host name of the request.

    The token arrives once in the address, `?token=...`, and is then kept in a cookie. Without a token, on a loopback
    address, other host names are refused: another site could point its own name here and read the answers (DNS
    rebinding).
    """

    def __init__(self, app: App, token: str | None, cookie: str = "videostyle") -> None:
        self._app = app
        self._token = token
        self._cookie = cookie

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "").lower()
        # Not starlette's TrustedHostMiddleware: it takes names and no range, such as 127.0.0.0/8, some of its releases
        # cut [::1]:7860 at the first colon, and what it answers has no remedy. It leaves the origin to us in any case.
        if self._token is None and not is_loopback(hostname(host)):
            await answer(scope, send, 421, "this page answers to localhost and 127.0.0.1 only")
            return
        if not is_own(headers, host):
            await answer(scope, send, 403, "other sites' pages may not use this one")
            return
        if self._token is None:
            await self._app(scope, receive, send)
            return
        query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        if self._is_right(dict(query).get("token", "")) and scope["type"] == "http":
            # The token is removed from the address, so that it is neither copied with it nor sent to other sites.
            rest = urlencode([pair for pair in query if pair[0] != "token"])
            # One slash: "//elsewhere" would be another site.
            where = "/" + scope["path"].lstrip("/") + (f"?{rest}" if rest else "")
            kept = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Lax"
            await answer(scope, send, 303, "", [("location", where), ("set-cookie", kept)])
        elif self._is_right(read_cookie(headers.get("cookie", ""), self._cookie)):
            await self._app(scope, receive, send)
        else:
            await answer(scope, send, 401, "open the address that videostyle printed, with its token")

    def _is_right(self, given: str) -> bool:
        # The comparison takes constant time, so that the token cannot be guessed letter by letter.
        return self._token is not None and hmac.compare_digest(given.encode(), self._token.encode())


def read_cookie(header: str, name: str) -> str:
    """Return the value of a cookie in a request's header; "" if there is none of this name."""
    found: SimpleCookie = SimpleCookie()
    try:
        found.load(header)
    except CookieError:
        return ""
    return found[name].value if name in found else ""


def new_token(host: str) -> str | None:
    """Return a new token; None for a loopback address, which needs none."""
    return None if is_loopback(host) else secrets.token_urlsafe(24)


def open_browser(url: str) -> None:
    """Open a browser in a thread, because some browsers do not return before they are closed."""
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
