"""PyTorch: on the CPU and Apple's GPUs (mps) in float32, the reference for other engines; on CUDA in half precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from videostyle.errors import UsageError

if TYPE_CHECKING:
    from videostyle.engines import Engine

DEVICES = ("cpu", "cuda", "mps")


def check_device(device: str) -> None:
    """Raise UsageError if torch has no such device here."""
    kind, _, number = device.partition(":")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device is available to torch here; use --device cpu")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UsageError("no Apple GPU (mps) is available to torch here; use --device cpu")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if number and int(number) >= count:
        raise UsageError(f"there are {count} {kind.upper()} devices, numbered from 0; got {device}")


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
