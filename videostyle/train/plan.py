"""Settings of `train` and `learn`, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from videostyle.errors import UsageError
from videostyle.settings import check_number


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
            check_number(share, getattr(self, share), 0, 1)
