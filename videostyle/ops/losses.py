"""Loss terms: pure functions of feature maps and pictures.

Feature maps are (N, C, H, W), Gram matrices (N, C, C). Every distance is divided by the energy of its target, so that
layers, style images and loss networks of any scale have the same weight, and 1 is the distance of a black picture.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def gram(features: Tensor) -> Tensor:
    """Compute the Gram matrices (N, C, C) of feature maps: the mean over positions of products of every two channels.

    Gatys, Ecker and Bethge 2016; theirs is a sum over positions, while a mean does not depend on the picture's size.
    """
    n, c, h, w = features.shape
    # In channels_last, as loss networks compute them, this copies nothing.
    return at_least_float(_Products.apply(features.permute(0, 2, 3, 1).reshape(n, h * w, c))) / (h * w)


class _Products(torch.autograd.Function):
    """P^T P of positions (N, P, C) with one product in the gradient; torch would compute two, one for each factor."""

    @staticmethod
    def forward(ctx: Any, positions: Tensor) -> Tensor:
        ctx.save_for_backward(positions)
        return positions.transpose(1, 2) @ positions

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (positions,) = ctx.saved_tensors
        return (positions.to(gradient.dtype) @ (gradient + gradient.transpose(1, 2))).to(positions.dtype)


def at_least_float(tensor: Tensor) -> Tensor:
    """Convert half precision to float32; return any other tensor unchanged."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def gram_distance(stylized: Tensor, style: Tensor) -> Tensor:
    """Compute the Gram distance of each picture, the squared distance over the style's energy: (N,)."""
    return ((stylized - style) ** 2).sum((1, 2)) / (style**2).sum((1, 2))


def quadrant_grams(features: Tensor) -> list[Tensor]:
    """Compute the Gram matrices (N, C, C) of the quadrants of feature maps (N, C, H, W); an odd row or column is cut.

    Used beside the whole, they prevent a busy corner from making up for an empty sky (cf. the local statistics of Gatys
    et al. 2017, Controlling Perceptual Factors).
    """
    h, w = features.shape[2] // 2, features.shape[3] // 2
    return [gram(features[:, :, y : y + h, x : x + w]) for y in (0, h) for x in (0, w)]


def content_distance(stylized: Tensor, content: Tensor, weight: Tensor | None = None) -> Tensor:
    """Compute the content distance of each picture, squared between feature maps, over the content's energy: (N,).

    Feature reconstruction loss after Johnson, Alahi and Fei-Fei 2016. `weight` (N, 1, H, W), of any size, holds the
    weight of each position.
    """
    target = at_least_float(content)
    squares = (at_least_float(stylized) - target) ** 2
    if weight is not None:
        squares = squares * F.adaptive_avg_pool2d(weight, (content.shape[2], content.shape[3]))
    return squares.mean((1, 2, 3)) / (target**2).mean((1, 2, 3)).clamp(min=1e-6)


def edge_weight(picture: Tensor, least: float) -> Tensor:
    """Compute the content weight of each position, (N, 1, H / 8, W / 8): `least` in flat areas, 1 beside edges.

    Contours and faces have to remain, skies and walls are free for strokes. An edge is a difference of 0.08 in
    brightness over two pixels, the greatest within 12.
    """
    brightness = F.avg_pool2d(picture.mean(1, keepdim=True), 3, 1, 1, count_include_pad=False)
    across = (brightness[..., :, 2:] - brightness[..., :, :-2]).abs()[..., 1:-1, :]
    down = (brightness[..., 2:, :] - brightness[..., :-2, :]).abs()[..., :, 1:-1]
    greatest = F.max_pool2d(F.pad(across + down, (1,) * 4), 24, 8, 8)
    return least + (1 - least) * (greatest / 0.08).clamp(max=1)


def total_variation(picture: Tensor) -> Tensor:
    """Compute the mean absolute difference of neighbouring pixels: (N,). Rudin, Osher and Fatemi 1992."""
    across = (picture[..., :, 1:] - picture[..., :, :-1]).abs().mean((1, 2, 3))
    down = (picture[..., 1:, :] - picture[..., :-1, :]).abs().mean((1, 2, 3))
    return across + down


def grid_energy(picture: Tensor) -> Tensor:
    """Measure the energy of patterns that repeat every 2 or 4 pixels in pictures (N, 3, H, W): (N,).

    Strokes have every direction and average out over squares of 16 pixels once multiplied by such a pattern; a grid
    that up-sampling draws keeps its phase and does not. Ours; cf. the spectra of Durall, Keuper and Keuper 2020.
    """
    h, w = picture.shape[-2:]
    energy = picture.new_zeros(len(picture))
    for period, phases in ((2, ((1, -1),)), (4, ((1, 0, -1, 0), (0, 1, 0, -1)))):
        for phase in phases:
            wave = picture.new_tensor(phase)
            across, down = wave.repeat(-(-w // period))[:w], wave.repeat(-(-h // period))[:h, None]
            for pattern in (across, down, across * down):
                energy = energy + F.avg_pool2d(picture * pattern, 16).abs().mean((1, 2, 3))
    return energy


def temporal_distance(warped: Tensor, output: Tensor, valid: Tensor) -> Tensor:
    """Compute the mean absolute difference of `output` and the `warped` output of another frame: (N,).

    `valid` (N, 1, H, W) is 1 where the flow holds. The loss is used on pairs of frames with estimated flow after Huang
    et al. 2017, and on single photographs moved at random after Wang et al. 2020 (ReReVST, compound regularisation),
    which needs no films, no estimate and has no occlusion.
    """
    difference = (warped - output).abs().mean(1, keepdim=True)
    return (difference * valid).sum((1, 2, 3)) / valid.sum((1, 2, 3)).clamp(min=1)


def fidelity_distance(stylized: Tensor, photograph: Tensor) -> Tensor:
    """Compute the L1 distance of each stylized picture to its photograph: (N,). After Isola et al. 2017."""
    return (stylized - photograph).abs().mean((1, 2, 3))


def random_motion(
    count: int, height: int, width: int, generator: torch.Generator, *, scale: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Draw a smooth random flow (N, 2, H, W) in pixels, and its mask (N, 1, H, W): 1 where it points inside, else 0.

    The flow is the sum of a bicubic surface through 4x4 random values (3 px), a shift (4 px), a rotation (0.02 rad) and
    a zoom (3 %), all normal, like the motion of a hand-held camera and of things from one frame to the next. `scale`
    multiplies all.
    """

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator) * scale

    flow = F.interpolate(3 * normal(count, 2, 4, 4), (height, width), mode="bicubic", align_corners=True)
    y, x = torch.meshgrid(torch.arange(height) - height / 2, torch.arange(width) - width / 2, indexing="ij")
    position = torch.stack((x, y)).expand(count, 2, height, width)
    turned = torch.stack((-y, x)).expand(count, 2, height, width)
    flow = flow + 4 * normal(count, 2, 1, 1) + 0.02 * normal(count, 1, 1, 1) * turned
    flow = flow + 0.03 * normal(count, 1, 1, 1) * position
    at = position + flow + torch.tensor([width / 2, height / 2]).view(1, 2, 1, 1)
    last = torch.tensor([width - 1, height - 1]).view(1, 2, 1, 1)
    valid = ((at >= 0) & (at <= last)).all(1, keepdim=True)
    return flow, valid.float()
