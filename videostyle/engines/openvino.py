"""OpenVINO: on the CPU two to four times as fast as eager torch, in bfloat16 if the processor supports it.

On Intel's GPUs and NPUs (`gpu`, `gpu:1`, `npu`) it computes in half precision.
"""

from __future__ import annotations

import os
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from io import BytesIO
from threading import Lock, local
from typing import TYPE_CHECKING, Any

import openvino as ov
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import Tensor, nn

from videostyle.engines import _model_cache
from videostyle.errors import UsageError
from videostyle.files import make_folder
from videostyle.threads import cores
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
    """Network to compile for a device; it is converted when it is first compiled for a size that is not on disk."""

    def __init__(self, net: nn.Module, inputs: Sequence[Tensor], device: str) -> None:
        self._net = net
        self._inputs = inputs
        self._device = device
        self._model: ov.Model | None = None
        self._digest = _model_cache.digest(net) if device == "cpu" else None
        # A thread holds it while it reshapes and compiles the model.
        self._lock = Lock()

    def compile(self, shapes: Shapes) -> ov.CompiledModel:
        """Compile the network for inputs of these shapes, or read it where it was compiled before."""
        wanted = settings(self._device)
        with self._lock:
            if self._digest is None:
                return core().compile_model(self._reshaped(shapes), openvino_name(self._device), wanted)
            key = repr((self._digest, shapes, wanted, _compiler()))
            found = _model_cache.load(key)
            if found is not None:
                # OpenVINO refuses what it would compile in another way.
                with suppress(RuntimeError):
                    return core().import_model(BytesIO(found), "CPU", wanted)
            compiled = core().compile_model(self._reshaped(shapes), "CPU", wanted)
            _model_cache.store(key, compiled.export_model().getvalue())
            return compiled

    def _reshaped(self, shapes: Shapes) -> ov.Model:
        if self._model is None:
            self._model = convert(self._net, self._inputs)
        self._model.reshape({number: list(shape) for number, shape in enumerate(shapes)})
        return self._model


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
                self._model = self._network.compile(self._shapes)
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


@lru_cache(maxsize=1)
def _compiler() -> tuple[object, ...]:
    """Return what a network compiled for the CPU depends on beside the network and the settings."""
    processor = [core().get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    return ov.__version__, torch.__version__, *map(str, processor), os.environ.get("ONEDNN_MAX_CPU_ISA"), cores()


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
    """Prepare the network, which is converted in memory, and compiled for each size of picture on first use."""
    network = _Network(net, inputs, device)

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
