"""Objective of training: the loss terms of `videostyle.ops.losses`, weighted by the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from videostyle import weights
from videostyle.errors import TrainingError
from videostyle.nets.vgg import LossNetwork
from videostyle.ops import losses
from videostyle.train.batch import Batch
from videostyle.train.data import read_picture
from videostyle.train.model import RollOut
from videostyle.train.plan import TrainConfig, TrainingStyle

View = Literal["whole", "halved", "shallow", "pixels"]
"""View of the loss network: all layers at full size; all layers at half the size; the layers up to relu3_1; none."""


class Teacher:
    """Trained network whose pictures another network learns to paint (knowledge distillation, Hinton et al. 2015)."""

    def __init__(self, name: str, styles: Sequence[TrainingStyle], device: str) -> None:
        """Load the network and its codes of `styles`; raises TrainingError for a style that it has no code for."""
        network = weights.load_network(name)
        files = {entry.name: entry.file for entry in weights.gallery() if entry.network == name}
        missing = [style.name for style in styles if style.name not in files]
        if missing:
            raise TrainingError(f"{name} cannot teach {', '.join(missing)}: it has no code of that name")
        self.net = network.net.to(device)
        self.identity = network.identity.to(device)
        self.codes = torch.cat([weights.read_style(files[style.name])[0] for style in styles]).to(device)

    @torch.no_grad()
    def __call__(self, batch: Batch, recurrent_input: Tensor) -> Tensor:
        """Stylize the last frames of a batch with the given recurrent input; returns (N, 3, S, S)."""
        code = torch.lerp(self.identity, self.codes[batch.style], batch.strength[:, None])
        stylized: Tensor = self.net(batch.content, code, None, recurrent_input).float()
        return stylized


class Objective:
    """Computes the loss of stylized batches against their content frames and style images."""

    def __init__(self, config: TrainConfig, loss_network: LossNetwork, device: str) -> None:
        self.config = config
        self.loss_network = loss_network
        self.targets, self.halved = (
            {layer: torch.cat([gram[layer] for gram in grams]) for layer in config.style_layers}
            for grams in (
                [style_grams(loss_network, style, config.style_layers, device, scale) for style in config.styles]
                for scale in (1.0, 0.5)
            )
        )
        """Gram matrices of the style images by layer, (styles, C, C), at full and at half size."""
        self.teacher = Teacher(config.teacher, config.styles, device) if config.teacher else None

    def __call__(
        self, batch: Batch, roll_out: RollOut, ramp: float, view: View = "whole", deep: float = 1.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss, a mean over the batch, and its unweighted terms for each sample, (N,).

        `ramp`, in 0..1, is the factor of the temporal term; `view` is that of the loss network, see `View`; `deep` is
        the factor of layers deeper than relu3_1. With a teacher, its pictures take the place of the photographs.
        In the view `pixels` there are no terms of the loss network.
        """
        config = self.config
        output, content = roll_out.output, batch.content
        if self.teacher is not None:
            content = self.teacher(batch, roll_out.recurrent_input)
        terms = {} if view == "pixels" else self.style_and_content(output, content, batch.style, view, deep)
        terms["smooth"] = losses.total_variation(output)
        terms["grid"] = losses.grid_energy(output)
        terms["fidelity"] = losses.fidelity_distance(output, content)
        terms["temporal"] = torch.zeros_like(terms["grid"])
        for target, valid in roll_out.targets:
            terms["temporal"] = terms["temporal"] + losses.temporal_distance(target, output, valid)
        terms["temporal"] = terms["temporal"] / max(len(roll_out.targets), 1)
        weak = 1 - batch.strength
        loss = (
            config.total_variation * terms["smooth"]
            + config.grid * terms["grid"]
            + (config.weak_fidelity * weak if self.teacher is None else config.imitation) * terms["fidelity"]
            + ramp * config.temporal * terms["temporal"]
        )
        if view != "pixels":
            loss = loss + batch.strength * (terms["style"] + config.local * terms["local"])
            loss = loss + (config.content + weak) * terms["content"]
        return loss.mean(), terms

    def style_and_content(
        self, stylized: Tensor, content: Tensor, style: Tensor, view: View = "whole", deep: float = 1.0
    ) -> dict[str, Tensor]:
        """Compute style, local style and content distances (N,) of pictures (N, 3, H, W) in the styles `style` (N,)."""
        config = self.config
        targets = self.targets
        if view == "halved":
            stylized, content = (F.avg_pool2d(picture, 2) for picture in (stylized, content))
            targets = self.halved
        style_layers = tuple(layer for layer in config.style_layers if view != "shallow" or is_shallow(layer))
        content_layers = config.content_layers if view != "shallow" else ()
        features = self.loss_network(stylized, (*style_layers, *content_layers))
        wanted = {}
        with torch.no_grad():
            if content_layers:
                wanted = self.loss_network(content, content_layers)
            weight = losses.edge_weight(content, config.flat_content)
        return style_and_content_terms(
            config, features, wanted, {layer: targets[layer][style] for layer in style_layers}, weight, deep
        )


def is_shallow(layer: str) -> bool:
    """Return True for a layer of a loss network, such as `relu2_1`, that is not deeper than relu3_1."""
    return layer <= "relu3_1"


def style_and_content_terms(
    config: TrainConfig,
    features: dict[str, Tensor],
    wanted: dict[str, Tensor],
    targets: dict[str, Tensor],
    weight: Tensor | None = None,
    deep: float = 1.0,
) -> dict[str, Tensor]:
    """Compute style, local style and content distances (N,), weighted by layer.

    `features` are feature maps of the stylized pictures and `wanted` those of the photographs, (N, C, H, W) by layer;
    `targets` are the Gram matrices of the style, (N, C, C) by layer. `weight` (N, 1, H, W) is the content weight of
    each position; `deep` is the factor of layers deeper than relu3_1.
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
def style_grams(
    loss_network: LossNetwork, style: TrainingStyle, layers: tuple[str, ...], device: str, scale: float = 1.0
) -> dict[str, Tensor]:
    """Compute the Gram matrices (1, C, C) of a style image by layer, at `scale` times the size it is learned at."""
    picture = read_picture(style.image, round(scale * style.size)).to(device)
    return {layer: losses.gram(features) for layer, features in loss_network(picture, layers).items()}
