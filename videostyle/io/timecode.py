"""SMPTE timecode, hours:minutes:seconds:frames, with a semicolon before the frames where it drops numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction

from av.stream import Stream

_SHAPE = re.compile(r"(\d{1,2}):([0-5]\d):([0-5]\d)([:;.])(\d{2})")
_KEY = "timecode"


def find_timecode(tags: Iterable[Mapping[str, str]]) -> str:
    """Return the first timecode among the tags of a file and its streams; "" where there is none."""
    return next((value for one in tags for key, value in one.items() if key.lower() == _KEY), "")


def copy_timecode(
    tags: Iterable[Mapping[str, str]], picture: Stream, seconds: Fraction, rate: Fraction | None
) -> list[str]:
    """Tag the stream `picture` with the timecode among `tags`, moved by `seconds`; return a line where it is lost."""
    timecode = find_timecode(tags)
    if not timecode:
        return []
    kept = offset_timecode(timecode, seconds, rate)
    if kept:
        picture.metadata[_KEY] = kept
        return []
    return [f"timecode {timecode} dropped: it does not fit the film's rate"]


def offset_timecode(timecode: str, seconds: Fraction, rate: Fraction | None) -> str:
    """Add `seconds` to a timecode at `rate` frames per second; "" where it is invalid at this rate."""
    found = _SHAPE.fullmatch(timecode.strip())
    if found is None or rate is None or rate < 1:
        return ""
    hours, minutes, whole, frames = (int(found[group]) for group in (1, 2, 3, 5))
    nominal = round(rate)
    drops = nominal // 15 if found[4] != ":" else 0  # numbers left out each minute but every tenth
    if frames >= nominal or (drops and rate.limit_denominator(1001) != Fraction(nominal * 1000, 1001)):
        return ""
    if drops and nominal % 30:
        return ""
    passed = 60 * hours + minutes
    number = (60 * passed + whole) * nominal + frames - drops * (passed - passed // 10) + round(seconds * rate)
    if drops:
        tens, rest = divmod(number, 600 * nominal - 9 * drops)
        number += 9 * drops * tens
        if rest >= 60 * nominal:
            number += drops * (1 + (rest - 60 * nominal) // (60 * nominal - drops))
    number %= 24 * 3600 * nominal
    whole, frames = divmod(number, nominal)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{found[4]}{frames:02d}"
