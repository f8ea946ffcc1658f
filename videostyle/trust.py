"""Where what was painted before still applies: judged on the film, never on the painting."""

from __future__ import annotations

import torch
from torch import Tensor

from videostyle.ops.filters import box, enlarge, erode, shrink
from videostyle.ops.warp import resize_flow, warp
from videostyle.types import Flow

# Where film and moved film differ by this much (of 1.0) after a common change of exposure, trust falls to 1/e.
# Film grain and compression differ by 0.01 to 0.03, a ghost worth noticing by 0.1 and more.
DIFFERENCE = 0.1


def trust(flow: Flow, content: Tensor, previous: Tensor) -> Tensor:
    """Where what was painted before still applies, (N, 1, H, W) in 0..1 at the flow's size.

    The flow's own confidence times the likeness of the film (`content`, (N, 3, h, w), may be smaller) and the film
    before, moved. A change of exposure common to the picture is forgiven. Narrow trusted islands are given up and
    the edges feathered, so that nothing shows where fresh and carried-over paint meet.
    """
    h, w = content.shape[-2:]
    difference = content - warp(previous, resize_flow(flow.backward, (h, w)))
    known = shrink(flow.confidence, (h, w))
    # The median, so that something large that came into view is not taken for light; a sixteenth of the pixels will do.
    exposure = difference[:, :, ::4, ::4].flatten(2).median(dim=2).values[..., None, None]
    unlike = box((difference - exposure).abs().mean(1, keepdim=True), 1)
    likeness = torch.exp(-(unlike / DIFFERENCE).square())
    height, width = flow.confidence.shape[-2:]
    return enlarge(box(erode(known * likeness, 1), 1), (height, width))
