"""The times that a container states, turned into those a player shows: from 0, and without jumps.

The clock of a transport stream begins anywhere, starts again where two recordings were joined, and jumps where one was
interrupted. FFmpeg's tools treat such jumps as `ffmpeg` does without -copyts: what follows goes on where what was
before ends. One picture and its sound keep their distance, so the jump is measured on the film's packets alone.
"""

from __future__ import annotations

from contextlib import suppress
from enum import Enum
from fractions import Fraction
from typing import Any

from av.container import Container, InputContainer
from av.format import Flags
from av.packet import Packet
from av.video.stream import VideoStream

from videostyle.io.pyav import fraction, is_marked, kind_of, time_base_of

_LATE = 60  # seconds; a film that begins later than this is taken to have a clock that counts from elsewhere
_BACK = Fraction(1, 10)  # seconds that decoding times may go back before the clock is taken to have started again
_GAP = 10  # seconds that a clock which may jump can leave out; ffmpeg's -dts_delta_threshold
_FITS = 1  # seconds between a packet and the end of the one before it, at most, in an unbroken stream
_LAG = Fraction(1, 25)  # seconds that sound may be behind the picture after a joint
_KEPT = 4  # parts of the film whose clocks are remembered


class Wait(Enum):
    """Why a packet has no time."""

    HOLD = "hold"
    """Only the film's next packets can tell which clock it was stamped with."""
    DROP = "drop"
    """It would be played at the same time as what was before it."""


def may_restart(container: InputContainer) -> bool:
    """True where FFmpeg knows the format for clocks that jump: transport and program streams, Ogg."""
    return is_marked(container, Flags.ts_discont)


def makes_times(container: InputContainer) -> bool:
    """True where the format stores no presentation times, so that FFmpeg makes them of the packets' order."""
    return container.format.name == "avi" or has_no_times(container)


def has_no_times(container: Container) -> bool:
    """True for a stream without a container, such as raw H.264: it has neither times nor a rate that FFmpeg reads."""
    return is_marked(container, Flags.no_timestamps)


def rate_of(stream: VideoStream) -> Fraction | None:
    """Frames a second, None where nothing tells.

    FFmpeg's guess is the lowest rate at which every frame has a tick of its own, so an average above it is a clock
    taken for a rate: 60000 in raw DV. Of a stream without a container its average is always 25; what the encoder wrote
    into the stream tells.
    """
    decoder = stream.codec_context
    told = fraction(decoder.framerate) if decoder is not None and has_no_times(stream.container) else None
    if told:
        return told
    average, guessed = fraction(stream.average_rate), fraction(stream.guessed_rate)
    if average and guessed and average > guessed * Fraction(101, 100):
        return guessed
    return average or guessed


class Clock:
    """The clock of one container while it is read from its beginning, or from where it was entered by time."""

    def __init__(self, container: InputContainer, film: VideoStream) -> None:
        self._film = film.index
        self._base = time_base_of(film)
        self._jumps = may_restart(container)
        rate = rate_of(film)
        self._step = 1 / rate if rate else Fraction(0)
        self.origin = _origin(container, film)
        """Seconds at which the file's clock stands when its players' stands at 0."""
        self._offsets = [-self.origin]
        """Seconds to add to the times of each part of the film, the latest last."""
        self.restarts = 0
        """How often the film's clock started again so far."""
        self._due: Fraction | None = None
        """When the film's next packet is to be decoded, in the file's own seconds."""
        self._before_gap: Fraction | None = None
        self._others: dict[int, _Stream] = {}
        self._ended = False

    def film(self, packet: Packet[Any]) -> None:
        """Mend the times of the film's next packet."""
        if packet.dts is not None and not packet.is_discard:
            time = packet.dts * self._base
            if self._due is not None:
                self._compare(time, time - self._due)
            self._due = time + ((packet.duration or 0) * self._base or self._step)
        _move(packet, self._offsets[-1])

    def _compare(self, time: Fraction, step: Fraction) -> None:
        """Notice where the film's clock jumps by `step` seconds, to `time`."""
        before, self._before_gap = self._before_gap, None
        if step < -_BACK and before is not None and -_BACK <= time - before <= _FITS:
            return  # the stray time of a packet or two is over
        if step < -_BACK or (step > _GAP and self._jumps):
            self._offsets = [*self._offsets[1 - _KEPT :], self._offsets[-1] - step]
            self.restarts += 1
        elif step > _FITS:
            self._before_gap = self._due

    def end(self) -> None:
        """The film has no more packets: nothing is to be waited for."""
        self._ended = True

    def other(self, packet: Packet[Any], hold: bool = True) -> Wait | None:
        """Mend the times of a packet of another stream, or say why it has none.

        Every stream has its packets stamped with the film's clock, but not every packet is in the file just where the
        film's are that belong to it. Without `hold` what is known so far has to do.
        """
        base = time_base_of(packet)
        ticks = packet.dts if packet.dts is not None else packet.pts
        if ticks is None:
            return None
        stream = self._others.setdefault(packet.stream_index, _Stream(self._offsets[0]))
        time, length = ticks * base, (packet.duration or 0) * base
        offset = self._offset(stream, time, kind_of(packet.stream) == "audio")
        if offset is None:
            if hold and not self._ended:
                return Wait.HOLD
            offset = self._offsets[-1]
        if offset != stream.offset:
            lag = max(stream.due - time - offset, Fraction(0)) if stream.due is not None else Fraction(0)
            if kind_of(packet.stream) != "audio":
                lag = Fraction(0)
            elif lag > _LAG:
                return Wait.DROP
            stream.offset, stream.lag = offset, lag
        _move(packet, offset + stream.lag)
        stream.due = time + offset + stream.lag + length
        return None

    def _offset(self, stream: _Stream, time: Fraction, steady: bool) -> Fraction | None:
        """What to add to a packet's `time`; None where no part of the film fits. `steady` streams have no pauses."""
        latest = self._offsets[-1]
        if len(self._offsets) == 1 and not self._jumps:
            return latest
        near = self._due is None or abs(time - self._due) <= _GAP
        if not steady or stream.due is None:
            return latest if near or len(self._offsets) == 1 else self._offsets[-2]
        due = stream.due - stream.lag
        gaps = [(abs(time + offset - due), offset) for offset in self._offsets]
        gap, offset = min(gaps)
        if gap <= _FITS:
            return offset
        return latest if near and time + latest > due else None  # a pause in the sound


class _Stream:
    """What is known of a stream beside the film."""

    def __init__(self, offset: Fraction) -> None:
        self.offset = offset
        self.lag = Fraction(0)
        """Seconds by which it is late since the last joint, where the sound before the joint was longer."""
        self.due: Fraction | None = None
        """When its next packet is due, in mended seconds."""


def _move(packet: Packet[Any], seconds: Fraction) -> None:
    ticks = round(seconds / time_base_of(packet))
    with suppress(OverflowError):  # a damaged time beyond 64 bits stays as it is
        if ticks and packet.pts is not None:
            packet.pts += ticks
        if ticks and packet.dts is not None:
            packet.dts += ticks


def _origin(container: InputContainer, film: VideoStream) -> Fraction:
    """When the file begins, in its own seconds and whole ticks of the film; 0 where its clock begins at 0 by itself."""
    base = time_base_of(film)
    first = (film.start_time or 0) * base
    start = Fraction(container.start_time or 0, 1_000_000)
    if first - start > _GAP:
        start = first  # another stream has a clock of its own, or a damaged one
    hidden = first < 0
    return round(start / base) * base if may_restart(container) or hidden or start > _LATE else Fraction(0)
