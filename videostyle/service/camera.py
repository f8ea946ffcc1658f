"""A browser's camera: one JPEG in, one stylized and stabilized JPEG out, in a process that keeps the state between."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import torch

from videostyle.engines import choose_device, choose_engine, tensor_device
from videostyle.errors import UsageError
from videostyle.ops.pixels import resize, to_float, to_pixels
from videostyle.pipeline import fit
from videostyle.plan import RenderPlan
from videostyle.service.stills import as_jpeg
from videostyle.step import Step
from videostyle.stylizers import load_stylizer

LINES = "240"
"""Short side, in pixels, at which camera pictures are stylized, unless the plan says otherwise."""
_CAMERAS = 4
"""Cameras whose state is kept; with one more, the one that has been idle for longest begins anew."""
_LARGEST = 4_000_000
"""Pixels of a camera's picture."""


@dataclass(frozen=True, slots=True)
class CameraPicture:
    """One picture of the camera `session`, as a JPEG."""

    session: str
    jpeg: bytes
    plan: RenderPlan


class Camera:
    """Stylizes the pictures of one browser's camera, which come one by one, whenever the browser has one."""

    def __init__(self, plan: RenderPlan) -> None:
        """Load the stylizer and the stabilizer of `plan`, whose source, output and span are ignored."""
        self.plan = plan
        device = choose_device(plan.device, plan.engine)
        engine = choose_engine(plan.engine, device)
        self._device = tensor_device(engine, device)
        stylizer = load_stylizer(plan.style, engine, device)
        self._step = Step(stylizer, replace(plan.stabilize, mode="causal"), plan.flow, self._device, plan.style.seed)
        self._began = time.monotonic()

    def __call__(self, picture: np.ndarray) -> torch.Tensor:
        """Stylize an (H, W, 3) uint8 RGB picture; the result (3, H, W) has the size at which it is stylized."""
        content = to_float(torch.from_numpy(picture).permute(2, 0, 1), self._device)
        height, width = picture.shape[:2]
        wide, tall = fit(self.plan.size or LINES, width, height)
        content = resize(content, (tall, wide))
        # A camera has no cuts; the stabilizer detects a change of size by itself.
        moment = self._step.moment(content, Fraction(time.monotonic() - self._began), False)
        layers, motion = self._step.stylize(content, moment, jumps=moment.motion is None)
        return to_pixels(self._step.blend(layers, motion)[0])


_cameras: OrderedDict[str, Camera] = OrderedDict()


def paint_picture_of_camera(task: CameraPicture) -> dict[str, Any]:
    """Return the painted picture as a JPEG, with its size; raises UsageError, WeightsError."""
    picture = cv2.imdecode(np.frombuffer(task.jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    if picture is None or picture.shape[0] * picture.shape[1] > _LARGEST:
        raise UsageError("that is no picture of a camera")
    camera = _cameras.pop(task.session, None)
    if camera is None or camera.plan != task.plan:
        camera = Camera(task.plan)
    _cameras[task.session] = camera
    while len(_cameras) > _CAMERAS:
        _cameras.popitem(last=False)
    painted = camera(picture)
    return {"jpeg": as_jpeg(painted), "width": painted.shape[2], "height": painted.shape[1]}
