"""Model in training: the style network and the style codes, as one module that rolls out over a batch."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from videostyle.nets.running_norm import contrast, similarity
from videostyle.nets.style_network import NormStatistics, StyleNetwork, architecture, binomial
from videostyle.ops.warp import warp
from videostyle.train.batch import Batch
from videostyle.train.plan import TrainConfig


class StyleCodes(nn.Module):
    """Style codes in training: the identity's and one for each style."""

    def __init__(self, count: int, size: int) -> None:
        super().__init__()
        self.identity = nn.Parameter(torch.zeros(1, size - 1))
        self.rows = nn.Parameter(0.01 * torch.randn(count, size - 1))

    def forward(self, style: Tensor, strength: Tensor) -> Tensor:
        """Return the codes (N, size) of the styles numbered `style` (N,) from 0, at `strength` (N,) in 0..1.

        The last value, the opacity, is not learned: the untouched picture is visible at 0 and covered at 1.
        """
        strength = strength[:, None]
        return torch.cat([torch.lerp(self.identity.expand(len(style), -1), self.rows[style], strength), strength], 1)


class RollOut(NamedTuple):
    """Result of a roll-out: the last output of each sample, and its temporal targets."""

    output: Tensor
    """Last stylized frame of each sample, (N, 3, S, S)."""
    targets: list[tuple[Tensor, Tensor]]
    """Earlier outputs warped to the last frame, (N, 3, S, S) without gradient, and validity masks, (N, 1, S, S)."""
    recurrent_input: Tensor
    """Recurrent input of the last frame, (N, RECURRENT_CHANNELS, S, S)."""


class StyleModel(nn.Module):
    """Style network with its codes; stylizes the clips of a batch, frame after frame."""

    def __init__(self, net: StyleNetwork, codes: StyleCodes) -> None:
        super().__init__()
        self.net = net
        self.codes = codes

    def forward(self, batch: Batch) -> RollOut:
        """Roll out over the frames of `batch`; the gradient passes through the last frame only.

        The first frame has an empty prior, as after a cut; each later one reads the output before it, warped along a
        flow with small errors, and in some samples corrupted, so that the network learns to reduce errors.
        The temporal target is detached, as in Ruder et al. 2018 and Lai et al. 2018: its meaning is "keep the previous
        output". With a gradient it would also mean "paint less", for a picture without paint cannot flicker.
        """
        code = self.codes(batch.style, batch.strength)
        outputs: list[Tensor] = []
        used: list[Tensor] | None = None
        with torch.no_grad():
            for number in range(len(batch.frames) - 1):
                output, used, _ = self._frame(batch, number, code, outputs, used)
                outputs.append(output)
        now, _, recurrent_input = self._frame(batch, len(batch.frames) - 1, code, outputs, used)
        expected = []
        if outputs:
            expected.append((warp(outputs[-1], batch.flows[-1], "bicubic"), batch.valid[-1]))
            expected += [(warp(outputs[-step], flow, "bicubic"), valid) for step, flow, valid in batch.far]
        return RollOut(now, expected, recurrent_input)

    def _frame(
        self, batch: Batch, number: int, code: Tensor, outputs: list[Tensor], used: list[Tensor] | None
    ) -> tuple[Tensor, list[Tensor], Tensor]:
        """Stylize frame `number`; returns it in float32, the statistics of its normalisations, its recurrent input."""
        content = batch.frames[number]
        statistics = NormStatistics() if len(batch.frames) > 1 else None  # unused statistics would cost time
        if number == 0:
            prior, mask = torch.zeros_like(content), torch.zeros_like(content[:, :1])
        else:
            flow = batch.flows[number - 1] + batch.errors[number - 1]
            prior = warp(outputs[-1], flow, "bicubic").clamp(0, 1)
            if number == 1:
                # The error occurs once and has to fade. In every frame it would accumulate without limit.
                prior = corrupted(prior, batch.corruption, batch.speckle)
            mask = batch.valid[number - 1]
            before = batch.frames[number - 1]
            assert used is not None
            statistics = RunningStatistics(used, batch.shared_norm * similarity(contrast(content), contrast(before)))
        recurrent_input = torch.cat([prior, mask, batch.noise[number]], dim=1)
        output = self.net(content, code, statistics, recurrent_input).float()
        return output, [one.detach() for one in statistics.used] if statistics else [], recurrent_input


class RunningStatistics(NormStatistics):
    """Running statistics without a gradient of their own, scaled with the features as the frame's statistics are.

    If they were constants, every loss would seem to decrease when the weights of a convolution shrink, which has no
    effect in a network that normalises.
    """

    def next_running(self, own: Tensor) -> Tensor:
        """See `NormStatistics.next_running`."""
        deviation = own.chunk(2, dim=1)[1]
        return super().next_running(own) * (deviation / deviation.detach()).repeat(1, 2)


def corrupted(prior: Tensor, corruption: Tensor, speckle: Tensor) -> Tensor:
    """Corrupt priors (N, 3, S, S) in 0..1 with errors of colour, light, sharpness and noise.

    `corruption` (N, 5) are numbers of mean 0 and deviation 1: shifts of red, green and blue, the logarithm of a gamma,
    and the amount of blur and of `speckle` (N, 3, S, S). Zeros leave a prior unchanged.
    """
    rows = corruption[:, :, None, None, None].unbind(1)
    shift = torch.cat(rows[:3], dim=1)
    gamma = torch.exp(0.1 * rows[3])
    blur = (0.5 * rows[4]).abs().clamp(max=1)
    changed = prior.clamp(min=1e-3) ** gamma + 0.03 * shift
    changed = changed + blur * (binomial(changed) - changed) + 0.03 * rows[4] * speckle
    return torch.where((corruption == 0).all(1)[:, None, None, None], prior, changed).clamp(0, 1)


def untrained(config: TrainConfig) -> tuple[StyleNetwork, StyleCodes]:
    """Make the network and the codes of `config` with random weights."""
    net = StyleNetwork(replace(architecture(config.network), blur=config.blur))
    return net, StyleCodes(len(config.styles), net.code_size)
