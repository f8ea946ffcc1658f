"""What to do, as plain data: every setting and its default is written here, once.

The command line, the Python functions and the training files are built from these classes. This module imports
nothing but the standard library, so `videostyle --help` is instant and a plan can travel to another process.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from numbers import Real
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from videostyle.errors import SettingError, UsageError
from videostyle.plugins import available
from videostyle.settings import assemble, check, check_number, disassemble, like, setting

T = TypeVar("T")

Blend = tuple[tuple[str, float], ...]
"""Names (or paths of style files) and weights; the weights are divided by their sum."""


def _unit(name: str, value: float) -> None:
    check_number(name, value, 0, 1)


def _replaced(plan: object, **values: object) -> None:
    """Set fields of a frozen dataclass that is being made."""
    for name, value in values.items():
        object.__setattr__(plan, name, value)


def as_seconds(value: Fraction | Real | str) -> Fraction:
    """Exact seconds from a number, or from text as `read_seconds` takes it; raises UsageError."""
    if isinstance(value, str):
        return read_seconds(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise UsageError(f'{value!r} is not a time: write seconds, or text such as "1:20"')
    return value if isinstance(value, Fraction) else read_seconds(str(value))


def read_seconds(text: str) -> Fraction:
    """Exact seconds from "12.5", "1:02", "1:02:03.5", "1h2m3s", "80s" or "1/24"; raises UsageError.

    A decimal comma is taken as a point.
    """
    text = text.strip().replace(",", ".")
    number = r"(\d+(?:\.\d*|/[1-9]\d*)?)"
    found = re.fullmatch(rf"(?:(?:(\d+):)?(\d+):)?{number}", text)
    found = found or re.fullmatch(rf"(?=.)(?:(\d+)h)?(?:(\d+)m)?(?:{number}s)?", text)
    if found is None:
        raise UsageError(f"{text!r} is not a time: write seconds, m:ss, h:mm:ss or 1m20s")
    return int(found[1] or 0) * 3600 + int(found[2] or 0) * 60 + Fraction(found[3] or 0)


def read_timecode(text: str, rate: Fraction) -> Fraction | None:
    """Seconds from the first frame for "h:mm:ss:ff", frames counted at `rate` a second; None for other text.

    With a semicolon, "h:mm:ss;ff", it is SMPTE's drop-frame count at 30 or 60: each minute but every tenth leaves out
    its first 2 or 4 numbers. Raises UsageError for a number of a frame that a second does not have.
    """
    found = re.fullmatch(r"(\d+):(\d\d):(\d\d)([:;])(\d+)", text.strip())
    if found is None:
        return None
    whole = round(rate)
    hours, minutes, seconds, frames = (int(found[group]) for group in (1, 2, 3, 5))
    if frames >= whole or minutes > 59 or seconds > 59:
        raise UsageError(f"{text!r} is not a time at {float(rate):g} frames a second")
    minutes += 60 * hours
    count = (60 * minutes + seconds) * whole + frames
    if found[4] == ";":
        count -= whole // 15 * (minutes - minutes // 10)
    return count / rate


@dataclass(frozen=True)
class Span:
    """The part of a film to work on, in seconds from its first frame; text such as "1:20" is read.

    `end` None is the end of the film.
    """

    start: Fraction = setting(
        Fraction(0),
        "where the part to paint begins: 80, 1:20, 1m20s, or 0:01:20:12 with the number of the frame",
        "the film",
        metavar="T",
    )
    end: Fraction | None = setting(
        None, "where the part to paint ends, written as for --start", "the film", metavar="T"
    )

    def __post_init__(self) -> None:
        try:
            _replaced(self, start=as_seconds(self.start))
            _replaced(self, end=None if self.end is None else as_seconds(self.end))
        except UsageError as error:
            raise UsageError(f"start and end: {error}") from None
        if self.start < 0:
            raise SettingError("start", f"must not be negative, got {float(self.start):g} s")
        if self.end is not None and self.end <= self.start:
            raise SettingError("end", f"must be after start, got {float(self.start):g} s to {float(self.end):g} s")


@dataclass(frozen=True)
class Key(Generic[T]):
    """A value at one moment of a film, and for how long it stays; in seconds from the film's first frame."""

    value: T
    start: Fraction = Fraction(0)
    hold: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        _replaced(self, start=as_seconds(self.start), hold=as_seconds(self.hold))
        if self.start < 0 or self.hold < 0:
            raise UsageError(f"a time ends before it starts, or starts before the film: {self}")

    @property
    def end(self) -> Fraction:
        """When the glide to the next key begins."""
        return self.start + self.hold

    def __str__(self) -> str:
        return f"{float(self.start):g} s" + (f" to {float(self.end):g} s" if self.hold else "")


@dataclass(frozen=True)
class Timeline(Generic[T]):
    """A value that changes along a film: held at each key, gliding in a straight line from each to the next.

    Before the first key and after the last it holds. Where a key starts when the one before ends, it jumps.
    """

    keys: tuple[Key[T], ...]

    def __post_init__(self) -> None:
        if not self.keys:
            raise UsageError("a timeline needs at least one key")
        for before, after in pairwise(self.keys):
            if after.start < before.end:
                raise UsageError(f"times overlap or are out of order: {before}, then {after}")

    @classmethod
    def of(cls, value: T | Timeline[T]) -> Timeline[T]:
        """A timeline as it is; anything else as the timeline that never changes."""
        return value if isinstance(value, Timeline) else cls((Key(value),))

    def around(self, time: Fraction) -> tuple[T, T, float]:
        """The values to be between at `time`, and how far on the way from the first to the second, in 0..1."""
        passed = [key for key in self.keys if key.start <= time] or [self.keys[0]]
        last = passed[-1]
        if time <= last.end or last is self.keys[-1]:
            return last.value, last.value, 0.0
        following = self.keys[len(passed)]
        return last.value, following.value, float((time - last.end) / (following.start - last.end))

    def jumps(self, earlier: Fraction, later: Fraction) -> bool:
        """True where a whole glide from one value to another falls between two frames."""
        return any(
            before.value != after.value and before.end >= earlier and earlier < after.start <= later
            for before, after in pairwise(self.keys)
        )


@dataclass(frozen=True)
class Region:
    """Another style where a mask is white."""

    blend: Blend
    """As `Style.blend`, without times."""
    mask: str
    """A picture, film or sequence, as `Style.mask`."""

    def __post_init__(self) -> None:
        _replaced(self, blend=as_blend(self.blend), mask=os.fspath(self.mask))


@dataclass(frozen=True)
class Style:
    """One style, a blend of several, or none; how it changes along the film, and where it goes.

    Styles are written as a name, `Style("udnie")`; as names and weights, `Style({"great-wave": 2, "scream": 1})`; or as
    a `Timeline` of these.
    """

    blend: Blend | Timeline[Blend] = setting(
        (("none", 1.0),),
        "a name from `videostyle styles`, a style file, or none; several are blended by their weights. With times "
        "of the film (whatever --start says) the style glides from one to the next: scream@0:05 is reached at 0:05, "
        "scream@0:05-0:09 stays until 0:09; where the next begins just then it jumps",
        "the painting",
        name="style",
        metavar="NAME[:WEIGHT][@T[-T]]",
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
    )
    mask: str | None = setting(
        None,
        "a picture, film or sequence: paint where it is white, and leave the film where it is black",
        "the painting",
        metavar="FILE",
    )
    regions: tuple[Region, ...] = setting(
        (),
        "paint in another style where FILE is white, over those before it; each costs a pass of the network",
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
        "what the network normalises by: each frame's own statistics, or their running mean over the shot, so that "
        "brightness does not pump",
        "flicker",
        choices=lambda: ("frame", "shot"),
    )
    seed: int = setting(
        0,
        "seed of the noise that strokes hang on: another number gives another take",
        "flicker",
        low=0,
        metavar="N",
    )

    def __post_init__(self) -> None:
        _replaced(
            self,
            blend=_along(self.blend, as_blend),
            strength=_along(self.strength, _as_strength),
            mask=None if self.mask is None else os.fspath(self.mask),
            regions=tuple(one if isinstance(one, Region) else Region(**one) for one in self.regions),
        )
        check(self)

    @property
    def blends(self) -> Timeline[Blend]:
        """What is painted, as a timeline."""
        return Timeline.of(self.blend)

    @property
    def strengths(self) -> Timeline[float]:
        """How strongly, as a timeline."""
        return Timeline.of(self.strength)

    @property
    def names(self) -> tuple[str, ...]:
        """Every painting that takes part, once each, in the order they were named."""
        blends = [key.value for key in self.blends.keys] + [region.blend for region in self.regions]
        return tuple(dict.fromkeys(name for blend in blends for name, _ in blend))

    @property
    def label(self) -> str:
        """The paintings, as file names and tables show them."""
        return "+".join(Path(name).stem for name in self.names)

    @property
    def is_none(self) -> bool:
        """True for the pass-through, which leaves every pixel as it is."""
        return self.names == ("none",)

    def jumps(self, earlier: Fraction, later: Fraction) -> bool:
        """True where the style changes between two frames without a glide."""
        return self.blends.jumps(earlier, later) or self.strengths.jumps(earlier, later)


AnyStyle = str | os.PathLike[str] | Mapping[str, float] | Blend | Timeline[Blend] | Style
"""How a style may be written where one is asked for."""


def as_blend(value: object) -> Blend:
    """Names and weights from a name or path, a mapping of names to weights, or pairs of them; raises SettingError."""
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
    """`value` read by `read`; of a timeline, which may be as JSON has it, the value of each key."""
    if isinstance(value, Mapping) and isinstance(value.get("keys"), list):
        value = Timeline(tuple(Key(read(one.pop("value")), **one) for one in map(dict, value["keys"])))
    if isinstance(value, Timeline):
        return Timeline(tuple(replace(key, value=read(key.value)) for key in value.keys))
    return read(value)


def _installed(package: str, *more: str) -> Callable[[], tuple[str, ...]]:
    """What a registry of modules has, and `more` before it."""
    return lambda: (*more, *available(package))


@dataclass(frozen=True)
class FlowOptions:
    """How optical flow between frames is estimated."""

    method: str = setting(
        "auto",
        "estimator of optical flow; auto is RAFT on a GPU with weights at hand, DIS otherwise; none estimates nothing, "
        "and then nothing is steadied",
        "flicker",
        name="flow",
        choices=_installed("videostyle.flow", "auto"),
    )
    weights: Path | None = setting(
        None,
        "a file with RAFT's weights; without it torchvision's own are taken",
        "flicker",
        name="flow_weights",
        metavar="FILE",
    )
    allow_download: bool = setting(
        False, "let torchvision download RAFT's weights if they are missing", "flicker", name="download"
    )
    longest_side: int = setting(
        512,
        "RAFT works on pictures scaled down to at most this many pixels; its cost grows with the square of the area",
        "flicker",
        name="flow_size",
        low=64,
        metavar="PX",
    )

    def __post_init__(self) -> None:
        _replaced(self, weights=None if self.weights is None else Path(self.weights))
        check(self)


@dataclass(frozen=True)
class StabilizeOptions:
    """How much of the previous output is carried along the motion, and from where."""

    amount: float = setting(
        1.0,
        "how much of what was painted is carried along the motion: 0 paints every frame afresh, 1 flickers least",
        "flicker",
        name="stabilize",
        low=0,
        high=1,
    )
    mode: Literal["auto", "causal", "lookahead"] = setting(
        "auto",
        "causal: from the frames before, each frame out as it comes in. lookahead: also from those after, steadier, "
        "slower, some frames late. auto: lookahead for films, causal for what is live",
        "flicker",
        name="stabilize_mode",
        choices=lambda: ("auto", "causal", "lookahead"),
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class EncodeOptions:
    """How the output is written."""

    codec: str = setting(
        "auto",
        "h264, hevc, av1, vp9, prores, ffv1, gif...; auto goes by the output's name",
        "the output",
        metavar="NAME",
    )
    crf: int | None = setting(
        None, "constant rate factor: lower is better and larger", "the output", low=0, metavar="N"
    )
    preset: str | None = setting(None, "the encoder's preset: how slowly it works", "the output", metavar="P")
    pix_fmt: str | None = setting(
        None, "the encoder's pixel format, yuv420p10le for example", "the output", metavar="F"
    )
    overwrite: bool = setting(False, "replace the files to be written if they exist", "the output")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class RenderSettings:
    """How to paint, apart from what and where to.

    The parts may be written briefly: `style="udnie"`, `stabilize=0.5`, `flow="none"`.
    """

    style: Style = field(default_factory=Style)
    flow: FlowOptions = field(default_factory=FlowOptions)
    stabilize: StabilizeOptions = field(default_factory=StabilizeOptions)
    encode: EncodeOptions = field(default_factory=EncodeOptions)
    size: str | None = setting(
        None,
        "paint at this size: 640x360 to fit inside, aspect kept, or 360 for the short side; default: the film's own",
        "the film",
        metavar="WxH|SHORT",
    )
    engine: str = setting(
        "auto",
        "runtime of the style network; auto is OpenVINO on a CPU if it is installed, torch otherwise",
        "the machine",
        choices=_installed("videostyle.engines", "auto"),
    )
    device: str = setting("auto", "auto, cpu, cuda or cuda:N", "the machine", metavar="auto|cpu|cuda[:N]")
    queue_depth: int = setting(
        4,
        "frames that may wait between two stages: more even speed out, and take memory",
        "the machine",
        low=1,
        high=1024,
        metavar="N",
    )

    def __post_init__(self) -> None:
        if isinstance(self.size, int) and not isinstance(self.size, bool):
            _replaced(self, size=str(self.size))
        if isinstance(self.size, tuple | list) and len(self.size) == 2:
            _replaced(self, size=f"{self.size[0]}x{self.size[1]}")
        for name, kind, brief in (
            ("style", Style, (str, os.PathLike, Mapping, tuple, list, Timeline)),
            ("flow", FlowOptions, (str,)),
            ("stabilize", StabilizeOptions, (Real,)),
            ("encode", EncodeOptions, ()),
        ):
            value = getattr(self, name)
            if isinstance(value, brief) and not isinstance(value, bool):
                _replaced(self, **{name: kind(value)})  # type: ignore[arg-type]
            elif not isinstance(value, kind):
                raise SettingError(name, f"cannot be {value!r}; write a {kind.__name__}")
        check(self)


@dataclass(frozen=True)
class RenderPlan(RenderSettings):
    """One film (or picture) to paint."""

    source: str
    output: str
    span: Span = field(default_factory=Span, kw_only=True)

    def __post_init__(self) -> None:
        for name in ("source", "output"):
            value = getattr(self, name)
            if not isinstance(value, str | os.PathLike):
                raise SettingError(name, f"cannot be {value!r}; write the path of a file")
            _replaced(self, **{name: os.fspath(value)})
        if isinstance(self.span, tuple | list):
            _replaced(self, span=Span(*self.span))
        if not isinstance(self.span, Span):
            raise SettingError("span", f"cannot be {self.span!r}; write a Span")
        super().__post_init__()

    def to_json(self) -> dict[str, Any]:
        """Every setting by the name it has in job lists, as JSON has it; `RenderPlan.of` makes the same plan of it."""
        return {"source": self.source, "output": self.output, **disassemble(self)}

    @classmethod
    def of(cls, source: str | os.PathLike[str], output: str | os.PathLike[str], /, **settings: Any) -> RenderPlan:
        """A plan from settings by the names they have on the command line and in job lists; raises UsageError.

        `RenderPlan.of("in.mp4", "out.mp4", style="udnie", strength=0.8, start="1:20", codec="hevc")`.
        """
        return assemble(cls, source=source, output=output, **settings)

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is read, as far as the plan names it: none of them may be written to."""
        style = self.style
        named = [self.source, style.mask, *(region.mask for region in style.regions), *style.names]
        return tuple(str(one) for one in (*named, self.flow.weights) if one)


@dataclass(frozen=True)
class StyleImage:
    """A painting to paint after, by optimisation; which part of it, and where in the picture."""

    image: Path
    weight: float = 1.0
    """Among the paintings of the same place; divided by their sum."""
    part: Path | None = None
    """A mask on the painting: only what is white there is looked at."""
    region: str | None = None
    """A mask on the picture: painted like this where it is white. Where no region is, the paintings without one are."""

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise UsageError(f"{self.image}: its weight must be above 0, got {self.weight:g}")


@dataclass(frozen=True)
class GatysOptions:
    """How a picture is painted by optimising its pixels (Gatys, Ecker and Bethge 2016)."""

    loss_network: str = "vgg19-small"
    """The loss network that judges: the one that ships, or vgg19, by torchvision."""
    loss_network_weights: Path | None = None
    pooling: Literal["max", "average"] = "max"
    """Average pooling is Gatys' own, and paints a little smoother."""
    style_layers: tuple[tuple[str, float], ...] = (
        ("relu1_1", 1.0),
        ("relu2_1", 1.0),
        ("relu3_1", 1.0),
        ("relu4_1", 1.0),
        ("relu5_1", 1.0),
    )
    """Layers and their weights."""
    content_layers: tuple[tuple[str, float], ...] = (("relu4_2", 1.0),)
    total_variation: float = 0.05
    strength: float = 1.0
    """From the picture as it is (0) to the painting (1), as in training: the weights of style and of likeness."""
    keep_colors: Literal["no", "luminance", "match"] = "no"
    """luminance: paint, then take the picture's hues. match: give the painting the picture's colours beforehand."""
    brush: float = 1.0
    """Size of the marks: that of the painting, scaled to the picture's longer side, times this."""
    method: Literal["lbfgs", "adam"] = "lbfgs"
    precondition: bool = True
    """L-BFGS knows the usual shape of such objectives from the start: half the steps. False: as Gatys ran it."""
    steps: int = 20
    """Evaluations of the objective and its gradient, at full size; half as many at each scale before it."""
    lr: float = 0.02
    """Of Adam's steps, in 0..1 of brightness; L-BFGS finds its own."""
    warmup: int = 10
    """Steps over which Adam's rate rises, at each scale."""
    smallest: int = 128
    """Longer side of the coarsest scale; each is twice the one before, the last is the picture's own."""
    tolerance: float = 2e-3
    """A scale is done when twenty steps have improved the objective by less than this share."""
    tile: int | None = None
    """Work through the picture in squares of this many pixels; None decides by the memory there is."""
    half: bool | None = None
    """Compute features in bfloat16; None where that is faster."""
    seed: int = 0

    def __post_init__(self) -> None:
        _unit("strength", self.strength)
        if not 0.1 <= self.brush <= 4:
            raise UsageError(f"brush must be between 0.1 and 4, got {self.brush:g}")
        if self.steps < 1:
            raise UsageError(f"steps must be at least 1, got {self.steps}")
        if self.smallest < 32:
            raise UsageError(f"the smallest scale must be at least 32 pixels, got {self.smallest}")
        if self.tile is not None and (self.tile < 64 or self.tile % 16):
            raise UsageError(f"tile must be a multiple of 16 pixels, at least 64, got {self.tile}")
        for name in ("pooling", "keep_colors", "method"):
            allowed = {"pooling": ("max", "average"), "keep_colors": ("no", "luminance", "match")}
            if getattr(self, name) not in allowed.get(name, ("lbfgs", "adam")):
                raise UsageError(f"{name} cannot be {getattr(self, name)!r}")


@dataclass(frozen=True)
class PaintPlan:
    """One still to paint by optimisation."""

    content: str
    output: str
    style_images: tuple[StyleImage, ...]
    size: int | None = None
    """Longer side of what is painted; None for the picture's own."""
    start: str = "content"
    """What to begin with: content, noise, or a picture's path."""
    options: GatysOptions = field(default_factory=GatysOptions)
    device: str = "auto"
    overwrite: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is read: none of them may be written to."""
        of_originals = [file for one in self.style_images for file in (one.image, one.part, one.region)]
        return tuple(str(one) for one in (self.content, self.start, *of_originals) if one)

    def __post_init__(self) -> None:
        if not self.style_images:
            raise UsageError("name at least one painting to paint after")
        if all(one.region is not None for one in self.style_images):
            raise UsageError("every painting has a region; name one for the rest of the picture")
        if self.size is not None and self.size < 32:
            raise UsageError(f"size must be at least 32 pixels, got {self.size}")


@dataclass(frozen=True)
class KeyframePlan:
    """One film whose keyframes are painted by optimisation, or by a person, and carried to the frames between."""

    film: RenderPlan
    """Source, output, part, size, encoding, flicker; its style is not used."""
    style_images: tuple[StyleImage, ...] = ()
    """What keyframes are painted after; none where a person painted them."""
    options: GatysOptions = field(default_factory=GatysOptions)
    every: int | None = None
    """A keyframe every so many frames of a shot; None where what was painted no longer covers the picture."""
    keys: Path | None = None
    """A folder of keyframes that a person painted over, as `export_keyframes` wrote them."""
    propagate: Literal["warp", "learned", "both"] = "both"
    """warp: keyframes, moved along the motion; learned: a network tuned to them; both: it paints where motion fails."""
    tune_steps: int = 150
    """Of the network, on the keyframes."""

    def __post_init__(self) -> None:
        if not self.style_images and self.keys is None:
            raise UsageError("name a painting for the keyframes, or the folder of those that are painted")
        if self.style_images and self.keys is not None:
            raise UsageError("keyframes are painted after a painting, or taken from a folder; not both")
        if any(one.region is not None for one in self.style_images):
            raise UsageError("a region does not move with the film; paint the keyframes' regions by hand")
        if self.every is not None and self.every < 1:
            raise UsageError(f"keyframes must be at least 1 frame apart, got {self.every}")
        if self.tune_steps < 1:
            raise UsageError(f"tune_steps must be at least 1, got {self.tune_steps}")
        if self.propagate not in ("warp", "learned", "both"):
            raise UsageError(f"propagate: there are warp, learned and both, not {self.propagate!r}")


@dataclass(frozen=True)
class LivePlan:
    """What comes from a camera, painted as it comes."""

    camera: str = "0"
    """A number or device, a network stream's URL, or a film that is played at its own speed."""
    styles: tuple[str, ...] = ("great-wave",)
    """The first is painted to begin with. All are one key away, and after them the rest of the gallery."""
    strength: float = like(Style, "strength", many=False, metavar=None)
    keep_colors: bool = like(Style, "keep_colors")
    network: str = like(Style, "network")
    brush: float = like(Style, "brush")
    stabilize: float = like(StabilizeOptions, "amount")
    """Always causal."""
    gate: bool = True
    """Average the camera's noise away where nothing moves."""
    fps: float = 24.0
    """Frames a second that the size painted at is chosen for."""
    size: str = "640x360"
    """As `RenderPlan.size`, for what comes out; a smaller camera keeps its own size."""
    adapt: bool = True
    """Paint smaller where the machine is too slow for `fps`, and enlarge that."""
    loop: bool = False
    """Begin a film again at its end."""
    seconds: Fraction | None = None
    """Stop after so long."""
    keys: tuple[tuple[Fraction, str], ...] = ()
    """Keys that are pressed by themselves, and when, in seconds."""
    window: bool = True
    """Show it in a window, which also takes keys."""
    virtual_camera: str | None = None
    """The virtual camera to feed; "" is any there is, None is none."""
    output: str | None = None
    """A file to record to from the first frame on."""
    encode: EncodeOptions = field(default_factory=EncodeOptions)
    engine: str = like(RenderSettings, "engine")
    device: str = like(RenderSettings, "device")

    def __post_init__(self) -> None:
        if isinstance(self.styles, str | os.PathLike):
            _replaced(self, styles=(os.fspath(self.styles),))
        if not self.styles:
            raise UsageError("name at least one style")
        check(self)
        check_number("fps", self.fps, 1, 240)
        if self.seconds is not None and self.seconds <= 0:
            raise UsageError(f"seconds must be above 0, got {float(self.seconds):g}")


@dataclass(frozen=True)
class Segment:
    """A stretch of a film that is painted on its own. Frames are counted from 0 in the part that the plan asks for."""

    start: int
    end: int
    """Frames from `start` to before `end` are kept."""
    warm: int
    """Painting begins at this frame, that what is remembered at `start` is what the whole film's painter remembers."""
    ahead: int
    """Frames to before this one are painted, for those who look ahead."""
    pts: int
    """Of the frame `warm`."""
    check: int
    """CRC-32 of the pixels of the frame `warm`: not every film gives the same frames when it is entered midway."""
    cuts: tuple[int, ...] = ()
    """Frames at which shots begin."""


@dataclass(frozen=True)
class BatchPlan:
    """Films to paint into one folder."""

    films: tuple[RenderPlan, ...]
    folder: Path
    workers: int | None = None
    """How many paint at a time; None asks the machine."""
    executor: str = "local"
    """What carries the work out, by name: local (processes) or ray."""
    address: str | None = None
    """Of the Ray cluster; None is the one this machine belongs to, or a new one."""
    retries: int = 1
    """How often a segment is tried again before its film has failed."""
    segment: int = 240
    """Frames of a segment, at least: what starting one costs is then small against painting it. Fewer where workers
    would have nothing to do."""
    whole_shots: bool = False
    """Never split within a shot, however long: the film is then the single run's to the bit."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers must be at least 1, got {self.workers}")
        if self.segment < 1:
            raise UsageError(f"segment must be at least 1 frame, got {self.segment}")
        if self.retries < 0:
            raise UsageError(f"retries must not be negative, got {self.retries}")


@dataclass(frozen=True)
class TrainingStyle:
    """A painting to learn, and what its card and the gallery say of it."""

    name: str
    """What the user types: `great-wave`."""
    image: Path
    title: str = ""
    painter: str = ""
    year: str = ""
    licence: str = ""
    size: int = 512
    """The longer side, in pixels, at which its brush marks are learned: larger is coarser marks in the film."""


@dataclass(frozen=True)
class LearnPlan:
    """One painting to learn for a network that can paint already."""

    style: TrainingStyle
    output: Path
    """The style file. Beside it lie a sheet of samples and, until it is learned, a folder with what there is so far."""
    content: Path | None = None
    """A folder of photographs, or a film, to learn on; None makes pictures up."""
    network: str = "fast"
    whole: bool = False
    """Train the whole network for this painting alone, not just a code; it is written beside the style file."""
    minutes: float = 10.0
    """For everything, until the file is there."""
    steps: int | None = None
    """This many steps of training instead, however long they take."""
    loss_network: str | None = None
    """The loss network that judges; None takes torchvision's VGG-19 if it is on this machine already, or else the
    small one that comes with videostyle."""
    loss_network_weights: Path | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not self.minutes > 0:
            raise UsageError(f"minutes must be above 0, got {self.minutes:g}")
        if self.steps is not None and self.steps < 1:
            raise UsageError(f"steps must be at least 1, got {self.steps}")
        if self.style.size < 64:
            raise UsageError(f"size must be at least 64 pixels, got {self.style.size}")
        if self.loss_network is None and self.loss_network_weights is not None:
            raise UsageError("name the loss network that the weights are for")


@dataclass(frozen=True)
class TrainConfig:
    """One training run; `videostyle train` reads it from a TOML file with these names."""

    photographs: Path
    """A folder of pictures to learn to paint; searched recursively."""
    styles: tuple[TrainingStyle, ...]
    folder: Path
    """Where checkpoints, curves, sheets and the finished style files go."""
    network: str = "fast"
    blur: bool = False
    """Give it blurred halvings; see `Architecture`."""
    start: Path | None = None
    """A models folder to start from instead of from random numbers: the trunk of the same name, or a narrower one of
    the same depth, which is widened; and the codes of the paintings that have the same names there."""
    train_trunk: bool = True
    """False learns the codes only, and leaves the trunk as it is in `start`."""
    loss_network: str = "vgg19-small"
    loss_network_weights: Path | None = None
    films: Path | None = None
    """A folder of films, from which frames in a row are taken; None moves photographs instead."""
    film_share: float = 0.5
    """Share of the samples that are such frames."""
    film_flow: str = "dis"
    """What estimates their motion: dis, raft or raft-large."""
    film_flow_weights: Path | None = None

    steps: int = 4000
    minutes: float | None = None
    """Stop after this long, if that is before the last step; progress is counted by the clock then."""
    steady_from: float = 0.7
    """Share of the run from which frames are rolled out and the temporal term comes in. Before it single frames are
    stylized: paint first, steady last."""
    gate_from: float = 1.0
    """Share of the run from which the gate of a recurrent network is learned; before it the gate stays where it
    begins, open. The style term shuts a gate that is learned before the corrections keep the detail of what is
    copied."""
    decay_from: float = 0.7
    """Share of the run up to which the learning rates stay; then they fall along half a cosine. A run that is cut
    short before it can be finished by a short one that starts from its weights with `decay_from` 0."""
    roll_out: int = 12
    """Most frames in a row that are stylized before the one that is judged."""
    batch: int = 4
    """Pictures a step, over all devices."""
    accumulate: int = 1
    """Parts a batch is worked through in, where the memory is too small for the whole."""
    workers: int = 0
    """Processes that draw batches ahead, so that a GPU need not wait; 0 draws them in the training process."""
    crop: int = 224
    lr: float = 2e-3
    """Of the trunk's weights."""
    code_lr: float = 1e-2
    """Of the codes: each is seen only when its painting is dealt, and there are few of them."""
    warmup: int = 100
    """Steps over which the learning rates rise."""
    average: float = 0.99
    """The weights that are validated and exported are a running mean over the last 1 / (1 - average) steps (Polyak and
    Juditsky 1992); 0 takes the last."""
    clip: float = 5.0
    """Largest norm of the gradient."""
    seed: int = 0
    bf16: bool | None = None
    """Compute in bfloat16; None does so where the processor has instructions for it."""

    style_layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    style_weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 0.5)
    content_layers: tuple[str, ...] = ("relu3_3", "relu4_2")
    local: float = 0.5
    """Weight of the style distances of the picture's four quadrants, beside the whole's."""
    local_layers: tuple[str, ...] = ("relu2_1", "relu3_1", "relu4_1")
    content_weights: tuple[float, ...] = (0.25, 1.0)
    content: float = 0.4
    """Weight of the content distances, at the layers' own weights."""
    flat_content: float = 0.2
    """How much content counts in flats; beside edges it is 1."""
    halved_share: float = 0.3
    """Share of the steps that are judged at half the size: figures twice as large, a quarter of the arithmetic."""
    shallow_share: float = 0.4
    """Share of the steps that are judged by the style layers up to relu3_1 only, which is under half of the arithmetic;
    in the other steps what is deeper counts the more."""
    flat_share: float = 0.15
    """Share of the photographs that are blurred until next to nothing is left: skies and walls are to be painted."""
    card_share: float = 0.04
    """Share of title cards: letters on one colour."""
    total_variation: float = 0.02
    grid: float = 4.0
    """Against the faint grid that every up-sampling network tends to draw."""
    temporal: float = 14.0
    """The output is to be the previous output, warped, where the motion can be followed."""
    temporal_ramp: int = 300
    """Steps over which it comes in, from the step at which steadying begins."""
    remembered_share: float = 0.5
    """Share of the samples whose frames are stylized with the normalisation statistics of the frame before."""
    weak_share: float = 0.25
    """Share of the pictures painted at a random strength below 1: codes between none and full must mean something."""
    weak_fidelity: float = 2.0
    """Weight of the L1 distance to the photograph at strength 0; falls to nothing at full strength."""

    held_back: int = 6
    """Photographs kept out of training, for the sheets, the validation and the losses in the cards."""
    card_picture: Path | None = None
    """A picture to paint for the cards; must be free to publish."""
    data: str = ""
    """What the photographs are, for the cards."""
    note: str = ""
    """Anything else the cards should say."""
    save_every: int = 100
    sheet_every: int = 200
    sheet: Path | None = None
    """One picture that every sheet replaces; None keeps them all, in `folder`."""
    validate_every: int = 200

    def __post_init__(self) -> None:
        if not self.styles:
            raise UsageError("name at least one painting to learn")
        for layers, weights in (("style_layers", "style_weights"), ("content_layers", "content_weights")):
            if len(getattr(self, layers)) != len(getattr(self, weights)):
                raise UsageError(f"{layers} and {weights} must be as long as each other")
        if self.steps < 1 or self.batch < 1 or self.accumulate < 1 or self.crop < 64:
            raise UsageError("steps, batch and accumulate must be at least 1, crop at least 64")
        if self.held_back < 1:
            raise UsageError("held_back must be at least 1: something must show how good the network is")
        if not self.train_trunk and self.start is None:
            raise UsageError("train_trunk = false needs a start")
        if not 0 <= self.average < 1:
            raise UsageError(f"average must be at least 0 and below 1, got {self.average}")
        if self.workers < 0:
            raise UsageError(f"workers must not be negative, got {self.workers}")
        if self.shallow_share + self.halved_share > 1 or self.shallow_share == 1:
            raise UsageError("shallow_share and halved_share must leave something, and add up to no more than 1")
        if self.roll_out < 1:
            raise UsageError(f"roll_out must be at least 1, got {self.roll_out}")
        shares = (
            "film_share",
            "remembered_share",
            "weak_share",
            "halved_share",
            "shallow_share",
            "flat_share",
            "card_share",
        )
        for share in (*shares, "steady_from", "gate_from", "decay_from", "flat_content"):
            _unit(share, getattr(self, share))
