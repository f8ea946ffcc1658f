"""Learning of a style from words: a style code, by the directional loss of CLIPstyler (Kwon and Ye 2022).

CLIP maps pictures and sentences to one space. The loss compares two directions there: from the photograph to the
stylized picture, and from a plain sentence ("a photo") to the words of the style. It is computed on the whole picture
and on random patches in random perspective, so that the words shape the texture. Only the code is learned. The weights
of CLIP are the user's own: a folder of open_clip, with `open_clip_config.json` and the weights.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from videostyle import interrupt, weights
from videostyle.errors import MissingDependencyError, UsageError, WeightsError
from videostyle.files import check_output
from videostyle.nets.vgg import LossNetwork
from videostyle.noise import initial_recurrent_input
from videostyle.ops import losses
from videostyle.progress import OnProgress, Progress, ignore
from videostyle.train.contents import read_contents
from videostyle.train.data import random_square
from videostyle.train.learn import check_style
from videostyle.weights.prediction import LOSS_NETWORK

log = logging.getLogger(__name__)

PLAIN = "a photo"
"""Sentence from which the direction of the words is measured."""
_PICTURES = 48
_SIDE = 224
_PATCH = 96
_PATCHES = 16  # of a step
_TILT = 0.25  # largest share of a patch's side by which a corner is moved
_WHOLE, _PATCH_WEIGHT, _CONTENT, _VARIATION = 5.0, 90.0, 1.5, 0.2  # weights of the terms, in the ratios of the paper
_THRESHOLD = 0.7  # patches that are nearer than this are left alone: they have the style already
_LR = 1e-2
_AVERAGE = 0.9
_WEIGHTS = ("*.safetensors", "*.bin", "*.pth")


@dataclass(frozen=True)
class TextPlan:
    """A style to learn from words."""

    text: str
    clip: Path
    """Folder of CLIP's weights, in the form of open_clip."""
    name: str
    output: Path
    content: Path | None = None
    """Folder of photographs, or a film; None generates pictures."""
    network: str = "fast"
    minutes: float = 10.0
    steps: int | None = None
    """Steps of training instead of minutes."""
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise UsageError("the words of the style are empty")
        if self.steps is None and not self.minutes > 0:
            raise UsageError(f"minutes must be above 0 to learn from words, got {self.minutes:g}")
        if self.steps is not None and self.steps < 1:
            raise UsageError(f"steps must be at least 1, got {self.steps}")


class Clip(Protocol):
    """Image and text encoder of CLIP."""

    def encode_image(self, image: Tensor) -> Tensor:
        """Return the embeddings (N, D) of pictures (N, 3, S, S), normalised as CLIP expects."""
        ...

    def encode_text(self, text: Tensor) -> Tensor:
        """Return the embeddings (N, D) of tokens (N, L)."""
        ...


class Directions:
    """Directional loss of one text."""

    def __init__(self, folder: Path, text: str) -> None:
        """Load CLIP from `folder`; raises MissingDependencyError, and WeightsError for a folder that holds no CLIP."""
        self._model, tokenizer, self._size, mean, deviation = _load_clip(folder)
        self._mean, self._deviation = (torch.tensor(each).view(1, 3, 1, 1) for each in (mean, deviation))
        with torch.no_grad():
            styled, plain = F.normalize(self._model.encode_text(tokenizer([text, PLAIN])).float(), dim=1)
        self._wanted = F.normalize(styled - plain, dim=0)

    def embed(self, pictures: Tensor) -> Tensor:
        """Return the embeddings (N, D) of pictures (N, 3, H, W) in 0..1, of length 1."""
        scaled = F.interpolate(pictures, (self._size, self._size), mode="bicubic", antialias=True)
        return F.normalize(self._model.encode_image((scaled - self._mean) / self._deviation).float(), dim=1)

    def __call__(self, stylized: Tensor, content: Tensor) -> Tensor:
        """Return 1 less the cosine of the text's direction and each from `content` (1, D) to `stylized` (N, D): (N,).

        Both are embeddings of length 1.
        """
        return 1 - F.normalize(stylized - content, dim=1) @ self._wanted


def learn_from_text(plan: TextPlan, on_progress: OnProgress = ignore) -> Path:
    """Learn a style code from the words of `plan`, and return the style file.

    Raises UsageError for a name or file that exists, WeightsError, MissingDependencyError, SourceError.
    """
    began = time.monotonic()
    check_style(plan.name, plan.output)
    check_output(plan.output, overwrite=plan.overwrite, sources=[plan.content])
    network = weights.load_network(plan.network)
    known = [weights.read_style(one.file)[0] for one in weights.gallery() if one.network == plan.network]
    with interrupt.deferring():
        directions = Directions(plan.clip, plan.text)
        loss_network = weights.load_loss_network(LOSS_NETWORK)
        pictures = list(islice(read_contents(plan.content), _PICTURES))
        if not pictures:
            raise UsageError(f"{plan.content}: holds no picture that can be read")
        first = torch.stack(known).mean(0) if known else network.identity
        values = first[:, :-1].clone().requires_grad_()
        mean = values.detach().clone()
        optimizer = torch.optim.Adam([values], lr=_LR)
        step, done = 0, 0.0
        while done < 1:
            interrupt.check()
            terms = _terms(values, network, directions, loss_network, pictures, step)
            loss = sum(terms.values(), torch.zeros(()))
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            with torch.no_grad():
                mean.lerp_(values, 1 - min(_AVERAGE, (step + 1) / (step + 10)))
            step += 1
            spent = (time.monotonic() - began) / 60
            done = step / plan.steps if plan.steps is not None else spent / plan.minutes
            if step % 10 == 0 or done >= 1:
                shown = "  ".join(f"{name} {value.item():.3f}" for name, value in terms.items())
                log.info(f"step {step}  {shown}")
                on_progress(Progress("learning", done, note=shown))
    code = torch.cat([mean, torch.ones(1, 1)], dim=1)
    card = {"name": plan.name, "title": plan.text, "clip": plan.clip.name, "recipe": {"steps": step}}
    weights.save_style(plan.output, code, plan.network, network.sha256, card, overwrite=plan.overwrite)
    return plan.output


def _terms(
    values: Tensor,
    network: weights.Network,
    directions: Directions,
    loss_network: LossNetwork,
    pictures: list[Tensor],
    step: int,
) -> dict[str, Tensor]:
    """Compute the weighted loss terms of one step; its picture, crop, noise and patches depend on its number alone."""
    generator = torch.Generator().manual_seed(step)
    picture = pictures[int(torch.randint(len(pictures), (), generator=generator))]
    content = random_square(picture, _SIDE, torch.rand(4, generator=generator).tolist())
    recurrent_input = initial_recurrent_input(content, np.random.default_rng(step))
    code = torch.cat([values, torch.ones(1, 1)], dim=1)
    stylized = network.net(content, code, None, recurrent_input)
    patches = torch.cat([_patch(stylized, generator) for _ in range(_PATCHES)])
    with torch.no_grad():
        before = directions.embed(content)
        wanted = loss_network(content, ("relu4_2",))["relu4_2"]
        weight = losses.edge_weight(content, 0.2)
    whole = directions(directions.embed(stylized), before)
    parts = directions(directions.embed(patches), before)
    found = loss_network(stylized, ("relu4_2",))["relu4_2"]
    return {
        "whole": _WHOLE * whole.mean(),
        "patches": _PATCH_WEIGHT * torch.where(parts < 1 - _THRESHOLD, 0, parts).mean(),
        "content": _CONTENT * losses.content_distance(found, wanted, weight).mean(),
        "variation": _VARIATION * losses.total_variation(stylized).mean(),
    }


def _patch(picture: Tensor, generator: torch.Generator) -> Tensor:
    """Cut a random patch (1, 3, _PATCH, _PATCH) of a picture (1, 3, H, W), in random perspective."""
    height, width = picture.shape[2:]
    y, x = (int(torch.randint(side - _PATCH + 1, (), generator=generator)) for side in (height, width))
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    moved = corners + _TILT * (torch.rand(4, 2, generator=generator) * (1 - 2 * corners))
    grid = _perspective(moved, _PATCH) * _PATCH + torch.tensor([x, y])
    scaled = (grid + 0.5) / torch.tensor([width, height]) * 2 - 1
    return F.grid_sample(picture, scaled[None], padding_mode="reflection", align_corners=False)


def _perspective(corners: Tensor, side: int) -> Tensor:
    """Return the positions (side, side, 2) that a square's pixels take when its corners move to `corners` (4, 2)."""
    rows, wanted = [], []
    for (x, y), (u, v) in zip(((0, 0), (1, 0), (1, 1), (0, 1)), corners.tolist(), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        wanted += [u, v]
    a = torch.linalg.solve(torch.tensor(rows, dtype=torch.float64), torch.tensor(wanted, dtype=torch.float64))
    matrix = torch.cat([a, torch.ones(1, dtype=torch.float64)]).view(3, 3).float()
    line = (torch.arange(side) + 0.5) / side
    down, across = torch.meshgrid(line, line, indexing="ij")
    found = torch.stack([across, down, torch.ones_like(across)], dim=-1) @ matrix.T
    return found[..., :2] / found[..., 2:]


def _load_clip(folder: Path) -> tuple[Clip, Any, int, list[float], list[float]]:
    """Load the model, its tokenizer, the side of its pictures and their mean and deviation."""
    try:
        import open_clip
    except ImportError as error:
        raise MissingDependencyError("learning from words needs open_clip: pip install open_clip_torch") from error
    # Without weights open_clip would go on with random ones.
    if not (folder / "open_clip_config.json").is_file() or not any(any(folder.glob(one)) for one in _WEIGHTS):
        raise WeightsError(
            f"{folder}: holds no CLIP of open_clip, which is open_clip_config.json and weights; download such a folder"
        )
    try:
        name = f"local-dir:{folder}"
        model = open_clip.create_model(name).eval().requires_grad_(False)
        size = model.visual.image_size
        mean, deviation = model.visual.image_mean, model.visual.image_std
        tokenizer = open_clip.get_tokenizer(name)
    except Exception as error:  # open_clip raises what reading JSON, a tokenizer or weights raises
        raise WeightsError(f"{folder}: its CLIP cannot be loaded ({error})") from error
    side = size[0] if isinstance(size, tuple | list) else size
    return model, tokenizer, int(side), list(mean), list(deviation)
