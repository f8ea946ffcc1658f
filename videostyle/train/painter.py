"""The network and the codes that are being learned, as one module that paints a batch."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from videostyle.nets.remembering import alike, contrast
from videostyle.nets.transformer import Memory, Transformer, architecture
from videostyle.plan import TrainConfig
from videostyle.train.batch import Batch


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
    """A batch, painted; pictures (N, 3, S, S) and feature maps (N, C, S / stride, S / stride)."""

    now: Tensor
    later: Tensor
    noisy: Tensor | None
    features: Tensor
    features_later: Tensor


class Painter(nn.Module):
    """Paints batches by the codes."""

    def __init__(self, net: Transformer, codes: Codes) -> None:
        super().__init__()
        self.net = net
        self.codes = codes

    def forward(self, batch: Batch, noisy: bool) -> Painted:
        """`noisy` asks for the content to be painted once more, with noise on it."""
        code = self.codes(batch.style, batch.strength)
        memory = Memory()
        features = self.net.features(batch.content, code, memory)
        now = self.net.decode(features, batch.content, code, memory).float()
        # With their gradients: against statistics that stood still, features could shrink until nothing differs, which
        # says nothing of the network that takes its own, and in a few hundred steps spoils it.
        keep = batch.remembering * alike(contrast(batch.moved), contrast(batch.content))
        remembered = Memory(memory.used, keep)
        features_later = self.net.features(batch.moved, code, remembered)
        later = self.net.decode(features_later, batch.moved, code, remembered).float()
        again = self.net((batch.content + batch.noise).clamp(0, 1), code).float() if noisy else None
        return Painted(now, later, again, features.float(), features_later.float())


def untrained(config: TrainConfig) -> tuple[Transformer, Codes]:
    """The network and the codes that `config` asks for, of random numbers."""
    net = Transformer(replace(architecture(config.network), blur=config.blur))
    return net, Codes(len(config.paintings), net.code_size)
