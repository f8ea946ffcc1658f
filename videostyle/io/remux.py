"""Remuxing: copies sound, subtitles, fonts, cover art, chapters and tags to the output, packet by packet."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from fractions import Fraction
from typing import Any, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.container import OutputContainer
from av.format import Flags
from av.packet import Packet
from av.stream import AttachmentStream, Discard, Disposition, Stream
from av.subtitles.codeccontext import SubtitleCodecContext
from av.video.stream import VideoStream

from videostyle.io.boxes import sample_entry_types
from videostyle.io.clock import Clock, may_restart, rate_of
from videostyle.io.codecs import Container
from videostyle.io.comparison import FILE_TAGS, tags_of
from videostyle.io.info import film_stream, open_container
from videostyle.io.packets import (
    SAMPLES,
    SUBTITLE_LEAD,
    PacketReader,
    TimeRange,
    first_packets,
    is_priming,
    packet_time,
)
from videostyle.io.pipes import PipeInput
from videostyle.io.pyav import codec_of, fraction, has_flag, kind_of, time_base_of
from videostyle.io.sound import AudioFormat, AudioTranscoder, adts_format_changes, audio_formats, copy_problem
from videostyle.io.streams import matches, muxer_accepts, stream_name
from videostyle.io.subtitles import SubtitleTranscoder
from videostyle.io.timecode import copy_timecode

_TEXT_SUBTITLES = ("subrip", "ass", "ssa", "mov_text", "webvtt", "text")
_STEP_BACK = Fraction(1, 20)  # seconds that a packet may go back in time and still be kept, a little late
_FORMAT_CHANGES = "its rate, channels or profile change in mid-film"
_OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.EPIPE)
"""Errors of the output itself, which are raised; other errors only end the stream."""


# More than 200 lines: each way to take a stream along is short, and all share the output, its clock and the warnings.
class StreamCopier:
    """Adds a source's other streams to an output, then muxes their packets in step with the film's.

    A file is opened once more, so no container is shared with the thread that decodes; that thread reads a pipe itself.
    """

    def __init__(
        self,
        path: str | PipeInput,
        output: OutputContainer,
        picture: Stream,
        name: str,
        container: Container,
        window: TimeRange,
        warnings: list[str],
    ) -> None:
        """Add the streams; call this before the output's header is written.

        `picture` is the output's stream of stylized frames, which gets the tags of the source's; `name` is the
        container's, `window` the part of the source that is kept. `warnings` gets a line for each stream that is
        dropped. Raises SourceError where the source cannot be opened again.
        """
        self._output = output
        self._name = name
        self._container = container
        self._window = window
        self.streams: list[str] = []
        """One line for each stream in the output: copied, re-encoded or rewritten."""
        self._warnings = warnings
        self._closing, self._path = ExitStack(), path if isinstance(path, str) else path.name
        self._pipe = path if isinstance(path, PipeInput) else None
        if isinstance(path, PipeInput):
            self._source, path = path.container, path.name
        else:
            self._source = self._closing.enter_context(open_container(path))
        self.chapters = 0
        self.stream_map: dict[int, int] = {}
        """Number in the output of each kept stream, the film included, by its number in the source."""
        self._handlers: dict[int, Callable[[Packet[Any]], None]] = {}
        self._flushes: list[tuple[int, Callable[[], None]]] = []
        self._last: dict[int, int] = {}
        """Latest decoding time written of each copied stream, in its ticks."""
        self._shown: set[int] = set()
        """Copied streams of which a packet was written that players do not hide."""
        self._went_back: dict[int, int] = {}  # packets of each copied stream that were left out for that
        with nullcontext(path) if self._pipe is None else self._pipe.head() as file:
            self._sample_entry_types = sample_entry_types(file)
        film = film_stream(self._source, path)
        self._film = film.index
        self._clock = Clock(self._source, film) if self._pipe is None else self._pipe.clock
        self._copy_tags()
        self._tag(film, picture)
        self._copy_timecode(film, picture)
        self._samples = self._first_packets() if self._source.streams.audio else {}
        chosen = [stream for stream in self._source.streams if stream.index != film.index and self._add(stream)]
        self._next: Packet[Any] | None = None
        if self._pipe is not None:
            self._pipe.want(self._handlers.keys())
            self._packets = self._pipe.others(window)
            return
        # Where the film's clock may restart, its packets are needed to interpret the times of the others.
        needed = {*self._handlers, *([self._film] if may_restart(self._source) else [])}
        for stream in self._source.streams:
            if stream.index not in needed:
                stream.discard = Discard.all
        if chosen and window.start is not None and not may_restart(self._source):
            with suppress(av.FFmpegError, OSError):  # without a seek all is read, and earlier packets are left out
                begins = window.start + self._clock.origin - SUBTITLE_LEAD
                self._source.seek(max(int(begins * av.time_base), 0))
        reader = PacketReader(self._source, film.index, self._clock, window)
        self._packets = reader.demux([s for s in chosen if s.index in self._handlers])

    def _first_packets(self) -> dict[int, list[Packet[Any]]]:
        """Return the first packets of each sound stream, with which muxers are tested."""
        if self._pipe is not None:
            return {stream.index: self._pipe.waiting(stream)[:SAMPLES] for stream in self._source.streams.audio}
        with open_container(self._path) as source:
            return first_packets(source)

    def _copy_tags(self) -> None:
        tags = {k: v for k, v in self._source.metadata.items() if k.lower() not in (*FILE_TAGS, "timecode")}
        if "creation_time" in tags:  # FFmpeg joins the values of two places in the file
            tags["creation_time"] = tags["creation_time"].partition(";")[0]
        self._output.metadata.update(tags)
        kept = []
        for chapter in self._source.chapters():
            base = fraction(chapter["time_base"]) or Fraction(1)
            start, end = (chapter[place] * base - self._clock.origin for place in ("start", "end"))
            first, last = self._window.start or start, self._window.end or end
            if end > first and start < last:
                clipped = (max(start, first) - self._window.shift, min(end, last) - self._window.shift)
                chapter["start"], chapter["end"] = (round(t / base) for t in clipped)
                kept.append(chapter)
        if kept and self._container.audio:
            self._output.set_chapters(kept)
            self.chapters = len(kept)
        elif kept:
            self._warnings.append(f"{len(kept)} chapters dropped: {self._name} cannot hold them")

    def _copy_timecode(self, film: VideoStream, picture: Stream) -> None:
        """Tag the film with the source's timecode, which muxers write as a track or a tag."""
        begins = (film.start_time or 0) * time_base_of(film) - self._clock.origin
        shift = self._window.shift - begins if self._window.start else Fraction(0)
        tags = [*(stream.metadata for stream in self._source.streams), self._source.metadata]
        self._warnings += copy_timecode(tags, picture, max(shift, Fraction(0)), rate_of(film))

    # Adding streams

    def _add(self, stream: Stream) -> bool:
        """Add `stream` to the output in the best possible way; return False, with a warning, where there is none."""
        codec, kind = codec_of(stream), kind_of(stream)
        if kind == "data":
            return self._add_data(stream, codec)
        if kind == "video" and stream.duration is None and "msf1" in self._source.metadata.get("compatible_brands", ""):
            return False  # the still image of an animation: its first picture once more
        if kind == "attachment" and isinstance(stream, AttachmentStream) and self._container.attachments:
            self._output.add_attachment(
                stream.name or f"attachment{stream.index}", stream.mimetype or "application/octet-stream", stream.data
            )
            self.streams.append(f"{stream_name(stream)} stream {stream.index} ({codec}) copied")
            return True
        if kind == "video" and stream.disposition & Disposition.attached_pic and self._container.cover:
            return self._add_cover(stream, codec)
        if kind == "audio":
            return self._add_sound(stream, codec)
        if kind == "subtitle" and self._container.text is not None:
            return self._add_subtitles(stream, codec)
        self._drop(stream, codec)
        return False

    def _add_subtitles(self, stream: Stream, codec: str) -> bool:
        """Copy or rewrite the subtitles; codecs in no list here are copied where FFmpeg's muxer accepts them."""
        if stream.codec_context is None:
            self._drop(stream, codec, "this FFmpeg has no decoder for it")
            return False
        listed = codec in self._container.subtitles
        if codec in _TEXT_SUBTITLES and not listed:
            return self._transcode_text(stream, codec)
        if listed or not copy_problem(self._output, stream, ()):
            return self._copy(stream, codec)
        self._drop(stream, codec)
        return False

    def _add_data(self, stream: Stream, codec: str) -> bool:
        """Add data of any kind, a camera's telemetry for example, where the output's muxer accepts it."""
        if "timecode" in stream.metadata:
            return False  # copied with the film
        stored = self._sample_entry_types.get(stream.id, "") or codec
        if stored == "chapters":
            return False  # an mp4's chapter titles, already copied as chapters
        if not muxer_accepts(self._container.format, stream):
            self._drop(stream, stored)
            return False
        self._remux(stream, self._output.add_stream_from_template(stream))
        self.streams.append(f"data stream {stream.index} ({stored}) copied")
        return True

    def _drop(self, stream: Stream, codec: str, why: str = "") -> None:
        named = stream_name(stream)
        reason = why or ("only one video track is stylized" if named == "video" else f"{self._name} cannot hold it")
        self._warnings.append(f"{named} stream {stream.index} ({codec}) dropped: {reason}")

    def _tag(self, stream: Stream, copy: Stream) -> None:
        """Copy the tags and flags of a stream, without those of its old container or encoder."""
        copy.metadata.update(tags_of(stream))
        copy.disposition = stream.disposition
        self.stream_map[stream.index] = copy.index

    def _copy(self, stream: Stream, codec: str) -> bool:
        try:
            copy = self._output.add_stream_from_template(stream, opaque=True)
        except (ValueError, av.FFmpegError) as error:
            self._drop(stream, codec, f"{self._name} cannot hold it ({error})")
            return False
        self._remux(stream, copy)
        self.streams.append(f"{stream_name(stream)} stream {stream.index} ({codec}) copied")
        return True

    def _remux(self, stream: Stream, copy: Stream) -> None:
        """Set the handler that copies the stream's packets to its copy in the output."""
        self._tag(stream, copy)
        equal_times = has_flag(self._output, Flags.ts_nonstrict)

        def mux(packet: Packet[Any]) -> None:
            base = time_base_of(packet)
            shift = round(self._window.shift / base)
            if packet.is_discard and (packet.stream_index in self._shown or not is_priming(packet)):
                return  # hidden by an edit list
            if not packet.is_discard:
                self._shown.add(stream.index)
            packet.stream = copy
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = packet.pts if packet.dts is None else packet.dts - shift
            if packet.dts is not None and not self._make_monotonic(packet, stream.index, equal_times):
                return
            self._output.mux(packet)

        self._handlers[stream.index] = mux

    def _make_monotonic(self, packet: Packet[Any], index: int, equal_times: bool) -> bool:
        """Correct a packet that goes back by a few ticks; return False for one that goes back too far for muxers.

        With `equal_times` the muxer accepts two packets of the same time.
        """
        assert packet.dts is not None
        last = self._last.get(index)
        earliest = packet.dts if last is None else last + (0 if equal_times else 1)
        if packet.dts < earliest:
            if (earliest - packet.dts) * time_base_of(packet) > _STEP_BACK:
                self._went_back[index] = self._went_back.get(index, 0) + 1
                return False
            packet.dts = earliest
            packet.pts = None if packet.pts is None else max(packet.pts, earliest)
        self._last[index] = packet.dts
        return True

    def _add_cover(self, stream: Stream, codec: str) -> bool:
        if self._name != "mkv":
            return self._copy(stream, codec)
        picture = next((bytes(packet) for packet in self._packets_of(stream) if packet.size), None)
        if picture is None:
            self._drop(stream, codec, "it is empty")
            return False
        kind = "jpeg" if codec == "mjpeg" else codec
        # Players distinguish a cover from a small or a wide one by their names.
        name = stream.metadata.get("filename") or f"cover.{kind.replace('jpeg', 'jpg')}"
        self._output.add_attachment(name, f"image/{kind}", picture)
        self.streams.append(f"cover art stream {stream.index} ({codec}) copied")
        return True

    def _add_sound(self, stream: Stream, codec: str) -> bool:
        """Copy the sound or re-encode it, in the best way that FFmpeg's muxer and encoders accept."""
        decoder = stream.codec_context
        if not isinstance(decoder, AudioCodecContext):
            self._drop(stream, codec, "this FFmpeg has no decoder for it")
            return False
        wanted = matches(codec, self._container.audio)
        why = copy_problem(self._output, stream, self._samples.get(stream.index, ())) if wanted else ""
        changes = wanted and not why and codec == "aac" and not decoder.extradata and self._format_changes(stream)
        if wanted and not why and not changes:
            return self._copy(stream, codec)
        if not self._container.audio_fallback:
            self._drop(stream, codec)
            return False
        for encoding in audio_formats(decoder, (self._container.audio_fallback, self._output.default_audio_codec)):
            with suppress(ValueError, av.FFmpegError):
                like_this = "this " if wanted else ""  # the container may hold it at another rate
                reason = _FORMAT_CHANGES if changes else f"{self._name} cannot hold {like_this}{codec}"
                self._transcode(stream, codec, AudioTranscoder(self._output, decoder, encoding), encoding, reason)
                return True
        self._drop(stream, codec, f"{self._name} cannot hold it, and no encoder here accepts it")
        return False

    def _format_changes(self, stream: Stream) -> bool:
        with suppress(av.FFmpegError, OSError):
            return adts_format_changes(self._packets_of(stream))
        return False

    def _packets_of(self, stream: Stream) -> Iterator[Packet[Any]]:
        """Yield the packets of a stream from the beginning; of a pipe's, those that wait."""
        if self._pipe is not None:
            yield from self._pipe.waiting(stream)
            return
        # In a container of its own: a seek back to the beginning could lose what comes before the first picture.
        with open_container(self._path) as source:
            yield from source.demux(source.streams[stream.index])

    def _transcode(
        self, stream: Stream, codec: str, transcoder: AudioTranscoder, encoding: AudioFormat, why: str
    ) -> None:
        self._tag(stream, transcoder.stream)
        decoder = cast(AudioCodecContext, stream.codec_context)
        channels = av.AudioLayout(encoding.layout).nb_channels
        form = f" as {encoding.layout}" if channels != decoder.layout.nb_channels else ""
        form += f" at {encoding.rate} Hz" if encoding.rate != decoder.sample_rate else ""
        done = f"audio stream {stream.index} ({codec}) re-encoded to {encoding.encoder.removeprefix('lib')}{form}"
        self.streams.append(done)
        self._warnings.append(f"{done}: {why}")
        self._handlers[stream.index] = lambda packet: transcoder(packet, self._window.shift)

        def flush() -> None:
            transcoder.flush()
            if remarks := transcoder.remarks():
                self._warnings.append(f"audio stream {stream.index} ({codec}): {remarks}")

        self._flushes.append((stream.index, flush))

    def _transcode_text(self, stream: Stream, codec: str) -> bool:
        assert self._container.text is not None
        decoder, (name, target) = stream.codec_context, self._container.text
        assert isinstance(decoder, SubtitleCodecContext)
        try:
            transcoder = SubtitleTranscoder(self._output, decoder, name)
        except (ValueError, av.FFmpegError) as error:
            self._drop(stream, codec, f"it cannot be rewritten ({error})")
            return False
        self._tag(stream, transcoder.stream)
        done = f"subtitle stream {stream.index} ({codec}) rewritten as {target}"
        self.streams.append(done)
        self._warnings.append(f"{done}: {self._name} cannot hold {codec}")
        self._handlers[stream.index] = lambda packet: transcoder(packet, self._window.shift)

        def flush() -> None:
            if remarks := transcoder.remarks():
                self._warnings.append(f"subtitle stream {stream.index} ({codec}): lines {' and '.join(remarks)}")

        self._flushes.append((stream.index, flush))
        return True

    # Moving packets

    def advance(self, until: Fraction | None) -> None:
        """Mux every packet that starts at or before `until`, in the source's seconds; None muxes all the rest.

        A stream that cannot be written ends at that point, with a warning.
        """
        while (packet := self._next or next(self._packets, None)) is not None:
            self._next = packet
            if until is not None and packet_time(packet) > until:
                return
            self._next = None
            with self._ending_stream(packet.stream_index, packet):
                self._handlers[packet.stream_index](packet)

    @contextmanager
    def _ending_stream(self, index: int, packet: Packet[Any] | None = None) -> Iterator[None]:
        """End the stream of this index where the block fails: only errors of the film or the disk end the render."""
        try:
            yield
        except (av.FFmpegError, OSError, ValueError, ArithmeticError) as error:
            if getattr(error, "errno", None) in _OUTPUT:
                raise
            stream = self._source.streams[index]
            where = "" if packet is None else f" at {float(packet_time(packet)):.2f} s"
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            self._warnings.append(f"{kind_of(stream)} stream {index} ({codec_of(stream)}) ends{where}: {why}")
            self._handlers[index] = lambda packet: None
            self._flushes = [(other, flush) for other, flush in self._flushes if other != index]

    def finish(self, until: Fraction | None = None) -> None:
        """Mux the remaining packets, up to `until` where the film was interrupted, and flush the encoders."""
        self.advance(until)
        for index, flush in list(self._flushes):
            with self._ending_stream(index):
                flush()
        for index, count in self._went_back.items():
            named = f"{kind_of(self._source.streams[index])} stream {index} ({codec_of(self._source.streams[index])})"
            self._warnings.append(f"{named}: {count} packets left out because they go back in time")

    def close(self) -> None:
        """Close the source."""
        self._closing.close()
