"""Code predictor: a style code from the statistics of a picture, without training (Ghiasi et al. 2017).

The *style statistics* of a picture are the means and deviations of its feature maps in a loss network, and the
variances of random projections of them. A small network with a bottleneck maps them to a style code.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""Layers of the loss network that the statistics are taken from."""
_CHANNELS = (64, 128, 256, 512, 512)
_PROJECTIONS = 64
STATISTICS = 2 * sum(_CHANNELS) + len(LAYERS) * _PROJECTIONS
"""Number of style statistics of a picture."""
BOTTLENECK = 128
_LEAST = 1e-4  # added to deviations and variances before their logarithm
_WIDEST = 4.0  # standardised statistics are limited to this many deviations


class CodePredictor(nn.Module):
    """Maps the style statistics of a picture to the style code of one style network."""

    average: Tensor
    deviation: Tensor
    code: Tensor
    scale: Tensor

    def __init__(self, code_size: int) -> None:
        """Build an untrained predictor of codes of `code_size` values, the opacity included."""
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        for layer, channels in zip(LAYERS, _CHANNELS, strict=True):
            directions = torch.randn(_PROJECTIONS, channels, generator=generator)
            self.register_buffer(_projection(layer), directions / directions.norm(dim=1, keepdim=True))
        self.register_buffer("average", torch.zeros(1, STATISTICS))
        self.register_buffer("deviation", torch.ones(1, STATISTICS))
        self.register_buffer("code", torch.zeros(1, code_size - 1))
        self.register_buffer("scale", torch.ones(1, code_size - 1))
        self.narrow = nn.Linear(STATISTICS, BOTTLENECK)
        self.wide = nn.Linear(BOTTLENECK, code_size - 1)

    def statistics(self, features: Mapping[str, Tensor]) -> Tensor:
        """Compute the style statistics (1, STATISTICS) of a picture from its feature maps (1, C, H, W) by layer."""
        found = []
        for layer in LAYERS:
            rows = features[layer][0].flatten(1).float()
            variance, mean = torch.var_mean(rows, 1, correction=0)
            projected = (self.get_buffer(_projection(layer)) @ (rows - mean[:, None])).square().mean(1)
            spread = (projected + _LEAST**2) / (variance.mean() + _LEAST**2)
            found += [mean, (variance.sqrt() + _LEAST).log(), spread.log()]
        return torch.cat(found)[None]

    def embed(self, statistics: Tensor) -> Tensor:
        """Return the bottleneck (N, BOTTLENECK) of style statistics (N, STATISTICS): near for similar styles."""
        standard = (statistics - self.average) / self.deviation
        return torch.tanh(self.narrow(standard.clamp(-_WIDEST, _WIDEST)))

    def forward(self, statistics: Tensor) -> Tensor:
        """Predict codes (N, code_size) of full strength from style statistics (N, STATISTICS)."""
        values = self.code + self.scale * self.wide(self.embed(statistics))
        return torch.cat([values, torch.ones_like(values[:, :1])], dim=1)


def _projection(layer: str) -> str:
    return f"projection_{layer}"
