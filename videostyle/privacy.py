"""Telemetry of the packages that videostyle uses, all of it turned off.

Every module that imports one of these packages calls `disable_telemetry` first.

* OpenVINO's converter sends each use of it to an analytics host, keeps an id in the home folder and starts a process
  for each message (openvino_telemetry). Without that package it does none of this.
* Gradio sends which components a page has, and looks for a newer version of itself.
* The Hugging Face client, which Gradio installs, names its user to its host.
* Ray collects usage statistics of a cluster and sends them once an hour. That is turned off. One request is left: a
  starting cluster asks the metadata addresses of clouds whether the machine is in one of them. These addresses lead no
  further than the machine's own host; the request uses no proxy, and the answer is not sent anywhere.
* ONNX Runtime sends events on Windows; the engine turns them off where it imports it.

The other packages (torch, torchvision, OpenCV, PyAV, Optuna, TensorBoard, matplotlib, PySceneDetect, LPIPS) send
no data unless they are asked to download weights.
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


# Addresses of the metadata service of clouds, which are asked without a proxy.
_METADATA_HOSTS = ("169.254.169.254", "metadata.google.internal")


def disable_telemetry() -> None:
    """Turn telemetry off for this process and those it starts; call it before the packages are imported."""
    os.environ.update(_OFF)
    for name in ("no_proxy", "NO_PROXY"):
        direct = [host for host in os.environ.get(name, "").split(",") if host]
        if direct != ["*"]:
            os.environ[name] = ",".join(dict.fromkeys([*direct, *_METADATA_HOSTS]))
    # With None as its entry the import of the package fails, and the converter works without it.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
