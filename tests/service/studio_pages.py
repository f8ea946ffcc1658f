"""The studio in a real browser: Chromium, driven by Playwright, at the size of a desk and of a phone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from videostyle.hosting.addresses import bind

PATIENCE = 120_000
"""Milliseconds: for a loaded machine."""
SIZES = {"desk": (1360, 1000), "phone": (390, 844)}


class Studio:
    """A studio that a user has started; it can be stopped in any way and started again."""

    def __init__(self, models: Path, folder: Path) -> None:
        listener = bind("127.0.0.1", 0)
        self.port = listener.getsockname()[1]
        listener.close()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.output = folder / "painted"
        self.output.mkdir()
        self._environment = {
            **os.environ,
            "VIDEOSTYLE_MODELS": str(models),
            "VIDEOSTYLE_STYLES": str(folder / "styles"),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "OMP_NUM_THREADS": "1",
        }
        words = ["studio", "--no-browser", "--port", str(self.port), "--data", str(folder / "data")]
        words += ["-o", str(self.output), "--style", "dots", "--engine", "torch", "--max-upload", "5"]
        self._command = [sys.executable, "-m", "videostyle", *words]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, env=self._environment, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith(self.url)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None


def until(tab: Any, expression: str, seconds: float = PATIENCE / 1000) -> None:
    """Wait until an expression is true; Playwright's own way needs `unsafe-eval`, which the page's policy forbids."""
    deadline = time.monotonic() + seconds
    while not tab.evaluate(expression):
        if time.monotonic() > deadline:
            told = " ".join(tab.locator("#status, #toasts").all_inner_texts())
            raise AssertionError(f"in vain: {expression}; the page says: {told}")
        time.sleep(0.1)


def painted(tab: Any, more_than: int = 0) -> int:
    """Wait until more stills have been painted, and return how many."""
    until(tab, f"Number(document.querySelector('#stage').dataset.painted ?? 0) > {more_than}")
    return int(tab.locator("#stage").get_attribute("data-painted"))


def box(tab: Any, selector: str) -> dict[str, float]:
    found: dict[str, float] = tab.locator(selector).first.bounding_box()
    assert found is not None, selector
    return found


def jobs(tab: Any) -> Any:
    return tab.locator("#jobs .job")


def show(tab: Any, panel: str) -> None:
    """Show a panel on a phone; on a desk all are there."""
    button = tab.locator(f"#bar [data-panel={panel}]")
    if button.is_visible():
        button.click()
