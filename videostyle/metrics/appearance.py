"""Appearance metrics, the possible cost of stabilization: detail, similarity, style distance and content distance.

A film can be made stable by blur, by freezing it and by a weaker stylization. Each is easy, and these metrics show it.
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
    """Compute the gradient energy of (N, C, H, W) in 0..1: the mean square of differences of neighbouring pixels.

    The energy of the Laplacian is in the finest detail, this energy is in larger forms too, in edges and contrast.
    """
    across = (picture[..., :, 1:] - picture[..., :, :-1]).square().mean()
    down = (picture[..., 1:, :] - picture[..., :-1, :]).square().mean()
    return (across + down).item()


def ssim(picture: Tensor, reference: Tensor) -> float:
    """Compute the structural similarity of the luma of two pictures (1, 3, H, W) in 0..1 (Wang et al. 2004).

    It is 1 for equal pictures.
    """

    def blurred(values: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(values, _WINDOW, _SIGMA)

    x, y = (luma(one)[0, 0].numpy(force=True) for one in (picture, reference))
    mean_x, mean_y = blurred(x), blurred(y)
    variances = blurred(x * x) - mean_x**2 + blurred(y * y) - mean_y**2
    covariance = blurred(x * y) - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    return float((similarity / ((mean_x**2 + mean_y**2 + _C1) * (variances + _C2))).mean())


class FeatureExtractor:
    """Extracts feature maps of a loss network from pictures scaled down to at most `side` pixels.

    Style and content distances of them are relative, as in `ops.losses`: 0 for equal pictures, 1 for a black picture.
    """

    def __init__(self, net: LossNetwork, side: int = 384) -> None:
        self._net = net
        self._side = side

    @torch.inference_mode()
    def __call__(self, picture: Tensor) -> dict[str, Tensor]:
        """Compute the feature maps of a picture (1, 3, H, W) in 0..1, for the functions below."""
        h, w = picture.shape[-2:]
        scale = min(self._side / max(h, w), 1)
        # The fifth stage has a sixteenth of the picture's size: it needs 16 px a side.
        size = max(round(h * scale), 16), max(round(w * scale), 16)
        return self._net(shrink(picture, size), (*STYLE_LAYERS, CONTENT_LAYER))


def style_distance(features: dict[str, Tensor], reference: dict[str, Tensor]) -> float:
    """Compute the Gram distance of two pictures from their feature maps: the mean over `STYLE_LAYERS`.

    After Gatys, Ecker and Bethge 2016. The reference is another stylization of the same frame, not the style image: the
    distance measures the style that stabilization removes, not the quality of the style.
    """
    distances = [gram_distance(gram(features[layer]), gram(reference[layer])) for layer in STYLE_LAYERS]
    return torch.stack(distances).mean().item()


def content_of(features: dict[str, Tensor], film: dict[str, Tensor]) -> float:
    """Compute the content distance of a stylized frame to the film from their feature maps."""
    return content_distance(features[CONTENT_LAYER], film[CONTENT_LAYER]).item()
