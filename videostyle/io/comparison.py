"""Comparison of a source with the file written from it: missing properties are added, or listed as dropped."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from videostyle.io.boxes import add_to_movie, spherical_box, stereo_box
from videostyle.io.codecs import ONLY_PIPES
from videostyle.io.colors import HDR_TRANSFERS, PRIMARIES, SPACES, TRANSFERS
from videostyle.io.info import film_stream, open_container
from videostyle.io.pyav import fraction, printable, time_base_of
from videostyle.io.side_data import kind_names, side_data_by_kind, stereo_mode
from videostyle.types import VideoInfo

FILE_TAGS = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration")
"""Tags that describe the file, not the film."""
STREAM_TAGS = ("encoder", "duration", "vendor_id", "bps", "number_of_", "_statistics", *FILE_TAGS)
"""Beginnings of tags that describe the storage or encoding of a stream."""
_ELSEWHERE = ("language", "title", "name", "handler_name", "timecode", "stereo_mode", "alpha_mode", "rotate",
              "filename", "mimetype", "creation_time")  # fmt: skip
"""Tags of streams that are compared separately, or that are not tags in every container."""
_FLAGS = ("dub", "original", "comment", "lyrics", "karaoke", "forced", "hearing_impaired", "visual_impaired",
          "clean_effects", "captions", "descriptions")  # fmt: skip
_FRAMES_LOOKED_AT = 3
_WIDE = ("bt2020", "smpte428", "smpte431", "smpte432")
"""Primaries of a wide gamut; a film with these looks pale where its container does not state them."""


def tags_of(stream: Stream) -> dict[str, str]:
    """Return the tags of a stream, without those of its container or encoder."""
    own = (*STREAM_TAGS, "timecode", "alpha_mode", "rotate")
    tags = {key: value for key, value in stream.metadata.items() if not key.lower().startswith(own)}
    if "name" in tags:  # the title in mp4 and mov
        tags.setdefault("title", tags.pop("name"))
    return tags


@dataclass(frozen=True, slots=True)
class Written:
    """A finished file and its source."""

    path: str
    container: str
    """"mp4", "mov", "mkv", "webm", "gif", "apng", or one of `codecs.ONLY_PIPES`."""
    codec: str
    info: VideoInfo
    """Properties of the source."""
    kinds: Mapping[str, Fraction] = field(default_factory=dict)
    """Kinds of side data in the source, each with a time in the written film, in seconds, at which it should be."""
    source: str | InputContainer | None = None
    """Path of the source, or the source itself, still open; None where only its pictures were used."""
    stream_map: Mapping[int, int] = field(default_factory=dict)
    """Number in the written file of each copied or re-encoded stream, by its number in the source."""
    chapters: int = 0
    """Number of chapters that were copied."""


@dataclass(slots=True)
class _Missing:
    tags: dict[str, str] = field(default_factory=dict)
    languages: dict[int, tuple[str, int]] = field(default_factory=dict)
    """Language and number of the source's stream, by the id of the written stream."""
    of_streams: list[str] = field(default_factory=list)
    """Descriptions of other tags of streams."""
    kinds: set[str] = field(default_factory=set)
    others: list[str] = field(default_factory=list)
    """Descriptions of other properties."""
    film: int = 1
    """Id of the written film's stream."""

    def lines(self, one: Written) -> list[str]:
        words = [*self.tags, *self.of_streams]
        words += [f"the language {language} of stream {number}" for language, number in self.languages.values()]
        lines = [f"tags dropped: {one.container} cannot hold {', '.join(map(printable, words))}"] if words else []
        holder = one.container if one.container == one.codec else f"{one.codec} in {one.container}"
        flat = {"STEREO3D"} if not stereo_mode(one.info.side_data) else set()  # side data for a film without stereo
        lost = [*kind_names(self.kinds - flat), *self.others]
        return [*lines, *(f"{name} dropped: {holder} is written without it" for name in lost)]


def add_missing(one: Written) -> list[str]:
    """Add the properties that the muxer left out to a finished file; return one line for each that is lost.

    Raises SourceError where the source can no longer be read.
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
                pass  # a full disk, for example: the film itself is complete, and the warnings list the rest
    return missing.lines(one)


def compare_head(one: Written, head: bytes | bytearray) -> list[str]:
    """Return one line for each property that is lost in what went through a pipe, of which there is the beginning."""
    with suppress(OSError), TemporaryDirectory() as folder:
        file = Path(folder) / f"head.{one.container}"
        file.write_bytes(head)
        kinds = {kind: time for kind, time in one.kinds.items() if not time}
        return add_missing(replace(one, path=str(file), kinds=kinds))
    return []


def _is_iso_639_2(code: str) -> bool:
    return len(code) == 3 and code.isascii() and code.isalpha() and code.islower()


def _compare(one: Written) -> _Missing:
    missing = _Missing(kinds=set(one.kinds))
    if one.container in ("webp", "rawvideo"):  # FFmpeg 8 writes webp but does not read it; they hold pictures only
        if one.source is not None:
            with _opened(one.source) as source:
                missing.tags = {k: v for k, v in source.metadata.items() if k.lower() not in FILE_TAGS}
        missing.others = _compare_pictures(one, None)
        return missing
    with open_container(one.path) as written:
        film = film_stream(written, one.path)
        missing.film = film.id
        missing.others = _compare_pictures(one, film)
        if len(written.chapters()) < one.chapters:
            missing.others.append(f"{one.chapters - len(written.chapters())} chapters")
        if one.source is not None:
            with _opened(one.source) as source:
                _compare_tags(source, written, one, missing)
        for time in sorted({one.kinds[kind] for kind in missing.kinds}):
            for picture in _pictures_at(written, film, time):
                missing.kinds -= side_data_by_kind(picture).keys()
    return missing


def _opened(source: str | InputContainer) -> AbstractContextManager[InputContainer]:
    return open_container(source) if isinstance(source, str) else nullcontext(source)


def _pictures_at(container: InputContainer, film: Stream, time: Fraction) -> Iterator[av.VideoFrame]:
    """Yield the first pictures shown at `time`, in seconds, or later."""
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
    except (av.FFmpegError, OSError, ValueError):
        return  # side data that cannot be read back counts as missing


def _compare_pictures(one: Written, film: VideoStream | None) -> list[str]:
    """List the pixel aspect and colour tags that the source states and the written `film` does not.

    `film` is None for a container that cannot state any. A program at the other end of a pipe has to be told all colour
    tags; players do without those of ordinary films.
    """
    lost, info = [], one.info
    aspect = None if film is None else fraction(film.sample_aspect_ratio)
    if abs((aspect or 1) / info.sample_aspect_ratio - 1) > Fraction(1, 100):  # GIF has room for some
        lost.append(f"pixel aspect {info.sample_aspect_ratio}")
    transfer = "" if film is None else TRANSFERS.get(film.codec_context.color_trc, "")
    primaries = "" if film is None else PRIMARIES.get(film.codec_context.color_primaries, "")
    if info.color.transfer in HDR_TRANSFERS and transfer != info.color.transfer:
        lost.append(f"HDR transfer {info.color.transfer}")
    if info.color.primaries in _WIDE and primaries != info.color.primaries:
        lost.append(f"wide gamut {info.color.primaries}")
    if one.container in ONLY_PIPES:
        space = "" if film is None else SPACES.get(film.codec_context.colorspace, "")
        stated = {"matrix": (info.color.space, space), "transfer": (info.color.transfer, transfer)}
        stated["primaries"] = info.color.primaries, primaries
        words = [f"{kind} {its}" for kind, (its, kept) in stated.items() if its and not kept]
        lost += [f"the colour tags ({', '.join(words)})"] * bool(words)
    return lost


def _compare_tags(source: InputContainer, written: InputContainer, one: Written, missing: _Missing) -> None:
    arrived = {key.lower() for key in written.metadata}
    for key, value in source.metadata.items():
        if key.lower() not in arrived and key.lower() not in (*FILE_TAGS, "timecode"):
            missing.tags[key] = value
    # The muxer of mp4 and mov leaves out tracks without packets, such as sound that begins after the stylized part; the
    # others keep their numbers.
    numbered = one.container in ("mp4", "mov")
    arrived_streams = {stream.id - 1 if numbered else stream.index: stream for stream in written.streams}
    for number, written_number in one.stream_map.items():
        mine, its = source.streams[number], arrived_streams.get(written_number)
        if its is not None:
            _compare_streams(mine, its, missing)


def _compare_streams(mine: Stream, its: Stream, missing: _Missing) -> None:
    """Record the properties that the source's stream states and the written one does not."""
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
