"""The studio's own app: its page, its files, its visitors, and results that are saved."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from media import decode, film
from served import Served

from videostyle.errors import UsageError
from videostyle.service.keys import ANYBODY
from videostyle.service.plan import ServicePlan
from videostyle.studio.app import STATIC, application
from videostyle.studio.library import Library

Start = Callable[..., Served]


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    film(folder / "a.mp4", 8, (64, 48))
    (folder / "notes.txt").write_text("no film")
    (folder / ".hidden.mp4").write_bytes(b"")
    return folder


@pytest.fixture
def start(toy_gallery: Path, tmp_path: Path) -> Iterator[Start]:
    """Start a studio in this process."""
    started: list[Served] = []

    def begin(library: Library | None = None, token: str | None = None) -> Served:
        plan = ServicePlan(data=tmp_path / "data", workers=0, engine="torch")
        started.append(Served(plan, app=lambda service: application(service, library or Library(), token)))
        return started[-1]

    yield begin
    for one in started:
        one.close()


def test_the_page_loads_nothing_from_elsewhere(start: Start) -> None:
    studio = start()
    page = studio.get("/")
    assert page.status_code == 200
    assert "text/html" in page.headers["content-type"]
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    named = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    assert {"studio.css", "js/main.js", "icon.svg"} <= set(named)
    for name in named:
        assert studio.get(f"/{name}").status_code == 200
    for path in STATIC.rglob("*"):
        if path.suffix in (".html", ".css", ".js", ".svg"):
            text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert not re.search(r"https?://|//[a-z]+\.[a-z]", text), path.name
            assert studio.get(f"/{path.relative_to(STATIC).as_posix()}").status_code == 200


def test_every_element_that_a_script_names_is_on_the_page() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    made = re.compile(r'\bid: "([\w-]+)"')
    scripts = [path.read_text(encoding="utf-8") for path in (STATIC / "js").glob("*.js")]
    ids = {*re.findall(r'\bid="([\w-]+)"', page), *(id for text in scripts for id in made.findall(text))}
    for text in scripts:
        named = set(re.findall(r'\$\("([\w-]+)"\)', text))
        assert {one for one in named if not one.startswith("set-")} <= ids


def test_modules_import_names_that_are_exported() -> None:
    modules = {path.name: path.read_text(encoding="utf-8") for path in (STATIC / "js").glob("*.js")}
    for name, text in modules.items():
        for names, other in re.findall(r'import \{([^}]+)\} from "\./([\w.]+)"', text):
            for one in (re.escape(word.strip().split(" as ")[0]) for word in names.split(",")):
                exported = rf"export (?:async )?(?:function|const|class|let) {one}(?!\w)"
                assert re.search(exported, modules[other]), (name, one)


def test_files_of_the_list_are_opened_by_key(start: Start, films: Path, tmp_path: Path) -> None:
    first = film(tmp_path / "first.mp4", 4, (64, 48))
    studio = start(Library([films], first))
    about = studio.get("/studio/about").json()
    assert [one["name"] for one in about["files"]] == ["first.mp4", "a.mp4", "harbour.mp4"]
    assert [one["is_first"] for one in about["files"]] == [True, False, False]
    assert about["saves_to"] is None
    assert about["predictors"] == [], "the toy network has none"
    assert str(tmp_path) not in str(about)
    opened = studio.post("/studio/open", json={"key": about["files"][1]["key"]}).json()["id"]
    told = studio.get(f"/v1/uploads/{opened}").json()
    assert (told["name"], told["frames"]) == ("a.mp4", 8)
    job = studio.post("/v1/jobs", json={"input": opened, "settings": {"style": "dots"}}).json()
    studio.work()
    assert studio.get(job["urls"]["self"]).json()["status"] == "succeeded"
    assert studio.delete(f"/v1/uploads/{opened}", headers={"Tus-Resumable": "1.0.0"}).status_code == 204
    assert (films / "a.mp4").is_file()
    assert studio.get(job["urls"]["source"]).content == (films / "a.mp4").read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_listed_file_that_went_meanwhile_is_not_made_again(start: Start, films: Path) -> None:
    studio = start(Library([films]))
    listed = {one["name"]: one["key"] for one in studio.get("/studio/about").json()["files"]}
    opened = studio.post("/studio/open", json={"key": listed["a.mp4"]}).json()["id"]
    (films / "a.mp4").unlink()
    assert studio.delete(f"/v1/uploads/{opened}", headers={"Tus-Resumable": "1.0.0"}).status_code == 204
    assert not (films / "a.mp4").exists()


@pytest.mark.parametrize("key", ["", "a.mp4", "../a.mp4", "/etc/passwd", "0" * 24])
def test_nothing_is_opened_by_its_path(start: Start, films: Path, key: str) -> None:
    studio = start(Library([films]))
    assert studio.post("/studio/open", json={"key": key}).status_code == 422


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_out_of_the_folder_are_not_listed(films: Path, tmp_path: Path) -> None:
    other = film(tmp_path / "other.mp4", 2, (64, 48))
    (films / "link.mp4").symlink_to(other)
    (films / "round.mp4").symlink_to(films / "round.mp4")
    library = Library([films])
    assert [one.path.name for one in library.entries()] == ["a.mp4", "harbour.mp4"]
    with pytest.raises(UsageError, match="not there any more"):
        library.find("link.mp4")


def painted(studio: Served, path: Path) -> dict[str, Any]:
    job = studio.submit(path, style="dots")
    studio.work()
    found: dict[str, Any] = studio.get(job["urls"]["self"]).json()
    assert found["status"] == "succeeded"
    return found


def test_a_result_is_saved_and_nothing_replaced_unasked(start: Start, films: Path, tmp_path: Path) -> None:
    output = tmp_path / "painted"
    output.mkdir()
    studio = start(Library([films], output=output))
    job = painted(studio, films / "a.mp4")
    where = f"/studio/jobs/{job['id']}/save"
    (output / "a-dots.mp4").write_text("somebody's own")
    refused = studio.post(where, json={})
    assert refused.status_code == 409
    assert "a-dots.mp4" in refused.json()["detail"]
    assert (output / "a-dots.mp4").read_text() == "somebody's own"
    assert studio.post(where, json={"overwrite": True}).json() == {"name": "a-dots.mp4"}
    assert (output / "a-dots.mp4").read_bytes() == studio.get(job["urls"]["result"]).content
    assert [path.name for path in output.iterdir()] == ["a-dots.mp4"]
    assert studio.post("/studio/jobs/job_none/save", json={}).status_code == 404


def test_without_a_folder_results_are_downloads_only(start: Start, films: Path) -> None:
    studio = start(Library([films]))
    answer = studio.post(f"/studio/jobs/{painted(studio, films / 'a.mp4')['id']}/save", json={})
    assert answer.status_code == 422
    assert "-o FOLDER" in answer.json()["detail"]


def test_visitors_with_the_token_see_their_own_jobs_only(start: Start, films: Path) -> None:
    studio = start(Library([films]), token="secret")
    assert studio.get("/").status_code == 401
    assert studio.get("/v1/jobs").status_code == 401
    one, other = ({"Cookie": f"videostyle=secret; videostyle_visitor={letter * 32}"} for letter in "ab")
    job = studio.submit(films / "a.mp4", headers=one, style="dots")
    assert len(studio.get("/v1/jobs", headers=one).json()["jobs"]) == 1
    assert studio.get("/v1/jobs", headers=other).json()["jobs"] == []
    assert studio.delete(job["urls"]["self"], headers=other).status_code == 404
    assert studio.get("/metrics", headers=one).status_code in (200, 403)
    assert studio.delete(job["urls"]["self"], headers=one).json()["status"] == "canceled"


def test_a_new_visitor_is_given_a_name(start: Start) -> None:
    studio = start(token="secret")
    named = studio.get("/studio/about", headers={"Cookie": "videostyle=secret"})
    assert re.search(r"videostyle_visitor=\w{32};.*HttpOnly", named.headers["set-cookie"])


def test_other_sites_and_names_are_refused(start: Start) -> None:
    studio = start()
    assert studio.get("/", headers={"Host": "evil.example"}).status_code == 421
    assert studio.get("/v1/jobs", headers={"Origin": "http://evil.example"}).status_code == 403
    assert studio.get("/v1/jobs", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def excerpt(studio: Served, path: Path, **settings: Any) -> str:
    """Paint a part of a film, and return the id of its job."""
    job = studio.submit(path, style="dots", start="0.1", end="0.5", **settings)
    studio.work()
    assert studio.get(job["urls"]["self"]).json()["status"] == "succeeded"
    return str(job["id"])


def test_moments_of_a_film_are_suggested(start: Start, tmp_path: Path) -> None:
    studio = start()
    id = studio.upload(film(tmp_path / "long.mp4", 40, (64, 48)))
    found = studio.get(f"/studio/moments/{id}?seconds=0.5").json()["moments"]
    assert found[0]["reason"] == "the most motion"
    assert all(0 <= one["start"] <= 1.1 and one["seconds"] == 0.5 for one in found)
    assert studio.get("/studio/moments/upload_none").status_code == 422
    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros((48, 64, 3), np.uint8))
    refused = studio.get(f"/studio/moments/{studio.upload(tmp_path / 'photo.png')}")
    assert (refused.status_code, "picture" in refused.json()["detail"]) == (422, True)


def test_an_excerpt_is_compared_with_one_that_is_painted_frame_by_frame(start: Start, tmp_path: Path) -> None:
    studio = start()
    clip = film(tmp_path / "clip.mp4", 20, (96, 64))
    id = excerpt(studio, clip)
    alone = f"/studio/jobs/{id}/frame-by-frame"
    assert studio.get(alone).status_code == 404
    found = studio.post(f"/studio/jobs/{id}/comparison").json()
    assert set(found["errors"]) == set(found["means"]) == {"film", "frame by frame", "stabilized"}
    assert {len(line) for line in found["errors"].values()} == {len(found["times"])} != {0}
    assert 0.1 < found["times"][0] < found["times"][-1] < 0.5
    folder = studio.service.storage.job_folder(id)
    result = next((folder / "out").glob("painted*"))
    film_, painted_ = (decode(path) for path in (folder / "frame-by-frame.mp4", result))
    assert len(film_) == len(painted_)
    assert studio.get(alone).content == (folder / "frame-by-frame.mp4").read_bytes()
    (folder / "frame-by-frame.mp4").unlink()
    assert studio.post(f"/studio/jobs/{id}/comparison").json() == found, "it is measured once"
    studio.delete(f"/v1/jobs/{id}")
    assert studio.post(f"/studio/jobs/{id}/comparison").status_code == 410


def test_only_short_stabilized_excerpts_of_one_s_own_are_compared(start: Start, tmp_path: Path) -> None:
    studio = start(token="secret")
    one, other = ({"Cookie": f"videostyle=secret; videostyle_visitor={letter * 32}"} for letter in "ab")
    clip = film(tmp_path / "clip.mp4", 8, (64, 48))
    jobs = [
        studio.submit(clip, headers=one, style="dots", **more)["id"] for more in ({}, {"end": "0.2", "stabilize": 0})
    ]
    studio.work()
    answers = [studio.post(f"/studio/jobs/{id}/comparison", headers=one) for id in jobs]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert "up to 10 s" in answers[0].json()["detail"]
    assert "frame by frame" in answers[1].json()["detail"]
    assert studio.post(f"/studio/jobs/{jobs[1]}/comparison", headers=other).status_code == 404
    assert studio.get(f"/studio/jobs/{jobs[1]}/frame-by-frame", headers=other).status_code == 404


def test_the_command_paints_the_same(start: Start, tmp_path: Path) -> None:
    studio = start()
    clip = film(tmp_path / "my clip.mp4", 8, (64, 48))
    mask = np.zeros((48, 64), np.uint8)
    mask[:, 20:] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    id, drawn = studio.upload(clip), studio.upload(tmp_path / "mask.png")
    keys = [{"value": "dots", "start": 0}, {"value": {"dots": 0.5, "lines": 0.5}, "start": 0.2}]
    settings = {"style": {"keys": keys}, "mask": drawn, "size": "40", "stabilize": 0.5}
    told = studio.post("/studio/command", json={"input": id, "settings": settings}).json()
    assert told["command"].startswith("videostyle stylize 'my clip.mp4' -o 'my clip-timeline.mp4' --style dots@0")
    assert told["files"] == [{"name": "mask.png", "url": f"/v1/uploads/{drawn}/content"}]
    assert studio.get(told["files"][0]["url"]).content == (tmp_path / "mask.png").read_bytes()
    job = studio.post("/v1/jobs", json={"input": id, "settings": settings}).json()
    studio.work()
    words = shlex.split(told["command"])[1:]
    run = subprocess.run(
        [sys.executable, "-m", "videostyle", *words, "--engine", "torch", "-q"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    (tmp_path / "job.mp4").write_bytes(studio.get(f"/v1/jobs/{job['id']}/result").content)
    ours, theirs = (decode(tmp_path / name) for name in ("job.mp4", "my clip-timeline.mp4"))
    for (_, one), (_, other) in zip(ours, theirs, strict=True):
        assert all(map(np.array_equal, one, other))


def test_a_command_for_a_name_like_an_option_is_no_option(start: Start, tmp_path: Path) -> None:
    studio = start()
    id = studio.upload(film(tmp_path / "-v.mp4", 4, (64, 48)))
    told = studio.post("/studio/command", json={"input": id, "settings": {"style": "dots"}}).json()
    assert told["command"] == "videostyle stylize ./-v.mp4 -o ./-v-dots.mp4 --style dots"


def test_a_command_names_files_that_were_made_here(start: Start, tmp_path: Path) -> None:
    studio = start()
    id = studio.upload(film(tmp_path / "clip.mp4", 4, (64, 48)))
    file = studio.plan.styles_folder / "style_x.safetensors"
    file.write_bytes(b"codes")
    studio.service.styles.add(file.name, ANYBODY.id, "mine", "fast")
    told = studio.post("/studio/command", json={"input": id, "settings": {"style": "mine"}}).json()
    assert told["command"] == "videostyle stylize clip.mp4 -o clip-mine.mp4 --style mine.safetensors"
    (named,) = told["files"]
    assert named["name"] == "mine.safetensors"
    assert studio.get(named["url"]).content == b"codes"
    assert studio.get("/studio/styles/fast/dots").status_code == 404
    assert studio.get("/studio/styles/fast/nosuch").status_code == 422
