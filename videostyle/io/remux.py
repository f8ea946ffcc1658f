"""What goes along with the picture: sound, subtitles, fonts, cover, chapters and tags, copied packet by packet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from typing import Any, cast

import av
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Discard, Disposition, Stream
from av.subtitles.codeccontext import SubtitleCodecContext

from videostyle.io.boxes import sample_kinds
from videostyle.io.codecs import Container
from videostyle.io.info import film_stream, open_container
from videostyle.io.kept import FILE_TAGS, STREAM_TAGS
from videostyle.io.pyav import codec_of, fraction, kind_of, open_output, time_base_of
from videostyle.io.timecode import moved, timecode_of

_SUBTITLE_LEAD = 10  # seconds before the span to look for subtitles that reach into it
_TEXT_SUBTITLES = ("subrip", "ass", "ssa", "mov_text", "webvtt", "text")
# WAV and its like give only a number of channels, which encoders do not take.
_LAYOUTS = {
    f"{count} channels": name
    for count, name in enumerate(("mono", "stereo", "2.1", "quad", "5.0", "5.1", "6.1", "7.1"), start=1)
}


@dataclass(frozen=True, slots=True)
class Window:
    """The part of the source that is kept, in its own seconds, and how far it moves."""

    start: Fraction | None
    """None keeps everything from the beginning, priming samples before it included."""
    end: Fraction | None
    shift: Fraction
    """Taken off every timestamp."""


class StreamCopier:
    """Adds a source's other streams to an output, then moves their packets along with the picture.

    It opens the source itself, so that no container is shared with the thread that decodes.
    """

    def __init__(
        self,
        path: str,
        output: OutputContainer,
        picture: Stream,
        name: str,
        container: Container,
        window: Window,
        warnings: list[str],
    ) -> None:
        """Add the streams; call before the output's header is written. `warnings` gets a line for each that is left.

        `picture` is the output's stream of painted pictures, which gets the tags of the source's.

        Raises SourceError where the source cannot be opened again.
        """
        self._output = output
        self._name = name
        self._container = container
        self._window = window
        self.streams: list[str] = []
        """One line for each stream that goes along, and how."""
        self._warnings = warnings
        self._closing = ExitStack()
        self._source: InputContainer = self._closing.enter_context(open_container(path))
        self.twins: dict[int, int] = {}
        """For each stream of the source that goes along, its number in the output; the pictures' too."""
        self._handlers: dict[int, Callable[[Packet[Any]], None]] = {}
        self._flushes: list[Callable[[], None]] = []
        self._sample_kinds = sample_kinds(path)
        self._copy_tags()
        film = film_stream(self._source, path)
        self._tag(film, picture)
        self._copy_timecode(film, picture)
        chosen = [stream for stream in self._source.streams if stream.index != film.index and self._add(stream)]
        for stream in self._source.streams:
            if stream.index not in self._handlers:
                stream.discard = Discard.all
        if chosen and window.start is not None:
            self._source.seek(max(int((window.start - _SUBTITLE_LEAD) * av.time_base), 0))
        self._packets = self._demux([s for s in chosen if s.index in self._handlers])
        self._next: Packet[Any] | None = next(self._packets, None)

    def _copy_tags(self) -> None:
        tags = {k: v for k, v in self._source.metadata.items() if k.lower() not in (*FILE_TAGS, "timecode")}
        if "creation_time" in tags:  # from two places in the file, joined by FFmpeg
            tags["creation_time"] = tags["creation_time"].partition(";")[0]
        self._output.metadata.update(tags)
        kept = []
        for chapter in self._source.chapters():
            base = fraction(chapter["time_base"]) or Fraction(1)
            start, end = chapter["start"] * base, chapter["end"] * base
            first, last = self._window.start or start, self._window.end or end
            if end > first and start < last:
                moved = (max(start, first) - self._window.shift, min(end, last) - self._window.shift)
                chapter["start"], chapter["end"] = (round(t / base) for t in moved)
                kept.append(chapter)
        if kept and self._container.audio:
            self._output.set_chapters(kept)
        elif kept:
            self._warnings.append(f"{len(kept)} chapters dropped: {self._name} cannot hold them")

    def _copy_timecode(self, film: Stream, picture: Stream) -> None:
        """Give the pictures the source's timecode, of which muxers make a track or a tag."""
        timecode = timecode_of([*(stream.metadata for stream in self._source.streams), self._source.metadata])
        if not timecode:
            return
        shift = self._window.shift - (film.start_time or 0) * time_base_of(film) if self._window.start else Fraction(0)
        kept = moved(timecode, max(shift, Fraction(0)), fraction(film.average_rate))
        if kept:
            picture.metadata["timecode"] = kept
        else:
            self._warnings.append(f"timecode {timecode} dropped: it does not fit the film's rate")

    # Adding streams

    def _add(self, stream: Stream) -> bool:
        """Add `stream` to the output in the best way there is; False, with a warning, where there is none."""
        codec, kind = codec_of(stream), kind_of(stream)
        if kind == "data":
            return self._add_data(stream, codec)
        if kind == "attachment" and isinstance(stream, AttachmentStream) and self._container.attachments:
            self._output.add_attachment(
                stream.name or f"attachment{stream.index}", stream.mimetype or "application/octet-stream", stream.data
            )
            self.streams.append(f"{_named(stream)} stream {stream.index} ({codec}) copied")
            return True
        if kind == "video" and stream.disposition & Disposition.attached_pic and self._container.cover:
            return self._add_cover(stream, codec)
        if kind == "audio" and stream.codec_context:
            if _matches(codec, self._container.audio):
                return self._copy(stream, codec)
            if self._container.audio_fallback:
                self._transcode_audio(stream, codec)
                return True
        if kind == "subtitle" and stream.codec_context:
            if codec in self._container.subtitles:
                return self._copy(stream, codec)
            if codec in _TEXT_SUBTITLES and self._container.text:
                self._transcode_text(stream, codec)
                return True
        self._drop(stream, codec)
        return False

    def _add_data(self, stream: Stream, codec: str) -> bool:
        """Add data of any kind, a camera's telemetry for example, where the output's muxer takes it."""
        if "timecode" in stream.metadata:
            return False  # goes along with the pictures
        stored = self._sample_kinds.get(stream.id, "") or codec
        if stored == "chapters":
            return False  # an mp4's chapter titles, already copied as chapters
        if not _holds_data(self._container.format, stream):
            self._drop(stream, stored)
            return False
        self._remux(stream, self._output.add_stream_from_template(stream))
        self.streams.append(f"data stream {stream.index} ({stored}) copied")
        return True

    def _drop(self, stream: Stream, codec: str, why: str = "") -> None:
        named = _named(stream)
        reason = why or ("only one picture track is painted" if named == "video" else f"{self._name} cannot hold it")
        self._warnings.append(f"{named} stream {stream.index} ({codec}) dropped: {reason}")

    def _tag(self, stream: Stream, twin: Stream) -> None:
        """Copy what describes the stream, but for what only its old container or encoder had to say."""
        own = (*STREAM_TAGS, "timecode", "alpha_mode", "rotate")
        tags = {key: value for key, value in stream.metadata.items() if not key.lower().startswith(own)}
        if "name" in tags:  # what mp4 and mov have for a title
            tags.setdefault("title", tags.pop("name"))
        twin.metadata.update(tags)
        twin.disposition = stream.disposition
        self.twins[stream.index] = twin.index

    def _copy(self, stream: Stream, codec: str) -> bool:
        try:
            twin = self._output.add_stream_from_template(stream, opaque=True)
        except (ValueError, av.FFmpegError) as error:
            self._drop(stream, codec, f"{self._name} cannot hold it ({error})")
            return False
        self._remux(stream, twin)
        self.streams.append(f"{_named(stream)} stream {stream.index} ({codec}) copied")
        return True

    def _remux(self, stream: Stream, twin: Stream) -> None:
        """Have the stream's packets copied to its twin."""
        self._tag(stream, twin)

        def mux(packet: Packet[Any]) -> None:
            shift = round(self._window.shift / time_base_of(packet))
            packet.stream = twin
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = packet.pts if packet.dts is None else packet.dts - shift
            self._output.mux(packet)

        self._handlers[stream.index] = mux

    def _add_cover(self, stream: Stream, codec: str) -> bool:
        if self._name != "mkv":
            return self._copy(stream, codec)
        packet = next((p for p in self._source.demux(stream) if p.size), None)
        self._source.seek(0)
        if packet is None:
            self._drop(stream, codec, "it is empty")
            return False
        kind = {"mjpeg": "jpeg"}.get(codec, codec)
        self._output.add_attachment(f"cover.{kind.replace('jpeg', 'jpg')}", f"image/{kind}", bytes(packet))
        self.streams.append(f"cover art stream {stream.index} ({codec}) copied")
        return True

    def _transcode_audio(self, stream: Stream, codec: str) -> None:
        assert isinstance(stream, AudioStream)
        decoder = stream.codec_context
        encoder = self._container.audio_fallback
        rate = 48000 if encoder == "libopus" or decoder.sample_rate > 48000 else decoder.sample_rate
        twin = cast(AudioStream, self._output.add_stream(encoder, rate=rate))
        twin.codec_context.layout = _LAYOUTS.get(decoder.layout.name, decoder.layout.name)
        twin.codec_context.bit_rate = 96_000 * max(decoder.layout.nb_channels, 1)
        self._tag(stream, twin)
        done = f"audio stream {stream.index} ({codec}) re-encoded to {encoder.removeprefix('lib')}"
        self.streams.append(done)
        self._warnings.append(f"{done}: {self._name} cannot hold {codec}")
        shift = self._window.shift

        def push(frame: av.AudioFrame | None) -> None:
            if frame is not None and frame.pts is not None and (base := fraction(frame.time_base)):
                frame.pts -= round(shift / base)
            self._output.mux(twin.encode(frame))

        def mux(packet: Packet[Any]) -> None:
            try:
                frames = decoder.decode(packet)
            except av.FFmpegError:
                return  # a damaged packet; the gap stays where it was
            for frame in frames:
                push(frame)

        def flush() -> None:
            for frame in decoder.decode(None):
                push(frame)
            push(None)

        self._handlers[stream.index] = mux
        self._flushes.append(flush)

    def _transcode_text(self, stream: Stream, codec: str) -> None:
        assert self._container.text is not None
        decoder, (name, target) = stream.codec_context, self._container.text
        assert isinstance(decoder, SubtitleCodecContext)
        decoder.open(strict=False)
        twin = self._output.add_stream(name)
        encoder: CodecContext = twin.codec_context
        assert isinstance(encoder, SubtitleCodecContext)
        encoder.subtitle_header = decoder.subtitle_header
        encoder.time_base = Fraction(1, 1000)
        self._tag(stream, twin)
        done = f"subtitle stream {stream.index} ({codec}) rewritten as {target}"
        self.streams.append(done)
        self._warnings.append(f"{done}: {self._name} cannot hold {codec}")

        def mux(packet: Packet[Any]) -> None:
            lines = decoder.decode2(packet)
            if lines is None or not len(lines) or packet.pts is None:
                return
            written = encoder.encode_subtitle(lines)
            written.stream = twin
            written.time_base = Fraction(1, 1000)
            written.pts = written.dts = round((packet.pts * time_base_of(packet) - self._window.shift) * 1000)
            written.duration = round((packet.duration or 0) * time_base_of(packet) * 1000)
            self._output.mux(written)

        self._handlers[stream.index] = mux

    # Moving packets

    def advance(self, until: Fraction | None) -> None:
        """Mux every packet that starts by `until`, in the source's seconds; None is all that is left."""
        while self._next is not None and (until is None or _time(self._next) <= until):
            packet, self._next = self._next, next(self._packets, None)
            self._handlers[packet.stream_index](packet)

    def _demux(self, streams: list[Stream]) -> Iterator[Packet[Any]]:
        """The packets of `streams` inside the window, in the order they are shown; subtitles are clipped to it."""
        if not streams:
            return
        start, end = self._window.start, self._window.end
        for packet in self._source.demux(streams):
            if packet.size and packet.stream.disposition & Disposition.attached_pic:
                packet.pts = packet.dts = round(self._window.shift / time_base_of(packet))
                yield packet
                continue
            if not packet.size or (packet.pts is None and packet.dts is None):
                continue
            time = _time(packet)
            if end is not None and time >= end:
                if time > end + _SUBTITLE_LEAD:
                    return
                continue
            if start is not None and time < start:
                base = time_base_of(packet)
                tail = time + (packet.duration or 0) * base
                if kind_of(packet.stream) != "subtitle" or tail <= start:
                    continue
                packet.pts = packet.dts = round(start / base)
                packet.duration = round((tail - start) / base)
            yield packet

    def finish(self, until: Fraction | None = None) -> None:
        """Mux what is left, up to `until` where the film was broken off, and flush the encoders."""
        self.advance(until)
        for flush in self._flushes:
            flush()

    def close(self) -> None:
        """Close the source."""
        self._closing.close()


def _time(packet: Packet[Any]) -> Fraction:
    ticks = packet.pts if packet.pts is not None else packet.dts
    return (ticks or 0) * time_base_of(packet)


def _named(stream: Stream) -> str:
    """What people call the kind of stream."""
    is_image = isinstance(stream, AttachmentStream) and (stream.mimetype or "").startswith("image/")
    return "cover art" if is_image or stream.disposition & Disposition.attached_pic else kind_of(stream)


def _holds_data(container: str, stream: Stream) -> bool:
    """True where FFmpeg's muxer takes such a stream of data: it is asked to begin a file with one."""
    scratch = open_output(cast(str, BytesIO()), format=container)
    try:
        scratch.add_stream_from_template(stream)
        scratch.start_encoding()
        scratch.close()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _matches(codec: str, allowed: tuple[str, ...]) -> bool:
    return any(codec == a or (a.endswith("*") and codec.startswith(a[:-1])) for a in allowed)
