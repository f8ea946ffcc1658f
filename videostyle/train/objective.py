"""What training minimises: the terms of `videostyle.ops.losses`, weighed by the configuration."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from videostyle.nets.vgg import LossNetwork
from videostyle.ops import losses
from videostyle.train.batch import Batch
from videostyle.train.data import read_picture
from videostyle.train.painter import Painted
from videostyle.train.plan import TrainConfig, TrainingStyle

View = Literal["whole", "halved", "shallow"]
"""What the loss network looks at: all layers of the picture; the same at half its size; the layers up to relu3_1."""


class Objective:
    """Judges painted batches against their content and their paintings."""

    def __init__(self, config: TrainConfig, judge: LossNetwork, device: str) -> None:
        self.config = config
        self.judge = judge
        self.targets, self.halved = (
            {layer: torch.cat([gram[layer] for gram in grams]) for layer in config.style_layers}
            for grams in (
                [painting_grams(judge, painting, config.style_layers, device, scale) for painting in config.styles]
                for scale in (1.0, 0.5)
            )
        )
        """Gram matrices of the style images by layer, (paintings, C, C), at full and at half size."""

    def __call__(
        self, batch: Batch, painted: Painted, ramp: float, view: View = "whole", deep: float = 1.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, a mean over the batch, and its terms for each sample, (N,), unweighted.

        `ramp`, in 0..1, is how far the temporal term has come in; `view` is what the loss network looks at, see `View`;
        `deep` multiplies what lies deeper than relu3_1.
        """
        config = self.config
        now, content = painted.now, batch.content
        terms = self.perceptual(now, content, batch.style, view, deep)
        terms["smooth"] = losses.total_variation(now)
        terms["grid"] = losses.grid_energy(now)
        terms["fidelity"] = losses.fidelity_distance(now, content)
        terms["temporal"] = torch.zeros_like(terms["grid"])
        for expected, valid in painted.expected:
            terms["temporal"] = terms["temporal"] + losses.temporal_distance(expected, now, valid)
        terms["temporal"] = terms["temporal"] / max(len(painted.expected), 1)
        weak = 1 - batch.strength
        loss = (
            batch.strength * (terms["style"] + config.local * terms["local"])
            + (config.content + weak) * terms["content"]
            + config.total_variation * terms["smooth"]
            + config.grid * terms["grid"]
            + config.weak_fidelity * weak * terms["fidelity"]
            + ramp * config.temporal * terms["temporal"]
        )
        return loss.mean(), terms

    def perceptual(
        self, painted: Tensor, content: Tensor, style: Tensor, view: View = "whole", deep: float = 1.0
    ) -> dict[str, Tensor]:
        """Style, local style and content distances (N,) of pictures (N, 3, H, W) in the styles numbered `style`."""
        config = self.config
        targets = self.targets
        if view == "halved":
            painted, content = (F.avg_pool2d(picture, 2) for picture in (painted, content))
            targets = self.halved
        style_layers = tuple(layer for layer in config.style_layers if view != "shallow" or is_shallow(layer))
        content_layers = config.content_layers if view != "shallow" else ()
        features = self.judge(painted, (*style_layers, *content_layers))
        wanted = {}
        with torch.no_grad():
            if content_layers:
                wanted = self.judge(content, content_layers)
            weight = losses.edge_weight(content, config.flat_content)
        return perceptual_terms(
            config, features, wanted, {layer: targets[layer][style] for layer in style_layers}, weight, deep
        )


def is_shallow(layer: str) -> bool:
    """Whether a loss network's layer, `relu4_1`, comes up to relu3_1."""
    return layer <= "relu3_1"


def perceptual_terms(
    config: TrainConfig,
    features: dict[str, Tensor],
    wanted: dict[str, Tensor],
    targets: dict[str, Tensor],
    weight: Tensor | None = None,
    deep: float = 1.0,
) -> dict[str, Tensor]:
    """Style, local style and content distances (N,), weighted by layer.

    From feature maps of the stylized pictures and, `wanted`, of the photographs, (N, C, H, W) by layer, and the Gram
    matrices to reach, `targets`, (N, C, C) by layer. `weight` (N, 1, H, W) weighs the content by place;
    `deep` multiplies the layers deeper than relu3_1.
    """
    first = next(iter(features.values()))
    style, local, content = (torch.zeros(len(first), device=first.device) for _ in range(3))
    for layer, factor in zip(config.style_layers, config.style_weights, strict=True):
        if layer not in targets:
            continue
        factor = factor if is_shallow(layer) else deep * factor
        if layer in config.local_layers:
            pieces = losses.quadrant_grams(features[layer])
            whole = torch.stack(pieces).mean(0)
            distances = [losses.gram_distance(piece, targets[layer]) for piece in pieces]
            local = local + factor * torch.stack(distances).mean(0)
        else:
            whole = losses.gram(features[layer])
        style = style + factor * losses.gram_distance(whole, targets[layer])
    for layer, factor in zip(config.content_layers, config.content_weights, strict=True):
        if layer in wanted:
            content = content + deep * factor * losses.content_distance(features[layer], wanted[layer], weight)
    return {"style": style, "local": local, "content": content}


@torch.no_grad()
def painting_grams(
    judge: LossNetwork, painting: TrainingStyle, layers: tuple[str, ...], device: str, scale: float = 1.0
) -> dict[str, Tensor]:
    """Gram matrices (1, C, C) of a style image by layer, at `scale` times the size it is learned at."""
    picture = read_picture(painting.image, round(scale * painting.size)).to(device)
    return {layer: losses.gram(features) for layer, features in judge(picture, layers).items()}
