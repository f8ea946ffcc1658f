"""Segmentation networks of torchvision, for `lraspp` and `deeplab`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import WeightsEnum

from videostyle.ops.filters import shrink
from videostyle.plan import SegmenterOptions
from videostyle.torchvision_weights import load_weights

# Longer side of the pictures that are segmented, in pixels; torchvision's evaluation uses 520 for the shorter one.
LONGEST_SIDE = 448
# Mean and deviation of ImageNet's pictures, which the networks expect to be normalised by.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class TorchvisionSegmenter:
    """Segments people by a network that was trained on the classes of Pascal VOC."""

    def __init__(self, net: nn.Module, person: int, device: str) -> None:
        """Use `net`, whose class number `person` is people."""
        self._net = net.eval().requires_grad_(False).to(device)
        self._person = person
        self._mean, self._deviation = (torch.tensor(row, device=device).view(1, 3, 1, 1) for row in (_MEAN, _DEVIATION))

    @torch.inference_mode()
    def __call__(self, content: Tensor) -> Tensor:
        """Return the probability of people (1, 1, h, w) in 0..1."""
        height, width = content.shape[-2:]
        scale = min(LONGEST_SIDE / max(height, width), 1)
        small = shrink(content, (max(round(height * scale), 1), max(round(width * scale), 1)))
        scores: Tensor = self._net((small - self._mean) / self._deviation)["out"]
        return scores.float().softmax(1)[:, self._person : self._person + 1]


def load_network(
    net: nn.Module, name: str, weights: WeightsEnum, options: SegmenterOptions, allow_download: bool, device: str
) -> TorchvisionSegmenter:
    """Load the state dict at `options.weights`, or else torchvision's own, into `net`; raises WeightsError."""
    load_weights(net, name, weights, options.weights, allow_download, "--segmenter-weights")
    classes: Any = weights.meta["categories"]
    return TorchvisionSegmenter(net, classes.index("person"), device)
