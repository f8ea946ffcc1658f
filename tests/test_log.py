"""The log: quiet in Python unless asked for, lines on standard error on the command line."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from videostyle.cli.terminal import shown_log

log = logging.getLogger("videostyle.some.module")


def test_the_command_line_shows_it_in_cleaned_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_log("videostyle: "):
        log.info("recorded %s", "a\x1b[2J\nb.mp4")
        log.debug("nobody needs this")
    assert capsys.readouterr().err == "videostyle: recorded a\ufffd[2J b.mp4\n"
    log.warning("afterwards")
    assert capsys.readouterr().err == ""


def test_warnings_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_log(level=logging.WARNING):
        log.info("step 20")
        log.warning("the stream ended")
    assert capsys.readouterr().err == "the stream ended\n"


def test_python_users_see_nothing_until_they_set_logging_up() -> None:
    code = "import logging, videostyle; {}logging.getLogger('videostyle.batch').warning('the disk is nearly full')"
    said = [
        subprocess.run([sys.executable, "-c", code.format(setup)], capture_output=True, text=True, check=True).stderr
        for setup in ("", "logging.basicConfig(); ")
    ]
    assert said[0] == ""
    assert "the disk is nearly full" in said[1]
