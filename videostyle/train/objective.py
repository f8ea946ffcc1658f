"""What training minimises: the terms of `videostyle.ops.losses`, weighed by the configuration."""

from __future__ import annotations

import torch
from torch import Tensor

from videostyle.nets.vgg import Perceptual
from videostyle.ops import losses
from videostyle.ops.warp import warp
from videostyle.plan import Painting, TrainConfig
from videostyle.train.batch import Batch
from videostyle.train.data import read_picture
from videostyle.train.painter import Painted


class Objective:
    """Judges painted batches against their content and their paintings."""

    def __init__(self, config: TrainConfig, judge: Perceptual, device: str) -> None:
        self.config = config
        self.judge = judge
        grams = [painting_grams(judge, painting, config.style_layers, device) for painting in config.paintings]
        self.targets = {layer: torch.cat([gram[layer] for gram in grams]) for layer in config.style_layers}
        """Gram matrices of the paintings by layer, (paintings, C, C)."""

    def __call__(self, batch: Batch, painted: Painted, ramp: float) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, a mean over the batch, and its terms for each sample, (N,), unweighted.

        `ramp`, in 0..1, is how far the temporal terms have come in.
        """
        config = self.config
        terms = self.perceptual(painted.now, batch.content, batch.style)
        terms["smooth"] = losses.total_variation(painted.now)
        terms["grid"] = losses.grid_energy(painted.now)
        terms["fidelity"] = losses.fidelity_distance(painted.now, batch.content)
        expected = warp(painted.now, batch.flow)
        if config.luminance_aware:
            expected = expected + losses.light_change(batch.moved, warp(batch.content, batch.flow))
        terms["temporal"] = losses.temporal_distance(expected, painted.later, batch.valid)
        unsteady = config.temporal * terms["temporal"]
        if config.temporal_features:
            terms["features"] = losses.temporal_feature_distance(
                painted.features, painted.features_later, batch.flow, batch.valid
            )
            unsteady = unsteady + config.temporal_features * terms["features"]
        if painted.noisy is not None:
            terms["noise"] = losses.noise_distance(painted.now, painted.noisy)
            unsteady = unsteady + config.noise * terms["noise"]
        weak = 1 - batch.strength
        loss = (
            batch.strength * terms["style"]
            + (1 + weak) * terms["content"]
            + config.total_variation * terms["smooth"]
            + config.grid * terms["grid"]
            + config.weak_fidelity * weak * terms["fidelity"]
            + ramp * unsteady
        )
        return loss.mean(), terms

    def perceptual(self, painted: Tensor, content: Tensor, style: Tensor) -> dict[str, Tensor]:
        """Style and content distances (N,) of pictures (N, 3, H, W) painted by the paintings numbered `style`."""
        config = self.config
        features = self.judge(painted, (*config.style_layers, *config.content_layers))
        with torch.no_grad():
            wanted = self.judge(content, config.content_layers)
        targets = {layer: grams[style] for layer, grams in self.targets.items()}
        return perceptual_terms(config, features, wanted, targets)


def perceptual_terms(
    config: TrainConfig, features: dict[str, Tensor], wanted: dict[str, Tensor], targets: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Style and content distances (N,), weighted by layer.

    From feature maps of the paintings and, `wanted`, of the photographs, (N, C, H, W) by layer, and the Gram matrices
    to reach, `targets`, (N, C, C) by layer.
    """
    style = sum(
        weight * losses.gram_distance(losses.gram(features[layer]), targets[layer])
        for layer, weight in zip(config.style_layers, config.style_weights, strict=True)
    )
    content = sum(
        weight * losses.content_distance(features[layer], wanted[layer])
        for layer, weight in zip(config.content_layers, config.content_weights, strict=True)
    )
    return {"style": torch.as_tensor(style), "content": torch.as_tensor(content)}


@torch.no_grad()
def painting_grams(judge: Perceptual, painting: Painting, layers: tuple[str, ...], device: str) -> dict[str, Tensor]:
    """Gram matrices (1, C, C) of a painting by layer."""
    picture = read_picture(painting.image, painting.size).to(device)
    return {layer: losses.gram(features) for layer, features in judge(picture, layers).items()}
