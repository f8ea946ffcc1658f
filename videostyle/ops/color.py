"""Colour transfer between pictures: luminance-only stylization and colour matching."""

from __future__ import annotations

import torch
from torch import Tensor

# BT.709 luma, for R'G'B' as it comes from the film; the weights only have to be near what the eye sees.
_LUMA = (0.2126, 0.7152, 0.0722)


def keep_colors(stylized: Tensor, content: Tensor) -> Tensor:
    """Combine the luma of the stylized frame with the colours of the content: (N, 3, H, W) in 0..1 both.

    Luminance-only transfer (Gatys, Bethge, Hertzmann and Shechtman 2016), by adding the difference of luma to the
    content. Where that would leave 0..1, the hue is kept and the saturation reduced: nothing clips to a flat patch.
    """
    weights = stylized.new_tensor(_LUMA).view(1, 3, 1, 1)
    luma = (stylized * weights).sum(1, keepdim=True)
    chroma = content - (content * weights).sum(1, keepdim=True)
    top, bottom = chroma.amax(1, keepdim=True), chroma.amin(1, keepdim=True)
    room = (1 - luma) / top.clamp(min=1e-6)
    floor = luma / (-bottom).clamp(min=1e-6)
    return (luma + chroma * room.minimum(floor).clamp(0, 1)).clamp(0, 1)


def match_colors(picture: Tensor, to: Tensor) -> Tensor:
    """Give `picture` (1, 3, H, W) in 0..1 the mean and covariance of the colours of `to` (1, 3, h, w).

    Linear colour transfer, by symmetric square roots (Gatys, Bethge, Hertzmann and Shechtman 2016). Clamped to 0..1.
    """
    colors, wanted = picture[0].flatten(1).double(), to[0].flatten(1).double()
    mean, target = colors.mean(1, keepdim=True), wanted.mean(1, keepdim=True)
    matched = _root(torch.cov(wanted), 0.5) @ _root(torch.cov(colors), -0.5) @ (colors - mean) + target
    return matched.clamp(0, 1).to(picture.dtype).view_as(picture)


def _root(covariance: Tensor, power: float) -> Tensor:
    # A picture of one colour has no variance to transfer; a floor of one squared grey level keeps the result finite.
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=1 / 255**2) ** power) @ vectors.T
