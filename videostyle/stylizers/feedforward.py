"""A network and a style code."""

from __future__ import annotations

from torch import Tensor

from videostyle.engines import Engine, load_engine
from videostyle.ops.color import keep_colors
from videostyle.ops.pixels import pad_to_multiple
from videostyle.plan import Style
from videostyle.types import Stylizer
from videostyle.weights import load_style


class FeedForward:
    """Paints each picture by itself, of any size, in one pass of the network."""

    def __init__(self, engine: Engine, code: Tensor, stride: int, keep_colors: bool) -> None:
        self.engine = engine
        self.code = code
        self.stride = stride
        self.keep_colors = keep_colors

    def __call__(self, content: Tensor) -> Tensor:
        height, width = content.shape[2:]
        # At least two positions at the network's coarsest: reflecting a border needs one beside it.
        padded = pad_to_multiple(content, self.stride, minimum=2 * self.stride)
        painted = self.engine(padded, self.code)[:, :, :height, :width]
        return keep_colors(painted, content) if self.keep_colors else painted


def build(style: Style, engine: str, device: str) -> Stylizer:
    """Load the network and blend the codes; see `videostyle.weights.load_style` for the errors."""
    network, code = load_style(style)
    loaded = load_engine(engine, network, device)
    return FeedForward(loaded, code, network.net.architecture.stride, style.keep_colors)
