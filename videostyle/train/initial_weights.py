"""Initial weights of training from trained models: the same network, or a wider one with the same output."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from videostyle import weights
from videostyle.errors import TrainingError
from videostyle.nets.style_network import StyleNetwork
from videostyle.train.model import StyleCodes
from videostyle.train.plan import TrainConfig


@torch.no_grad()
def load_initial_weights(config: TrainConfig, net: StyleNetwork, codes: StyleCodes) -> None:
    """Load `net` and `codes` from the models in `config.start`; styles that have no code there start from the mean.

    Raises WeightsError, or TrainingError if there is no network to start from.
    """
    assert config.start is not None
    networks, entries = weights.read_manifest(config.start)
    name = config.network if config.network in networks else "fast"
    if name not in networks:
        raise TrainingError(f"{config.start}: no network to start from")
    network = weights.read_network(name, *networks[name])
    if not config.train_network and (name, network.net.architecture) != (config.network, net.architecture):
        raise TrainingError(
            f"{config.start}: there is no network {config.network} of this size; train_network = false needs one"
        )
    known = {entry.name: weights.read_style(entry.file)[0] for entry in entries if entry.network == name}
    net.load_state_dict(widen(network.net, net, torch.Generator().manual_seed(config.seed)))
    codes.identity.copy_(widen_code(network.identity, network.net, net)[:, :-1])
    wide = {style: widen_code(code, network.net, net)[0, :-1] for style, code in known.items()}
    if wide:
        codes.rows.copy_(torch.stack(list(wide.values())).mean(0))
    for row, style in zip(codes.rows, config.styles, strict=True):
        if style.name in wide:
            row.copy_(wide[style.name])


def widen(narrow: StyleNetwork, net: StyleNetwork, generator: torch.Generator) -> dict[str, Tensor]:
    """Widen the weights of `narrow` for `net`, with exactly the same output; its widths must divide those of `net`.

    Net2Net (Chen, Goodfellow and Shlens 2016): each channel is copied, and the following layer reads all copies, with
    random shares that sum to one. The copies get different gradients, so training makes them diverge.
    Raises TrainingError if the networks differ in more than width.
    """
    small, large = narrow.architecture, net.architecture
    # A network that is not recurrent is made recurrent: the weights that read the previous output begin at zero.
    recurrent = small.recurrent or large.recurrent
    comparable = replace(small, widths=large.widths, head=large.head, recurrent=recurrent) == large
    if not comparable or len(small.widths) != len(large.widths):
        raise TrainingError("a network can be widened only if nothing but its widths differs")
    wide = net.state_dict()
    for key, value in narrow.state_dict().items():
        times = [new / old for new, old in zip(wide[key].shape, value.shape, strict=True)]
        if not all(factor.is_integer() for factor in times):
            raise TrainingError("a network can be widened only to multiples of its widths")
        wide[key] = value.repeat(*map(int, times))
        if math.prod(times[1:]) > 1:
            inputs = value.shape[1]
            shares = 0.5 + torch.rand(len(wide[key]), int(times[1]), inputs, generator=generator)
            wide[key] *= (shares / shares.sum(1, keepdim=True)).flatten(1)[:, :, None, None]
    return wide


def widen_code(code: Tensor, narrow: StyleNetwork, net: StyleNetwork) -> Tensor:
    """Widen a style code (1, code_size) of `narrow` for the widened `net`."""
    *parts, amount = torch.split(code, [*narrow.code_sizes, 1], dim=1)
    wide = [
        half.repeat(1, size // part.shape[1])
        for part, size in zip(parts, net.code_sizes, strict=True)
        for half in part.chunk(2, dim=1)
    ]
    return torch.cat([*wide, amount], dim=1)
