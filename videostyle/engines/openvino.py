"""OpenVINO: on the CPU two to four times as fast as eager torch, in bfloat16 if the processor supports it.

On Intel's GPUs and NPUs (`gpu`, `gpu:1`, `npu`) it computes in half precision.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from threading import Lock, local
from typing import TYPE_CHECKING, Any

import openvino as ov
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import Tensor, nn

from videostyle.errors import UsageError
from videostyle.files import make_folder
from videostyle.weights.manifest import cache_folder

if TYPE_CHECKING:
    from videostyle.engines import Engine

DEVICES = ("cpu", "gpu", "npu")
RANK = 1
OWN_THREADS = True
HOST = True

Shapes = tuple[tuple[int, ...], ...]

# Limits of the cache of compiled networks: their number, and the sum of their pixels. Each holds its intermediate
# results, some 250 bytes a pixel for `fast`, and one thread a core. A larger one is freed when its thread ends.
CACHE_SIZE = 8
CACHE_PIXELS = 4_000_000


class _Network:
    """Converted network, and the lock that a thread holds while it reshapes and compiles the model."""

    def __init__(self, model: ov.Model, device: str) -> None:
        self.model = model
        self.device = device
        self.lock = Lock()


class _Compiled:
    """Network compiled for pictures of one size; several threads may run it at a time."""

    def __init__(self, network: _Network, shapes: Shapes) -> None:
        self._network = network
        self._shapes = shapes
        self._lock = Lock()
        self._model: ov.CompiledModel | None = None
        self._idle: list[ov.InferRequest] = []

    def __call__(self, given: Sequence[Tensor]) -> tuple[Tensor, ...]:
        request = self._request()
        request.infer({number: each.contiguous().numpy() for number, each in enumerate(given)})
        # The request owns its outputs and will write the next ones there.
        result = tuple(torch.from_numpy(output.data.copy()) for output in request.output_tensors)
        with self._lock:
            # One idle request is enough: more are made only while several threads run the network.
            self._idle = [request]
        return result

    def _request(self) -> ov.InferRequest:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            if self._model is None:
                with self._network.lock:
                    model = self._network.model
                    model.reshape({number: list(shape) for number, shape in enumerate(self._shapes)})
                    device = self._network.device
                    self._model = core().compile_model(model, openvino_name(device), settings(device))
            return self._model.create_infer_request()


class _Pool:
    """Cache of the compiled networks that were used last, of every network and size."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._cache: OrderedDict[tuple[_Network, Shapes], _Compiled] = OrderedDict()
        self._large = local()

    def get(self, network: _Network, shapes: Shapes) -> _Compiled:
        """Return the network compiled for inputs of these shapes; the least recently used ones are dropped."""
        if _pixels(shapes) > CACHE_PIXELS:
            if getattr(self._large, "key", None) != (network, shapes):
                self._large.key, self._large.compiled = (network, shapes), _Compiled(network, shapes)
            return self._large.compiled
        with self._lock:
            compiled = self._cache.pop((network, shapes), None) or _Compiled(network, shapes)
            self._cache[network, shapes] = compiled
            while len(self._cache) > 1 and (len(self._cache) > CACHE_SIZE or self._pixels() > CACHE_PIXELS):
                self._cache.popitem(last=False)
            return compiled

    def _pixels(self) -> int:
        return sum(_pixels(shapes) for _, shapes in self._cache)


def _pixels(shapes: Shapes) -> int:
    """Count the pixels of the content, which is the first input."""
    return shapes[0][0] * shapes[0][-2] * shapes[0][-1]


_pool = _Pool()


@lru_cache(maxsize=1)
def core() -> ov.Core:
    """Return the OpenVINO runtime of this process."""
    return ov.Core()


def openvino_name(device: str) -> str:
    """Return OpenVINO's name of a device: CPU, NPU, GPU, GPU.1."""
    return device.upper().replace(":", ".")


def check_device(device: str) -> None:
    """Raise UsageError if OpenVINO has no such device here."""
    name = openvino_name(device)
    found = [each.removesuffix(".0") for each in core().available_devices]
    if name.removesuffix(".0") not in found:
        raise UsageError(f"OpenVINO finds no {name} here (only {', '.join(found)}); use --device cpu")


def settings(device: str = "cpu") -> dict[str, Any]:
    """Return the properties that networks are compiled with."""
    if device != "cpu":
        # Compiling for a GPU or NPU takes seconds, so OpenVINO keeps the result on disk.
        folder = cache_folder("openvino")
        make_folder(folder)
        return {"INFERENCE_PRECISION_HINT": "f16", "CACHE_DIR": str(folder)}
    half = "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    # Threads are not pinned to cores. A pinned thread waits while another program uses its core, the others wait for
    # it, and a frame takes many times as long: see "beside busy cores" in benchmarks/speed.py.
    return {"INFERENCE_PRECISION_HINT": "bf16" if half else "f32", "ENABLE_CPU_PINNING": False}


def build(net: nn.Module, inputs: Sequence[Tensor], device: str) -> Engine:
    """Convert the network in memory; it is compiled for each size of picture on first use."""
    network = _Network(convert(net, inputs), device)

    def run(*given: Tensor) -> tuple[Tensor, ...]:
        return _pool.get(network, tuple(tuple(each.shape) for each in given))(given)

    return run


def convert(net: nn.Module, inputs: Sequence[Tensor]) -> ov.Model:
    """Convert `net` to an OpenVINO model; its inputs are those of `net`, of any size."""
    # `ov.convert_model` and `torch.jit.trace` keep every network they have seen until the process ends, some 10 MB each
    # time. The graph alone, which is all that the converter reads, is freed; it has the weights as further inputs.
    with warnings.catch_warnings(), torch.inference_mode():
        # torch recommends another way of tracing, which users of this package cannot follow.
        warnings.simplefilter("ignore")
        graph, _ = torch.jit._get_trace_graph(net, tuple(inputs))  # type: ignore[attr-defined, no-untyped-call]
    weights = list({id(value): value for value in net.state_dict(keep_vars=True).values()}.values())
    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(net, graph, alias_db=graph.alias_db())
    model = frontend.convert(frontend.load(decoder))
    for parameter, value in zip(model.get_parameters()[len(inputs) :], weights, strict=True):
        constant = ov.op.Constant(ov.Tensor(value.detach().contiguous().numpy().copy()))
        parameter.output(0).replace(constant.output(0))
        model.remove_parameter(parameter)
    model.validate_nodes_and_infer_types()
    return model
