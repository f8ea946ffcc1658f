"""Quantization of VGG-19 to a few megabytes: weights of two or three bits, each layer compensating earlier errors.

One pass over a few dozen photographs and the thirteen convolutions, from the first to the last:

1. run the full network and the small one, as far as it is finished, and record both at random positions;
2. regress the full network's outputs on the small network's inputs, which gives weights that compensate the errors of
   the earlier layers (asymmetric calibration, as in GPTAQ, Li et al. 2025);
3. round them input by input, adding the error of each to the inputs that are not rounded yet (Optimal Brain
   Quantization, Frantar and Alistarh 2022; in the order and blocks of GPTQ, Frantar et al. 2023);
4. fit a scale for every output channel, and the bias, to the full network's outputs.

The grid is uniform and unbounded, and its numbers are stored by their entropy (`nets.packed`), not in a fixed number of
bits: so the few large weights of a layer do not coarsen the many small ones.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videostyle import weights
from videostyle.nets.packed import pack
from videostyle.nets.vgg import LossNetwork, build_small
from videostyle.ops import losses
from videostyle.partial_files import atomic_write
from videostyle.train.data import Crops, held_back, list_photographs

log = logging.getLogger(__name__)

_HELD_BACK = 8
"""Photographs on which the errors in the card are measured."""
_DAMPING = 0.01
"""Damping added to the variance of every input, as a share of the mean variance, since a few thousand samples do not
determine all inputs well."""


def distil(
    full: LossNetwork,
    photographs: Path,
    output: Path,
    *,
    bits: float = 2.6,
    pictures: int = 80,
    side: int = 224,
    positions: int = 512,
    seed: int = 0,
    made_from: str = "",
    data: str = "",
    licence: str = "CC BY 4.0",
) -> dict[str, Any]:
    """Write the small form of `full` to `output` (.safetensors, its card in it and beside it); returns the card.

    `bits` is the size of a weight in the largest layers; smaller layers get more. `pictures` crops of `side` pixels are
    used, at `positions` positions of each feature map. `made_from`, `data` and `licence` are entries of the card: the
    network, the photographs, and the terms on which the weights may be distributed. The same seed gives the same file.
    Raises TrainingError if there are no pictures.
    """
    paths = list_photographs(photographs)
    unseen = held_back(paths, _HELD_BACK) if len(paths) > _HELD_BACK else []
    generator = torch.Generator().manual_seed(seed)
    crops = Crops([path for path in paths if path not in unseen], side)
    tensors = compress(full, [crops(generator) for _ in range(pictures)], bits, positions, generator)
    card: dict[str, Any] = {
        "made_from": made_from,
        "data": data,
        "recipe": {"bits": bits, "pictures": pictures, "side": side, "positions": positions, "seed": seed},
        "bits": {
            name: round(8 * len(tensors[f"{name}.numbers"]) / convolution.weight.numel(), 2)
            for name, convolution in _layers(full)
        },
        "licence": licence,
    }
    if unseen:
        crops = Crops(unseen, side)
        card["errors"] = compare(full, build_small(tensors), torch.cat([crops(generator) for _ in unseen]))
    weights.save_loss_network(output, output.stem, tensors, card)
    atomic_write(output.with_suffix(".md"), _card(output, card))
    return card


@torch.no_grad()
def compress(
    full: LossNetwork,
    pictures: Sequence[Tensor],
    bits: float,
    positions: int,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Compute the tensors of the small form of `full`, from pictures (1, 3, H, W) of one size.

    They are, for every layer, `numbers`, packed, their factors `steps` (C_out,), and `bias`. Sizes are logged.
    """
    largest = max(convolution.weight.numel() for _, convolution in _layers(full))
    tensors = {"mean": full.mean.flatten(), "std": full.std.flatten()}
    exact = [(torch.cat(list(pictures[i : i + 4])) - full.mean) / full.std for i in range(0, len(pictures), 4)]
    small = exact
    total = 0
    for layer, convolution in _layers(full):
        if layer.endswith("_1") and layer != "relu1_1":
            exact, small = [F.max_pool2d(x, 2) for x in exact], [F.max_pool2d(x, 2) for x in small]
        kernel = convolution.weight.flatten(1)
        inputs, missing = sample(exact, small, kernel, positions, generator)
        mean, mean_missing = inputs.mean(1, keepdim=True), missing.mean(1, keepdim=True)
        inputs -= mean
        covariance = inputs @ inputs.T / inputs.shape[1]
        damped = covariance + _DAMPING * covariance.diagonal().mean() * torch.eye(len(covariance))
        cross = inputs @ (missing - mean_missing).T / inputs.shape[1]
        wanted = kernel + torch.cholesky_solve(cross, torch.linalg.cholesky(damped)).T

        # Errors add up over the layers, and every weight costs its bits: the total error is least if each layer's error
        # is proportional to its number of weights, half a bit for every factor of two.
        steps = choose_steps(wanted, bits + 0.5 * math.log2(largest / kernel.numel()))
        numbers = round_compensated(wanted / steps, damped)
        seen = numbers @ covariance
        steps = ((seen * wanted).sum(1) / (seen * numbers).sum(1).clamp(min=1e-12))[:, None]
        rounded = numbers * steps
        # With this bias the mean output equals that of the full network.
        assert convolution.bias is not None
        bias = convolution.bias + (mean_missing + (kernel - rounded) @ mean)[:, 0]
        tensors |= {f"{layer}.numbers": pack(numbers), f"{layer}.steps": steps[:, 0], f"{layer}.bias": bias}

        exact = [F.relu(convolution(x), inplace=True) for x in exact]
        weight = rounded.view_as(convolution.weight)
        small = [F.relu(F.conv2d(x, weight, bias, padding=1), inplace=True) for x in small]
        size = tensors[f"{layer}.numbers"].numel()
        total += size
        log.info(f"{layer}  {8 * size / kernel.numel():.2f} bits a weight, {total / 1e6:.2f} MB so far")
    return tensors


@torch.no_grad()
def compare(full: LossNetwork, small: LossNetwork, pictures: Tensor) -> dict[str, dict[str, float]]:
    """Compare the small network with the full one on pictures (N, 3, H, W): `features` and `gram` errors by layer.

    They are mean squared distances over the full network's energy, as in `ops.losses`.
    """
    errors = {}
    wanted, found = full(pictures, full.names), small(pictures, full.names)
    for layer in full.names:
        features = losses.content_distance(found[layer], wanted[layer]).mean().item()
        gram = losses.gram_distance(losses.gram(found[layer]), losses.gram(wanted[layer])).mean().item()
        errors[layer] = {"features": round(features, 6), "gram": round(gram, 6)}
    return errors


def _layers(net: LossNetwork) -> list[tuple[str, nn.Conv2d]]:
    convolutions = [convolution for convolution in net.convolutions if isinstance(convolution, nn.Conv2d)]
    return list(zip(net.names, convolutions, strict=True))


def _card(path: Path, card: dict[str, Any]) -> str:
    recipe = card["recipe"]
    rows = [
        ("Network", "a loss network to learn styles with: VGG-19 up to conv5_1 with rounded weights"),
        ("Made from", card["made_from"]),
        ("Size", f"{path.stat().st_size / 1e6:.2f} MB"),
        ("Photographs", card["data"]),
        (
            "Recipe",
            f"`scripts/distil_loss_network.py`: {recipe['bits']:g} bits a weight in the largest layers, "
            f"{recipe['pictures']} crops of {recipe['side']} px, {recipe['positions']} positions of each feature map, "
            f"seed {recipe['seed']}",
        ),
        ("Licence of these weights", card["licence"]),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows if value)
    text = f"# {path.stem}\n\n| | |\n| --- | --- |\n{table}\n"
    if "errors" in card:
        text += (
            f"\nOn {_HELD_BACK} photographs held back, squared distance to the full network's over its energy:\n\n"
            "| layer | bits a weight | features | Gram matrix |\n| --- | --- | --- | --- |\n"
        )
        for layer, error in card["errors"].items():
            text += f"| {layer} | {card['bits'][layer]:.2f} | {error['features']:.5f} | {error['gram']:.5f} |\n"
    return text


def sample(
    exact: Sequence[Tensor], small: Sequence[Tensor], kernel: Tensor, positions: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Sample inputs of the kernel (C_out, 9 C_in) in `small` at random positions, and the errors of its outputs.

    `exact` and `small` are batches (N, C_in, H, W) of the two networks' feature maps. Returns inputs (9 C_in, P) of the
    small network, and for the same positions (C_out, P) the output on `exact` less that on `small`.
    """
    inputs, errors = [], []
    for full, less in zip(exact, small, strict=True):
        h, w = full.shape[2:]
        chosen = torch.randperm(h * w, generator=generator)[:positions]
        patches = [_patches(x, chosen // w, chosen % w) for x in (full, less)]
        inputs.append(patches[1])
        errors.append(kernel @ (patches[0] - patches[1]))
    return torch.cat(inputs, 1), torch.cat(errors, 1)


def _patches(features: Tensor, ys: Tensor, xs: Tensor) -> Tensor:
    """Return the 3x3 patches (9 C, N P) at P positions in feature maps (N, C, H, W) with zeros around them."""
    padded = F.pad(features, (1, 1, 1, 1))
    taps = [padded[:, :, ys + dy, xs + dx] for dy in range(3) for dx in range(3)]
    return torch.stack(taps, 2).flatten(1, 2).transpose(0, 1).flatten(1)


def choose_steps(weight: Tensor, bits: float) -> Tensor:
    """Choose the step of each output channel's grid, (C_out, 1), so that `weight` (C_out, K) takes `bits` a weight.

    Bits are the entropy of the rounded weights, all channels together.

    One step for all would give the least squared error of the layer; steps in proportion to the channel's deviation
    give all channels the same relative error. The square root is between the two.
    """
    shape = weight.std(1, keepdim=True).clamp(min=1e-9).sqrt()
    low, high = (math.log(float(f * weight.abs().max() / shape.max())) for f in (1e-6, 2.0))
    for _ in range(24):
        middle = (low + high) / 2
        counts = torch.unique((weight / (shape * math.exp(middle))).round(), return_counts=True)[1]
        share = counts / weight.numel()
        if float(-(share * share.log2()).sum()) > bits:
            low = middle
        else:
            high = middle
    return shape * math.exp(high)


def round_compensated(weight: Tensor, covariance: Tensor, block: int = 128) -> Tensor:
    """Round `weight` (C_out, K) to integers with nearly the same outputs, for inputs of this covariance (K, K).

    It is rounded column by column; the rounding error of each column is distributed over the following ones by the
    inverse covariance (GPTQ, Frantar et al. 2023). `block` columns are processed at a time, for speed only.
    """
    factor = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(covariance)), upper=True)
    left, numbers = weight.clone(), torch.zeros_like(weight)
    for start in range(0, weight.shape[1], block):
        stop = min(start + block, weight.shape[1])
        errors = torch.zeros(len(weight), stop - start)
        for column in range(start, stop):
            numbers[:, column] = left[:, column].round()
            error = (left[:, column] - numbers[:, column]) / factor[column, column]
            left[:, column + 1 : stop] -= error[:, None] * factor[column, column + 1 : stop]
            errors[:, column - start] = error
        left[:, stop:] -= errors @ factor[start:stop, stop:]
    return numbers
