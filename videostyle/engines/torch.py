"""PyTorch: on the CPU in float32, the reference for the other engines; on CUDA in half precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from videostyle.engines import Engine


def build(net: nn.Module, inputs: Sequence[Tensor], device: str) -> Engine:
    """Run the network as it is; on a GPU its convolutions run in float16, channels last."""
    half = device.startswith("cuda")
    net = net.to(device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(content: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        content = content.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.partition(":")[0], torch.float16, enabled=half):
            result = net(content, *(other.to(content.device) for other in others))
        return tuple(each.float() for each in (result if isinstance(result, tuple) else (result,)))

    return run
