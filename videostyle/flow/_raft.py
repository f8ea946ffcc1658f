"""RAFT flow estimator (Teed and Deng 2020) from torchvision, for `raft` and `raft-large`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import WeightsEnum
from torchvision.models.optical_flow import Raft_Small_Weights
from torchvision.models.optical_flow._utils import make_coords_grid, upsample_flow

from videostyle.flow._bidirectional import Bidirectional
from videostyle.ops.filters import shrink
from videostyle.ops.pixels import pad_to_multiple
from videostyle.plan import FlowOptions
from videostyle.torchvision_weights import is_cached, load_weights

# Below 128 px RAFT's coarsest correlation level is empty and the flow NaN (pytorch/vision#7338); its features are
# an eighth of the picture's size (#8848).
MULTIPLE, MINIMUM = 8, 128
UPDATES = 12


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Feature maps of RAFT's two encoders, (N, C, h / 8, w / 8) each."""

    features: Tensor
    context: Tensor


class Raft(Bidirectional):
    """Estimates both directions in one batch, on pictures of bounded size.

    If `previous` is the tensor that was `current` in the last call, its feature maps are used again. A warm start from
    the last flow does not pay (docs/notes/flow.md): with fewer updates it is as bad as a start from zero.
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
    """Estimate flows (2N, 2, h, w) float32 in pixels of the encoded pictures: backward, then forward.

    The result is the last flow of torchvision's own forward pass, in 0.84 of its time for RAFT-small and 0.73 for
    RAFT-large (one core, 256x144): torchvision encodes every picture anew for each direction, and enlarges the flow to
    full size after every update. `net` is torchvision's; its submodules are unknown to nn.Module's types.
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


def has_weights(options: FlowOptions) -> bool:
    """Return True if the weights of RAFT-small are given, cached or may be downloaded."""
    return options.weights is not None or options.allow_download or is_cached(Raft_Small_Weights.C_T_V2)


def load_raft(make: Callable[..., nn.Module], weights: WeightsEnum, options: FlowOptions, device: str) -> Raft:
    """Load RAFT as `make` builds it, with the state dict at `options.weights` or else torchvision's own.

    Raises WeightsError.
    """
    net = make(weights=None)
    load_weights(net, make.__name__, weights, options.weights, options.allow_download, "--flow-weights")
    return Raft(net, options.longest_side, device)
