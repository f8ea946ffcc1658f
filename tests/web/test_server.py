from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from videostyle.errors import UsageError
from videostyle.hosting.addresses import address, bind, is_loopback
from videostyle.hosting.auth import Auth, new_token


def ask(
    token: str | None, path: str = "/", headers: Mapping[str, str] | None = None, kind: str = "http"
) -> tuple[int, dict[str, str]]:
    """Status and headers of the answer; 200 is what is behind the gate."""
    sent: list[Any] = []

    async def inside(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {}

    path, _, query = path.partition("?")
    fields = {"host": "127.0.0.1:7860", **(headers or {})}
    scope = {
        "type": kind,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
    }
    asyncio.run(Auth(inside, token)(scope, receive, send))
    if sent[0]["type"] == "websocket.close":
        return sent[0]["code"], {}
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


def test_only_loopback_needs_no_token() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "192.168.1.5", "example.org", ""))
    assert new_token("127.0.0.1") is None
    first, second = new_token("0.0.0.0"), new_token("0.0.0.0")
    assert first
    assert second
    assert first != second
    assert len(first) >= 32


def test_without_the_token_nobody_comes_in() -> None:
    for path in (
        "/",
        "/media/x.mp4",
        "/?token=",
        "/?token=wrong",
        "/?token=righ",
        "/?token=rightt",
        "/gradio_api/upload",
    ):
        assert ask("right", path)[0] == 401
    assert ask("right", headers={"cookie": "videostyle=wrong"})[0] == 401
    assert ask("right", kind="websocket")[0] == 1008
    assert ask("right", headers={"cookie": "not = a ; cookie\x01"})[0] == 401


def test_the_token_is_asked_for_once() -> None:
    status, headers = ask("right", "/page?a=1&token=right")
    assert status == 303
    assert headers["location"] == "/page?a=1"
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert ask("right", headers={"cookie": f"other=1; {cookie.partition(';')[0]}"})[0] == 200


def test_the_token_leads_to_no_other_site() -> None:
    assert ask("right", "//elsewhere.example/?token=right")[1]["location"] == "/elsewhere.example/"


def test_on_loopback_other_names_are_refused() -> None:
    for host in ("localhost:7860", "127.0.0.1", "[::1]:7860"):
        assert ask(None, headers={"host": host})[0] == 200
    for host in ("evil.example:7860", "127.0.0.1.evil.example", ""):
        assert ask(None, headers={"host": host})[0] == 421


def test_pages_of_other_sites_are_refused() -> None:
    assert ask(None, headers={"origin": "http://127.0.0.1:7860"})[0] == 200
    for origin in ("https://evil.example", "null", "http://127.0.0.1:9999"):
        assert ask(None, headers={"origin": origin})[0] == 403
        assert ask("right", headers={"origin": origin, "cookie": "videostyle=right"})[0] == 403


def test_what_another_sites_page_asks_for_is_refused_without_an_origin_too() -> None:
    for site in ("cross-site", "same-site"):
        for mode, dest in (("no-cors", "image"), ("cors", "empty"), ("navigate", "iframe"), ("websocket", "empty")):
            sent = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
            assert ask(None, headers=sent)[0] == 403
            assert ask("right", headers={**sent, "cookie": "videostyle=right"})[0] == 403
        # A link on another site may lead here, and a bookmark.
        assert (
            ask(None, headers={"sec-fetch-site": site, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"})[0]
            == 200
        )
    for site in ("same-origin", "none"):
        assert ask(None, headers={"sec-fetch-site": site, "sec-fetch-mode": "cors"})[0] == 200


def test_a_taken_port_is_named() -> None:
    with bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port}: cannot be listened on .* choose another with --port"):
            bind("127.0.0.1", port)
        assert address(first, "127.0.0.1", None) == f"http://127.0.0.1:{port}/"
        assert address(first, "0.0.0.0", "secret") == f"http://{socket.gethostname()}:{port}/?token=secret"
    with pytest.raises(UsageError, match="--port must be between 0 and 65535"):
        bind("127.0.0.1", 99999)
    with pytest.raises(UsageError, match="cannot be listened on"):
        bind("203.0.113.7", 0)  # an address reserved for documentation


def test_without_gradio_the_extra_is_named(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"1")
    code = "import sys; sys.modules['gradio'] = None; from videostyle.cli import main; sys.exit(main(sys.argv[1:]))"
    argv = [sys.executable, "-c", code, "preview", str(film), "--style", "none"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "videostyle: the page needs Gradio: pip install gradio\n"
