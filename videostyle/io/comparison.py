"""The comparison of what a source holds with what was written of it: what is missing is added, or named."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import av
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from videostyle.io.boxes import add_to_movie, spherical_box, stereo_box
from videostyle.io.colors import HDR_TRANSFERS, PRIMARIES, TRANSFERS
from videostyle.io.info import film_stream, open_container
from videostyle.io.pyav import fraction, legible, time_base_of
from videostyle.io.side_data import attached, named, stereo_mode
from videostyle.types import VideoInfo

FILE_TAGS = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration")
"""Tags that tell of a file, not of the film."""
STREAM_TAGS = ("encoder", "duration", "vendor_id", "bps", "number_of_", "_statistics", *FILE_TAGS)
"""Beginnings of tags that tell how a stream was stored or encoded."""
_ELSEWHERE = ("language", "title", "name", "handler_name", "timecode", "stereo_mode", "alpha_mode", "rotate",
              "filename", "mimetype", "creation_time")  # fmt: skip
"""Tags of streams that are compared by themselves, or that are not tags in every container."""
_FLAGS = ("dub", "original", "comment", "lyrics", "karaoke", "forced", "hearing_impaired", "visual_impaired",
          "clean_effects", "captions", "descriptions")  # fmt: skip
_FRAMES_LOOKED_AT = 3
_WIDE = ("bt2020", "smpte428", "smpte431", "smpte432")
"""Primaries that make pale pictures where they are not told."""


@dataclass(frozen=True, slots=True)
class Written:
    """A finished file and where it comes from."""

    path: str
    container: str
    """"mp4", "mov", "mkv", "webm", "gif" or "apng"."""
    codec: str
    info: VideoInfo
    """Of the source."""
    kinds: Mapping[str, Fraction] = field(default_factory=dict)
    """Kinds of side data in the source, with a time in the written film, in seconds, at which they should be."""
    source: str | None = None
    """None where nothing but pictures was taken from a file."""
    twins: Mapping[int, int] = field(default_factory=dict)
    """For each stream of the source that went along, its number in the written file."""
    chapters: int = 0
    """How many went along."""


@dataclass(slots=True)
class _Missing:
    tags: dict[str, str] = field(default_factory=dict)
    languages: dict[int, tuple[str, int]] = field(default_factory=dict)
    """And the source's stream, by the written stream's id."""
    of_streams: list[str] = field(default_factory=list)
    """Other tags of streams, in words."""
    kinds: set[str] = field(default_factory=set)
    others: list[str] = field(default_factory=list)
    """In words."""
    film: int = 1
    """The written film's stream's id."""

    def lines(self, one: Written) -> list[str]:
        words = [*self.tags, *self.of_streams]
        words += [f"the language {language} of stream {number}" for language, number in self.languages.values()]
        lines = [f"tags dropped: {one.container} cannot hold {', '.join(map(legible, words))}"] if words else []
        holder = one.container if one.container == one.codec else f"{one.codec} in {one.container}"
        flat = {"STEREO3D"} if not stereo_mode(one.info.side_data) else set()  # says that it is not stereo
        lost = [*named(self.kinds - flat), *self.others]
        return [*lines, *(f"{name} dropped: {holder} is written without it" for name in lost)]


def settle(one: Written) -> list[str]:
    """Add to a finished file what its muxer left out and can be added; one line for each thing that is lost.

    Raises SourceError where the source cannot be read any more.
    """
    missing = _compare(one)
    if one.container in ("mp4", "mov"):
        entry = b""
        if "STEREO3D" in missing.kinds and len(raw := one.info.side_data.get("STEREO3D", b"")) >= 8:
            layout, flags = struct.unpack("=2i", raw[:8])
            entry += stereo_box(layout, bool(flags & 1))
        if "SPHERICAL" in missing.kinds and len(raw := one.info.side_data.get("SPHERICAL", b"")) >= 36:
            entry += spherical_box(raw)
        languages = {track: code for track, (code, _) in missing.languages.items() if _is_iso_639_2(code)}
        if entry or missing.tags or languages:
            try:
                add_to_movie(one.path, one.container, missing.film, entry, missing.tags, languages)
                missing = _compare(one)
            except (OSError, ValueError, struct.error):
                pass  # a full disk, for example: the film itself is whole, and what is missing is named
    return missing.lines(one)


def _is_iso_639_2(code: str) -> bool:
    return len(code) == 3 and code.isascii() and code.isalpha() and code.islower()


def _compare(one: Written) -> _Missing:
    missing = _Missing(kinds=set(one.kinds))
    if one.container == "webp":  # which FFmpeg 8 writes and does not read, and which holds pictures only
        if one.source is not None:
            with open_container(one.source) as source:
                missing.tags = {k: v for k, v in source.metadata.items() if k.lower() not in FILE_TAGS}
        missing.others = _compare_pictures(one.info, None)
        return missing
    with open_container(one.path) as written:
        film = film_stream(written, one.path)
        missing.film = film.id
        missing.others = _compare_pictures(one.info, film)
        if len(written.chapters()) < one.chapters:
            missing.others.append(f"{one.chapters - len(written.chapters())} chapters")
        if one.source is not None:
            with open_container(one.source) as source:
                _compare_tags(source, written, one, missing)
        for time in sorted({one.kinds[kind] for kind in missing.kinds}):
            for picture in _pictures_at(written, film, time):
                missing.kinds -= attached(picture).keys()
    return missing


def _pictures_at(container: InputContainer, film: Stream, time: Fraction) -> Iterator[av.VideoFrame]:
    """The first pictures shown at that time or later."""
    base = time_base_of(film)
    left = _FRAMES_LOOKED_AT
    try:
        container.seek(int(time / base), stream=film)
        for picture in container.decode(film):
            if isinstance(picture, av.VideoFrame) and picture.pts is not None and picture.pts * base >= time - base:
                yield picture
                left -= 1
            if not left:
                return
    except (av.FFmpegError, OSError):
        return  # what cannot be read back is not there


def _compare_pictures(info: VideoInfo, film: VideoStream | None) -> list[str]:
    """What the source says of its pixels' shape and colours and the written film, None for one of neither, does not."""
    lost = []
    aspect = None if film is None else fraction(film.sample_aspect_ratio)
    if abs((aspect or 1) / info.sample_aspect_ratio - 1) > Fraction(1, 100):  # GIF has room for some
        lost.append(f"pixel aspect {info.sample_aspect_ratio}")
    transfer = "" if film is None else TRANSFERS.get(film.codec_context.color_trc, "")
    primaries = "" if film is None else PRIMARIES.get(film.codec_context.color_primaries, "")
    if info.color.transfer in HDR_TRANSFERS and transfer != info.color.transfer:
        lost.append(f"HDR transfer {info.color.transfer}")
    if info.color.primaries in _WIDE and primaries != info.color.primaries:
        lost.append(f"wide gamut {info.color.primaries}")
    return lost


def _compare_tags(source: InputContainer, written: InputContainer, one: Written, missing: _Missing) -> None:
    arrived = {key.lower() for key in written.metadata}
    for key, value in source.metadata.items():
        if key.lower() not in arrived and key.lower() not in (*FILE_TAGS, "timecode"):
            missing.tags[key] = value
    # The muxer of mp4 and mov leaves out tracks of which nothing was written, sound that begins after the part that is
    # painted for example; the others keep their numbers.
    numbered = one.container in ("mp4", "mov")
    arrived_streams = {stream.id - 1 if numbered else stream.index: stream for stream in written.streams}
    for number, twin in one.twins.items():
        mine, its = source.streams[number], arrived_streams.get(twin)
        if its is not None:
            _compare_streams(mine, its, missing)


def _compare_streams(mine: Stream, its: Stream, missing: _Missing) -> None:
    """Note what the stream of the source says of itself and the written one does not."""
    before = {key.lower(): value for key, value in mine.metadata.items()}
    after = {key.lower(): value for key, value in its.metadata.items()}
    number = mine.index
    language = before.get("language", "und")
    if language not in ("und", after.get("language")):
        missing.languages[its.id] = language, number
    title = before.get("title") or before.get("name")
    if title and title not in (after.get("title"), after.get("name"), after.get("handler_name")):
        missing.of_streams.append(f"the title {title} of stream {number}")
    if "timecode" in before and "timecode" not in after:
        missing.of_streams.append(f"the timecode {before['timecode']}")
    for key in before:
        if key not in after and key not in _ELSEWHERE and not key.startswith(STREAM_TAGS):
            missing.of_streams.append(f"{key} of stream {number}")
    for flag in _FLAGS:
        if mine.disposition & Disposition[flag] and not its.disposition & Disposition[flag]:
            missing.of_streams.append(f"the flag {flag} of stream {number}")
