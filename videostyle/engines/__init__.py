"""Ways to run a network: one module an engine, each with `build(net, inputs, device) -> Engine`.

An engine runs a module from tensors to one or several tensors; `net` is a folded `StyleNetwork` in a `FrameNorm` or
`RunningNorm`.
Pictures are (N, 3, H, W) float in 0..1 with sides that are multiples of the network's stride; what is painted has the
same shape and range and is on the device where they are. `inputs` are examples, for engines that trace: the number of
inputs, their dimensions and their channels stay, N, H and W may change from call to call. Engines that compute in half
precision agree with float32 torch to 0.006 on average and 0.08 at all but one value in ten thousand, on pictures of one
colour too. An engine may be called from several threads at a time.

A module may declare DEVICES, a tuple of "cpu" and "cuda" (both, unless declared); RANK, a number (0): of the installed
engines that run on a device, auto is the one with the highest; and OWN_THREADS, True where the engine keeps all cores
busy with threads of its own, beside which torch and OpenCV had better compute in one (False).
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

# Engines that are kept for the next call or visitor who paints with the same network, the last used last. The shipped
# networks need two each at most; a few megabytes an engine.
KEPT = 6
_kept: OrderedDict[tuple[Any, ...], Engine] = OrderedDict()
_lock = Lock()


def choose_device(device: str) -> str:
    """The device that `auto`, `cpu`, `cuda` or `cuda:N` means here; raises UsageError if there is no such one."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    name, _, number = device.partition(":")
    if name not in ("cpu", "cuda") or (number and not number.isdigit()):
        raise UsageError(f"no device {device!r}; choose from: auto, cpu, cuda, cuda:N")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device is available to torch here; use --device cpu")
    if number and int(number) >= torch.cuda.device_count():
        raise UsageError(f"there are {torch.cuda.device_count()} CUDA devices, numbered from 0; got {device}")
    return device


def choose_engine(engine: str, device: str) -> str:
    """The engine that `auto` means on `device`, or the one that is named.

    Raises UnknownNameError, UsageError where it does not run on the device, or MissingDependencyError.
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
    """The kinds of devices that an engine runs on; raises UnknownNameError or MissingDependencyError."""
    return getattr(_module(engine), "DEVICES", ("cpu", "cuda"))


def has_own_threads(engine: str) -> bool:
    """True for an engine that keeps all cores busy by itself."""
    return getattr(_module(engine), "OWN_THREADS", False)


def _rank(engine: str, kind: str) -> float:
    """How much an engine is to be preferred on a kind of device; -1 where it does not run or is not installed."""
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
    """An engine by name; raises UnknownNameError, or MissingDependencyError saying what to install.

    It paints `content` (N, 3, H, W) by `code` (N, code_size). With `running_norm` it is also given the statistics to
    normalise by and their weight, and gives those it used: see `videostyle.nets.running_norm`. A recurrent network is
    given `carried` (N, CARRIED_CHANNELS, H, W) last. The engines used last are kept, so the same one may be returned to
    several callers.
    """
    build = _module(engine).build
    key = build, network.sha256, device, running_norm
    # Whoever asks for what another is building waits for it.
    with _lock:
        found = _kept.pop(key, None) or _build(build, network, device, running_norm)
        _kept[key] = found
        if len(_kept) > KEPT:
            _kept.popitem(last=False)
        return found


def _build(build: Callable[..., Engine], network: Network, device: str, running_norm: bool) -> Engine:
    import torch

    from videostyle.nets.running_norm import FrameNorm, RunningNorm
    from videostyle.nets.style_network import CARRIED_CHANNELS

    net = network.net.folded()
    side = 4 * net.architecture.stride
    inputs = [torch.zeros(1, 3, side, side), network.identity]
    if running_norm:
        inputs += [torch.zeros(1, net.code_size - 1), torch.zeros(1, 1)]
    if net.architecture.recurrent:
        inputs.append(torch.zeros(1, CARRIED_CHANNELS, side, side))
    return build(RunningNorm(net) if running_norm else FrameNorm(net), inputs, device)
