"""Packets of a source's other streams, inside a range of time, with the times at which a player plays them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from videostyle.io.clock import Clock, Untimed, may_restart
from videostyle.io.pyav import kind_of, time_base_of

SUBTITLE_LEAD = 10
"""Seconds before the range that are searched for subtitles that extend into it."""
_PRIMING = 3  # packets before 0 that audio decoders need at their start, at most
SAMPLES = 2
"""Packets of a stream with which a muxer is tested."""
_SAMPLED = 1000  # packets that are searched for them
_HELD = 500  # packets that wait for the film's, at most
_READ_ERRORS = 64  # after these the source counts as ended


@dataclass(frozen=True, slots=True)
class TimeRange:
    """The part of the source that is kept, in the source's seconds, and its shift in time."""

    start: Fraction | None
    """Start in seconds; None keeps all packets from the beginning, priming samples before 0 included."""
    end: Fraction | None
    shift: Fraction
    """Seconds that are subtracted from every timestamp."""


class PacketReader:
    """Demuxes streams of a source that is open already."""

    def __init__(self, source: InputContainer, film: int, clock: Clock, window: TimeRange) -> None:
        """Read `source`, whose film has the index `film`; `clock` corrects times, and `window` is the kept part."""
        self._source = source
        self._film = film
        self._clock = clock
        self._window = window

    def demux(self, streams: list[Stream]) -> Iterator[Packet[Any]]:
        """Yield the packets of `streams` inside the window, in presentation order; subtitles are clipped to it."""
        if not streams:
            return
        for packet in self._retimed(streams):
            if clip(packet, self._window):
                yield packet
            elif self._window.end is not None and packet_time(packet) > self._window.end + SUBTITLE_LEAD:
                return

    def _read(self, streams: list[Stream]) -> Iterator[Packet[Any]]:
        """Yield every packet of `streams`; unreadable stretches are skipped."""
        for _ in range(_READ_ERRORS):
            with suppress(av.FFmpegError, OSError):
                yield from self._source.demux(streams)
                return

    def _retimed(self, streams: list[Stream]) -> Iterator[Packet[Any]]:
        """Yield the packets of `streams` that are not empty, with the times at which a player plays them."""
        timer = PacketTimer(self._clock)
        film = [self._source.streams[self._film]] if may_restart(self._source) else []
        for packet in self._read([*streams, *film]):
            if packet.stream_index == self._film:
                self._clock.correct_film(packet)
            else:
                timer.add(packet)
            yield from timer.timed()
        self._clock.end()
        yield from timer.timed()


class PacketTimer:
    """Holds the packets beside the film's until the film's clock tells when a player plays them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: list[Packet[Any]] = []

    def add(self, packet: Packet[Any]) -> None:
        """Take the next packet that was read; empty ones and those without a time are left out."""
        if packet.size and (packet.pts is not None or packet.dts is not None or is_cover(packet)):
            self._held.append(packet)

    def timed(self) -> Iterator[Packet[Any]]:
        """Yield those packets whose times are known, with these times; the others stay."""
        if not self._held:
            return
        waiting, self._held = self._held, []
        hold = len(waiting) < _HELD
        waits: set[int] = set()
        for packet in waiting:
            if is_cover(packet):
                yield packet
                continue
            found = Untimed.HOLD if packet.stream_index in waits else self._clock.correct_other(packet, hold)
            if found is None:
                yield packet
            elif found is Untimed.HOLD:
                self._held.append(packet)
                waits.add(packet.stream_index)


def is_cover(packet: Packet[Any]) -> bool:
    """Return True for a packet of cover art, which has no time of its own."""
    return bool(packet.stream.disposition & Disposition.attached_pic)


def clip(packet: Packet[Any], window: TimeRange) -> bool:
    """Return True if the packet is in the window; a subtitle that extends into it then begins there."""
    if is_cover(packet):
        packet.pts = packet.dts = round(window.shift / time_base_of(packet))
        return True
    time = packet_time(packet)
    if window.end is not None and time >= window.end:
        return False
    if window.start is not None and time < window.start:
        base = time_base_of(packet)
        tail = time + (packet.duration or 0) * base
        if kind_of(packet.stream) != "subtitle" or tail <= window.start:
            return False
        packet.pts = packet.dts = round(window.start / base)
        packet.duration = round((tail - window.start) / base)
    return True


def is_priming(packet: Packet[Any]) -> bool:
    """Return True for a packet that players do not play, but that decoders need before the first audible one."""
    decoder = packet.stream.codec_context
    if decoder is not None and not decoder.codec.lossy:
        return False
    return packet_time(packet) >= -_PRIMING * (packet.duration or 0) * time_base_of(packet)


def first_packets(source: InputContainer) -> dict[int, list[Packet[Any]]]:
    """Return the first `SAMPLES` packets of each sound stream, as far as they are near the beginning."""
    found: dict[int, list[Packet[Any]]] = {stream.index: [] for stream in source.streams.audio}
    with suppress(av.FFmpegError, OSError):
        for packet in itertools.islice(source.demux([s for s in source.streams if s.index in found]), _SAMPLED):
            if packet.size and len(found[packet.stream_index]) < SAMPLES:
                found[packet.stream_index].append(packet)
            if all(len(one) == SAMPLES for one in found.values()):
                break
    return found


def packet_time(packet: Packet[Any]) -> Fraction:
    """Return the presentation time in seconds, or the decoding time where there is none; 0 without both."""
    ticks = packet.pts if packet.pts is not None else packet.dts
    return (ticks or 0) * time_base_of(packet)
