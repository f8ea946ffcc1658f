"""Styles: names, blends, strength, masks and regions, as plain data."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from numbers import Real
from pathlib import Path
from typing import Any, Literal, TypeVar

from videostyle.errors import SettingError
from videostyle.settings import check, check_number, set_fields, setting
from videostyle.timeline import Key, Timeline

T = TypeVar("T")


Blend = tuple[tuple[str, float], ...]
"""Pairs of a name (or a style file's path) and a weight; the weights are divided by their sum."""
SEGMENTED = ("person", "background")
"""Masks that a segmenter makes; any other mask is a file."""


@dataclass(frozen=True)
class Region:
    """Another style, in the area where a mask is white."""

    blend: Blend
    """Blend, written like `Style.blend` without times."""
    mask: str
    """Path of a picture, film or sequence, or one of SEGMENTED, like `Style.mask`."""

    def __post_init__(self) -> None:
        set_fields(self, blend=as_blend(self.blend), mask=os.fspath(self.mask))


@dataclass(frozen=True)
class Style:
    """One style, a blend of several, or none; its changes along the film, and its masks.

    Styles are written as a name, `Style("udnie")`; as names and weights, `Style({"great-wave": 2, "scream": 1})`; or as
    a `Timeline` of these.
    """

    blend: Blend | Timeline[Blend] = setting(
        (("none", 1.0),),
        "a name from `videostyle styles`, a picture, whose style is predicted at once, a style file, or none; several "
        "are blended by their weights. With times "
        "of the film (whatever --start says) styles are interpolated linearly: scream@0:05 is reached at 0:05, "
        "scream@0:05-0:09 holds until 0:09; if the next style starts just then, it is a hard cut",
        "the painting",
        name="style",
        metavar="NAME|PICTURE[:WEIGHT][@T[-T]]",
        many=True,
    )
    strength: float | Timeline[float] = setting(
        1.0,
        "how strongly to stylize, from the film itself (0) to the full style (1); takes times as --style does",
        "the painting",
        low=0,
        high=1,
        metavar="0..1[@T[-T]]",
        many=True,
    )
    keep_colors: bool = setting(False, "keep the film's hues and take the style's brightness only", "the painting")
    network: str = setting("fast", "the style network that paints, by name", "the painting", metavar="NAME")
    brush: float = setting(
        1.0,
        "size of the brush marks beside the picture: 1 as in the gallery, 2 twice as large and faster",
        "the painting",
        low=0.25,
        high=4,
        step=0.25,
    )
    mask: str | None = setting(
        None,
        "a picture, film or sequence: paint where it is white, and leave the film where it is black; person or "
        "background: paint the people only, or all but the people, whom --segmenter finds",
        "the painting",
        metavar="FILE|person|background",
    )
    regions: tuple[Region, ...] = setting(
        (),
        "paint in another style where FILE is white, over the regions before; each region adds a pass of the network. "
        "FILE may be person or background, as for --mask",
        "the painting",
        name="region",
        metavar="NAME=FILE",
        many=True,
    )
    feather: float = setting(
        2.0,
        "soften the edges of masks by a Gaussian of this deviation, in pixels of the painted picture",
        "the painting",
        name="mask_feather",
        low=0,
        high=1000,
        metavar="PX",
    )
    statistics: Literal["frame", "shot"] = setting(
        "frame",
        "statistics that the network normalizes by: each frame's own, or their running mean over the shot, so that "
        "brightness does not pump",
        "flicker",
        choices=lambda: ("frame", "shot"),
    )
    seed: int = setting(
        0,
        "seed of the noise that strokes follow: another number gives another take",
        "flicker",
        low=0,
        metavar="N",
    )

    def __post_init__(self) -> None:
        set_fields(
            self,
            blend=_along(self.blend, as_blend),
            strength=_along(self.strength, _as_strength),
            mask=None if self.mask is None else os.fspath(self.mask),
            regions=tuple(one if isinstance(one, Region) else Region(**one) for one in self.regions),
        )
        check(self)

    @property
    def blends(self) -> Timeline[Blend]:
        """The blend, as a timeline."""
        return Timeline.of(self.blend)

    @property
    def strengths(self) -> Timeline[float]:
        """The strength, as a timeline."""
        return Timeline.of(self.strength)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all styles in it, once each, in the order in which they were given."""
        blends = [key.value for key in self.blends.keys] + [region.blend for region in self.regions]
        return tuple(dict.fromkeys(name for blend in blends for name, _ in blend))

    @property
    def masks(self) -> tuple[str, ...]:
        """All masks: that of the whole painting, if there is one, and those of the regions."""
        return (*([] if self.mask is None else [self.mask]), *(region.mask for region in self.regions))

    @property
    def mask_files(self) -> tuple[str, ...]:
        """Paths of the masks that are files."""
        return tuple(mask for mask in self.masks if mask not in SEGMENTED)

    @property
    def segments_people(self) -> bool:
        """True if a mask is a segmenter's."""
        return any(mask in SEGMENTED for mask in self.masks)

    @property
    def label(self) -> str:
        """The styles' names, for file names and tables."""
        return "+".join(Path(name).stem for name in self.names)

    @property
    def is_none(self) -> bool:
        """True if no style is asked for."""
        return self.names == ("none",)

    def jumps(self, earlier: Fraction, later: Fraction) -> bool:
        """Return True where the style changes between two frames without interpolation."""
        return self.blends.jumps(earlier, later) or self.strengths.jumps(earlier, later)


AnyStyle = str | os.PathLike[str] | Mapping[str, float] | Blend | Timeline[Blend] | Style
"""Types that are accepted where a style is asked for."""


def as_blend(value: object) -> Blend:
    """Return names and weights from a name or path, a mapping, or pairs of both; raises SettingError."""
    if isinstance(value, str | os.PathLike):
        value = ((os.fspath(value), 1.0),)
    pairs = tuple(value.items()) if isinstance(value, Mapping) else value
    if not isinstance(pairs, tuple | list) or not all(isinstance(one, tuple | list) and len(one) == 2 for one in pairs):
        pairs = ((None, None),)
    if not pairs:
        raise SettingError("style", "names nothing; name at least one style")
    for name, weight in pairs:
        if not isinstance(name, str | os.PathLike) or not isinstance(weight, Real) or isinstance(weight, bool):
            raise SettingError(
                "style", f'cannot be {value!r}; write "great-wave", or {{"great-wave": 2, "scream": 1}} for a blend'
            )
    if not all(0 <= weight < math.inf for _, weight in pairs) or not sum(weight for _, weight in pairs) > 0:
        raise SettingError("style", f"weights must not be negative, and one must be above 0; got {value!r}")
    return tuple((os.fspath(name), float(weight)) for name, weight in pairs)


def _as_strength(value: Any) -> float:
    check_number("strength", value, 0, 1)
    return float(value)


def _along(value: Any, read: Callable[[Any], T]) -> T | Timeline[T]:
    """Return `value` converted by `read`; for a timeline (or its JSON form), convert the value of each key."""
    if isinstance(value, Mapping) and isinstance(value.get("keys"), list):
        value = Timeline(tuple(Key(read(one.pop("value")), **one) for one in map(dict, value["keys"])))
    if isinstance(value, Timeline):
        return Timeline(tuple(replace(key, value=read(key.value)) for key in value.keys))
    return read(value)
