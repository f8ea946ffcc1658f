"""Networks and style codes on disk: safetensors files that say what they are, and the gallery that lists them.

A *network file* holds a trunk, the identity's code, and the sizes to build it from. A *style file* holds one code, a
few kilobytes, and names the trunk it belongs to by the trunk's checksum. Both carry their card (painting, recipe,
losses, licence) in the file's own metadata. `models/manifest.json` lists the shipped files with their SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videostyle.errors import UnknownNameError, UsageError, WeightsError
from videostyle.plan import Style

if TYPE_CHECKING:
    from torch import Tensor

    from videostyle.nets.transformer import Transformer

_KEY = "videostyle"


@dataclass(frozen=True, slots=True)
class GalleryEntry:
    """One shipped style, as `videostyle styles` lists it."""

    name: str
    network: str
    """fast or fine: the size of the network that paints it."""
    title: str
    painter: str
    year: str
    file: Path
    sha256: str
    size: int
    """Of the style file, in bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A trunk and how to paint nothing with it."""

    name: str
    net: Transformer
    identity: Tensor
    """(1, code_size): the code of strength 0."""
    sha256: str
    card: dict[str, Any] = field(default_factory=dict)


def models_folder() -> Path:
    """Where the shipped models are: $VIDEOSTYLE_MODELS, inside the installed package, or beside a checkout of it."""
    package = Path(__file__).parent
    named = os.environ.get("VIDEOSTYLE_MODELS")
    for folder in (Path(named) if named else None, package / "models", package.parent / "models"):
        if folder is not None and (folder / "manifest.json").is_file():
            return folder
    raise WeightsError("no models found: install videostyle with its models, or set VIDEOSTYLE_MODELS to their folder")


def gallery() -> list[GalleryEntry]:
    """All shipped styles, by network and name; reads the manifest only."""
    return _manifest()[1]


def _manifest() -> tuple[dict[str, tuple[Path, str]], list[GalleryEntry]]:
    """File and SHA-256 of every network by name, and the gallery; raises WeightsError."""
    folder = models_folder()
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        networks = {name: (folder / entry["file"], entry["sha256"]) for name, entry in manifest["networks"].items()}
        styles = [
            GalleryEntry(**{**style, "file": folder / style["file"]})
            for style in sorted(manifest["styles"], key=lambda style: (style["network"], style["name"]))
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{folder / 'manifest.json'}: damaged ({error}); install videostyle again") from error
    return networks, styles


def load_network(name: str) -> Network:
    """A shipped network by name; raises UnknownNameError, or WeightsError if the file is missing or damaged."""
    import torch

    from videostyle.nets.transformer import Architecture, Transformer

    networks, _ = _manifest()
    if name not in networks:
        raise UnknownNameError.among("network", name, networks)
    path, expected = networks[name]
    tensors, card, digest = _read(path, "network")
    if digest != expected:
        raise WeightsError(f"{path}: its checksum is not the manifest's; install videostyle again")
    sizes = card["architecture"]
    net = Transformer(Architecture(**{**sizes, "widths": tuple(sizes["widths"])}))
    identity = tensors.pop("identity")
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(f"{path}: its tensors do not fit its architecture") from error
    net.requires_grad_(False).eval().to(memory_format=torch.channels_last)
    return Network(name, net, identity, digest, card)


def load_style(style: Style) -> tuple[Network, Tensor]:
    """The network and the code (1, code_size) of a blend at its strength.

    Names are looked up in the gallery; anything with a path separator or ending in .safetensors is a file.
    Raises UnknownNameError suggesting near names, UsageError if the styles need different networks, WeightsError.
    """
    import torch

    entries = {entry.name: entry for entry in gallery() if entry.network == style.network}
    network = load_network(style.network)
    total = sum(weight for _, weight in style.blend)
    blended = torch.zeros_like(network.identity)
    for name, weight in style.blend:
        blended += weight / total * _code(name, network, entries)
    return network, torch.lerp(network.identity, blended, style.strength)


def _code(name: str, network: Network, entries: dict[str, GalleryEntry]) -> Tensor:
    if name == "none":
        return network.identity
    if name in entries:
        entry = entries[name]
        tensors, card, digest = _read(entry.file, "style")
        if digest != entry.sha256:
            raise WeightsError(f"{entry.file}: its checksum is not the manifest's; install videostyle again")
    elif name.endswith(".safetensors") or os.sep in name:
        tensors, card, _ = _read(Path(name), "style")
    else:
        raise UnknownNameError.among("style", name, [*entries, "none"])
    if card["network_sha256"] != network.sha256:
        raise UsageError(f"{name}: made for another network ({card['network']}) than {network.name} as installed here")
    return tensors["code"]


def _read(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    from safetensors import SafetensorError, safe_open

    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with safe_open(path, "pt") as file:
            card = json.loads((file.metadata() or {}).get(_KEY, "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (SafetensorError, ValueError) as error:
        raise WeightsError(f"{path}: not a safetensors file, or damaged ({error})") from error
    if card.get("kind") != kind:
        raise WeightsError(f"{path}: not a videostyle {kind} file")
    return tensors, card, digest


def save_network(path: Path, name: str, net: Transformer, identity: Tensor, card: dict[str, Any]) -> str:
    """Write a network file; returns its SHA-256."""
    tensors = {**net.state_dict(), "identity": identity}
    return _write(path, tensors, {**card, "kind": "network", "name": name, "architecture": asdict(net.architecture)})


def save_style(path: Path, code: Tensor, network: str, network_sha256: str, card: dict[str, Any]) -> str:
    """Write the file of one style code (1, code_size); returns its SHA-256."""
    return _write(path, {"code": code}, {**card, "kind": "style", "network": network, "network_sha256": network_sha256})


def _write(path: Path, tensors: dict[str, Tensor], card: dict[str, Any]) -> str:
    from safetensors.torch import save

    data = save({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, {_KEY: json.dumps(card)})
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(data)
    os.replace(partial, path)
    return hashlib.sha256(data).hexdigest()


def write_manifest(folder: Path) -> None:
    """List every network and style file under `folder` in its manifest.json, with checksums."""
    networks: dict[str, dict[str, str]] = {}
    styles: list[dict[str, Any]] = []
    for path, card, digest in _cards(folder):
        where = path.relative_to(folder).as_posix()
        if card["kind"] == "network":
            networks[card["name"]] = {"file": where, "sha256": digest}
        else:
            entry = {key: card.get(key, "") for key in ("name", "network", "title", "painter", "year")}
            styles.append({**entry, "file": where, "sha256": digest, "size": path.stat().st_size})
    text = json.dumps({"networks": networks, "styles": styles}, indent=2, ensure_ascii=False)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")


def _cards(folder: Path) -> Iterator[tuple[Path, dict[str, Any], str]]:
    from safetensors import safe_open

    for path in sorted(folder.rglob("*.safetensors")):
        with safe_open(path, "pt") as file:
            card = json.loads((file.metadata() or {}).get(_KEY, "{}"))
        if card.get("kind") in ("network", "style"):
            yield path, card, hashlib.sha256(path.read_bytes()).hexdigest()
