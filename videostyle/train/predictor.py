"""Training of a code predictor: end to end, by the losses of the style network that its codes are for.

The style network is frozen. Training begins from a predictor that interpolates the codes of the gallery, which is held
to them throughout: a code that is learned from nothing gets its colours in a thousand steps, and its marks much later.
Each sample stylizes a photograph by the code that is predicted for a *view* of a painting
(a crop of it, scaled, mirrored, in other colours), and the loss is that of `train` (Ghiasi et al. 2017). The statistics
and Gram matrices of the views are computed once, so a step costs what a step of `learn` costs.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from videostyle import interrupt, weights
from videostyle.errors import TrainingError
from videostyle.io.style_image import read_on_white
from videostyle.nets.code_predictor import LAYERS, CodePredictor
from videostyle.nets.vgg import LossNetwork, has_bf16
from videostyle.ops import losses
from videostyle.partial_files import lock_folder
from videostyle.progress import OnProgress, Progress, ignore
from videostyle.train.batch import Batch, draw
from videostyle.train.checkpoint import save_state
from videostyle.train.data import Crops, list_photographs, read_picture
from videostyle.train.loop import choose_view
from videostyle.train.objective import is_shallow, style_and_content_terms
from videostyle.train.plan import TrainConfig, TrainingStyle
from videostyle.weights.prediction import LOSS_NETWORK, scaled_picture

log = logging.getLogger(__name__)

_SIDES = (256, 400)  # longer sides of the other views
_LEAST_CROP = 0.6  # of each side of a painting
_COLOR_SHARE = 0.6  # of the views have their colours changed
_DROPOUT = 0.1  # of the statistics, in training
_LARGEST_NORM = 5.0  # of the gradient
_RIDGE = 1.0  # added to the Gram matrix of the gallery's bottlenecks, whose diagonal is about their size
_CHECKPOINT = "checkpoint.pt"
SHOWN = ("style", "local", "content")
"""Loss terms that the log shows."""


@dataclass(frozen=True)
class PredictorConfig:
    """One training run of a code predictor."""

    photographs: Path
    """Folder of content pictures."""
    paintings: tuple[Path, ...]
    folder: Path
    """Folder of the views and the checkpoint."""
    network: str = "fast"
    textures: tuple[Path, ...] = ()
    """Further pictures, of which one view each is used."""
    gallery: Path | None = None
    """Folder of the gallery's paintings, by their styles' names; None predicts without their codes."""
    start: Path | None = None
    """Predictor of another network, with whose layers training begins; its codes are brought to the mean and the
    deviation of this network's gallery. Where codes have another size, its bottleneck alone is taken."""
    views: int = 4
    """Views of each painting, beside the whole."""
    steps: int = 3000
    batch: int = 4
    crop: int = 192
    lr: float = 1e-3
    decay: float = 1e-4
    """Weight decay of the narrow layer, which has more weights than there are paintings."""
    content: float = 0.4
    local: float = 0.4
    style_weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.5, 1.0)
    anchor: float = 0.1
    """Weight of the mean squared error of the gallery's codes, in their deviations."""
    span: float = 0.002
    """Weight of the distance of a code from the gallery's mean, in the gallery's deviations."""
    seed: int = 0
    save_every: int = 100


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """View of a painting."""

    statistics: Tensor
    """Style statistics (1, STATISTICS)."""
    grams: dict[str, Tensor]
    """Gram matrices (1, C, C) by layer, in half precision, over their greatest value."""
    greatest: dict[str, float]

    def gram(self, layer: str) -> Tensor:
        """Return the Gram matrix (1, C, C) of a layer."""
        return self.grams[layer].float() * self.greatest[layer]


def train_predictor(config: PredictorConfig, on_progress: OnProgress = ignore) -> CodePredictor:
    """Train a predictor for the network of `config`, resuming from the checkpoint in its folder; returns it.

    Raises TrainingError for pictures that cannot be read, SinkError if another training runs in the folder.
    """
    with interrupt.deferring(), lock_folder(config.folder, "another training", "train.lock"):
        network = weights.load_network(config.network)
        loss_network = weights.load_loss_network(LOSS_NETWORK).to(memory_format=torch.channels_last)
        torch.manual_seed(config.seed)
        predictor = CodePredictor(network.net.code_size)
        views = load_views(config, predictor, loss_network, on_progress)
        entries = [entry for entry in weights.gallery() if entry.network == config.network]
        known = torch.cat([weights.read_style(entry.file)[0][:, :-1] for entry in entries])
        initialize(predictor, torch.cat([view.statistics for view in views]), known)
        if config.start is not None:
            _load_layers(predictor, config.start)
        anchors = None
        if config.gallery is not None:
            statistics = gallery_statistics(config.gallery, [entry.name for entry in entries], predictor, loss_network)
            anchors = statistics, (known - predictor.code) / predictor.scale
            interpolate(predictor, *anchors)
        groups: list[dict[str, Any]] = [
            {"params": predictor.narrow.parameters(), "weight_decay": config.decay},
            {"params": predictor.wide.parameters()},
        ]
        optimizer = torch.optim.Adam(groups)
        step = _resume(config, predictor, optimizer)
        objective = _objective(config, len(views))
        crops = Crops(list_photographs(config.photographs), config.crop)
        bf16 = has_bf16("cpu")
        loss_network = loss_network.to(torch.bfloat16 if bf16 else torch.float32)
        sums, since, began = [0.0] * len(SHOWN), step, time.monotonic()
        while step < config.steps:
            if interrupt.stop_requested():
                raise KeyboardInterrupt
            for group in optimizer.param_groups:
                group["lr"] = config.lr * min(1, (step + 1) / 50) * max(0.02, min(1, 2 * (1 - step / config.steps)))
            batch = draw(objective, step, range(config.batch), crops)
            chosen = [views[number] for number in batch.style.tolist()]
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss, terms = predictor_loss(config, objective, predictor, network, loss_network, batch, chosen, step)
            if anchors is not None:
                error = predictor.wide(predictor.embed(anchors[0])) - anchors[1]
                loss = loss + config.anchor * error.square().mean()
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(predictor.parameters(), _LARGEST_NORM)
            optimizer.step()
            step += 1
            sums = [total + terms[name] for total, name in zip(sums, SHOWN, strict=True)]
            if step % 20 == 0 or step == config.steps:
                count, seconds = step - since, time.monotonic() - began
                shown = "  ".join(f"{name} {total / count:.3f}" for name, total in zip(SHOWN, sums, strict=True))
                line = f"step {step}/{config.steps}  {shown}  {seconds / count:.2f} s/step"
                log.info(line)
                on_progress(Progress("training", step, config.steps, "steps", line))
                sums, since, began = [0.0] * len(SHOWN), step, time.monotonic()
            if step % config.save_every == 0 or step == config.steps:
                state = {"predictor": predictor.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
                save_state(config.folder / _CHECKPOINT, state)
    return predictor.eval()


def _objective(config: PredictorConfig, views: int) -> TrainConfig:
    """Return the settings of the loss terms and of the batches, with each view as a style."""
    return TrainConfig(
        photographs=config.photographs,
        styles=tuple(TrainingStyle(str(number), Path()) for number in range(views)),
        folder=config.folder,
        batch=config.batch,
        crop=config.crop,
        content=config.content,
        local=config.local,
        style_weights=config.style_weights,
        weak_share=0.0,
        halved_share=0.0,
        seed=config.seed,
    )


def _load_layers(predictor: CodePredictor, path: Path) -> None:
    """Load the layers of the predictor in `path`, not its statistics; raises WeightsError, TrainingError.

    The last layer of a predictor of codes of another size begins at zero, which is the mean code.
    """
    arrays = weights.read_file(path, "predictor").arrays
    layers = {name: torch.from_numpy(array) for name, array in arrays.items() if name.startswith(("narrow.", "wide."))}
    wide = layers.get("wide.weight")
    if wide is not None and len(wide) != predictor.wide.out_features:
        torch.nn.init.zeros_(predictor.wide.weight)
        layers = {name: array for name, array in layers.items() if name.startswith("narrow.")}
    try:
        predictor.load_state_dict(layers, strict=False)
    except RuntimeError as error:
        raise TrainingError(f"{path}: a predictor with a bottleneck of another size") from error


def _resume(config: PredictorConfig, predictor: CodePredictor, optimizer: torch.optim.Optimizer) -> int:
    """Load the checkpoint, if there is one; return the number of steps done."""
    path = config.folder / _CHECKPOINT
    if not path.is_file():
        return 0
    try:
        saved = torch.load(path, weights_only=True)
        predictor.load_state_dict(saved["predictor"])
        optimizer.load_state_dict(saved["optimizer"])
        step = int(saved["step"])
    except Exception as error:  # torch.load raises whatever the unpickler met
        raise TrainingError(f"{path}: damaged, or of another network; remove it to begin again") from error
    log.info(f"continuing from step {step}")
    return step


def predictor_loss(
    config: PredictorConfig,
    objective: TrainConfig,
    predictor: CodePredictor,
    network: weights.Network,
    loss_network: LossNetwork,
    batch: Batch,
    chosen: Sequence[View],
    step: int,
) -> tuple[Tensor, dict[str, float]]:
    """Compute the loss of a batch in the styles of the `chosen` views, and its mean terms.

    As in `train`, the deep layers are left out in some of the steps, and weigh more in the others.
    """
    shallow = choose_view(objective, step) == "shallow"
    generator = torch.Generator().manual_seed((config.seed + 5) * 1_000_003 + step)
    statistics = torch.cat([view.statistics for view in chosen])
    kept = torch.rand(statistics.shape, generator=generator) >= _DROPOUT
    with torch.autocast("cpu", enabled=False):
        codes = predictor(torch.where(kept, statistics, predictor.average))
    content = batch.content
    recurrent_input = torch.cat([torch.zeros_like(content), torch.zeros_like(content[:, :1]), batch.noise[0]], dim=1)
    stylized = network.net(content, codes, None, recurrent_input)
    layers = tuple(layer for layer in LAYERS if not shallow or is_shallow(layer))
    content_layers = () if shallow else objective.content_layers
    features = loss_network(stylized, (*layers, *content_layers))
    with torch.no_grad():
        wanted = loss_network(content, content_layers) if content_layers else {}
        weight = losses.edge_weight(content, objective.flat_content)
        targets = {layer: torch.cat([view.gram(layer) for view in chosen]) for layer in layers}
    deep = 1.0 if shallow else 1 / (1 - objective.shallow_share)
    terms = style_and_content_terms(objective, features, wanted, targets, weight, deep)
    # The logarithm keeps a picture that no code can match from outweighing all others.
    loss = (1 + terms["style"] + config.local * terms["local"]).log() + config.content * terms["content"] / 2
    span = ((codes[:, :-1] - predictor.code) / predictor.scale).square().mean(1)
    return (loss + config.span * span).mean(), {name: terms[name].mean().item() for name in SHOWN}


def initialize(predictor: CodePredictor, statistics: Tensor, known: Tensor) -> None:
    """Set the predictor to the mean of the `known` codes (K, code_size - 1), and standardise `statistics` (N, ...)."""
    predictor.average.copy_(statistics.mean(0, keepdim=True))
    predictor.deviation.copy_(statistics.std(0, keepdim=True).clamp(min=1e-3))
    predictor.code.copy_(known.mean(0, keepdim=True))
    predictor.scale.copy_(known.std(0, keepdim=True).clamp(min=0.01))
    torch.nn.init.normal_(predictor.narrow.weight, std=0.5 / predictor.narrow.in_features**0.5)
    torch.nn.init.zeros_(predictor.narrow.bias)
    torch.nn.init.normal_(predictor.wide.weight, std=0.3 / predictor.wide.in_features**0.5)
    torch.nn.init.zeros_(predictor.wide.bias)


@torch.no_grad()
def interpolate(predictor: CodePredictor, statistics: Tensor, wanted: Tensor) -> None:
    """Change the last layer as little as gives the codes `wanted` (K, code_size - 1) for `statistics` (K, ...).

    Ridge regression; `wanted` are differences from the mean code, in deviations.
    """
    features = predictor.embed(statistics)
    gram = features @ features.T + _RIDGE * torch.eye(len(features))
    missing = wanted - predictor.wide(features)
    predictor.wide.weight += torch.linalg.solve(gram, missing).T @ features


@torch.no_grad()
def gallery_statistics(
    folder: Path, names: Sequence[str], predictor: CodePredictor, loss_network: LossNetwork
) -> Tensor:
    """Compute the style statistics (K, STATISTICS) of the gallery; raises TrainingError if a painting is absent."""
    files = {path.stem: path for path in list_photographs(folder)}
    absent = [name for name in names if name not in files]
    if absent:
        raise TrainingError(f"{folder}: has no picture of the style {absent[0]}")
    pictures = (scaled_picture(read_on_white(files[name])) for name in names)
    return torch.cat([predictor.statistics(loss_network(picture, LAYERS)) for picture in pictures])


def load_views(
    config: PredictorConfig, predictor: CodePredictor, loss_network: LossNetwork, on_progress: OnProgress
) -> list[View]:
    """Compute the views of all paintings and textures, continuing from those in the folder."""
    kept = config.folder / "views.pt"
    stored = torch.load(kept, weights_only=True) if kept.is_file() else []
    jobs = [(path, number == 0) for number in range(1 + config.views) for path in config.paintings]
    jobs += [(path, False) for path in config.textures]
    for number, (path, whole) in enumerate(jobs[len(stored) :], len(stored)):
        if interrupt.stop_requested():
            raise KeyboardInterrupt
        choose = random.Random(f"{config.seed} {number}")
        picture = scaled_picture(read_on_white(path)) if whole else random_view(read_picture(path), choose)
        view = make_view(predictor, loss_network, picture)
        stored.append((view.statistics, view.grams, view.greatest))
        if len(stored) % 50 == 0 or len(stored) == len(jobs):
            log.info(f"view {len(stored)}/{len(jobs)}")
            on_progress(Progress("computing views", len(stored), len(jobs), "views"))
            save_state(kept, stored)
    return [View(*one) for one in stored]


@torch.no_grad()
def make_view(predictor: CodePredictor, loss_network: LossNetwork, picture: Tensor) -> View:
    """Compute the statistics and Gram matrices of a picture (1, 3, H, W)."""
    features = loss_network(picture, LAYERS)
    grams, greatest = {}, {}
    for layer in LAYERS:
        matrix = losses.gram(features[layer])
        greatest[layer] = max(matrix.abs().max().item(), 1e-12)
        grams[layer] = (matrix / greatest[layer]).half()
    return View(predictor.statistics(features), grams, greatest)


def random_view(picture: Tensor, choose: random.Random) -> Tensor:
    """Crop, scale, mirror and recolour a picture (1, 3, H, W) in 0..1 at random."""
    height, width = picture.shape[2:]
    h, w = (round(side * choose.uniform(_LEAST_CROP, 1)) for side in (height, width))
    y, x = choose.randint(0, height - h), choose.randint(0, width - w)
    view = picture[:, :, y : y + h, x : x + w]
    factor = choose.uniform(*_SIDES) / max(h, w)
    view = F.interpolate(view, scale_factor=factor, mode="bilinear", antialias=True).clamp(0, 1)
    if choose.random() < 0.5:
        view = view.flip(3)
    if choose.random() < _COLOR_SHARE:
        view = recolored(view, choose)
    return view


def recolored(picture: Tensor, choose: random.Random) -> Tensor:
    """Permute the color channels of a picture (1, 3, H, W) in 0..1, blend them, and change gamma and saturation."""
    order = choose.sample(range(3), 3)
    changed = torch.lerp(picture, picture[:, order], choose.uniform(0.2, 1))
    grey = changed.mean(1, keepdim=True)
    changed = grey + (changed - grey) * choose.uniform(0.5, 1.5)
    return changed.clamp(0, 1) ** choose.uniform(0.7, 1.4)
