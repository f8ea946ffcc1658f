"""PyTorch: CPU in float32, the reference the others are checked against; CUDA in half precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from videostyle.engines import Engine
    from videostyle.weights import Network


def build(network: Network, device: str) -> Engine:
    """The network as it is; on a GPU its convolutions run in float16, channels last."""
    half = device.startswith("cuda")
    net = network.net.folded().to(device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def paint(content: Tensor, code: Tensor) -> Tensor:
        content = content.contiguous(memory_format=torch.channels_last)
        code = code.to(content.device).expand(len(content), -1)
        with torch.autocast(device.partition(":")[0], torch.float16, enabled=half):
            return net(content, code).float()

    return paint
