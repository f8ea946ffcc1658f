"""Feed-forward stylizer: the style network with the codes of a style."""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor

from videostyle.engines import Engine, load_engine
from videostyle.nets.running_norm import contrast, similarity
from videostyle.nets.style_network import RECURRENT_CHANNELS, Architecture, opacity
from videostyle.ops.color import keep_colors
from videostyle.ops.filters import enlarge, shrink
from videostyle.ops.pixels import pad_to_multiple, resize
from videostyle.ops.warp import resize_flow, warp
from videostyle.style import Style
from videostyle.stylizers._carried_detail import CarriedDetail
from videostyle.types import ALONE, Moment, Stylizer
from videostyle.weights import Codes, load_codes

# Seconds in which running statistics decay to 1/e. Warping errors over seven clips were least at 1 (-6 % against none;
# 4: -3 %); at 2 a bright thing that covers a third of the picture within a third of a second changes the rest half as
# much as without running statistics, at 0.5 as much.
TIME_CONSTANT = 2.0
# A network that normalises sees no difference between a black frame and a bright one, and paints texture into black.
# If the brightest fiftieth of the picture is darker than the first of these, in 0..1, the film itself is shown, and
# from the second on the stylized frame: black stays black, and over the darker third of a fade the output follows the
# light. Other footage is brighter: the darkest of eleven clips, from space, has 0.41.
BLACK, LIT = 0.03, 0.35
BRIGHTEST = 0.98
"""Share of the picture that is darker than its brightness, which is measured at 1/SHRINK of its size."""
SHRINK = 8
GALLERY_SIDE = 480
"""Shorter side, in pixels, up to which a picture is stylized at its own size with a brush of 1."""


class FeedForward:
    """Stylizes frames of any size in one pass of the network, or one frame in several styles at once.

    A region costs a pass over the whole frame. Codes that change from pixel to pixel would cost one pass for all, but
    a normalisation that averages over two styles has the statistics of neither, and engines could no longer fuse it.
    """

    def __init__(self, engine: Engine, codes: Codes, architecture: Architecture, style: Style) -> None:
        self.engine = engine
        self.codes = codes
        self.style = style
        self.recurrent = architecture.recurrent
        self._stride = architecture.stride
        self._last: tuple[Fraction, Tensor, Tensor] | None = None
        """Time of the last frame, the statistics that normalised it, and their contrast."""
        self._output: Tensor | None = None
        """Last output of the network, of the working size."""
        self._code: Tensor | None = None
        """Code of the last frame."""
        self._detail = CarriedDetail()

    def __call__(self, content: Tensor, moment: Moment = ALONE) -> Tensor:
        code = self.codes.at(moment.time).to(content.device)
        if self._code is None or not torch.equal(code, self._code):
            self._detail.restart()  # another style, or another strength, has detail of its own
        self._code = code
        code = code.expand(max(len(content), len(code)), -1)
        full = content.shape[2], content.shape[3]
        height, width = self.working_size(*full)
        scaled = resize(content, (height, width))
        inputs = [scaled.expand(len(code), -1, -1, -1)]
        if self.recurrent:
            inputs.append(self._recurrent_input(len(code), scaled, moment))
        # At least two positions at the network's coarsest: reflecting a border needs one beside it.
        padded = [pad_to_multiple(each, self._stride, minimum=2 * self._stride) for each in inputs]
        stylized = self._run_network(padded[0], code, moment, padded[1:])[:, :, :height, :width]
        self._output = stylized
        cover = opacity(code)
        if (height, width) != full:
            # As in `enlarge`.
            lost = (1 - cover) * (content - resize(scaled, full))
            stylized = (resize(stylized, full) + lost).clamp_(0, 1)
        if self.style.keep_colors:
            stylized = keep_colors(stylized, content)
        lit = _lit(content)
        if bool((lit < 1).any()):
            stylized = content + lit * (stylized - content)
        # At strength 0 the result is the content bit for bit, whatever scaling and colours do to the last bit.
        return torch.where(cover > 0, stylized, content)

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) at which pictures of this size are stylized: smaller for larger brushes.

        With a brush of 1, strokes have the size, relative to the picture, that they have in the gallery: larger
        pictures are stylized at the size of the gallery and enlarged.
        """
        scale = min(GALLERY_SIDE / min(height, width), 1) / self.style.brush
        return max(round(height * scale), 1), max(round(width * scale), 1)

    def stabilized_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) at which films of this size are stabilized: that of the gallery's strokes.

        Smaller strokes are stabilized at the size at which they are stylized, larger ones at that of a brush of 1.
        """
        scale = min(GALLERY_SIDE / min(self.style.brush, 1) / min(height, width), 1)
        return max(round(height * scale), 1), max(round(width * scale), 1)

    def film_share(self, content: Tensor, time: Fraction) -> Tensor:
        """See `videostyle.types.EnlargingStylizer`."""
        return 1 - opacity(self.codes.at(time)).to(content.device) * _lit(content)

    def needs_film(self, share: Tensor) -> bool:
        """See `videostyle.types.EnlargingStylizer`."""
        return self.style.keep_colors or bool((share > 0).any())

    def enlarge(self, layers: Tensor, size: tuple[int, int], share: Tensor, film: Tensor | None) -> Tensor:
        """See `videostyle.types.EnlargingStylizer`."""
        enlarged = resize(layers, size)
        if film is None:
            return enlarged
        # The film's finest detail is restored as far as the film shows through, and not at full strength: it drew
        # the photograph's lines over the paint, and sharpening the paint drew rings.
        small = shrink(film, (layers.shape[2], layers.shape[3]))
        enlarged = (enlarged + share * (film - resize(small, size))).clamp_(0, 1)
        if self.style.keep_colors:
            enlarged = keep_colors(enlarged, film)
        return torch.where(share < 1, enlarged, film)

    def _recurrent_input(self, count: int, content: Tensor, moment: Moment) -> Tensor:
        """Make the recurrent input beside `content` (N, 3, H, W): (`count`, RECURRENT_CHANNELS, H, W)."""
        size = content.shape[2], content.shape[3]
        # Engines read one channel after the other: here nothing has to be rearranged for them.
        made = content.new_zeros(count, RECURRENT_CHANNELS, *size)
        if moment.noise is not None:
            made[:, 4:] = enlarge(moment.noise, size).to(made.device)
        before = self._output
        if moment.is_cut or moment.motion is None or before is None or before.shape != (count, 3, *size):
            self._detail.restart()
            return made
        back = moment.motion.backward
        flow = resize_flow(back.vectors, size)
        mask = back.confidence if back.confidence.shape[-2:] == size else enlarge(back.confidence, size)
        warped = warp(before, flow.expand(count, -1, -1, -1), "bicubic")
        made[:, :3] = self._detail(warped, before, flow, mask)
        made[:, 3:4] = mask
        return made

    def _run_network(self, content: Tensor, code: Tensor, moment: Moment, recurrent_input: list[Tensor]) -> Tensor:
        """Stylize padded `content`, normalised by the running statistics of the shot unless the style says "frame"."""
        if self.style.statistics == "frame":
            return self.engine(content, code, *recurrent_input)[0]
        seen = contrast(content)
        if moment.is_cut or self._last is None:
            running, momentum = code.new_zeros(len(code), code.shape[1] - 1), torch.zeros_like(seen[:, :1])
        else:
            then, running, before = self._last
            momentum = math.exp(-abs(moment.time - then) / TIME_CONSTANT) * similarity(seen, before)
            seen = torch.lerp(seen, before, momentum)
        stylized, used = self.engine(content, code, running, momentum, *recurrent_input)
        self._last = moment.time, used, seen
        return stylized


def _lit(content: Tensor) -> Tensor:
    """Return the share of the stylized frame over the film itself that the light in it allows: (N, 1, 1, 1) in 0..1."""
    return brightness(content).sub(BLACK).div(LIT - BLACK).clamp(0, 1)


def brightness(content: Tensor) -> Tensor:
    """Return the 98th percentile of the brightest channel of each picture: (N, 1, 1, 1)."""
    small = shrink(content, (-(-content.shape[2] // SHRINK), -(-content.shape[3] // SHRINK))).amax(1).flatten(1)
    found: Tensor = small.kthvalue(max(round(BRIGHTEST * small.shape[1]), 1), dim=1).values
    return found[:, None, None, None]


def build(style: Style, engine: str, device: str) -> Stylizer:
    """Load the network and the codes; raises the errors of `videostyle.weights.load_codes`."""
    network, codes = load_codes(style)
    loaded = load_engine(engine, network, device, running_norm=style.statistics == "shot")
    return FeedForward(loaded, codes, network.net.architecture, style)
