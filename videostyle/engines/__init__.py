"""Engines: the runtimes of the style network, one module each, with `build(net, inputs, device) -> Engine`.

An engine runs a module from tensors to one or several tensors; `net` is a folded `StyleNetwork` in a `FrameNorm` or
`RunningNorm`. Pictures are (N, 3, H, W) float in 0..1 with sides that are multiples of the network's stride; the
stylized pictures have the same shape and range and are on the same device. `inputs` are examples, for engines that
trace: the number of inputs, their dimensions and their channels are fixed, N, H and W may change from call to call.
Engines that compute in half precision agree with float32 torch to 0.008 on average and 0.2 at all but one value in ten
thousand, on pictures of one colour too. An engine may be called from several threads at a time.

A module may declare, as literals:
- DEVICES: the kinds of devices it runs on, "cpu" and "cuda" by default; what it declares is what `--device` takes;
- RANK, 0 by default: "auto" is the installed engine of the highest rank among those that run on the device;
- OWN_THREADS, False by default: True if it keeps all cores busy with its own threads, so that torch and OpenCV should
  compute in one;
- HOST, False by default: True if it takes and returns tensors on the CPU, whatever its device.
It may have `check_device(device)`, which raises UsageError or MissingDependencyError for a device that is not there.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any

from videostyle.errors import MissingDependencyError, UnknownNameError, UsageError
from videostyle.plugins import available, declared, load_module
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


CUDA = ("cuda", "tensorrt")
"""Kinds of devices that are GPUs of NVIDIA, as CUDA_VISIBLE_DEVICES counts them."""


def devices() -> list[str]:
    """List the kinds of devices that the engines run on, "cpu" first; imports none of them."""
    found = {kind for name in available(sys.modules[__name__]) for kind in devices_of(name)}
    return sorted(found, key=lambda kind: (kind != "cpu", kind != "cuda", kind))


def devices_of(engine: str) -> tuple[str, ...]:
    """Return the kinds of devices that an engine runs on; raises UnknownNameError."""
    return _declared(engine, "DEVICES", ("cpu", "cuda"))


def choose_device(device: str, engine: str = "auto") -> str:
    """Return the device that `auto`, or a name such as `cpu` or `cuda:1`, means here.

    Raises UsageError if it does not exist or the named engine does not run on it, MissingDependencyError.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, colon, number = device.partition(":")
    if kind not in devices() or (colon and (not number.isdecimal() or kind == "cpu")):
        raise UsageError(f"there is no device {device!r}; choose from: auto, {', '.join(devices())}, cuda:N")
    if kind != "cpu":
        choose_engine(engine, device)
    return device


def choose_engine(engine: str, device: str) -> str:
    """Return the engine that `auto` means on `device`, or the named one.

    Raises UnknownNameError, UsageError if it does not run on the device, or MissingDependencyError.
    """
    kind = device.partition(":")[0]
    names = available(sys.modules[__name__])
    suitable = sorted((one for one in names if kind in devices_of(one)), key=lambda one: -_declared(one, "RANK", 0))
    if engine != "auto" and kind not in devices_of(engine):
        raise UsageError(
            f"the {engine} engine runs on {' and '.join(devices_of(engine))}, not on {device}; "
            f"engines for it: {', '.join(suitable) or 'none'}"
        )
    problems: list[UsageError | MissingDependencyError] = []
    for name in suitable if engine == "auto" else [engine]:
        try:
            check: Callable[[str], None] | None = getattr(_module(name), "check_device", None)
            if check is not None:
                check(device)
            return name
        except (UsageError, MissingDependencyError) as error:
            problems.append(error)
    # A problem of the device tells more than a package that is not installed.
    raise next((one for one in problems if isinstance(one, UsageError)), problems[0])


def tensor_device(engine: str, device: str) -> str:
    """Return the torch device of the tensors that `engine` takes and returns on `device`."""
    return "cpu" if _declared(engine, "HOST", False) else device


def has_own_threads(engine: str) -> bool:
    """Return True if the engine keeps all cores busy with its own threads."""
    return _declared(engine, "OWN_THREADS", False)


def _declared(engine: str, what: str, default: Any) -> Any:
    """Return what an engine's module declares, without importing it; raises UnknownNameError."""
    here = sys.modules[__name__]
    if engine not in available(here):
        raise UnknownNameError.among("engine", engine, available(here))
    return declared(here, engine).get(what, default)


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
