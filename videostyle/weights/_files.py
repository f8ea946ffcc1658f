"""Weight files: reading one of a given kind, and writing tensors with their card."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videostyle import tensorfile
from videostyle.errors import WeightsError
from videostyle.files import make_folder
from videostyle.partial_files import atomic_write
from videostyle.tensorfile import TensorFile

if TYPE_CHECKING:
    from torch import Tensor


def read_file(path: Path, kind: str, expected: str | None = None) -> TensorFile:
    """Read a file of `kind` ("style", "network", "loss_network"), whose SHA-256 must be `expected` if that is given.

    Raises WeightsError.
    """
    file = tensorfile.read(path)
    if file.card.kind != kind:
        raise WeightsError(f"{path}: not a videostyle {kind} file")
    if expected is not None and file.sha256 != expected:
        raise WeightsError(f"{path}: its checksum is not the manifest's; install videostyle again")
    return file


def write_file(path: Path, tensors: dict[str, Tensor], card: dict[str, Any], *, overwrite: bool = True) -> str:
    """Write tensors with their card; returns the file's SHA-256.

    Raises SinkError, and UsageError if the file exists and may not be overwritten.
    """
    from safetensors.torch import save

    data = save(
        {key: value.detach().cpu().contiguous() for key, value in tensors.items()}, {tensorfile.KEY: json.dumps(card)}
    )
    make_folder(path.parent)
    atomic_write(path, data, overwrite=overwrite)
    return hashlib.sha256(data).hexdigest()


def read_style(path: Path) -> tuple[Tensor, dict[str, Any]]:
    """Read the code (1, code_size) in a style file, and its card; raises WeightsError."""
    import torch

    file = read_file(path, "style")
    return torch.from_numpy(file.arrays["code"]), file.metadata


def save_style(
    path: Path, code: Tensor, network: str, network_sha256: str, card: dict[str, Any], *, overwrite: bool = True
) -> str:
    """Write the file of one style code (1, code_size); returns its SHA-256.

    Raises SinkError, and UsageError if the file exists and may not be overwritten.
    """
    about = {**card, "kind": "style", "network": network, "network_sha256": network_sha256}
    return write_file(path, {"code": code}, about, overwrite=overwrite)
