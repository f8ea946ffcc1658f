"""Motion between two frames: one estimator per file, each with `build(options, device) -> TwoWayEstimator`."""

from __future__ import annotations

import sys

from videostyle.plan import FlowOptions
from videostyle.plugins import load
from videostyle.types import TwoWayEstimator


def choose_flow(options: FlowOptions, device: str) -> str:
    """The estimator that `options.method` means on this device; only "auto" depends on it.

    auto is RAFT on a GPU when its weights are at hand or may be downloaded, DIS otherwise.
    """
    if options.method != "auto":
        return options.method
    if device == "cpu":
        return "dis"
    from videostyle.flow import _raft

    return "raft" if _raft.weights_at_hand(options) else "dis"


def load_flow(options: FlowOptions, device: str) -> TwoWayEstimator:
    """The estimator `choose_flow` names, ready to call.

    Raises UnknownNameError naming the ones there are, WeightsError where its weights are missing or damaged.
    """
    estimator: TwoWayEstimator = load(sys.modules[__name__], choose_flow(options, device))(options, device)
    return estimator
