"""A network and style codes."""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor

from videostyle.engines import Engine, load_engine
from videostyle.nets.remembering import alike, contrast
from videostyle.nets.transformer import opacity
from videostyle.ops.color import keep_colors
from videostyle.ops.filters import shrink
from videostyle.ops.pixels import pad_to_multiple, resize
from videostyle.plan import Style
from videostyle.types import Stylizer
from videostyle.weights import Codes, load_codes

# Seconds in which remembered statistics fade to 1/e. Warping errors over seven clips were least at 1 (-6 % against
# none; 4: -3 %); at 2 a bright thing that covers a third of the picture within a third of a second changes the rest
# half as much as without memory, at 0.5 as much.
MEMORY = 2.0
# A network that normalises sees no difference between a black frame and a bright one, and paints texture into nothing.
# Where the brightest fiftieth of the picture is darker than the first of these, in 0..1, the film itself is shown, from
# the second on the painting: black stays black, and over the darker third of a fade the painting follows the light.
# Footage has something brighter: of eleven clips the darkest, from space, 0.41.
BLACK, LIT = 0.03, 0.35


class FeedForward:
    """Paints pictures of any size in one pass of the network, or one picture in several styles at once.

    A region costs a pass of the whole picture. Codes that change from pixel to pixel would cost one pass for all, but
    a normalisation that averages over two paintings is neither's, and engines could no longer fuse it.
    """

    def __init__(self, engine: Engine, codes: Codes, stride: int, style: Style) -> None:
        self.engine = engine
        self.codes = codes
        self.stride = stride
        self.style = style
        self._last: tuple[Fraction, Tensor, Tensor] | None = None
        """When a picture was painted, the statistics it was painted by, and the contrast that goes with them."""

    def __call__(self, content: Tensor, time: Fraction = Fraction(0), is_cut: bool = True) -> Tensor:
        code = self.codes.at(time).to(content.device)
        code = code.expand(max(len(content), len(code)), -1)
        full = content.shape[2], content.shape[3]
        height, width = (max(round(side / self.style.brush), 1) for side in full)
        scaled = resize(content, (height, width))
        # At least two positions at the network's coarsest: reflecting a border needs one beside it.
        padded = pad_to_multiple(scaled, self.stride, minimum=2 * self.stride)
        painted = self._paint(padded.expand(len(code), -1, -1, -1), code, time, is_cut)[:, :, :height, :width]
        cover = opacity(code)
        if self.style.brush != 1:
            # The film's finest detail comes back as far as the film shows through. None at full strength: it drew the
            # photograph's lines over the paint, and sharpening the paint drew rings.
            lost = (1 - cover) * (content - resize(scaled, full))
            painted = (resize(painted, full) + lost).clamp_(0, 1)
        if self.style.keep_colors:
            painted = keep_colors(painted, content)
        lit = brightness(content).sub(BLACK).div(LIT - BLACK).clamp(0, 1)
        if bool((lit < 1).any()):
            painted = content + lit * (painted - content)
        # Bit for bit, whatever scaling and colours do to the last one.
        return torch.where(cover > 0, painted, content)

    def _paint(self, content: Tensor, code: Tensor, time: Fraction, is_cut: bool) -> Tensor:
        if self.style.statistics == "frame":
            return self.engine(content, code)[0]
        seen = contrast(content)
        if is_cut or self._last is None:
            memory, keep = code.new_zeros(len(code), code.shape[1] - 1), torch.zeros_like(seen[:, :1])
        else:
            then, memory, before = self._last
            keep = math.exp(-abs(time - then) / MEMORY) * alike(seen, before)
            seen = torch.lerp(seen, before, keep)
        painted, used = self.engine(content, code, memory, keep)
        self._last = time, used, seen
        return painted


def brightness(content: Tensor) -> Tensor:
    """What a fiftieth of the picture is brighter than, in its brightest channel: (N, 1, 1, 1)."""
    small = shrink(content, (-(-content.shape[2] // 8), -(-content.shape[3] // 8))).amax(1).flatten(1)
    found: Tensor = small.kthvalue(max(round(0.98 * small.shape[1]), 1), dim=1).values
    return found[:, None, None, None]


def build(style: Style, engine: str, device: str) -> Stylizer:
    """Load the network and the codes; see `videostyle.weights.load_codes` for the errors."""
    network, codes = load_codes(style)
    loaded = load_engine(engine, network, device, remembering=style.statistics == "shot")
    return FeedForward(loaded, codes, network.net.architecture.stride, style)
