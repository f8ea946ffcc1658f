"""Export of a finished training run: a network file, style files, and a card for each."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from videostyle import weights
from videostyle.files import make_folder
from videostyle.io.images import write_picture
from videostyle.nets.style_network import StyleNetwork, macs_per_pixel
from videostyle.noise import initial_recurrent_input
from videostyle.partial_files import atomic_write
from videostyle.train.data import read_picture
from videostyle.train.plan import TrainConfig, TrainingStyle

_PRIVATE = {
    "photographs",
    "folder",
    "films",
    "film_flow_weights",
    "start",
    "loss_network_weights",
    "card_picture",
    "sheet",
    "styles",
}


def export_models(
    config: TrainConfig,
    net: StyleNetwork,
    identity: Tensor,
    codes: list[Tensor],
    scores: list[dict[str, float]],
    steps: int,
) -> None:
    """Write `config.folder`/models: files, cards, thumbnails and the manifest.

    `identity` and each of `codes` are (1, code_size); `scores` are the losses on photographs held back, by style.
    """
    net = net.cpu().eval()
    folder = config.folder / "models" / config.network
    recipe = {key: value for key, value in asdict(config).items() if key not in _PRIVATE}
    recipe = json.loads(json.dumps({**recipe, "steps": steps}, default=str))
    card = {"recipe": recipe, "data": config.data, "licence": "CC0-1.0"}
    file = folder / "network.safetensors"
    if config.train_network:
        digest = weights.save_network(file, config.network, net, identity.cpu(), card)
    else:
        assert config.start is not None
        network, digest = weights.read_manifest(config.start)[0][config.network]
        make_folder(folder)
        atomic_write(file, network.read_bytes())
    for style, code, score in zip(config.styles, codes, scores, strict=True):
        about = {key: getattr(style, key) for key in ("name", "title", "painter", "year")}
        style_card = {**card, **about, "painting_licence": style.licence, "losses": score}
        weights.save_style(folder / f"{style.name}.safetensors", code.cpu(), config.network, digest, style_card)
        shown = _thumbnail(config, net, code.cpu(), folder / f"{style.name}.jpg")
        text = _card(config, net, style, score, steps, shown)
        atomic_write(folder / f"{style.name}.md", text)
    weights.write_manifest(config.folder / "models")


@torch.no_grad()
def _thumbnail(config: TrainConfig, net: StyleNetwork, code: Tensor, path: Path) -> bool:
    if config.card_picture is None:
        return False
    picture = read_picture(config.card_picture)
    height, width = (side // net.architecture.stride * net.architecture.stride for side in picture.shape[2:])
    picture = picture[:, :, :height, :width]
    write_picture(path, net(picture, code, None, initial_recurrent_input(picture, np.random.default_rng(0)))[0])
    return True


def _card(
    config: TrainConfig, net: StyleNetwork, style: TrainingStyle, score: dict[str, Any], steps: int, shown: bool
) -> str:
    def terms(layers: tuple[str, ...], factors: tuple[float, ...]) -> str:
        return ", ".join(f"{layer} {factor:g}" for layer, factor in zip(layers, factors, strict=True))

    learned = f"the code (learning rate {config.code_lr:g})"
    if config.train_network:
        learned += f" with those of {len(config.styles) - 1} more styles, and the network (learning rate {config.lr:g})"
    else:
        learned += "; the network was not changed"
    falling = ", learning rates falling along half a cosine" if config.decay_from < 1 else ""
    temporal = f", temporal {config.temporal:g}" if config.temporal_from < 1 else ""
    rows = [
        ("Painting", f"{style.title or style.name}, {style.painter}, {style.year}"),
        ("Rights in the painting", style.licence),
        ("Network", f"{config.network}, {macs_per_pixel(net.architecture) / 1000:.1f} thousand multiply-adds a pixel"),
        ("Photographs", config.data),
        ("Loss network", config.loss_network),
        ("Teacher", config.teacher and _teacher(config)),
        ("Learned", learned if config.start is None else f"{learned}; begun from trained weights"),
        ("Steps", f"{steps} of {config.batch} crops of {config.crop} px; Adam{falling}"),
        ("Painting's longer side", f"{style.size} px"),
        ("Style", f"Gram distance at {terms(config.style_layers, config.style_weights)}"),
        ("Content", f"feature distance at {terms(config.content_layers, config.content_weights)}"),
        (
            "Other terms",
            f"total variation {config.total_variation:g}, grid {config.grid:g}, local style {config.local:g}{temporal}",
        ),
        ("Style loss on photographs held back", f"{score['style']:.3f} (0: the painting's own statistics)"),
        ("Content loss on them", f"{score['content']:.3f} (0: the photograph)"),
        ("Note", config.note),
        ("Licence of these weights", "CC0 1.0"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows if value)
    picture = f"![{style.name}]({style.name}.jpg)\n\n" if shown else ""
    return f"# {style.name}\n\n{picture}| | |\n| --- | --- |\n{table}\n"


def _teacher(config: TrainConfig) -> str:
    alone = f"; {config.pixel_share:.0%} of the steps without the loss network" if config.pixel_share else ""
    return f"{config.teacher}, whose pictures are imitated (weight {config.imitation:g}){alone}"
