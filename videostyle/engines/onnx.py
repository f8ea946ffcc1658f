"""ONNX Runtime, by its execution providers: CPU, CUDA, TensorRT, DirectML, CoreML, and OpenVINO on GPU and NPU."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import nullcontext
from threading import Lock
from typing import TYPE_CHECKING, Any

import onnxruntime as ort
import torch
from torch import Tensor, nn

from videostyle.errors import MissingDependencyError, UsageError
from videostyle.files import make_folder
from videostyle.nets.onnx_graph import to_onnx
from videostyle.threads import cores
from videostyle.weights.manifest import cache_folder

if TYPE_CHECKING:
    from videostyle.engines import Engine

ort.disable_telemetry_events()

DEVICES = ("cpu", "cuda", "tensorrt", "dml", "coreml", "gpu", "npu")
RANK = -1
OWN_THREADS = True
HOST = True

# The execution provider of each device, and the package that brings it.
PROVIDERS = {
    "cpu": ("CPUExecutionProvider", "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "tensorrt": ("TensorrtExecutionProvider", "onnxruntime-gpu, and TensorRT"),
    "dml": ("DmlExecutionProvider", "onnxruntime-directml, on Windows"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime, on macOS"),
    "gpu": ("OpenVINOExecutionProvider", "onnxruntime-openvino"),
    "npu": ("OpenVINOExecutionProvider", "onnxruntime-openvino"),
}
# Devices whose providers compile the graph for one size: each size gets a session of its own.
_FIXED_SIZE = ("tensorrt", "coreml", "npu")
# Devices on which a session must not be run by two threads at a time.
_ONE_THREAD = ("dml",)
CACHE_SIZE = 8
"""Sessions that a network keeps, where each size needs one."""
LARGE = 4_000_000
"""Pixels from which the memory of intermediate results is returned after each run."""


def check_device(device: str) -> None:
    """Raise UsageError or MissingDependencyError if ONNX Runtime has no provider for `device` here."""
    provider, package = PROVIDERS[device.partition(":")[0]]
    found = ort.get_available_providers()
    if provider not in found:
        raise MissingDependencyError(
            f"--device {device} needs ONNX Runtime with {provider}: pip install {package}; here are {', '.join(found)}"
        )


def providers(device: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the execution providers for `device` with their options, the preferred one first.

    Where a provider has no operator of the graph, the CPU computes it; TensorRT has CUDA before that.
    """
    kind, _, number = device.partition(":")
    options: dict[str, Any] = {}
    if kind in ("cuda", "tensorrt", "dml"):
        options["device_id"] = number or "0"
    if kind == "tensorrt":
        make_folder(cache_folder(kind))
        options |= {
            "trt_fp16_enable": "1",
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(cache_folder(kind)),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(cache_folder(kind)),
        }
    elif kind == "coreml":
        options |= {"ModelFormat": "MLProgram", "MLComputeUnits": "ALL"}
    elif kind in ("gpu", "npu"):
        make_folder(cache_folder("openvino"))
        options |= {
            "device_type": kind.upper() + (f".{number}" if number else ""),
            "cache_dir": str(cache_folder("openvino")),
        }
    found = [(PROVIDERS[kind][0], options)]
    if kind == "tensorrt":
        found += providers("cuda" + (f":{number}" if number else ""))[:1]
    return found if kind == "cpu" else [*found, ("CPUExecutionProvider", {})]


class _Network:
    """Network as an ONNX model, and the sessions that run it."""

    def __init__(self, net: nn.Module, inputs: Sequence[Tensor], device: str) -> None:
        model = to_onnx(net, inputs)
        self._dimensions = [
            [dimension.dim_param for dimension in each.type.tensor_type.shape.dim] for each in model.graph.input
        ]
        self._names = [each.name for each in model.graph.input]
        self._model = model.SerializeToString()
        self._device = device
        self._kind = device.partition(":")[0]
        self._lock = Lock()
        self._sessions: OrderedDict[tuple[tuple[str, int], ...], ort.InferenceSession] = OrderedDict()
        self._running: Any = Lock() if self._kind in _ONE_THREAD else nullcontext()

    def __call__(self, *given: Tensor) -> tuple[Tensor, ...]:
        session = self._session(given)
        feed = {name: each.contiguous().numpy() for name, each in zip(self._names, given, strict=True)}
        options = None
        if given[0].shape[0] * given[0].shape[-2] * given[0].shape[-1] > LARGE:
            options = ort.RunOptions()
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        with self._running:
            found = session.run(None, feed, options)
        return tuple(torch.from_numpy(each) for each in found)

    def _session(self, given: Sequence[Tensor]) -> ort.InferenceSession:
        """Return the session for inputs of these shapes; the least recently used ones are dropped."""
        sizes: dict[str, int] = {}
        if self._kind in _FIXED_SIZE:
            for names, each in zip(self._dimensions, given, strict=True):
                sizes |= {name: size for name, size in zip(names, each.shape, strict=True) if name}
        key = tuple(sorted(sizes.items()))
        # A caller whose session another thread is making waits.
        with self._lock:
            session = self._sessions.pop(key, None) or self._make(sizes)
            self._sessions[key] = session
            if len(self._sessions) > CACHE_SIZE:
                self._sessions.popitem(last=False)
            return session

    def _make(self, sizes: dict[str, int]) -> ort.InferenceSession:
        options = ort.SessionOptions()
        # A number of threads of our own, because ONNX Runtime pins those of its choice to cores.
        options.intra_op_num_threads = cores()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Patterns are remembered for every size that was met, and DirectML cannot use them.
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        for name, size in sizes.items():
            options.add_free_dimension_override_by_name(name, size)
        wanted = providers(self._device)
        session = ort.InferenceSession(self._model, options, providers=wanted)
        if session.get_providers()[0] != wanted[0][0]:
            raise UsageError(
                f"--device {self._device}: {wanted[0][0]} cannot be started here (libraries or driver missing?); "
                "use --device cpu"
            )
        session.disable_fallback()
        return session


def build(net: nn.Module, inputs: Sequence[Tensor], device: str) -> Engine:
    """Write the network as an ONNX graph, which one session runs at every size on the CPU, CUDA and DirectML."""
    check_device(device)
    return _Network(net, inputs, device)
