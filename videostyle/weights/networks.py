"""Network files: style networks and loss networks, loaded and saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from videostyle.errors import UnknownNameError, WeightsError, first_problem
from videostyle.tensorfile import NetworkCard
from videostyle.weights._files import read_file, write_file
from videostyle.weights.manifest import load_manifest, model_folders, models_folder, read_manifest

if TYPE_CHECKING:
    from torch import Tensor

    from videostyle.nets.style_network import Architecture, StyleNetwork
    from videostyle.nets.vgg import LossNetwork

# Upper limit of numbers in an architecture, so that a damaged file does not request all of the memory.
_LARGEST_NUMBER = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Style network, and the code with which it returns the content unchanged."""

    name: str
    net: StyleNetwork
    identity: Tensor
    """(1, code_size): the code of strength 0."""
    sha256: str
    card: dict[str, Any] = field(default_factory=dict)


def load_network(name: str) -> Network:
    """Load a shipped network by name; raises UnknownNameError, or WeightsError if the file is missing or damaged."""
    networks, _ = read_manifest(models_folder())
    if name not in networks:
        raise UnknownNameError.among("network", name, networks)
    return read_network(name, *networks[name])


def read_network(name: str, path: Path, expected: str) -> Network:
    """Read the network in a file whose SHA-256 must be `expected`; raises WeightsError."""
    import torch

    file = read_file(path, "network", expected)
    assert isinstance(file.card, NetworkCard)
    tensors = {key: torch.from_numpy(array) for key, array in file.arrays.items()}
    identity = tensors.pop("identity", None)
    net = _built(path, file.card.architecture, tensors)
    if identity is None or identity.shape != (1, net.code_size):
        raise WeightsError(f"{path}: damaged: it has no code of strength 0 that fits it")
    net.requires_grad_(False).eval().to(memory_format=torch.channels_last)
    return Network(name, net, identity, file.sha256, file.metadata)


def _built(path: Path, sizes: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> StyleNetwork:
    """Build the network of these sizes and load these tensors into it."""
    import torch

    from videostyle.nets.style_network import StyleNetwork

    architecture = _architecture(path, sizes)
    try:
        with torch.device("meta"):  # checks the shapes before any memory is allocated
            shapes = {key: value.shape for key, value in StyleNetwork(architecture).state_dict().items()}
        if shapes != {key: value.shape for key, value in tensors.items()}:
            raise WeightsError(f"{path}: its tensors do not fit its architecture")
        net = StyleNetwork(architecture)
        net.load_state_dict(dict(tensors))
    except WeightsError:
        raise
    except Exception as error:  # the layers raise various errors for sizes that make no network
        raise WeightsError(f"{path}: its architecture cannot be built ({type(error).__name__})") from error
    return net


def _architecture(path: Path, sizes: Mapping[str, Any]) -> Architecture:
    from videostyle.nets.style_network import Architecture

    unknown = sizes.keys() - {one.name for one in fields(Architecture)}
    if unknown:
        raise WeightsError(f"{path}: made by a newer videostyle (its architecture has {', '.join(sorted(unknown))})")
    numbers = [one for value in sizes.values() for one in (value if isinstance(value, list) else [value])]
    if any(isinstance(one, int | float) and not 0 <= one <= _LARGEST_NUMBER for one in numbers):
        raise WeightsError(f"{path}: damaged: a number in its architecture is not within 0 and {_LARGEST_NUMBER}")
    try:
        return TypeAdapter(Architecture).validate_python(sizes)
    except ValidationError as error:
        raise WeightsError(f"{path}: damaged: its architecture's {first_problem(error)}") from error


def load_loss_network(name: str, path: Path | None = None) -> LossNetwork:
    """Load a frozen loss network: a shipped one if `path` is None and there is one of that name (`vgg19-small`).

    `nets.vgg.build_loss_network` builds any other. Raises UnknownNameError, or WeightsError if a file is missing,
    damaged or different from the one that the manifest lists.
    """
    from videostyle.nets.vgg import build_loss_network

    # A models folder written by training has no loss network; the installed one has.
    for folder in model_folders() if path is None else ():
        entry = load_manifest(folder).loss_networks.get(name)
        if entry is not None:
            path = folder / entry.file
            read_file(path, "loss_network", entry.sha256)
            break
    return build_loss_network(name, path)


def save_network(path: Path, name: str, net: StyleNetwork, identity: Tensor, card: dict[str, Any]) -> str:
    """Write a network file; returns its SHA-256."""
    tensors = {**net.state_dict(), "identity": identity}
    about = {**card, "kind": "network", "name": name, "architecture": asdict(net.architecture)}
    return write_file(path, tensors, about)


def save_loss_network(path: Path, name: str, tensors: dict[str, Tensor], card: dict[str, Any]) -> str:
    """Write the file of a small loss network, with the tensors of `train.distil`; returns its SHA-256."""
    return write_file(path, tensors, {**card, "kind": "loss_network", "name": name})
