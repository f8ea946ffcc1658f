"""Side data that FFmpeg attaches to a frame: its kinds, and its way from the decoder to the encoder."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any

import av
from av.video.frame import PictureType
from av.video.reformatter import Interpolation

from videostyle.io.pyav import side_data_of
from videostyle.types import SideData

CAPTIONS = "A53_CC"
PER_FRAME = (CAPTIONS, "AFD", "S12M_TIMECODE")
"""Kinds that may be present in one frame and missing in the next."""
NAMES = {
    CAPTIONS: "closed captions (CEA-608/708)",
    "SPHERICAL": "360-degree projection",
    "STEREO3D": "stereo 3-D layout",
    "ICC_PROFILE": "ICC colour profile",
    "AFD": "active format description",
    "S12M_TIMECODE": "timecode in the pictures",
    "MASTERING_DISPLAY_METADATA": "HDR mastering display",
    "CONTENT_LIGHT_LEVEL": "HDR light level",
    "DYNAMIC_HDR_PLUS": "HDR10+ dynamic metadata",
    "DYNAMIC_HDR_VIVID": "HDR Vivid metadata",
    "DOVI_RPU_BUFFER": "Dolby Vision metadata",
    "DOVI_METADATA": "Dolby Vision metadata",
    "AMBIENT_VIEWING_ENVIRONMENT": "HDR ambient viewing environment",
    "EXIF": "EXIF data",
    "VIEW_ID": "second view of a stereo film",
}
"""Common names of FFmpeg's kinds of side data; others are named by FFmpeg's word."""
_IGNORED = frozenset({
    "DISPLAYMATRIX",  # applied already: the output is upright
    "PANSCAN",  # every MPEG-2 decoder adds it
    "SEI_UNREGISTERED",  # an encoder's name and settings
    "GOP_TIMECODE",  # counts from zero in nearly every film that has it
    "MOTION_VECTORS", "VIDEO_ENC_PARAMS", "REGIONS_OF_INTEREST", "VIDEO_HINT", "DETECTION_BBOXES", "FILM_GRAIN_PARAMS",
})  # fmt: skip
"""Kinds that describe the old encoding, or that decoding has applied already."""
_STEREO_IN_WEBM = (1, 2)
"""AVStereo3DTypes that FFmpeg's muxer accepts for WebM: side by side, top and bottom."""


def side_data_by_kind(picture: av.VideoFrame) -> dict[str, bytes]:
    """Return the side data of a decoded picture by FFmpeg's kind, without the ignored kinds."""
    found = {data.type.name: bytes(data) for data in side_data_of(picture)}
    return {kind: data for kind, data in found.items() if kind not in _IGNORED}


def side_data(picture: av.VideoFrame) -> SideData | None:
    """Return the side data of a decoded picture for the encoder; None where it has none."""
    kinds = frozenset(data.type.name for data in side_data_of(picture)) - _IGNORED
    if not kinds:
        return None
    # PyAV copies side data with a frame but cannot attach it, so a frame of four pixels transports it to the encoder.
    carrier = picture.reformat(2, 2, "yuv420p", interpolation=Interpolation.POINT) if CAPTIONS in kinds else None
    return SideData(kinds, carrier)


def with_side_data(picture: av.VideoFrame, carrier: Any) -> av.VideoFrame:
    """Return a frame with the pixels of `picture` and the side data of `carrier`."""
    joined: av.VideoFrame = carrier.reformat(
        picture.width, picture.height, picture.format.name, interpolation=Interpolation.POINT, threads=1
    )
    for plane, painted in zip(joined.planes, picture.planes, strict=True):
        plane.update(bytes(painted))
    joined.pict_type = PictureType.NONE  # the encoder chooses its own
    joined.colorspace, joined.color_range = picture.colorspace, picture.color_range
    joined.color_primaries, joined.color_trc = picture.color_primaries, picture.color_trc
    return joined


def kind_names(kinds: Iterable[str]) -> list[str]:
    """List the common names of these kinds, in order, each once."""
    return sorted({NAMES.get(kind, kind.lower().replace("_", " ")) for kind in kinds})


def stereo_mode(side_data: Mapping[str, bytes], container: str = "matroska") -> str:
    """Return Matroska's name for a film's stereo layout; "" where the film has none, or where WebM has no name."""
    raw = side_data.get("STEREO3D", b"")
    if len(raw) < 8:
        return ""
    layout, flags = struct.unpack("=2i", raw[:8])
    mode = {
        1: ("left_right", "right_left"),
        2: ("top_bottom", "bottom_top"),
        3: ("block_lr", "block_rl"),
        4: ("checkerboard_lr", "checkerboard_rl"),
        6: ("row_interleaved_lr", "row_interleaved_rl"),
        7: ("col_interleaved_lr", "col_interleaved_rl"),
    }.get(layout, ("", ""))[flags & 1]
    return "" if container == "webm" and layout not in _STEREO_IN_WEBM else mode
