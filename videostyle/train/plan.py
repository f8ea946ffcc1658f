"""Settings of `train` and `learn`, as plain data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from videostyle.errors import UsageError
from videostyle.settings import check_number


@dataclass(frozen=True)
class TrainingStyle:
    """A style to learn: its style image, and the facts for its card and the gallery."""

    name: str
    """Name that the user types: `great-wave`."""
    image: Path
    title: str = ""
    painter: str = ""
    year: str = ""
    licence: str = ""
    size: int = 512
    """Longer side of the style image in pixels for training: larger is coarser brush marks in the film."""


@dataclass(frozen=True)
class LearnPlan:
    """A style to learn for a trained network."""

    style: TrainingStyle
    output: Path
    """Path of the style file. Beside it are a sheet of samples and, until the end, a folder with checkpoints."""
    content: Path | None = None
    """Folder of photographs, or a film, for the content loss; None generates pictures."""
    network: str = "fast"
    whole: bool = False
    """Train the whole network for this style alone, not just a code; it is written beside the style file."""
    minutes: float = 1.0
    """Minutes for everything, until the file is there; 0 writes the code that is predicted, without training."""
    steps: int | None = None
    """Steps of training instead of minutes, however long they take."""
    loss_network: str | None = None
    """Name of the loss network; None takes torchvision's VGG-19 if it is on this machine already, or else the
    small one that comes with videostyle."""
    loss_network_weights: Path | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.minutes < math.inf:
            raise UsageError(f"minutes must be 0 or more, got {self.minutes:g}")
        if self.predicted and self.whole:
            raise UsageError(
                "in 0 minutes a code is predicted, and no network is trained; give minutes, or leave whole out"
            )
        if self.steps is not None and self.steps < 1:
            raise UsageError(f"steps must be at least 1, got {self.steps}")
        if self.style.size < 64:
            raise UsageError(f"size must be at least 64 pixels, got {self.style.size}")
        if self.loss_network is None and self.loss_network_weights is not None:
            raise UsageError("name the loss network that the weights are for")

    @property
    def predicted(self) -> bool:
        """True where the code is predicted and not trained."""
        return self.minutes == 0 and self.steps is None


@dataclass(frozen=True)
class TrainConfig:
    """One training run; `videostyle train` reads it from a TOML file with these names."""

    photographs: Path
    """Folder of content pictures; searched recursively."""
    styles: tuple[TrainingStyle, ...]
    folder: Path
    """Folder of checkpoints, curves, sheets and the finished style files."""
    network: str = "fast"
    blur: bool = False
    """True for blurred down-sampling; see `Architecture`."""
    start: Path | None = None
    """Models folder with the initial weights, instead of random numbers: the network of the same name, or a narrower
    one of the same depth, which is widened; and the codes of the styles that have the same names there."""
    train_network: bool = True
    """False trains the codes only, and keeps the network's weights of `start`."""
    teacher: str | None = None
    """Trained network whose pictures replace the photographs in the content distance, and are imitated pixel by pixel
    (knowledge distillation, Hinton et al. 2015); all styles need a code for it in the gallery."""
    imitation: float = 8.0
    """Weight of the mean absolute difference to the teacher's picture."""
    pixel_share: float = 0.0
    """Share of the steps that imitate the teacher's pixels only, without the loss network, which is cheaper."""
    loss_network: str = "vgg19-small"
    loss_network_weights: Path | None = None
    films: Path | None = None
    """Folder of films from which consecutive frames are taken; None moves photographs instead."""
    film_share: float = 0.5
    """Share of the samples that come from films."""
    film_flow: str = "dis"
    """Optical flow estimator for them: dis, raft or raft-large."""
    film_flow_weights: Path | None = None

    steps: int = 4000
    minutes: float | None = None
    """Stop after this long, if that is before the last step; progress is counted by the clock then."""
    temporal_from: float = 0.7
    """Share of the run from which frames are rolled out and the temporal term comes in. Before it single frames are
    stylized: paint first, steady last."""
    temporal_lr: float = 1.0
    """Factor of the learning rates from there on, 0..1. Wide networks need less: see docs/guide/train.md."""
    gate_from: float = 1.0
    """Share of the run from which the gate of a recurrent network is trained; before it the gate stays open, as it
    begins. The style loss closes a gate that is trained before the corrections restore the detail of the prior."""
    decay_from: float = 0.7
    """Share of the run up to which the learning rates stay; then they fall along half a cosine. A run that is cut
    short before it can be finished by a short one that starts from its weights with `decay_from` 0."""
    roll_out: int = 12
    """Most consecutive frames that are stylized before the one that the losses see."""
    batch: int = 4
    """Pictures per step, over all devices."""
    accumulate: int = 1
    """Gradient accumulation: the number of parts of a batch, where memory is too small for the whole."""
    workers: int = 0
    """Processes that draw batches ahead, so that a GPU need not wait; 0 draws them in the training process."""
    crop: int = 224
    lr: float = 2e-3
    """Learning rate of the network's weights."""
    code_lr: float = 1e-2
    """Learning rate of the codes: each is trained only in the samples of its style, and they are few numbers."""
    warmup: int = 100
    """Steps over which the learning rates rise."""
    average: float = 0.99
    """The weights that are validated and exported are a running mean over the last 1 / (1 - average) steps (Polyak and
    Juditsky 1992); 0 takes the last."""
    clip: float = 5.0
    """Largest norm of the gradient (gradient clipping)."""
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
    """Weight of the content distances in flat areas; beside edges it is 1."""
    halved_share: float = 0.3
    """Share of the steps whose losses are computed at half the size: figures twice as large, a quarter of the cost."""
    shallow_share: float = 0.4
    """Share of the steps whose losses use the style layers up to relu3_1 only, at under half of the cost; in the other
    steps the deeper layers have more weight to make up for it."""
    flat_share: float = 0.15
    """Share of the photographs that are blurred until next to nothing is left: skies and walls need strokes, too."""
    card_share: float = 0.04
    """Share of title cards, letters on one colour, among the samples."""
    total_variation: float = 0.02
    grid: float = 4.0
    """Weight of `losses.grid_energy`, against the faint grid that up-sampling networks draw."""
    temporal: float = 14.0
    """Weight of the temporal loss: the distance of the output to the warped previous output, by the confidence mask."""
    temporal_ramp: int = 300
    """Steps over which the temporal loss rises, from `temporal_from` on."""
    running_norm_share: float = 0.5
    """Share of the samples whose frames are stylized with the normalisation statistics of the frame before."""
    weak_share: float = 0.25
    """Share of the samples at a random strength below 1, so that interpolated codes are trained."""
    weak_fidelity: float = 2.0
    """Weight of the L1 distance to the photograph at strength 0; falls to nothing at full strength."""

    held_back: int = 6
    """Photographs kept out of training, for the sheets, the validation and the losses in the cards."""
    card_picture: Path | None = None
    """Picture to stylize for the cards; it must be free to publish."""
    data: str = ""
    """Description of the photographs, for the cards."""
    note: str = ""
    """Remark for the cards."""
    save_every: int = 100
    sheet_every: int = 200
    sheet: Path | None = None
    """File that every sheet replaces; None keeps all sheets, in `folder`."""
    validate_every: int = 200

    def __post_init__(self) -> None:
        if not self.styles:
            raise UsageError("name at least one style to learn")
        for layers, weights in (("style_layers", "style_weights"), ("content_layers", "content_weights")):
            if len(getattr(self, layers)) != len(getattr(self, weights)):
                raise UsageError(f"{layers} and {weights} must be as long as each other")
        if self.steps < 1 or self.batch < 1 or self.accumulate < 1 or self.crop < 64:
            raise UsageError("steps, batch and accumulate must be at least 1, crop at least 64")
        if self.held_back < 1:
            raise UsageError("held_back must be at least 1: something must show how good the network is")
        if not self.train_network and self.start is None:
            raise UsageError("train_network = false needs a start")
        if not 0 <= self.average < 1:
            raise UsageError(f"average must be at least 0 and below 1, got {self.average}")
        if self.workers < 0:
            raise UsageError(f"workers must not be negative, got {self.workers}")
        if self.shallow_share + self.halved_share > 1 or self.shallow_share == 1:
            raise UsageError("shallow_share and halved_share must leave something, and add up to no more than 1")
        if self.pixel_share and self.teacher is None:
            raise UsageError("pixel_share needs a teacher")
        if self.roll_out < 1:
            raise UsageError(f"roll_out must be at least 1, got {self.roll_out}")
        shares = (
            "film_share",
            "running_norm_share",
            "weak_share",
            "halved_share",
            "shallow_share",
            "pixel_share",
            "flat_share",
            "card_share",
        )
        for share in (*shares, "temporal_from", "temporal_lr", "gate_from", "decay_from", "flat_content"):
            check_number(share, getattr(self, share), 0, 1)
