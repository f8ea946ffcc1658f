"""Nothing is reported to anybody: what packages that videostyle uses would send by default is turned off here.

Every module that imports one of them calls `report_nothing` before.

* OpenVINO's converter sends each use of it to an analytics host, keeps an id in the home folder and starts a process
  for each message (openvino_telemetry). Without that package it does none of this.
* Gradio sends which components a page has, and looks for a newer version of itself.
* The Hugging Face client, which Gradio brings, names its user to its host.
* Ray collects how a cluster is used and sends it once an hour. That is turned off; what is left is that a cluster, when
  it starts, asks the addresses at which clouds describe a machine to itself, which lead no further than the machine's
  own host, whether it is in one of them, and tells nobody. It does so without a proxy.

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


# Where a machine in a cloud is described to itself: no proxy has to do with that.
_OWN_HOST = ("169.254.169.254", "metadata.google.internal")


def report_nothing() -> None:
    """Turn it off for this process and those it starts; to be called before the packages are imported."""
    os.environ.update(_OFF)
    for name in ("no_proxy", "NO_PROXY"):
        direct = [host for host in os.environ.get(name, "").split(",") if host]
        if direct != ["*"]:
            os.environ[name] = ",".join(dict.fromkeys([*direct, *_OWN_HOST]))
    # An import of what is None here fails, and the converter goes on without.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
