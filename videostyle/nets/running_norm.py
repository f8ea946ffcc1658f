"""Running norm statistics: the style network with its statistics as tensors, the form that engines compile."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from videostyle.nets.style_network import NormStatistics, StyleNetwork

# Standard deviation of the values, in 0..1, up to which a picture shows nothing: its statistics suit no other picture.
# At twice this they suit fully.
EMPTY = 0.02
# In a fade, the differences of neighbouring pixels grow and shrink together. Up to this change, as the logarithm of a
# ratio (a factor of 1.4), running statistics keep their full weight; at twice this they have none. An object that
# covers a part of the picture changes the differences less.
FADED = 0.35


def contrast(content: Tensor) -> Tensor:
    """Measure the contrast of pictures (N, 3, H, W): deviation from the mean, difference of neighbours; (N, 2)."""
    steps = (content[..., 1:] - content[..., :-1]).abs()
    return torch.stack([content.flatten(2).std(2).mean(1), steps.flatten(1).mean(1)], dim=1)


def similarity(now: Tensor, before: Tensor) -> Tensor:
    """Return how well the statistics of a picture of `contrast` `before` suit one of `now`: (N, 1) in 0..1.

    The statistics of the black that a fade begins in would make the following frames glare; the values would grow from
    layer to layer until they are not finite any more.
    """
    something = (before[:, :1] / EMPTY - 1).clamp(0, 1)
    ratio = now[:, 1:].clamp(min=1e-4) / before[:, 1:].clamp(min=1e-4)
    return something * (2 - ratio.log().abs() / FADED).clamp(0, 1)


class FrameNorm(nn.Module):
    """Style network that normalises every frame by its own statistics."""

    def __init__(self, net: StyleNetwork) -> None:
        super().__init__()
        self.net = net

    def forward(self, content: Tensor, code: Tensor, recurrent_input: Tensor | None = None) -> Tensor:
        """See `StyleNetwork.forward`."""
        stylized: Tensor = self.net(content, code, None, recurrent_input)
        return stylized


class RunningNorm(nn.Module):
    """Style network that takes running statistics and returns the statistics it used."""

    def __init__(self, net: StyleNetwork) -> None:
        super().__init__()
        self.net = net

    def forward(
        self, content: Tensor, code: Tensor, running: Tensor, momentum: Tensor, recurrent_input: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Stylize as `StyleNetwork.forward`; `running` and the returned statistics are (N, code_size - 1).

        `momentum` (N, 1) is that of `NormStatistics`.
        """
        statistics = NormStatistics(torch.split(running, self.net.code_sizes, dim=1), momentum)
        stylized = self.net(content, code, statistics, recurrent_input)
        return stylized, torch.cat(statistics.used, dim=1)
