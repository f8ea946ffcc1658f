"""The painting network with its running statistics as tensors: what engines convert and compile."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from videostyle.nets.style_network import NormStatistics, StyleNetwork

# Pictures whose values deviate by less than this, in 0..1, show nothing: their statistics are no use to any other; at
# twice this they are.
EMPTY = 0.02
# Differences of neighbouring pixels grow and shrink together in a fade: by this, as the logarithm of a ratio (a factor
# of 1.4), before what is remembered counts less; at twice that it does not count. What covers a part changes them less.
FADED = 0.35


def contrast(content: Tensor) -> Tensor:
    """Of pictures (N, 3, H, W): how far values are from their mean, and from their neighbours; (N, 2)."""
    steps = (content[..., 1:] - content[..., :-1]).abs()
    return torch.stack([content.flatten(2).std(2).mean(1), steps.flatten(1).mean(1)], dim=1)


def similarity(now: Tensor, remembered: Tensor) -> Tensor:
    """How far statistics of a picture of the `contrast` `remembered` suit one of `now`: (N, 1) in 0..1.

    Those of the black that a fade begins in would make a glare of what comes after, growing from layer to layer until
    it is no number any more.
    """
    something = (remembered[:, :1] / EMPTY - 1).clamp(0, 1)
    ratio = now[:, 1:].clamp(min=1e-4) / remembered[:, 1:].clamp(min=1e-4)
    return something * (2 - ratio.log().abs() / FADED).clamp(0, 1)


class FrameNorm(nn.Module):
    """A network that normalises every picture by its own statistics."""

    def __init__(self, net: StyleNetwork) -> None:
        super().__init__()
        self.net = net

    def forward(self, content: Tensor, code: Tensor, carried: Tensor | None = None) -> Tensor:
        """As `StyleNetwork.forward`."""
        painted: Tensor = self.net(content, code, None, carried)
        return painted


class RunningNorm(nn.Module):
    """A network that is handed the statistics it remembers and hands back those it used."""

    def __init__(self, net: StyleNetwork) -> None:
        super().__init__()
        self.net = net

    def forward(
        self, content: Tensor, code: Tensor, running: Tensor, momentum: Tensor, carried: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Do as `StyleNetwork.forward`; `running` and the statistics returned are (N, code_size - 1).

        `momentum` (N, 1) is that of `NormStatistics`.
        """
        statistics = NormStatistics(torch.split(running, self.net.code_sizes, dim=1), momentum)
        painted = self.net(content, code, statistics, carried)
        return painted, torch.cat(statistics.used, dim=1)
