"""Choosing an encoder: by name or by the output's extension; a bad choice is told before any work."""

from __future__ import annotations

from pathlib import Path

import media
import numpy as np
import pytest

from videostyle.errors import UnknownNameError, UsageError
from videostyle.io import codecs, open_sink, open_source, probe
from videostyle.io.codecs import CODECS, CONTAINERS
from videostyle.io.memory import MemorySource
from videostyle.plan import EncodeOptions
from videostyle.timeline import Span

FILES = {name: [c for c in codec.containers if c in CONTAINERS] for name, codec in CODECS.items()}
PAIRS = [(name, container) for name, containers in FILES.items() for container in containers]


def write(path: Path, options: EncodeOptions, size: tuple[int, int] = (64, 48), wide: bool = False) -> None:
    pictures = [np.full((size[1], size[0], 3), 60 * i, np.uint16 if wide else np.uint8) for i in range(3)]
    with MemorySource(pictures, 25) as source, open_sink(str(path), source.info, options) as sink:
        for frame in source.frames():
            sink.write(frame)


@pytest.mark.parametrize(("name", "container"), PAIRS)
def test_every_codec_goes_into_every_container_it_names(tmp_path: Path, name: str, container: str) -> None:
    path = tmp_path / f"a.{container}"
    write(path, EncodeOptions(codec=name))
    with open_source(str(path)) as film:
        assert len(list(film.frames(Span()))) == 3
    assert probe(str(path)).codec == name


@pytest.mark.parametrize("name", [n for n, codec in CODECS.items() if max(codec.depths) > 8 and FILES[n]])
def test_ten_bits_stay_ten_bits(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"a.{CODECS[name].containers[0]}"
    write(path, EncodeOptions(codec=name), wide=True)
    assert probe(str(path)).bit_depth > 8


@pytest.mark.parametrize("container", CONTAINERS)
def test_auto_goes_by_the_extension(tmp_path: Path, container: str) -> None:
    write(tmp_path / f"a.{container}", EncodeOptions())
    assert probe(str(tmp_path / f"a.{container}")).codec == CONTAINERS[container].codec


def test_m4v_is_mp4_and_case_does_not_matter(tmp_path: Path) -> None:
    write(tmp_path / "A.M4V", EncodeOptions())
    assert "mp4" in probe(str(tmp_path / "A.M4V")).container


BAD = [
    ("a.mp4", EncodeOptions(codec="h266"), UnknownNameError, "no codec named 'h266'"),
    ("a.webm", EncodeOptions(codec="h264"), UsageError, "h264 cannot go into webm; it can go into mp4, mov, mkv"),
    ("a.mp4", EncodeOptions(crf=70), UsageError, "crf for h264 must be between 0 and 51, got 70"),
    ("a.mov", EncodeOptions(codec="prores", crf=10), UsageError, "prores has no crf"),
    ("a.mp4", EncodeOptions(preset="warp"), UsageError, "preset for h264 must be one of ultrafast"),
    ("a.mkv", EncodeOptions(codec="ffv1", preset="slow"), UsageError, "preset for ffv1 cannot be set"),
    ("a.mp4", EncodeOptions(pix_fmt="yuv420p99"), UsageError, "pix_fmt for h264 must be one of yuv420p"),
    ("a.avi", EncodeOptions(), UsageError, r"does not write \.avi files; choose from \.mp4"),
    ("film", EncodeOptions(), UsageError, "needs a file name with an extension"),
]


@pytest.mark.parametrize(("name", "options", "kind", "why"), BAD)
def test_a_bad_choice_is_told_in_one_line(
    tmp_path: Path, name: str, options: EncodeOptions, kind: type[UsageError], why: str
) -> None:
    info = MemorySource([np.zeros((16, 16, 3), np.uint8)]).info
    with pytest.raises(kind, match=why) as caught:
        open_sink(str(tmp_path / name), info, options)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_odd_size_with_a_named_format_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose yuv444p or even sides"):
        write(tmp_path / "a.mp4", EncodeOptions(pix_fmt="yuv420p"), (33, 17))


def test_an_encoder_this_ffmpeg_lacks_is_told_with_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CODECS, "daala", codecs.Codec("libdaala", ("mp4",)))
    with pytest.raises(UsageError, match=r"has no libdaala encoder for daala; choose from .*h264"):
        codecs.choose_codec("mp4", EncodeOptions(codec="daala"))


def test_crf_and_preset_reach_the_encoder(tmp_path: Path) -> None:
    for name, crf in (("fine", 5), ("coarse", 45)):
        source = media.film(tmp_path / "in.mp4", 10)
        from test_writer import pass_through

        pass_through(source, tmp_path / f"{name}.mp4", EncodeOptions(crf=crf, preset="fast"))
    assert (tmp_path / "fine.mp4").stat().st_size > 2 * (tmp_path / "coarse.mp4").stat().st_size
