"""Properties of streams that decide whether a container can hold them."""

from __future__ import annotations

from io import BytesIO
from typing import cast

import av
from av.stream import AttachmentStream, Disposition, Stream

from videostyle.io.pyav import kind_of, open_output


def stream_name(stream: Stream) -> str:
    """Return the common name of the kind of stream."""
    is_image = isinstance(stream, AttachmentStream) and (stream.mimetype or "").startswith("image/")
    return "cover art" if is_image or stream.disposition & Disposition.attached_pic else kind_of(stream)


def muxer_accepts(container: str, stream: Stream) -> bool:
    """Return True if FFmpeg's muxer accepts such a data stream; a file with one is begun in memory to test it."""
    scratch = open_output(cast(str, BytesIO()), format=container)
    try:
        scratch.add_stream_from_template(stream)
        scratch.start_encoding()
        scratch.close()
    except (av.FFmpegError, ValueError):
        return False
    return True


def matches(codec: str, allowed: tuple[str, ...]) -> bool:
    """Return True if a codec is one of `allowed`, whose names may end in an asterisk."""
    return any(codec == a or (a.endswith("*") and codec.startswith(a[:-1])) for a in allowed)
