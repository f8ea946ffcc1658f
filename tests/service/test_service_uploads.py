"""Resumable uploads, by tus 1.0."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
from media import film
from served import Served

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}


def named(name: str) -> dict[str, str]:
    return {"Upload-Metadata": f"filename {base64.b64encode(name.encode()).decode()},kind dmlkZW8="}


def create(served: Served, size: int, name: str = "in.mp4") -> str:
    answer = served.post("/v1/uploads", headers={**TUS, **named(name), "Upload-Length": str(size)})
    assert answer.status_code == 201, answer.text
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert "upload-expires" in answer.headers
    location: str = answer.headers["location"]
    return location


def test_it_tells_what_it_can(served: Served) -> None:
    answer = served.options("/v1/uploads")
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == "1.0.0"
    assert answer.headers["tus-extension"] == "creation,termination,expiration"
    assert int(answer.headers["tus-max-size"]) == served.plan.largest


def test_an_upload_in_parts_is_painted(served: Served, tmp_path: Path) -> None:
    data = film(tmp_path / "in.mp4", 6).read_bytes()
    where = create(served, len(data))
    id = where.rpartition("/")[2]
    early = served.post("/v1/jobs", json={"input": id, "settings": {"style": "dots"}})
    assert early.json()["detail"] == f"the upload has 0 of {len(data)} bytes; send the others first"
    for start in range(0, len(data), 1000):
        assert served.head(where, headers=TUS).headers["upload-offset"] == str(start)
        answer = served.patch(where, content=data[start : start + 1000], headers={**BYTES, "Upload-Offset": str(start)})
        assert answer.status_code == 204, answer.text
    assert answer.headers["upload-offset"] == str(len(data))
    job = served.post("/v1/jobs", json={"input": id, "settings": {"style": "dots"}}).json()
    served.work()
    assert served.get(job["urls"]["self"]).json()["output"]["frames"] == 6


def drop(served: Served, method: str, path: str, headers: dict[str, str], body: bytes) -> int:
    """Send a part of a request's body, and break the connection; returns the status that nobody hears of."""
    messages: list[Any] = [{"type": "http.request", "body": body, "more_body": True}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    fields = {"host": "127.0.0.1", "content-length": "1000000", **headers}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in fields.items()],
    }
    asyncio.run(served.app(scope, receive, send))
    status: int = sent[0]["status"]
    return status


def test_a_dropped_connection_keeps_what_has_come(served: Served) -> None:
    where = create(served, 3000)
    assert drop(served, "PATCH", where, {**BYTES, "Upload-Offset": "0"}, b"x" * 1000) == 400
    assert served.head(where, headers=TUS).headers["upload-offset"] == "1000"
    answer = served.patch(where, content=b"y" * 2000, headers={**BYTES, "Upload-Offset": "1000"})
    assert answer.headers["upload-offset"] == "3000"


def test_a_dropped_form_leaves_nothing(served: Served) -> None:
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n' + b"x" * 100_000
    kind = {"content-type": "multipart/form-data; boundary=b"}
    for path in ("/v1/jobs", "/v1/images", "/v1/styles"):
        assert drop(served, "POST", path, kind, form) == 400
    assert list(served.plan.jobs_folder.iterdir()) == []
    assert list(served.plan.temporary.iterdir()) == []
    assert served.get("/v1/jobs").json()["jobs"] == []


def test_bytes_at_another_place_or_too_many_are_refused(served: Served) -> None:
    where = create(served, 10)
    assert served.patch(where, content=b"x", headers={**BYTES, "Upload-Offset": "5"}).status_code == 409
    assert served.patch(where, content=b"x", headers=BYTES).status_code == 409
    assert served.patch(where, content=b"x" * 11, headers={**BYTES, "Upload-Offset": "0"}).status_code == 413
    assert served.patch(where, content=b"x", headers={**TUS, "Upload-Offset": "0"}).status_code == 415
    assert served.patch(where, content=b"x", headers={"Upload-Offset": "0"}).status_code == 412
    assert served.head(where, headers=TUS).headers["upload-offset"] == "0"


def test_two_writers_do_not_mix(served: Served) -> None:
    where = create(served, 10)
    upload = served.service.storage.find(where.rpartition("/")[2], "local")
    assert upload is not None
    with served.service.storage.writing(upload):
        answer = served.patch(where, content=b"x", headers={**BYTES, "Upload-Offset": "0"})
    assert answer.status_code == 423


def test_an_upload_can_be_removed(served: Served) -> None:
    where = create(served, 10)
    assert served.delete(where, headers=TUS).status_code == 204
    assert served.head(where, headers=TUS).status_code == 404
    assert list(served.plan.uploads_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Upload-Length": "10"}, 412),
        ({**TUS, "Upload-Length": "10"}, 422),
        ({**TUS, **named("in.mp4")}, 422),
        ({**TUS, **named("in.mp4"), "Upload-Length": "-1"}, 422),
        ({**TUS, **named("in.mp4"), "Upload-Length": "x"}, 422),
        ({**TUS, **named("in.mp4"), "Upload-Length": str(10**12)}, 413),
        ({**TUS, **named("in.sh"), "Upload-Length": "10"}, 422),
        ({**TUS, "Upload-Metadata": "filename %%%", "Upload-Length": "10"}, 422),
    ],
)
def test_what_cannot_be_created_is_told(served: Served, headers: dict[str, str], status: int) -> None:
    answer = served.post("/v1/uploads", headers=headers)
    assert answer.status_code == status
    assert answer.json()["detail"]
