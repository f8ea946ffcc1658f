"""Segments rendered independently give the output of a single run."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import media
import numpy as np
import pytest
from shots import DOTS, LOSSLESS, plan, shots

import videostyle
from videostyle.batch import segments
from videostyle.batch.plan import Segment
from videostyle.batch.segments import SegmentSource, scan, split
from videostyle.batch.tasks import JoinTask, PaintTask, carry_out
from videostyle.errors import SourceError
from videostyle.plan import EncodeOptions, RenderPlan, StabilizeOptions
from videostyle.style import Style
from videostyle.timeline import Span


def found(plan: RenderPlan) -> segments.Scan:
    return scan(plan)


def in_pieces(plan: RenderPlan, folder: Path, shortest: int = 1) -> tuple[Segment, ...]:
    """Paint each segment on its own, the last first, and join them."""
    pieces = split(found(plan), plan, shortest)
    paths = tuple(str(folder / f"{number}.mp4") for number in range(len(pieces)))
    for path, segment in reversed(list(zip(paths, pieces, strict=True))):
        result = carry_out(PaintTask(plan, segment, path), lambda frames: None)
        assert "error" not in result, result
        assert result["frames"] == segment.end - segment.start
    result = carry_out(JoinTask(plan, paths, str(folder / "written.jsonl")), lambda frames: None)
    assert "error" not in result, result
    return pieces


def distance(one: Path, other: Path) -> tuple[int, float]:
    """The largest and the mean difference between two films, in steps; their frames' times must be the same."""
    a, b = media.decode(one), media.decode(other)
    assert [time for time, _ in a] == [time for time, _ in b]
    apart = [np.abs(p.astype(int) - q) for (_, x), (_, y) in zip(a, b, strict=True) for p, q in zip(x, y, strict=True)]
    return max(int(each.max()) for each in apart), float(np.mean([each.mean() for each in apart]))


def test_a_film_is_split_where_shots_begin(tmp_path: Path) -> None:
    film = plan(shots(tmp_path / "film.mp4", (9, 7, 12)), tmp_path / "out.mkv")
    whole = found(film)
    assert whole.frames == 28
    assert [point.frame for point in whole.shots] == [0, 9, 16]
    assert [(one.start, one.end) for one in split(whole, film, 1)] == [(0, 9), (9, 16), (16, 28)]
    assert [(one.start, one.end) for one in split(whole, film, 10)] == [(0, 16), (16, 28)]
    assert [(one.start, one.end) for one in split(whole, film, 100)] == [(0, 28)]


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"stabilize": StabilizeOptions(mode="causal")},
        {"stabilize": StabilizeOptions(0)},
        {"style": Style((("waves", 1.0),), 0.8, statistics="shot")},
        {"style": Style()},
        {"span": Span(Fraction(1, 5), Fraction(1))},
        {"size": "32x24"},
    ],
    ids=["lookahead", "causal", "unsteadied", "statistics", "none", "span", "size"],
)
def test_split_at_cuts_it_is_the_same_to_the_bit(toy_gallery: Path, tmp_path: Path, how: dict[str, Any]) -> None:
    film = plan(shots(tmp_path / "film.mp4"), tmp_path / "joined.mkv", **how)
    assert len(in_pieces(film, tmp_path)) == 3
    videostyle.render(replace(film, output=str(tmp_path / "single.mkv")))
    assert distance(tmp_path / "joined.mkv", tmp_path / "single.mkv") == (0, 0)


def test_a_mask_keeps_in_step(toy_gallery: Path, tmp_path: Path) -> None:
    """One that is slower than the film, so that the nearest picture may be one that came before."""
    media.film(tmp_path / "mask.mp4", 10, rate=Fraction(7), time_base=Fraction(1, 7000))
    style = replace(DOTS, mask=str(tmp_path / "mask.mp4"))
    film = plan(shots(tmp_path / "film.mp4"), tmp_path / "joined.mkv", style)
    in_pieces(film, tmp_path)
    videostyle.render(replace(film, output=str(tmp_path / "single.mkv")))
    assert distance(tmp_path / "joined.mkv", tmp_path / "single.mkv") == (0, 0)


@pytest.fixture
def short_of_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shots are long from 40 frames, and split into pieces of about 32."""
    monkeypatch.setattr(segments, "LONGEST", 64)
    monkeypatch.setattr(segments, "WARMUP", 32)


@pytest.mark.parametrize("mode", ["lookahead", "causal"])
def test_split_within_a_shot_it_is_nearly_the_same(
    toy_gallery: Path, tmp_path: Path, short_of_patience: None, mode: str
) -> None:
    film = plan(shots(tmp_path / "film.mp4", (100,)), tmp_path / "joined.mkv", stabilize=StabilizeOptions(mode=mode))
    pieces = in_pieces(film, tmp_path)
    assert [(one.start, one.end, one.warmup_start) for one in pieces] == [(0, 32, 0), (32, 64, 0), (64, 100, 32)]
    videostyle.render(replace(film, output=str(tmp_path / "single.mkv")))
    largest, mean = distance(tmp_path / "joined.mkv", tmp_path / "single.mkv")
    # Of what was painted 32 frames before, a seventh remains; with WARMUP as it ships, a three-thousandth.
    assert largest <= 24
    assert mean < 0.2
    # The second piece is painted from the shot's first frame on.
    a, b = media.decode(tmp_path / "joined.mkv"), media.decode(tmp_path / "single.mkv")
    assert all((p == q).all() for (_, x), (_, y) in zip(a[:64], b[:64], strict=True) for p, q in zip(x, y, strict=True))


def test_what_remembers_nothing_is_the_same_wherever_it_is_split(
    toy_gallery: Path, tmp_path: Path, short_of_patience: None
) -> None:
    film = plan(shots(tmp_path / "film.mp4", (100,)), tmp_path / "joined.mkv", stabilize=StabilizeOptions(0))
    pieces = in_pieces(film, tmp_path)
    assert [one.warmup_start for one in pieces] == [one.start for one in pieces]
    assert len(pieces) == 3
    videostyle.render(replace(film, output=str(tmp_path / "single.mkv")))
    assert distance(tmp_path / "joined.mkv", tmp_path / "single.mkv") == (0, 0)


def test_whole_shots_stay_whole(tmp_path: Path, short_of_patience: None) -> None:
    film = plan(shots(tmp_path / "film.mp4", (100, 20)), tmp_path / "out.mkv")
    assert [one.start for one in split(found(film), film, 1, whole_shots=True)] == [0, 100]
    by_shot = replace(film, style=replace(DOTS, statistics="shot"))
    assert [one.start for one in split(found(film), by_shot, 1)] == [0, 100]


def test_a_shot_is_not_entered_after_a_repetition(tmp_path: Path, short_of_patience: None) -> None:
    """Repeated frames are not painted: the windows of look-ahead are out of step from there on."""
    pictures = [media.natural((64, 48), "yuv420p", max(0, index - (index > 70))) for index in range(120)]
    film = plan(media.write_film(tmp_path / "film.mp4", pictures), tmp_path / "out.mkv")
    starts = [one.start for one in split(found(film), film, 1)]
    assert starts == [0, 16, 48]
    assert all(start + 8 < 71 for start in starts)


def test_every_frame_is_in_one_segment(tmp_path: Path, short_of_patience: None) -> None:
    film = plan(shots(tmp_path / "film.mp4", (3, 70, 1, 5, 41)), tmp_path / "out.mkv")
    for shortest in (1, 4, 30, 1000):
        pieces = split(found(film), film, shortest)
        assert [pieces[0].start, pieces[-1].end] == [0, 120]
        assert all(one.end == other.start for one, other in itertools.pairwise(pieces))
        assert all(one.warmup_start <= one.start < one.end <= one.lookahead_end <= 120 for one in pieces)


def test_a_damaged_film_is_not_split(tmp_path: Path) -> None:
    path = shots(tmp_path / "film.mp4", (20, 20, 20))
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 200] = bytes(200)
    path.write_bytes(data)
    film = plan(path, tmp_path / "out.mkv")
    whole = found(film)
    assert whole.warnings
    assert len(split(whole, film, 1)) == 1


def test_a_film_that_changed_is_not_painted(tmp_path: Path) -> None:
    film = plan(shots(tmp_path / "film.mp4"), tmp_path / "out.mkv", Style())
    second = split(found(film), film, 1)[1]
    with SegmentSource(film, second, tmp_path) as source:
        assert [frame.index for frame in source.frames()] == list(range(9, 16))
    shots(tmp_path / "film.mp4", (9, 3))
    with (
        SegmentSource(film, second, tmp_path) as source,
        pytest.raises(SourceError, match="is not the film that was split"),
    ):
        list(source.frames())


def test_a_segment_knows_the_films_cuts_and_no_others(tmp_path: Path) -> None:
    film = plan(shots(tmp_path / "film.mp4"), tmp_path / "out.mkv", Style())
    (whole,) = split(found(film), film, 100)
    with SegmentSource(film, whole, tmp_path) as source:
        assert [frame.index for frame in source.frames() if frame.is_cut] == [0, 9, 16]


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("h264", "mp4"), ("h264", "mkv"), ("h264", "mov"), ("hevc", "mp4"), ("hevc", "mkv"), ("av1", "mkv"),
     ("vp9", "webm"), ("prores", "mov"), ("prores", "mkv"), ("ffv1", "mkv"), ("mjpeg", "mov")],
)  # fmt: skip
def test_joined_a_film_has_every_frame_at_its_time(tmp_path: Path, codec: str, suffix: str) -> None:
    """Segments join in every codec, at irregular times, with the sound copied once."""
    # Slow where a shot begins: an encoder that begins there decodes its first frames long before they are shown.
    steps = [2000 if index in (9, 10, 11, 16, 17) else 512 + index % 3 * 70 for index in range(28)]
    times = [0, *itertools.accumulate(steps[:-1])]
    source = shots(tmp_path / "film.mp4", times=times, tone="aac", tags={"title": "Walls"})
    film = plan(source, tmp_path / f"joined.{suffix}", Style(), encode=EncodeOptions(codec))
    from videostyle.batch.tasks import part_suffix

    pieces = split(found(film), film, 1)
    paths = tuple(str(tmp_path / f"{n}{part_suffix(film, videostyle.probe(str(source)))}") for n in range(3))
    for path, segment in zip(paths, pieces, strict=True):
        assert "error" not in carry_out(PaintTask(film, segment, path), lambda frames: None)
    result = carry_out(JoinTask(film, paths, str(tmp_path / "written.jsonl")), lambda frames: None)
    single = replace(film, output=str(tmp_path / f"single.{suffix}"))
    report = videostyle.render(single)
    assert media.times(film.output) == media.times(single.output)
    assert media.packets(film.output) == media.packets(single.output)
    assert result["warnings"] == report.warnings
    one, other = videostyle.probe(film.output), videostyle.probe(single.output)
    assert replace(one, path="", frame_count=0, duration=None, average_rate=None) == replace(
        other, path="", frame_count=0, duration=None, average_rate=None
    )
    decoded = [packet.dts for packet in _film_packets(film.output) if packet.dts is not None]
    assert decoded == sorted(set(decoded))


def _film_packets(path: str) -> list[Any]:
    import av

    with av.open(path) as container:
        return [packet for packet in container.demux(container.streams.video[0]) if packet.size]


def test_films_encoded_in_different_ways_are_not_joined(tmp_path: Path) -> None:
    film = plan(shots(tmp_path / "film.mp4"), tmp_path / "joined.mp4", Style(), encode=EncodeOptions("h264"))
    pieces = split(found(film), film, 1)
    paths = tuple(str(tmp_path / f"{number}.mp4") for number in range(3))
    for path, segment, pix_fmt in zip(paths, pieces, ("yuv420p", "yuv444p", "yuv420p"), strict=True):
        other = replace(film, encode=EncodeOptions("h264", pix_fmt=pix_fmt))
        carry_out(PaintTask(other, segment, path), lambda frames: None)
    result = carry_out(JoinTask(film, paths, str(tmp_path / "written.jsonl")), lambda frames: None)
    assert "encoded in another way" in result["error"]
    assert not Path(film.output).exists()


def test_what_is_broken_off_leaves_no_file(toy_gallery: Path, tmp_path: Path) -> None:
    def interrupt(frames: int) -> None:
        raise KeyboardInterrupt

    film = plan(shots(tmp_path / "film.mp4"), tmp_path / "out.mkv", encode=LOSSLESS)
    (whole,) = split(found(film), film, 100)
    with pytest.raises(KeyboardInterrupt):
        carry_out(PaintTask(film, whole, str(tmp_path / "0.mp4")), interrupt)
    assert [path.name for path in tmp_path.iterdir() if "film" not in path.name] == []
