"""Suggestions for words of the command line: other spellings, options of other tools, and slips."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence

_SPELLINGS = {"colour": "color", "stabilise": "stabilize", "stylise": "stylize", "optimise": "optimize"}
# Options of FFmpeg, of yt-dlp and of earlier releases, and the text to write in their place.
_OTHER_OPTIONS = {
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
    "-fps": "nothing: the output has the film's own times",
    "--fps": "nothing: the output has the film's own times",
    "-filter:v": "--size 640x360",
    "-b:v": "--crf: a constant quality instead of a bit rate",
    "-codec:v": "--codec",
    "-n": "nothing: files are replaced with --overwrite only",
    "-v": "--debug",
    "--verbose": "--debug",
    "-loglevel": "--quiet",
    "-hide_banner": "nothing: there is no banner",
    "-stats": "nothing: progress is shown unless --quiet is given",
    "-progress": "nothing: progress is shown unless --quiet is given",
    "--newline": "nothing: progress is printed in lines where standard error is no terminal",
    "-threads": "--queue-depth, or batch's --workers",
    "-map": "nothing: all streams are kept that the output can hold",
    "-sn": "nothing: subtitles are kept as they are",
    "-acodec": "nothing: sound is kept as it is",
    "--format": "an --output that ends in .mkv, .mov, .webm...",
    "-f": "an --output that ends in .mkv, .mov, .webm...",
    "--recode-video": "an --output that ends in .mkv, .mov, .webm...",
    "--merge-output-format": "an --output that ends in .mkv, .mov, .webm...",
    "--resolution": "--size",
    "--scale": "--size",
    "--width": "--size 640x360",
    "--height": "--size 360",
    "--force-overwrites": "--overwrite",
    "--force": "--overwrite",
    "--no-overwrites": "nothing: files are replaced with --overwrite only",
    "--simulate": "--dry-run",
    "--download-sections": "--start and --end",
    "-P": "--output FOLDER",
    "--paths": "--output FOLDER",
    "--config-locations": "VIDEOSTYLE_CONFIG=FILE before the command",
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
    """Return the words with American spelling in the names of commands and options; both spellings are accepted."""
    words = []
    for place, word in enumerate(argv):
        option, equals, value = word.partition("=")
        if option.startswith("--") or place == 0:
            for british, american in _SPELLINGS.items():
                option = option.replace(british, american)
        words.append(option + equals + value)
    return words


def unknown_option(option: str, known: Iterable[str], others: Mapping[str, Sequence[str]] | None = None) -> str:
    """Return a line about an option that is not among the `known` ones of a command, with what was probably meant.

    `others` are the options of the other commands, by command.
    """
    name, known = option.partition("=")[0], list(known)
    instead = _OTHER_OPTIONS.get(name, "")
    named = re.findall(r"(?<!\S)--[\w-]+", instead)
    if instead and (not named or any(word in known for word in named)):
        return f"there is no option {name}; " + f"write {instead}".replace("write nothing:", "leave it out:")
    having = [command for command, options in (others or {}).items() if name in options]
    if having:
        return f"there is no option {name} here; {', '.join(having)} {'has' if len(having) == 1 else 'have'} it"
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return f"there is no option {name}" + (f"; did you mean {near[0]}?" if near else "")


def early_option(option: str, command: str | None, known: Iterable[str]) -> str:
    """Return a line about an option that was written before the command."""
    name, known = option.partition("=")[0], list(known)
    if name not in known:
        return unknown_option(option, known)
    return f"{name} is an option of the commands; write it after the command: videostyle {command or 'COMMAND'} {name}"


def unknown_command(word: str, known: Iterable[str]) -> str:
    """Return a line about an unknown command: most often a film, or a typing error."""
    if os.path.exists(word) or re.fullmatch(r".*\.\w{2,4}", word):
        return f"{word} is no command; to paint it write: videostyle stylize {word} --style great-wave"
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1)
    return f"no command named {word!r}; " + (f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}")
