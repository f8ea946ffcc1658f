"""The command as a user runs it, where something goes wrong."""

from __future__ import annotations

import pytest

from videostyle.cli import main


def failing(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    """The exit status, and all that is said on stderr, which is never a traceback."""
    try:
        status = main(argv)
    except SystemExit as stop:
        status = int(stop.code or 0)
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return status, text.strip()


def told(text: str) -> str:
    """Of what is said, the program's own lines: no progress, nothing of libraries."""
    return "\n".join(line for line in text.replace("\r", "\n").splitlines() if line.startswith("videostyle"))
