"""Films, pictures and sequences, in and out: the source and the sink are chosen by the path."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fractions import Fraction

from videostyle.files import AnyPath
from videostyle.io.images import ImageSink, ImageSource, is_pattern, is_picture
from videostyle.io.info import describe, to_json
from videostyle.io.reader import VideoSource
from videostyle.io.writer import VideoSink
from videostyle.plan import EncodeOptions, Span
from videostyle.types import VideoInfo

__all__ = ["describe", "open_sink", "open_source", "probe", "to_json"]


def open_source(path: str, rate: Fraction | int = 24) -> VideoSource | ImageSource:
    """The film, GIF, picture, folder of pictures or numbered sequence (shots/%05d.png) at `path`.

    `rate` is the pictures a second of a folder or sequence. Raises SourceError where it cannot be read.
    """
    return ImageSource(path, rate) if _is_pictures(path) else VideoSource(path)


def _is_pictures(path: str) -> bool:
    return os.path.isdir(path) or is_pattern(path) or is_picture(path)


def probe(path: str) -> VideoInfo:
    """What is at `path`, decoding one frame; `to_json` turns it into plain values, `describe` into text.

    Raises SourceError.
    """
    return open_source(path).info


def open_sink(
    path: str,
    info: VideoInfo,
    options: EncodeOptions = EncodeOptions(),  # noqa: B008 - frozen
    span: Span = Span(),  # noqa: B008 - frozen
    size: tuple[int, int] | None = None,
    copy_from: str | None = None,
    average_rate: Fraction | None = None,
    sources: Iterable[AnyPath | None] = (),
) -> VideoSink | ImageSink:
    """A film, GIF, picture or numbered sequence to write at `path`, the painting of the source that `info` tells of.

    `span` is the part of the source that is written, `size` the (width, height) of its frames, `copy_from` the file
    to take sound, subtitles, chapters and tags from (None or pictures: none), `average_rate` the rate players are told.
    What `sources` name (masks, for example) is never overwritten, nor is the source itself.

    Raises UsageError for a request that cannot be carried out, SinkError where the folder cannot be written to or
    another run is writing the same file. Nothing is made or opened before the sink's `with` block.
    """
    if is_picture(path):
        return ImageSink(path, options, copy_from or info.path, sources, info.frames_in(span))
    if copy_from is not None and _is_pictures(copy_from):
        copy_from = None
    return VideoSink(path, info, options, span, size, copy_from, average_rate, sources)
