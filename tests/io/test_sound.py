"""Sound in every form that films have it in arrives: copied, or in the next best form, which is told in one line."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import media
import numpy as np
import pytest
from painting import clicks, heard, paint

F = Fraction
QUICK = {"preset": "ultrafast", "crf": "30"}
SECONDS = F(1)


def sound_frames(rate: int, layout: str, seconds: Fraction = SECONDS) -> list[av.AudioFrame]:
    """A tone in every channel with a click at every half second."""
    channels = av.AudioLayout(layout).nb_channels
    frames = []
    for at in range(0, round(seconds * rate), 1000):
        t = (np.arange(min(1000, round(seconds * rate) - at)) + at) / rate
        wave = 0.3 * np.sin(2 * np.pi * 440 * t) + 0.6 * (np.mod(t, 0.5) < 0.02)
        packed = np.repeat(wave, channels)[None].astype(np.float32)
        frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, at, F(1, rate)
        frames.append(frame)
    return frames


def sounding(path: Path, encoder: str, rate: int, layout: str, picture: str = "libx264", **muxer: str) -> Path:
    """A film of a second with such sound."""
    with av.open(str(path), "w", **muxer) as out:
        options = QUICK if picture == "libx264" else {}
        size = (64, 48)
        film = out.add_stream(picture, rate=25, options=options)
        film.width, film.height, film.pix_fmt = *size, "yuvj420p" if picture == "mjpeg" else "yuv420p"
        sound = out.add_stream(encoder, rate=rate)
        sound.codec_context.layout = layout
        if encoder == "libmp3lame":
            sound.codec_context.bit_rate = 24000
        out.start_encoding()
        for index in range(25):
            frame = media.frame_of(media.natural(size, "yuv420p", index), "yuv420p")
            frame.pts, frame.time_base = index, F(1, 25)
            out.mux(film.encode(frame))
        for made in sound_frames(rate, layout):
            out.mux(sound.encode(made))
        out.mux(sound.encode(None))
        out.mux(film.encode(None))
    return path


def arrives(path: Path, source: Path) -> str:
    """Assert that the source's sound can be heard from beginning to end, in step; gives codec, channels and rate."""
    with av.open(str(path)) as film:
        stream = film.streams.audio[0]
        form = f"{stream.codec_context.codec.canonical_name} {stream.layout.nb_channels} {stream.rate}"
    samples, before = (one / np.abs(one).max() for one in (heard(path), heard(source)))
    assert abs(len(samples) - len(before)) < 0.12 * 48000
    assert clicks(samples) == pytest.approx(clicks(before), abs=0.03)
    assert len(clicks(before)) == 2
    assert np.abs(samples[36000:44000]).mean() > 0.1
    return form


FORMS = {
    "pcm_u8 22254 mov": ("mov", "pcm_u8", 22254, "mono", "libx264", ("mp4", "webm")),
    "pcm 11024 avi": ("avi", "pcm_s16le", 11024, "mono", "mjpeg", ("mp4", "mkv")),
    "mp3 11025 flv": ("flv", "libmp3lame", 11025, "mono", "flv", ("mp4", "mov")),
    "5.1(side) mkv": ("mkv", "ac3", 48000, "5.1(side)", "libx264", ("mp4", "webm")),
    "4.0 mov": ("mov", "pcm_s16le", 8000, "4.0", "libx264", ("mov", "webm")),
    "16 channels mov": ("mov", "pcm_s16le", 8000, "hexadecagonal", "libx264", ("mp4", "webm")),
    "24 channels mov": ("mov", "pcm_s16le", 8000, "22.2", "libx264", ("mp4", "mkv")),
    "mulaw mov": ("mov", "pcm_mulaw", 8000, "mono", "libx264", ("mp4", "mkv")),
    "ima mov": ("mov", "adpcm_ima_qt", 22050, "mono", "libx264", ("mkv",)),
    "adpcm flv": ("flv", "adpcm_swf", 22050, "mono", "flv", ("mkv",)),
    "nellymoser flv": ("flv", "nellymoser", 11025, "mono", "flv", ("mkv",)),
    "bluray m2ts": ("m2ts", "pcm_bluray", 48000, "stereo", "libx264", ("mkv", "mov")),
    "dvd vob": ("vob", "pcm_dvd", 48000, "stereo", "mpeg2video", ("mkv", "mov")),
    "192 kHz mkv": ("mkv", "flac", 192000, "stereo", "libx264", ("mp4", "webm")),
}
"""Extension, encoder, rate, layout, encoder of the pictures; and what it is written as."""


@pytest.mark.parametrize(("form", "target"), [(form, target) for form in FORMS for target in FORMS[form][5]])
def test_sound_of_every_form_arrives(tmp_path: Path, form: str, target: str) -> None:
    extension, encoder, rate, layout, picture, _ = FORMS[form]
    muxer = {"format": "mpegts"} if extension == "m2ts" else {"format": "dvd"} if extension == "vob" else {}
    source = sounding(tmp_path / f"in.{extension}", encoder, rate, layout, picture, **muxer)
    said = [line for line in paint(source, tmp_path / f"out.{target}") if "audio" in line]
    codec, channels, written = arrives(tmp_path / f"out.{target}", source).split()
    if said:
        assert len(said) == 1
        assert f"re-encoded to {codec}" in said[0]
        assert (f"at {written} Hz" in said[0]) == (int(written) != rate)
        assert int(channels) == min(av.AudioLayout(layout).nb_channels, 8)
    else:
        assert (int(written), int(channels)) == (rate, av.AudioLayout(layout).nb_channels)


@pytest.mark.parametrize("target", ["mp4", "webm"])
@pytest.mark.parametrize(("encoder", "layouts"), [("mp2", ("mono", "stereo")), ("ac3", ("5.1", "stereo", "mono"))])
def test_a_track_whose_layout_changes_stays_one_track(
    tmp_path: Path, encoder: str, layouts: tuple[str, ...], target: str
) -> None:
    length = F(12, 10)  # whole packets of both codecs
    raw = b""
    for layout in layouts:
        part = tmp_path / f"{layout}.{encoder}"
        with av.open(str(part), "w") as out:
            stream = out.add_stream(encoder, rate=48000)
            stream.codec_context.layout = layout
            for frame in sound_frames(48000, layout, length):
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        raw += part.read_bytes()
    (tmp_path / f"all.{encoder}").write_bytes(raw)
    plain = media.film(tmp_path / "plain.ts", round(25 * length * len(layouts)), options=QUICK, time_base=F(1, 90000))
    with (
        av.open(str(plain)) as film,
        av.open(str(tmp_path / f"all.{encoder}")) as sound,
        av.open(str(tmp_path / "in.ts"), "w") as out,
    ):
        twin = out.add_stream_from_template(film.streams.video[0], opaque=True)
        voice = out.add_stream(encoder, rate=48000)
        voice.codec_context.layout = layouts[0]
        for packet in film.demux(video=0):
            if packet.size:
                packet.pts, packet.dts = (
                    packet.pts - film.streams.video[0].start_time,
                    packet.dts - film.streams.video[0].start_time,
                )
                packet.stream = twin
                out.mux(packet)
        at = 0
        for packet in sound.demux(audio=0):
            if packet.size:
                ticks = 1152 if encoder == "mp2" else 1536
                packet.pts = packet.dts = at
                packet.duration, packet.time_base, packet.stream = ticks, F(1, 48000), voice
                at += ticks
                out.mux(packet)
    said = [line for line in paint(tmp_path / "in.ts", tmp_path / f"out.{target}") if "audio" in line]
    assert len(said) == (0 if (encoder, target) == ("ac3", "mp4") else 1 + (layouts[0] == "mono"))
    with av.open(str(tmp_path / f"out.{target}")) as film:
        assert len(film.streams.audio) == 1
    samples = heard(tmp_path / f"out.{target}")
    assert abs(len(samples) / 48000 - float(length) * len(layouts)) < 0.15
    for number in range(len(layouts)):
        middle = round((number + 0.5) * float(length) * 48000)
        assert np.abs(samples[middle - 2000 : middle + 2000]).max() > 0.1


# Streams that no decoder knows


@pytest.mark.parametrize("target", ["mp4", "mkv"])
@pytest.mark.parametrize(("rate", "layout"), [(44100, "stereo"), (48000, "mono"), (24000, "stereo"), (48000, "stereo")])
def test_aac_that_changes_in_mid_film_plays_as_it_did(tmp_path: Path, rate: int, layout: str, target: str) -> None:
    """A track of mp4 or mkv has one header: copied, the second part plays too high, or not at all."""
    one = sounding(tmp_path / "one.ts", "aac", 48000, "stereo")
    two = sounding(tmp_path / "two.ts", "aac", rate, layout)
    (tmp_path / "in.ts").write_bytes(one.read_bytes() + two.read_bytes())
    warned = paint(tmp_path / "in.ts", tmp_path / f"out.{target}")
    told = "audio stream 1 (aac) re-encoded to aac: its rate, channels or profile change in mid-film"
    assert (told in warned) == ((rate, layout) != (48000, "stereo"))
    assert sum("audio" in line for line in warned) == (told in warned)
    with av.open(str(tmp_path / f"out.{target}")) as film:
        samples = np.concatenate([frame.to_ndarray()[0] for frame in film.decode(audio=0)])
    assert abs(len(samples) / 48000 - 2) < 0.2
    second = samples[-40000:-8000]
    spectrum = np.abs(np.fft.rfft(second * np.hanning(len(second))))
    low = round(100 * len(second) / 48000)  # the clicks are below
    assert abs((np.argmax(spectrum[low:]) + low) * 48000 / len(second) - 440) < 3


@pytest.mark.parametrize("tag", [b"apac", b"ac-4", b"zzzz", b"\xa9\0\x01\xff"])
@pytest.mark.parametrize("target", ["mp4", "mov", "mkv"])
def test_sound_without_a_decoder_is_dropped_in_one_line(tmp_path: Path, tag: bytes, target: str) -> None:
    source = tmp_path / "in.mov"
    with av.open(str(source), "w") as out:
        film = out.add_stream("libx264", rate=25, options=QUICK)
        film.width, film.height = 64, 48
        first, second = (out.add_stream(name, rate=48000) for name in ("aac", "alac"))
        out.start_encoding()
        for index in range(10):
            frame = media.frame_of(media.natural((64, 48), "yuv420p", index), "yuv420p")
            frame.pts, frame.time_base = index, F(1, 25)
            out.mux(film.encode(frame))
        for sound in (first, second):
            for made in sound_frames(48000, "stereo", F(4, 10)):
                out.mux(sound.encode(made))
            out.mux(sound.encode(None))
        out.mux(film.encode(None))
    data = source.read_bytes()
    at = data.index(b"alac", data.index(b"moov"))
    source.write_bytes(data[:at] + tag + data[at + 4 :])
    said = [line for line in paint(source, tmp_path / f"out.{target}") if "stream" in line]
    assert len(said) == 1
    assert "audio stream 2 (" in said[0]
    assert "dropped" in said[0]
    assert len(media.packets(tmp_path / f"out.{target}")) > 15
    assert len(media.times(tmp_path / f"out.{target}")) == 10


# Edit lists


def box(name: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I", 8 + len(content)) + name + content


def with_edits(path: Path, target: Path, edits: list[tuple[Fraction, Fraction | None]]) -> Path:
    """The film with these (length, place) parts of it in place of its edit list; None is a pause. Times in seconds."""
    data = path.read_bytes()

    def boxes(start: int, end: int) -> list[tuple[bytes, int, int]]:
        found = []
        while start < end:
            size = struct.unpack_from(">I", data, start)[0]
            found.append((data[start + 4 : start + 8], start, start + size))
            start += size
        return found

    def rebuilt(name: bytes, start: int, end: int, scale: int) -> bytes:
        if name == b"moov":
            return box(name, *(rebuilt(n, s, e, scale) for n, s, e in boxes(start + 8, end)))
        if name == b"trak":
            media_box = next((s, e) for n, s, e in boxes(start + 8, end) if n == b"mdia")
            header = next(s for n, s, _ in boxes(media_box[0] + 8, media_box[1]) if n == b"mdhd")
            ticks = struct.unpack_from(">I", data, header + 20)[0]
            rows = b"".join(
                struct.pack(">Iii", round(length * scale), -1 if place is None else round(place * ticks), 0x10000)
                for length, place in edits
            )
            edit_box = box(b"edts", box(b"elst", struct.pack(">II", 0, len(edits)), rows))
            rest = [data[s:e] for n, s, e in boxes(start + 8, end) if n != b"edts"]
            return box(name, rest[0], edit_box, *rest[1:])
        return data[start:end]

    top = boxes(0, len(data))
    assert top[-1][0] == b"moov"  # nothing behind it moves
    movie = top[-1]
    scale = struct.unpack_from(">I", data, next(s for n, s, _ in boxes(movie[1] + 8, movie[2]) if n == b"mvhd") + 20)[0]
    target.write_bytes(data[: movie[1]] + rebuilt(b"moov", movie[1], movie[2], scale))
    return target


EDITS = {
    "skip": ([(F(2, 5), F(0)), (F(2, 5), F(3, 5))], [F(n, 25) for n in range(20)]),
    "repeated": ([(F(2, 5), F(0)), (F(2, 5), F(0))], [F(n, 25) for n in range(20)]),
    "swapped": ([(F(2, 5), F(3, 5)), (F(2, 5), F(0))], [F(n, 25) for n in range(20)]),
    # FFmpeg shows what is there during an empty edit in mid-film.
    "pause": ([(F(2, 5), F(0)), (F(2, 5), None), (F(2, 5), F(2, 5))], [F(n, 25) for n in range(30)]),
}


@pytest.mark.parametrize(
    ("sound", "target"), [("aac", "mp4"), ("aac", "mkv"), ("pcm_s16le", "mov"), ("pcm_s16le", "mkv")]
)
@pytest.mark.parametrize("name", EDITS)
def test_edits_are_carried_out(tmp_path: Path, name: str, sound: str, target: str) -> None:
    edits, expected = EDITS[name]
    plain = media.film(tmp_path / "plain.mov", 25, tone=sound, options=QUICK | {"g": "1", "bf": "0"})
    source = with_edits(plain, tmp_path / "in.mov", edits)
    warned = paint(source, tmp_path / f"out.{target}")
    assert [line for line in warned if "frame times rounded" not in line and "re-encoded" not in line] == []
    shown = media.times(tmp_path / f"out.{target}")
    assert len(shown) == len(expected)
    assert all(abs(time - due) <= F(1, 1000) for time, due in zip(shown, expected, strict=True))
    length = float(sum(length for length, _ in edits))
    assert abs(len(heard(tmp_path / f"out.{target}")) / 48000 - length) < 0.08
    if sound == "pcm_s16le":  # a packet may begin before, but none ends there
        assert media.packets(tmp_path / f"out.{target}")[0][0] > -F(1024, 48000)
