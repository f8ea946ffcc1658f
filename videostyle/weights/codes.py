"""Style codes: those of a style along the film, and the style files that hold one code each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from videostyle.errors import UnknownNameError, UsageError, WeightsError
from videostyle.style import Blend, Style
from videostyle.tensorfile import StyleCard, TensorFile
from videostyle.timeline import Key, Timeline
from videostyle.weights._files import read_file, read_style
from videostyle.weights.manifest import GalleryEntry, gallery, own_network, own_styles, styles_folder
from videostyle.weights.networks import Network, load_network, read_network
from videostyle.weights.prediction import is_picture_name, predict_code

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """Style codes of a style along the film."""

    identity: Tensor
    blends: Timeline[Tensor]
    regions: tuple[Tensor, ...]
    strengths: Timeline[float]

    def at(self, time: Fraction) -> Tensor:
        """Return the code of the style at `time` and those of its regions: (1 + regions, code_size)."""
        import torch

        first, second, share = self.blends.around(time)
        weak, strong, way = self.strengths.around(time)
        full = torch.cat([torch.lerp(first, second, share), *self.regions])
        return torch.lerp(self.identity, full, weak + way * (strong - weak))


def load_style(style: Style) -> tuple[Network, Tensor]:
    """Load the network and the codes (1 + regions, code_size) of a style at time 0; raises as `load_codes` does."""
    network, codes = load_codes(style)
    return network, codes.at(Fraction(0))


def load_codes(style: Style) -> tuple[Network, Codes]:
    """Load the network and the codes of a style along the film.

    Names are looked up in the gallery and among the user's own; anything with a path separator or ending in
    .safetensors is a file. The code of a picture is predicted. A style that was learned together with its own network
    uses that network.
    Raises UnknownNameError suggesting near names, UsageError if the styles need different networks, WeightsError.
    """
    import torch

    entries = {entry.name: entry for entry in (*gallery(), *own_styles()) if entry.network == style.network}
    files = [entries[name].file if name in entries else Path(name) for name in style.names]
    own = next((file for file in files if os.path.isfile(own_network(file))), None)
    if own is None:
        network = load_network(style.network)
    else:
        network = read_network(style.network, own_network(own), read_style(own)[1]["network_sha256"])
    codes = {name: _code(name, network, entries) for name in style.names}

    def blended(blend: Blend) -> Tensor:
        total = sum(weight for _, weight in blend)
        return torch.stack([weight / total * codes[name] for name, weight in blend]).sum(0)

    keys = tuple(Key(blended(key.value), key.start, key.hold) for key in style.blends.keys)
    regions = tuple(blended(region.blend) for region in style.regions)
    return network, Codes(network.identity, Timeline(keys), regions, style.strengths)


def predicted_styles(style: Style) -> list[str]:
    """Return the names of a style's pictures, whose codes are predicted."""
    listed = {entry.name for entry in (*gallery(), *own_styles())}
    return [name for name in style.names if name not in listed and is_picture_name(name)]


def _code(name: str, network: Network, entries: dict[str, GalleryEntry]) -> Tensor:
    import torch

    if name == "none":
        return network.identity
    if name not in entries and is_picture_name(name):
        return predict_code(Path(name), network)
    if name in entries:
        entry = entries[name]
        file = read_file(entry.file, "style", entry.sha256)
    elif name.endswith(".safetensors") or os.sep in name:
        file = read_file(Path(name), "style")
    else:
        file = _unlisted(name, entries)
    assert isinstance(file.card, StyleCard)
    if file.card.network_sha256 != network.sha256:
        raise UsageError(
            f"{name}: made for another network ({file.card.network}) than {network.name} as installed here"
        )
    code = file.arrays["code"]
    if code.shape != network.identity.shape:
        raise WeightsError(
            f"{file.path}: its code has {code.shape[1]} values, {network.name} takes {network.net.code_size}"
        )
    return torch.from_numpy(code)


def _unlisted(name: str, entries: dict[str, GalleryEntry]) -> TensorFile:
    """Read a style of the user's own that is not listed, because it is damaged or made for another network.

    Raises WeightsError if it is damaged, UnknownNameError if there is no such file.
    """
    file = styles_folder() / f"{name}.safetensors"
    if not os.path.exists(file):
        raise UnknownNameError.among("style", name, [*entries, "none"])
    return read_file(file, "style")
