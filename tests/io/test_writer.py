"""Writing films: what goes through unchanged comes out unchanged, and no broken file ever bears the final name."""

from __future__ import annotations

import errno
import gc
import itertools
import os
import resource
import weakref
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import media
import numpy as np
import pytest
import torch

from videostyle.errors import SinkError, UsageError
from videostyle.io import open_sink, open_source, probe
from videostyle.io.memory import MemorySource
from videostyle.io.pyav import side_data_of
from videostyle.plan import EncodeOptions
from videostyle.timeline import Span
from videostyle.types import Frame

F = Fraction
PLAIN = EncodeOptions()
WHOLE = Span()
LOSSLESS = EncodeOptions(codec="ffv1", overwrite=True)


def pass_through(
    source: Path,
    output: Path,
    options: EncodeOptions = PLAIN,
    span: Span = WHOLE,
    copy: bool = False,
) -> list[str]:
    """Read and write unchanged; returns the warnings of both."""
    with open_source(str(source)) as film:
        copy_from = str(source) if copy else None
        with open_sink(str(output), film.info, options, span, copy_from=copy_from) as sink:
            for frame in film.frames(span):
                sink.write(frame)
    return film.warnings + sink.warnings


def some_frames(count: int = 5, size: tuple[int, int] = (32, 24), channels: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 255, (size[1], size[0], channels), np.uint8) for _ in range(count)]


def write_all(path: Path, pictures: list[np.ndarray], options: EncodeOptions = PLAIN) -> list[str]:
    with MemorySource(pictures, 25) as source, open_sink(str(path), source.info, options) as sink:
        for frame in source.frames():
            sink.write(frame)
    return sink.warnings


# Colours

FORMATS = ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"]


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize("colour_range", ["tv", "pc"])
@pytest.mark.parametrize("space", ["smpte170m", "bt709", "bt2020nc"])
def test_colours_survive_the_way_through_rgb(tmp_path: Path, space: str, colour_range: str, pix_fmt: str) -> None:
    color = (space, colour_range, "bt709", "bt709")
    source = media.film(tmp_path / "in.mp4", 3, (128, 72), pix_fmt, color=color)
    pass_through(source, tmp_path / "out.mp4", LOSSLESS)
    before, after = media.decode(source), media.decode(tmp_path / "out.mp4")
    assert [t for t, _ in after] == [t for t, _ in before]
    depth = 10 if "10" in pix_fmt else 8
    for (_, one), (_, other) in zip(before, after, strict=True):
        assert media.psnr(one, other, depth) >= 49  # 45 is promised
    got, wanted = probe(str(tmp_path / "out.mp4")), probe(str(source))
    assert got.color == wanted.color
    assert got.pix_fmt.replace("j", "") == pix_fmt


def test_hard_chroma_edges_survive_too(tmp_path: Path) -> None:
    planes = media.flat((64, 48), "yuv420p", (100, 128, 128))
    planes[1][:, 10:18] = 100
    planes[2][6:14] = 160
    source = media.write_film(tmp_path / "in.mp4", [planes], color=("bt709", "tv", "bt709", "bt709"))
    pass_through(source, tmp_path / "out.mp4", LOSSLESS)
    (_, one), (_, other) = media.decode(source)[0], media.decode(tmp_path / "out.mp4")[0]
    assert media.psnr(one, other) > 39  # not 45: steps between two chroma samples do not fit through filters


@pytest.mark.parametrize("name", ["clips/bikes.mp4", "clips/cockatoo.mp4", "clips/fox.mp4"])
def test_real_films_pass_through_above_45_db(data: Path, tmp_path: Path, name: str) -> None:
    span = Span(end=F(1, 2))
    pass_through(data / name, tmp_path / "out.mp4", LOSSLESS, span)
    after = media.decode(tmp_path / "out.mp4")
    for (_, one), (_, other) in zip(media.decode(data / name), after, strict=False):
        assert media.psnr(one, other) >= 45
    assert len(after) > 9


@pytest.mark.parametrize("depth", [8, 16])
def test_white_is_white_at_every_depth(tmp_path: Path, depth: int) -> None:
    pictures = [np.full((16, 16, 3), 2**depth - 1, np.uint8 if depth == 8 else np.uint16)]
    write_all(tmp_path / "a.mp4", pictures, EncodeOptions(codec="h264", crf=0))
    ((_, planes),) = media.decode(tmp_path / "a.mp4")
    assert int(planes[0].max()) == int(planes[0].min()) == (235 if depth == 8 else 940)
    with open_source(str(tmp_path / "a.mp4")) as source:
        (frame,) = source.frames(Span())
    assert int(frame.pixels.int().min()) >= (254 if depth == 8 else 65500)


def test_hdr_keeps_its_tags_and_mastering_data(tmp_path: Path) -> None:
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    params = f"log-level=none:lossless=1:hdr10=1:repeat-headers=1:master-display={display}:max-cll=1000,400"
    source = media.film(
        tmp_path / "in.mp4", 3, (64, 64), "yuv420p10le", codec="libx265", options={"x265-params": params},
        color=("bt2020nc", "tv", "bt2020", "smpte2084"),
    )  # fmt: skip
    for codec in ("hevc", "h264"):
        out = tmp_path / f"{codec}.mp4"
        warned = pass_through(source, out, EncodeOptions(codec=codec))
        assert probe(str(out)).color == probe(str(source)).color
        assert not [line for line in warned if "HDR" in line]

        def hdr(path: Path) -> dict[str, bytes]:
            with av.open(str(path)) as container:
                data = side_data_of(next(container.decode(video=0)))
                return {d.type.name: bytes(d) for d in data if "LIGHT" in d.type.name or "MASTER" in d.type.name}

        assert len(hdr(source)) == 2
        assert hdr(out) == hdr(source)
    warned = pass_through(source, tmp_path / "vp9.mkv", EncodeOptions(codec="vp9"))
    assert [line for line in warned if "HDR mastering display dropped" in line]


@pytest.mark.parametrize("count", [1, 2])
def test_the_shortest_films_can_be_written(tmp_path: Path, count: int) -> None:
    for _ in range(6):  # what x265 left unset was right now and then
        write_all(tmp_path / "a.mp4", some_frames(count), EncodeOptions(codec="hevc", overwrite=True))
        assert len(media.times(tmp_path / "a.mp4")) == count


# Time

BASES = [F(1, 12800), F(1, 30000), F(1, 90000), F(1, 15360)]


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
@pytest.mark.parametrize("start", [0, 128003])
def test_irregular_times_are_kept_to_the_tick(tmp_path: Path, codec: str, start: int) -> None:
    ticks = [start + t for t in (0, 512, 600, 2048, 9000, 9001, 9700, 20000, 20512, 21024)]
    source = media.film(tmp_path / "in.mp4", 10, times=ticks, time_base=F(1, 15360), options={"bf": "3"})
    assert pass_through(source, tmp_path / "out.mp4", EncodeOptions(codec=codec)) == []
    assert media.times(tmp_path / "out.mp4") == [F(t, 15360) for t in ticks]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("extension", ["mp4", "mov"])
def test_every_time_base_fits_into_mp4_and_mov(tmp_path: Path, base: Fraction, extension: str) -> None:
    source = media.film(tmp_path / "in.mp4", 30, time_base=base, rate=F(30000, 1001))
    pass_through(source, tmp_path / f"out.{extension}")
    assert media.times(tmp_path / f"out.{extension}") == media.times(source)
    with av.open(str(tmp_path / f"out.{extension}")) as container:
        assert container.streams.video[0].time_base == base


def test_matroska_times_are_milliseconds_and_that_is_said(tmp_path: Path) -> None:
    source = media.film(tmp_path / "in.mp4", 10, time_base=F(1, 30000), rate=F(30000, 1001), tone="aac")
    warned = pass_through(source, tmp_path / "out.mkv", copy=True)
    assert any("frame times rounded to 1/1000 s: mkv" in line for line in warned)
    pairs = zip(media.times(source), media.times(tmp_path / "out.mkv"), strict=True)
    assert max(abs(a - b) for a, b in pairs) <= F(1, 2000)


def test_the_last_frame_is_shown_as_long_as_in_the_source(tmp_path: Path) -> None:
    source = media.film(tmp_path / "in.mp4", 5, times=[0, 512, 1024, 1536, 2048])
    pass_through(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].duration * container.streams.video[0].time_base == F(5, 25)


def test_a_span_starts_at_zero_and_keeps_its_steps(tmp_path: Path) -> None:
    ticks = [6400, 6912, 7000, 9000, 9512, 12000]
    source = media.film(tmp_path / "in.mp4", 6, times=ticks)
    pass_through(source, tmp_path / "out.mp4", span=Span(F(80, 12800)))
    assert media.times(tmp_path / "out.mp4") == [F(t - 6912, 12800) for t in ticks[1:]]


def test_aspect_is_kept_and_rotation_is_applied_once(tmp_path: Path) -> None:
    source = media.film(tmp_path / "in.mp4", 2, (64, 48), rotation=(90, False, False), aspect=F(4, 3))
    for extension in ("mp4", "mkv"):
        out = tmp_path / f"out.{extension}"
        pass_through(source, out)
        with av.open(str(out)) as container:
            frame = next(container.decode(video=0))
            assert (frame.width, frame.height, frame.rotation) == (48, 64, 0)
            assert container.streams.video[0].sample_aspect_ratio == F(3, 4)


# Sizes


@pytest.mark.parametrize("size", [(1, 1), (16, 2), (33, 17), (16, 16), (64, 48)])
@pytest.mark.parametrize(("codec", "extension"), [("h264", "mp4"), ("vp9", "webm"), ("ffv1", "mkv"), ("prores", "mov")])
def test_every_size_keeps_its_size(tmp_path: Path, codec: str, extension: str, size: tuple[int, int]) -> None:
    path = tmp_path / f"a.{extension}"
    warned = write_all(path, some_frames(3, size), EncodeOptions(codec=codec))
    frames = media.decode(path)
    assert [p[0].shape for _, p in frames] == [(size[1], size[0])] * 3
    odd = size[0] % 2 or size[1] % 2
    assert bool(odd and codec == "h264") == any("is odd" in line for line in warned)


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="no such scheduling here")
def test_no_encoder_changes_the_scheduling_of_who_calls_it(tmp_path: Path) -> None:
    before = os.sched_getscheduler(0)
    for codec in ("h264", "hevc", "vp9", "av1"):
        write_all(tmp_path / f"{codec}.mp4", some_frames(3, (64, 64)), EncodeOptions(codec=codec))
        assert os.sched_getscheduler(0) == before


@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_a_size_too_small_for_the_codec_is_refused_before_it_starts(tmp_path: Path, codec: str) -> None:
    with pytest.raises(UsageError, match="choose h264"):
        write_all(tmp_path / "a.mp4", some_frames(1, (8, 8)), EncodeOptions(codec=codec))
    assert not list(tmp_path.iterdir())


# Alpha


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.webm", "auto"), ("a.mov", "prores"), ("a.mkv", "ffv1"), ("a.apng", "auto"), ("a.gif", "auto")],
)
def test_alpha_is_kept_where_the_codec_can(tmp_path: Path, name: str, codec: str) -> None:
    pictures = some_frames(4, (32, 32), 4)
    for picture in pictures:
        picture[..., 3] = 255
        picture[:16, :, 3] = 0
    warned = write_all(tmp_path / name, pictures, EncodeOptions(codec=codec))
    assert not [line for line in warned if "transparency" in line]
    with open_source(str(tmp_path / name)) as source:
        frames = list(source.frames(Span()))
    assert len(frames) == 4
    top = torch.iinfo(frames[0].pixels.dtype).max
    assert float(frames[1].pixels[3, 4].float().mean()) < 0.02 * top
    assert float(frames[1].pixels[3, 28].float().mean()) > 0.98 * top


def test_alpha_that_is_lost_is_told_and_falls_to_black(tmp_path: Path) -> None:
    pictures = some_frames(2, (32, 32), 4)
    pictures[0][..., 3] = 255
    pictures[1][..., 3] = 0
    opaque = write_all(tmp_path / "a.mp4", pictures[:1])
    assert opaque == []
    warned = write_all(tmp_path / "b.mp4", pictures)
    assert [line for line in warned if line.startswith("transparency dropped: h264")]
    assert int(media.decode(tmp_path / "b.mp4")[1][1][0].max()) < 25


def test_a_gif_keeps_its_delays(tmp_path: Path) -> None:
    frames = [
        Frame(torch.from_numpy(p).permute(2, 0, 1), pts, F(1, 100), duration)
        for p, pts, duration in zip(some_frames(4), (0, 7, 20, 90), (7, 13, 70, 31), strict=True)
    ]
    with MemorySource(frames) as source, open_sink(str(tmp_path / "a.gif"), source.info) as sink:
        for frame in source.frames():
            sink.write(frame)
    with av.open(str(tmp_path / "a.gif")) as container:
        assert [(f.pts, f.duration) for f in container.decode(video=0)] == [(0, 7), (7, 13), (20, 70), (90, 31)]
    pass_through(tmp_path / "a.gif", tmp_path / "b.gif")
    assert media.times(tmp_path / "b.gif") == [F(p, 100) for p in (0, 7, 20, 90)]


def test_a_gif_looks_like_its_source(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    picture = np.stack([np.tile(ramp, (64, 1)), np.tile(ramp[:, None], (1, 64)), np.full((64, 64), 90, np.uint8)], 2)
    write_all(tmp_path / "a.gif", [picture] * 2)
    with open_source(str(tmp_path / "a.gif")) as source:
        frame = list(source.frames(Span()))[1]
    error = frame.pixels[:3].permute(1, 2, 0).numpy().astype(float) - picture
    assert abs(error.mean()) < 1.5
    assert np.sqrt((error**2).mean()) < 14


# Files


def test_the_final_name_appears_only_when_the_film_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with MemorySource(some_frames(), 25) as source, open_sink(str(path), source.info) as sink:
        for frame in source.frames():
            sink.write(frame)
            assert not path.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("extension", ["mp4", "mkv", "gif"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_film_plays_up_to_there(tmp_path: Path, extension: str, kind: type[BaseException]) -> None:
    source = media.film(tmp_path / "in.mp4", 40, tone="aac")
    out = tmp_path / f"out.{extension}"

    def stop_after_ten(sink: object) -> None:
        with open_source(str(source)) as film, sink:  # type: ignore[attr-defined]
            for frame in itertools.islice(film.frames(Span()), 10):
                sink.write(frame)  # type: ignore[attr-defined]
            raise kind("enough")

    sink = open_sink(str(out), probe(str(source)), copy_from=str(source))
    with pytest.raises(kind):
        stop_after_ten(sink)
    assert not out.exists()
    assert sink.partial == str(tmp_path / f"out.unfinished.{extension}")
    assert len(media.times(sink.partial)) == 10


def test_an_interruption_at_the_very_end_keeps_the_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_all(tmp_path / "a.mp4", some_frames(5))
    assert [path.name for path in tmp_path.iterdir()] == ["a.unfinished.mp4"]
    assert len(media.times(tmp_path / "a.unfinished.mp4")) == 5


def test_an_interruption_before_the_first_frame_leaves_nothing(tmp_path: Path) -> None:
    info = MemorySource(some_frames()).info
    sink = open_sink(str(tmp_path / "a.mp4"), info)
    with pytest.raises(KeyboardInterrupt), sink:
        raise KeyboardInterrupt
    assert sink.partial is None
    assert not list(tmp_path.iterdir())


def test_a_film_without_frames_is_an_error(tmp_path: Path) -> None:
    info = MemorySource(some_frames()).info
    with pytest.raises(SinkError, match="no frame was written"), open_sink(str(tmp_path / "a.mp4"), info):
        pass
    assert not list(tmp_path.iterdir())


def test_the_input_and_existing_files_are_not_overwritten_by_chance(tmp_path: Path) -> None:
    source = media.film(tmp_path / "in.mp4", 2)
    info = probe(str(source))
    (tmp_path / "there.mp4").write_bytes(b"precious")
    (tmp_path / "link.mp4").symlink_to(source)
    with pytest.raises(UsageError, match="exists already"):
        open_sink(str(tmp_path / "there.mp4"), info)
    for name in ("in.mp4", "link.mp4"):
        with pytest.raises(UsageError, match="is the input itself"):
            open_sink(str(tmp_path / name), info, EncodeOptions(overwrite=True))
    with pytest.raises(SinkError, match="there is no folder"):
        open_sink(str(tmp_path / "no" / "out.mp4"), info)
    pass_through(source, tmp_path / "there.mp4", EncodeOptions(overwrite=True))
    assert len(media.times(tmp_path / "there.mp4")) == 2


def test_a_folder_one_may_not_write_to_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = MemorySource(some_frames()).info
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SinkError, match="no permission to write"):
        open_sink(str(tmp_path / "a.mp4"), info)


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may grow beyond 20 kB."""
    import signal

    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("small_disk")
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.gif"])
def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(SinkError) as caught:
        write_all(tmp_path / name, some_frames(40, (128, 128)))
    assert "the disk is full" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / name).exists()


def test_a_full_disk_while_closing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SinkError, match="the disk is full"):
        write_all(tmp_path / "a.mp4", some_frames())
    assert not list(tmp_path.iterdir())


# Memory


def test_frames_are_let_go_as_they_are_written(tmp_path: Path) -> None:
    alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()

    def endless() -> Iterator[Frame]:
        for index in itertools.count():
            pixels = torch.full((48, 64, 3), index % 250, dtype=torch.uint8).permute(2, 0, 1)
            alive.add(pixels)
            yield Frame(pixels, index, F(1, 25), 1, index)

    most = 0
    with MemorySource(endless(), 25) as source, open_sink(str(tmp_path / "a.mp4"), source.info) as sink:
        for frame in itertools.islice(source.frames(), 300):
            sink.write(frame)
            if frame.index % 50 == 49:
                gc.collect()
                most = max(most, len(alive))
    assert most <= 5


def test_a_long_film_does_not_grow_in_memory(tmp_path: Path) -> None:
    source = media.film(tmp_path / "in.mp4", 10, (320, 240), options={"preset": "ultrafast", "crf": "30"})

    def size() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    with open_source(str(source)) as film:
        frames = list(film.frames(Span()))
        with open_sink(str(tmp_path / "out.mkv"), film.info, EncodeOptions(preset="ultrafast")) as sink:
            sizes = []
            for index in range(600):
                frame = frames[index % 10]
                sink.write(Frame(frame.pixels, index * 512, frame.time_base, 512, index))
                sizes.append(size())
    assert sizes[-1] - sizes[200] < 8 * 320 * 240 * 3
