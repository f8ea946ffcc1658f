"""The studio in a real browser, as its users meet it."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import cv2
import media
import numpy as np
import pytest
from studio_pages import PATIENCE, SIZES, Studio, box, jobs, painted, show, until

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("size", SIZES)
def test_the_picture_comes_first_and_is_large(visit: Any, size: str) -> None:
    tab = visit(size)
    width, height = SIZES[size]
    stage = box(tab, "#stage")
    assert box(tab, "#room")["y"] < 120
    assert stage["width"] > (0.55 if size == "desk" else 0.9) * width
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    for selector in ("#paint", "#excerpt", "#at", "#open-label"):
        one = box(tab, selector)
        assert one["x"] >= 0
        assert one["x"] + one["width"] <= width + 1
        assert one["y"] + one["height"] <= height
    if size == "phone":
        for button in tab.locator("#bar button").all():
            one = button.bounding_box()
            assert one["height"] >= 44
            assert one["y"] > 0.85 * height
        for panel in ("adjust", "jobs", "styles"):
            show(tab, panel)
            assert box(tab, f"#panel-{panel}")["height"] > 200
    card = box(tab, ".card")
    assert card["width"] >= 118
    assert box(tab, ".card .pictures")["height"] > 60


def test_the_header_of_a_phone_fits_with_its_words_whole(visit: Any) -> None:
    tab = visit("phone")
    for width in (390, 360, 320):
        tab.set_viewport_size({"width": width, "height": 844})
        tools = tab.evaluate(
            """[...document.querySelectorAll('#top .tools > *')].filter((one) => one.offsetWidth).map((one) => {
                const box = one.getBoundingClientRect(), style = getComputedStyle(one);
                const pen = document.createElement('canvas').getContext('2d');
                pen.font = style.font;
                const words = one.options ? one.selectedOptions[0].text : one.innerText;
                const arrow = one.options ? 16 : 0;
                const room = one.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - arrow;
                return [words, box.left, box.right, room - pen.measureText(words).width];
            })"""
        )
        assert [words for words, *_ in tools] == ["Open…", "Library", "Camera"]
        brand = box(tab, ".brand")
        assert tools[0][1] >= brand["x"] + brand["width"]
        assert tools[-1][2] <= width
        assert all(spare >= -1 for *_, spare in tools), (width, tools)


def test_a_style_is_chosen_by_mouse_and_by_keys(visit: Any) -> None:
    tab = visit()
    count = painted(tab)
    assert tab.locator("#styles input:checked").get_attribute("value") == "dots"
    tab.locator(".card[data-style=lines]").click()
    count = painted(tab, count)
    assert tab.locator("#styles input:checked").get_attribute("value") == "lines"
    tab.keyboard.press("ArrowRight")
    count = painted(tab, count)
    assert tab.locator("#styles input:checked").get_attribute("value") == "waves"
    tab.locator("#set-strength").fill("0.5")
    count = painted(tab, count)
    assert "50 %" in tab.locator("[data-setting=strength]").inner_text()
    tab.locator("#second").select_option("dots")
    count = painted(tab, count)
    assert box(tab, "#mix")["width"] > 60
    tab.reload()
    painted(tab)
    assert tab.locator("#styles input:checked").get_attribute("value") == "waves"
    assert tab.locator("#set-strength").input_value() == "0.5"
    assert tab.locator("#second").input_value() == "dots"


@pytest.mark.parametrize("size", SIZES)
def test_the_border_moves_by_keys_and_by_dragging(visit: Any, size: str) -> None:
    tab = visit(size, has_touch=size == "phone")
    wipe = tab.locator("#wipe")
    wipe.focus()
    assert wipe.get_attribute("aria-valuenow") == "50"
    for key, value in (("ArrowLeft", "48"), ("Home", "0"), ("End", "100"), ("PageDown", "80")):
        tab.keyboard.press(key)
        assert wipe.get_attribute("aria-valuenow") == value
    stage = box(tab, "#stage")
    tab.mouse.move(stage["x"] + 0.8 * stage["width"], stage["y"] + 40)
    tab.mouse.down()
    tab.mouse.move(stage["x"] + 0.25 * stage["width"], stage["y"] + 60, steps=4)
    tab.mouse.up()
    assert abs(int(wipe.get_attribute("aria-valuenow")) - 25) <= 1
    assert abs(box(tab, "#wipe")["x"] - (stage["x"] + 0.25 * stage["width"])) < 4
    if size == "phone":
        tab.touchscreen.tap(stage["x"] + 0.6 * stage["width"], stage["y"] + 50)
        assert abs(int(wipe.get_attribute("aria-valuenow")) - 60) <= 1


def test_a_film_is_painted_seen_from_another_tab_and_played(visit: Any, studio: Studio) -> None:
    tab = visit()
    tab.locator("#set-size").select_option("240")
    tab.locator("#paint").click()
    row = jobs(tab).first
    row.locator("progress").wait_for()
    assert row.locator("progress").bounding_box()["width"] > 100
    until(tab, "/\\d+ of 192 frames/.test(document.querySelector('.job .job-text')?.innerText)")
    other = visit(context=tab.context)
    assert jobs(other).first.get_attribute("data-job") == row.get_attribute("data-job")
    tab.reload()
    assert jobs(tab).first.get_attribute("data-job") == row.get_attribute("data-job")
    tab.wait_for_selector(".job[data-status=succeeded]", timeout=4 * PATIENCE)
    until(tab, "document.querySelector('.job img').naturalWidth > 50")
    row.get_by_role("button", name="Show").click()
    until(tab, "document.querySelector('#after-film').currentTime > 0.2")
    assert box(tab, "#after-film")["width"] > 400
    times = tab.evaluate("['before', 'after'].map((one) => document.querySelector(`#${one}-film`).currentTime)")
    assert abs(times[0] - times[1]) < 0.6
    tab.locator("#play").click()
    assert tab.evaluate("document.querySelector('#after-film').paused")
    with tab.expect_download() as download:
        row.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "harbour-dots.mp4"
    tab.locator("#back").click()
    tab.wait_for_selector("#after-image:visible")
    row.get_by_role("button", name="Save to").click()
    tab.locator(".toast.good", has_text="saved as").wait_for()
    row.get_by_role("button", name="Save to").click()
    tab.locator("#ask").get_by_role("button", name="Leave it").click()
    row.get_by_role("button", name="Save to").click()
    tab.locator("#ask").get_by_role("button", name="Replace it").click()
    tab.locator("#ask").wait_for(state="hidden")
    assert [path.name for path in studio.output.iterdir()] == ["harbour-dots.mp4"]
    row.get_by_role("button", name="Remove").click()
    until(tab, "!document.querySelector('.job[data-status=succeeded]')")


def test_stopping_is_no_error(visit: Any) -> None:
    tab = visit()
    tab.locator("#paint").click()
    row = jobs(tab).first
    other = visit(context=tab.context)
    jobs(other).first.get_by_role("button", name="Stop").click()
    tab.wait_for_selector(".job[data-status=canceled]")
    assert row.locator(".job-text").inner_text() == "Stopped"
    assert tab.locator(".toast.error").count() == 0
    row.get_by_role("button", name="Remove").click()
    row.wait_for(state="detached")


def test_three_seconds_play_as_soon_as_they_are_there(visit: Any) -> None:
    tab = visit()
    tab.locator("#set-size").select_option("240")
    tab.locator("#at").fill("4")
    painted(tab, painted(tab))
    tab.locator("#excerpt").click()
    tab.wait_for_selector(".job[data-status=succeeded]", timeout=2 * PATIENCE)
    until(tab, "document.querySelector('#after-film').currentTime > 0.1")
    lasts, begins = tab.evaluate(
        "[document.querySelector('#after-film').duration, Number(document.querySelector('#at').min)]"
    )
    assert abs(lasts - 3) < 0.2
    assert abs(begins - 4) < 0.1
    tab.locator(".card[data-style=lines]").click()
    tab.wait_for_selector("#after-film", state="hidden")


def test_a_restart_of_the_server_is_told_and_mends_itself(visit: Any, studio: Studio) -> None:
    tab = visit()
    tab.locator("#paint").click()
    until(tab, "/\\d+ of 192 frames/.test(document.querySelector('.job .job-text')?.innerText)")
    job = jobs(tab).first.get_attribute("data-job")
    studio.stop(signal.SIGKILL)
    tab.locator("#gone").wait_for()
    assert box(tab, "#gone")["height"] > 20
    studio.start()
    tab.locator("#gone").wait_for(state="hidden")
    tab.wait_for_selector(f".job[data-job='{job}'][data-status=succeeded]", timeout=5 * PATIENCE)
    count = painted(tab)
    tab.locator(".card[data-style=waves]").click()
    painted(tab, count)


def test_a_painting_becomes_a_style_that_is_chosen(visit: Any, pictures: Path) -> None:
    tab = visit()
    count = painted(tab)
    tab.locator("#painting").set_input_files(str(pictures / "stripes.png"))
    card = tab.locator(".card[data-style=stripes]")
    card.wait_for()
    painted(tab, count)
    assert tab.locator("#styles input:checked").get_attribute("value") == "stripes"
    until(tab, "document.querySelector('.card[data-style=stripes] .original').naturalWidth > 50")
    tab.reload()
    card.wait_for()
    tab.get_by_role("button", name="Remove the style stripes").click()
    card.wait_for(state="detached")


def test_a_painting_is_learned_by_a_job(visit: Any, pictures: Path) -> None:
    tab = visit()
    tab.locator("#painting").set_input_files(str(pictures / "stripes.png"))
    tab.get_by_role("button", name="Learn it better").click()
    row = jobs(tab).filter(has_text="stripes-learned")
    row.wait_for()
    until(tab, "document.querySelector('.job img').naturalWidth > 50")
    row.get_by_role("button", name="Stop").click()
    tab.wait_for_selector(".job[data-status=canceled]")
    tab.get_by_role("button", name="Remove the style stripes").click()


@pytest.mark.parametrize(("name", "size", "words"), [
    ("notes.txt", 10, "no film or picture"), ("large.mp4", 6_000_000, "up to 5 MB"), ("empty.mp4", 0, "is empty"),
])  # fmt: skip
def test_wrong_files_are_refused_before_they_are_sent(
    visit: Any, tmp_path: Path, name: str, size: int, words: str
) -> None:
    tab = visit()
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(f"{request.method} {request.url}"))
    (tmp_path / name).write_bytes(b"x" * size)
    tab.locator("#file").set_input_files(str(tmp_path / name))
    toast = tab.locator(".toast.error")
    toast.wait_for()
    assert words in toast.inner_text()
    assert not [one for one in asked if "/v1/uploads" in one]
    assert tab.locator("#title").inner_text().startswith("harbour.mp4")


def test_a_damaged_file_leaves_what_is_open(visit: Any, tmp_path: Path) -> None:
    tab = visit()
    (tmp_path / "broken.mp4").write_bytes(b"no film at all" * 100)
    tab.locator("#file").set_input_files(str(tmp_path / "broken.mp4"))
    tab.locator(".toast.error").wait_for()
    assert "broken.mp4" not in tab.locator("#title").inner_text()


def test_uploads_of_files_that_were_opened_long_ago_are_removed(visit: Any, tmp_path: Path) -> None:
    tab = visit()
    removed: list[str] = []
    tab.on("request", lambda request: request.method == "DELETE" and removed.append(request.url.rpartition("/")[2]))
    opened = []
    for number in range(10):
        path = tmp_path / f"photo{number}.png"
        cv2.imwrite(str(path), np.full((48, 64, 3), 20 * number, np.uint8))
        tab.locator("#file").set_input_files(str(path))
        until(tab, f"document.getElementById('title').innerText.startsWith('photo{number}.png')")
        opened.append(tab.evaluate("JSON.parse(localStorage['videostyle.studio']).input"))
    assert removed[-2:] == opened[:2]
    assert tab.locator(".toast.error").count() == 0


@pytest.mark.parametrize("size", SIZES)
def test_a_photo_has_its_own_words_and_is_saved(visit: Any, tmp_path: Path, size: str) -> None:
    tab = visit(size)
    count = painted(tab)
    cv2.imwrite(str(tmp_path / "photo.png"), np.random.default_rng(0).integers(0, 255, (120, 90, 3), np.uint8))
    tab.locator("#file").set_input_files(str(tmp_path / "photo.png"))
    until(tab, "document.body.dataset.mode === 'photo'")
    painted(tab, count)
    assert tab.locator("#paint").inner_text() == "Save the painted photo"
    assert not tab.locator("#transport").is_visible()
    assert not tab.locator("#excerpt").is_visible()
    show(tab, "adjust")
    assert tab.get_by_text("Keep the photo's colors").is_visible()
    assert not tab.locator("[data-setting=stabilize]").is_visible()
    stage = box(tab, "#stage")
    assert abs(stage["width"] / stage["height"] - 0.75) < 0.02
    with tab.expect_download() as download:
        tab.locator("#paint").click()
    assert download.value.suggested_filename == "photo-dots.png"
    assert cv2.imread(str(download.value.path())).shape == (120, 90, 3)


def test_the_camera_is_painted_and_a_snapshot_saved(visit: Any) -> None:
    tab = visit()
    tab.locator("#camera-button").click()
    until(tab, "/Live: \\d+×\\d+, [1-9\\d.]+ frames/.test(document.querySelector('#status').innerText)")
    assert box(tab, "#after-camera")["width"] > 300
    assert not tab.locator("#paint").is_visible()
    with tab.expect_download() as download:
        tab.locator("#snapshot").click()
    assert re.fullmatch(r"camera-[\d-]+\.png", download.value.suggested_filename)
    tab.locator("#record").click()
    time.sleep(2)
    with tab.expect_download() as download:
        tab.locator("#record").click()
    assert Path(download.value.path()).stat().st_size > 1000
    count = painted(tab)
    tab.locator("#camera-button").click()
    painted(tab, count)
    assert tab.locator("#paint").is_visible()


def test_keys_of_the_timeline_change_what_is_painted(visit: Any) -> None:
    tab = visit()
    tab.locator("#at").fill("4")
    count = painted(tab, painted(tab))
    tab.locator("#add-key").click()
    count = painted(tab, count)
    assert tab.locator(".key").count() == 2
    tab.locator(".card[data-style=waves]").click()
    count = painted(tab, count)
    asked = tab.evaluate(
        "JSON.parse(decodeURIComponent(location.hash.slice(1))).keys.map((key) => [key.at, key.style])"
    )
    assert [style for _, style in asked] == ["dots", "waves"]
    tab.locator(".key").first.click()
    painted(tab, count)
    assert tab.locator("#styles input:checked").get_attribute("value") == "dots"
    assert tab.locator(".key").first.bounding_box()["width"] >= 24
    tab.locator("#drop-key").click()
    until(tab, "!document.querySelector('.key')")


def test_a_mask_is_drawn_with_the_brush(visit: Any) -> None:
    tab = visit()
    tab.get_by_role("button", name="Draw it").click()
    count = painted(tab)
    stage = box(tab, "#stage")
    with tab.expect_request(
        lambda request: request.url.endswith("/v1/stills") and '"mask":"upload_' in (request.post_data or "")
    ):
        tab.mouse.move(stage["x"] + 0.7 * stage["width"], stage["y"] + 0.3 * stage["height"])
        tab.mouse.down()
        tab.mouse.move(stage["x"] + 0.8 * stage["width"], stage["y"] + 0.6 * stage["height"], steps=5)
        tab.mouse.up()
    painted(tab, count)
    with tab.expect_response(lambda answer: answer.request.method == "DELETE" and "/v1/uploads/" in answer.url) as gone:
        for stroke in range(3):
            sent = tab.evaluate("location.hash")
            tab.mouse.move(stage["x"] + (0.2 + 0.1 * stroke) * stage["width"], stage["y"] + 0.3 * stage["height"])
            tab.mouse.down()
            tab.mouse.move(stage["x"] + (0.2 + 0.1 * stroke) * stage["width"], stage["y"] + 0.5 * stage["height"])
            tab.mouse.up()
            until(tab, f"location.hash !== {sent!r}")
    assert gone.value.status == 204
    assert tab.locator(".toast.error").count() == 0
    tab.reload()
    inside = "(() => { const c = document.getElementById('mask'); const p = c.getContext('2d'); return p.getImageData"
    until(tab, inside + "(0.4 * c.width, 0.4 * c.height, 1, 1).data[3] > 200; })()")
    assert tab.evaluate(inside + "(0.05 * c.width, 0.9 * c.height, 1, 1).data[3]; })()") == 0


def violations(tab: Any) -> list[Any]:
    found = tab.evaluate("axe.run().then((result) => result.violations)")
    return [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_nothing(visit: Any, size: str, scheme: str) -> None:
    script = os.environ.get("VIDEOSTYLE_AXE")
    if not script:
        pytest.skip("name the file axe.min.js of npm's axe-core in VIDEOSTYLE_AXE")
    tab = visit(size, color_scheme=scheme)
    tab.evaluate(Path(script).read_text(encoding="utf-8"))
    for panel in ("styles", "adjust", "jobs"):
        show(tab, panel)
        if panel == "adjust":
            tab.locator("#more").evaluate("(one) => { one.open = true; }")
        assert not violations(tab)
    show(tab, "adjust")
    tab.locator("#show-command").click()
    tab.locator("#command").wait_for()
    assert not violations(tab)
    tab.keyboard.press("Escape")
    tab.locator("#figures").evaluate("(one) => one.showModal()")
    assert not violations(tab)


def test_a_film_of_the_user_s_own_is_opened(visit: Any, tmp_path: Path) -> None:
    tab = visit("phone", reduced_motion="reduce")
    count = painted(tab)
    clip = media.film(tmp_path / "my film.mp4", 12, (64, 48))
    tab.locator("#file").set_input_files(str(clip))
    until(tab, "document.querySelector('#title').textContent.startsWith('my film.mp4')")
    painted(tab, count)
    tab.locator("#paint").click()
    tab.wait_for_selector(".job[data-status=succeeded]")
    assert tab.locator("#panel-jobs").is_visible()
    until(tab, "document.querySelector('.job .job-text').innerText.includes('12 frames')")
