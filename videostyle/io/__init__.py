"""Sources and sinks of films, pictures and sequences, chosen by the path."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fractions import Fraction

from videostyle.files import AnyPath
from videostyle.io import animations, heif
from videostyle.io.animations import AnimationSource
from videostyle.io.heif import TiledSource
from videostyle.io.images import ImageSink, ImageSource, is_pattern, is_picture
from videostyle.io.info import describe, to_json
from videostyle.io.picture_tags import read_tags
from videostyle.io.pipes import InputFormat, PipeInput, PipeOutput
from videostyle.io.reader import VideoSource
from videostyle.io.writer import VideoSink
from videostyle.plan import EncodeOptions
from videostyle.timeline import Span
from videostyle.types import VideoInfo
from videostyle.written_files import WrittenFiles

__all__ = ["InputFormat", "PipeInput", "PipeOutput", "describe", "open_sink", "open_source", "probe", "to_json"]


AnySource = VideoSource | ImageSource | AnimationSource | TiledSource


def open_source(path: str | PipeInput, rate: Fraction | int = 24) -> AnySource:
    """Open the film, GIF, picture, folder of pictures or numbered sequence (shots/%05d.png) at `path`, or a pipe.

    `rate`, in frames per second, applies to a folder, a sequence and the pages of a TIFF. Raises SourceError where the
    path cannot be read.
    """
    if isinstance(path, PipeInput):
        return VideoSource(path)
    suffix = os.path.splitext(path)[1].lower()
    if os.path.isfile(path) and suffix in animations.EXTENSIONS:
        tags = read_tags(path)
        if tags.pictures > 1:
            return AnimationSource(path, tags, rate)
    if os.path.isfile(path) and suffix in heif.EXTENSIONS and (grid := heif.read_grid(path)) is not None:
        return TiledSource(path, grid, rate)
    return ImageSource(path, rate) if _is_pictures(path) else VideoSource(path)


def _is_pictures(path: str) -> bool:
    return os.path.isdir(path) or is_pattern(path) or is_picture(path)


def probe(path: str) -> VideoInfo:
    """Return the properties of the film or picture at `path`; one frame is decoded.

    `to_json` converts them to JSON values, `describe` to text. Raises SourceError.
    """
    return open_source(path).info


def open_sink(
    path: str | PipeOutput,
    info: VideoInfo,
    options: EncodeOptions = EncodeOptions(),  # noqa: B008 - frozen
    span: Span = Span(),  # noqa: B008 - frozen
    size: tuple[int, int] | None = None,
    copy_from: str | PipeInput | None = None,
    average_rate: Fraction | None = None,
    sources: Iterable[AnyPath | None] = (),
    written: WrittenFiles | None = None,
) -> VideoSink | ImageSink:
    """Make a sink for the film, GIF, picture or numbered sequence `path`, the output for the source with this `info`.

    `path` may be a pipe. `span` is the part of the source that is written, `size` the (width, height) of its frames,
    `copy_from` the file or pipe whose sound, subtitles, chapters and tags are copied (None or pictures: none),
    `average_rate` the frame rate that the container states. The files of `sources` (masks, for example) are never
    overwritten, nor is the source itself. Without `overwrite` in `options`, only the files that `written` has on record
    are replaced.

    Raises UsageError for an invalid request, SinkError where the folder cannot be written to or another run is writing
    the same file. No file is created or opened before the sink's `with` block.
    """
    count = info.frames_in(span)
    if isinstance(path, str) and is_picture(path) and not _is_animation(path, info, count):
        first_only = info.container == "pictures" and os.path.isfile(info.path) and not is_pattern(path)
        expected = 1 if first_only else count
        pictures = copy_from if isinstance(copy_from, str) else info.path
        return ImageSink(path, options, pictures, sources, expected, info.side_data, first_only, written)
    if isinstance(copy_from, str) and (_is_pictures(copy_from) or info.container == "pictures"):
        copy_from = None
    return VideoSink(path, info, options, span, size, copy_from, average_rate, sources, written)


def _is_animation(path: str, info: VideoInfo, count: int | None) -> bool:
    """Return True if `path` is to be one animated file: WebP in any case, PNG where the source is an animation."""
    if is_pattern(path) or count == 1:
        return False
    suffix = os.path.splitext(path)[1].lower()
    return suffix == ".webp" or (suffix == ".png" and info.plays is not None)
