"""Packets of a source's other streams, inside a range of time, with the times at which a player plays them."""

from __future__ import annotations

from collections.abc import Generator, Iterator
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
        start, end = self._window.start, self._window.end
        for packet in self._retimed(streams):
            if packet.stream.disposition & Disposition.attached_pic:
                yield packet
                continue
            time = packet_time(packet)
            if end is not None and time >= end:
                if time > end + SUBTITLE_LEAD:
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

    def _read(self, streams: list[Stream]) -> Iterator[Packet[Any]]:
        """Yield every packet of `streams`; unreadable stretches are skipped."""
        for _ in range(_READ_ERRORS):
            with suppress(av.FFmpegError, OSError):
                yield from self._source.demux(streams)
                return

    def _retimed(self, streams: list[Stream]) -> Iterator[Packet[Any]]:
        """Yield the packets of `streams` that are not empty, with the times at which a player plays them."""
        held: list[Packet[Any]] = []
        film = [self._source.streams[self._film]] if may_restart(self._source) else []
        for packet in self._read([*streams, *film]):
            if packet.stream_index == self._film:
                self._clock.correct_film(packet)
            elif packet.size and packet.stream.disposition & Disposition.attached_pic:
                packet.pts = packet.dts = round(self._window.shift / time_base_of(packet))
                yield packet
                continue
            elif packet.size and (packet.pts is not None or packet.dts is not None):
                held.append(packet)
            held = yield from self._timed(held, len(held) < _HELD)
        self._clock.end()
        yield from self._timed(held, False)

    def _timed(self, waiting: list[Packet[Any]], hold: bool) -> Generator[Packet[Any], None, list[Packet[Any]]]:
        """Yield those of the `waiting` packets whose times are known; return those that still wait."""
        held: list[Packet[Any]] = []
        waits: set[int] = set()
        for packet in waiting:
            found = Untimed.HOLD if packet.stream_index in waits else self._clock.correct_other(packet, hold)
            if found is None:
                yield packet
            elif found is Untimed.HOLD:
                held.append(packet)
                waits.add(packet.stream_index)
        return held


def packet_time(packet: Packet[Any]) -> Fraction:
    """Return the presentation time in seconds, or the decoding time where there is none; 0 without both."""
    ticks = packet.pts if packet.pts is not None else packet.dts
    return (ticks or 0) * time_base_of(packet)
