"""What people type from habit works, or is answered with what to write."""

from __future__ import annotations

import io
import re
from fractions import Fraction
from pathlib import Path

import pytest
from media import film

import videostyle
from videostyle import cli
from videostyle.cli import main, suggestions
from videostyle.errors import UsageError
from videostyle.timeline import read_seconds, read_timecode

STYLIZE = ["stylize", "film.mp4", "--style", "none"]


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    """Exit status of a command that fails, and what it said."""
    try:
        status = main(list(argv))
    except SystemExit as stop:
        status = int(stop.code or 0)
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return status, text


@pytest.mark.parametrize(
    ("argv", "suggestion"),
    [
        ([*STYLIZE, "-ss", "5"], "there is no option -ss; write --start"),
        ([*STYLIZE, "-c:v", "libx265"], "there is no option -c:v; write --codec"),
        ([*STYLIZE, "--vcodec=h265"], "there is no option --vcodec; write --codec"),
        ([*STYLIZE, "--format", "mkv"], "write an --output that ends in .mkv"),
        ([*STYLIZE, "--simulate"], "write --dry-run"),
        ([*STYLIZE, "-q:v", "3"], "there is no option -q:v; write --crf"),
        ([*STYLIZE, "--fps", "12"], "leave it out: the output has the film's own times"),
        ([*STYLIZE, "--keep-color"], ""),
        ([*STYLIZE, "--stabilization", "1"], "did you mean --stabilize?"),
        ([*STYLIZE, "--xyzzy"], "videostyle stylize: there is no option --xyzzy (try videostyle stylize --help)"),
        ([*STYLIZE, "--workers", "2"], "there is no option --workers here; batch, serve have it"),
        ([*STYLIZE, "-threads", "2"], "there is no option -threads; write --queue-depth"),
        (["learn", "a.jpg", "-crf", "20"], "there is no option -crf (try videostyle learn --help)"),
        (["probe", "film.mp4", "-q"], "there is no option -q here; stylize, batch, live, evaluate, learn, "),
        (["batch", "films", "-o", "out", "--paint-engine", "torch"], "write --engine"),
        (["stylzie", "film.mp4"], "no command named 'stylzie'; did you mean stylize?"),
        (["--debug", *STYLIZE], "--debug is an option of the commands; write it after the command: videostyle stylize"),
        (["--style", "none", "stylize", "film.mp4"], "write it after the command: videostyle stylize --style"),
        (["--size=360"], "write it after the command: videostyle COMMAND --size"),
        (["--xyzzy", *STYLIZE], "there is no option --xyzzy"),
        (["-ss", "5", *STYLIZE], "there is no option -ss; write --start"),
        (["film.mp4"], "to paint it write: videostyle stylize film.mp4 --style great-wave"),
    ],
)
def test_a_slip_is_answered_with_what_to_write(
    argv: list[str], suggestion: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = said(capsys, *argv)
    assert suggestion in text
    assert status == (2 if suggestion else 1)  # an option cut short is understood, and there is no such film


def test_options_of_other_commands_are_answered_with_these_commands() -> None:
    """Never with the word that was typed, nor with an option that the command has not."""
    parser = cli._parser()
    commands = {name: set(command.options) for name, command in parser.commands.items()}
    assert len(commands) > 10
    for name, options in commands.items():
        for option in {*set.union(*commands.values()), *suggestions._OTHER_OPTIONS} - options:
            said = suggestions.unknown_option(f"{option}=1", options, commands)
            having = [other for other, theirs in commands.items() if option in theirs]
            _, _, answer = said.partition("; ")
            assert option not in re.findall(r"[\w-]+", answer), (name, said)
            if having and option not in suggestions._OTHER_OPTIONS:
                assert re.fullmatch(f"{', '.join(having)} ha(s|ve) it", answer), (name, said)
            assert not (suggested := re.findall(r"(?<![\w-])--?\w[\w-]*", answer)) or options & set(suggested), (
                name,
                said,
            )


def test_without_a_command_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 0
    assert "to paint:" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--keep-colours"], ["--stabilise", "0.5"], ["--stabilise-mode=causal"], ["-y"]])
def test_both_spellings_are_understood(words: list[str], tmp_path: Path) -> None:
    source = str(film(tmp_path / "film.mp4", 3))
    assert main(["stylise", source, "--style", "none", "-o", str(tmp_path / "o.mp4"), "-q", *words]) == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("80", 80),
        ("1:20", 80),
        ("1m20s", 80),
        ("80s", 80),
        ("2h", 7200),
        ("1h0m1.5s", Fraction(7203, 2)),
        ("0:01,5", Fraction(3, 2)),
        (" 1/24 ", Fraction(1, 24)),
    ],
)
def test_times_as_people_write_them(text: str, seconds: Fraction) -> None:
    assert read_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "noon", "1m20", "m", "1:2:3:4", "-1", "s"])
def test_other_text_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        read_seconds(text)


NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("text", "rate", "frame"),
    [
        ("00:00:01:12", Fraction(24), 36),
        ("01:00:00:00", Fraction(25), 90000),
        ("00:01:00:00", NTSC, 1800),
        # SMPTE drop frame: after 00:00:59;29 comes 00:01:00;02, and ten minutes have 17982 frames.
        ("00:00:59;29", NTSC, 1799),
        ("00:01:00;02", NTSC, 1800),
        ("00:10:00;00", NTSC, 17982),
        ("00:01:00;04", Fraction(60000, 1001), 3600),
    ],
)
def test_timecodes_count_frames(text: str, rate: Fraction, frame: int) -> None:
    assert read_timecode(text, rate) == frame / rate


def test_a_timecode_is_read_at_the_films_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(film(tmp_path / "film.mp4", 30))
    words = ["stylize", source, "--style", "none", "--start", "00:00:01:02", "-q"]
    assert main([*words, "-o", str(tmp_path / "o.mp4")]) == 0
    rate = videostyle.probe(source).average_rate or 0
    assert videostyle.probe(str(tmp_path / "o.mp4")).frame_count == 30 - round(rate) - 2
    capsys.readouterr()
    assert said(capsys, *words[:-2], "00:00:01:99")[0] == 2


def test_a_folder_is_an_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(film(tmp_path / "film.mp4", 3))
    folder = tmp_path / "new" / "folder"
    assert main(["stylize", source, "--style", "none", "-o", f"{folder}/", "-q"]) == 0
    assert [path.name for path in folder.iterdir()] == ["film-none.mp4"]
    assert capsys.readouterr().out == f"{folder}/film-none.mp4\n"


def test_a_dry_run_says_what_it_would_write_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(film(tmp_path / "film.mp4", 6))
    before = sorted(tmp_path.iterdir())
    words = ["stylize", source, "--style", "none", "--size", "24", "--device", "cpu", "--dry-run"]
    assert main([*words, "-o", f"{tmp_path}/new/"]) == 0
    told = capsys.readouterr().out
    assert f"{tmp_path}/new/film-none.mp4, 32x24, about 6 frames" in told
    assert "--stabilize-mode lookahead" in told, told
    assert sorted(tmp_path.iterdir()) == before
    assert said(capsys, *words, "-o", source)[0] == 2


def test_a_part_behind_the_end_is_told_with_the_length(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(film(tmp_path / "film.mp4", 6))
    status, text = said(capsys, "stylize", source, "--style", "none", "--start", "20", "-o", f"{tmp_path}/o.mp4", "-q")
    assert status == 1
    assert "so nothing is left from 20 s on" in text


@pytest.mark.parametrize(
    ("source", "remedy"),
    [("https://example.org/film.mp4", "download it first"), ("-", "see what the program before the pipe says")],
)
def test_what_is_no_file_is_answered_with_what_to_do(
    source: str,
    remedy: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    status, text = said(capsys, "stylize", source, "--style", "none", "-o", f"{tmp_path}/o.mp4", "-q")
    assert status == 1
    assert remedy in text


def test_help_groups_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    assert told.index("to paint:") < told.index("stylize") < told.index("to look:") < told.index("preview")
    with pytest.raises(SystemExit):
        main(["help", "stylize"])
    assert "videostyle stylize film.mp4 --style great-wave" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_a_shell_completes_commands_and_options(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    told = capsys.readouterr().out
    assert "keyframes" in told
    assert "stabilize-mode" in told
