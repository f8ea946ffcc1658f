"""Stills, a camera's pictures, and all that a page needs to show jobs: thumbnails, sources, one stream of events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from media import film
from served import Served

from videostyle.io import open_source
from videostyle.progress import Progress
from videostyle.service import stills, tasks
from videostyle.service.keys import ANYBODY
from videostyle.service.painters import Painter, Painters, SupersededError
from videostyle.service.routes_jobs import _events
from videostyle.service.routes_stills import Views
from videostyle.service.stills import Still, still
from videostyle.service.tasks import Warm
from videostyle.service.worker import Reporter
from videostyle.timeline import Span
from videostyle.types import Frame


def pixels(jpeg: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB).astype(np.float32)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return film(tmp_path / "clip.mp4", 12, (64, 48))


def test_a_frame_of_an_upload_is_the_film_s_own(served: Served, clip: Path) -> None:
    id = served.upload(clip)
    with open_source(str(clip)) as source:
        frames = [np.float32(one.pixels.permute(1, 2, 0).numpy()) for one in source.frames(Span())]
    for at, number in ((0.0, 0), (6 / 25, 6), (99.0, 11)):
        answer = served.post("/v1/stills", json={"input": id, "at": at})
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["videostyle-size"] == "64x48"
        errors = [float(np.abs(pixels(answer.content) - one).mean()) for one in frames]
        assert errors.index(min(errors)) == number


def test_a_still_is_painted_by_the_settings(served: Served, clip: Path) -> None:
    id = served.upload(clip)
    original = pixels(served.post("/v1/stills", json={"input": id}).content)

    def painted(**settings: object) -> np.ndarray:
        answer = served.post("/v1/stills", json={"input": id, "settings": settings})
        assert answer.status_code == 200, answer.text
        return pixels(answer.content)

    whole = painted(style="dots")
    assert np.abs(whole - original).mean() > 10
    assert np.abs(painted(style="dots", strength=0.0) - original).mean() < 3
    between = painted(style={"dots": 0.5, "lines": 0.5})
    assert np.abs(between - whole).mean() > 1
    small = served.post("/v1/stills", json={"input": id, "lines": 24, "settings": {"style": "dots"}})
    assert small.headers["videostyle-size"] == "32x24"


def test_a_still_shows_the_key_of_its_moment(served: Served, clip: Path) -> None:
    id = served.upload(clip)
    timeline = {
        "style": "dots",
        "strength": {"keys": [{"value": 0.0, "start": 0}, {"value": 0.0, "start": 0.2}, {"value": 1.0, "start": 0.25}]},
    }
    frames = {at: served.post("/v1/stills", json={"input": id, "at": at}).content for at in (0.0, 0.4)}
    stills = {at: served.post("/v1/stills", json={"input": id, "at": at, "settings": timeline}) for at in (0.0, 0.4)}
    changed = {at: np.abs(pixels(stills[at].content) - pixels(frames[at])).mean() for at in stills}
    assert changed[0.0] < 3
    assert changed[0.4] > 10


def test_a_mask_that_was_uploaded_applies(served: Served, clip: Path, tmp_path: Path) -> None:
    half = np.zeros((48, 64), np.uint8)
    half[:, 32:] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), half)
    id, mask = served.upload(clip), served.upload(tmp_path / "mask.png")
    original = pixels(served.post("/v1/stills", json={"input": id}).content)
    settings = {"style": "dots", "mask": mask, "mask_feather": 0.0}
    shown = pixels(served.post("/v1/stills", json={"input": id, "settings": settings}).content)
    changed = np.abs(shown - original).mean(axis=(0, 2))
    assert changed[:24].mean() < 4 < changed[40:].mean()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"input": "upload_none"}, "there is no upload of this id"),
        ({"settings": {"style": "nobody"}}, "nobody"),
        ({"settings": {"mask": "/etc/passwd", "style": "dots"}}, "mask must be"),
        ({"settings": {"style": "../dots"}}, "style"),
        ({"at": -1}, "greater than or equal to 0"),
        ({"lines": 9999}, "less than or equal to 2160"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_a_line(
    served: Served, clip: Path, content: dict[str, object], words: str
) -> None:
    answer = served.post("/v1/stills", json={"input": served.upload(clip), **content})
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_only_the_newest_request_of_a_view_is_wanted() -> None:
    views = Views()
    first, other = views.begin("a", "one"), views.begin("a", "two")
    strangers, nameless = views.begin("b", "one"), views.begin("a", "")
    assert all(map(views.is_wanted, (first, other, strangers, nameless)))
    second = views.begin("a", "one")
    assert not views.is_wanted(first)
    assert all(map(views.is_wanted, (second, other, strangers, nameless)))


async def wait_for_turn(painters: Painters, is_wanted: Callable[[], bool]) -> None:
    await painters.run("a", Warm(None), is_wanted=is_wanted)  # type: ignore[arg-type]


def test_a_task_that_nobody_wants_is_not_carried_out(tmp_path: Path) -> None:
    painters = Painters([Painter((tmp_path,), 60, Warm(None))], 8, 8)  # type: ignore[arg-type]
    try:
        with pytest.raises(SupersededError):
            asyncio.run(wait_for_turn(painters, lambda: False))
        assert painters.waiting == 0
        assert painters._painters[0]._process is None
    finally:
        painters.close()


def test_a_frame_is_decoded_once(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    really = stills.open_source
    monkeypatch.setattr(stills, "open_source", lambda path: opened.append(path) or really(path))
    for _ in range(3):
        still(Still(str(clip), 0.1, 48))
    assert opened == [str(clip)]
    still(Still(str(clip), 0.2, 48))
    assert opened == [str(clip)] * 2


def test_uploads_tell_what_they_are(served: Served, clip: Path, photo: Path) -> None:
    told = served.get(f"/v1/uploads/{served.upload(clip)}").json()
    expected = {"kind": "film", "name": "clip.mp4", "width": 64, "height": 48, "frames": 12, "fps": 25}
    assert {name: told[name] for name in expected} == expected
    part = served.get(told["content"], headers={"Range": "bytes=0-99"})
    assert (part.status_code, part.content) == (206, clip.read_bytes()[:100])
    assert served.get(f"/v1/uploads/{served.upload(photo)}").json()["kind"] == "photo"
    assert served.get("/v1/uploads/upload_none").status_code == 422


def test_a_job_has_all_that_a_list_shows(served: Served, clip: Path) -> None:
    settings = {"style": "dots", "strength": 0.5, "start": "0.1", "end": "0.3"}
    id = served.upload(clip)
    first = served.post("/v1/jobs", json={"input": id, "settings": settings}).json()
    second = served.post("/v1/jobs", json={"input": id, "settings": {"style": "lines"}}).json()
    assert first["settings"] == {"style": "dots", "strength": 0.5, "start": "1/10", "end": "3/10"}
    assert (first["name"], second["name"]) == ("clip-dots.mp4", "clip-lines.mp4")
    assert [one["ahead"] for one in served.get("/v1/jobs").json()["jobs"]] == [1, 0]
    served.work()
    done = served.get(first["urls"]["self"]).json()
    assert done["status"] == "succeeded", done
    assert done["output"]["frames"] == 5
    assert served.get(done["urls"]["source"]).content == clip.read_bytes()
    picture = pixels(served.get(done["urls"]["thumbnail"]).content)
    assert picture.shape == (48, 64, 3)
    inline = served.get(f"{done['urls']['result']}?inline=1")
    assert inline.headers["content-disposition"].startswith("inline")
    assert served.get(done["urls"]["result"]).headers["content-disposition"].startswith("attachment")
    gone = served.delete(done["urls"]["self"]).json()
    assert gone["is_removed"]
    assert "thumbnail" not in gone["urls"] or gone["urls"]["thumbnail"] is None


def test_a_style_may_change_along_a_job_s_film(served: Served, clip: Path) -> None:
    keys = {"keys": [{"value": "dots", "start": 0}, {"value": {"lines": 1.0}, "start": 0.25}]}
    job = served.post("/v1/jobs", json={"input": served.upload(clip), "settings": {"style": keys}}).json()
    assert job["name"] == "clip-timeline.mp4"
    served.work()
    assert served.get(job["urls"]["self"]).json()["status"] == "succeeded"


def test_the_newest_frame_of_a_job_is_kept_while_it_runs(served: Served, clip: Path) -> None:
    job = served.service.queue.get(served.submit(clip, style="dots")["id"])
    assert job is not None
    with served.service.queue.lock_of("w"):
        served.service.queue.claim("w")
        folder = served.service.storage.job_folder(job.id)
        assert served.get(f"/v1/jobs/{job.id}/thumbnail").status_code == 404
        from fractions import Fraction

        import torch

        red = torch.zeros(3, 400, 800, dtype=torch.uint8)
        red[0] = 255
        report = Reporter(served.service.queue, job, folder)
        report(Progress("painting", 3, 12, "frames", latest=Frame(red, 0, Fraction(1, 24))))
        shown = served.get(f"/v1/jobs/{job.id}").json()
        assert shown["progress"]["thumbnail"] == 3
        picture = pixels(served.get(shown["urls"]["thumbnail"]).content)
        assert picture.shape == (180, 360, 3)
        assert picture[..., 0].min() > 240


def test_one_stream_tells_of_each_change(served: Served, clip: Path) -> None:
    streams: dict[str, int] = {}
    looks = iter([("jobs", [1], False), ("jobs", [1], False), ("jobs", [2], False), None])

    async def read() -> list[str]:
        found = _events(served.service, ANYBODY, lambda: next(looks), streams)
        return [text async for text in found]

    assert asyncio.run(read()) == ["event: jobs\ndata: [1]\n\n", "event: jobs\ndata: [2]\n\n"]
    assert streams == {}
    job = served.submit(clip, style="dots")
    served.delete(job["urls"]["self"])
    answer = served.get(job["urls"]["events"])
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.startswith("event: canceled")


def test_own_styles_show_their_picture_and_can_be_removed(
    served: Served, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def learn(plan: object) -> None:
        Path(plan.output).write_bytes((Path(tasks.gallery()[0].file)).read_bytes())  # type: ignore[attr-defined]

    monkeypatch.setattr("videostyle.train.learn.learn", learn)
    made = served.post("/v1/styles", json={"name": "mine", "input": served.upload(photo)})
    assert made.status_code == 201, made.text
    picture = served.get(made.json()["thumbnail"])
    assert pixels(picture.content).shape == (48, 64, 3)
    assert served.delete("/v1/styles/fast/mine").status_code == 204
    assert served.get(made.json()["thumbnail"]).status_code == 404
    assert served.delete("/v1/styles/fast/mine").status_code == 404
    assert served.delete("/v1/styles/fast/dots").status_code == 404
    assert list(served.plan.styles_folder.iterdir()) == []


def test_a_camera_s_pictures_are_painted_one_by_one(served: Served) -> None:
    random = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", random)[1].tobytes()
    headers = {
        "Content-Type": "image/jpeg", "Videostyle-Camera": "one",
        "Videostyle-Settings": json.dumps({"style": "dots", "size": "24"}),
    }  # fmt: skip
    for _ in range(2):
        answer = served.post("/v1/camera", content=jpeg, headers=headers)
        assert answer.status_code == 200, answer.text
        assert pixels(answer.content).shape == (24, 32, 3)
    for change, status in (
        ({"Content-Type": "image/png"}, 415),
        ({"Videostyle-Settings": "{"}, 422),
        ({"Videostyle-Camera": "a b"}, 422),
        ({"Videostyle-Settings": '{"size": "0"}'}, 422),
    ):
        assert served.post("/v1/camera", content=jpeg, headers=headers | change).status_code == status
    assert served.post("/v1/camera", content=b"no picture", headers=headers).status_code == 422
    assert list(served.plan.temporary.iterdir()) == []
