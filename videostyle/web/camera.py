"""The browser's camera: one picture in, one painted picture out, steadied by those before it."""

from __future__ import annotations

import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch

from videostyle.engines import choose_device, choose_engine
from videostyle.moments import Moments
from videostyle.ops.pixels import resize, to_float, to_pixels
from videostyle.pipeline import fit
from videostyle.plan import RenderPlan
from videostyle.stabilize import load_stabilizer
from videostyle.stylizers import load_stylizer

# The short side at which what the camera sees is painted, unless the plan says otherwise.
_SIZE = "240"


class Camera:
    """Paints what one browser's camera sees; pictures come one by one, whenever the browser has one."""

    def __init__(self, plan: RenderPlan) -> None:
        """`plan` says how; the whole film's source, output and part are of no account."""
        self.plan = plan
        self._device = choose_device(plan.device)
        self._paint = load_stylizer(plan.style, choose_engine(plan.engine, self._device), self._device)
        self._steady = load_stabilizer(replace(plan.stabilize, mode="causal"), plan.flow, self._device)
        self._moments = Moments(
            self._paint,
            self._steady,
            plan.flow,
            self._device,
            steady=plan.stabilize.amount > 0,
            seed=plan.style.seed,
        )
        self._began = time.monotonic()

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """The painting of an (H, W, 3) uint8 RGB picture, of the size to paint at."""
        # Copied: Gradio's are read-only, of which torch warns.
        content = to_float(torch.from_numpy(picture.copy()).permute(2, 0, 1), self._device)
        height, width = picture.shape[:2]
        wide, tall = fit(self.plan.size or _SIZE, width, height)
        content = resize(content, (tall, wide))
        # A camera does not cut; when its size changes the stabiliser notices by itself.
        moment = self._moments(content, Fraction(time.monotonic() - self._began), False)
        fresh = self._paint(content, replace(moment, is_cut=moment.motion is None))
        ((_, painted),) = self._steady.stabilize([(None, fresh, moment.motion)])
        return to_pixels(painted[0]).permute(1, 2, 0).contiguous().numpy()
