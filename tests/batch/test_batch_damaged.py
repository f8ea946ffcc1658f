"""Journals with something wrong in them: the film is failed in one line that says what to do, the others go on."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shots import Inline, plan, shots

from videostyle.batch import schedule
from videostyle.batch.journal import Journal
from videostyle.batch.plan import BatchPlan, Segment
from videostyle.batch.schedule import run, status
from videostyle.batch.tasks import JoinTask, Task
from videostyle.plan import EncodeOptions, RenderPlan

SEGMENTS = (Segment(0, 9, 0, 9, 0, 1), Segment(9, 16, 9, 16, 9, 2), Segment(16, 28, 16, 28, 16, 3))
RESULT = {"frames": 9, "painted": 9, "bytes": 4, "file_crc32": zlib.crc32(b"1234"), "warnings": [], "seconds": 0.5}


@pytest.fixture
def film(toy_gallery: Path, tmp_path: Path) -> RenderPlan:
    shots(tmp_path / "film.mp4")
    return plan(tmp_path / "film.mp4", tmp_path / "out" / "dots.mkv")


def begun(film: RenderPlan) -> Path:
    """The journal of a film of three segments, of which one is painted."""
    folder = Path(film.output).parent / ".videostyle" / Path(film.output).name
    journal = Journal(folder, film)
    journal.begin()
    journal.split(SEGMENTS, [])
    journal.part(0, ".mp4").write_bytes(b"1234")
    journal.painted(0, journal.part(0, ".mp4"), dict(RESULT))
    return folder / "journal.jsonl"


def lines_with(number: int, **changes: Any) -> Callable[[list[Any]], None]:
    def change(lines: list[Any]) -> None:
        for key, value in changes.items():
            if value is ...:
                del lines[number][key]
            else:
                lines[number][key] = value

    return change


def replaced(number: int, value: Any) -> Callable[[list[Any]], None]:
    return lambda lines: lines.__setitem__(number, value)


def segment_with(**changes: Any) -> Callable[[list[Any]], None]:
    return lambda lines: lines[1]["segments"][1].update(changes)


WRONG: dict[str, Callable[[list[Any]], None]] = {
    "null": replaced(2, None),
    "a list": replaced(2, []),
    "a number": replaced(0, 7),
    "a text": replaced(1, "segments"),
    "an unknown line": replaced(2, {"frame": 3}),
    "no first line": lambda lines: lines.pop(0),
    "no plan": lines_with(0, plan=...),
    "a plan that is a number": lines_with(0, plan=3),
    "no warnings of the film": lines_with(1, warnings=...),
    "warnings that are a text": lines_with(1, warnings="none"),
    "segments that are null": lines_with(1, segments=None),
    "no segments": lines_with(1, segments=[]),
    "a segment that is a list": lambda lines: lines[1]["segments"].__setitem__(1, [9, 16]),
    "a gap": segment_with(start=10),
    "segments that overlap": segment_with(end=20),
    "a segment that ends first": segment_with(end=3),
    "a text as a frame": segment_with(start="9"),
    "no check": lambda lines: lines[1]["segments"][1].pop("crc32"),
    "cuts that are null": segment_with(cuts=None),
    "not split": lambda lines: lines.pop(1),
    "a segment there is none of": lines_with(2, segment=3),
    "a negative segment": lines_with(2, segment=-1),
    "a segment named by text": lines_with(2, segment="0"),
    "a segment that is true": lines_with(2, segment=True),
    "no file": lines_with(2, file=...),
    "a file elsewhere": lines_with(2, file="../../../film.mp4"),
    "a whole path": lines_with(2, file="/etc/passwd"),
    "another segment's file": lines_with(2, file="000001.mp4"),
    "no bytes": lines_with(2, bytes=...),
    "bytes that are null": lines_with(2, bytes=None),
    "no sum of the file": lines_with(2, file_crc32=...),
    "no frames": lines_with(2, frames=...),
    "other frames": lines_with(2, frames=12),
    "frames that are a text": lines_with(2, frames="many"),
    "seconds that are null": lines_with(2, seconds=None),
    "negative seconds": lines_with(2, seconds=-1),
    "seconds that are not a number": lines_with(2, seconds=float("nan")),
    "a film that is null": lambda lines: lines.append({"film": None}),
    "a film that is a list": lambda lines: lines.append({"film": [1]}),
    "a film without frames": lambda lines: lines.append({"film": {"bytes": None, "seconds": 1, "warnings": []}}),
}
RAW = {
    "binary": b"\x00\xff\xfe\x01\n",
    "nested": b"[" * 100_000 + b"\n",
    "half a line in the middle": b'{"segment": 0, "fi\n',
    "an empty line": b"\n",
    "a line without its sum": b'{"segment": 1, "file": "000001.mp4", "frames": 7, "painted": 7, "seconds": 1, '
    b'"warnings": [], "bytes": 4}\n',
}
ALTERED: dict[str, Callable[[list[Any]], None]] = {
    "fewer frames": lambda lines: lines[1]["segments"][2].update(end=24, lookahead_end=24),
    "more frames than any film has": lambda lines: lines[1]["segments"][2].update(end=10**18, lookahead_end=10**18),
    "a time beyond any clock": segment_with(pts=10**30),
    "another picture": segment_with(crc32=4),
    "a cut elsewhere": segment_with(cuts=[10]),
    "another plan": lines_with(0, plan="0" * 64),
    "another film": lines_with(0, source="/elsewhere.mp4"),
    "more seconds": lines_with(2, seconds=1e300),
    "another warning": lines_with(2, warnings=["it rained"]),
    "a word of later versions": lines_with(1, version=99),
}
"""Changes that leave valid lines, other than those written."""


def change(journal: Path, how: Callable[[list[Any]], None], signed: bool) -> None:
    """Rewrite a journal; `signed` with the sums of the changed lines, as only a faulty program would."""
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    how(lines)
    for line in lines:
        if signed and isinstance(line, dict):
            line.pop("crc32", None)
            line["crc32"] = zlib.crc32(json.dumps(line).encode())
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize("name", [*WRONG, *RAW, *ALTERED])
def test_a_damaged_journal_is_reported_in_one_line(film: RenderPlan, name: str) -> None:
    journal = begun(film)
    if name in RAW:
        journal.write_bytes(journal.read_bytes() + RAW[name])
    else:
        change(journal, (WRONG | ALTERED)[name], signed=name in WRONG)
    (found,) = status(BatchPlan((film,), Path(film.output).parent))
    assert found.state == "failed"
    assert found.error.startswith(f"{journal}: damaged (")
    assert found.error.endswith(f"remove {journal.parent} to start the film again")
    assert "\n" not in found.error


def test_a_journal_of_another_version_is_refused_in_one_line(film: RenderPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys may differ, so such a journal is neither continued nor removed."""
    for how in (lines_with(0, version=1), lines_with(0, version=...)):
        journal = begun(film)
        change(journal, how, signed=True)
        before = journal.read_bytes()
        monkeypatch.setattr(schedule, "load_executor", Inline())
        (result,) = run(BatchPlan((film,), Path(film.output).parent))
        assert result.state == "failed"
        remedy = f"remove {journal.parent} to start the film again"
        assert result.error == f"{journal}: was written by another version of videostyle; {remedy}"
        assert journal.read_bytes() == before
        journal.unlink()


def test_the_other_films_go_on(
    film: RenderPlan, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    journal = begun(film)
    journal.write_bytes(journal.read_bytes() + b"null\n")
    other = plan(Path(film.source), Path(film.output).with_name("other.mkv"))
    before = {path: path.stat().st_mtime_ns for path in journal.parent.iterdir()}
    monkeypatch.setattr(schedule, "load_executor", Inline())
    results = run(BatchPlan((film, other), Path(film.output).parent))
    assert [result.state for result in results] == ["failed", "painted"]
    assert caplog.messages == [f"{journal}: damaged (line 4); remove {journal.parent} to start the film again"]
    assert {path: path.stat().st_mtime_ns for path in journal.parent.iterdir()} == before


def test_a_journal_that_is_no_file_is_not_waited_for(film: RenderPlan) -> None:
    journal = begun(film)
    batch = BatchPlan((film,), Path(film.output).parent)
    journal.unlink()
    os.mkfifo(journal)
    assert "damaged (it is no file)" in status(batch)[0].error
    journal.unlink()
    journal.mkdir()
    assert "damaged (it is no file)" in status(batch)[0].error
    os.rename(journal.parent, journal.parent.with_name("away"))
    journal.parent.write_text("a file where the folder was")
    (found,) = status(batch)
    assert f"{journal}: cannot be read" in found.error


def test_a_film_that_is_said_to_be_done_and_is_not_there_is_not_done(film: RenderPlan) -> None:
    journal = begun(film)
    done = {"frames": 28, "painted": 28, "seconds": 1.5, "warnings": [], "bytes": None}
    change(journal, lambda lines: lines.append({"film": done}), signed=True)
    (found,) = status(BatchPlan((film,), Path(film.output).parent))
    assert (found.state, found.frames) == ("unfinished", 9)


def test_numbered_pictures_that_are_said_to_be_done_and_are_not_there_are_painted_again(
    film: RenderPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbered = plan(Path(film.source), Path(film.output).with_name("f%02d.png"), encode=EncodeOptions())
    batch = BatchPlan((numbered,), Path(film.output).parent)
    monkeypatch.setattr(schedule, "load_executor", Inline())
    assert [run(batch)[0].state, status(batch)[0].state] == ["painted", "was painted"]
    Path(film.output).with_name("f17.png").unlink()
    assert status(batch)[0].state == "unfinished"
    assert [run(batch)[0].state, status(batch)[0].state] == ["painted", "was painted"]


def test_a_film_that_is_not_the_one_that_was_split_is_reported_with_a_remedy(
    film: RenderPlan, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Another version of FFmpeg, for example, decodes it differently."""
    journal = begun(film)
    change(journal, segment_with(crc32=4), signed=True)
    monkeypatch.setattr(schedule, "load_executor", Inline())
    (result,) = run(BatchPlan((film,), Path(film.output).parent))
    reason = f"{film.source}: is not the film that was split (frame 9 is another one); remove {journal.parent} to start"
    assert result.error == f"{reason} it again"
    assert caplog.messages[0] == f"{result.error}; trying again"


def folder_for_a_segment(folder: Path) -> None:
    (folder / "000001.mkv").mkdir()
    (folder / "000001.mp4").mkdir()
    (folder / "000001.mov").mkdir()


def folder_for_what_grows(folder: Path) -> None:
    (folder / "000001.12345678.partial.mp4").mkdir()


STANDING: dict[str, tuple[Callable[[Path], None], str]] = {
    "a folder for a segment": (folder_for_a_segment, "cannot be written (Is a directory)"),
    "a folder for what grows": (folder_for_what_grows, ""),
}


@pytest.mark.parametrize("name", STANDING)
def test_what_stands_in_the_journal_s_folder_ends_no_batch(
    film: RenderPlan, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The film is painted, or fails with a line; the other films are painted."""
    how, message = STANDING[name]
    journal = begun(film)
    journal.unlink()
    how(journal.parent)
    other = plan(Path(film.source), Path(film.output).with_name("other.mkv"))
    monkeypatch.setattr(schedule, "load_executor", Inline())
    one, two = run(BatchPlan((film, other), Path(film.output).parent, segment=5))
    assert two.state == "painted"
    assert one.state == ("failed" if message else "painted")
    assert message in one.error
    assert "unexpected" not in one.error


def test_a_segment_that_is_no_film_any_more_is_reported_with_a_remedy(
    film: RenderPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(task: Task) -> None:
        if isinstance(task, JoinTask):
            Path(task.paths[0]).write_bytes(b"no film")

    monkeypatch.setattr(schedule, "load_executor", Inline(spoil))
    (result,) = run(BatchPlan((film,), Path(film.output).parent))
    journal = Path(film.output).parent / ".videostyle" / "dots.mkv"
    assert result.error.startswith(f"{journal / '000000'}")
    assert result.error.endswith(f"remove {journal} to start the film again")


def test_an_untouched_journal_is_gone_on_with(film: RenderPlan) -> None:
    begun(film)
    (found,) = status(BatchPlan((film,), Path(film.output).parent))
    assert (found.state, found.frames, found.expected, found.segments) == ("unfinished", 9, 28, (1, 3))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_however_a_journal_is_damaged_the_status_is_reported(film: RenderPlan, data: st.DataObject) -> None:
    folder = Path(film.output).parent / ".videostyle" / Path(film.output).name
    journal = folder / "journal.jsonl"
    if not (folder / "whole").exists():
        begun(film)
        (folder / "whole").write_bytes(journal.read_bytes())
    content = bytearray((folder / "whole").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[at] ^= 1 << data.draw(st.integers(0, 7))
        else:
            del content[at : at + data.draw(st.integers(1, 60))]
        content = content or bytearray(1)
    journal.write_bytes(content)
    (found,) = status(BatchPlan((film,), Path(film.output).parent))
    assert found.state in ("failed", "unfinished")
    assert (found.frames, found.segments) in ((0, (0, 0)), (0, (0, 3)), (9, (1, 3)))
