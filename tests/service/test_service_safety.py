"""What SECURITY.md says of the service, a test for each line of its table."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import ipaddress
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from media import film
from PIL import Image
from served import Served

from videostyle.cli import main
from videostyle.errors import SourceError, UsageError
from videostyle.service import outbound, storage, webhooks
from videostyle.service.log import JsonLines
from videostyle.service.outbound import Outbound, is_public
from videostyle.service.queue import new_id


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_strangers_need_a_key(serve: Callable[..., Served]) -> None:
    served = serve(require_keys=True)
    for headers in ({}, bearer("vs_wrong"), {"Authorization": "Basic dnM6"}, bearer("")):
        answer = served.get("/v1/styles", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    key = served.service.keys.add("alice")
    assert served.get("/v1/styles", headers=bearer(key)).status_code == 200
    served.service.keys.revoke("alice")
    assert served.get("/v1/styles", headers=bearer(key)).status_code == 401
    assert served.get("/healthz").status_code == 200


def test_it_serves_others_only_with_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--host", "0.0.0.0", "--port", "0", "--data", str(tmp_path / "d")]) == 2
    assert "make one first: videostyle serve --new-key NAME" in capsys.readouterr().err


def test_keys_are_kept_as_hashes_and_have_scopes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data", str(tmp_path / "d")]
    assert main(["serve", *data, "--new-key", "bob", "--scope", "read"]) == 0
    key, secret = capsys.readouterr().out.split()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "d").iterdir() if path.is_file())
    assert key.encode() not in kept
    assert hashlib.sha256(key.encode()).hexdigest().encode() in kept
    assert secret.startswith("whsec_")
    assert main(["serve", *data, "--new-key", "bob"]) == 2
    assert main(["serve", *data, "--keys"]) == 0
    assert capsys.readouterr().out == "bob  read\n"
    assert main(["serve", *data, "--revoke-key", "nobody"]) == 2
    assert "no key named 'nobody'" in capsys.readouterr().err


def test_a_key_does_no_more_than_its_scopes(serve: Callable[..., Served]) -> None:
    served = serve()
    reader, painter, admin = (served.service.keys.add(name, [name]) for name in ("read", "paint", "admin"))
    assert served.get("/v1/jobs", headers=bearer(reader)).status_code == 200
    assert served.get("/v1/jobs", headers=bearer(painter)).status_code == 403
    assert served.post("/v1/jobs", json={}, headers=bearer(reader)).status_code == 403
    assert served.post("/v1/jobs", json={}, headers=bearer(painter)).status_code == 422
    assert served.get("/metrics", headers=bearer(reader)).status_code == 403
    assert served.get("/metrics", headers=bearer(admin)).status_code == 200


def test_clients_do_not_see_each_other(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve()
    alice, bob = (bearer(served.service.keys.add(name)) for name in ("alice", "bob"))
    job = served.submit(film(tmp_path / "in.mp4", 6), alice, style="dots")
    for path in (job["urls"]["self"], job["urls"]["events"], f"{job['urls']['self']}/result"):
        assert served.get(path, headers=bob).status_code == 404
    assert served.delete(job["urls"]["self"], headers=bob).status_code == 404
    assert served.get("/v1/jobs", headers=bob).json()["jobs"] == []
    made = served.post("/v1/uploads", headers={**alice, **TUS, "Upload-Length": "3", **NAMED})
    assert served.head(made.headers["location"], headers={**bob, **TUS}).status_code == 404
    assert served.head(made.headers["location"], headers={**alice, **TUS}).status_code == 200


TUS = {"Tus-Resumable": "1.0.0"}
NAMED = {"Upload-Metadata": f"filename {base64.b64encode(b'a.mp4').decode()}"}


def test_another_sites_page_gets_nothing(served: Served) -> None:
    assert served.get("/v1/styles", headers={"host": "evil.example:8000"}).status_code == 421
    assert served.get("/v1/styles", headers={"origin": "http://evil.example"}).status_code == 403
    assert served.post("/v1/jobs", json={}, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert served.get("/v1/styles", headers={"host": "localhost:8000"}).status_code == 200


def test_ids_cannot_be_guessed() -> None:
    found = {new_id("job") for _ in range(100)}
    assert len(found) == 100
    assert all(len(base64.urlsafe_b64decode(one.partition("_")[2])) == 18 for one in found)


def test_too_many_bytes_are_refused_before_and_while_they_come(serve: Callable[..., Served]) -> None:
    served = serve(largest=100_000, largest_picture=50_000)
    body = b"x" * 2_000_000
    assert served.post("/v1/jobs", files={"file": ("a.mp4", body)}).status_code == 413
    assert served.post("/v1/images", files={"file": ("a.png", body)}).status_code == 413

    def slowly() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
        for _ in range(20):
            yield b"x" * 100_000

    chunked = {"content-type": "multipart/form-data; boundary=b"}
    answer = served.post("/v1/jobs", content=slowly(), headers=chunked)
    assert (answer.status_code, answer.json()["detail"]) == (
        413,
        "a request of this kind may have at most 1100000 bytes",
    )
    assert served.post("/v1/jobs", content=body, headers={"content-type": "application/json"}).status_code == 413
    assert list(served.plan.jobs_folder.iterdir()) == []


def test_too_many_pixels_or_seconds_are_refused(serve: Callable[..., Served], photo: Path, tmp_path: Path) -> None:
    served = serve(pixels=2000, minutes=0.1 / 60)
    with photo.open("rb") as file:
        answer = served.post("/v1/images", files={"file": ("a.png", file)})
    assert "million pixels" in answer.json()["detail"]
    with film(tmp_path / "in.mp4", 12, (32, 32)).open("rb") as file:
        answer = served.post("/v1/jobs", files={"file": ("a.mp4", file)})
    assert "minutes or more" in answer.json()["detail"]


def test_too_many_jobs_are_refused_before_their_films_come(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve(jobs_each=1)
    path = film(tmp_path / "in.mp4", 6)
    served.submit(path, {"Idempotency-Key": "k"}, style="dots")
    with path.open("rb") as file:
        answer = served.post("/v1/jobs", files={"file": ("a.mp4", file)})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "30")
    # A repeated request is still answered.
    assert served.submit(path, {"Idempotency-Key": "k"}, style="dots")


def test_storage_and_disk_have_bounds(
    serve: Callable[..., Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve(storage=1000)
    with film(tmp_path / "in.mp4", 6).open("rb") as file:
        answer = served.post("/v1/jobs", files={"file": ("a.mp4", file)})
    assert (answer.status_code, answer.json()["detail"][:34]) == (507, "the service's storage is used up; ")
    monkeypatch.setattr(storage, "LEAST_FREE", 1 << 60)
    answer = served.post("/v1/uploads", headers={**TUS, "Upload-Length": "3", **NAMED})
    assert (answer.status_code, answer.json()["detail"][:30]) == (507, "the service's disk is full; tr")


PLAYLIST = b"ffconcat version 1.0\nfile mask.mp4\n"


def test_a_playlist_is_refused(served: Served, tmp_path: Path) -> None:
    from videostyle.io.pyav import self_contained_only

    named = film(tmp_path / "in.mp4", 6).read_bytes()  # FFmpeg would find and open it, beside the list
    with self_contained_only():  # as in the painters and workers
        answer = served.post(
            "/v1/jobs",
            files={"file": ("list.mp4", PLAYLIST), "mask": ("mask.mp4", named)},
            data={"settings": '{"style": "dots"}'},
        )
    assert answer.status_code == 422
    assert "is not a film or picture that FFmpeg can read" in answer.json()["detail"]


def test_painters_and_workers_read_no_playlists(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from videostyle.io import pyav
    from videostyle.service import painters, worker
    from videostyle.service.plan import ServicePlan

    seen = []
    monkeypatch.setattr(painters, "follow_master", lambda stopped: None)
    monkeypatch.setattr(painters, "carry_out", lambda task: seen.append(pyav._self_contained) or {})

    class Connection:
        def __init__(self) -> None:
            self.tasks = ["one"]

        def recv(self) -> Any:
            if not self.tasks:
                raise EOFError
            return self.tasks.pop()

        def send(self, answer: Any) -> None:
            pass

    painters._serve(Connection(), ())  # type: ignore[arg-type]
    plan = ServicePlan(tmp_path / "d")
    plan.make_folders()
    worker.serve(plan, lambda: bool(seen.append(pyav._self_contained) or True))
    assert seen == [1, 1]


def test_no_name_of_a_file_leaves_the_services_folders(served: Served, tmp_path: Path) -> None:
    path = film(tmp_path / "in.mp4", 6)
    for name in ("../../evil.mp4", "/etc/evil.mp4", "..\\evil.mp4", ".evil.mp4", "a\nb.mp4", "50%d.mp4"):
        with path.open("rb") as file:
            answer = served.post("/v1/jobs", files={"file": (name, file)}, data={"settings": '{"style": "dots"}'})
        assert answer.status_code == 202, answer.text
    assert {one.name for one in tmp_path.iterdir()} == {"in.mp4", "data"}
    assert {one.name for folder in served.plan.jobs_folder.iterdir() for one in folder.iterdir()} == {"file.mp4", "out"}
    with path.open("rb") as file:
        refused = served.post("/v1/jobs", files={"file": ("a.mp4", file), "../x": ("x.png", b"x")})
    assert refused.status_code == 422
    with path.open("rb") as file:
        refused = served.post("/v1/jobs", files={"file": ("a.sh", file)})
    assert "must end in one of" in refused.json()["detail"]


def test_no_answer_has_a_path_of_the_server(served: Served, photo: Path, tmp_path: Path) -> None:
    answers = [
        served.post("/v1/images", files={"file": ("a.png", b"no picture")}),
        served.post("/v1/jobs", files={"file": ("a.mp4", b"no film")}),
        served.post("/v1/jobs", files={"file": ("a.gif", b"no film")}),
        served.get("/v1/jobs"),
        served.get("/v1/styles"),
        served.get("/openapi.json"),
    ]
    with photo.open("rb") as file:
        answers.append(served.post("/v1/images", files={"file": ("a.png", file)}, data={"settings": '{"size": "x"}'}))
    job = served.submit(film(tmp_path / "in.mp4", 6), style="dots")
    (served.plan.jobs_folder / job["id"] / "file.mp4").write_bytes(b"damaged meanwhile")
    served.work()
    answers.append(served.get(job["urls"]["self"]))
    assert answers[-1].json()["status"] == "failed"
    for one in answers:
        assert str(tmp_path) not in one.text
        assert str(served.plan.data) not in one.text
        assert os.getcwd() not in one.text


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1"),
        *("2002:7f00:1::", "ff02::1", "2001:db8::1"),
    ],
)
def test_private_addresses_are_not_connected_to(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_public(ipaddress.ip_address(address))
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **m: [(family, 1, 6, "", (address, 443))])
    with pytest.raises(UsageError, match="is not on the public internet"):
        Outbound().check("https://innocent.example/film.mp4")


def test_public_addresses_are() -> None:
    for address in ("93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34"):
        assert is_public(ipaddress.ip_address(address))


@contextmanager
def receiver(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[tuple[str, list[tuple[Any, bytes]]]]:
    """A server of another party, on this computer: its address, and the headers and bodies that it got."""
    got: list[tuple[Any, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            got.append((self.headers, b""))
            answer(self)

        def do_POST(self) -> None:
            got.append((self.headers, self.rfile.read(int(self.headers["content-length"]))))
            answer(self)

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def reply(status: int, body: bytes = b"", **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_urls_are_off_unless_allowed(served: Served) -> None:
    answer = served.post("/v1/jobs", json={"input": "https://example.org/a.mp4"})
    assert answer.json()["detail"] == "this service fetches nothing from addresses; upload the file"
    answer = served.post("/v1/jobs", json={"webhook": {"url": "https://example.org"}, "input": "upload_x"})
    assert answer.status_code == 422


def test_a_film_is_fetched_from_an_allowed_address(serve: Callable[..., Served], tmp_path: Path) -> None:
    body = film(tmp_path / "in.mp4", 6).read_bytes()
    served = serve(allow_urls=True, networks=("127.0.0.0/8",))
    with receiver(reply(200, body)) as (address, _):
        job = served.post("/v1/jobs", json={"input": f"{address}/a.mp4?x=1", "settings": {"style": "dots"}}).json()
        served.work()
    found = served.get(job["urls"]["self"]).json()
    assert (found["status"], found["output"]["frames"]) == ("succeeded", 6), found


def test_a_redirect_into_a_private_network_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = Outbound(["127.0.0.0/8"])
    with (
        receiver(reply(302, location="http://10.0.0.1/secret")) as (address, _),
        pytest.raises(UsageError, match=r"10\.0\.0\.1: is not on the public internet"),
        allowed.request("GET", address),
    ):
        pass
    with (
        receiver(reply(302, location="/again")) as (address, got),
        pytest.raises(UsageError, match="redirects more than 5 times"),
        allowed.request("GET", address),
    ):
        pass
    assert len(got) == 6


def test_a_name_is_resolved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public when it is checked and private when it is connected to gains nothing."""
    resolved = []
    with receiver(reply(200, b"ok")) as (address, _):
        port = int(address.rpartition(":")[2])

        def resolve(host: str, *args: Any, **more: Any) -> Any:
            resolved.append(host)
            return [(socket.AF_INET, 1, 6, "", ("127.0.0.1" if len(resolved) == 1 else "10.0.0.1", port))]

        monkeypatch.setattr(outbound.socket, "getaddrinfo", resolve)
        with Outbound(["127.0.0.1/32"]).request("GET", f"http://name.example:{port}/") as response:
            assert response.read() == b"ok"
    assert resolved == ["name.example"]


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://a/b", "https://u:p@a/", "https:///x", "http://a b/", "http://a:99999/", "x"]
)
def test_only_plain_web_addresses_are_taken(url: str) -> None:
    with pytest.raises(UsageError, match="the address"):
        Outbound().check(url)


def test_nobody_there_is_told_so() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with (
            pytest.raises(SourceError, match="cannot be connected to"),
            Outbound(["127.0.0.0/8"]).request("GET", f"http://127.0.0.1:{port}/"),
        ):
            pass


def test_a_webhook_is_signed_and_tried_again(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve(allow_webhooks=True, networks=("127.0.0.0/8",))
    served.service._deliver = lambda: None  # type: ignore[method-assign]
    with receiver(reply(500)) as (address, got):
        with film(tmp_path / "in.mp4", 6).open("rb") as file:
            job = served.post(
                "/v1/jobs",
                files={"file": ("in.mp4", file)},
                data={"settings": '{"style": "dots"}', "webhook": f"{address}/hook"},
            ).json()
        served.work()
        while not got:
            served.service.webhooks.deliver()
    headers, body = got[0]
    assert json.loads(body)["type"] == "job.succeeded"
    assert json.loads(body)["data"]["id"] == job["id"]
    secret = base64.b64decode(served.service.keys.webhook_secret("local").removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    row = served.service.database.row("SELECT attempts FROM webhooks")
    assert row is not None
    assert row["attempts"] >= 1
    for _ in webhooks.RETRIES:
        with served.service.database.transaction() as connection:
            connection.execute("UPDATE webhooks SET not_before = 0")
        served.service.webhooks.deliver()
    assert served.service.database.row("SELECT 1 FROM webhooks") is None


def test_the_log_has_requests_and_no_keys(serve: Callable[..., Served], caplog: pytest.LogCaptureFixture) -> None:
    served = serve()
    key = served.service.keys.add("alice")
    with caplog.at_level(logging.INFO, "videostyle"):
        served.get("/v1/styles?token=hidden", headers={**bearer(key), "X-Request-Id": "request-1"})
    record = next(one for one in caplog.records if getattr(one, "route", "") == "/v1/styles")
    line = json.loads(JsonLines().format(record))
    assert (line["client"], line["status"], line["method"]) == ("alice", 200, "GET")
    assert not any(secret in JsonLines().format(one) for one in caplog.records for secret in (key, "hidden"))


def test_results_and_uploads_expire(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve(keep=1000.0)
    job = served.submit(film(tmp_path / "in.mp4", 6), style="dots")
    upload = served.post("/v1/uploads", headers={**TUS, "Upload-Length": "3", **NAMED}).headers["location"]
    served.work()
    served.service.storage.sweep()
    assert served.get(f"{job['urls']['self']}/result").status_code == 200
    with served.service.database.transaction() as connection:
        connection.execute("UPDATE jobs SET expires = ?", (time.time() - 1,))
        connection.execute("UPDATE uploads SET expires = 1")
    served.service.storage.sweep()
    assert served.get(f"{job['urls']['self']}/result").status_code == 410
    assert served.get(job["urls"]["self"]).json()["is_removed"] is True
    assert served.head(upload, headers=TUS).status_code == 404
    assert list(served.plan.jobs_folder.iterdir()) == []
    assert list(served.plan.uploads_folder.iterdir()) == []
    with served.service.database.transaction() as connection:
        connection.execute("UPDATE jobs SET expires = 1")
    served.service.storage.sweep()
    assert served.get(job["urls"]["self"]).status_code == 404


def test_a_picture_bomb_is_not_decoded(served: Served) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = (60_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
    answer = served.post("/v1/images", files={"file": ("a.png", bomb)})
    assert answer.status_code == 422
    assert "has far more pixels than" in answer.json()["detail"]
    # Below what Pillow refuses by itself: 80 million pixels in a few kilobytes.
    sheet = io.BytesIO()
    Image.new("1", (10_000, 8_000)).save(sheet, "PNG")
    answer = served.post("/v1/images", files={"file": ("a.png", sheet.getvalue())})
    assert answer.status_code == 422
    assert "file.png: 10000x8000 are 80 million pixels" in answer.json()["detail"]


def test_signals_arrive_where_uvloop_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uvloop would take over the descriptor by which they arrive, and SIGTERM would end nothing."""
    import asyncio
    import types

    import uvicorn

    from videostyle.hosting import addresses

    def refuse() -> None:
        raise AssertionError("uvloop is taken")

    uvloop = types.ModuleType("uvloop")
    uvloop.new_event_loop = refuse  # type: ignore[attr-defined]
    uvloop.Loop = refuse  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "uvloop", uvloop)
    made: list[asyncio.AbstractEventLoop] = []

    def run(self: uvicorn.Server, sockets: object) -> None:
        factory = self.config.get_loop_factory()
        assert factory is not None
        made.append(factory())

    monkeypatch.setattr(uvicorn.Server, "run", run)

    async def app(scope: object, receive: object, send: object) -> None:
        pass

    addresses.serve(app, None)  # type: ignore[arg-type]
    assert isinstance(made[0], asyncio.SelectorEventLoop)
    made[0].close()


def test_torch_leaves_no_folder_among_a_server_s_temporary_files(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from videostyle.hosting.temporary import set_temporary_folder; "
        "set_temporary_folder(Path(sys.argv[1])); "
        "from torch._inductor.runtime.cache_dir_utils import cache_dir; print(cache_dir())"
    )
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, "VIDEOSTYLE_CACHE": str(tmp_path / "cache")}
    environment.pop("TORCHINDUCTOR_CACHE_DIR", None)
    command = [sys.executable, "-c", code, str(tmp_path / "temporary")]
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    assert Path(made).is_relative_to(tmp_path / "cache")
    assert not list((tmp_path / "temporary").iterdir())
