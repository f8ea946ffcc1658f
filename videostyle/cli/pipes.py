"""Standard input and output of commands that read or write films through pipes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, TextIO

from videostyle.errors import UsageError
from videostyle.settings import flag

if TYPE_CHECKING:
    from videostyle.io import InputFormat

# Names of io.codecs.PIPES, which --help does not import.
FORMATS = ("nut", "matroska", "mkv", "y4m", "yuv4mpegpipe", "rawvideo")
_RAW = ("video_size", "framerate", "pixel_format")


def add_pipe_options(parser: argparse.ArgumentParser) -> None:
    """Declare the formats of standard output and input."""
    add_input_format(parser).add_argument(
        "--format",
        choices=FORMATS,
        help="format of -o -: nut and matroska carry times, sound and colours, y4m and rawvideo frames only; "
        "default: nut",
    )


def add_input_format(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Declare the format of standard input; `read_input_format` reads it."""
    group = parser.add_argument_group("pipes")
    group.add_argument(
        "--input-format", metavar="NAME", help="FFmpeg's name of the format of -; needed for rawvideo only"
    )
    group.add_argument("--video-size", metavar="WxH", help="size of the pictures of rawvideo")
    group.add_argument("--framerate", metavar="R", help="frames per second of rawvideo; default: 25")
    group.add_argument("--pixel-format", metavar="NAME", help="pixel format of rawvideo; default: yuv420p")
    return group


def read_input_format(args: argparse.Namespace) -> InputFormat | None:
    """Return the format of standard input; None where a file is read. Raises UsageError."""
    given = [name for name in ("input_format", *_RAW) if getattr(args, name) is not None]
    named = args.input if "input" in args else args.file
    if named != "-":
        if given:
            raise UsageError(f"{flag(given[0])} is for standard input; a file states its format")
        return None
    from videostyle.io import InputFormat

    return InputFormat(args.input_format, args.video_size, args.framerate, args.pixel_format)


def standard_input() -> BinaryIO:
    """Return standard input as bytes; raise UsageError where it is a terminal."""
    if sys.stdin.isatty():
        raise UsageError("standard input is a terminal; pipe a film into it: ffmpeg ... -f nut - | videostyle ...")
    _make_binary(sys.stdin)
    return sys.stdin.buffer


@contextmanager
def standard_output() -> Iterator[BinaryIO]:
    """Open standard output for bytes; what libraries print there goes to standard error in the block.

    Raises UsageError where it is a terminal.
    """
    if sys.stdout.isatty():
        raise UsageError("standard output is a terminal; pipe it into a program or a file: ... -o - | ffmpeg -i - ...")
    sys.stdout.flush()
    _make_binary(sys.stdout)
    number = sys.stdout.fileno()
    own = os.dup(number)
    os.dup2(sys.stderr.fileno(), number)
    try:
        with open(own, "wb", buffering=0, closefd=False) as stream:
            yield stream
    finally:
        os.dup2(own, number)
        os.close(own)


def _make_binary(stream: TextIO) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(stream.fileno(), os.O_BINARY)
