"""Optical flow estimators: one module each, with `build(options, device) -> TwoWayEstimator`."""

from __future__ import annotations

import sys

from videostyle.plan import FlowOptions
from videostyle.plugins import load
from videostyle.types import TwoWayEstimator


def choose_flow(options: FlowOptions, device: str) -> str:
    """Return the name of the estimator that `options.method` means on this device; only "auto" depends on it.

    "auto" is RAFT on a GPU if its weights are available or may be downloaded, DIS otherwise.
    """
    if options.method != "auto":
        return options.method
    if device == "cpu":
        return "dis"
    from videostyle.flow import _raft

    return "raft" if _raft.has_weights(options) else "dis"


def load_flow(options: FlowOptions, device: str) -> TwoWayEstimator:
    """Load the estimator that `choose_flow` returns.

    Raises UnknownNameError with the available names, WeightsError if its weights are missing or damaged.
    """
    estimator: TwoWayEstimator = load(sys.modules[__name__], choose_flow(options, device))(options, device)
    return estimator
