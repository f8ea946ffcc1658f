"""Times, parts of a film, and values that change along it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from numbers import Real
from typing import Generic, TypeVar

from videostyle.errors import SettingError, UsageError
from videostyle.settings import set_fields, setting

T = TypeVar("T")


def as_seconds(value: Fraction | Real | str) -> Fraction:
    """Return exact seconds from a number, or from text that `read_seconds` takes; raises UsageError."""
    if isinstance(value, str):
        return read_seconds(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise UsageError(f'{value!r} is not a time: write seconds, or text such as "1:20"')
    return value if isinstance(value, Fraction) else read_seconds(str(value))


def read_seconds(text: str) -> Fraction:
    """Return exact seconds from "12.5", "1:02", "1:02:03.5", "1h2m3s", "80s" or "1/24"; raises UsageError.

    A decimal comma is taken as a point.
    """
    text = text.strip().replace(",", ".")
    number = r"(\d+(?:\.\d*|/[1-9]\d*)?)"
    found = re.fullmatch(rf"(?:(?:(\d+):)?(\d+):)?{number}", text)
    found = found or re.fullmatch(rf"(?=.)(?:(\d+)h)?(?:(\d+)m)?(?:{number}s)?", text)
    if found is None:
        raise UsageError(f"{text!r} is not a time: write seconds, m:ss, h:mm:ss or 1m20s")
    return int(found[1] or 0) * 3600 + int(found[2] or 0) * 60 + Fraction(found[3] or 0)


def read_timecode(text: str, rate: Fraction) -> Fraction | None:
    """Return the seconds from the first frame for "h:mm:ss:ff", at `rate` frames per second; None for other text.

    With a semicolon, "h:mm:ss;ff", the text is an SMPTE drop-frame timecode at 30 or 60 frames per second: each minute
    except every tenth skips its first 2 or 4 numbers. Raises UsageError for a frame number that a second does not have.
    """
    found = re.fullmatch(r"(\d+):(\d\d):(\d\d)([:;])(\d+)", text.strip())
    if found is None:
        return None
    whole = round(rate)
    hours, minutes, seconds, frames = (int(found[group]) for group in (1, 2, 3, 5))
    if frames >= whole or minutes > 59 or seconds > 59:
        raise UsageError(f"{text!r} is not a time at {float(rate):g} frames a second")
    minutes += 60 * hours
    count = (60 * minutes + seconds) * whole + frames
    if found[4] == ";":
        count -= whole // 15 * (minutes - minutes // 10)
    return count / rate


@dataclass(frozen=True)
class Span:
    """Part of a film, in seconds from its first frame; text such as "1:20" is accepted.

    `end` None is the end of the film.
    """

    start: Fraction = setting(
        Fraction(0),
        "where the part to paint begins: 80, 1:20, 1m20s, or 0:01:20:12 with the number of the frame",
        "the film",
        metavar="T",
    )
    end: Fraction | None = setting(
        None, "where the part to paint ends, written as for --start", "the film", metavar="T"
    )

    def __post_init__(self) -> None:
        try:
            set_fields(self, start=as_seconds(self.start))
            set_fields(self, end=None if self.end is None else as_seconds(self.end))
        except UsageError as error:
            raise UsageError(f"start and end: {error}") from None
        if self.start < 0:
            raise SettingError("start", f"must not be negative, got {float(self.start):g} s")
        if self.end is not None and self.end <= self.start:
            raise SettingError("end", f"must be after start, got {float(self.start):g} s to {float(self.end):g} s")


@dataclass(frozen=True)
class Key(Generic[T]):
    """A value at one time of a film, and for how long it holds; in seconds from the film's first frame."""

    value: T
    start: Fraction = Fraction(0)
    hold: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        set_fields(self, start=as_seconds(self.start), hold=as_seconds(self.hold))
        if self.start < 0 or self.hold < 0:
            raise UsageError(f"a time ends before it starts, or starts before the film: {self}")

    @property
    def end(self) -> Fraction:
        """Time at which the interpolation to the next key begins."""
        return self.start + self.hold

    def __str__(self) -> str:
        return f"{float(self.start):g} s" + (f" to {float(self.end):g} s" if self.hold else "")


@dataclass(frozen=True)
class Timeline(Generic[T]):
    """A value that changes along a film: it holds at each key and is interpolated linearly from one to the next.

    Before the first key and after the last it holds. Where a key starts when the one before ends, it jumps.
    """

    keys: tuple[Key[T], ...]

    def __post_init__(self) -> None:
        if not self.keys:
            raise UsageError("a timeline needs at least one key")
        for before, after in pairwise(self.keys):
            if after.start < before.end:
                raise UsageError(f"times overlap or are out of order: {before}, then {after}")

    @classmethod
    def of(cls, value: T | Timeline[T]) -> Timeline[T]:
        """Return a timeline as it is, and any other value as a constant timeline."""
        return value if isinstance(value, Timeline) else cls((Key(value),))

    def around(self, time: Fraction) -> tuple[T, T, float]:
        """Return the two values to interpolate between at `time`, and the weight of the second, in 0..1."""
        passed = [key for key in self.keys if key.start <= time] or [self.keys[0]]
        last = passed[-1]
        if time <= last.end or last is self.keys[-1]:
            return last.value, last.value, 0.0
        following = self.keys[len(passed)]
        return last.value, following.value, float((time - last.end) / (following.start - last.end))

    def jumps(self, earlier: Fraction, later: Fraction) -> bool:
        """Return True where a whole interpolation falls between two frames."""
        return any(
            before.value != after.value and before.end >= earlier and earlier < after.start <= later
            for before, after in pairwise(self.keys)
        )
