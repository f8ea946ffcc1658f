"""The service's API: pictures at once, films as jobs, styles, and what it says of itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from media import film, times
from served import Served

from videostyle.plan import RenderPlan
from videostyle.service.schema import CLIENT_SETTINGS, RenderSettings
from videostyle.settings import settings_of
from videostyle.train import learn
from videostyle.train.plan import LearnPlan


def test_a_picture_is_painted_at_once(served: Served, photo: Path) -> None:
    with photo.open("rb") as file:
        answer = served.post("/v1/images", files={"file": ("a.png", file)}, data={"settings": '{"style": "dots"}'})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    assert 'filename="a-dots.png"' in answer.headers["content-disposition"]
    painted = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    assert painted.shape == (48, 64, 3)
    assert not np.array_equal(painted, cv2.imread(str(photo)))
    assert list(served.plan.temporary.iterdir()) == []


def test_a_film_becomes_a_job_with_a_result(served: Served, tmp_path: Path) -> None:
    job = served.submit(film(tmp_path / "in.mp4", 6, tone="aac"), style="dots")
    assert job["status"] == "starting"
    served.work()
    done = served.get(job["urls"]["self"]).json()
    assert (done["status"], done["error"], done["output"]["frames"]) == ("succeeded", None, 6)
    result = served.get(done["urls"]["result"])
    assert 'filename="in-dots.mp4"' in result.headers["content-disposition"]
    (tmp_path / "out.mp4").write_bytes(result.content)
    assert len(times(tmp_path / "out.mp4")) == 6
    assert [one["id"] for one in served.get("/v1/jobs").json()["jobs"]] == [job["id"]]


def test_events_tell_of_progress_until_the_end(served: Served, tmp_path: Path) -> None:
    job = served.submit(film(tmp_path / "in.mp4", 6), style="dots")
    served.work()
    text = served.get(job["urls"]["events"]).text
    kind, data = text.strip().splitlines()
    assert kind == "event: succeeded"
    progress = json.loads(data.removeprefix("data: "))["progress"]
    # A thumbnail is made of a film that takes some seconds.
    assert set(progress) - {"thumbnail"} == {"stage", "share", "done", "total", "unit", "fps", "seconds_left"}


def test_a_repeated_request_is_one_job(served: Served, tmp_path: Path) -> None:
    path = film(tmp_path / "in.mp4", 6)
    first = served.submit(path, {"Idempotency-Key": "k1"}, style="dots")
    again = served.submit(path, {"Idempotency-Key": "k1"}, style="dots")
    assert again["id"] == first["id"]
    assert served.submit(path, {"Idempotency-Key": "k2"}, style="dots")["id"] != first["id"]
    with path.open("rb") as file:
        other = served.post(
            "/v1/jobs",
            files={"file": ("in.mp4", file)},
            data={"settings": '{"style": "lines"}'},
            headers={"Idempotency-Key": "k1"},
        )
    assert other.status_code == 422
    assert other.json()["detail"] == "this Idempotency-Key came with another request before; use a new one"
    assert len(list(served.plan.jobs_folder.iterdir())) == 2


def test_a_waiting_job_is_canceled_at_once(served: Served, tmp_path: Path) -> None:
    job = served.submit(film(tmp_path / "in.mp4", 6), style="dots")
    assert served.delete(job["urls"]["self"]).json()["status"] == "canceled"
    served.work()
    assert served.get(job["urls"]["self"]).json()["status"] == "canceled"
    assert served.get(f"{job['urls']['self']}/result").status_code == 409


def test_a_result_can_be_removed(served: Served, tmp_path: Path) -> None:
    job = served.submit(film(tmp_path / "in.mp4", 6), style="dots")
    served.work()
    assert served.delete(job["urls"]["self"]).status_code == 200
    assert served.get(f"{job['urls']['self']}/result").status_code == 410
    assert served.get(job["urls"]["self"]).json()["status"] == "succeeded"
    assert not list(served.plan.jobs_folder.iterdir())


def test_the_styles_have_thumbnails(served: Served, toy_gallery: Path) -> None:
    found = {one["name"]: one for one in served.get("/v1/styles").json()["styles"]}
    assert {"dots", "lines", "waves", "none"} <= set(found)
    assert found["dots"]["thumbnail"] is None
    picture = toy_gallery / "fast" / "lines.jpg"
    picture.write_bytes(b"a picture")
    try:
        found = {one["name"]: one for one in served.get("/v1/styles").json()["styles"]}
        assert served.get(found["lines"]["thumbnail"]).content == b"a picture"
    finally:
        picture.unlink()
    assert served.get("/v1/styles/fast/dots/thumbnail").status_code == 404


def test_a_mask_and_a_second_style_come_along(served: Served, photo: Path, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    cv2.imwrite(str(mask), np.zeros((48, 64, 3), np.uint8))
    with photo.open("rb") as file, mask.open("rb") as black:
        answer = served.post(
            "/v1/images",
            files={"file": ("a.png", file), "mask": ("m.png", black)},
            data={"settings": '{"style": {"dots": 1, "lines": 2}}'},
        )
    assert answer.status_code == 200, answer.text
    # The mask is black: the picture is there bit for bit.
    painted = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(painted, cv2.imread(str(photo)))


def test_the_schema_is_the_settings_own(served: Served) -> None:
    schema = served.get("/openapi.json").json()
    listed = schema["components"]["schemas"]["RenderSettings"]["properties"]
    assert set(listed) == set(CLIENT_SETTINGS) == set(RenderSettings.model_fields)
    assert listed["strength"]["maximum"] == settings_of(RenderPlan)["strength"].high
    assert listed["stabilize"]["description"] == settings_of(RenderPlan)["stabilize"].help
    refused = set(settings_of(RenderPlan)) - set(CLIENT_SETTINGS)
    assert refused == {
        *("engine", "device", "queue_depth", "overwrite", "download", "flow_size"),
        *("flow_weights", "segmenter_weights"),
    }
    assert set(schema["paths"]) >= {"/v1/images", "/v1/jobs", "/v1/jobs/{id}/events", "/v1/styles", "/v1/uploads"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"strength": 2}, "strength must be between 0 and 1, got 2"),
        ({"strenght": 1}, "strenght"),
        ({"style": "nothing"}, "no style named 'nothing'"),
        ({"style": "/etc/passwd.png"}, "no style named 'passwd.png'"),
        ({"network": "../x"}, "no network named '../x'"),
        ({"mask": "/etc/passwd"}, "mask must be person or background, or the id of an upload"),
        ({"flow_weights": "/x"}, "flow_weights"),
        ({"overwrite": True}, "overwrite"),
        ({"size": "100000x100000"}, "million pixels"),
        ({"codec": "nothing"}, "nothing"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(served: Served, photo: Path, settings: dict[str, object], words: str) -> None:
    with photo.open("rb") as file:
        data = {"settings": json.dumps({"style": "dots", **settings}), "format": "png"}
        path = "/v1/jobs" if "codec" in settings else "/v1/images"
        data |= {"format": "mp4"} if "codec" in settings else {}
        answer = served.post(path, files={"file": ("a.png", file)}, data=data)
    problem = answer.json()
    assert answer.status_code == problem["status"] == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in problem["detail"]
    assert "\n" not in problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert list(served.plan.temporary.iterdir()) == []
    assert list(served.plan.jobs_folder.iterdir()) == []


def test_what_is_no_request_is_told_so(served: Served) -> None:
    assert served.get("/v1/nothing").json()["detail"] == "Not Found"
    assert served.put("/v1/jobs").status_code == 405
    assert "JSON object" in served.post("/v1/jobs", content=b"{").json()["detail"]
    assert "give an input" in served.post("/v1/jobs", json={}).json()["detail"]
    with_text = served.post("/v1/images", files={"file": ("a.png", b"no picture")})
    assert with_text.json()["detail"] == "file.png: is no picture that can be read; save it again as PNG or JPEG"
    film_at_once = served.post("/v1/images", files={"file": ("a.mp4", b"a film")})
    assert film_at_once.json()["detail"] == "this is a film or an animation; paint it with POST /v1/jobs"


def test_it_tells_its_health_and_numbers(served: Served) -> None:
    assert served.get("/healthz").json()["status"] == "ok"
    assert served.get("/readyz").json() == {"status": "ok", "workers": 0}
    text = served.get("/metrics").text
    assert 'videostyle_requests_total{method="GET",route="/readyz",status="200"} 1.0' in text
    assert 'videostyle_jobs{status="starting"} 0.0' in text


def test_a_style_is_predicted_and_named(
    served: Served, toy_gallery: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def predict(plan: LearnPlan) -> None:
        shutil.copy(toy_gallery / "fast" / "dots.safetensors", plan.output)

    monkeypatch.setattr(learn, "learn", predict)
    with photo.open("rb") as file:
        answer = served.post("/v1/styles", files={"file": ("mine.png", file)}, data={"name": "mine"})
    assert answer.status_code == 201, answer.text
    assert {"mine"} <= {one["name"] for one in served.get("/v1/styles").json()["styles"] if one["own"]}
    with photo.open("rb") as file:
        painted = served.post("/v1/images", files={"file": ("a.png", file)}, data={"settings": '{"style": "mine"}'})
    assert painted.status_code == 200, painted.text
    with photo.open("rb") as file:
        again = served.post("/v1/styles", files={"file": ("mine.png", file)}, data={"name": "mine"})
    assert again.json()["detail"] == "there is a style named 'mine' already; choose another name"


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (OSError(28, "No space left on device"), 507, "the service's disk is full"),
        (KeyError("x"), 500, "its log has more"),
    ],
)
def test_what_nobody_expected_is_a_problem_too(
    served: Served, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, words: str
) -> None:
    def fail(client: str) -> None:
        raise error

    monkeypatch.setattr(served.service.styles, "listed", fail)
    answer = served.get("/v1/styles")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert words in answer.json()["detail"]
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
