"""What front ends read: events as JSON lines, exit statuses, completion."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import media
import pytest
from command import failing

from videostyle import __version__, errors
from videostyle.cli import _LONG, EXIT_STATUS, events, main
from videostyle.progress import Progress

PAGE = (Path(__file__).parent.parent / "docs/guide/pipes.md").read_text(encoding="utf-8")


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return media.film(tmp_path / "film.mp4", 6, (64, 48))


def events_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_line_is_an_event(toy_gallery: Path, film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = str(film.with_suffix(".mkv"))
    argv = ["stylize", str(film), "-o", output, "--style", "none", "--progress", "json", "--flow", "none"]
    assert main([*argv, "--stabilize", "1"]) == 0
    captured = capsys.readouterr()
    told = events_of(captured.err)
    assert captured.out.strip() == output
    assert told[0] == {"event": "start", "schema": 1, "command": "stylize", "version": __version__}
    assert told[-1] == {"event": "end", "status": 0}
    last = [one for one in told if one["event"] == "progress"][-1]
    assert (last["stage"], last["unit"], last["done"], last["total"], last["share"]) == ("painting", "frames", 6, 6, 1)
    result = next(one for one in told if one["event"] == "result")
    assert (result["output"], result["frames"]) == (output, 6)
    assert any("--stabilize 1 has no effect" in one["text"] for one in told if one["event"] == "warning")
    assert any("6 frames" in one["text"] for one in told if one["event"] == "message")
    for one in told:
        assert {*one} <= {"event", *events.FIELDS[one["event"]]} or one["event"] == "result"


def test_errors_are_events(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["stylize", "nothing.mp4", "-o", str(film.with_name("o.mp4")), "--style", "none", "--progress", "json"]
    status, text = failing(capsys, *argv)
    assert status == 1
    assert [one["event"] for one in events_of(text)] == ["start", "error", "end"]
    assert "no such file" in events_of(text)[1]["text"]
    assert events_of(text)[2]["status"] == 1


def test_a_batch_tells_each_film(toy_gallery: Path, film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["batch", str(film), "-o", str(film.with_name("out")), "--style", "none", "--workers", "1", "-q"]
    assert main([*argv, "--progress", "json", "--stabilize", "0"]) == 0
    told = events_of(capsys.readouterr().err)
    assert [one["output"] for one in told if one["event"] == "result"] == [str(film.with_name("out") / "film-none.mp4")]
    assert [one["done"] for one in told if one["event"] == "progress"][-1] == 6


def test_a_stage_always_tells_its_last_update(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(events, "_out", out)
    progress = events.ProgressEvents()
    for done in range(1001):
        progress(Progress("reading", done, 1000, "frames"))
    progress(Progress("writing", 0.5))
    progress.close()
    told = events_of(out.getvalue())
    assert len(told) < 900
    assert [one["done"] for one in told if one["stage"] == "reading"][-1] == 1000
    assert told[-1]["share"] == 0.5
    assert told[-1]["fps"] is None


def test_the_page_shows_every_event_and_field() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([\w.]+)` \| (.+) \|$", PAGE, re.M)
    assert rows == [(event, name, text) for event, fields in events.FIELDS.items() for name, text in fields.items()]


def test_the_page_shows_every_exit_status() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", PAGE, re.M)
    assert [(int(status), text) for status, text in rows] == list(EXIT_STATUS.items())


def test_every_error_has_a_documented_status() -> None:
    def kinds(of: type[errors.VideostyleError]) -> list[type[errors.VideostyleError]]:
        return [of, *(kind for each in of.__subclasses__() for kind in kinds(each))]

    assert {kind.status for kind in kinds(errors.VideostyleError)} == {1, 2}


@pytest.mark.parametrize("command", _LONG)
def test_long_commands_take_the_option(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--progress", "xml"])
    assert stop.value.code == 2
    assert "json" in capsys.readouterr().err


def completed(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    pytest.importorskip("shtab")
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["videostyle", "styl"], {"stylize", "styles"}),
        (["videostyle", "stylize", "--form"], {"--format"}),
        (["videostyle", "stylize", "--format", "n"], {"nut"}),
    ],
)
def test_bash_completes(words: list[str], expected: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    script = completed("bash", capsys) + (
        f"\nCOMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}\n"
        '$(complete -p videostyle | sed "s/.*-F \\([^ ]*\\).*/\\1/"); printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    script = script.replace("$(complete -p", "eval $(complete -p")
    done = subprocess.run(["bash", "--norc"], input=script, capture_output=True, text=True, timeout=60)
    assert {word.strip() for word in done.stdout.splitlines()} == expected, done.stderr


def test_zsh_takes_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    script = completed("zsh", capsys)
    assert script.startswith("#compdef videostyle")
    if zsh := shutil.which("zsh"):
        done = subprocess.run([zsh, "-n"], input=script, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
