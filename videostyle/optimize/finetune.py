"""Fine-tuning of a style network on the painted keyframes of one film, for the parts that no keyframe reaches.

This is few-shot training on pairs of frame and painting after Texler et al. 2020 (Interactive video stylization using
few-shot patch-based training). Theirs begins with random weights; ours with a trained style network and the nearest
style of the gallery. The tuned network stylizes any frame, in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from videostyle import interrupt, weights
from videostyle.nets.vgg import has_bf16
from videostyle.noise import initial_recurrent_input
from videostyle.ops import losses
from videostyle.ops.losses import random_motion
from videostyle.ops.warp import warp
from videostyle.progress import OnProgress, Progress, ignore

# Side of the crops, in pixels: they are normalised by their own statistics, so small ones would differ from the whole.
CROP = 256
# Weights of the mean absolute difference, of the features' and of the Gram matrices' distance.
PIXELS, FEATURES, GRAMS = 4.0, 0.5, 0.3
_FEATURE_LAYER = "relu3_1"
_GRAM_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
_LR, _CODE_LR, _WARMUP = 1e-3, 1e-2, 10

Pair = tuple[Tensor, Tensor]
"""A frame and its painted keyframe, both (1, 3, H, W) in 0..1."""


def nearest_style(pairs: Sequence[Pair], network: str, loss_network: str, loss_network_weights: Path | None) -> str:
    """Return the name of the gallery's style whose output is most like the painted keyframe, by Gram distance."""
    loss_net = weights.load_loss_network(loss_network, loss_network_weights)
    net = weights.load_network(network).net
    frame, painting = pairs[0]
    frame, painting = (_crop(picture, 0.5, 0.5, net.architecture.stride) for picture in (frame, painting))

    @torch.no_grad()
    def distance(entry: weights.GalleryEntry) -> float:
        painted = net(frame, weights.read_style(entry.file)[0])
        found, wanted = (loss_net(picture, _GRAM_LAYERS) for picture in (painted, painting))
        return sum(
            float(losses.gram_distance(losses.gram(found[layer]), losses.gram(wanted[layer]))) for layer in _GRAM_LAYERS
        )

    return min((entry for entry in weights.gallery() if entry.network == network), key=distance).name


def tune(
    pairs: Sequence[Pair],
    style: str,
    network: str,
    output: Path,
    steps: int,
    loss_network: str,
    loss_network_weights: Path | None,
    device: str = "cpu",
    on_progress: OnProgress = ignore,
) -> None:
    """Tune `network` and the code of `style` to the pairs; write the style file `output` and its network file."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    random = np.random.default_rng(0)
    shipped = weights.load_network(network)
    (entry,) = [entry for entry in weights.gallery() if (entry.name, entry.network) == (style, network)]
    net = shipped.net.to(device).train().requires_grad_(True)
    code = weights.read_style(entry.file)[0].to(device).requires_grad_()
    kind = torch.bfloat16 if has_bf16(device) else torch.float32
    loss_net = (
        weights.load_loss_network(loss_network, loss_network_weights)
        .to(device, kind)
        .to(memory_format=torch.channels_last)
    )
    optimizer = torch.optim.Adam([{"params": list(net.parameters()), "lr": _LR}, {"params": [code], "lr": _CODE_LR}])
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / _WARMUP, 1) * (1 - step / steps) ** 0.5
    )
    layers = tuple(dict.fromkeys((*_GRAM_LAYERS, _FEATURE_LAYER)))
    for step in range(steps):
        interrupt.check()
        frame, painting = pairs[int(torch.randint(len(pairs), (), generator=generator))]
        top, left, mirrored = torch.rand(3, generator=generator).tolist()
        frame, painting = (
            _crop(picture, top, left, net.architecture.stride).to(device) for picture in (frame, painting)
        )
        if mirrored < 0.5:
            frame, painting = frame.flip(3), painting.flip(3)
        # Both are warped by the same random flow: the painting must stay on things, wherever they go between keyframes.
        flow, _ = random_motion(1, frame.shape[2], frame.shape[3], generator)
        frame, painting = (warp(picture, flow.to(device), "bicubic").clamp(0, 1) for picture in (frame, painting))
        # With noise and an empty prior, as after a cut: the output should not depend on the noise.
        painted = net(frame, code, None, initial_recurrent_input(frame, random))
        found = loss_net(painted, layers)
        with torch.no_grad():
            wanted = loss_net(painting, layers)
        loss = PIXELS * (painted - painting).abs().mean()
        loss = loss + FEATURES * losses.content_distance(found[_FEATURE_LAYER], wanted[_FEATURE_LAYER]).sum()
        for layer in _GRAM_LAYERS:
            loss = loss + GRAMS * losses.gram_distance(losses.gram(found[layer]), losses.gram(wanted[layer])).sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*net.parameters(), code], 5.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            # The last value is the opacity, here 1: a painted keyframe covers the film completely.
            code[:, -1] = 1
        on_progress(Progress("tuning the network", step + 1, steps, "steps", latest=float(loss.detach())))
    digest = weights.save_network(weights.own_network(output), network, net, shipped.identity, {"tuned": style})
    weights.save_style(output, code, network, digest, {"name": output.stem, "tuned": style})


def _crop(picture: Tensor, top: float, left: float, multiple: int) -> Tensor:
    """Crop a part of at most CROP pixels a side; `top` and `left` in 0..1 place it within the possible range."""
    height, width = (min(CROP, side) // multiple * multiple for side in picture.shape[2:])
    y, x = round(top * (picture.shape[2] - height)), round(left * (picture.shape[3] - width))
    return picture[:, :, y : y + height, x : x + width]
