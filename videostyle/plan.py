"""What to do, as plain data: every setting and its default is written here, once.

The command line, the Python functions and the training files are built from these classes. This module imports
nothing but the standard library, so `videostyle --help` is instant and a plan can travel to another process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from videostyle.errors import UsageError


def _unit(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise UsageError(f"{name} must be between 0 and 1, got {value}")


@dataclass(frozen=True)
class Span:
    """The part of a film to work on, in seconds from its first frame; `end` None is the end of the film."""

    start: Fraction = Fraction(0)
    end: Fraction | None = None

    def __post_init__(self) -> None:
        if self.start < 0:
            raise UsageError(f"start must not be negative, got {float(self.start):g} s")
        if self.end is not None and self.end <= self.start:
            raise UsageError(f"end must be after start, got {float(self.start):g} s to {float(self.end):g} s")


@dataclass(frozen=True)
class Style:
    """A painting, a blend of paintings, or none."""

    blend: tuple[tuple[str, float], ...] = (("none", 1.0),)
    """Names (or paths of style files) and weights; the weights are divided by their sum."""
    strength: float = 1.0
    keep_colors: bool = False
    network: str = "fast"
    """The size of the network that paints."""

    def __post_init__(self) -> None:
        _unit("strength", self.strength)
        if not self.blend:
            raise UsageError("name at least one style")
        if not all(weight >= 0 for _, weight in self.blend) or not sum(weight for _, weight in self.blend) > 0:
            raise UsageError("style weights must not be negative, and one must be above 0")

    @property
    def is_none(self) -> bool:
        """True for the pass-through, which leaves every pixel as it is."""
        return all(name == "none" for name, _ in self.blend)


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
    """How much of the previous painting is carried along the motion."""

    amount: float = 0.8
    """0 paints every frame afresh; 1 holds on to the previous painting wherever it can be trusted."""

    def __post_init__(self) -> None:
        _unit("stabilize", self.amount)


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
class TrainConfig:
    """One training run; `videostyle train` reads it from a TOML file with these names."""

    photographs: Path
    """A folder of pictures to learn to paint; searched recursively."""
    paintings: tuple[Painting, ...]
    folder: Path
    """Where checkpoints, curves, sheets and the finished style files go."""
    network: str = "fast"
    perceptual: str = "vgg19"
    perceptual_weights: Path | None = None

    steps: int = 4000
    batch: int = 4
    crop: int = 224
    rate: float = 2e-3
    warmup: int = 100
    """Steps over which the learning rate rises to `rate`; then it falls along half a cosine."""
    clip: float = 5.0
    """Largest norm of the gradient."""
    seed: int = 0
    bf16: bool = True

    style_layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    style_weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 0.5)
    content_layers: tuple[str, ...] = ("relu3_3", "relu4_2")
    content_weights: tuple[float, ...] = (0.15, 0.35)
    total_variation: float = 0.1
    grid: float = 10.0
    """Against the faint grid that every up-sampling network tends to draw."""
    temporal: float = 5.0
    temporal_ramp: int = 500
    """Steps over which the temporal term comes in; from the first step it would teach the network to paint nothing."""
    weak_share: float = 0.25
    """Share of the pictures painted at a random strength below 1: codes between none and full must mean something."""
    weak_fidelity: float = 2.0
    """Weight of the L1 distance to the photograph at strength 0; falls to nothing at full strength."""

    held_back: int = 6
    """Photographs kept out of training, for the sheets and the losses in the cards."""
    card_picture: Path | None = None
    """A picture to paint for the cards; must be free to publish."""
    data: str = ""
    """What the photographs are, for the cards."""
    note: str = ""
    """Anything else the cards should say."""
    save_every: int = 100
    sheet_every: int = 200

    def __post_init__(self) -> None:
        if not self.paintings:
            raise UsageError("name at least one painting to learn")
        for layers, weights in (("style_layers", "style_weights"), ("content_layers", "content_weights")):
            if len(getattr(self, layers)) != len(getattr(self, weights)):
                raise UsageError(f"{layers} and {weights} must be as long as each other")
        if self.steps < 1 or self.batch < 1 or self.crop < 64:
            raise UsageError("steps and batch must be at least 1, crop at least 64")
