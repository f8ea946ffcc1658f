"""What to do, as plain data: every setting and its default is written here, once.

The command line, the Python functions and the training files are built from these classes. This module imports
nothing but the standard library, so `videostyle --help` is instant and a plan can travel to another process.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from numbers import Real
from pathlib import Path
from types import NoneType
from typing import Generic, Literal, TypeVar

from videostyle.errors import UsageError

T = TypeVar("T")

Blend = tuple[tuple[str, float], ...]
"""Names (or paths of style files) and weights; the weights are divided by their sum."""


def check_names(kind: str, given: Iterable[str], allowed: Iterable[str]) -> None:
    """Raise UsageError for a setting of `kind` that is none of the `allowed`, saying what was probably meant."""
    names = sorted(allowed)
    for name in given:
        if name in names:
            continue
        if name in _ELSEWHERE:
            raise UsageError(f"{kind} has no setting {name!r}; write {_ELSEWHERE[name]}")
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"{kind} has no setting {name!r}; {hint}there are {', '.join(names)}")


# Settings of the command line, as the Python functions take them.
_ELSEWHERE = {
    "start": 'span=Span(read_seconds("1:20"))',
    "end": 'span=Span(end=read_seconds("1:35"))',
    "codec": 'encode=EncodeOptions(codec="hevc")',
    "crf": "encode=EncodeOptions(crf=20)",
    "preset": 'encode=EncodeOptions(preset="slow")',
    "pix_fmt": 'encode=EncodeOptions(pix_fmt="yuv420p10le")',
    "overwrite": "encode=EncodeOptions(overwrite=True)",
    "stabilize_mode": 'stabilize=StabilizeOptions(mode="causal")',
    "flow_weights": 'flow=FlowOptions("raft", Path("raft.pt"))',
    "mask_feather": "feather=4",
    "region": 'regions=(Region((("scream", 1.0),), "sky.png"),)',
    "keep_colours": "keep_colors=True",
    "stabilise": "stabilize=StabilizeOptions(0.5)",
}


def _kind(name: str, value: object, kind: type | tuple[type, ...], write: str) -> None:
    """Raise UsageError, saying what to write, unless `value` is of `kind`."""
    if not isinstance(value, kind):
        raise UsageError(f"{name} cannot be {value!r}; write {write}")


def _unit(name: str, value: float) -> None:
    _kind(name, value, Real, "a number between 0 and 1")
    if not 0 <= value <= 1:
        raise UsageError(f"{name} must be between 0 and 1, got {value}")


def read_seconds(text: str) -> Fraction:
    """Exact seconds from "12.5", "1:02", "1:02:03.5" or "1/24"; raises UsageError."""
    found = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*|/[1-9]\d*)?)", text)
    if found is None:
        raise UsageError(f"{text!r} is not a time: write seconds, m:ss or h:mm:ss")
    return int(found[1] or 0) * 3600 + int(found[2] or 0) * 60 + Fraction(found[3])


@dataclass(frozen=True)
class Span:
    """The part of a film to work on, in seconds from its first frame; `end` None is the end of the film."""

    start: Fraction = Fraction(0)
    end: Fraction | None = None

    def __post_init__(self) -> None:
        for name, value in (("start", self.start), ("end", self.end)):
            _kind(name, value, (Real, NoneType), 'seconds, Fraction(80) or read_seconds("1:20")')
        if self.start < 0:
            raise UsageError(f"start must not be negative, got {float(self.start):g} s")
        if self.end is not None and self.end <= self.start:
            raise UsageError(f"end must be after start, got {float(self.start):g} s to {float(self.end):g} s")


@dataclass(frozen=True)
class Key(Generic[T]):
    """A value at one moment of a film, and for how long it stays; in seconds from the film's first frame."""

    value: T
    start: Fraction = Fraction(0)
    hold: Fraction = Fraction(0)

    def __post_init__(self) -> None:
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
    """Another painting where a mask is white."""

    blend: Blend
    mask: str
    """A picture, film or sequence, as `Style.mask`."""

    def __post_init__(self) -> None:
        _check_blend(self.blend)


@dataclass(frozen=True)
class Style:
    """A painting, a blend of paintings, or none; how it changes along the film, and where it goes."""

    blend: Blend | Timeline[Blend] = (("none", 1.0),)
    strength: float | Timeline[float] = 1.0
    keep_colors: bool = False
    network: str = "fast"
    """The size of the network that paints."""
    brush: float = 1.0
    """Size of the marks: 1 makes them as large, beside the picture, as in the gallery, 2 twice as large."""
    statistics: Literal["frame", "shot"] = "frame"
    """What the network normalises by: each frame's own statistics, or a mean over its shot, so that nothing pumps."""
    seed: int = 0
    """Of the noise that strokes hang on; another seed gives another take."""
    mask: str | None = None
    """Where to paint: a picture, film or sequence, white for the painting and black for the film."""
    regions: tuple[Region, ...] = ()
    """Other paintings, each laid over those before it."""
    feather: float = 2.0
    """How far masks are softened: the Gaussian's deviation, in pixels of the painted picture."""

    def __post_init__(self) -> None:
        for strength in self.strengths.keys:
            _unit("strength", strength.value)
        for blend in self.blends.keys:
            _check_blend(blend.value)
        _kind("brush", self.brush, Real, "a number between 0.25 and 4")
        if not 0.25 <= self.brush <= 4:
            raise UsageError(f"brush must be between 0.25 and 4, got {self.brush:g}")
        _kind("seed", self.seed, int, "a whole number from 0")
        if self.seed < 0:
            raise UsageError(f"seed must not be negative, got {self.seed}")
        if self.statistics not in ("frame", "shot"):
            raise UsageError(f"statistics must be frame or shot, got {self.statistics!r}")
        if not 0 <= self.feather <= 1000:
            raise UsageError(f"mask-feather must be between 0 and 1000 pixels, got {self.feather:g}")

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


def _check_blend(blend: Blend) -> None:
    if isinstance(blend, str):
        raise UsageError(f"a style is names with weights: Style((({blend!r}, 1.0),))")
    pairs = isinstance(blend, (tuple, list)) and all(isinstance(one, (tuple, list)) and len(one) == 2 for one in blend)
    if not pairs or not all(isinstance(name, str) and isinstance(weight, Real) for name, weight in blend):
        raise UsageError(f'a style is names with weights, (("great-wave", 2.0), ("scream", 1.0)); got {blend!r}')
    if not blend:
        raise UsageError("name at least one style")
    if not all(weight >= 0 for _, weight in blend) or not sum(weight for _, weight in blend) > 0:
        raise UsageError("style weights must not be negative, and one must be above 0")


@dataclass(frozen=True)
class FlowOptions:
    """How motion between frames is estimated."""

    method: str = "auto"
    """auto, dis, raft, raft-large or none. auto is RAFT on a GPU with weights at hand, DIS otherwise."""
    weights: Path | None = None
    """A RAFT state dict; None takes torchvision's own, downloading it when `allow_download`."""
    allow_download: bool = False
    longest_side: int = 512
    """RAFT works on pictures scaled down to at most this many pixels; its cost grows with the square of the area."""


@dataclass(frozen=True)
class StabilizeOptions:
    """How much of what was painted is carried along the motion, and from where."""

    amount: float = 1.0
    """0 paints every frame afresh; 1 holds on to what was painted wherever it can be trusted."""
    mode: str = "auto"
    """causal: from the frames before, each frame out as it comes in. lookahead: from those after as well, steadier,
    some frames late. auto: lookahead for films, causal for what is live."""

    def __post_init__(self) -> None:
        _unit("stabilize", self.amount)
        if self.mode not in ("auto", "causal", "lookahead"):
            raise UsageError(f"stabilize: no mode named {self.mode!r}; there are auto, causal and lookahead")


@dataclass(frozen=True)
class EncodeOptions:
    """How the output is written."""

    codec: str = "auto"
    """A name from `videostyle.io.codecs`; auto goes by the output's name."""
    crf: int | None = None
    preset: str | None = None
    pix_fmt: str | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class RenderPlan:
    """One film (or picture) to paint."""

    source: str
    output: str
    style: Style = field(default_factory=Style)
    flow: FlowOptions = field(default_factory=FlowOptions)
    stabilize: StabilizeOptions = field(default_factory=StabilizeOptions)
    encode: EncodeOptions = field(default_factory=EncodeOptions)
    span: Span = field(default_factory=Span)
    size: str | None = None
    """"640x360" (fit inside, aspect kept), "360" (the short side), or None for the source's own size."""
    engine: str = "auto"
    device: str = "auto"
    queue_depth: int = 4

    def __post_init__(self) -> None:
        style = self.style if isinstance(self.style, str) else "great-wave"
        _kind("style", self.style, Style, f"Style((({style!r}, 1.0),))")
        _kind("flow", self.flow, FlowOptions, 'FlowOptions("none")')
        _kind("stabilize", self.stabilize, StabilizeOptions, "StabilizeOptions(0.5)")
        _kind("encode", self.encode, EncodeOptions, 'EncodeOptions(codec="hevc")')
        _kind("span", self.span, Span, "Span(Fraction(80), Fraction(95))")
        _kind("size", self.size, (str, NoneType), '"640x360", or "360" for the short side')

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is read, as far as the plan names it: none of them may be written to."""
        style = self.style
        named = [self.source, style.mask, *(region.mask for region in style.regions), *style.names]
        return tuple(str(one) for one in (*named, self.flow.weights) if one)


@dataclass(frozen=True)
class Original:
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

    backbone: str = "vgg19-small"
    """The perceptual network that judges: the one that ships, or vgg19, by torchvision."""
    backbone_weights: Path | None = None
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
    rate: float = 0.02
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
    originals: tuple[Original, ...]
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
        of_originals = [file for one in self.originals for file in (one.image, one.part, one.region)]
        return tuple(str(one) for one in (self.content, self.start, *of_originals) if one)

    def __post_init__(self) -> None:
        if not self.originals:
            raise UsageError("name at least one painting to paint after")
        if all(original.region is not None for original in self.originals):
            raise UsageError("every painting has a region; name one for the rest of the picture")
        if self.size is not None and self.size < 32:
            raise UsageError(f"size must be at least 32 pixels, got {self.size}")


@dataclass(frozen=True)
class KeyframePlan:
    """One film whose keyframes are painted by optimisation, or by a person, and carried to the frames between."""

    film: RenderPlan
    """Source, output, part, size, encoding, flicker; its style is not used."""
    originals: tuple[Original, ...] = ()
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
        if not self.originals and self.keys is None:
            raise UsageError("name a painting for the keyframes, or the folder of those that are painted")
        if self.originals and self.keys is not None:
            raise UsageError("keyframes are painted after a painting, or taken from a folder; not both")
        if any(original.region is not None for original in self.originals):
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
    strength: float = 1.0
    keep_colors: bool = False
    network: str = "fast"
    brush: float = 1.0
    stabilize: float = 1.0
    """As `StabilizeOptions.amount`; always causal."""
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
    engine: str = "auto"
    device: str = "auto"

    def __post_init__(self) -> None:
        if not self.styles:
            raise UsageError("name at least one style")
        for name in ("strength", "stabilize"):
            _unit(name, getattr(self, name))
        if not 1 <= self.fps <= 240:
            raise UsageError(f"fps must be between 1 and 240, got {self.fps:g}")
        if not 0.25 <= self.brush <= 4:
            raise UsageError(f"brush must be between 0.25 and 4, got {self.brush:g}")
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
    engine: str = "local"
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
class Painting:
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

    painting: Painting
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
    perceptual: str | None = None
    """The perceptual network that judges; None takes torchvision's VGG-19 if it is on this machine already, or else the
    small one that comes with videostyle."""
    perceptual_weights: Path | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not self.minutes > 0:
            raise UsageError(f"minutes must be above 0, got {self.minutes:g}")
        if self.steps is not None and self.steps < 1:
            raise UsageError(f"steps must be at least 1, got {self.steps}")
        if self.painting.size < 64:
            raise UsageError(f"size must be at least 64 pixels, got {self.painting.size}")
        if self.perceptual is None and self.perceptual_weights is not None:
            raise UsageError("name the perceptual network that the weights are for")


@dataclass(frozen=True)
class TrainConfig:
    """One training run; `videostyle train` reads it from a TOML file with these names."""

    photographs: Path
    """A folder of pictures to learn to paint; searched recursively."""
    paintings: tuple[Painting, ...]
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
    perceptual: str = "vgg19-small"
    perceptual_weights: Path | None = None
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
    rate: float = 2e-3
    """Of the trunk's weights."""
    code_rate: float = 1e-2
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
    temporal: float = 8.0
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
        if not self.paintings:
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
