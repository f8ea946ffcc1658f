"""Nothing is reported to anybody: what packages that videostyle uses would send by default is turned off here.

Every module that imports one of them calls `report_nothing` before.

* OpenVINO's converter sends each use of it to an analytics host, keeps an id in the home folder and starts a process
  for each message (openvino_telemetry). Without that package it does none of this.
* Gradio sends which components a page has, and looks for a newer version of itself.
* The Hugging Face client, which Gradio brings, names its user to its host.
* Ray collects how a cluster is used and sends it once an hour.

Of the others (torch, torchvision, OpenCV, PyAV, Optuna, TensorBoard, matplotlib, PySceneDetect, LPIPS) none sends
anything unless it is asked to download weights.
"""

from __future__ import annotations

import os
import sys

_OFF = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "DO_NOT_TRACK": "1",
}


def report_nothing() -> None:
    """Turn it off for this process and those it starts; to be called before the packages are imported."""
    os.environ.update(_OFF)
    # An import of what is None here fails, and the converter goes on without.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
