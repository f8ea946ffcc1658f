"""Networks and style codes on disk: safetensors files that say what they are, and the gallery that lists them.

A *network file* holds a trunk, the identity's code, and the sizes to build it from. A *style file* holds one code, a
few kilobytes, and names the trunk it belongs to by the trunk's checksum. Both carry their card (painting, recipe,
losses, licence) in the file's own metadata. `models/manifest.json` lists the shipped files with their SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
from pydantic import BaseModel, TypeAdapter, ValidationError

from videostyle import tensorfile
from videostyle.errors import UnknownNameError, UsageError, WeightsError
from videostyle.files import make_folder
from videostyle.partial_files import atomic_write
from videostyle.style import Blend, Style
from videostyle.tensorfile import Card, NetworkCard, StyleCard, TensorFile
from videostyle.timeline import Key, Timeline

if TYPE_CHECKING:
    from torch import Tensor

    from videostyle.nets.style_network import Architecture, StyleNetwork
    from videostyle.nets.vgg import LossNetwork

# No number in an architecture is larger; a damaged one must not ask for all the memory there is.
_LARGEST_NUMBER = 4096


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
    net: StyleNetwork
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
    return platformdirs.user_data_path("videostyle", appauthor=False) / "styles"


def own_styles(on_damaged: Callable[[str], None] | None = None) -> list[GalleryEntry]:
    """The user's own styles, by network and name, which is the file's.

    Files that cannot be read are passed over; `on_damaged` is told of each in a line.
    """
    found = [
        GalleryEntry(
            **_about(file.card) | {"name": file.path.stem}, file=file.path, sha256=file.sha256, size=file.size, own=True
        )
        for file in _readable(styles_folder().glob("*.safetensors"), on_damaged)
        if file.card.kind == "style"
    ]
    return sorted(found, key=lambda entry: (entry.network, entry.name))


def own_network(style: Path) -> Path:
    """The file of the network that comes with a style learned together with it; there is none for most."""
    return style.parent / f"{style.stem}.network.safetensors"


class _Listed(BaseModel):
    """A file in the manifest."""

    file: str
    sha256: str


class _ListedStyle(_Listed):
    name: str
    network: str
    title: str
    painter: str
    year: str
    size: int


class _Manifest(BaseModel):
    """`manifest.json`; what it has beside this is left to newer versions."""

    networks: dict[str, _Listed]
    loss_networks: dict[str, _Listed] = {}
    styles: list[_ListedStyle]


def _manifest(folder: Path) -> _Manifest:
    path = folder / "manifest.json"
    try:
        return _Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = f"{where}: {first['msg']}" if where else first["msg"]
        raise WeightsError(f"{path}: damaged ({reason}); install videostyle again") from error
    except OSError as error:
        raise WeightsError(f"{path}: damaged ({error.strerror or error}); install videostyle again") from error


def read_manifest(folder: Path) -> tuple[dict[str, tuple[Path, str]], list[GalleryEntry]]:
    """File and SHA-256 of every network by name, and the styles, in a models folder; raises WeightsError."""
    manifest = _manifest(folder)
    networks = {name: (folder / entry.file, entry.sha256) for name, entry in manifest.networks.items()}
    listed = sorted(manifest.styles, key=lambda style: (style.network, style.name))
    return networks, [GalleryEntry(**style.model_dump() | {"file": folder / style.file}) for style in listed]


def load_network(name: str) -> Network:
    """A shipped network by name; raises UnknownNameError, or WeightsError if the file is missing or damaged."""
    networks, _ = read_manifest(models_folder())
    if name not in networks:
        raise UnknownNameError.among("network", name, networks)
    return read_network(name, *networks[name])


def read_network(name: str, path: Path, expected: str) -> Network:
    """The network in a file whose SHA-256 must be `expected`; raises WeightsError."""
    import torch

    file = _read(path, "network")
    if file.sha256 != expected:
        raise _other_checksum(path)
    assert isinstance(file.card, NetworkCard)
    tensors = {key: torch.from_numpy(array) for key, array in file.arrays.items()}
    identity = tensors.pop("identity", None)
    net = _built(path, file.card.architecture, tensors)
    if identity is None or identity.shape != (1, net.code_size):
        raise WeightsError(f"{path}: damaged: it has no code of strength 0 that fits it")
    net.requires_grad_(False).eval().to(memory_format=torch.channels_last)
    return Network(name, net, identity, file.sha256, file.told)


def _built(path: Path, sizes: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> StyleNetwork:
    """The network of these sizes with these tensors in it."""
    import torch

    from videostyle.nets.style_network import StyleNetwork

    architecture = _architecture(path, sizes)
    try:
        with torch.device("meta"):  # its shapes, before any memory is asked for
            shapes = {key: value.shape for key, value in StyleNetwork(architecture).state_dict().items()}
        if shapes != {key: value.shape for key, value in tensors.items()}:
            raise WeightsError(f"{path}: its tensors do not fit its architecture")
        net = StyleNetwork(architecture)
        net.load_state_dict(dict(tensors))
    except WeightsError:
        raise
    except Exception as error:  # whatever the layers met in sizes that make no network
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
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise WeightsError(f"{path}: damaged: its architecture's {where}: {first['msg']}") from error


def _other_checksum(path: Path) -> WeightsError:
    return WeightsError(f"{path}: its checksum is not the manifest's; install videostyle again")


def load_loss_network(name: str, path: Path | None = None) -> LossNetwork:
    """A frozen loss network: a shipped one if `path` is None and there is one of that name (`vgg19-small`).

    Any other is `nets.vgg.build_loss_network`'s. Raises UnknownNameError, or WeightsError if a file is missing, damaged
    or not the one that the manifest lists.
    """
    from videostyle.nets.vgg import build_loss_network

    # A models folder that training left has none: look on, in the installed one.
    for folder in _folders() if path is None else ():
        entry = _manifest(folder).loss_networks.get(name)
        if entry is not None:
            path = folder / entry.file
            if _read(path, "loss_network").sha256 != entry.sha256:
                raise _other_checksum(path)
            break
    return build_loss_network(name, path)


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
    for name in style.names:
        if name not in entries and _is_painting(name):
            learn = f"videostyle learn {shlex.quote(name)}"
            raise UsageError(f"{name}: is a picture, not a style; learn it first, in ten minutes or so: {learn}")
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


def _is_painting(name: str) -> bool:
    """True for the file of a picture, whether it is there or not."""
    return (mimetypes.guess_type(name)[0] or "").startswith("image/") or Path(name).suffix.lower() == ".webp"


def _code(name: str, network: Network, entries: dict[str, GalleryEntry]) -> Tensor:
    import torch

    if name == "none":
        return network.identity
    if name in entries:
        entry = entries[name]
        file = _read(entry.file, "style")
        if file.sha256 != entry.sha256:
            raise _other_checksum(entry.file)
    elif name.endswith(".safetensors") or os.sep in name:
        file = _read(Path(name), "style")
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
    """A style of the user's own that is not listed: its file is damaged, which this says, or of another network."""
    file = styles_folder() / f"{name}.safetensors"
    if not os.path.exists(file):
        raise UnknownNameError.among("style", name, [*entries, "none"])
    return _read(file, "style")


def read_style(path: Path) -> tuple[Tensor, dict[str, Any]]:
    """The code (1, code_size) in a style file, and its card; raises WeightsError."""
    import torch

    file = _read(path, "style")
    return torch.from_numpy(file.arrays["code"]), file.told


def _read(path: Path, kind: str) -> TensorFile:
    file = tensorfile.read(path)
    if file.card.kind != kind:
        raise WeightsError(f"{path}: not a videostyle {kind} file")
    return file


def save_network(path: Path, name: str, net: StyleNetwork, identity: Tensor, card: dict[str, Any]) -> str:
    """Write a network file; returns its SHA-256."""
    tensors = {**net.state_dict(), "identity": identity}
    return _write(path, tensors, {**card, "kind": "network", "name": name, "architecture": asdict(net.architecture)})


def save_loss_network(path: Path, name: str, tensors: dict[str, Tensor], card: dict[str, Any]) -> str:
    """Write the file of a small loss network, as `train.distil` makes its tensors; returns its SHA-256."""
    return _write(path, tensors, {**card, "kind": "loss_network", "name": name})


def save_style(
    path: Path, code: Tensor, network: str, network_sha256: str, card: dict[str, Any], *, overwrite: bool = True
) -> str:
    """Write the file of one style code (1, code_size); returns its SHA-256.

    Raises SinkError, and UsageError where the file exists and may not be overwritten.
    """
    about = {**card, "kind": "style", "network": network, "network_sha256": network_sha256}
    return _write(path, {"code": code}, about, overwrite=overwrite)


def _write(path: Path, tensors: dict[str, Tensor], card: dict[str, Any], *, overwrite: bool = True) -> str:
    from safetensors.torch import save

    data = save(
        {key: value.detach().cpu().contiguous() for key, value in tensors.items()}, {tensorfile.KEY: json.dumps(card)}
    )
    make_folder(path.parent)
    atomic_write(path, data, overwrite=overwrite)
    return hashlib.sha256(data).hexdigest()


def write_manifest(folder: Path) -> None:
    """List every network, loss network and style file under `folder` in its manifest.json, with checksums."""
    listed: dict[str, dict[str, dict[str, str]]] = {"network": {}, "loss_network": {}}
    styles: list[dict[str, Any]] = []
    for file in _readable(folder.rglob("*.safetensors")):
        where = file.path.relative_to(folder).as_posix()
        if file.card.kind in listed:
            listed[file.card.kind][file.card.name] = {"file": where, "sha256": file.sha256}
        else:
            styles.append({**_about(file.card), "file": where, "sha256": file.sha256, "size": file.size})
    manifest = {"networks": listed["network"], "loss_networks": listed["loss_network"], "styles": styles}
    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    atomic_write(folder / "manifest.json", text + "\n")


def _about(card: Card) -> dict[str, Any]:
    return card.model_dump(include={"name", "network", "title", "painter", "year"})


def _readable(paths: Iterable[Path], on_damaged: Callable[[str], None] | None = None) -> Iterator[TensorFile]:
    """Of `paths`, the files that can be read; `on_damaged` is told of the others. Needs no torch."""
    for path in sorted(paths):
        try:
            yield tensorfile.read(path)
        except WeightsError as error:
            if on_damaged is not None:
                on_damaged(str(error))
