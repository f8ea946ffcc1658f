"""Confidence masks of optical flow: where the previous output may be used again. They are computed on the film."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from videostyle.ops.filters import box, enlarge, erode, shrink
from videostyle.ops.warp import resize_flow, warp
from videostyle.types import Flow

# Colour difference, in 0..1, of a frame and the warped frame before it in the same light at which the confidence falls
# to 1/e. Film grain and compression differ by 0.01 to 0.03. With more, all is steadier, and small things that move
# smear and trail.
DIFFERENCE = 0.075
# The same for the difference that a change of exposure itself makes. The stylized frame may follow the light, and what
# is blended in is as light as it was. For a style that follows, more of it keeps flashes in their frame and fades in
# time (0.5 s: behind by 1.4 frames instead of 1.9); for one that does not, less of it leaves less flicker (exposure
# swinging by 8 %: 0.10 of it is left, 0.08 if all were forgiven, 0.13 if nothing were).
LIGHT = 0.13
# A channel darker or lighter than this does not tell how much light there is: noise, clipping.
DARK, BRIGHT = 0.1, 0.95
# Greatest change of exposure from frame to frame that counts as one, as a factor of coded values: 1.3 stops.
MOST_GAIN = 1.5


def motion_confidence(flow: Flow, content: Tensor, previous: Tensor) -> Tensor:
    """Compute the confidence mask of `flow`, (N, 1, H, W) in 0..1 at the flow's size.

    The mask is the forward-backward confidence of the flow times the photometric similarity of the frame (`content`,
    (N, 3, h, w) in 0..1, may be smaller than the flow) and the warped frame before it (`previous`, of the same shape).
    The similarity forgives a change of exposure common to the picture, the more the smaller it is. An erosion removes
    narrow islands and a blur feathers the edges, so that no border shows where new and blended pixels meet.
    """
    h, w = content.shape[-2:]
    warped = warp(previous, resize_flow(flow.vectors, (h, w)))
    consistent = shrink(flow.confidence, (h, w))
    exposed = warped * exposure_gain(content, warped, consistent)
    difference = box((content - exposed).abs().mean(1, keepdim=True), 1) / DIFFERENCE
    light = (exposed - warped).mean(1, keepdim=True) / LIGHT
    similarity = torch.exp(-difference.square() - light.square())
    height, width = flow.confidence.shape[-2:]
    return enlarge(box(erode(consistent * similarity, 1), 1), (height, width))


def exposure_gain(content: Tensor, warped: Tensor, confidence: Tensor) -> Tensor:
    """Estimate the exposure gain of each channel, (N, 3, 1, 1), a factor within `MOST_GAIN`; 1 where nothing tells.

    `content` and `warped` are (N, 3, h, w) in 0..1, `confidence` is (N, 1, h, w) in 0..1. The gain is the median of the
    ratios, so that a large object that comes into view is not taken for light. Exposure is a factor in linear light;
    coded values are near enough a power of it, so it is a factor (another one) of these too, and nothing has to be
    made linear.
    """
    # A sixteenth of the pixels will do.
    now, before, known = (picture[:, :, ::4, ::4] for picture in (content, warped, confidence))
    exposed = (torch.minimum(now, before) > DARK) & (torch.maximum(now, before) < BRIGHT) & (known > 0.5)
    ratios = torch.where(exposed, now / before.clamp(min=DARK), math.nan)
    gain = ratios.flatten(2).nanmedian(dim=2).values.nan_to_num(1.0)
    return gain.clamp(1 / MOST_GAIN, MOST_GAIN)[..., None, None]
