"""MediaPipe's selfie segmentation: 0.25 MB, ten times as fast as the others; for people who are near the camera.

The weights are a TensorFlow Lite file (Apache License 2.0), which OpenVINO reads and runs on the CPU.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import openvino as ov
import openvino.opset8 as ops
import torch
from openvino.frontend import ConversionExtension
from torch import Tensor

from videostyle.errors import WeightsError
from videostyle.files import read_regular_file
from videostyle.ops.filters import enlarge, shrink
from videostyle.plan import SegmenterOptions

FILE = Path("modules/selfie_segmentation/selfie_segmentation_landscape.tflite")
"""Place of the weights in the package mediapipe, in the versions that have them."""
_UPSAMPLING = "Convolution2DTransposeBias"  # MediaPipe's own operation


class SelfieSegmenter:
    """Runs the network on pictures that are scaled to its input's size, as MediaPipe does."""

    def __init__(self, model: ov.CompiledModel) -> None:
        self._model = model
        _, height, width, _ = model.inputs[0].shape
        self._size = height, width

    def __call__(self, content: Tensor) -> Tensor:
        """Return the probability of people (1, 1, h, w) in 0..1."""
        picture = content.cpu()
        height, width = picture.shape[-2:]
        smaller = min(height, self._size[0]), min(width, self._size[1])
        scaled = enlarge(shrink(picture, smaller), self._size).permute(0, 2, 3, 1).contiguous()
        found = torch.from_numpy(self._model([scaled.numpy()])[0].copy())
        return found.permute(0, 3, 1, 2).clamp(0, 1).to(content.device)


def build(options: SegmenterOptions, allow_download: bool, device: str) -> SelfieSegmenter:
    """Load the weights at `options.weights`, or those of an installed mediapipe; raises WeightsError."""
    path = options.weights or _installed()
    if path is None:
        raise WeightsError(
            f"selfie needs weights: give MediaPipe's {FILE.name} with --segmenter-weights; "
            "`pip download --no-deps mediapipe==0.10.14` fetches a wheel, a zip archive, that holds it"
        )
    try:
        data = read_regular_file(path)
    except FileNotFoundError as error:
        raise WeightsError(f"there are no weights of selfie at {path}") from error
    if data[4:8] != b"TFL3":
        raise WeightsError(f"{path} is not a TensorFlow Lite file")
    core = ov.Core()
    core.add_extension(ConversionExtension(_UPSAMPLING, _upsampling))
    try:
        model = core.read_model(str(path))
        shapes = [list(one.partial_shape.get_min_shape()) for one in (*model.inputs, *model.outputs)]
        fits = len(shapes) == 2 and [len(one) for one in shapes] == [4, 4] and (shapes[0][3], shapes[1][3]) == (3, 1)
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False})
    except RuntimeError as error:
        raise WeightsError(f"{path} is damaged, or not a network that OpenVINO can read") from error
    if not fits:
        raise WeightsError(f"{path} is not MediaPipe's selfie segmentation: its inputs and outputs are others")
    return SelfieSegmenter(compiled)


def _installed() -> Path | None:
    """Return the weights in an installed mediapipe, which is not imported."""
    found = importlib.util.find_spec("mediapipe")
    folders = list(found.submodule_search_locations or ()) if found is not None else []
    return next((path for path in (Path(folder) / FILE for folder in folders) if path.is_file()), None)


def _upsampling(node: Any) -> list[Any]:
    """Convert MediaPipe's transposed convolution, of a stride that equals its kernel's size, with a bias."""
    content, kernel, bias = (node.get_input(number) for number in range(3))
    stride = list(kernel.get_partial_shape().get_min_shape())[1:3]
    moved = ops.convolution_backprop_data(
        ops.transpose(content, [0, 3, 1, 2]), ops.transpose(kernel, [3, 0, 1, 2]), stride
    )
    return [ops.add(ops.transpose(moved, [0, 2, 3, 1]), bias).output(0)]
