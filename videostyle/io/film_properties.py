"""Muxer options, colour tags and HDR metadata of an output film, derived from its source."""

from __future__ import annotations

from fractions import Fraction

from av.video.codeccontext import VideoCodecContext

from videostyle.io.colors import PRIMARIES, RANGES, SPACES, TRANSFERS, assumed_space, number_of, pixel_format
from videostyle.io.info import hdr_metadata
from videostyle.types import Color, VideoInfo


def muxer_options(muxer: str, info: VideoInfo, time_base: Fraction) -> dict[str, str]:
    """Return the options of FFmpeg's `muxer` for an output of the source `info` with this time base."""
    if muxer in ("matroska", "webm"):
        # Sound often starts a little before 0, and that part is skipped; a shift of all streams would shift the film.
        return {"avoid_negative_ts": "disabled"}
    plays = info.plays or 0  # number of plays of an animation; a film in such a format plays for ever
    if muxer in ("gif", "webp"):
        return {"loop": "-1" if plays == 1 and muxer == "gif" else str(plays)}
    if muxer == "apng":
        return {"plays": str(plays)}
    if muxer == "yuv4mpegpipe":
        return {"strict": "-1"}  # more than 8 bits are an extension
    if muxer not in ("mp4", "mov"):
        return {}
    # Both clocks must have the source's ticks: the track's for the time of each frame, the movie's for its start.
    ticks = str(time_base.denominator)
    return {"movflags": "+faststart", "video_track_timescale": ticks, "movie_timescale": ticks}


def output_color(info: VideoInfo, pix_fmt: str, codec: str) -> Color:
    """Return the colour properties of the output: the source's, with matrix and range stated in any case."""
    own = info.color
    kept = pixel_format(pix_fmt)
    if kept.chroma == "rgb":
        return Color("gbr", "pc", own.primaries, own.transfer)
    was_rgb = pixel_format(info.pix_fmt).chroma == "rgb"
    space = assumed_space("" if was_rgb else own.space, info.height)
    limited = was_rgb or own.range != "pc"
    full = kept.full_range or (not limited and codec != "prores")
    return Color(space, "pc" if full else "tv", own.primaries, own.transfer)


def set_color_tags(context: VideoCodecContext, color: Color) -> None:
    """Set the colour tags of an encoder."""
    context.colorspace = number_of(SPACES, color.space)
    context.color_range = number_of(RANGES, color.range)
    context.color_primaries = number_of(PRIMARIES, color.primaries)
    context.color_trc = number_of(TRANSFERS, color.transfer)


def tag_film(context: VideoCodecContext, info: VideoInfo, color: Color, codec: str, muxer: str) -> None:
    """Set the pixel aspect, colour tags and codec tag of the film's stream."""
    context.sample_aspect_ratio = info.sample_aspect_ratio
    set_color_tags(context, color)
    if codec == "hevc" and muxer in ("mp4", "mov"):
        context.codec_tag = "hvc1"  # QuickTime does not play hev1


def hdr_options(info: VideoInfo, codec: str, options: dict[str, str]) -> dict[str, str]:
    """Return the encoder options for the source's mastering display and light level; `options` are the other ones."""
    display, light = hdr_metadata(info.side_data)
    if not display and not light:
        return {}
    if codec == "hevc":
        more = [f"master-display={display}"] * bool(display) + [f"max-cll={light}"] * bool(light)
        return {"x265-params": ":".join([options["x265-params"], "hdr10=1", "repeat-headers=1", *more])}
    if codec == "h264":
        more = [f"mastering-display={display}"] * bool(display) + [f"cll={light}"] * bool(light)
        return {"x264-params": ":".join(more)}
    return {}
