"""Timestamps of a container, converted to those that a player shows: from 0, and without discontinuities.

The clock of a transport stream begins anywhere, restarts where two recordings were joined, and jumps where one was
interrupted. Such discontinuities are removed as `ffmpeg` does without -copyts: each part begins where the previous one
ends. Picture and sound keep their offset, so the jump is measured on the film's packets alone.
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

from videostyle.io.pyav import fraction, has_flag, kind_of, time_base_of

_LATEST_START = 60  # seconds; a film that begins later than this has a clock with another origin
_BACKWARD_JUMP = Fraction(1, 10)  # seconds by which decoding times may go back before this counts as a restart
_FORWARD_JUMP = 10  # seconds that a clock which may jump can skip; ffmpeg's -dts_delta_threshold
_CONTINUOUS = 1  # seconds between a packet and the end of the previous one, at most, in an unbroken stream
_MOST_LAG = Fraction(1, 25)  # seconds that sound may be behind the picture after a joint
_KEPT = 4  # parts of the film whose clock offsets are kept


class Untimed(Enum):
    """Reason for which a packet has no time."""

    HOLD = "hold"
    """The film's next packets decide which clock the packet was stamped with."""
    DROP = "drop"
    """The packet would be played at the same time as the one before it."""


def may_restart(container: InputContainer) -> bool:
    """Return True if FFmpeg marks the format as one whose clock may jump: transport and program streams, Ogg."""
    return has_flag(container, Flags.ts_discont)


def makes_times(container: InputContainer) -> bool:
    """Return True if the format stores no presentation times, so that FFmpeg derives them from the packets' order."""
    return container.format.name == "avi" or has_no_times(container)


def has_no_times(container: Container) -> bool:
    """Return True for a stream without a container, such as raw H.264, which has no times and no rate for FFmpeg."""
    return has_flag(container, Flags.no_timestamps)


def rate_of(stream: VideoStream) -> Fraction | None:
    """Return the frame rate in frames per second; None where the container does not state it.

    FFmpeg's guess is the lowest rate at which every frame has a tick of its own, so an average above it is a clock
    rate, such as 60000 in raw DV, and the guess is returned. For a stream without a container FFmpeg's average is
    always 25, and the rate that the encoder wrote into the stream is returned.
    """
    decoder = stream.codec_context
    in_stream = fraction(decoder.framerate) if decoder is not None and has_no_times(stream.container) else None
    if in_stream:
        return in_stream
    average, guessed = fraction(stream.average_rate), fraction(stream.guessed_rate)
    if average and guessed and average > guessed * Fraction(101, 100):
        return guessed
    return average or guessed


class Clock:
    """The clock of one container while it is read from its beginning, or from the position after a seek."""

    def __init__(self, container: InputContainer, film: VideoStream) -> None:
        self._film = film.index
        self._base = time_base_of(film)
        self._jumps = may_restart(container)
        rate = rate_of(film)
        self._step = 1 / rate if rate else Fraction(0)
        self.origin = _origin(container, film)
        """Time of the file's clock, in seconds, at which a player's is 0."""
        self._offsets = [-self.origin]
        """Seconds to add to the times of each part of the film, the latest last."""
        self.restarts = 0
        """Number of restarts of the film's clock so far."""
        self._due: Fraction | None = None
        """Expected decoding time of the film's next packet, in seconds of the file's clock."""
        self._before_gap: Fraction | None = None
        self._others: dict[int, _Stream] = {}
        self._ended = False

    def correct_film(self, packet: Packet[Any]) -> None:
        """Correct the timestamps of the film's next packet."""
        if packet.dts is not None and not packet.is_discard:
            time = packet.dts * self._base
            if self._due is not None:
                self._compare(time, time - self._due)
            self._due = time + ((packet.duration or 0) * self._base or self._step)
        _shift(packet, self._offsets[-1])

    def _compare(self, time: Fraction, step: Fraction) -> None:
        """Detect a jump of the film's clock by `step` seconds, to `time`."""
        before, self._before_gap = self._before_gap, None
        if step < -_BACKWARD_JUMP and before is not None and -_BACKWARD_JUMP <= time - before <= _CONTINUOUS:
            return  # the wrong times of a packet or two have ended
        if step < -_BACKWARD_JUMP or (step > _FORWARD_JUMP and self._jumps):
            self._offsets = [*self._offsets[1 - _KEPT :], self._offsets[-1] - step]
            self.restarts += 1
        elif step > _CONTINUOUS:
            self._before_gap = self._due

    def end(self) -> None:
        """Mark the film as read to its end, so that no packet is held any longer."""
        self._ended = True

    def correct_other(self, packet: Packet[Any], hold: bool = True) -> Untimed | None:
        """Correct the timestamps of a packet of another stream, or return the reason for which it has none.

        The packets of every stream are stamped with the film's clock, but they are not always next to the film's
        packets of the same time. Without `hold` the packet is timed by the packets read so far.
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
                return Untimed.HOLD
            offset = self._offsets[-1]
        if offset != stream.offset:
            lag = max(stream.due - time - offset, Fraction(0)) if stream.due is not None else Fraction(0)
            if kind_of(packet.stream) != "audio":
                lag = Fraction(0)
            elif lag > _MOST_LAG:
                return Untimed.DROP
            stream.offset, stream.lag = offset, lag
        _shift(packet, offset + stream.lag)
        stream.due = time + offset + stream.lag + length
        return None

    def _offset(self, stream: _Stream, time: Fraction, continuous: bool) -> Fraction | None:
        """Return the offset to add to a packet's `time`, in seconds; None where no part of the film fits.

        `continuous` streams, sound, have no pauses.
        """
        latest = self._offsets[-1]
        if len(self._offsets) == 1 and not self._jumps:
            return latest
        near = self._due is None or abs(time - self._due) <= _FORWARD_JUMP
        if not continuous or stream.due is None:
            return latest if near or len(self._offsets) == 1 else self._offsets[-2]
        due = stream.due - stream.lag
        gaps = [(abs(time + offset - due), offset) for offset in self._offsets]
        gap, offset = min(gaps)
        if gap <= _CONTINUOUS:
            return offset
        return latest if near and time + latest > due else None  # a pause in the sound


class _Stream:
    """State of a stream beside the film."""

    def __init__(self, offset: Fraction) -> None:
        self.offset = offset
        self.lag = Fraction(0)
        """Delay in seconds since the last joint, where the sound before the joint was longer than the picture."""
        self.due: Fraction | None = None
        """Time of its next packet, in corrected seconds."""


def _shift(packet: Packet[Any], seconds: Fraction) -> None:
    ticks = round(seconds / time_base_of(packet))
    with suppress(OverflowError):  # a damaged time beyond 64 bits stays as it is
        if ticks and packet.pts is not None:
            packet.pts += ticks
        if ticks and packet.dts is not None:
            packet.dts += ticks


def _origin(container: InputContainer, film: VideoStream) -> Fraction:
    """Return the start of the file's clock, in seconds and whole ticks of the film; 0 where it begins at 0 anyway."""
    base = time_base_of(film)
    first = (film.start_time or 0) * base
    start = Fraction(container.start_time or 0, 1_000_000)
    if first - start > _FORWARD_JUMP:
        start = first  # another stream has a clock of its own, or a damaged one
    hidden = first < 0
    return round(start / base) * base if may_restart(container) or hidden or start > _LATEST_START else Fraction(0)
