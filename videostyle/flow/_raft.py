"""RAFT (Teed and Deng 2020) from torchvision, for `raft` and `raft-large`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import WeightsEnum
from torchvision.models.optical_flow import Raft_Small_Weights
from torchvision.models.optical_flow._utils import make_coords_grid, upsample_flow

from videostyle.errors import WeightsError
from videostyle.flow._both import BothWays
from videostyle.ops.filters import shrink
from videostyle.ops.pixels import pad_to_multiple
from videostyle.plan import FlowOptions

# Below 128 px RAFT's coarsest correlation level is empty and the flow NaN (pytorch/vision#7338); its features are
# an eighth of the picture's size (#8848).
MULTIPLE, MINIMUM = 8, 128
UPDATES = 12


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """What RAFT's two encoders make of pictures, (N, C, h / 8, w / 8) each."""

    features: Tensor
    context: Tensor


class Raft(BothWays):
    """Both directions in one batch on bounded pictures.

    Where `previous` is the very tensor that was `current` in the last call, what was encoded of it then is not encoded
    again. Starting from the last flow does not pay (docs/FLOW.md): fewer updates are as bad from there as from none.
    """

    def __init__(self, net: nn.Module, longest_side: int, device: str, updates: int = UPDATES) -> None:
        self._net: Any = net.eval().requires_grad_(False).to(device)
        self._longest_side = longest_side
        self._updates = updates
        self._device = torch.device(device)
        self._seen: tuple[Tensor, Encoded] | None = None

    @torch.inference_mode()
    def _search(self, current: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        h, w = current.shape[-2:]
        scale = min(self._longest_side / max(h, w), 1)
        size = max(round(h * scale), 1), max(round(w * scale), 1)
        seen = self._seen
        # float16 halves the time on a GPU; on a CPU it is emulated.
        with torch.autocast(self._device.type, dtype=torch.float16, enabled=self._device.type == "cuda"):
            if seen is not None and seen[0] is previous and previous.shape == current.shape:
                before = seen[1]
            else:
                before = self._encode(previous, size)
            now = self._encode(current, size)
            flows = search(self._net, now, before, self._updates)
        self._seen = current, now
        backward, forward = flows[..., : size[0], : size[1]].chunk(2)
        return backward, forward

    def _encode(self, pictures: Tensor, size: tuple[int, int]) -> Encoded:
        padded = pad_to_multiple(shrink(pictures.to(self._device), size), MULTIPLE, MINIMUM) * 2 - 1
        return Encoded(self._net.feature_encoder(padded), self._net.context_encoder(padded))


def search(net: Any, now: Encoded, before: Encoded, updates: int) -> Tensor:
    """Flows (2N, 2, h, w) float32 in pixels of the encoded pictures: backward, then forward.

    The last flow of torchvision's own forward pass, in 0.84 of its time for RAFT-small and 0.73 for RAFT-large (one
    core, 256x144): that encodes every picture anew for each direction, and brings the flow to full size after every
    update. `net` is torchvision's, whose parts nn.Module's types do not know.
    """
    here, there = torch.cat((now.features, before.features)), torch.cat((before.features, now.features))
    net.corr_block.build_pyramid(here, there)
    outlook = torch.cat((now.context, before.context))
    width = net.update_block.hidden_state_size
    hidden, context = outlook[:, :width].tanh(), outlook[:, width:].relu()
    home = make_coords_grid(len(here), *here.shape[-2:]).to(here.device)
    flow = torch.zeros_like(home)
    for _ in range(updates):
        likeness = net.corr_block.index_pyramid(centroids_coords=home + flow)
        hidden, change = net.update_block(hidden, context, likeness, flow)
        flow = flow + change
    mask = None if net.mask_predictor is None else net.mask_predictor(hidden)
    return upsample_flow(flow=flow, up_mask=mask).float()


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
