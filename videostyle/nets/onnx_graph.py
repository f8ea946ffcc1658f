"""ONNX graph of a style network, written node by node: the form that ONNX Runtime runs and `videostyle export` saves.

No exporter of torch is involved. `torch.onnx.export(dynamo=True)` took minutes for this network on a busy core, and
with the oldest releases supported its graph computed something else (0.4 off); the exporter by TorchScript is
deprecated and keeps every network until the process ends. Written out, the graph takes a tenth of a second, and is the
same with every release of torch. `tests/test_engines.py` compares it with torch for every shipped style.

The operators are those of opset 17, which DirectML, CoreML, TensorRT, OpenVINO and onnxruntime-web read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from videostyle.nets.running_norm import FrameNorm, RunningNorm
from videostyle.nets.style_network import (
    BINOMIAL,
    EPSILON,
    GATE_CAP,
    NOISE_CHANNELS,
    RECURRENT_CHANNELS,
    Convolution,
    FoldedUpConvolution,
    Layer,
    StyleNetwork,
)

OPSET, IR_VERSION = 17, 8

Name = str
Shape = Sequence[int | str]


class Graph:
    """ONNX graph in the making; values are known by their names."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[bytes, TensorProto] = {}
        self._weights: list[TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: Name, shape: Shape, default: np.ndarray | None = None) -> Name:
        """Declare an input of float32; dimensions may have names. With `default` it need not be given."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        if default is not None:
            self._weights.append(numpy_helper.from_array(default.astype(np.float32), name))
        return name

    def output(self, name: Name, value: Name, shape: Shape) -> None:
        """Declare `value` as an output."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def constant(self, value: Any) -> Name:
        """Add a constant: numbers with a fraction as float32, whole ones as int64; equal ones are added once."""
        array = np.asarray(value)
        array = array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
        key = repr((array.dtype, array.shape)).encode() + array.tobytes()
        if key not in self._constants:
            self._constants[key] = numpy_helper.from_array(array, f"constant_{len(self._constants)}")
        return self._constants[key].name

    def __call__(self, kind: str, *inputs: Name, **attributes: Any) -> Name:
        """Add an operator of this kind with one output."""
        return self.split(kind, 1, *inputs, **attributes)[0]

    def split(self, kind: str, outputs: int, *inputs: Name, **attributes: Any) -> list[Name]:
        """Add an operator with several outputs."""
        number = len(self._nodes)
        names = [f"{kind.lower()}_{number}" + (f"_{which}" if outputs > 1 else "") for which in range(outputs)]
        self._nodes.append(helper.make_node(kind, inputs, names, f"{kind}_{number}", **attributes))
        return names

    def parts(self, value: Name, sizes: Sequence[int]) -> list[Name]:
        """Split a value along its second dimension."""
        return self.split("Split", len(sizes), value, self.constant(list(sizes)), axis=1)

    def model(self, metadata: Mapping[str, str] | None = None) -> onnx.ModelProto:
        """Return the finished model."""
        weights = [*self._weights, *self._constants.values()]
        graph = helper.make_graph(self._nodes, "videostyle", self._inputs, self._outputs, weights)
        model = helper.make_model(
            graph, producer_name="videostyle", ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)]
        )
        helper.set_model_props(model, dict(metadata or {}))
        return model


class NetworkGraph:
    """Adds a folded style network to a graph: the same function as `StyleNetwork.forward`."""

    def __init__(self, graph: Graph, net: StyleNetwork) -> None:
        self.graph = graph
        self.net = net
        self.unshuffle = net.architecture.unshuffle
        self._running: Iterator[Name] | None = None
        self._momentum = ""
        self.used: list[Name] = []
        """Statistics that each normalisation used, (N, 2C, 1, 1); with running statistics only."""

    def normalise_by(self, running: Name, momentum: Name) -> None:
        """Normalise by `running` statistics (N, code_size - 1) and their `momentum` (N, 1)."""
        add, axes = self.graph, self.graph.constant([2, 3])
        self._running = iter(add.parts(add("Unsqueeze", running, axes), self.net.code_sizes))
        self._momentum = add("Unsqueeze", momentum, axes)

    def __call__(self, content: Name, code: Name, recurrent_input: tuple[Name, Name, Name] | None = None) -> Name:
        """Stylize `content` by `code`; `recurrent_input` are the prior, its mask, and noise.

        A code of one row stylizes all pictures of the batch.
        """
        add, net = self.graph, self.net
        *rows, last_value = add.parts(code, [*net.code_sizes, 1])
        begin, *halvings = net.encoder
        assert isinstance(begin, Layer)
        assert isinstance(begin.convolution, Convolution)
        weight, x, last = begin.convolution.conv.weight.numpy(), content, None
        if recurrent_input is not None:
            prior, mask, noise = recurrent_input
            seen = add("Concat", add("Mul", prior, mask), mask, noise, axis=1)
            last = self._convolution(net.carried_last, seen)
            # One convolution reads both: see `style_network.joined`.
            x = add("Concat", content, seen, axis=1)
            weight = np.concatenate([weight, net.carried_first.conv.weight.numpy()], axis=1)
        x = self._normalised(begin, self._unshuffled(begin.convolution, x, weight), rows.pop(0), None)
        for layer in halvings:
            x = self._layer(layer, x, rows.pop(0))
        for one, other in zip(net.trunk[::2], net.trunk[1::2], strict=True):
            inner = self._layer(one, x, rows.pop(0))
            x = add("Add", x, self._layer(other, inner, rows.pop(0)))
        for number, layer in enumerate(net.decoder, 1):
            x = self._layer(layer, x, rows.pop(0), last if number == len(net.decoder) else None)
        if recurrent_input is None:
            stylized = add("Sigmoid", self._convolution(net.last, x))
        else:
            stylized = self._blended(x, *recurrent_input[:2])
        opacity = self._opacity(last_value)
        return add("Add", content, add("Mul", opacity, add("Sub", stylized, content)))

    def _layer(self, layer: nn.Module, x: Name, row: Name, extra: Name | None = None) -> Name:
        assert isinstance(layer, Layer)
        return self._normalised(layer, self._convolution(layer.convolution, x), row, extra)

    def _normalised(self, layer: Layer, x: Name, row: Name, extra: Name | None) -> Name:
        """Add what follows the convolution of a layer."""
        y = self._norm(x if extra is None else self.graph("Add", x, extra), row, layer.norm.channels)
        return self.graph("Relu", y) if layer.relu else y

    def _convolution(self, convolution: nn.Module, x: Name) -> Name:
        if isinstance(convolution, FoldedUpConvolution):
            return self._up_convolution(convolution, x)
        assert isinstance(convolution, Convolution)
        if convolution.blur:
            channels = convolution.conv.in_channels
            taps = np.outer(BINOMIAL, BINOMIAL).astype(np.float32)
            kernel = self.graph.constant(np.tile(taps, (channels, 1, 1, 1)))
            x = self.graph("Conv", self._padded(x, 1, "reflect"), kernel, group=channels)
        bias = convolution.conv.bias
        return self._convolved(convolution, x, convolution.conv.weight.numpy(), None if bias is None else bias.numpy())

    def _convolved(self, convolution: Convolution, x: Name, weight: np.ndarray, bias: np.ndarray | None = None) -> Name:
        constants = [self.graph.constant(value) for value in (weight, bias) if value is not None]
        x = self._padded(x, convolution.pad, "reflect")
        return self.graph("Conv", x, *constants, strides=list(convolution.conv.stride))

    def _unshuffled(self, convolution: Convolution, x: Name, weight: np.ndarray) -> Name:
        """Apply a convolution with `weight` to space-to-depth of `x`, whose channels ONNX orders otherwise than torch.

        No bias: a normalisation follows.
        """
        if self.unshuffle > 1:
            outputs, inputs, *kernel = weight.shape
            square = self.unshuffle**2
            weight = weight.reshape(outputs, inputs // square, square, *kernel).swapaxes(1, 2).reshape(weight.shape)
            x = self.graph("SpaceToDepth", x, blocksize=self.unshuffle)
        return self._convolved(convolution, x, weight)

    def _up_convolution(self, convolution: FoldedUpConvolution, x: Name) -> Name:
        add = self.graph
        mean = add("ReduceMean", x, axes=[2, 3], keepdims=1)
        detail = self._padded(add("Sub", x, mean), 1, "edge")
        detail = add("Conv", detail, add.constant(convolution.conv.weight.numpy()))
        flat = add("Conv", mean, add.constant(convolution.get_buffer("sums").numpy()))
        return add("DepthToSpace", add("Add", detail, flat), blocksize=2, mode="CRD")

    def _padded(self, x: Name, by: int, mode: str) -> Name:
        return self.graph("Pad", x, self.graph.constant([0, 0, by, by, 0, 0, by, by]), mode=mode) if by else x

    def _norm(self, x: Name, row: Name, channels: int) -> Name:
        """Normalise as `ConditionalNorm.forward`."""
        add = self.graph
        scale, shift = add.parts(add("Unsqueeze", row, add.constant([2, 3])), [channels, channels])
        scale = add("Add", scale, add.constant(1.0))
        if self._running is None:
            ones, zeros = add.constant(np.ones(channels, np.float32)), add.constant(np.zeros(channels, np.float32))
            normalised = add("InstanceNormalization", x, ones, zeros, epsilon=EPSILON)
            return add("Add", add("Mul", normalised, scale), shift)
        mean = add("ReduceMean", x, axes=[2, 3], keepdims=1)
        difference = add("Sub", x, mean)
        variance = add("ReduceMean", add("Mul", difference, difference), axes=[2, 3], keepdims=1)
        own = add("Concat", mean, add("Sqrt", add("Add", variance, add.constant(EPSILON))), axis=1)
        change = add("Sub", next(self._running), own)
        self.used.append(add("Add", own, add("Mul", self._momentum, change)))
        mean, deviation = add.parts(self.used[-1], [channels, channels])
        return add("Add", add("Mul", add("Sub", x, mean), add("Div", scale, deviation)), shift)

    def _blended(self, features: Name, prior: Name, mask: Name) -> Name:
        """Stylize and blend in the prior as `StyleNetwork._blend_prior`."""
        add, parts = self.graph, (self.net.last, self.net.correction)
        weight = np.concatenate([part.conv.weight.numpy() for part in parts])
        bias = np.concatenate([part.conv.bias.numpy() for part in parts if part.conv.bias is not None])
        outputs = self._convolved(self.net.last, features, weight, bias)
        stylized, correction, gate = add.parts(outputs, [3, 3, 1])
        stylized = add("Sigmoid", stylized)
        share = add("Mul", add("Mul", add("Sigmoid", gate), add.constant(GATE_CAP)), mask)
        change = add("Add", add("Sub", prior, stylized), correction)
        return add("Clip", add("Add", stylized, add("Mul", share, change)), add.constant(0.0), add.constant(1.0))

    def _opacity(self, value: Name) -> Name:
        """Compute `opacity` of the code's last value (N, 1)."""
        add = self.graph
        within = add("Clip", value, add.constant(0.0), add.constant(1.0))
        rest = add("Sub", add.constant(1.0), add("Unsqueeze", within, add.constant([2, 3])))
        square = add("Mul", rest, rest)
        return add("Sub", add.constant(1.0), add("Mul", square, square))


def to_onnx(net: nn.Module, inputs: Sequence[Tensor]) -> onnx.ModelProto:
    """Convert a folded network in a `FrameNorm` or `RunningNorm` for engines.

    Its inputs and outputs are those of the module's `forward`; all inputs have to be given.
    """
    if not isinstance(net, FrameNorm | RunningNorm):
        raise TypeError(f"only style networks can be written as ONNX graphs, not {type(net).__name__}")
    graph = Graph()
    build = NetworkGraph(graph, net.net)
    size: Shape = ["N", 3, "H", "W"]
    content, code = graph.input("content", size), graph.input("code", ["codes", net.net.code_size])
    given = len(inputs) - 2
    if isinstance(net, RunningNorm):
        statistics = graph.input("running", ["codes", net.net.code_size - 1])
        build.normalise_by(statistics, graph.input("momentum", ["codes", 1]))
        given -= 2
    recurrent_input: tuple[Name, Name, Name] | None = None
    if given:
        name = graph.input("recurrent_input", ["N", RECURRENT_CHANNELS, "H", "W"])
        prior, mask, noise = graph.parts(name, [3, 1, NOISE_CHANNELS])
        recurrent_input = prior, mask, noise
    graph.output("stylized", build(content, code, recurrent_input), size)
    if isinstance(net, RunningNorm):
        used = graph("Squeeze", graph("Concat", *build.used, axis=1), graph.constant([2, 3]))
        graph.output("statistics", used, ["N", net.net.code_size - 1])
    return graph.model()
