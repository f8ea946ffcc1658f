"""The service over a Ray cluster on this computer: pictures by Ray Serve's replicas, films by the batch executor."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import cv2
import pytest
from media import film, times
from starlette.testclient import TestClient

from videostyle.errors import UsageError
from videostyle.service.app import application
from videostyle.service.core import Service
from videostyle.service.plan import ServicePlan
from videostyle.service.worker import Worker


def test_a_cluster_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--executor ray needs --address"):
        ServicePlan(tmp_path, executor="ray")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Ray's clusters are tried on Linux")
def test_pictures_and_films_are_painted_on_a_cluster(
    toy_gallery: Path, tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_worker_niceness", "0")
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.serve")
    here = {"PYTHONPATH": os.pathsep.join(sys.path), "VIDEOSTYLE_MODELS": str(toy_gallery)}
    started = ray.init(
        num_cpus=4, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": here}, namespace="videostyle"
    )
    plan = ServicePlan(
        tmp_path / "data", files=tmp_path / "files", workers=0, painters=2, engine="torch",
        executor="ray", address=started.address_info["gcs_address"],
    )  # fmt: skip
    service = Service(plan)
    try:
        with TestClient(application(service), base_url="http://127.0.0.1:8000") as client:
            until = time.monotonic() + 300
            while client.get("/readyz").status_code != 200 and time.monotonic() < until:
                time.sleep(0.5)
            for _ in range(3):
                with photo.open("rb") as file:
                    painted = client.post(
                        "/v1/images", files={"file": ("a.png", file)}, data={"settings": '{"style": "dots"}'}
                    )
                assert painted.status_code == 200, painted.text
            broken = client.post("/v1/images", files={"file": ("a.png", b"no picture")})
            assert broken.json()["detail"] == "file.png: is no picture that can be read; save it again as PNG or JPEG"
            # FFmpeg would read the file that the list names; the nodes refuse it, as this computer's painters do.
            name = tmp_path / "list.mp4"
            name.write_text(f"ffconcat version 1.0\nfile '{film(tmp_path / 'secret.mp4', 3)}'\n")
            with name.open("rb") as file:
                assert client.post("/v1/jobs", files={"file": ("list.mp4", file)}).status_code == 422
            with film(tmp_path / "in.mp4", 12).open("rb") as file:
                answer = client.post(
                    "/v1/jobs", files={"file": ("in.mp4", file)}, data={"settings": '{"style": "dots"}'}
                )
            assert answer.status_code == 202, answer.text
            job = service.queue.claim("test")
            assert job is not None
            Worker(plan, service.queue, lambda: False).carry_out(job)
            done = client.get(answer.json()["urls"]["self"]).json()
            assert (done["status"], done["error"], done["output"]["frames"]) == ("succeeded", None, 12)
            (tmp_path / "out.mp4").write_bytes(client.get(done["urls"]["result"]).content)
            assert len(times(tmp_path / "out.mp4")) == 12
            assert (tmp_path / "files" / "jobs" / done["id"] / "out" / "painted.mp4").is_file()
            assert cv2.imread(str(photo)).shape == (48, 64, 3)
    finally:
        ray.shutdown()
