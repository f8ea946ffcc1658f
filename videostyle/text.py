"""Sanitizing of text from files before it is shown: names, tags, titles, and messages that quote them.

A terminal obeys escape codes, bidirectional controls can reverse the layout of a page, and a name that is not UTF-8 has
surrogates that cannot be printed. This module alone decides which character is shown in their place.
"""

from __future__ import annotations

import re
import unicodedata

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Unicode categories of controls, surrogates, private and unassigned characters, and line separators. Of the format
# characters (Cf), only those that change the direction of writing are replaced; others join letters and emoji.
_REPLACED = {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
_BIDIRECTIONAL = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
_LONGEST = 1000


def sanitize_line(text: object, longest: int = _LONGEST) -> str:
    """Return `text` in one line, unprintable characters replaced, and cut off at `longest` characters."""
    line = sanitize(re.sub(r"\s*[\n\r\t\v\f]\s*", " ", str(text)).strip())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def sanitize(text: str) -> str:
    """Replace the unprintable characters of `text`, except line ends and tabs, by U+FFFD."""
    # Escapes that repr and JSON write for a byte that is not UTF-8.
    text = re.sub(r"\\udc[89a-f][0-9a-f]", _REPLACEMENT, text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if one in "\n\r\t" or _is_printable(one) else _REPLACEMENT for one in text)


def escape_markup(text: object) -> str:
    """Escape `text`, in one line, for a page's HTML or Markdown, so that it shows literally."""
    line = sanitize_line(text)
    return re.sub(r"[^\w\s]", lambda found: f"&#{ord(found[0])};", line, flags=re.ASCII).replace("_", "&#95;")


def _is_printable(one: str) -> bool:
    return unicodedata.category(one) not in _REPLACED and one not in _BIDIRECTIONAL
