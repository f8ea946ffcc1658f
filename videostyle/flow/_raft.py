"""RAFT (Teed and Deng 2020) from torchvision, for `raft` and `raft-large`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import WeightsEnum
from torchvision.models.optical_flow import Raft_Small_Weights

from videostyle.errors import WeightsError
from videostyle.ops.filters import enlarge, shrink
from videostyle.ops.pixels import pad_to_multiple
from videostyle.ops.warp import confidence, resize_flow
from videostyle.plan import FlowOptions
from videostyle.types import Flow

# Below 128 px RAFT's coarsest correlation level is empty and the flow NaN (pytorch/vision#7338); its features are
# an eighth of the picture's size (#8848).
MULTIPLE, MINIMUM = 8, 128
UPDATES = 12


class Raft:
    """Both directions in one batch on bounded pictures; the disagreement of the two is the confidence."""

    def __init__(self, net: nn.Module, longest_side: int, device: str, updates: int = UPDATES) -> None:
        self._net = net.eval().requires_grad_(False).to(device)
        self._longest_side = longest_side
        self._updates = updates
        self._device = torch.device(device)

    @torch.inference_mode()
    def __call__(self, current: Tensor, previous: Tensor) -> Flow:
        h, w = current.shape[-2:]
        scale = min(self._longest_side / max(h, w), 1)
        height, width = max(round(h * scale), 1), max(round(w * scale), 1)
        now, before = (
            pad_to_multiple(shrink(picture.to(self._device), (height, width)), MULTIPLE, MINIMUM) * 2 - 1
            for picture in (current, previous)
        )
        # float16 halves the time on a GPU; on a CPU it is emulated.
        with torch.autocast(self._device.type, dtype=torch.float16, enabled=self._device.type == "cuda"):
            flows = self._net(torch.cat((now, before)), torch.cat((before, now)), num_flow_updates=self._updates)[-1]
        backward, forward = flows.float()[..., :height, :width].split(len(current))
        trust = confidence(backward, forward)
        return Flow(
            backward=resize_flow(backward, (h, w)).to(current.device),
            confidence=enlarge(trust, (h, w)).to(current.device),
        )


def weights_at_hand(options: FlowOptions) -> bool:
    """Whether RAFT-small can be loaded without asking the user for anything."""
    return options.weights is not None or options.allow_download or _cached(Raft_Small_Weights.C_T_V2).exists()


def load_raft(make: Callable[..., nn.Module], weights: WeightsEnum, options: FlowOptions, device: str) -> Raft:
    """RAFT as `make` builds it, with the state dict at `options.weights` or else torchvision's own.

    Raises WeightsError where they are missing, damaged or of another network, or would have to be downloaded
    without leave.
    """
    net = make(weights=None)
    source, state = _read(weights, options)
    own = net.state_dict()
    if not isinstance(state, dict) or state.keys() != own.keys():
        raise WeightsError(f"{source} is not a state dict of torchvision's {make.__name__}")
    wrong = [name for name, value in own.items() if getattr(state[name], "shape", None) != value.shape]
    if wrong:
        raise WeightsError(f"{source} does not fit torchvision's {make.__name__}: {wrong[0]} has another shape")
    net.load_state_dict(state)
    return Raft(net, options.longest_side, device)


def _read(weights: WeightsEnum, options: FlowOptions) -> tuple[str, Any]:
    """Where the state dict came from, for messages, and the state dict."""
    if options.weights is None:
        if not options.allow_download and not _cached(weights).exists():
            raise WeightsError(
                "RAFT needs weights: give a state dict with --flow-weights, "
                f"or allow the download of {weights.url} with --download"
            )
        try:
            return weights.url, weights.get_state_dict(progress=False, check_hash=True)
        except (OSError, RuntimeError) as error:
            raise WeightsError(f"cannot fetch {weights.url}: {error}") from error
    try:
        return str(options.weights), torch.load(options.weights, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsError(f"no RAFT weights at {options.weights}") from error
    except Exception as error:  # torch.load raises whatever the unpickler met
        raise WeightsError(f"{options.weights} is not a readable PyTorch state dict") from error


def _cached(weights: WeightsEnum) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
