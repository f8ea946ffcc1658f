"""Clients that send too much, too slowly or too many: the others are served, and each learns what became of its own."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from media import film
from served import Listening, Served

from videostyle.hosting.asgi import Lingering, Message


def connect(service: Listening) -> socket.socket:
    address = urlsplit(service.address)
    return socket.create_connection((address.hostname, address.port), timeout=30)


def head(path: str, length: int, *more: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: multipart/form-data; boundary=b"]
    return "\r\n".join([*lines, f"Content-Length: {length}", *more, "", ""]).encode()


@pytest.mark.parametrize("more", [[], ["Connection: close"]], ids=["kept", "closed"])
def test_a_client_that_sends_all_before_it_reads_learns_why_it_is_refused(
    listen: Callable[..., Listening], more: list[str]
) -> None:
    body = b"x" * 30_000_000
    with connect(listen(works=False, largest_picture=1000)) as connection:
        connection.sendall(head("/v1/images", len(body), *more))
        connection.sendall(body)  # raises an error where the connection is reset
        with http.client.HTTPResponse(connection) as answer:
            answer.begin()
            assert answer.status == 413
            assert "at most" in json.loads(answer.read())["detail"]


def test_a_client_that_waits_for_leave_to_send_is_refused_at_once(listen: Callable[..., Listening]) -> None:
    with connect(listen(works=False, largest_picture=1000)) as connection:
        connection.settimeout(4)
        connection.sendall(head("/v1/images", 30_000_000, "Expect: 100-continue", "Connection: close"))
        received = b""
        while piece := connection.recv(10_000):  # to the end of the connection
            received += piece
        assert received.startswith(b"HTTP/1.1 413 ")


def test_the_rest_of_a_refused_request_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    monkeypatch.setattr("videostyle.hosting.asgi._SILENCE", 0.01)
    sent: list[Message] = []

    async def app(scope: Message, receive: object, send: Callable[[Message], object]) -> None:
        await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"2")]})  # type: ignore[misc]
        await send({"type": "http.response.body", "body": b"no"})  # type: ignore[misc]

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Message = {"type": "http", "headers": [(b"content-length", b"9")]}
    asyncio.run(asyncio.wait_for(Lingering(app)(scope, receive, send), 20))  # type: ignore[arg-type]
    assert [(one.get("body"), one.get("more_body", False)) for one in sent[1:]] == [(b"no", True), (b"", False)]


def test_slow_clients_keep_no_others_waiting(listen: Callable[..., Listening], photo: Path) -> None:
    service = listen(works=False)
    with ExitStack() as stack:
        for _ in range(60):
            slow = stack.enter_context(connect(service))
            slow.sendall(head("/v1/images", 100_000) + b"--b\r\n")
        with photo.open("rb") as file:
            content = file.read()
        body = b'--b\r\nContent-Disposition: form-data; name="settings"\r\n\r\n{"style": "dots"}\r\n'
        body += (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + content + b"\r\n--b--\r\n"
        )
        quick = stack.enter_context(connect(service))
        quick.sendall(head("/v1/images", len(body)) + body)
        with http.client.HTTPResponse(quick) as answer:
            answer.begin()
            assert answer.status == 200, answer.read()
    # Of the half requests nothing is left.
    until = threading.Event()
    for _ in range(100):
        if not any(service.service.plan.temporary.iterdir()):
            break
        until.wait(0.1)
    assert list(service.service.plan.temporary.iterdir()) == []


def test_two_thousand_jobs_wait_in_turn(served: Served, serve: Callable[..., Served], tmp_path: Path) -> None:
    queue = served.service.queue
    first = served.submit(film(tmp_path / "in.mp4", 3), style="dots")
    job = queue.get(first["id"])
    assert job is not None
    for number in range(1999):
        queue._most_each = 2000
        queue.submit("local" if number % 2 else "another", "film", job.request, str(number))
    listed, path = [], "/v1/jobs?limit=100"
    while path:
        page = served.get(path).json()
        listed += [one["ahead"] for one in page["jobs"]]
        path = page["next"]
    assert len(listed) == 1000
    assert listed[-1] == 0
    assert listed[0] == 1998
    turns = [queue.claim("worker").client for _ in range(20)]  # type: ignore[union-attr]
    assert sorted(turns[:2]) == sorted(turns[2:4]) == ["another", "local"]
    assert queue.counts()["starting"] == 1980
