"""What FFmpeg attaches to a picture beside its pixels: which kinds there are, and how it goes along to the encoder."""

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
PICTURE_BY_PICTURE = (CAPTIONS, "AFD", "S12M_TIMECODE")
"""Kinds that one picture may have and the next not."""
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
"""What people call FFmpeg's kinds of side data; others are named by FFmpeg's word."""
_OF_NO_CONSEQUENCE = frozenset({
    "DISPLAYMATRIX",  # carried out: the painting is upright
    "PANSCAN",  # every MPEG-2 decoder makes it up
    "SEI_UNREGISTERED",  # an encoder's name and settings
    "GOP_TIMECODE",  # counts from zero in nearly every film that has it
    "MOTION_VECTORS", "VIDEO_ENC_PARAMS", "REGIONS_OF_INTEREST", "VIDEO_HINT", "DETECTION_BBOXES", "FILM_GRAIN_PARAMS",
})  # fmt: skip
"""Kinds that tell of the old encoding, or that decoding has used up."""
_STEREO_IN_WEBM = (1, 2)
"""The AVStereo3DTypes, side by side and top and bottom, that FFmpeg's muxer takes."""


def attached(picture: av.VideoFrame) -> dict[str, bytes]:
    """The side data of a decoded picture by FFmpeg's kind, that of no consequence left out."""
    found = {data.type.name: bytes(data) for data in side_data_of(picture)}
    return {kind: data for kind, data in found.items() if kind not in _OF_NO_CONSEQUENCE}


def side_data(picture: av.VideoFrame) -> SideData | None:
    """What goes along with a picture from the decoder to the encoder; None where nothing does."""
    kinds = frozenset(data.type.name for data in side_data_of(picture)) - _OF_NO_CONSEQUENCE
    if not kinds:
        return None
    # PyAV copies side data with a frame but cannot attach it: so a frame of four pixels takes it to the encoder.
    carrier = picture.reformat(2, 2, "yuv420p", interpolation=Interpolation.POINT) if CAPTIONS in kinds else None
    return SideData(kinds, carrier)


def with_side_data(picture: av.VideoFrame, carrier: Any) -> av.VideoFrame:
    """A frame with the pixels of `picture` and what `carrier` carries."""
    joined: av.VideoFrame = carrier.reformat(
        picture.width, picture.height, picture.format.name, interpolation=Interpolation.POINT, threads=1
    )
    for plane, painted in zip(joined.planes, picture.planes, strict=True):
        plane.update(bytes(painted))
    joined.pict_type = PictureType.NONE  # the encoder chooses its own
    joined.colorspace, joined.color_range = picture.colorspace, picture.color_range
    joined.color_primaries, joined.color_trc = picture.color_primaries, picture.color_trc
    return joined


def named(kinds: Iterable[str]) -> list[str]:
    """What people call these kinds, in order, each once."""
    return sorted({NAMES.get(kind, kind.lower().replace("_", " ")) for kind in kinds})


def stereo_mode(side_data: Mapping[str, bytes], container: str = "matroska") -> str:
    """Matroska's word for a film's stereo layout; "" where it has none or is flat, or where WebM has no word for it."""
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
