"""Make docs/images/studio*.jpg: the studio in Chromium, with the sample film, as its users see it.

    pip install playwright && apt-get install chromium
    python scripts/make_studio_pictures.py [--png FOLDER] [--painting FILE]

`--png` keeps the screenshots as they were taken. `--painting` is a picture whose style is predicted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import cv2

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
SIZES = {"desk": (1360, 1000), "phone": (390, 844)}
MOST_BYTES = 150_000
PATIENCE = 240.0  # seconds


@contextmanager
def served(data: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "videostyle", "studio", "--no-browser", "--port", "0", "--data", str(data)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "2"})
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def until(tab: Any, expression: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not tab.evaluate(expression):
        if time.monotonic() > deadline:
            raise SystemExit(f"in vain: {expression}")
        time.sleep(0.2)


def cards(tab: Any) -> None:
    """Wait until every style has painted the frame."""
    until(tab, "[...document.querySelectorAll('#styles [data-effect]')].every((one) => one.src.startsWith('blob:'))")


def painted(tab: Any) -> int:
    until(tab, "document.querySelector('#stage').dataset.painted")
    return int(tab.locator("#stage").get_attribute("data-painted"))


def change(tab: Any, act: Any) -> None:
    before = painted(tab)
    act()
    until(tab, f"document.querySelector('#stage').dataset.painted > {before}")


class Pictures:
    """Takes screenshots, and writes them as small JPEGs."""

    def __init__(self, png: Path | None, folder: Path) -> None:
        self.png = png or folder

    def take(self, tab: Any, name: str) -> None:
        tab.mouse.move(5, 5)
        path = self.png / f"{name}.png"
        tab.screenshot(path=str(path))
        picture = cv2.imread(str(path))
        assert picture is not None
        if picture.shape[1] > 1100:
            picture = cv2.resize(picture, (1088, 800), interpolation=cv2.INTER_AREA)
        for quality in range(88, 40, -4):
            jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
            if len(jpeg) < MOST_BYTES:
                break
        (IMAGES / f"{name}.jpg").write_bytes(jpeg)
        print(f"{name}.jpg: {len(jpeg) // 1000} kB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--png", type=Path)
    parser.add_argument("--painting", type=Path)
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    if args.png:
        args.png.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder) / "data") as url,
        sync_playwright() as driver,
    ):
        pictures = Pictures(args.png, Path(folder))
        camera = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=camera)

        def visit(size: str, scheme: Literal["light", "dark"]) -> Any:
            width, height = SIZES[size]
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, permissions=["camera"]
            )
            context.set_default_timeout(PATIENCE * 1000)
            tab = context.new_page()
            tab.goto(url)
            painted(tab)
            return tab

        tab = visit("desk", "light")
        cards(tab)
        pictures.take(tab, "studio")

        tab.locator("#set-size").select_option("240")
        tab.locator("#paint").click()
        until(tab, "/\\d\\d of 192 frames.*left/.test(document.querySelector('.job .job-text')?.innerText)")
        change(tab, lambda: tab.locator(".card[data-style=starry-night]").click())
        for toast in tab.locator(".toast button").all():
            toast.click()
        pictures.take(tab, "studio_job")
        tab.wait_for_selector(".job[data-status=succeeded]")
        tab.context.close()

        tab = visit("desk", "light")
        tab.locator("#set-size").select_option("360")
        until(tab, "document.querySelectorAll('#moments button').length")
        tab.locator("#excerpt").click()
        until(tab, "!document.querySelector('#steady').hidden")
        tab.locator("#steady").click()
        until(tab, "document.querySelector('#figures').open")
        for toast in tab.locator(".toast button").all():
            toast.evaluate("(one) => one.click()")
        pictures.take(tab, "studio_steady")
        tab.context.close()

        tab = visit("desk", "dark")
        if args.painting:
            change(tab, lambda: tab.locator("#painting").set_input_files(str(args.painting)))
        change(tab, lambda: tab.locator("#at").fill("2"))
        change(tab, lambda: tab.locator("#add-key").click())
        change(tab, lambda: tab.locator(".card[data-style=scream]").click())
        change(tab, lambda: tab.locator("#at").fill("5"))
        change(tab, lambda: tab.locator("#add-key").click())
        change(tab, lambda: tab.locator(".card[data-style=sunrise]").click())
        cards(tab)
        pictures.take(tab, "studio_timeline")
        tab.context.close()

        tab = visit("phone", "light")
        cards(tab)
        pictures.take(tab, "studio_phone")
        tab.locator("#bar [data-panel=adjust]").click()
        pictures.take(tab, "studio_phone_adjust")
        browser.close()


if __name__ == "__main__":
    main()
