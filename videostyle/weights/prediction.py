"""Codes predicted from a picture, without training (Ghiasi et al. 2017), and the folder that keeps them.

Predicting takes a pass of the loss network, about a second. The code is kept as a style file in the user's cache, under
the checksum of the picture and the predictor.
"""

from __future__ import annotations

import hashlib
import mimetypes
import os
import shlex
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videostyle.errors import SourceError, UsageError, VideostyleError, WeightsError
from videostyle.tensorfile import PredictorCard
from videostyle.weights._files import read_file, save_style, write_file
from videostyle.weights.manifest import cache_folder, load_manifest, models_folder
from videostyle.weights.networks import Network, load_loss_network

if TYPE_CHECKING:
    from torch import Tensor

    from videostyle.nets.code_predictor import CodePredictor

LOSS_NETWORK = "vgg19-small"
"""Loss network whose statistics the predictors read."""
PICTURE_SIDE = 512
"""Longer side, in pixels, at which a picture's statistics are computed; smaller pictures keep their size.

So marks are learned as large beside the whole picture as they are in it, whatever its resolution.
"""
_LONGEST_READ = 2048
MOST_KEPT = 500
"""Codes that the cache keeps; those that were used longest ago are removed."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """Code predictor of a style network."""

    net: CodePredictor
    gallery: dict[str, Tensor]
    """Bottlenecks (BOTTLENECK,) of the gallery's paintings, by name."""
    card: dict[str, Any] = field(default_factory=dict)
    """Card of its file: how it was trained."""


def is_picture_name(name: str) -> bool:
    """Return True if the name is that of a picture file, which need not exist."""
    return (mimetypes.guess_type(name)[0] or "").startswith("image/") or Path(name).suffix.lower() in (".webp", ".heic")


def predict_code(picture: Path, network: Network, side: int = PICTURE_SIDE) -> Tensor:
    """Predict the code (1, code_size) of a picture for `network`, or read it from the cache.

    The picture is looked at with a longer side of `side` pixels: more make larger marks.
    Raises SourceError for a file that is not a picture, UsageError for one that is too small or where `network` has no
    predictor, WeightsError.
    """
    import torch

    from videostyle.io.style_image import read_on_white

    digest = predictor_digest(network.name)
    if digest is None:
        learn = f"videostyle learn {shlex.quote(str(picture))} --network {network.name}"
        raise UsageError(f"{picture}: is a picture, and {network.name} has no predictor of codes; learn it: {learn}")
    kept = cache_folder("codes") / f"{_checksum(picture, f'{digest} {side}')}.safetensors"
    with suppress(WeightsError):
        file = read_file(kept, "style")
        code = torch.from_numpy(file.arrays["code"])
        if file.metadata.get("network_sha256") == network.sha256 and code.shape == network.identity.shape:
            with suppress(OSError):
                os.utime(kept)
            return code
    predictor = load_predictor(network)
    statistics = picture_statistics(predictor, read_on_white(picture, _LONGEST_READ), side)
    with torch.inference_mode():
        code = predictor.net(statistics).clone()
    card = {"name": picture.stem, "predicted": True}
    with suppress(VideostyleError, OSError):  # a cache that cannot be written costs a second the next time
        save_style(kept, code, network.name, network.sha256, card)
        _remove_oldest(kept.parent)
    return code


def similar_styles(picture: Path, network: Network) -> list[tuple[str, float]]:
    """List the gallery's paintings by their likeness to a picture, the most similar first, with the distances.

    A distance is that of the two bottlenecks, over the mean distance of two paintings of the gallery. Raises as
    `predict_code`.
    """
    import torch

    from videostyle.io.style_image import read_on_white

    predictor = load_predictor(network)
    if len(predictor.gallery) < 2:
        raise UsageError(f"the predictor of {network.name} has no gallery to compare with")
    rows = torch.stack(list(predictor.gallery.values()))
    with torch.inference_mode():
        own = predictor.net.embed(picture_statistics(predictor, read_on_white(picture, _LONGEST_READ)))
    usual = torch.nn.functional.pdist(rows).mean()
    distances = ((rows - own).norm(dim=1) / usual).tolist()
    return sorted(zip(predictor.gallery, distances, strict=True), key=lambda pair: pair[1])


def predictor_digest(network: str) -> str | None:
    """Return the SHA-256 of the predictor of a style network; None if it has none."""
    entry = load_manifest(models_folder()).predictors.get(network)
    return entry.sha256 if entry is not None else None


def load_predictor(network: Network) -> Predictor:
    """Load the predictor of a style network; raises UsageError if there is none, WeightsError if it is damaged."""
    import torch

    from videostyle.nets.code_predictor import CodePredictor

    folder = models_folder()
    entry = load_manifest(folder).predictors.get(network.name)
    if entry is None:
        raise UsageError(f"the network {network.name} comes without a predictor of codes")
    file = read_file(folder / entry.file, "predictor", entry.sha256)
    assert isinstance(file.card, PredictorCard)
    if file.card.network_sha256 != network.sha256:
        raise WeightsError(f"{file.path}: made for another network than {network.name} as installed here")
    tensors = {name: torch.from_numpy(array) for name, array in file.arrays.items()}
    rows = tensors.pop("gallery", torch.zeros(0))
    net = CodePredictor(network.net.code_size)
    shapes = {name: one.shape for name, one in net.state_dict().items()}
    if shapes != {name: one.shape for name, one in tensors.items()}:
        raise WeightsError(f"{file.path}: its tensors do not fit the network {network.name}")
    net.load_state_dict(tensors)
    gallery = dict(zip(file.card.gallery, rows, strict=False))
    return Predictor(net.eval().requires_grad_(False), gallery, file.metadata)


def picture_statistics(predictor: Predictor, picture: Tensor, side: int = PICTURE_SIDE) -> Tensor:
    """Compute the style statistics (1, STATISTICS) of `picture` (1, 3, H, W) in 0..1, of any size, at `side` pixels."""
    import torch

    from videostyle.nets.code_predictor import LAYERS

    with torch.inference_mode():
        return predictor.net.statistics(load_loss_network(LOSS_NETWORK)(scaled_picture(picture, side), LAYERS))


def scaled_picture(picture: Tensor, side: int = PICTURE_SIDE) -> Tensor:
    """Shrink a picture (1, 3, H, W) to a longer side of `side` pixels; small ones are not enlarged."""
    from videostyle.io.style_image import scale_to
    from videostyle.ops.filters import shrink

    height, width = picture.shape[2:]
    factor = scale_to(side, height, width)
    return picture if factor >= 1 else shrink(picture, (round(height * factor), round(width * factor)))


def save_predictor(
    path: Path, net: CodePredictor, network: Network, card: dict[str, Any], gallery: dict[str, Tensor]
) -> str:
    """Write a predictor, in half precision, with the bottlenecks (BOTTLENECK,) of the gallery; returns its SHA-256."""
    import torch

    tensors = {name: one if name in ("average", "deviation") else one.half() for name, one in net.state_dict().items()}
    if gallery:
        tensors["gallery"] = torch.stack(list(gallery.values())).half()
    about = {"network": network.name, "network_sha256": network.sha256, "gallery": list(gallery)}
    return write_file(path, tensors, {**card, "kind": "predictor", **about})


def _checksum(picture: Path, digest: str) -> str:
    """Return a checksum of a picture file's bytes and of the text `digest`; raises SourceError."""
    from videostyle.io.info import check_readable

    check_readable(str(picture))
    try:
        with picture.open("rb") as file:
            found = hashlib.file_digest(file, "sha256")
    except OSError as error:
        raise SourceError(f"{picture}: cannot be read ({error.strerror}); check the disk") from error
    found.update(digest.encode())
    return found.hexdigest()


def _remove_oldest(folder: Path) -> None:
    files = sorted(folder.glob("*.safetensors"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    for file in files[MOST_KEPT:]:
        file.unlink(missing_ok=True)
