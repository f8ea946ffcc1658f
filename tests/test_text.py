"""Text from files does nothing to a terminal or a page but show."""

from __future__ import annotations

import html
import io
import os
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from media import film

from videostyle import weights
from videostyle.cli import main
from videostyle.cli.terminal import shown_plainly
from videostyle.text import escape_markup, sanitize, sanitize_line

EVIL = "\x1b[31mred\x1b]0;title\x07\x9b2J\u202eback\r\nsecond\tline\x00\udcff"


def is_harmless(text: str, kept: str = "") -> bool:
    unfit = {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
    return not any(
        (unicodedata.category(one) in unfit or one in "\u202e\u2066\ufeff") and one not in kept for one in text
    )


@given(st.text(st.characters(exclude_categories=[])))
def test_what_is_shown_is_one_harmless_line(text: str) -> None:
    assert is_harmless(sanitize_line(text))
    assert is_harmless(sanitize(text), "\n\r\t")
    assert len(sanitize_line(text, 20)) <= 20
    shown = escape_markup(text)
    assert is_harmless(shown)
    assert not set("<>\"'`*[]!_") & set(shown.replace("&#", "&"))
    assert html.unescape(shown) == sanitize_line(text)


def test_letters_of_all_languages_stay() -> None:
    for text in ("Ночь  звёздная", "神奈川沖浪裏", "שלום", "👩‍🎨 paints", "a/b: c — “d”"):
        assert sanitize_line(text) == sanitize(text) == text


def test_bytes_that_are_no_letters_show_as_such() -> None:
    assert sanitize_line("a\udcff.mp4") == sanitize_line(repr("a\udcff.mp4"))[1:-1] == "a\N{REPLACEMENT CHARACTER}.mp4"


def test_a_terminal_is_sent_nothing_to_obey(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with shown_plainly():
        print(EVIL)
        sys.stderr.writelines([EVIL, "\n"])
        assert sys.stdout.isatty() is False
    assert (sys.stdout, sys.stderr) == before
    out, err = capsys.readouterr()
    assert is_harmless(out, "\n\r\t")
    assert is_harmless(err, "\n\r\t")


def test_a_terminal_of_few_letters_is_sent_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(data, "ascii"))
    monkeypatch.setattr(sys, "stderr", None)  # closed
    with shown_plainly():
        print("Ночь \udcff", flush=True)
        assert sys.stderr is None
    assert data.getvalue() == b"???? ?\n"


def test_a_style_that_is_called_so_is_listed_harmlessly(toy_gallery: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = weights.load_network("fast")
    card = {"name": "x", "title": EVIL.removesuffix("\udcff"), "painter": "a\nb"}
    weights.save_style(
        weights.styles_folder() / "a\x1b[31mb\nc.safetensors", network.identity, "fast", network.sha256, card
    )
    (weights.styles_folder() / "d\x1b[31m\ne.safetensors").write_bytes(b"damaged")
    assert main(["styles"]) == 0
    out, err = capsys.readouterr()
    assert is_harmless(out, "\n")
    assert is_harmless(err, "\n")
    assert out.count("\n") == 5  # three of the gallery, the own one, and "none"
    assert err.count("\n") == 1
    assert "red" in out


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be had there")
def test_whatever_a_film_is_called_every_message_is_harmless(
    toy_gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, broken = (str(tmp_path / one) for one in ("a\x1b[31m\nb\udcff.mp4", "c\x1b[2J\n\udcfe.mp4"))
    os.rename(film(tmp_path / "a.mp4", 2, (64, 48)), name)
    Path(broken).write_bytes(b"no film")
    painted = str(tmp_path / "o\x1b[0m\n\udcff.mp4")
    for status, *words in (
        (0, "probe", name),
        (1, "probe", broken),
        (0, "stylize", name, "-o", painted, "--style", "dots", "--engine", "torch"),
        (2, "stylize", name, "-o", f"{painted}.xyz", "--style", "dots"),
        (2, "stylize", name, "-o", "o.mp4", "--style", "\x1b[31m\udcff"),
        (1, "evaluate", name, broken),
        (1, "batch", broken, "-o", str(tmp_path / "out"), "--style", "dots", "--status"),
        (2, "\x1b[31m\udcff"),
        (2, "probe"),
    ):
        try:
            found = main(words)
        except SystemExit as end:
            found = end.code
        out, err = capsys.readouterr()
        assert found == status, err
        assert is_harmless(out + err, "\n\r")
        assert "\\udc" not in out + err
        assert "unexpected" not in err
        if status and words[0] != "batch":
            assert err.count("\n") == 1
    assert Path(painted).is_file()
