"""Gallery: the shipped styles of `manifest.json` and the user's own. Reading it needs no torch."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import platformdirs
from pydantic import BaseModel, Field, ValidationError

from videostyle import tensorfile
from videostyle.errors import WeightsError, first_problem
from videostyle.partial_files import atomic_write
from videostyle.tensorfile import Card, TensorFile


@dataclass(frozen=True, slots=True)
class GalleryEntry:
    """Entry of the gallery, as `videostyle styles` lists it."""

    name: str
    network: str
    """Name of the style network, fast or fine."""
    title: str
    painter: str
    year: str
    file: Path
    sha256: str
    size: int
    """Size of the style file, in bytes."""
    own: bool = False
    """True for a style of the user's own, False for a shipped one."""


def models_folder() -> Path:
    """Return the folder of the shipped models.

    It is $VIDEOSTYLE_MODELS, or in the installed package, or beside the package in a checkout. Raises WeightsError.
    """
    for folder in model_folders():
        return folder
    raise WeightsError("no models found: install videostyle with its models, or set VIDEOSTYLE_MODELS to their folder")


def model_folders() -> Iterator[Path]:
    """Yield the folders with models in order of preference; see `models_folder`."""
    package = Path(__file__).parents[1]
    named = os.environ.get("VIDEOSTYLE_MODELS")
    for folder in (Path(named) if named else None, package / "models", package.parent / "models"):
        if folder is not None and (folder / "manifest.json").is_file():
            yield folder


def gallery() -> list[GalleryEntry]:
    """List all shipped styles, by network and name; reads the manifest only."""
    return read_manifest(models_folder())[1]


def styles_folder() -> Path:
    """Return the folder of the user's own styles: $VIDEOSTYLE_STYLES, or in the system's folder of user data."""
    if named := os.environ.get("VIDEOSTYLE_STYLES"):
        return Path(named)
    return platformdirs.user_data_path("videostyle", appauthor=False) / "styles"


def cache_folder(name: str) -> Path:
    """Return the folder `name` in $VIDEOSTYLE_CACHE, or where the system keeps a user's caches."""
    named = os.environ.get("VIDEOSTYLE_CACHE")
    return (Path(named) if named else platformdirs.user_cache_path("videostyle", appauthor=False)) / name


def own_styles(on_damaged: Callable[[str], None] | None = None) -> list[GalleryEntry]:
    """List the user's own styles, by network and name; the name is that of the file.

    Unreadable files are skipped, and so is an unreadable folder; `on_damaged` is called with one line for each.
    """
    folder = styles_folder()
    try:
        paths = [folder / name for name in os.listdir(folder) if name.endswith(".safetensors")]
    except FileNotFoundError:
        paths = []
    except OSError as error:
        paths = []
        if on_damaged is not None:
            on_damaged(f"{folder}: cannot be read ({error.strerror})")
    found = [
        GalleryEntry(
            **_listed_fields(file.card) | {"name": file.path.stem},
            file=file.path,
            sha256=file.sha256,
            size=file.size,
            own=True,
        )
        for file in _readable(paths, on_damaged)
        if file.card.kind == "style"
    ]
    return sorted(found, key=lambda entry: (entry.network, entry.name))


def own_network(style: Path) -> Path:
    """Return the path of the network that was learned together with a style; most styles have none."""
    return style.parent / f"{style.stem}.network.safetensors"


class _Listed(BaseModel):
    """Entry of the manifest for a file."""

    file: str
    sha256: str


class _ListedStyle(_Listed):
    # Files are named after styles.
    name: Annotated[str, Field(pattern=r"^[^./\\\x00-\x1f][^/\\\x00-\x1f]*$", max_length=200)]
    network: str
    title: str
    painter: str
    year: str
    size: int


class Manifest(BaseModel):
    """Contents of `manifest.json`; keys that newer versions add are ignored."""

    networks: dict[str, _Listed]
    loss_networks: dict[str, _Listed] = {}
    predictors: dict[str, _Listed] = {}
    """Code predictors, by the name of their style network."""
    styles: list[_ListedStyle]


def load_manifest(folder: Path) -> Manifest:
    """Read `manifest.json` of a models folder; raises WeightsError."""
    path = folder / "manifest.json"
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise WeightsError(f"{path}: damaged ({first_problem(error)}); install videostyle again") from error
    except OSError as error:
        raise WeightsError(f"{path}: damaged ({error.strerror or error}); install videostyle again") from error


def read_manifest(folder: Path) -> tuple[dict[str, tuple[Path, str]], list[GalleryEntry]]:
    """Return file and SHA-256 of every network by name, and the styles, of a models folder; raises WeightsError."""
    manifest = load_manifest(folder)
    networks = {name: (folder / entry.file, entry.sha256) for name, entry in manifest.networks.items()}
    listed = sorted(manifest.styles, key=lambda style: (style.network, style.name))
    return networks, [GalleryEntry(**style.model_dump() | {"file": folder / style.file}) for style in listed]


def write_manifest(folder: Path) -> None:
    """List every model and style file under `folder` in its manifest.json, with checksums."""
    listed: dict[str, dict[str, dict[str, str]]] = {"network": {}, "loss_network": {}, "predictor": {}}
    styles: list[dict[str, Any]] = []
    for file in _readable(folder.rglob("*.safetensors")):
        where = file.path.relative_to(folder).as_posix()
        if file.card.kind in listed:
            name = file.card.network if file.card.kind == "predictor" else file.card.name
            listed[file.card.kind][name] = {"file": where, "sha256": file.sha256}
        else:
            styles.append({**_listed_fields(file.card), "file": where, "sha256": file.sha256, "size": file.size})
    manifest = {f"{kind}s": files for kind, files in listed.items()} | {"styles": styles}
    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    atomic_write(folder / "manifest.json", text + "\n")


def _listed_fields(card: Card) -> dict[str, Any]:
    return card.model_dump(include={"name", "network", "title", "painter", "year"})


def _readable(paths: Iterable[Path], on_damaged: Callable[[str], None] | None = None) -> Iterator[TensorFile]:
    """Yield the readable files among `paths`; `on_damaged` is called with one line for each other. Needs no torch."""
    for path in sorted(paths):
        try:
            yield tensorfile.read(path)
        except WeightsError as error:
            if on_damaged is not None:
                on_damaged(str(error))
