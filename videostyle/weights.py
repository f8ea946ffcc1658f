"""Networks and style codes on disk: safetensors files that say what they are, and the gallery that lists them.

A *network file* holds a trunk, the identity's code, and the sizes to build it from. A *style file* holds one code, a
few kilobytes, and names the trunk it belongs to by the trunk's checksum. Both carry their card (painting, recipe,
losses, licence) in the file's own metadata. `models/manifest.json` lists the shipped files with their SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videostyle.errors import UnknownNameError, UsageError, WeightsError
from videostyle.plan import Blend, Key, Style, Timeline

if TYPE_CHECKING:
    from torch import Tensor

    from videostyle.nets.transformer import Transformer
    from videostyle.nets.vgg import Perceptual

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
    own: bool = False
    """True for one of the user's, False for one that came with videostyle."""


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
    for folder in _folders():
        return folder
    raise WeightsError("no models found: install videostyle with its models, or set VIDEOSTYLE_MODELS to their folder")


def _folders() -> Iterator[Path]:
    package = Path(__file__).parent
    named = os.environ.get("VIDEOSTYLE_MODELS")
    for folder in (Path(named) if named else None, package / "models", package.parent / "models"):
        if folder is not None and (folder / "manifest.json").is_file():
            yield folder


def gallery() -> list[GalleryEntry]:
    """All shipped styles, by network and name; reads the manifest only."""
    return read_manifest(models_folder())[1]


def styles_folder() -> Path:
    """Where the user's own styles are: $VIDEOSTYLE_STYLES, or where the system keeps a user's data."""
    if named := os.environ.get("VIDEOSTYLE_STYLES"):
        return Path(named)
    if sys.platform == "win32":
        data = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        data = Path.home() / "Library" / "Application Support"
    else:
        data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return data / "videostyle" / "styles"


def own_styles() -> list[GalleryEntry]:
    """The user's own styles, by network and name, which is the file's; other and damaged files are passed over."""
    found = [
        GalleryEntry(**_about(card) | {"name": path.stem}, file=path, sha256=digest, size=path.stat().st_size, own=True)
        for path, card, digest in _cards(styles_folder().glob("*.safetensors"))
        if card["kind"] == "style"
    ]
    return sorted(found, key=lambda entry: (entry.network, entry.name))


def own_network(style: Path) -> Path:
    """The file of the network that comes with a style learned together with it; there is none for most."""
    return style.parent / f"{style.stem}.network.safetensors"


def read_manifest(folder: Path) -> tuple[dict[str, tuple[Path, str]], list[GalleryEntry]]:
    """File and SHA-256 of every network by name, and the styles, in a models folder; raises WeightsError."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        networks = {name: (folder / entry["file"], entry["sha256"]) for name, entry in manifest["networks"].items()}
        styles = [
            GalleryEntry(**{**style, "file": folder / style["file"]})
            for style in sorted(manifest["styles"], key=lambda style: (style["network"], style["name"]))
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, error) from error
    return networks, styles


def load_network(name: str) -> Network:
    """A shipped network by name; raises UnknownNameError, or WeightsError if the file is missing or damaged."""
    networks, _ = read_manifest(models_folder())
    if name not in networks:
        raise UnknownNameError.among("network", name, networks)
    return read_network(name, *networks[name])


def read_network(name: str, path: Path, expected: str) -> Network:
    """The network in a file whose SHA-256 must be `expected`; raises WeightsError."""
    import torch

    from videostyle.nets.transformer import Architecture, Transformer

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


def _damaged(folder: Path, error: Exception) -> WeightsError:
    return WeightsError(f"{folder / 'manifest.json'}: damaged ({error}); install videostyle again")


def perceptual(name: str, path: Path | None = None) -> Perceptual:
    """A frozen perceptual network: a shipped one if `path` is None and there is one of that name (`vgg19-small`).

    Any other is `nets.vgg.load_perceptual`'s. Raises UnknownNameError, or WeightsError if a file is missing, damaged or
    not the one that the manifest lists.
    """
    from videostyle.nets.vgg import load_perceptual

    # A models folder that training left has none: look on, in the installed one.
    for folder in _folders() if path is None else ():
        try:
            listed = json.loads((folder / "manifest.json").read_text(encoding="utf-8")).get("perceptual", {})
            entry = listed.get(name)
            if entry is None:
                continue
            path, expected = folder / entry["file"], entry["sha256"]
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise _damaged(folder, error) from error
        if _read(path, "perceptual")[2] != expected:
            raise WeightsError(f"{path}: its checksum is not the manifest's; install videostyle again")
        break
    return load_perceptual(name, path)


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """The codes of a style along the film."""

    identity: Tensor
    blends: Timeline[Tensor]
    regions: tuple[Tensor, ...]
    strengths: Timeline[float]

    def at(self, time: Fraction) -> Tensor:
        """(1 + regions, code_size): the code of the style at `time`, and those of its regions."""
        import torch

        first, second, share = self.blends.around(time)
        weak, strong, way = self.strengths.around(time)
        full = torch.cat([torch.lerp(first, second, share), *self.regions])
        return torch.lerp(self.identity, full, weak + way * (strong - weak))


def load_style(style: Style) -> tuple[Network, Tensor]:
    """The network and the code (1 + regions, code_size) of a style as the film begins; errors as `load_codes`."""
    network, codes = load_codes(style)
    return network, codes.at(Fraction(0))


def load_codes(style: Style) -> tuple[Network, Codes]:
    """The network and the codes of a style along the film.

    Names are looked up in the gallery and among the user's own; anything with a path separator or ending in
    .safetensors is a file. A style that comes with its own network is painted by it.
    Raises UnknownNameError suggesting near names, UsageError if the styles need different networks, WeightsError.
    """
    import torch

    entries = {entry.name: entry for entry in (*gallery(), *own_styles()) if entry.network == style.network}
    files = [entries[name].file if name in entries else Path(name) for name in style.names]
    own = next((file for file in files if own_network(file).is_file()), None)
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


def read_style(path: Path) -> tuple[Tensor, dict[str, Any]]:
    """The code (1, code_size) in a style file, and its card; raises WeightsError."""
    tensors, card, _ = _read(path, "style")
    return tensors["code"], card


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


def save_perceptual(path: Path, name: str, tensors: dict[str, Tensor], card: dict[str, Any]) -> str:
    """Write the file of a small perceptual network, as `train.distil` makes its tensors; returns its SHA-256."""
    return _write(path, tensors, {**card, "kind": "perceptual", "name": name})


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
    """List every network, perceptual and style file under `folder` in its manifest.json, with checksums."""
    listed: dict[str, dict[str, dict[str, str]]] = {"network": {}, "perceptual": {}}
    styles: list[dict[str, Any]] = []
    for path, card, digest in _cards(folder.rglob("*.safetensors")):
        where = path.relative_to(folder).as_posix()
        if card["kind"] in listed:
            listed[card["kind"]][card["name"]] = {"file": where, "sha256": digest}
        else:
            styles.append({**_about(card), "file": where, "sha256": digest, "size": path.stat().st_size})
    manifest = {"networks": listed["network"], "perceptual": listed["perceptual"], "styles": styles}
    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")


def _about(card: dict[str, Any]) -> dict[str, str]:
    return {key: str(card.get(key, "")) for key in ("name", "network", "title", "painter", "year")}


def _cards(paths: Iterable[Path]) -> Iterator[tuple[Path, dict[str, Any], str]]:
    """The network, perceptual and style files among `paths`, their cards and checksums.

    Needs no torch: a safetensors file begins with the length of its header, and the header is JSON.
    """
    for path in sorted(paths):
        try:
            data = path.read_bytes()
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            card = json.loads(header["__metadata__"][_KEY])
        except (OSError, ValueError, LookupError, TypeError):
            continue
        if card.get("kind") in ("network", "perceptual", "style"):
            yield path, card, hashlib.sha256(data).hexdigest()
