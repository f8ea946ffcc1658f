"""The painting network with its memory as tensors: what engines convert and compile."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from videostyle.nets.transformer import Memory, Transformer


class Remembering(nn.Module):
    """A network that is handed the statistics it remembers and hands back those it used."""

    def __init__(self, net: Transformer) -> None:
        super().__init__()
        self.net = net

    def forward(self, content: Tensor, code: Tensor, memory: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """As `Transformer.forward`; `memory` and what it returns (N, code_size - 1), `keep` (N, 1) as in `Memory`."""
        statistics = Memory(torch.split(memory, self.net.code_sizes, dim=1), keep)
        painted = self.net(content, code, statistics)
        return painted, torch.cat(statistics.used, dim=1)
