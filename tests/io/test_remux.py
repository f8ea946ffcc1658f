"""Sound, subtitles, fonts, covers, chapters and tags go along; what cannot is named."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction
from pathlib import Path

import av
import media
import numpy as np
import pytest
from av.stream import Disposition
from painting import paint

from videostyle.errors import SourceError
from videostyle.io import open_sink, open_source, probe
from videostyle.timeline import Span

F = Fraction


def kinds(path: Path) -> list[tuple[str, str]]:
    return [(s.kind, s.codec) for s in probe(str(path)).streams]


def rich_film(path: Path, audio: tuple[str, ...] = ("aac", "ac3"), subtitle: str = "srt", count: int = 50) -> Path:
    """A film with several sound tracks in different languages, subtitles, chapters and tags."""
    with av.open(str(path), "w") as out:
        out.metadata.update({"title": "Great Wave", "artist": "Hokusai"})
        picture = out.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "30"})
        picture.width, picture.height = 64, 48
        sounds = []
        for name, language in zip(audio, ("jpn", "fra"), strict=False):
            sound = out.add_stream(name, rate=48000)
            sound.codec_context.layout = "stereo"
            sound.metadata.update({"language": language, "title": f"in {language}"})
            sound.disposition = Disposition.default if language == "jpn" else Disposition.comment
            sounds.append(sound)
        text = out.add_stream(subtitle)
        text.metadata["language"] = "deu"
        text.codec_context.subtitle_header = (
            b"[Script Info]\nScriptType: v4.00+\n"
            b"[V4+ Styles]\nFormat: Name, Fontname, Fontsize\nStyle: Default,Arial,16\n"
            b"[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
        )
        text.codec_context.time_base = F(1, 1000)
        out.set_chapters([
            {"id": 1, "start": 0, "end": 1000, "time_base": F(1, 1000), "metadata": {"title": "Sea"}},
            {"id": 2, "start": 1000, "end": 2000, "time_base": F(1, 1000), "metadata": {"title": "Sky"}},
        ])  # fmt: skip
        out.start_encoding()
        for at, words in ((200, b"Wind"), (1200, b"Waves")):
            line = av.subtitles.subtitle.SubtitleSet.create(b"0,0,Default,,0,0,0,," + words, 0, 500)
            packet = text.codec_context.encode_subtitle(line)
            packet.stream, packet.time_base = text, F(1, 1000)
            packet.pts = packet.dts = at
            packet.duration = 500
            out.mux(packet)
        for sound in sounds:
            for frame in media.tone_frames(count / 25):
                out.mux(sound.encode(frame))
            out.mux(sound.encode(None))
        for i in range(count):
            frame = media.frame_of(media.natural((64, 48), "yuv420p", i), "yuv420p")
            frame.pts, frame.time_base = i, F(1, 25)
            out.mux(picture.encode(frame))
        out.mux(picture.encode(None))
    return path


def test_sound_is_copied_bit_for_bit_at_the_same_times(tmp_path: Path) -> None:
    source = rich_film(tmp_path / "in.mkv")
    warned = paint(source, tmp_path / "out.mkv")
    assert warned == []
    for number in (0, 1):
        assert media.packets(tmp_path / "out.mkv", "audio", number) == media.packets(source, "audio", number)
    assert media.packets(tmp_path / "out.mkv", "subtitle") == media.packets(source, "subtitle")


def test_mp4_to_mp4_keeps_the_priming_before_zero(tmp_path: Path) -> None:
    source = media.film(tmp_path / "in.mp4", 25, tone="aac")
    before = media.packets(source)
    assert before[0][0] < 0
    paint(source, tmp_path / "out.mp4")
    assert media.packets(tmp_path / "out.mp4") == before
    assert media.times(tmp_path / "out.mp4") == media.times(source)


def test_priming_does_not_move_the_picture_in_matroska(tmp_path: Path) -> None:
    source = media.film(tmp_path / "in.mp4", 25, tone="aac")
    paint(source, tmp_path / "out.mkv")
    assert media.times(tmp_path / "out.mkv") == media.times(source)
    sound = media.packets(tmp_path / "out.mkv")
    for (at, data), (was, same) in zip(sound, media.packets(source), strict=True):
        assert data == same
        assert abs(at - was) <= F(1, 1000)


@pytest.mark.parametrize("extension", ["mkv", "mp4", "mov"])
def test_languages_titles_dispositions_chapters_and_tags_go_along(tmp_path: Path, extension: str) -> None:
    source = rich_film(tmp_path / "in.mkv")
    out = tmp_path / f"out.{extension}"
    paint(source, out)
    with av.open(str(out)) as container:
        assert [s.metadata.get("language") for s in container.streams.audio] == ["jpn", "fra"]
        assert container.streams.subtitles[0].metadata.get("language") == "deu"
        assert container.streams.audio[0].disposition & Disposition.default
        tags = {key.lower(): value for key, value in container.metadata.items()}
        assert (tags["title"], tags["artist"]) == ("Great Wave", "Hokusai")
        chapters = container.chapters()
        assert [c["metadata"]["title"] for c in chapters] == ["Sea", "Sky"]
        assert [c["start"] * c["time_base"] for c in chapters] == [0, 1]
        if extension == "mkv":
            assert container.streams.audio[1].metadata["title"] == "in fra"
            assert container.streams.audio[1].disposition & Disposition.comment


def read_subtitles(path: Path) -> list[tuple[Fraction, Fraction, str]]:
    found = []
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        for packet in container.demux(stream):
            lines = stream.codec_context.decode2(packet) if packet.size else None
            if lines is not None and len(lines):
                text = re.sub(r"{.*?}", "", lines[0].dialogue.decode())
                found.append((packet.pts * packet.time_base, packet.duration * packet.time_base, text))
    return found


@pytest.mark.parametrize("extension", ["mp4", "mov", "webm"])
def test_text_subtitles_are_rewritten_where_they_must(tmp_path: Path, extension: str) -> None:
    source = rich_film(tmp_path / "in.mkv", audio=("libopus",))
    warned = paint(source, tmp_path / f"out.{extension}")
    assert any(line.startswith("subtitle stream 2 (subrip) rewritten as") for line in warned)
    lines = read_subtitles(tmp_path / f"out.{extension}")
    assert lines == [(F(1, 5), F(1, 2), "Wind"), (F(6, 5), F(1, 2), "Waves")]
    paint(tmp_path / f"out.{extension}", tmp_path / "back.mkv")
    assert [(a, text) for a, _, text in read_subtitles(tmp_path / "back.mkv")] == [
        (F(1, 5), "Wind"),
        (F(6, 5), "Waves"),
    ]


def test_sound_the_container_cannot_hold_is_re_encoded_and_named(tmp_path: Path) -> None:
    source = rich_film(tmp_path / "in.mkv", audio=("pcm_s16le", "flac"))
    warned = paint(source, tmp_path / "out.mp4")
    assert "audio stream 1 (pcm_s16le) re-encoded to aac: mp4 cannot hold pcm_s16le" in warned
    assert kinds(tmp_path / "out.mp4")[1:3] == [("audio", "aac"), ("audio", "flac")]

    def clicks(path: Path) -> list[float]:
        """Where the clicks of the tone are, in seconds."""
        with av.open(str(path)) as container:
            wave, at = [], []
            for frame in container.decode(audio=0):
                samples = frame.to_ndarray().astype(float).reshape(-1)
                samples = samples[::2] if frame.format.is_packed else samples[: frame.samples]
                wave.append(samples / np.abs(np.iinfo(np.int16).max if frame.format.name == "s16" else 1))
                at.append(float(frame.pts * frame.time_base) + np.arange(frame.samples) / frame.sample_rate)
        loud = np.abs(np.concatenate(wave)) > 0.5
        times = np.concatenate(at)[loud]
        return [float(times[0]), *(float(b) for a, b in itertools.pairwise(times) if b - a > 0.3)]

    assert np.abs(np.array(clicks(tmp_path / "out.mp4")) - clicks(source)).max() < 0.003


def test_sound_goes_into_webm_as_opus(tmp_path: Path) -> None:
    source = media.film(tmp_path / "in.mp4", 25, tone="aac")
    warned = paint(source, tmp_path / "out.webm")
    assert "audio stream 1 (aac) re-encoded to opus: webm cannot hold aac" in warned
    assert kinds(tmp_path / "out.webm") == [("video", "vp9"), ("audio", "opus")]
    assert abs(float(media.packets(tmp_path / "out.webm")[-1][0]) - 1) < 0.05


def test_what_cannot_go_along_is_named(tmp_path: Path) -> None:
    source = rich_film(tmp_path / "in.mkv")
    warned = paint(source, tmp_path / "out.gif")
    assert "audio stream 1 (aac) dropped: gif cannot hold it" in warned
    assert "audio stream 2 (ac3) dropped: gif cannot hold it" in warned
    assert "subtitle stream 3 (subrip) dropped: gif cannot hold it" in warned
    assert "2 chapters dropped: gif cannot hold them" in warned
    assert any(line.startswith("tags dropped: gif cannot hold") for line in warned)


@pytest.mark.parametrize("extension", ["mp4", "mov"])
def test_tags_a_muxer_has_no_place_for_are_kept_beside_the_others(tmp_path: Path, extension: str) -> None:
    source = media.film(tmp_path / "in.mkv", 2, tags={"title": "t", "favourite_colour": "bleu é"}, time_base=F(1, 1000))
    assert paint(source, tmp_path / f"out.{extension}") == []
    with av.open(str(tmp_path / f"out.{extension}")) as container:
        assert (container.metadata["title"], container.metadata["FAVOURITE_COLOUR"]) == ("t", "bleu é")


def test_fonts_and_covers_go_along(tmp_path: Path) -> None:
    source, font = tmp_path / "in.mkv", b"not really a font" * 9
    with av.open(str(source), "w") as out:
        picture = out.add_stream("libx264", rate=25)
        picture.width, picture.height = 64, 48
        out.add_attachment("font.ttf", "application/x-truetype-font", font)
        cover = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 200, np.uint8))
        encoder = av.CodecContext.create("png", "w")
        encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 16, 16, "rgb24", F(1, 25)
        image = bytes(encoder.encode(cover)[0])
        out.add_attachment("small_cover.png", "image/png", image)
        out.start_encoding()
        for i in range(3):
            frame = media.frame_of(media.natural((64, 48), "yuv420p", i), "yuv420p")
            frame.pts, frame.time_base = i, F(1, 25)
            out.mux(picture.encode(frame))
        out.mux(picture.encode(None))
    assert paint(source, tmp_path / "out.mkv") == []
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert [a.data for a in container.streams.attachments] == [font]
        (art,) = [s for s in container.streams.video if s.disposition & Disposition.attached_pic]
        assert art.metadata["filename"] == "small_cover.png"
        assert next(bytes(p) for p in container.demux(art) if p.size) == image
    warned = paint(source, tmp_path / "out.mp4")
    assert [line for line in warned if line.startswith("attachment stream 1")]
    with av.open(str(tmp_path / "out.mp4")) as container:
        (art,) = [s for s in container.streams.video if s.disposition & Disposition.attached_pic]
        assert next(bytes(p) for p in container.demux(art) if p.size) == image
    assert len(media.times(tmp_path / "out.mp4")) == 3


def test_beside_a_cover_all_sound_goes_along(tmp_path: Path) -> None:
    """Also what comes before the first picture, to which a seek to the beginning of an mkv leads."""
    source = tmp_path / "in.mkv"
    with av.open(str(source), "w") as out:
        picture = out.add_stream("libx264", rate=25)
        picture.width, picture.height = 64, 48
        sound = out.add_stream("aac", rate=48000)
        out.add_attachment("cover.jpg", "image/jpeg", jpeg())
        out.start_encoding()
        for frame in media.tone_frames(0.2):
            out.mux(sound.encode(frame))
        for i in range(3):
            image = media.frame_of(media.natural((64, 48), "yuv420p", i), "yuv420p")
            image.pts, image.time_base = 1 + i, F(1, 25)
            out.mux(picture.encode(image))
        out.mux(sound.encode(None))
        out.mux(picture.encode(None))
    assert media.packets(source)[0][0] < media.times(source)[0]
    assert paint(source, tmp_path / "out.mkv") == []
    assert media.packets(tmp_path / "out.mkv") == media.packets(source)


def jpeg() -> bytes:
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 16, 16, "yuvj444p", F(1, 25)
    return bytes(encoder.encode(av.VideoFrame.from_ndarray(np.full((16, 16, 3), 200, np.uint8)))[0])


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
@pytest.mark.parametrize("start", ["0.5", "1.23"])
def test_a_span_cuts_everything_and_keeps_it_in_step(tmp_path: Path, start: str, extension: str) -> None:
    source = rich_film(tmp_path / "in.mkv", count=75)
    out = tmp_path / f"out.{extension}"
    span = Span(F(start), F(2))
    paint(source, out, span)
    kept = [t for t in media.times(source) if span.start <= t < 2]
    assert media.times(out) == [t - kept[0] for t in kept]
    cut = [(t - kept[0], data) for t, data in media.packets(source) if kept[0] <= t < 2]
    copied = media.packets(out)
    assert [data for _, data in copied] == [data for _, data in cut]
    assert max(abs(a - b) for (a, _), (b, _) in zip(copied, cut, strict=True)) <= F(1, 1000)
    with av.open(str(out)) as container:
        starts = [(c["metadata"]["title"], c["start"] * c["time_base"]) for c in container.chapters()]
    assert starts == ([("Sea", F(0)), ("Sky", 1 - kept[0])] if kept[0] < 1 else [("Sky", F(0))])
    subtitles = read_subtitles(out)
    spoken = ((F(1, 5), "Wind"), (F(6, 5), "Waves"))
    expected = [(max(at - kept[0], F(0)), text) for at, text in spoken if at + F(1, 2) > kept[0]]
    assert [(at, text) for at, _, text in subtitles] == expected


def test_a_second_picture_track_is_named(data: Path, tmp_path: Path) -> None:
    source = data / "clips/nasa_13013.mp4"
    warned = paint(source, tmp_path / "out.mp4", Span(end=F(1)))
    assert "video stream 0 (h264) dropped: only one video track is stylized" in warned
    for number in (0, 1):
        before = [p for p in media.packets(source, "audio", number) if p[0] < 1]
        assert media.packets(tmp_path / "out.mp4", "audio", number) == before


@pytest.mark.parametrize("name", ["clips/01_dog.mp4", "clips/chaplin.mp4"])
def test_real_sound_is_copied_bit_for_bit(data: Path, tmp_path: Path, name: str) -> None:
    span = Span(end=F(1))
    paint(data / name, tmp_path / "out.mp4", span)
    assert media.packets(tmp_path / "out.mp4") == [p for p in media.packets(data / name) if p[0] < 1]


def test_vorbis_becomes_aac_in_mp4_and_is_copied_into_webm(data: Path, tmp_path: Path) -> None:
    source = data / "awkward/transparent.webm"
    warned = paint(source, tmp_path / "out.mp4", Span(end=F(1)))
    assert "audio stream 1 (vorbis) re-encoded to aac: mp4 cannot hold vorbis" in warned
    assert paint(source, tmp_path / "out.webm", Span(end=F(1))) == []
    assert media.packets(tmp_path / "out.webm") == [p for p in media.packets(source) if p[0] < 1]


def test_sound_is_not_read_ahead_of_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = rich_film(tmp_path / "in.mkv", count=100)
    from videostyle.io.remux import StreamCopier

    ahead: list[Fraction] = []
    original = StreamCopier.advance

    def advance(self: StreamCopier, until: Fraction | None) -> None:
        original(self, until)
        if until is not None and self._next is not None:
            packet = self._next
            ahead.append((packet.pts or 0) * packet.time_base - until)

    monkeypatch.setattr(StreamCopier, "advance", advance)
    paint(source, tmp_path / "out.mkv")
    assert len(ahead) > 50
    assert max(ahead) < 1  # one packet is held, and subtitles are rare


def test_a_source_that_vanished_is_told(tmp_path: Path) -> None:
    source = media.film(tmp_path / "in.mp4", 3, tone="aac")
    with open_source(str(source)) as film:
        frames = list(film.frames(Span()))
    source.unlink()
    with (
        pytest.raises(SourceError, match="no such file"),
        open_sink(str(tmp_path / "out.mp4"), film.info, copy_from=str(source)) as sink,
    ):
        sink.write(frames[0])
    assert not (tmp_path / "out.mp4").exists()
