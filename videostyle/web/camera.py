"""The browser's camera: one picture in, one stylized and stabilized picture out."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from videostyle.engines import choose_device, choose_engine, tensor_device
from videostyle.errors import UsageError
from videostyle.hosting.limits import LARGEST
from videostyle.metrics.report import data_uri
from videostyle.ops.pixels import resize, to_float, to_pixels
from videostyle.pipeline import fit
from videostyle.plan import RenderPlan
from videostyle.step import Step
from videostyle.stylizers import load_stylizer
from videostyle.web.controls import checked_look
from videostyle.web.jobs import visitor

# Short side, in pixels, at which camera pictures are stylized, unless the plan says otherwise.
_SIZE = "240"
# Visitors with a camera at most; for one more, the camera that has been idle for longest begins anew.
_CAMERAS = 16


class Camera:
    """Stylizes the pictures of one browser's camera, which come one by one, whenever the browser has one."""

    def __init__(self, plan: RenderPlan) -> None:
        """Load the stylizer and the stabilizer of `plan`, whose source, output and span are ignored."""
        self.plan = plan
        device = choose_device(plan.device, plan.engine)
        engine = choose_engine(plan.engine, device)
        self._device = tensor_device(engine, device)
        stylizer = load_stylizer(plan.style, engine, device)
        stabilize = replace(plan.stabilize, mode="causal")
        self._step = Step(stylizer, stabilize, plan.flow, self._device, plan.style.seed)
        self._began = time.monotonic()

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """Stylize an (H, W, 3) uint8 RGB picture; the result has the size at which it is stylized."""
        # Copied, because Gradio's arrays are read-only, of which torch warns.
        content = to_float(torch.from_numpy(picture.copy()).permute(2, 0, 1), self._device)
        height, width = picture.shape[:2]
        wide, tall = fit(self.plan.size or _SIZE, width, height)
        content = resize(content, (tall, wide))
        # A camera has no cuts; the stabilizer detects a change of size by itself.
        moment = self._step.moment(content, Fraction(time.monotonic() - self._began), False)
        layers, motion = self._step.stylize(content, moment, jumps=moment.motion is None)
        return to_pixels(self._step.blend(layers, motion)[0]).permute(1, 2, 0).contiguous().numpy()


class CameraTab:
    """Cameras of the page's visitors."""

    def __init__(self, base: RenderPlan, is_painting: Callable[[str], bool] = lambda name: False) -> None:
        """Take the settings without a control from `base`; `is_painting` is that of `checked_look`."""
        self._base = base
        self._is_painting = is_painting
        self._cameras: OrderedDict[str, Camera] = OrderedDict()
        """Cameras by visitor, the last used last."""

    def see(self, picture: np.ndarray | None, *values: Any) -> str:
        """Stylize a picture of the visitor's camera for the values of the controls; return it as HTML."""
        plan = checked_look(self._base, values, self._is_painting)
        if picture is None:
            return ""
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.shape[0] * picture.shape[1] > LARGEST:
            raise UsageError("that is no picture of a camera")
        camera = self._cameras.pop(visitor.get(), None)
        if camera is None or camera.plan != plan:
            camera = Camera(plan)
        self._cameras[visitor.get()] = camera
        while len(self._cameras) > _CAMERAS:
            self._cameras.popitem(last=False)
        return f'<img class="live" src="{data_uri(camera(picture))}" alt="painted">'

    def leave(self, name: str) -> None:
        """Remove the camera of a visitor who has left."""
        self._cameras.pop(name, None)
