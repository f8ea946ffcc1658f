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
    """A style image for optimisation, with masks for the part of it that counts and for its place in the picture."""

    image: Path
    weight: float = 1.0
    """Weight among the style images of the same region; divided by their sum."""
    part: Path | None = None
    """A mask on the style image: only its white parts are used."""
    region: str | None = None
    """A mask on the picture: this style is used where it is white. Outside all regions, the style images without one
    are used."""

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise UsageError(f"{self.image}: its weight must be above 0, got {self.weight:g}")


@dataclass(frozen=True)
class GatysOptions:
    """Options of stylization by optimising pixels (Gatys, Ecker and Bethge 2016)."""

    loss_network: str = "vgg19-small"
    """Name of the loss network: the one that ships, or vgg19, by torchvision."""
    loss_network_weights: Path | None = None
    pooling: Literal["max", "average"] = "max"
    """Pooling of the loss network. Average is Gatys' own, and gives slightly smoother results."""
    style_layers: tuple[tuple[str, float], ...] = (
        ("relu1_1", 1.0),
        ("relu2_1", 1.0),
        ("relu3_1", 1.0),
        ("relu4_1", 1.0),
        ("relu5_1", 1.0),
    )
    """Layers of the style loss, and their weights."""
    content_layers: tuple[tuple[str, float], ...] = (("relu4_2", 1.0),)
    total_variation: float = 0.05
    strength: float = 1.0
    """Strength from the unchanged picture (0) to the full style (1): weights of the style and fidelity terms, as in
    training."""
    keep_colors: Literal["no", "luminance", "match"] = "no"
    """luminance: stylize, then take the picture's hues. match: give the style image the picture's colours first."""
    brush: float = 1.0
    """Size of the brush marks: that of the style image, scaled to the picture's longer side, times this."""
    method: Literal["lbfgs", "adam"] = "lbfgs"
    precondition: bool = True
    """Precondition L-BFGS with the typical curvature of the objective, which halves the steps. False: as Gatys."""
    steps: int = 20
    """Evaluations of the objective and its gradient, at full size; half as many at each scale before it."""
    lr: float = 0.02
    """Learning rate of Adam, in 0..1 of brightness; L-BFGS finds its own."""
    warmup: int = 10
    """Steps over which Adam's learning rate rises, at each scale."""
    smallest: int = 128
    """Longer side of the coarsest scale; each scale is twice the one before, the last is the picture's own size."""
    tolerance: float = 2e-3
    """A scale is done when twenty steps have improved the objective by less than this share."""
    tile: int | None = None
    """Side of the tiles in which the picture is processed, in pixels; None decides by the available memory."""
    half: bool | None = None
    """Compute features in bfloat16; None does so where it is faster."""
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
    """One still to stylize by optimisation."""

    content: str
    output: str
    style_images: tuple[StyleImage, ...]
    size: int | None = None
    """Longer side of the output, in pixels; None for the picture's own."""
    start: str = "content"
    """Initial picture: content, noise, or a picture's path."""
    options: GatysOptions = field(default_factory=GatysOptions)
    device: str = "auto"
    overwrite: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        """All files that are read: none of them may be written to."""
        of_style_images = [file for one in self.style_images for file in (one.image, one.part, one.region)]
        return tuple(str(one) for one in (self.content, self.start, *of_style_images) if one)

    def __post_init__(self) -> None:
        if not self.style_images:
            raise UsageError("name at least one painting to paint after")
        if all(one.region is not None for one in self.style_images):
            raise UsageError("every painting has a region; name one for the rest of the picture")
        if self.size is not None and self.size < 32:
            raise UsageError(f"size must be at least 32 pixels, got {self.size}")


@dataclass(frozen=True)
class KeyframePlan:
    """One film whose keyframes are painted by optimisation or by hand, and propagated to the frames between."""

    film: RenderPlan
    """Source, output, span, size, encoding and stabilization; its style is not used."""
    style_images: tuple[StyleImage, ...] = ()
    """Style images of the keyframes; none if the keyframes are painted by hand."""
    options: GatysOptions = field(default_factory=GatysOptions)
    every: int | None = None
    """Distance of keyframes in frames of a shot; None places one where the last no longer covers the picture."""
    keys: Path | None = None
    """Folder of keyframes painted by hand, over those that `export_keyframes` wrote."""
    propagate: Literal["warp", "learned", "both"] = "both"
    """warp: keyframes are warped along the motion; learned: a network is tuned to them; both: the network fills in
    where the motion fails."""
    tune_steps: int = 150
    """Steps of tuning the network to the keyframes."""

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
