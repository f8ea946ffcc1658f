"""Person segmenters: one module each, with `build(options, allow_download, device) -> Segmenter`.

A segmenter maps a picture (1, 3, H, W) in 0..1 to the probability that a pixel shows a person: (1, 1, h, w) in 0..1, of
any size.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from videostyle.plan import SegmenterOptions
from videostyle.plugins import load

if TYPE_CHECKING:
    from torch import Tensor

Segmenter = Callable[["Tensor"], "Tensor"]


def load_segmenter(options: SegmenterOptions, allow_download: bool, device: str) -> Segmenter:
    """Load the segmenter that `options` names; `allow_download` lets torchvision download its weights.

    Raises UnknownNameError with the available names, WeightsError if its weights are missing or damaged.
    """
    segmenter: Segmenter = load(sys.modules[__name__], options.method)(options, allow_download, device)
    return segmenter
