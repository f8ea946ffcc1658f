"""RAFT-small: accurate flow for a GPU; on a CPU it takes longer than the stylization."""

from __future__ import annotations

from torchvision.models.optical_flow import Raft_Small_Weights, raft_small

from videostyle.flow._raft import Raft, load_raft
from videostyle.plan import FlowOptions


def build(options: FlowOptions, device: str) -> Raft:
    """Load RAFT-small; raises WeightsError, see `load_raft`."""
    return load_raft(raft_small, Raft_Small_Weights.C_T_V2, options, device)
