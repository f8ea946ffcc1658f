"""Engines: the runtimes of the style network, one module each, with `build(net, inputs, device) -> Engine`.

An engine runs a module from tensors to one or several tensors; `net` is a folded `StyleNetwork` in a `FrameNorm` or
`RunningNorm`. Pictures are (N, 3, H, W) float in 0..1 with sides that are multiples of the network's stride; the
stylized pictures have the same shape and range and are on the same device. `inputs` are examples, for engines that
trace: the number of inputs, their dimensions and their channels are fixed, N, H and W may change from call to call.
Engines that compute in half precision agree with float32 torch to 0.006 on average and 0.08 at all but one value in ten
thousand, on pictures of one colour too. An engine may be called from several threads at a time.

A module may declare DEVICES, a tuple of "cpu" and "cuda" (default: both); RANK, a number (default: 0): "auto" is the
installed engine with the highest rank that runs on the device; and OWN_THREADS (default: False), True if the engine
keeps all cores busy with its own threads, so that torch and OpenCV should compute in one.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any

from videostyle.errors import MissingDependencyError, UsageError
from videostyle.plugins import available, load_module
from videostyle.privacy import disable_telemetry

if TYPE_CHECKING:
    from torch import Tensor

    from videostyle.weights import Network

Engine = Callable[..., tuple["Tensor", ...]]

disable_telemetry()

# Engines that are cached for the next call or visitor with the same network, in order of their last use. The shipped
# networks need at most two each; an engine takes a few megabytes.
CACHE_SIZE = 6
_cache: OrderedDict[tuple[Any, ...], Engine] = OrderedDict()
_lock = Lock()


def choose_device(device: str) -> str:
    """Return the device that `auto`, `cpu`, `cuda` or `cuda:N` means here; raises UsageError if it does not exist."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    name, _, number = device.partition(":")
    if name not in ("cpu", "cuda") or (number and not number.isdigit()):
        raise UsageError(f"there is no device {device!r}; choose from: auto, cpu, cuda, cuda:N")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device is available to torch here; use --device cpu")
    if number and int(number) >= torch.cuda.device_count():
        raise UsageError(f"there are {torch.cuda.device_count()} CUDA devices, numbered from 0; got {device}")
    return device


def choose_engine(engine: str, device: str) -> str:
    """Return the engine that `auto` means on `device`, or the named one.

    Raises UnknownNameError, UsageError if it does not run on the device, or MissingDependencyError.
    """
    kind = device.partition(":")[0]
    if engine == "auto":
        ranked = {name: _rank(name, kind) for name in available(sys.modules[__name__])}
        return max(ranked, key=lambda name: ranked[name])
    if kind not in devices_of(engine):
        others = [name for name in available(sys.modules[__name__]) if _rank(name, kind) > -1]
        raise UsageError(
            f"the {engine} engine runs on {' and '.join(devices_of(engine))}, not on {device}; "
            f"engines for it: {', '.join(others)}"
        )
    return engine


def devices_of(engine: str) -> tuple[str, ...]:
    """Return the kinds of devices that an engine runs on; raises UnknownNameError or MissingDependencyError."""
    return getattr(_module(engine), "DEVICES", ("cpu", "cuda"))


def has_own_threads(engine: str) -> bool:
    """Return True if the engine keeps all cores busy with its own threads."""
    return getattr(_module(engine), "OWN_THREADS", False)


def _rank(engine: str, kind: str) -> float:
    """Return the rank of an engine on a kind of device; -1 if it does not run there or is not installed."""
    try:
        return getattr(_module(engine), "RANK", 0) if kind in devices_of(engine) else -1
    except MissingDependencyError:
        return -1


def _module(engine: str) -> Any:
    try:
        return load_module(sys.modules[__name__], engine)
    except ImportError as error:
        raise MissingDependencyError(f"the {engine} engine needs {error.name}: pip install {error.name}") from error


def load_engine(engine: str, network: Network, device: str, running_norm: bool = False) -> Engine:
    """Load an engine by name; raises UnknownNameError, or MissingDependencyError with the package to install.

    The engine stylizes `content` (N, 3, H, W) by `code` (N, code_size). With `running_norm` it also takes the
    statistics to normalise by and their weight, and returns the statistics it used: see
    `videostyle.nets.running_norm`. A recurrent network takes `recurrent_input` (N, RECURRENT_CHANNELS, H, W) last. The
    engines used last are cached, so several callers may get the same one.
    """
    build = _module(engine).build
    key = build, network.sha256, device, running_norm
    # A caller that asks for an engine while another thread builds it waits.
    with _lock:
        found = _cache.pop(key, None) or _build(build, network, device, running_norm)
        _cache[key] = found
        if len(_cache) > CACHE_SIZE:
            _cache.popitem(last=False)
        return found


def _build(build: Callable[..., Engine], network: Network, device: str, running_norm: bool) -> Engine:
    import torch

    from videostyle.nets.running_norm import FrameNorm, RunningNorm
    from videostyle.nets.style_network import RECURRENT_CHANNELS

    net = network.net.folded()
    side = 4 * net.architecture.stride
    inputs = [torch.zeros(1, 3, side, side), network.identity]
    if running_norm:
        inputs += [torch.zeros(1, net.code_size - 1), torch.zeros(1, 1)]
    if net.architecture.recurrent:
        inputs.append(torch.zeros(1, RECURRENT_CHANNELS, side, side))
    return build(RunningNorm(net) if running_norm else FrameNorm(net), inputs, device)
