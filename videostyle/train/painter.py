"""The network and the codes that are being learned, as one module that paints a batch."""

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


class Codes(nn.Module):
    """The style codes being learned: the identity's and one for each painting."""

    def __init__(self, count: int, size: int) -> None:
        super().__init__()
        self.identity = nn.Parameter(torch.zeros(1, size - 1))
        self.rows = nn.Parameter(0.01 * torch.randn(count, size - 1))

    def forward(self, style: Tensor, strength: Tensor) -> Tensor:
        """Codes (N, size) of the paintings numbered `style` (N,) from 0, at `strength` (N,) in 0..1.

        How much of the untouched picture shows through, the last value, is not learned: all at 0, nothing at 1.
        """
        strength = strength[:, None]
        return torch.cat([torch.lerp(self.identity.expand(len(style), -1), self.rows[style], strength), strength], 1)


class Painted(NamedTuple):
    """The judged frame of each sample, stylized, and what it should look like."""

    now: Tensor
    """(N, 3, S, S)."""
    expected: list[tuple[Tensor, Tensor]]
    """Earlier outputs warped to the judged frame, (N, 3, S, S) without gradient, and where they hold, (N, 1, S, S)."""


class Painter(nn.Module):
    """Stylizes batches by the codes, frame after frame."""

    def __init__(self, net: StyleNetwork, codes: Codes) -> None:
        super().__init__()
        self.net = net
        self.codes = codes

    def forward(self, batch: Batch) -> Painted:
        """Roll out over the frames of `batch`; the gradient goes through the last frame only.

        The first frame has an empty prior, as after a cut; each later one reads the output before it, warped along a
        flow that is a little wrong, and in some samples corrupted, so that errors fade rather than gather.
        The temporal target is detached, as in Ruder et al. 2018 and Lai et al. 2018: it says "keep what was painted".
        With its gradient it would say "paint less", for what is not painted cannot flicker.
        """
        code = self.codes(batch.style, batch.strength)
        outputs: list[Tensor] = []
        used: list[Tensor] | None = None
        with torch.no_grad():
            for number in range(len(batch.frames) - 1):
                output, used = self._frame(batch, number, code, outputs, used)
                outputs.append(output)
        now, _ = self._frame(batch, len(batch.frames) - 1, code, outputs, used)
        expected = []
        if outputs:
            expected.append((warp(outputs[-1], batch.flows[-1], "bicubic"), batch.valid[-1]))
            expected += [(warp(outputs[-step], flow, "bicubic"), valid) for step, flow, valid in batch.far]
        return Painted(now, expected)

    def _frame(
        self, batch: Batch, number: int, code: Tensor, outputs: list[Tensor], used: list[Tensor] | None
    ) -> tuple[Tensor, list[Tensor]]:
        """Frame `number` stylized, in float32, and the statistics that its normalisations used."""
        content = batch.frames[number]
        statistics = NormStatistics() if len(batch.frames) > 1 else None  # statistics that nobody reads cost time
        if number == 0:
            prior, mask = torch.zeros_like(content), torch.zeros_like(content[:, :1])
        else:
            flow = batch.flows[number - 1] + batch.errors[number - 1]
            prior = warp(outputs[-1], flow, "bicubic").clamp(0, 1)
            if number == 1:
                # An error that happens once, and has to fade. Repeated in every frame it would add up without end.
                prior = corrupted(prior, batch.corruption, batch.speckle)
            mask = batch.valid[number - 1]
            before = batch.frames[number - 1]
            assert used is not None
            statistics = RunningStatistics(used, batch.remembering * similarity(contrast(content), contrast(before)))
        carried = torch.cat([prior, mask, batch.noise[number]], dim=1)
        painted = self.net(content, code, statistics, carried).float()
        return painted, [statistics.detach() for statistics in statistics.used] if statistics else []


class RunningStatistics(NormStatistics):
    """Remembered statistics without a gradient of their own that grow and shrink with the features, as the frame's do.

    Were they constants, every loss would seem to fall when a convolution's weights shrink, which changes nothing in a
    network that normalises.
    """

    def recall(self, own: Tensor) -> Tensor:
        """See `NormStatistics.recall`."""
        deviation = own.chunk(2, dim=1)[1]
        return super().recall(own) * (deviation / deviation.detach()).repeat(1, 2)


def corrupted(prior: Tensor, corruption: Tensor, speckle: Tensor) -> Tensor:
    """Priors (N, 3, S, S) in 0..1 with errors of colour, light, sharpness and noise in them.

    `corruption` (N, 5) are numbers of mean 0 and deviation 1: shifts of red, green and blue, the logarithm of a gamma,
    blur and how much of `speckle` (N, 3, S, S) is added. Zeros leave a prior as it is.
    """
    rows = corruption[:, :, None, None, None].unbind(1)
    shift = torch.cat(rows[:3], dim=1)
    gamma = torch.exp(0.1 * rows[3])
    blur = (0.5 * rows[4]).abs().clamp(max=1)
    changed = prior.clamp(min=1e-3) ** gamma + 0.03 * shift
    changed = changed + blur * (binomial(changed) - changed) + 0.03 * rows[4] * speckle
    return torch.where((corruption == 0).all(1)[:, None, None, None], prior, changed).clamp(0, 1)


def untrained(config: TrainConfig) -> tuple[StyleNetwork, Codes]:
    """The network and the codes that `config` asks for, of random numbers."""
    net = StyleNetwork(replace(architecture(config.network), blur=config.blur))
    return net, Codes(len(config.styles), net.code_size)
