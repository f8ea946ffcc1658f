"""Decoding times of encoded pictures, and the times of the packets of films that are concatenated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from av.packet import Packet
from av.video.stream import VideoStream

from videostyle.io.info import open_container
from videostyle.io.pyav import time_base_of

_MOST_REORDERED = 3600
"""Seconds from decoding to presentation, at most: sixteen frames of a film of one frame in three minutes."""


def with_valid_dts(packet: Packet[VideoStream]) -> Packet[VideoStream]:
    """Correct a packet's decoding time, which x265 leaves undefined for films of one or two frames."""
    if packet.pts is not None and packet.dts is not None:
        early = (packet.pts - packet.dts) * time_base_of(packet)
        if not 0 <= early <= _MOST_REORDERED:
            packet.dts = packet.pts
    return packet


def presentation_time(packet: Packet[VideoStream]) -> Fraction:
    """Return the presentation time of a packet in seconds."""
    return (packet.pts or 0) * time_base_of(packet)


@dataclass(frozen=True, slots=True)
class PacketTimes:
    """Times of the packets of concatenated films, in seconds."""

    first: Fraction
    """Presentation time of the first frame."""
    decoded: Iterator[Fraction]
    """Decoding times, in the order of the packets."""
    until: Mapping[Fraction, Fraction]
    """End of each frame, by its presentation time."""


def packet_times(parts: Sequence[str], time_base: Fraction) -> PacketTimes:
    """Read the times of the films `parts`, which together are one film; `time_base` is used where a film has none."""
    shown: list[Fraction] = []
    end = Fraction(0)
    for part in parts:
        with open_container(part) as container:
            film = container.streams.video[0]
            shown += [presentation_time(packet) for packet in container.demux(film) if packet.size]
            end = ((film.start_time or 0) + (film.duration or 0)) * time_base_of(film, time_base)
    order = sorted(shown)
    until = dict(zip(order, [*order[1:], max(end, order[-1])], strict=True))
    return PacketTimes(order[0], _decoding_times(shown, order), until)


def _decoding_times(shown: Sequence[Fraction], order: Sequence[Fraction]) -> Iterator[Fraction]:
    """Yield the decoding time of each picture from the presentation times `shown`, sorted in `order`.

    As in encoders, a picture is decoded at the presentation time of the picture that is N places earlier, where N is
    the largest reordering in the film. Counted for each part alone, the times would run backwards at the joints of
    films with a variable rate.
    """
    place = {time: number for number, time in enumerate(order)}
    delay = max((number - place[time] for number, time in enumerate(shown)), default=0)
    for number in range(len(shown)):
        yield order[number - delay] if number >= delay else order[0] - (order[delay] - order[number])


class FrameCounter:
    """Numbers the frames for a format without times, and sees whether their times are regular."""

    def __init__(self, length: Fraction) -> None:
        """Count frames of `length` seconds."""
        self._irregular = False  # True once a frame was more than half its length away from where its number puts it
        self._length = length
        self._first: Fraction | None = None
        self._count = 0

    def remarks(self, format: str) -> list[str]:
        """Return a line if the frames' times were irregular."""
        line = f"frame times dropped: {format} holds frames of {self._length} s each; nut keeps the times"
        return [line] if self._irregular else []

    def __call__(self, time: Fraction) -> int:
        """Return the number of the next frame, which is shown at `time`."""
        self._first = time if self._first is None else self._first
        number, self._count = self._count, self._count + 1
        self._irregular |= abs(time - self._first - number * self._length) > self._length / 2
        return number
