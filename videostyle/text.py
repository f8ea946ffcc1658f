"""Text that comes from files, made fit to be shown: names, tags, titles, and messages that quote them.

A terminal obeys escape codes, a page may be laid out backwards by bidirectional controls, and a name that is not UTF-8
has surrogates that cannot be printed. This is the one place that decides what is shown in their place.
"""

from __future__ import annotations

import re
import unicodedata

_INSTEAD = "\N{REPLACEMENT CHARACTER}"
# Controls, surrogates, private and unassigned characters, and line separators; of format characters those that turn
# the direction of writing (others join letters and emoji).
_UNFIT = {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
_TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
_LONGEST = 1000


def plain(text: object, longest: int = _LONGEST) -> str:
    """`text` in one line, with nothing in it that does more than show a character; cut off at `longest`."""
    line = cleaned(re.sub(r"\s*[\n\r\t\v\f]\s*", " ", str(text)).strip())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def cleaned(text: str) -> str:
    """`text` with its line ends and tabs, and nothing else in it that does more than show a character."""
    # What repr and JSON make of a byte that is no letter.
    text = re.sub(r"\\udc[89a-f][0-9a-f]", _INSTEAD, text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if one in "\n\r\t" or _is_fit(one) else _INSTEAD for one in text)


def prose(text: object) -> str:
    """`text` in one line for a page's HTML or Markdown, where it shows as it is."""
    return re.sub(r"[^\w\s]", lambda found: f"&#{ord(found[0])};", plain(text), flags=re.ASCII).replace("_", "&#95;")


def _is_fit(one: str) -> bool:
    return unicodedata.category(one) not in _UNFIT and one not in _TURNING
