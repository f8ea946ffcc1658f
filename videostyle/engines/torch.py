"""PyTorch: on the CPU and Apple's GPUs (mps) in float32, the reference for other engines.

On CUDA it computes in half precision, from CUDA graphs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
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
    """Run the network as it is; on CUDA in float16, channels last, from a CUDA graph for each size."""
    half = device.startswith("cuda")
    net = net.to(device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(content: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        content = content.contiguous(memory_format=torch.channels_last)
        # No cache of casted weights: a CUDA graph would go on with what another call has cached.
        with torch.autocast(device.partition(":")[0], torch.float16, enabled=half, cache_enabled=False):
            result = net(content, *(other.to(content.device) for other in others))
        return tuple(each.float() for each in (result if isinstance(result, tuple) else (result,)))

    return GraphedEngine(run, device) if half else run


Shapes = tuple[tuple[int, ...], ...]


class GraphedEngine:
    """Replays CUDA graphs, one for each size: the processor starts all of the network's kernels at once.

    A size is recorded when it comes the second time; the first time it is run as it is, as all are that stills have.
    """

    CACHE_SIZE = 4
    """Sizes that are kept; each holds its intermediate results on the GPU."""

    def __init__(self, run: Engine, device: str) -> None:
        self._run = run
        self._device = device
        self._lock = Lock()
        self._graphs: OrderedDict[Shapes, tuple[list[Tensor], tuple[Tensor, ...], Callable[[], None]] | None]
        self._graphs = OrderedDict()

    @torch.inference_mode()
    def __call__(self, *given: Tensor) -> tuple[Tensor, ...]:
        shapes = tuple(tuple(each.shape) for each in given)
        # A graph has one place for its inputs and outputs, so threads take turns.
        with self._lock:
            if shapes not in self._graphs:
                self._keep(shapes, None)
                return self._run(*given)
            recorded = self._graphs.pop(shapes)
            if recorded is None:
                places = [each.to(self._device, copy=True) for each in given]
                recorded = places, *record(lambda: self._run(*places), self._device)
            self._keep(shapes, recorded)
            places, outputs, replay = recorded
            for place, each in zip(places, given, strict=True):
                place.copy_(each)
            replay()
            return tuple(each.clone() for each in outputs)

    def _keep(
        self, shapes: Shapes, recorded: tuple[list[Tensor], tuple[Tensor, ...], Callable[[], None]] | None
    ) -> None:
        self._graphs[shapes] = recorded
        if len(self._graphs) > self.CACHE_SIZE:
            self._graphs.popitem(last=False)


def record(run: Callable[[], tuple[Tensor, ...]], device: str) -> tuple[tuple[Tensor, ...], Callable[[], None]]:
    """Record what `run` does on a CUDA device; return its outputs, and a function that computes them anew."""
    with torch.cuda.device(device):
        # Libraries allocate and choose their kernels in the first runs, which may not be recorded.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads of a render may use the device meanwhile.
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            outputs = run()
    return outputs, graph.replay
