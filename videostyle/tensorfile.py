"""Tensor files: the one reader of network, style and predictor files, which validates every part.

A file is in the safetensors format. Its *card* is JSON under the key `videostyle` of the file's own metadata. The
declared sizes, the card and the numbers are all validated.
"""

from __future__ import annotations

import hashlib
import json
import stat
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from safetensors import SafetensorError, deserialize

from videostyle.errors import WeightsError, first_problem

KEY = "videostyle"
"""Key of the card in a file's metadata."""
LARGEST_CODE = 100.0
"""Limit of the absolute values of a code; the largest of a shipped style is 4.3."""
LARGEST_WEIGHT = 10_000.0
"""Limit of the absolute values of a network; the largest of a shipped one is 11.6."""
_LARGEST_FILE = 2**31

_FLOATS = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}
_Text = Annotated[str, Field(max_length=1000)]
_Name = Annotated[str, Field(min_length=1, max_length=200)]


class Card(BaseModel):
    """Card of a file: the fields that programs read. It may have more, for people."""

    model_config = ConfigDict(extra="allow", frozen=True, coerce_numbers_to_str=True)

    name: _Text = ""
    network: _Text = ""
    title: _Text = ""
    painter: _Text = ""
    year: _Text = ""


class StyleCard(Card):
    """Card of a style: one code, and the network that it was made for."""

    kind: Literal["style"]
    network: _Name
    network_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class NetworkCard(Card):
    """Card of a style network, with the sizes to build it from."""

    kind: Literal["network"]
    name: _Name
    architecture: dict[str, Any]


class LossNetworkCard(Card):
    """Card of a loss network."""

    kind: Literal["loss_network"]
    name: _Name


class PredictorCard(Card):
    """Card of a code predictor, and the style network that its codes are for."""

    kind: Literal["predictor"]
    network: _Name
    network_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    gallery: list[_Name] = []
    """Names of the paintings whose bottlenecks are in the file."""


AnyCard = StyleCard | NetworkCard | LossNetworkCard | PredictorCard
_CARDS: TypeAdapter[AnyCard] = TypeAdapter(Annotated[AnyCard, Field(discriminator="kind")])


@dataclass(frozen=True, slots=True, eq=False)
class TensorFile:
    """Validated contents of a file."""

    path: Path
    card: AnyCard
    metadata: dict[str, Any]
    """The card as it was written, with the fields for people."""
    arrays: dict[str, np.ndarray]
    """Arrays by name: float32, finite and within the limit of their kind; packed numbers of loss networks are uint8."""
    sha256: str
    size: int
    """Size of the file in bytes."""


def read(path: Path) -> TensorFile:
    """Read a style network, loss network, predictor or style file; raises WeightsError if anything is wrong with it."""
    data = _bytes(path)
    try:
        metadata = _metadata(data)
        stored = deserialize(data)
    except (SafetensorError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise WeightsError(f"{path}: not a safetensors file, or damaged ({_first_line(error)})") from error
    if metadata is None:
        raise WeightsError(f"{path}: not a videostyle file")
    try:
        card = _CARDS.validate_python(metadata)
    except ValidationError as error:
        # The first part of the place is the kind of card.
        problem = first_problem(error).removeprefix(f"{metadata.get('kind')}.")
        raise WeightsError(f"{path}: not a videostyle file, or its card is damaged ({problem})") from error
    limit = LARGEST_CODE if card.kind == "style" else LARGEST_WEIGHT
    arrays = {
        name: _array(path, name, one, limit, card.kind == "loss_network")
        for name, one in sorted(stored, key=itemgetter(0))
    }
    if card.kind == "style" and not _is_code(arrays):
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items()) or "nothing"
        raise WeightsError(f"{path}: a style file holds one code of shape [1, n], this one {shapes}")
    return TensorFile(path, card, metadata, arrays, hashlib.sha256(data).hexdigest(), len(data))


def _bytes(path: Path) -> bytes:
    try:
        status = path.stat()
        # Reading a pipe could block for ever.
        if not stat.S_ISREG(status.st_mode):
            raise WeightsError(f"{path}: not a file")
        if status.st_size > _LARGEST_FILE:
            raise WeightsError(f"{path}: too large for a network or a style ({status.st_size / 1e9:.1f} GB)")
        return path.read_bytes()
    except WeightsError:
        raise
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _metadata(data: bytes) -> dict[str, Any] | None:
    """Return the card in the header: the file begins with the header's length, and the header is JSON."""
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= len(data) - 8:
        raise ValueError("its header is longer than the file")
    header = json.loads(data[8 : 8 + length])
    if not isinstance(header, dict):
        raise ValueError("its header is no table")
    metadata = header.get("__metadata__")
    text = metadata.get(KEY) if isinstance(metadata, dict) else None
    if text is None:
        return None
    metadata = json.loads(text)
    if not isinstance(metadata, dict):
        raise ValueError("its card is no table")
    return metadata


def _array(path: Path, name: str, stored: dict[str, Any], limit: float, packed: bool) -> np.ndarray:
    """Convert a stored tensor of half, single or double precision to float32."""
    kind, data = stored["dtype"], stored["data"]
    if kind == "U8" and packed:
        return np.frombuffer(data, np.uint8).reshape(stored["shape"]).copy()
    if kind == "BF16":  # the upper half of a float32
        values = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    elif kind in _FLOATS:
        values = np.frombuffer(data, _FLOATS[kind])
    else:
        raise WeightsError(f"{path}: {name} holds numbers of type {kind}; floating-point numbers are needed")
    if not (np.abs(values) <= limit).all():
        raise WeightsError(f"{path}: damaged: {name} holds values that are not finite, or beyond ±{limit:g}")
    return values.astype(np.float32).reshape(stored["shape"])


def _is_code(arrays: dict[str, np.ndarray]) -> bool:
    shape = arrays["code"].shape if arrays.keys() == {"code"} else ()
    return len(shape) == 2 and shape[0] == 1 and shape[1] > 1


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
