"""Transcoding of sound. FFmpeg's encoders and muxers are tried out to find the formats that they accept."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.container import OutputContainer
from av.filter import Graph
from av.packet import Packet
from av.stream import Stream

from videostyle.io.pyav import fraction, open_output, time_base_of

_HIGHEST_RATE = 48000  # Hz; higher rates are for studios
_BIT_RATE = 96_000  # for each channel
_LAYOUTS = ("7.1", "6.1", "5.1", "5.0", "quad", "3.0", "stereo", "mono")
"""Layouts that are tried where the source's own is refused; several names may have the same number of channels."""
_MOST_CHANNELS = 8  # the limit of players
_OUT_OF_SYNC = Fraction(1, 25)  # seconds that sound may be off its time before it is corrected
_SILENCE = 10  # seconds of the longest pause that is filled with silence; a longer one is left out of the file


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """A format of sound that an encoder accepts."""

    encoder: str
    layout: str
    rate: int
    """Samples per second."""


def copy_problem(output: OutputContainer, stream: Stream, packets: Sequence[Packet[Any]]) -> str:
    """Return the muxer's error for a copy of `stream`, "" where it accepts it; `packets` are the stream's first."""
    try:
        with open_output(io.BytesIO(), format=output.format.name) as trial:
            twin = trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
            for packet in packets:
                copy: Packet[Any] = Packet(bytes(packet))
                copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
                copy.time_base, copy.is_keyframe, copy.stream = packet.time_base, True, twin
                trial.mux(copy)
    except (av.FFmpegError, ValueError) as error:
        return str(error).splitlines()[0]
    return ""


def adts_format_changes(packets: Iterable[Packet[Any]]) -> bool:
    """Return True if AAC frames with ADTS headers change their sample rate, number of channels or profile.

    A track of mp4 or Matroska has one header for all its frames, which players use to decode.
    """
    first: tuple[int, int] | None = None
    for packet in packets:
        head = bytes(packet)[:4]
        if len(head) < 4 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
            continue
        header = head[2] & 0b11111101, head[3] & 0b11000000
        first = first or header
        if header != first:
            return True
    return False


def audio_formats(decoder: AudioCodecContext, encoders: Iterable[str]) -> Iterator[AudioFormat]:
    """Yield the formats in which the sound can be encoded, the most similar first.

    There are none where the decoder states no number of channels or no rate.
    """
    channels, own = decoder.layout.nb_channels, decoder.sample_rate
    if not channels or not own:
        return
    mine = [decoder.layout.name] if channels <= _MOST_CHANNELS else []
    same = [name for name in _LAYOUTS if av.AudioLayout(name).nb_channels == channels]
    fewer = [name for name in _LAYOUTS if av.AudioLayout(name).nb_channels < channels]
    mixed = [name for name in dict.fromkeys([*mine, *same, *fewer]) if _mixes(decoder.layout.name, name)]
    for encoder in encoders:
        for layout in mixed or ["stereo"]:
            for rate in _rates(encoder, own):
                if _opens(encoder, layout, rate):
                    yield AudioFormat(encoder, layout, rate)


def _rates(encoder: str, own: int) -> list[int]:
    """List the sample rates that the encoder accepts, the nearest to the source's `own` first."""
    wanted = min(own, _HIGHEST_RATE)
    try:
        codec = av.Codec(encoder, "w")
    except ValueError:
        return []
    if codec.canonical_name == "opus":
        return [48000]  # the rate of every Opus decoder
    return sorted(codec.audio_rates or [wanted], key=lambda rate: max(rate / wanted, wanted / rate))


@lru_cache(maxsize=256)
def _opens(encoder: str, layout: str, rate: int) -> bool:
    """Return True if the encoder accepts this layout and rate."""
    try:
        context = CodecContext.create(encoder, "w")
        assert isinstance(context, AudioCodecContext)
        _set_up(context, AudioFormat(encoder, layout, rate))
        context.sample_rate = rate
        context.format = (context.codec.audio_formats or [av.AudioFormat("fltp")])[0]
        context.open()
    except (av.FFmpegError, ValueError):
        return False
    return True


@lru_cache(maxsize=256)
def _mixes(source: str, layout: str) -> bool:
    """Return True if FFmpeg can convert sound of one layout to another."""
    frame = av.AudioFrame("fltp", source, 1024)
    frame.sample_rate = _HIGHEST_RATE
    try:
        AudioResampler("fltp", layout, _HIGHEST_RATE).resample(frame)
    except (av.FFmpegError, ValueError):
        return False
    return True


def _set_up(context: AudioCodecContext, encoding: AudioFormat) -> None:
    context.layout = encoding.layout
    context.bit_rate = _BIT_RATE * context.layout.nb_channels


class AudioTranscoder:
    """Encodes one sound stream anew: one track of one format without gaps, even if the source's format changes."""

    def __init__(self, output: OutputContainer, decoder: AudioCodecContext, encoding: AudioFormat) -> None:
        """Add a stream to the output; raise ValueError where its container cannot hold the encoder's codec."""
        self._output = output
        self._decoder = decoder
        self._encoding = encoding
        self.stream = cast(AudioStream, output.add_stream(encoding.encoder, rate=encoding.rate))
        _set_up(self.stream.codec_context, encoding)
        self._source_format: tuple[str, str, int] | None = None
        """Current sample format, layout and rate of the source."""
        self._converter: _Converter
        self._begun = decoder.layout.name
        self._mixed: set[str] = set()
        """Layouts with more channels than the output has."""
        self._due: Fraction | None = None
        """Time of the source's next sample, in the output's seconds."""
        self._position = 0
        """Time of the next sample in the output, in samples."""

    def __call__(self, packet: Packet[Any], shift: Fraction) -> None:
        """Transcode the stream's next packet, `shift` seconds earlier than its timestamp."""
        try:
            frames = self._decoder.decode(packet)
        except (av.FFmpegError, ValueError):
            return  # a damaged packet is replaced by silence
        for frame in frames:
            self._take(frame, shift)

    def _take(self, frame: av.AudioFrame, shift: Fraction) -> None:
        if not frame.samples or not frame.sample_rate:
            return
        length = Fraction(frame.samples, frame.sample_rate)
        time = self._due if self._due is not None else Fraction(0)
        base = fraction(frame.time_base)
        if frame.pts is not None and base is not None:
            time = frame.pts * base - shift
        if self._due is None:
            self._position = round(time * self._encoding.rate)
        elif time < self._due - max(_OUT_OF_SYNC, length / 2):
            return  # it would overlap the sound before it
        elif time > self._due + _OUT_OF_SYNC:
            self._pause(time)
        else:
            time = self._due
        source_format = (frame.format.name, frame.layout.name, frame.sample_rate)
        if source_format != self._source_format:
            self._drain()
            if frame.layout.nb_channels > self.stream.codec_context.layout.nb_channels:
                self._mixed.add(frame.layout.name)
            self._source_format = source_format
            self._converter = _Converter(self._encoding, self.stream.codec_context.format.name)
        for converted in self._converter(frame):
            self._encode(converted)
        self._due = time + length

    def _pause(self, until: Fraction) -> None:
        """Continue at `until` seconds, after silence, or after a gap in the timestamps where the pause is long."""
        self._drain()
        samples = round(until * self._encoding.rate) - self._position
        if samples > _SILENCE * self._encoding.rate:
            self._position += samples
            return
        context = self.stream.codec_context
        step = self._encoding.rate // 10
        for start in range(0, samples, step):
            frame = av.AudioFrame(context.format.name, self._encoding.layout, min(step, samples - start))
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))  # no encoder here takes unsigned samples, whose middle is not 0
            frame.sample_rate = self._encoding.rate
            self._encode(frame)

    def _drain(self) -> None:
        """Encode the samples that the converter has buffered."""
        if self._source_format is not None:
            for converted in self._converter(None):
                self._encode(converted)
            self._source_format = None

    def _encode(self, frame: av.AudioFrame) -> None:
        frame.pts, frame.time_base = self._position, Fraction(1, self._encoding.rate)
        self._position += frame.samples
        self._output.mux(self.stream.encode(frame))

    def remarks(self) -> str:
        """Describe the loss in parts with another layout than the first; "" where no channels are lost."""
        later = sorted(self._mixed - {self._begun})
        return f"parts in {' and '.join(later)} are mixed to {self._encoding.layout}" if later else ""

    def flush(self) -> None:
        """Encode the buffered samples after the last packet."""
        for frame in self._left():
            self._take(frame, Fraction(0))
        self._drain()
        self._output.mux(self.stream.encode(None))

    def _left(self) -> list[av.AudioFrame]:
        try:
            frames = self._decoder.decode(None)
        except (av.FFmpegError, ValueError):
            return []
        for frame in frames:
            frame.pts = None  # it follows the frame before it without a gap
        return frames


class _Converter:
    """Converts frames to the format of an encoder. Of channels that FFmpeg cannot mix only the first two are kept."""

    def __init__(self, encoding: AudioFormat, sample_format: str) -> None:
        self._encoding = encoding
        self._sample_format = sample_format
        self._resampler = AudioResampler(sample_format, encoding.layout, encoding.rate)
        self._first_two: Graph | None = None

    def __call__(self, frame: av.AudioFrame | None) -> list[av.AudioFrame]:
        """Convert a frame and return it with the samples buffered before it; None is the end."""
        if frame is not None:
            frame.pts = None
        if self._first_two is None:
            try:
                return [one for one in self._resampler.resample(frame) if one is not None]
            except av.FFmpegError:
                if frame is None:
                    return []
                self._first_two = self._build(frame)
        self._first_two.push(frame)
        found = []
        while True:
            try:
                found.append(cast(av.AudioFrame, self._first_two.pull()))
            except (av.error.BlockingIOError, av.error.EOFError):
                return found

    def _build(self, frame: av.AudioFrame) -> Graph:
        graph = Graph()
        graph.link_nodes(
            graph.add_abuffer(
                sample_rate=frame.sample_rate,
                format=frame.format.name,
                layout=frame.layout.name,
                time_base=time_base_of(frame, Fraction(1, frame.sample_rate)),
            ),
            graph.add("pan", "stereo|c0=c0|c1=c1"),
            graph.add(
                "aformat",
                sample_rates=str(self._encoding.rate),
                sample_fmts=self._sample_format,
                channel_layouts=self._encoding.layout,
            ),
            graph.add("abuffersink"),
        ).configure()
        return graph
