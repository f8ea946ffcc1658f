"""Settings of `paint` and `keyframes`, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from videostyle.errors import UsageError
from videostyle.plan import RenderPlan
from videostyle.settings import check_number


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
        check_number("strength", self.strength, 0, 1)
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
