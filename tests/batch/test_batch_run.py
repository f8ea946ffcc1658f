"""Runs that fail, stop, fill the disk and meet one another; whatever happens, every film is right in the end."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import media
import numpy as np
import pytest
from shots import DOTS, Inline, plan, shots

import videostyle
from videostyle.batch import schedule
from videostyle.batch.journal import Journal
from videostyle.batch.plan import BatchPlan
from videostyle.batch.schedule import Result, run, status
from videostyle.batch.tasks import PaintTask, ScanTask, Task
from videostyle.errors import SinkError, UsageError
from videostyle.plan import EncodeOptions, RenderPlan
from videostyle.progress import Progress
from videostyle.style import Style

WAVES = Style((("waves", 1.0),))


class Bench(NamedTuple):
    """Runs batches, and remembers what was done."""

    folder: Path
    engines: list[Inline]
    caplog: pytest.LogCaptureFixture
    monkeypatch: pytest.MonkeyPatch

    def run(self, *films: RenderPlan, before: Callable[[Task], None] = lambda task: None, **more: Any) -> list[Result]:
        self.engines.append(Inline(before))
        self.monkeypatch.setattr(schedule, "load_executor", self.engines[-1])
        return run(BatchPlan(films, self.folder, **{"segment": 1, **more}))

    @property
    def painted(self) -> list[tuple[str, int]]:
        """Output and first frame of every segment that was painted, by all runs."""
        tasks = [task for engine in self.engines for task in engine.tasks if isinstance(task, PaintTask)]
        return [(Path(task.plan.output).name, task.segment.start) for task in tasks]

    def film(self, name: str, style: Style = DOTS, source: str = "film.mp4", **more: Any) -> RenderPlan:
        return plan(self.folder.parent / source, self.folder / name, style, **more)


@pytest.fixture
def bench(
    toy_gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Bench:
    shots(tmp_path / "film.mp4", tone="aac")
    return Bench(tmp_path / "out", [], caplog, monkeypatch)


def is_right(film: RenderPlan) -> bool:
    """True where a film is what a run without segments makes."""
    single = replace(film, output=str(Path(film.output).with_name("single.mkv")))
    single = replace(single, encode=replace(single.encode, overwrite=True))
    videostyle.render(single)
    mine, other = media.decode(film.output), media.decode(single.output)
    same = all(
        s == t and all((p == q).all() for p, q in zip(a, b, strict=True))
        for (s, a), (t, b) in zip(mine, other, strict=True)
    )
    return same and media.packets(film.output) == media.packets(single.output)


def test_two_styles_of_a_film_are_painted_and_scanned_once(bench: Bench) -> None:
    films = bench.film("dots.mkv"), bench.film("waves.mkv", WAVES)
    results = bench.run(*films)
    assert [result.state for result in results] == ["painted", "painted"]
    assert [result.frames for result in results] == [28, 28]
    assert all(is_right(film) for film in films)
    assert sum(isinstance(task, ScanTask) for task in bench.engines[0].tasks) == 1
    assert sorted(bench.painted) == [(name, at) for name in ("dots.mkv", "waves.mkv") for at in (0, 9, 16)]
    left = [path.name for path in bench.folder.rglob("*") if path.is_file() and path.suffix != ".mkv"]
    assert sorted(left) == ["journal.jsonl"] * 2 + ["lock"] + ["written.jsonl"] * 2


def test_a_short_film_is_split_where_a_worker_would_have_nothing_to_do(bench: Bench) -> None:
    (result,) = bench.run(bench.film("alone.mkv"), segment=240)
    assert result.state == "painted"
    bench.run(bench.film("one.mkv"), bench.film("other.mkv"), segment=240)
    assert sorted(bench.painted) == [("alone.mkv", 0), ("alone.mkv", 16), ("one.mkv", 0), ("other.mkv", 0)]


def test_what_is_painted_is_not_painted_again(bench: Bench) -> None:
    film = bench.film("dots.mkv")
    bench.run(film)
    assert bench.run(film)[0].state == "was painted"
    assert len(bench.painted) == 3


class Killed(BaseException):
    pass


@pytest.mark.parametrize("at", range(6))
def test_a_stopped_run_goes_on_where_it_was(bench: Bench, at: int) -> None:
    """Stopped before any of its tasks (the scan, three segments, the join), or not at all."""
    film = bench.film("dots.mkv")
    count = iter(range(100))

    def stop(task: Task) -> None:
        if next(count) == at:
            raise Killed

    with pytest.raises(Killed) if at < 5 else nullcontext() as caught:
        bench.run(film, before=stop)
    assert Path(film.output).exists() == (at == 5)
    assert at == 5 or "go on" in caught.value.__notes__[0]
    bench.run(film)
    assert is_right(film)
    assert bench.painted == [("dots.mkv", 0), ("dots.mkv", 9), ("dots.mkv", 16)]


def test_a_run_killed_after_the_join_was_done_and_before_it_was_noted(bench: Bench) -> None:
    film = bench.film("dots.mkv")
    killed_before_the_record(bench, film)
    assert Path(film.output).exists()
    assert bench.run(film)[0].state == "painted"
    assert len(bench.painted) == 3
    assert is_right(film)


def test_a_line_cut_off_by_a_kill_is_painted_again(bench: Bench) -> None:
    film = bench.film("dots.mkv")

    def stop(task: Task) -> None:
        if isinstance(task, PaintTask) and task.segment.start == 16:
            raise Killed

    with pytest.raises(Killed):
        bench.run(film, before=stop)
    journal = bench.folder / ".videostyle" / "dots.mkv" / "journal.jsonl"
    text = journal.read_text()
    journal.write_text(text[:-20])
    bench.run(film)
    assert is_right(film)
    assert sorted(bench.painted) == [("dots.mkv", 0), ("dots.mkv", 9), ("dots.mkv", 9), ("dots.mkv", 16)]
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def stopped(bench: Bench, film: RenderPlan) -> None:
    """One segment is painted."""

    def stop(task: Task) -> None:
        if isinstance(task, PaintTask) and task.segment.start == 9:
            raise Killed

    with pytest.raises(Killed):
        bench.run(film, before=stop)
    assert bench.painted == [("dots.mkv", 0)]


@pytest.mark.parametrize("change", [{"style": replace(DOTS, strength=0.5)}, {"size": "32x24"}])
def test_a_changed_plan_starts_the_film_anew(bench: Bench, change: dict[str, Any]) -> None:
    film = bench.film("dots.mkv")
    stopped(bench, film)
    bench.run(changed := replace(film, **change))
    assert bench.painted[1:] == [("dots.mkv", 0), ("dots.mkv", 9), ("dots.mkv", 16)]
    assert is_right(changed)


def test_a_changed_source_starts_the_film_anew(bench: Bench) -> None:
    film = bench.film("dots.mkv")
    stopped(bench, film)
    shots(Path(film.source), (9, 5), tone="aac")
    bench.run(film)
    assert bench.painted[1:] == [("dots.mkv", 0), ("dots.mkv", 9)]
    assert is_right(film)


def test_a_lost_segment_is_painted_again(bench: Bench) -> None:
    film = bench.film("dots.mkv")
    stopped(bench, film)
    (bench.folder / ".videostyle" / "dots.mkv" / "000000.mp4").unlink()
    bench.run(film)
    assert bench.painted[1:] == [("dots.mkv", 0), ("dots.mkv", 9), ("dots.mkv", 16)]
    assert is_right(film)


def test_a_damaged_segment_of_the_same_size_is_painted_again(bench: Bench) -> None:
    """As a power failure leaves it: the journal is on disk, and the file has its name and its length."""
    film = bench.film("dots.mkv")
    stopped(bench, film)
    segment = bench.folder / ".videostyle" / "dots.mkv" / "000000.mp4"
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    bench.run(film)
    assert bench.caplog.messages == [f"{film.output}: damaged segments, which are painted again: 1"]
    assert bench.painted[1:] == [("dots.mkv", 0), ("dots.mkv", 9), ("dots.mkv", 16)]
    assert is_right(film)


def test_a_failing_film_leaves_the_others_alone(bench: Bench) -> None:
    (bench.folder.parent / "broken.mp4").write_bytes(b"no film")
    films = (
        bench.film("broken.mkv", source="broken.mp4"), bench.film("missing.mkv", source="missing.mp4"),
        bench.film("unknown.mkv", Style((("dotz", 1.0),))), bench.film("name.xyz"), bench.film("good.mkv"),
    )  # fmt: skip
    results = bench.run(*films)
    assert [result.state for result in results] == ["failed"] * 4 + ["painted"]
    assert "not a film" in results[0].error
    assert "no such file" in results[1].error
    assert "did you mean dots" in results[2].error
    assert ".xyz" in results[3].error
    assert is_right(films[4])


def test_a_segment_is_tried_again(bench: Bench) -> None:
    film = bench.film("dots.mkv")
    failing = {9: 1}

    def flaky(task: Any, *more: Any) -> dict[str, Any]:
        if isinstance(task, PaintTask) and failing.get(task.segment.start, 0) > 0:
            failing[task.segment.start] -= 1
            return {"error": "the network was away", "retryable": True, "disk_full": False}
        return whole(task, *more)

    import shots as module

    whole = module.carry_out
    bench.monkeypatch.setattr(module, "carry_out", flaky)
    assert bench.run(film)[0].state == "painted"
    assert any("the network was away; trying again" in line for line in bench.caplog.messages)
    failing[9] = 2
    other = bench.film("other.mkv")
    (result,) = bench.run(other)
    assert result.state == "failed"
    assert result.error == "the network was away"
    # What was painted of it is kept.
    failing.clear()
    before = len(bench.painted)
    assert bench.run(other)[0].state == "painted"
    assert len(bench.painted) - before == 1


def test_what_is_there_is_not_replaced_unasked(bench: Bench) -> None:
    film = bench.film("dots.mkv")
    bench.folder.mkdir()
    Path(film.output).write_bytes(b"mine")
    (result,) = bench.run(film)
    assert "exists already" in result.error
    assert Path(film.output).read_bytes() == b"mine"
    asked = replace(film, encode=replace(film.encode, overwrite=True))
    assert bench.run(asked)[0].state == "painted"
    assert is_right(film)


@pytest.mark.parametrize("name", ["dots.mkv", "dots.gif"])
def test_what_came_to_exist_during_the_work_is_not_replaced_unasked(bench: Bench, name: str) -> None:
    film = bench.film(name)
    if name.endswith(".gif"):
        film = replace(film, encode=EncodeOptions())

    def create(task: Task) -> None:
        if not isinstance(task, ScanTask):
            Path(film.output).write_bytes(b"mine")

    (result,) = bench.run(film, before=create)
    assert "exists already" in result.error
    assert Path(film.output).read_bytes() == b"mine"
    Path(film.output).unlink()
    assert bench.run(film)[0].state == "painted"


def test_what_took_a_films_place_is_not_replaced_unasked(bench: Bench) -> None:
    film = bench.film("dots.mkv")
    bench.run(film)
    Path(film.output).write_bytes(b"mine")
    (result,) = bench.run(film)
    assert "exists already" in result.error
    Path(film.output).unlink()
    assert bench.run(film)[0].state == "painted"
    assert is_right(film)


def killed_before_the_record(bench: Bench, film: RenderPlan) -> None:
    """Kill a run when the output has its name, and the journal has no line of it yet."""

    def killed(journal: Journal, result: dict[str, Any]) -> None:
        raise Killed

    with bench.monkeypatch.context() as patch:
        patch.setattr(Journal, "finished", killed)
        with pytest.raises(Killed):
            bench.run(film)


FORMATS = ["dots.mkv", "dots.gif", "a.png", "shots/%02d.png"]


def of_format(bench: Bench, name: str) -> tuple[RenderPlan, Path]:
    """A film, picture or sequence to paint, and a file that will be written."""
    picture = bench.folder.parent / "a.png"
    cv2.imwrite(str(picture), np.random.default_rng(0).integers(0, 255, (33, 47, 3), np.uint8))
    film = bench.film(name, source="a.png" if name == "a.png" else "film.mp4")
    if name != "dots.mkv":
        film = replace(film, encode=EncodeOptions())
    return film, Path(film.output % 5 if "%" in name else film.output)


def imitate(path: Path) -> bytes:
    """Put another file in the place of `path`: of the same size, and written a second later."""
    found = path.stat()
    data = bytes(found.st_size)
    path.unlink()
    path.write_bytes(data)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 10**9))
    return data


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("stopped_before_record", [True, False])
def test_a_file_put_in_an_output_s_place_between_two_runs_is_not_taken_for_it(
    bench: Bench, name: str, stopped_before_record: bool
) -> None:
    film, file = of_format(bench, name)
    if stopped_before_record:
        killed_before_the_record(bench, film)
    else:
        bench.run(film)
        assert status(BatchPlan((film,), bench.folder))[0].state == "was painted"
    theirs = imitate(file)
    (result,) = bench.run(film)
    assert (result.state, "\n" in result.error) == ("failed", False)
    assert result.error.startswith(f"{file}: exists already; choose another name or allow overwriting")
    assert file.read_bytes() == theirs
    file.unlink()
    assert bench.run(film)[0].state == "painted"


@pytest.mark.parametrize("name", FORMATS)
def test_outputs_that_a_killed_run_has_written_are_written_again(bench: Bench, name: str) -> None:
    film, file = of_format(bench, name)
    killed_before_the_record(bench, film)
    before = file.read_bytes()
    assert bench.run(film)[0].state == "painted"
    assert len(file.read_bytes()) == len(before)
    assert bench.run(film)[0].state == "was painted"


@pytest.mark.parametrize("name", ["dots.mkv", "shots/%02d.png"])
def test_outputs_with_other_times_are_known_by_their_content(bench: Bench, name: str) -> None:
    """As in a copy of the folder."""
    film, _ = of_format(bench, name)
    bench.run(film)
    for path in bench.folder.rglob("*"):
        os.utime(path, (1e9, 1e9))
    assert bench.run(film)[0].state == "was painted"


@pytest.mark.parametrize("damage", [b"", b"\0\xff\n", b'{"file": []}\n', b"[" * 100_000 + b"\n", b"null\n", None])
def test_without_a_record_a_file_counts_as_the_user_s(bench: Bench, damage: bytes | None) -> None:
    film, file = of_format(bench, "dots.mkv")
    bench.run(film)
    record = bench.folder / ".videostyle" / "dots.mkv" / "written.jsonl"
    before = file.read_bytes()
    text = record.read_bytes()
    record.unlink()
    if damage is None:
        os.mkfifo(record)
    else:
        record.write_bytes(damage)
    assert "exists already" in bench.run(film)[0].error
    assert file.read_bytes() == before
    if damage is not None:  # lines around the damaged one are read
        record.write_bytes(damage + text[:-9] + b"\n" + text)
        assert bench.run(film)[0].state == "was painted"


def test_two_runs_do_not_share_a_folder(bench: Bench) -> None:
    film = bench.film("dots.mkv")

    def meanwhile(task: Task) -> None:
        with pytest.raises(SinkError, match="another batch is at work there"):
            run(BatchPlan((film,), bench.folder))

    assert bench.run(film, before=meanwhile)[0].state == "painted"


def test_a_full_disk_stops_the_run_and_keeps_what_is_done(bench: Bench) -> None:
    film = bench.film("dots.mkv")
    free = iter([10**12] * 4 + [10**6] * 100)
    real = shutil.disk_usage(bench.folder.parent)
    bench.monkeypatch.setattr(shutil, "disk_usage", lambda path: real._replace(free=next(free)))
    with pytest.raises(SinkError, match="the disk is nearly full"):
        bench.run(film)
    painted = len(bench.painted)
    assert 0 < painted < 3
    bench.monkeypatch.setattr(shutil, "disk_usage", lambda path: real)
    bench.run(film)
    assert len(bench.painted) == 3
    assert is_right(film)


def test_too_small_a_disk_is_noticed_before_the_start(bench: Bench) -> None:
    real = shutil.disk_usage(bench.folder.parent)
    bench.monkeypatch.setattr(shutil, "disk_usage", lambda path: real._replace(free=10**6))
    with pytest.raises(SinkError, match="free some space"):
        bench.run(bench.film("dots.mkv"))
    assert "1 MB free, and the films may need" in bench.caplog.messages[0]
    assert bench.painted == []


def test_status_says_what_is_done_and_touches_nothing(bench: Bench) -> None:
    film = bench.film("dots.mkv")
    batch = BatchPlan((film,), bench.folder, segment=1)
    assert status(batch)[0].state == "unfinished"
    assert not bench.folder.exists()
    stopped(bench, film)
    before = {path: path.stat().st_mtime_ns for path in bench.folder.rglob("*")}
    (result,) = status(batch)
    assert (result.state, result.frames, result.expected, result.segments) == ("unfinished", 9, 28, (1, 3))
    assert {path: path.stat().st_mtime_ns for path in bench.folder.rglob("*")} == before
    bench.run(film)
    assert status(batch)[0].state == "was painted"


def test_what_cannot_be_joined_is_painted_in_one_go(bench: Bench) -> None:
    picture = bench.folder.parent / "a.png"
    cv2.imwrite(str(picture), np.random.default_rng(0).integers(0, 255, (33, 47, 3), np.uint8))
    plain = videostyle.EncodeOptions()
    films = (
        bench.film("film.gif", encode=plain),
        bench.film("a.png", source="a.png", encode=plain),
        bench.film("frames/%02d.png", encode=plain),
    )
    assert [result.state for result in bench.run(*films)] == ["painted"] * 3
    assert bench.painted == []
    assert cv2.imread(films[1].output).shape == (33, 47, 3)
    assert len(media.decode(films[0].output)) == 28
    assert len(list((bench.folder / "frames").iterdir())) == 28
    assert [result.state for result in bench.run(*films)] == ["was painted"] * 3


def test_two_films_cannot_have_one_name(bench: Bench) -> None:
    with pytest.raises(UsageError, match="is the output of both"):
        bench.run(bench.film("a.mkv"), bench.film("a.mkv", WAVES))


def test_progress_counts_every_frame(bench: Bench) -> None:
    seen: list[Progress] = []
    bench.monkeypatch.setattr(schedule, "load_executor", Inline())
    films = bench.film("dots.mkv"), bench.film("waves.mkv", WAVES)
    run(BatchPlan(films, bench.folder, segment=1), on_progress=seen.append)
    assert (seen[-1].done, seen[-1].total) == (56, 56)
    assert [one.done for one in seen] == sorted(one.done for one in seen)
