"""The Python client against a running service; its models are those of the OpenAPI document."""

from __future__ import annotations

import importlib.util
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pydantic
import pytest
from media import film, times
from packaging.version import Version
from served import Listening

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "integrations" / "python"))

import httpx2  # noqa: E402
import videostyle_client as api  # noqa: E402
from videostyle_client import client as client_module  # noqa: E402
from videostyle_client.models import ROUTES  # noqa: E402


@pytest.fixture
def client(listen: Callable[..., Listening]) -> api.Client:
    return api.Client(listen().address)


def make_client() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_client", ROOT / "scripts" / "make_client.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_models_are_those_of_the_service() -> None:
    made = make_client()
    kept, now = made.MODELS.read_text(encoding="utf-8"), made.models(made.document())
    names = re.compile(r"^(?:class|    )\s*(\w+)[:(]|^(\w+) =", re.MULTILINE)
    assert names.findall(kept) == names.findall(now), "run scripts/make_client.py"
    if Version(pydantic.VERSION) >= Version("2.13"):  # earlier ones tell fewer types of a field
        assert kept == now, "run scripts/make_client.py"


def test_every_operation_has_a_method_but_those_for_pages() -> None:
    source = Path(client_module.__file__).read_text(encoding="utf-8")
    assert {name for name in ROUTES if f'"{name}"' not in source} == {
        *("jobs_source", "jobs_thumbnail", "jobs_all_events", "stills_camera"),
        *("uploads_options", "uploads_content"),
    }


def test_a_proof_is_painted_before_the_film(client: api.Client, tmp_path: Path) -> None:
    upload = client.upload(film(tmp_path / "in.mp4", 6))
    found = client.describe_upload(upload)
    assert (found.kind, found.width, found.frames) == ("film", 64, 6)
    proof = client.still(upload, 0.1, style="dots")
    assert cv2.imdecode(np.frombuffer(proof, np.uint8), cv2.IMREAD_COLOR).shape == (48, 64, 3)
    assert proof != client.still(upload, 0.1, style="lines")


def test_a_picture_is_painted(client: api.Client, photo: Path, tmp_path: Path) -> None:
    painted = client.paint(photo, tmp_path / "out.jpg", style={"dots": 1, "lines": 2}, strength=0.5, format="jpg")
    assert (tmp_path / "out.jpg").read_bytes() == painted
    assert cv2.imread(str(tmp_path / "out.jpg")).shape == (48, 64, 3)


def test_a_mask_comes_along(client: api.Client, photo: Path, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    cv2.imwrite(str(mask), np.zeros((48, 64), np.uint8))
    client.paint(photo, tmp_path / "out.png", mask_file=mask, style="dots")
    assert np.array_equal(cv2.imread(str(tmp_path / "out.png")), cv2.imread(str(photo)))


def test_a_film_is_painted_with_progress(client: api.Client, tmp_path: Path) -> None:
    seen: list[str] = []
    job = client.paint_film(
        film(tmp_path / "in.mp4", 6),
        tmp_path / "out.mov",
        on_progress=lambda now: seen.append(now.status),
        style="dots",
    )
    assert (job.status, job.output.frames, seen[-1]) == ("succeeded", 6, "succeeded")
    assert len(times(tmp_path / "out.mov")) == 6
    assert [one.id for one in client.jobs()] == [job.id]
    assert client.job(job.id).urls.result == f"/v1/jobs/{job.id}/result"
    assert client.cancel(job.id).status == "succeeded"
    with pytest.raises(api.ServiceError, match="expired, or was removed") as error:
        client.download(job.id, tmp_path / "again.mp4")
    assert error.value.status == 410
    assert {path.name for path in tmp_path.glob("*again*")} == set()


def test_a_job_is_submitted_with_its_file_and_canceled(listen: Callable[..., Listening], tmp_path: Path) -> None:
    client = api.Client(listen(works=False).address)
    path = film(tmp_path / "in.mp4", 6)
    job = client.submit(path, style="dots", idempotency_key="one")
    assert client.submit(path, style="dots", idempotency_key="one").id == job.id
    assert client.cancel(job.id).status == "canceled"
    assert client.wait(job.id).status == "canceled"
    with pytest.raises(api.ServiceError, match="has no result; it is canceled"):
        client.download(job.id, tmp_path / "out.mp4")


def test_a_request_is_sent_again_where_the_line_breaks(
    listen: Callable[..., Listening], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = api.Client(listen(works=False).address)
    send = client._http.request
    left: list[str] = []

    def breaking(method: str, path: str, **more: Any) -> httpx2.Response:
        if method not in left:
            return send(method, path, **more)
        left.remove(method)
        if method == "PATCH":  # the rest never arrives
            more["content"] = iter([next(more["content"])[:100]])
        send(method, path, **more)
        raise httpx2.ReadError("the line broke before the answer")

    monkeypatch.setattr(client._http, "request", breaking)
    monkeypatch.setattr(client_module.time, "sleep", lambda seconds: None)
    path = film(tmp_path / "in.mp4", 6)
    left += ["PATCH", "PATCH"]
    sent: list[int] = []
    upload = client.upload(path, sent.append)
    assert sent == [path.stat().st_size]
    left += ["POST"]
    job = client.submit(upload, style="dots")
    assert left == []
    assert [one.id for one in client.jobs()] == [job.id]


def test_styles_are_listed_and_made(
    client: api.Client, photo: Path, toy_gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    from videostyle.train import learn

    source = toy_gallery / "fast" / "dots.safetensors"
    monkeypatch.setattr(learn, "learn", lambda plan: shutil.copy(source, plan.output))
    made = client.make_style("mine", photo)
    assert isinstance(made, api.Style)
    assert (made.name, made.network, made.own) == ("mine", "fast", True)
    assert made in client.styles()
    assert client.thumbnail(made)[:2] == b"\xff\xd8"
    later = client.make_style("learned", photo, minutes=1)
    assert isinstance(later, api.Job)
    with pytest.raises(api.ServiceError, match="no thumbnail"):
        client.thumbnail(next(one for one in client.styles() if one.name == "dots"))
    client.remove_style(made)
    assert made not in client.styles()


def test_errors_are_the_services_sentences(listen: Callable[..., Listening], photo: Path) -> None:
    service = listen(require_keys=True, jobs_each=1)
    key = service.service.keys.add("alice")
    with pytest.raises(api.ServiceError, match="send a key of this service") as refused:
        api.Client(service.address).styles()
    assert refused.value.status == 401
    with api.Client(service.address, key) as client:
        assert client.ready()
        assert client.health().status == "ok"
        with pytest.raises(api.ServiceError, match="strength must be between 0 and 1, got 2") as mistake:
            client.paint(photo, style="dots", strength=2)
        assert (mistake.value.status, len(mistake.value.request_id)) == (422, 16)
        with pytest.raises(api.ServiceError, match="no scope 'admin'"):
            client.metrics()
        upload = client.upload(photo)
        client.remove_upload(upload)
        with pytest.raises(api.ServiceError, match="no upload of this id"):
            client.submit(upload)


def test_a_failed_film_says_why(client: api.Client, tmp_path: Path) -> None:
    path = tmp_path / "in.mp4"
    path.write_bytes(b"no film")
    with pytest.raises(api.ServiceError) as error:
        client.paint_film(path, tmp_path / "out.mp4", style="dots")
    assert str(tmp_path) not in str(error.value)
    assert not (tmp_path / "out.mp4").exists()


def test_two_clients_follow_one_service(listen: Callable[..., Listening], photo: Path) -> None:
    service = listen()
    found: list[bytes] = []

    def paint() -> None:
        with api.Client(service.address) as own:
            found.append(own.paint(photo, style="dots"))

    threads = [threading.Thread(target=paint) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
