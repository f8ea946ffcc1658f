"""What people type, from habit with other tools or in other spellings, and what it is called here."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Sequence

_SPELLINGS = {"colour": "color", "stabilise": "stabilize", "stylise": "stylize", "optimise": "optimize"}
# Options of FFmpeg and yt-dlp, of earlier releases, and what to write in their place.
_ELSEWHERE = {
    "-ss": "--start",
    "-to": "--end",
    "-t": "--end",
    "-i": "the input by itself, without an option",
    "-c:v": "--codec",
    "-vcodec": "--codec",
    "--vcodec": "--codec",
    "-c": "--codec",
    "-crf": "--crf",
    "-q:v": "--crf",
    "-preset": "--preset",
    "-pix_fmt": "--pix-fmt",
    "-vf": "--size 640x360",
    "-s": "--size",
    "-r": "nothing: the output has the film's own times",
    "-an": "nothing: sound is kept as it is",
    "-c:a": "nothing: sound is kept as it is",
    "-h264": "--codec h264",
    "--out": "--output",
    "--quality": "--crf",
    "--weights": "--network",
    "--model": "--style",
    "--gpu": "--device cuda",
    "--cpu": "--device cpu",
    "--paint-engine": "--engine",
    "--backbone": "--loss-network",
    "--backbone-weights": "--loss-network-weights",
    "--perceptual": "--loss-network",
    "--perceptual-weights": "--loss-network-weights",
    "--rate": "--lr",
}


def respelled(argv: Sequence[str]) -> list[str]:
    """The words with American spelling in the names of commands and options, which are known by both."""
    words = []
    for place, word in enumerate(argv):
        option, equals, value = word.partition("=")
        if option.startswith("--") or place == 0:
            for british, american in _SPELLINGS.items():
                option = option.replace(british, american)
        words.append(option + equals + value)
    return words


def unknown_option(option: str, known: Iterable[str]) -> str:
    """One line about an option that there is none of, with what was probably meant."""
    name = option.partition("=")[0]
    if name in _ELSEWHERE:
        return f"there is no option {name}; write {_ELSEWHERE[name]}"
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"there is no option {name}" + (f"; did you mean {near[0]}?" if near else "")


def unknown_command(word: str, known: Iterable[str]) -> str:
    """One line about a command that there is none of: most often a film, or a slip of the keys."""
    if os.path.exists(word) or re.fullmatch(r".*\.\w{2,4}", word):
        return f"{word} is no command; to paint it write: videostyle stylize {word} --style great-wave"
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1)
    return f"no command named {word!r}; " + (f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}")
