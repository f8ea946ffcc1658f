"""State dicts of torchvision's networks: from a file, torch's cache or, if allowed, a download."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision.models import WeightsEnum

from videostyle.errors import WeightsError
from videostyle.files import read_regular_file
from videostyle.threads import silence_ffmpeg

silence_ffmpeg()  # importing torchvision may have switched FFmpeg's log on


def is_cached(weights: WeightsEnum) -> bool:
    """Return True if torchvision has downloaded these weights already."""
    return (Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name).exists()


def load_weights(net: nn.Module, name: str, weights: WeightsEnum, path: Path | None, download: bool, flag: str) -> None:
    """Load the state dict at `path`, or else torchvision's own, into `net`; `name` and `flag` are for messages.

    Raises WeightsError if it is missing, damaged or of another network, or would need a download that is not allowed.
    """
    source, state = _read(name, weights, path, download, flag)
    own = net.state_dict()
    if not isinstance(state, dict) or state.keys() != own.keys():
        raise WeightsError(f"{source} is not a state dict of torchvision's {name}")
    wrong = [key for key, value in own.items() if getattr(state[key], "shape", None) != value.shape]
    if wrong:
        raise WeightsError(f"{source} does not fit torchvision's {name}: {wrong[0]} has another shape")
    if not all(torch.isfinite(state[key]).all() for key in own):
        raise WeightsError(f"{source} is damaged: it holds values that are not finite")
    net.load_state_dict(state)


def _read(name: str, weights: WeightsEnum, path: Path | None, download: bool, flag: str) -> tuple[str, Any]:
    """Return the origin of the state dict, for messages, and the state dict."""
    if path is None:
        if not download and not is_cached(weights):
            raise WeightsError(
                f"{name} needs weights: give a state dict with {flag}, "
                f"or allow the download of {weights.url} with --download"
            )
        try:
            return weights.url, weights.get_state_dict(progress=False, check_hash=True)
        except (OSError, RuntimeError) as error:
            raise WeightsError(f"cannot download {weights.url}: {error}") from error
    try:
        return str(path), torch.load(io.BytesIO(read_regular_file(path)), map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsError(f"there are no weights of {name} at {path}") from error
    except Exception as error:  # torch.load raises whatever the unpickler met
        raise WeightsError(f"{path} is not a readable PyTorch state dict") from error
