"""The pages in a real browser: Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from media import decode, film

pytest.importorskip("gradio")
pytestmark = pytest.mark.slow

PATIENCE = 60_000
"""Milliseconds: for a loaded machine."""
PLAYING = """() => {
  const films = [...document.querySelectorAll("#wipe video")];
  return films.length === 3 && films.every((film) => film.readyState >= 2 && !film.paused && film.currentTime > 0.1);
}"""
OTHER = """(first) => [...document.querySelectorAll("#wipe video")].length === 3
  && ![...document.querySelectorAll("#wipe video")].some((film) => film.getAttribute("src") === first)"""
STILL = """() => {
  const pictures = [...document.querySelectorAll("#wipe img")];
  return pictures.length === 2 && pictures.every((one) => one.complete && one.naturalWidth);
}"""
FRAMES_DONE = """() => {
  const found = document.querySelector("#done").innerText.match(/(\\d+)\\/\\d+ frames/);
  return found && Number(found[1]) > 20;
}"""
APART = """() => {
  const times = [...document.querySelectorAll("#wipe video")].map((film) => film.currentTime);
  return Math.max(...times) - Math.min(...times);
}"""


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """A fresh tab; nothing that it asks for may be on another machine, and no script may fail."""
    context = browser.new_context(viewport={"width": 1360, "height": 1000}, permissions=["camera"])
    context.set_default_timeout(PATIENCE)
    tab = context.new_page()
    asked: list[str] = []
    failed: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("pageerror", lambda error: failed.append(str(error)))
    yield tab
    context.close()
    hosts = {urlsplit(url).hostname for url in asked if url.startswith(("http", "ws"))}
    assert hosts <= {"127.0.0.1"}
    assert not failed


@contextmanager
def serving(models: Path, folder: Path, *words: str) -> Iterator[str]:
    """The address of a page served by the program as a user runs it; Ctrl-C must end it, and leave nothing."""
    temporary = folder / "tmp"
    temporary.mkdir()
    environment = {
        **os.environ,
        "VIDEOSTYLE_MODELS": str(models),
        "VIDEOSTYLE_STYLES": str(folder / "own"),
        "TMPDIR": str(temporary),
    }
    argv = [sys.executable, "-m", "videostyle", *words, "--engine", "torch", "--port", "0", "--no-browser"]
    program = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=folder
    )
    try:
        assert program.stdout is not None
        address = program.stdout.readline().strip()
        assert address, program.stderr and program.stderr.read()
        yield address
        program.send_signal(signal.SIGINT)
        _, said = program.communicate(timeout=60)
        assert program.returncode == 0, said
        assert said == "videostyle: Ctrl-C ends it\n"
        assert not list(temporary.glob("videostyle-*"))
    finally:
        program.kill()
        program.wait()


WORKING = """([where, text]) => {
  const box = document.querySelector(where);
  if (!box) return false;
  const around = box.getBoundingClientRect();
  return [...box.querySelectorAll("*")].some((element) => {
    const place = element.getBoundingClientRect();
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.includes(text));
    return own && place.height > 5 && around.height >= 60
      && around.top <= place.top && place.bottom <= around.bottom + 1;
  });
}"""


def seen_working(tab: Any, box: str, text: str) -> None:
    """Wait until progress with this text is seen: in view, in a box that is high enough for it.

    In one call, because progress may go at any moment.
    """
    tab.wait_for_function(WORKING, arg=[box, text], polling=20)


def slide(tab: Any, where: str, value: float) -> None:
    tab.evaluate(
        """([where, value]) => {
          const slider = document.querySelector(where);
          slider.value = value;
          slider.dispatchEvent(new Event("input", { bubbles: true }));
        }""",
        [where, value],
    )


def clips(tab: Any) -> list[str]:
    return list(tab.evaluate("() => [...document.querySelectorAll('#wipe video')].map((film) => film.style.clipPath)"))


def test_a_film_is_previewed(tab: Any, toy_models: Path, tmp_path: Path) -> None:
    source = film(tmp_path / "a film.mp4", 60, (128, 96), tone="aac")
    with serving(
        toy_models, tmp_path, "preview", str(source), "--style", "dots", "--seconds", "1.5", "--size", "90"
    ) as address:
        tab.goto(address)
        seen_working(tab, "#about", "looking for telling moments")
        tab.wait_for_function(PLAYING)
        before = tab.evaluate("() => document.querySelector('#wipe video').currentTime")
        tab.wait_for_function(f"() => document.querySelector('#wipe video').currentTime !== {before}")
        tab.wait_for_function(f"() => ({APART})() < 0.1")

        # The border follows the mouse: a click at a quarter of the width.
        halves = clips(tab)
        tab.wait_for_selector("#wipe .at")
        box = tab.locator("#wipe .at").bounding_box()
        tab.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
        tab.wait_for_function(f"() => document.querySelector('#wipe video').style.clipPath !== '{halves[0]}'")
        assert clips(tab) != halves
        tab.click("#wipe button.all")
        tab.wait_for_function("() => document.querySelector('#wipe video').style.clipPath === 'none'")
        tab.click("#wipe button.play")
        tab.wait_for_function("() => [...document.querySelectorAll('#wipe video')].every((film) => film.paused)")

        # Another style is painted at once, and keeps what was chosen before.
        first = tab.get_attribute("#wipe [data-version=stabilised]", "src")
        tab.click("#style input")
        tab.get_by_role("option", name="Waves").click()
        tab.wait_for_function(STILL)
        tab.wait_for_function(OTHER, arg=first)
        tab.get_by_text("Cost, and flicker").click()
        tab.wait_for_selector("#figures .slices img")
        assert tab.locator("#figures svg path").count() == 3
        assert tab.locator("#figures .slices img").count() == 3

        tab.click("#show")
        line = tab.locator("#command textarea, #command input")
        line.wait_for()
        words = shlex.split(line.input_value())
        assert words[:3] == ["videostyle", "stylize", str(source)]
        assert words[words.index("--style") + 1] == "waves"
        painted = Path(words[words.index("-o") + 1])
        tab.click("#start")
        seen_working(tab, "#done", "painting the whole film")
        tab.get_by_text("Done:").wait_for()
        assert len(decode(painted)) == 60
        tab.click("#start")
        tab.get_by_text("exists already").first.wait_for()


def test_on_the_network_the_token_is_asked_for(tab: Any, toy_models: Path, tmp_path: Path) -> None:
    clip = film(tmp_path / "a.mp4", 12)
    with serving(toy_models, tmp_path, "preview", str(clip), "--style", "dots", "--host", "0.0.0.0") as address:
        parts = urlsplit(address)
        here = f"http://127.0.0.1:{parts.port}"
        answer = tab.goto(f"{here}/")
        assert answer.status == 401
        tab.goto(f"{here}/?{parts.query}")
        tab.wait_for_selector("#paint")
        assert tab.url == f"{here}/"
        tab.goto(f"{here}/")
        tab.wait_for_selector("#paint")
