"""What steadiness may have cost: detail, likeness to the painting it was made from, style, and what is shown.

A film can be steadied by blurring it, by freezing it and by painting less. Each is cheap to do and shows here.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from videostyle.nets.vgg import LossNetwork
from videostyle.ops.filters import luma, shrink
from videostyle.ops.losses import content_distance, gram, gram_distance

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYER = "relu4_2"
# The constants of Wang et al. 2004.
_WINDOW, _SIGMA, _C1, _C2 = (11, 11), 1.5, 0.01**2, 0.03**2


def gradient_energy(picture: Tensor) -> float:
    """Mean square of the differences of neighbours, across and down, of (N, C, H, W) in 0..1: edges and contrast.

    The Laplacian's energy lies in the finest detail, this one's in larger forms too.
    """
    across = (picture[..., :, 1:] - picture[..., :, :-1]).square().mean()
    down = (picture[..., 1:, :] - picture[..., :-1, :]).square().mean()
    return (across + down).item()


def ssim(picture: Tensor, reference: Tensor) -> float:
    """Structural similarity of the brightness of two pictures (1, 3, H, W) in 0..1: 1 is the same. Wang et al. 2004."""

    def blurred(values: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(values, _WINDOW, _SIGMA)

    x, y = (luma(one)[0, 0].numpy(force=True) for one in (picture, reference))
    mean_x, mean_y = blurred(x), blurred(y)
    variances = blurred(x * x) - mean_x**2 + blurred(y * y) - mean_y**2
    covariance = blurred(x * y) - mean_x * mean_y
    likeness = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    return float((likeness / ((mean_x**2 + mean_y**2 + _C1) * (variances + _C2))).mean())


class Perception:
    """Style and content as a loss network sees them, on pictures scaled down to at most `side` pixels.

    Both are relative, as in `ops.losses`: 0 is the same, 1 is as far off as a black picture.
    """

    def __init__(self, net: LossNetwork, side: int = 384) -> None:
        self._net = net
        self._side = side

    @torch.inference_mode()
    def __call__(self, picture: Tensor) -> dict[str, Tensor]:
        """Feature maps of a picture (1, 3, H, W) in 0..1, for the functions below."""
        h, w = picture.shape[-2:]
        scale = min(self._side / max(h, w), 1)
        # The fifth stage sees a sixteenth of the picture: it needs 16 px a side.
        size = max(round(h * scale), 16), max(round(w * scale), 16)
        return self._net(shrink(picture, size), (*STYLE_LAYERS, CONTENT_LAYER))


def style_distance(features: dict[str, Tensor], reference: dict[str, Tensor]) -> float:
    """Of the Gram matrices of two pictures, from their feature maps: the mean over `STYLE_LAYERS`.

    After Gatys, Ecker and Bethge 2016. The target is another painting of the same frame, not the painting that the
    style was learned from: the distance says how much of the style steadying took away, not how good it was.
    """
    distances = [gram_distance(gram(features[layer]), gram(reference[layer])) for layer in STYLE_LAYERS]
    return torch.stack(distances).mean().item()


def content_of(features: dict[str, Tensor], film: dict[str, Tensor]) -> float:
    """How far what a painting shows is from what the film shows, from their feature maps."""
    return content_distance(features[CONTENT_LAYER], film[CONTENT_LAYER]).item()
