"""Where what was painted before still applies: judged on the film, never on the painting."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from videostyle.ops.filters import box, enlarge, erode, shrink
from videostyle.ops.warp import resize_flow, warp
from videostyle.types import Flow

# Where film and moved film differ by this much (of 1.0) in the same light, trust falls to 1/e. Film grain and
# compression differ by 0.01 to 0.03. With more, all is steadier, and small things that move smear and trail.
DIFFERENCE = 0.075
# The same for what the change of exposure itself does. A painting may follow the light, and what is carried over is as
# light as it was. Of a painting that does, more of it keeps flashes in their frame and fades in time (0.5 s: behind by
# 1.4 frames instead of 1.9); of one that does not, less of it leaves less flicker (exposure swinging by 8 %: 0.10 of
# it is left, 0.08 if all were forgiven, 0.13 if nothing were).
LIGHT = 0.13
# A channel darker or lighter than this does not tell how much light there is: noise, clipping.
DARK, BRIGHT = 0.1, 0.95
# Greatest change of exposure from frame to frame that counts as one, as a factor of coded values: 1.3 stops.
MOST_GAIN = 1.5


def trust(flow: Flow, content: Tensor, previous: Tensor) -> Tensor:
    """Where what was painted before still applies, (N, 1, H, W) in 0..1 at the flow's size.

    The flow's own confidence times the likeness of the film (`content`, (N, 3, h, w), may be smaller) and the film
    before, moved. A change of exposure common to the picture is forgiven, the more the smaller it is. Narrow
    trusted islands are given up and the edges feathered, so that nothing shows where fresh and carried-over paint meet.
    """
    h, w = content.shape[-2:]
    moved = warp(previous, resize_flow(flow.backward, (h, w)))
    known = shrink(flow.confidence, (h, w))
    lit = moved * exposure_gain(content, moved, known)
    unlike = box((content - lit).abs().mean(1, keepdim=True), 1) / DIFFERENCE
    lighter = (lit - moved).mean(1, keepdim=True) / LIGHT
    likeness = torch.exp(-unlike.square() - lighter.square())
    height, width = flow.confidence.shape[-2:]
    return enlarge(box(erode(known * likeness, 1), 1), (height, width))


def exposure_gain(content: Tensor, moved: Tensor, known: Tensor) -> Tensor:
    """How much lighter each channel became, (N, 3, 1, 1), a factor within `MOST_GAIN`; 1 where nothing tells.

    Pictures (N, 3, h, w) in 0..1 and where their motion is known, (N, 1, h, w). The median of the ratios, so that
    something large that came into view is not taken for light. Exposure is a factor in linear light, and with coded
    values near enough a power of it, it is a factor (another one) of these too: nothing has to be made linear.
    """
    # A sixteenth of the pixels will do.
    now, before, sure = (picture[:, :, ::4, ::4] for picture in (content, moved, known))
    exposed = (torch.minimum(now, before) > DARK) & (torch.maximum(now, before) < BRIGHT) & (sure > 0.5)
    ratios = torch.where(exposed, now / before.clamp(min=DARK), math.nan)
    gain = ratios.flatten(2).nanmedian(dim=2).values.nan_to_num(1.0)
    return gain.clamp(1 / MOST_GAIN, MOST_GAIN)[..., None, None]
