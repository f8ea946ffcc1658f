"""Ways to run a network: one module an engine, each with `build(network, device) -> Engine`.

An engine paints `content` (N, 3, H, W) float in 0..1, sides multiples of the network's stride, by `code`
(1, code_size), into the same shape and range, on the device where content is. Engines that compute in half precision
agree with float32 torch to 0.003 on average and 0.03 at all but one value in ten thousand.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from videostyle.errors import MissingDependencyError, UsageError
from videostyle.plugins import load

if TYPE_CHECKING:
    from torch import Tensor

    from videostyle.weights import Network

Engine = Callable[["Tensor", "Tensor"], "Tensor"]


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
    """The engine that `auto` means on `device`: OpenVINO on a CPU if it is installed, torch otherwise."""
    if engine == "auto":
        return "openvino" if device == "cpu" and importlib.util.find_spec("openvino") else "torch"
    if engine == "openvino" and device != "cpu":
        raise UsageError(f"the openvino engine runs on the CPU, not on {device}; use --engine torch")
    return engine


def load_engine(engine: str, network: Network, device: str) -> Engine:
    """Build an engine by name; raises UnknownNameError, or MissingDependencyError saying what to install."""
    try:
        loaded: Engine = load(sys.modules[__name__], engine)(network, device)
    except ImportError as error:
        raise MissingDependencyError(f"the {engine} engine needs {error.name}: pip install {error.name}") from error
    return loaded
