"""What the studio tells beside the picture, in a real browser: moments to try, steadiness, the command, lost masks."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from studio_pages import PATIENCE, SIZES, Studio, box, painted, show, until

from videostyle.cli import _parser
from videostyle.cli.options import given_settings, setting_names
from videostyle.plan import RenderPlan
from videostyle.style import Style

pytestmark = pytest.mark.slow


KEPT = "JSON.parse(localStorage['videostyle.studio'])"
"""What the page has kept in the browser."""


def draw_mask(tab: Any) -> str:
    """Draw a stroke, and return the upload of the mask."""
    tab.get_by_role("button", name="Draw it").click()
    stage = box(tab, "#stage")
    tab.mouse.move(stage["x"] + 0.3 * stage["width"], stage["y"] + 0.3 * stage["height"])
    tab.mouse.down()
    tab.mouse.move(stage["x"] + 0.5 * stage["width"], stage["y"] + 0.5 * stage["height"])
    tab.mouse.up()
    until(tab, f"{KEPT}.maskUpload !== ''")
    return str(tab.evaluate(f"{KEPT}.maskUpload"))


@pytest.mark.parametrize("size", SIZES)
def test_a_moment_worth_a_try_is_gone_to(visit: Any, size: str) -> None:
    tab = visit(size)
    until(tab, "document.querySelectorAll('#moments button').length > 0")
    count = painted(tab)
    last = tab.locator("#moments button").last
    last.scroll_into_view_if_needed()
    last.click()
    painted(tab, count)
    minutes, seconds = last.inner_text().split(" ")[0].split(":")
    at = tab.evaluate("JSON.parse(decodeURIComponent(location.hash.slice(1))).at")
    assert abs(60 * int(minutes) + int(seconds) - at) <= 1
    assert box(tab, "#moments")["height"] < 50
    assert tab.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]


@pytest.mark.parametrize("size", SIZES)
def test_how_steady_an_excerpt_is(visit: Any, size: str) -> None:
    tab = visit(size)
    show(tab, "adjust")
    tab.locator("#set-size").select_option("240")
    assert not tab.locator("#steady").is_visible()
    tab.locator("#excerpt").click()
    until(tab, "!document.querySelector('#steady').hidden", 2 * PATIENCE / 1000)
    tab.locator("#steady").click()
    tab.locator("#figures").wait_for(state="visible", timeout=2 * PATIENCE)
    rows = tab.locator("#figures tr")
    assert [row.split("\t")[0].strip() for row in rows.all_inner_texts()] == ["film", "frame by frame", "stabilized"]
    assert all(float(text) > 0 for text in tab.locator("#figures td").all_inner_texts())
    assert box(tab, "#figures")["width"] <= SIZES[size][0]
    assert box(tab, "#figures polyline[data-version=film]")["width"] > 200
    tab.get_by_role("button", name="Play beside frame by frame").click()
    until(tab, "document.querySelector('#before-film').src.endsWith('/frame-by-frame')")
    until(tab, "document.querySelector('#before-film').currentTime > 0.1")
    assert tab.locator(".tag").all_inner_texts() == ["frame by frame", "stabilized"]
    times = tab.evaluate("['before', 'after'].map((one) => document.querySelector(`#${one}-film`).currentTime)")
    assert abs(times[0] - times[1]) < 0.6
    tab.locator("#back").click()
    assert tab.locator(".tag").all_inner_texts() == ["original", "painted"]
    assert not tab.locator("#steady").is_visible()


@pytest.mark.parametrize("size", SIZES)
def test_the_command_is_shown_and_copied(visit: Any, size: str) -> None:
    tab = visit(size)
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    show(tab, "adjust")
    tab.locator("#set-strength").fill("0.5")
    tab.locator("#second").select_option("lines")
    painted(tab, painted(tab))
    tab.locator("#show-command").click()
    tab.locator("#command").wait_for()
    text = tab.locator("#command-text").inner_text()
    assert box(tab, "#command")["width"] <= SIZES[size][0]
    assert not tab.locator("#command-beside").is_visible()
    tab.locator("#copy-command").click()
    tab.locator(".toast.good", has_text="copied").wait_for()
    until(tab, f"navigator.clipboard.readText().then((text) => text === {text!r})", 10)
    given = given_settings(_parser().parse_args(shlex.split(text)[1:]), setting_names())
    plan = RenderPlan.of("harbour.mp4", "painted.mp4", **given)
    assert plan.style == Style((("dots", 0.5), ("lines", 0.5)), strength=0.5)


def test_a_mask_that_has_expired_is_told(visit: Any) -> None:
    tab = visit()
    drawn = draw_mask(tab)
    tab.evaluate(f"fetch('/v1/uploads/{drawn}', {{method: 'DELETE', headers: {{'Tus-Resumable': '1.0.0'}}}})")
    tab.reload()
    tab.locator(".toast.error", has_text="expired").wait_for()
    until(tab, f"{KEPT}.maskUpload === ''")
    painted(tab)


def test_a_timeline_is_there_after_a_reload(visit: Any) -> None:
    tab = visit()
    tab.locator("#add-key").click()
    tab.locator("#at").fill("4")
    count = painted(tab, painted(tab))
    tab.locator("#add-key").click()
    tab.locator(".card[data-style=waves]").click()
    painted(tab, count)
    tab.locator(".key").first.click()
    until(tab, "Number(document.querySelector('#at').value) === 0")
    tab.reload()
    painted(tab)
    assert tab.locator(".key").count() == 2
    assert tab.locator("#styles input:checked").get_attribute("value") == "dots"
    tab.locator(".key").last.click()
    until(tab, "document.querySelector('#styles input:checked').value === 'waves'")


def test_the_upload_of_a_damaged_file_is_removed(visit: Any, studio: Studio, tmp_path: Path) -> None:
    tab = visit()
    (tmp_path / "broken.png").write_bytes(b"no picture" * 100)
    with tab.expect_response(lambda answer: answer.request.method == "DELETE" and "/v1/uploads/" in answer.url) as gone:
        tab.locator("#file").set_input_files(str(tmp_path / "broken.png"))
    assert gone.value.status == 204
    tab.locator(".toast.error").wait_for()


def test_settings_of_a_job_bring_its_mask_back(visit: Any) -> None:
    tab = visit()
    drawn = draw_mask(tab)
    tab.locator("#set-size").select_option("240")
    tab.locator("#excerpt").click()
    tab.wait_for_selector(".job[data-status=succeeded]", timeout=2 * PATIENCE)
    tab.locator("#back").click()
    tab.get_by_role("button", name="Everywhere").click()
    tab.locator(".job").first.get_by_role("button", name="Use its settings").click()
    until(tab, f"{KEPT}.mask === 'drawn'")
    assert tab.evaluate(f"{KEPT}.maskUpload") == drawn
    assert tab.locator("[data-mask=drawn]").get_attribute("aria-pressed") == "true"


def test_a_still_is_asked_for_again_when_its_requests_came_in_the_wrong_order(visit: Any) -> None:
    tab = visit()
    count = painted(tab)
    asked: list[bool] = []

    def answer(route: Any) -> None:
        asked.append(True)
        if len(asked) == 1:
            route.fulfill(status=409, json={"detail": "a newer request has come meanwhile"})
        else:
            route.continue_()

    tab.route("**/v1/stills", answer)
    tab.locator(".card[data-style=lines]").click()
    painted(tab, count)
    assert len(asked) > 1
    assert tab.locator(".toast.error").count() == 0
