"""RAFT-large: a third less error than RAFT-small at four times its cost."""

from __future__ import annotations

from torchvision.models.optical_flow import Raft_Large_Weights, raft_large

from videostyle.flow._raft import Raft, load_raft
from videostyle.plan import FlowOptions


def build(options: FlowOptions, device: str) -> Raft:
    """Load RAFT-large; raises WeightsError, see `load_raft`."""
    return load_raft(raft_large, Raft_Large_Weights.C_T_SKHT_V2, options, device)
