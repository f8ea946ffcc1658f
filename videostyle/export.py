"""Export of a style to a file that other programs paint with: ONNX, or OpenVINO's IR.

The file holds the network and the product's treatment of a picture around it: padding to the stride and cropping,
strength, and the fade to the film in the dark. It stylizes a batch of pictures (N, 3, H, W) of any size, in every style
of the network: the code is an input, and the codes of the gallery are in the file's metadata. What depends on the
frame before (the warped output, its confidence mask, moving noise) are inputs, empty by default. Every picture is
normalised by its own statistics (`--statistics frame`); scaling for brushes and keeping colours are the caller's.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from videostyle import __version__
from videostyle.errors import MissingDependencyError, UsageError
from videostyle.files import check_output
from videostyle.partial_files import reserve_output
from videostyle.style import Blend, Style, as_blend
from videostyle.weights import Network, gallery, load_codes, own_styles, read_style

if TYPE_CHECKING:
    import onnx

    from videostyle.nets.onnx_graph import Graph, Name

FORMATS = {".onnx": "ONNX", ".xml": "OpenVINO IR"}
_FAR = 2**31 - 1  # the end of a dimension, for ONNX's Slice


@dataclass(frozen=True, slots=True)
class ExportReport:
    """Exported file: its format, network and styles."""

    output: str
    format: str
    network: str
    styles: list[str]
    """Names of the styles whose codes are in the metadata, the exported one first."""
    bytes: int


def export_style(
    style: str | Mapping[str, float] | Blend | Style,
    output: str | Path,
    *,
    network: str = "fast",
    defaults: bool = True,
    overwrite: bool = False,
) -> ExportReport:
    """Write the network of `style` to a file: .onnx, or .xml (OpenVINO IR, with a .bin beside it).

    In an ONNX file every input but the content has a default value, which ONNX Runtime lets the caller override.
    Without `defaults`, and in OpenVINO's IR, all have to be given. Raises UsageError, SinkError, WeightsError,
    UnknownNameError, MissingDependencyError.
    """
    path = Path(output)
    if path.suffix.lower() not in FORMATS:
        known = " or ".join(f"{suffix} ({name})" for suffix, name in FORMATS.items())
        raise UsageError(f"{path}: the ending of the name decides the format; use {known}")
    chosen = style if isinstance(style, Style) else Style(as_blend(style), network=network)
    sources = [name for name in chosen.names if Path(name).exists()]
    as_ir = path.suffix.lower() == ".xml"
    outputs = [path, path.with_suffix(".bin")] if as_ir else [path]
    for each in outputs:
        check_output(each, overwrite=overwrite, sources=sources)
    try:
        from videostyle.nets import onnx_graph  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(f"export needs {error.name}: pip install onnx onnxruntime") from error
    loaded, codes = load_codes(chosen)
    code = codes.blends.keys[0].value.numpy()
    label = "+".join(name if weight == 1 else f"{name}:{weight:g}" for name, weight in chosen.blends.keys[0].value)
    known_codes = {label: code} | gallery_codes(loaded)
    metadata = _metadata(loaded, chosen, label, known_codes)
    model = build_model(loaded, code if defaults and not as_ir else None, metadata)
    files = _ir(model, metadata) if as_ir else [model.SerializeToString()]
    _write(outputs, files, overwrite=overwrite, sources=sources)
    return ExportReport(str(output), FORMATS[path.suffix.lower()], loaded.name, list(known_codes), sum(map(len, files)))


def gallery_codes(network: Network) -> dict[str, np.ndarray]:
    """Return the codes (1, code_size) of the shipped and the user's own styles of this network, by name."""
    found = {}
    for entry in (*gallery(), *own_styles()):
        if entry.network == network.name:
            code, card = read_style(entry.file)
            if card["network_sha256"] == network.sha256:
                found[entry.name] = code.numpy()
    return found


def _metadata(network: Network, style: Style, label: str, codes: dict[str, np.ndarray]) -> dict[str, str]:
    """Return what the file says of itself: JSON in `card` and `styles`, arrays as float32 in base64."""
    listed = {entry.name: entry.file for entry in (*gallery(), *own_styles()) if entry.network == network.name}
    files = {name: listed.get(name, Path(name)) for name in style.names}
    cards: dict[str, Any] = {
        name: read_style(file)[1] if file.suffix == ".safetensors" else {} for name, file in files.items()
    }
    licences = {str(card.get("licence", "not stated")) for card in (network.card, *cards.values())}
    return {
        "name": label,
        "producer": f"videostyle {__version__}",
        "license": ", ".join(sorted(licences)),
        "network": network.name,
        "network_sha256": network.sha256,
        "stride": str(network.net.architecture.stride),
        "code_size": str(network.net.code_size),
        "card": json.dumps({"network": network.card, "styles": cards}, ensure_ascii=False),
        "styles": json.dumps(list(codes), ensure_ascii=False),
        "codes": _encoded(np.concatenate(list(codes.values()))),
        "identity": _encoded(network.identity.numpy()),
    }


def _encoded(array: np.ndarray) -> str:
    return base64.b64encode(array.astype("<f4").tobytes()).decode("ascii")


def build_model(network: Network, code: np.ndarray | None, metadata: dict[str, str]) -> onnx.ModelProto:
    """Build the model that is exported; with `code`, (1, code_size), its inputs have default values."""
    from videostyle.nets.onnx_graph import Graph, NetworkGraph
    from videostyle.nets.style_network import NOISE_CHANNELS

    def default(*shape: int, value: float = 0) -> np.ndarray | None:
        return None if code is None else np.full(shape, value, np.float32)

    add, architecture = Graph(), network.net.architecture
    content = add.input("content", ["N", 3, "H", "W"])
    given = add.input("code", ["codes", network.net.code_size], code)
    strength = add.input("strength", ["strengths", 1], default(1, 1, value=1))
    identity = add.constant(network.identity.numpy())
    weakened = add("Add", identity, add("Mul", strength, add("Sub", given, identity)))
    sides = add("Slice", add("Shape", content), add.constant([2]), add.constant([4]))
    pads = _pads(add, sides, architecture.stride)
    recurrent_input: tuple[Name, Name, Name] | None = None
    if architecture.recurrent:
        count = add("Slice", add("Shape", content), add.constant([0]), add.constant([1]))
        shape = add("Concat", count, add.constant([1]), sides, axis=0)

        def optional(name: str, channels: int) -> Name:
            """Declare an input of the content's size, whose default value is one pixel."""
            sizes: list[int | str] = [f"{name}_N", channels, f"{name}_H", f"{name}_W"]
            given = add.input(name, sizes, default(1, channels, 1, 1))
            return add("Pad", add("Expand", given, shape), pads, mode="edge")

        recurrent_input = optional("prior", 3), optional("mask", 1), optional("noise", NOISE_CHANNELS)
    padded = add("Pad", content, pads, mode="edge")
    stylized = NetworkGraph(add, network.net.folded())(padded, weakened, recurrent_input)
    stylized = add("Slice", stylized, add.constant([0, 0]), sides, add.constant([2, 3]))
    add.output("stylized", _faded(add, content, stylized), ["N", 3, "H", "W"])
    return add.model(metadata)


def _pads(add: Graph, sides: Name, stride: int) -> Name:
    """Compute the padding for pictures with these `sides`, as `ops.pixels.pad_to_multiple` does."""
    least = add("Max", sides, add.constant([2 * stride, 2 * stride]))
    steps = add("Div", add("Add", least, add.constant(stride - 1)), add.constant(stride))
    more = add("Sub", add("Mul", steps, add.constant(stride)), sides)
    return add("Concat", add.constant([0, 0, 0, 0, 0, 0]), more, axis=0)


def _faded(add: Graph, content: Name, stylized: Name) -> Name:
    """Show the content itself where it is dark, as `stylizers.feedforward` does."""
    from videostyle.stylizers.feedforward import BLACK, BRIGHTEST, LIT, SHRINK

    # An average of what is there at the border takes the place of OpenCV's scaling.
    pads = _pads(add, add("Slice", add("Shape", content), add.constant([2]), add.constant([4])), SHRINK)
    small = add("AveragePool", add("Pad", content, pads, mode="edge"), kernel_shape=[SHRINK] * 2, strides=[SHRINK] * 2)
    values = add("Flatten", add("ReduceMax", small, axes=[1], keepdims=0), axis=1)
    count = add("Slice", add("Shape", values), add.constant([1]), add.constant([2]))
    rank = add("Round", add("Mul", add("Cast", count, to=1), add.constant(BRIGHTEST)))
    rank = add("Max", add("Cast", rank, to=7), add.constant([1]))
    highest = add("Add", add("Sub", count, rank), add.constant([1]))
    brightest, _ = add.split("TopK", 2, values, highest, axis=1)
    last = add("Slice", brightest, add.constant([-1]), add.constant([_FAR]), add.constant([1]))
    bright = add("Unsqueeze", last, add.constant([2, 3]))
    lit = add("Div", add("Sub", bright, add.constant(BLACK)), add.constant(LIT - BLACK))
    lit = add("Clip", lit, add.constant(0.0), add.constant(1.0))
    return add("Add", content, add("Mul", lit, add("Sub", stylized, content)))


def _ir(model: onnx.ModelProto, metadata: dict[str, str]) -> list[bytes]:
    """Convert to OpenVINO's IR: the contents of the .xml and of the .bin file."""
    import openvino as ov

    converted = ov.Core().read_model(model.SerializeToString())
    for key, value in metadata.items():
        converted.set_rt_info(value, ["videostyle", key])
    with tempfile.TemporaryDirectory(prefix="videostyle-") as folder:
        path = Path(folder) / "model.xml"
        ov.save_model(converted, path, compress_to_fp16=False)
        return [path.read_bytes(), path.with_suffix(".bin").read_bytes()]


def _write(outputs: list[Path], files: list[bytes], *, overwrite: bool, sources: list[str]) -> None:
    """Write the files, all of them locked before the first is written."""
    if not outputs:
        return
    with reserve_output(outputs[0], overwrite=overwrite, sources=sources) as write:
        _write(outputs[1:], files[1:], overwrite=overwrite, sources=sources)
        write(files[0])
