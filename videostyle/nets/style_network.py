"""Style network: feed-forward stylization, with one set of residual blocks for every style.

The network of Johnson, Alahi and Fei-Fei 2016 (perceptual losses, residual blocks), with the conditional instance
normalisation of Dumoulin, Shlens and Kudlur 2017: every convolution but the last is followed by a normalisation whose
scales and shifts come from a *style code*. Two styles differ in their codes only, so blends and strengths are
interpolations of codes.

Differences from the papers: the picture enters by space-to-depth rather than a large convolution at full size;
up-sampling is bilinear and then a convolution (no transposed convolutions, no sub-pixel shuffles: nothing that can draw
a grid); the code's last value is the opacity, how much of the untouched picture shows through, so that the code of
strength 0 is exact.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videostyle.errors import UnknownNameError

EPSILON = 1e-5
"""Added to the variances of the normalisations."""
BINOMIAL = (0.25, 0.5, 0.25)
"""Kernel of the blur before halving."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """Sizes of a style network; a weight file contains them, so it loads with nothing else."""

    unshuffle: int
    """Side of the square of pixels that space-to-depth makes one position; 1 keeps full size."""
    widths: tuple[int, ...]
    """Channels after the first convolution and after each halving; the residual blocks have the last."""
    blocks: int
    kernel: int
    """Side of the first and the last convolution."""
    head: int
    """Channels of the last, full-size feature map."""
    blur: bool = False
    """True to blur before each halving (Zhang 2019), so that motion of less than a pixel does not shimmer."""
    recurrent: bool = False
    """True to read the warped previous output, its confidence mask and noise; see `StyleNetwork.forward`."""

    @property
    def decoder_widths(self) -> tuple[int, ...]:
        """Channels from the residual blocks up to full size: one doubling for each halving, one for space-to-depth."""
        return (*reversed(self.widths), *((self.head,) if self.unshuffle > 1 else ()))

    @property
    def stride(self) -> int:
        """Common divisor that height and width of the input need, in pixels; the caller pads and crops."""
        return self.unshuffle * 2 ** (len(self.widths) - 1)


ARCHITECTURES = {
    "live": Architecture(unshuffle=2, widths=(16, 24, 64), blocks=4, kernel=3, head=8, recurrent=True),
    "fast": Architecture(unshuffle=2, widths=(24, 64), blocks=5, kernel=3, head=16, recurrent=True),
    "fine": Architecture(unshuffle=2, widths=(48, 128), blocks=5, kernel=3, head=32, recurrent=True),
}

NOISE_CHANNELS = 4
"""Channels of noise that a recurrent network reads: two of fine grain, two of coarse grain."""
RECURRENT_CHANNELS = 3 + 1 + NOISE_CHANNELS
"""Channels of `recurrent_input`: the warped previous output, its confidence mask, noise."""
GATE_CAP = 0.95  # at most this share of the previous output is copied, so that an error in it fades
# Bias of the gate before training: open, 0.78 with the cap. A gate that began shut stayed shut for hundreds of steps,
# in which the temporal term taught the network to paint less instead.
GATE_START = 1.5


class NormStatistics:
    """Statistics of all normalisations for one frame, shared with the next frame of the shot.

    A picture normalised by its own statistics changes as a whole when something bright enters it. Normalised by the
    shared statistics of its shot (sequence-level sharing in ReReVST, Wang et al. 2020) it does not change elsewhere.
    """

    def __init__(self, running: Sequence[Tensor] = (), momentum: Tensor | None = None) -> None:
        """Take `running` statistics, (N, 2C) means and deviations for each normalisation, and their `momentum`.

        `momentum`, (N, 1) in 0..1, is the weight of the running statistics against the picture's own. With neither, the
        picture's own statistics are used and recorded.
        """
        self.running = iter(running)
        self.momentum = momentum
        self.used: list[Tensor] = []
        """Statistics that each normalisation used, (N, 2C), in the order of the layers."""

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the deviation, (N, C, 1, 1) each, to normalise `x` (N, C, H, W) by."""
        variance, mean = torch.var_mean(x.float(), (2, 3), correction=0)
        own = torch.cat([mean, (variance + EPSILON).sqrt()], dim=1)
        self.used.append(own if self.momentum is None else torch.lerp(own, self.next_running(own), self.momentum))
        mean, deviation = self.used[-1][:, :, None, None].chunk(2, dim=1)
        return mean, deviation

    def next_running(self, own: Tensor) -> Tensor:
        """Return the running statistics of the next normalisation, (N, 2C); `own` are the picture's, (N, 2C) too."""
        return next(self.running)


class ConditionalNorm(nn.Module):
    """Conditional instance normalisation: scaled and shifted by a slice of the style code (Dumoulin et al. 2017)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor, code: Tensor, statistics: NormStatistics | None = None) -> Tensor:
        """Normalise `x` (N, C, H, W); `code` (N, 2C) holds the changes of the scale from 1, then the shifts."""
        scale, shift = torch.split(code[:, :, None, None], self.channels, dim=1)
        if statistics is None:
            return F.instance_norm(x, eps=EPSILON) * (1 + scale) + shift
        mean, deviation = statistics(x)
        # In float32: where a mean is many deviations from zero, the difference would be lost in half precision.
        return ((x.float() - mean) * ((1 + scale) / deviation) + shift).to(x.dtype)


class Convolution(nn.Module):
    """Convolution with reflected borders (zeros would draw a frame around every picture)."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, bias: bool = False, blur: bool = False
    ) -> None:
        super().__init__()
        self.pad = kernel // 2
        self.blur = blur
        # No bias before a normalisation, which would subtract it again.
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.blur:
            x = binomial(x)
        return self.conv(F.pad(x, (self.pad,) * 4, mode="reflect"))


def joined(x: Tensor, one: Convolution, other: Convolution, dim: int) -> Tensor:
    """Apply two convolutions of the same kernel as one, which is faster for few channels.

    `dim` 0 concatenates their outputs; 1 their inputs, which `x` holds concatenated, and adds their outputs.
    """
    weight, bias = torch.cat([one.conv.weight, other.conv.weight], dim), one.conv.bias
    if bias is not None and other.conv.bias is not None and dim == 0:
        bias = torch.cat([bias, other.conv.bias])
    return F.conv2d(F.pad(x, (one.pad,) * 4, mode="reflect"), weight, bias)


def binomial(x: Tensor) -> Tensor:
    """Blur `x` by (1, 2, 1) / 4 in both directions, borders reflected; a pattern that repeats every 2 px disappears."""
    # Made by arithmetic on the device: numbers copied from the processor cannot be part of a CUDA graph.
    taps = BINOMIAL[1] * (1 - 0.5 * (torch.arange(3, device=x.device) - 1).abs()).to(x.dtype)
    kernel = (taps[:, None] * taps).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1,) * 4, mode="reflect"), kernel, groups=x.shape[1])


# Weights with which a 3-tap kernel on a bilinearly doubled picture reads the picture itself: for even and for odd
# positions, those of the previous, this and the next pixel in each tap.
_EVEN = ((0.75, 0.25, 0.0), (0.25, 0.75, 0.0), (0.0, 0.75, 0.25))
_ODD = ((0.25, 0.75, 0.0), (0.0, 0.75, 0.25), (0.0, 0.25, 0.75))


class UpConvolution(nn.Module):
    """Up-sampling that doubles the size bilinearly, then convolves, 3x3: it draws no grid (Odena et al. 2016)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        # Each channel's mean goes around the interpolation, whose rounding differs from pixel to pixel: after several
        # normalisations, each of which divides by a deviation near zero, a flat picture would not be flat any more.
        mean = x.mean((2, 3), keepdim=True)
        # One repeated pixel at each border makes two in the doubled picture, of which the convolution needs one.
        doubled = F.interpolate(
            F.pad(x - mean, (1,) * 4, mode="replicate"), scale_factor=2, mode="bilinear", align_corners=False
        )
        return self.conv(doubled[:, :, 1:-1, 1:-1]) + F.conv2d(mean, self.conv.weight.sum((2, 3), keepdim=True))

    def folded(self) -> nn.Module:
        """Return the same function as one convolution at the small size: a quarter of the memory traffic."""
        phases = torch.tensor((_EVEN, _ODD), dtype=self.conv.weight.dtype, device=self.conv.weight.device)
        outputs, inputs = self.conv.weight.shape[:2]
        conv = nn.Conv2d(inputs, 4 * outputs, 3, bias=False)
        kernel = torch.einsum("ockl,pka,qlb->opqcab", self.conv.weight, phases, phases)
        conv.weight = nn.Parameter(kernel.reshape(4 * outputs, inputs, 3, 3), requires_grad=False)
        return FoldedUpConvolution(conv)


class FoldedUpConvolution(nn.Module):
    """Folded form of an `UpConvolution`: one convolution at the small size that gives all four output phases.

    Rounded one by one, the kernels of the four phases differ, and where the picture is flat so do the phases. The
    normalisation that follows divides by a deviation near zero there, which made a raster of 4 pixels visible. So each
    channel's mean goes around the convolution, by the same sum of weights for every phase: flat areas stay exactly
    flat.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        outputs = conv.out_channels // 4
        sums = conv.weight.sum((2, 3), keepdim=True).view(outputs, 4, conv.in_channels, 1, 1).mean(1)
        self.register_buffer("sums", sums.repeat_interleave(4, 0))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        detail = self.conv(F.pad(x - mean, (1,) * 4, mode="replicate"))
        return F.pixel_shuffle(detail + F.conv2d(mean, self.get_buffer("sums")), 2)


class Layer(nn.Module):
    """Convolution, conditional normalisation and, unless `relu` is False, ReLU."""

    def __init__(self, convolution: nn.Module, outputs: int, relu: bool = True) -> None:
        super().__init__()
        self.convolution = convolution
        self.norm = ConditionalNorm(outputs)
        self.relu = relu
        self.code_size = 2 * outputs

    def forward(
        self, x: Tensor, code: Tensor, statistics: NormStatistics | None = None, extra: Tensor | None = None
    ) -> Tensor:
        """Apply the layer; `extra` is added to the result of the convolution, before the normalisation."""
        x = self.convolution(x)
        return self.normalize(x if extra is None else x + extra, code, statistics)

    def normalize(self, x: Tensor, code: Tensor, statistics: NormStatistics | None) -> Tensor:
        """Apply what follows the convolution."""
        x = self.norm(x, code, statistics)
        return F.relu(x) if self.relu else x


class StyleNetwork(nn.Module):
    """Feed-forward network that stylizes frames by a style code.

    The attributes `trunk` (the residual blocks), `carried_first`, `carried_last` (convolutions of the recurrent input)
    and `correction` keep these names because the keys of the weight files contain them.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = a = architecture
        first = Convolution(3 * a.unshuffle**2, a.widths[0], a.kernel)
        self.encoder = nn.ModuleList([Layer(first, a.widths[0])])
        for narrow, wide in pairwise(a.widths):
            self.encoder.append(Layer(Convolution(narrow, wide, 3, stride=2, blur=a.blur), wide))
        wide = a.widths[-1]
        self.trunk = nn.ModuleList(
            Layer(Convolution(wide, wide, 3), wide, relu=i % 2 == 0) for i in range(2 * a.blocks)
        )
        self.decoder = nn.ModuleList(Layer(UpConvolution(i, o), o) for i, o in pairwise(a.decoder_widths))
        self.last = Convolution(a.head, 3, a.kernel, bias=True)
        if a.recurrent:
            self.carried_first = Convolution(RECURRENT_CHANNELS * a.unshuffle**2, a.widths[0], a.kernel)
            self.carried_last = Convolution(RECURRENT_CHANNELS, a.head, 3)
            self.correction = Convolution(a.head, 4, a.kernel, bias=True)
            self.reset_recurrent()
        self.code_sizes = [layer.code_size for layer in (*self.encoder, *self.trunk, *self.decoder)]

    @property
    def code_size(self) -> int:
        """Length of a style code: two values for each normalised channel, and the opacity."""
        return sum(self.code_sizes) + 1

    def reset_recurrent(self) -> None:
        """Set the weights that read `recurrent_input` to their initial values.

        An empty prior then has no influence, and of any other the gate copies a fixed share times the confidence.
        """
        for convolution in (self.carried_first, self.carried_last, self.correction):
            nn.init.zeros_(convolution.conv.weight)
        assert self.correction.conv.bias is not None
        nn.init.zeros_(self.correction.conv.bias)
        nn.init.constant_(self.correction.conv.bias[3:], GATE_START)

    def hold_gate(self) -> None:
        """Clear the gradient of the gate, so that the next step of the optimizer leaves the gate as it is."""
        if self.architecture.recurrent:
            for parameter in self.correction.parameters():
                if parameter.grad is not None:
                    parameter.grad[3:] = 0

    def forward(
        self,
        content: Tensor,
        code: Tensor,
        statistics: NormStatistics | None = None,
        recurrent_input: Tensor | None = None,
    ) -> Tensor:
        """Stylize `content` by `code` (N, code_size); the result has the same shape and range.

        `content` is (N, 3, H, W) in 0..1; H and W are multiples of the stride, and at least twice the stride.

        `recurrent_input` (N, RECURRENT_CHANNELS, H, W) is the input of a recurrent network beside the frame: the
        previous output warped to this frame, in 0..1; the confidence mask of that warp, in 0..1; noise of mean 0 and
        deviation 1 that moves with the surfaces. None stands for zeros: an empty prior and no noise.

        The code of zeros with a last value of 0 returns the content unchanged, bit for bit.
        """
        rows = torch.split(code[:, :-1], self.code_sizes, dim=1)
        if not self.architecture.recurrent:
            recurrent_input = None
        x, last = self._enter(content, recurrent_input)
        entry = self.encoder[0]
        assert isinstance(entry, Layer)
        x = entry.normalize(x, rows[0], statistics)
        for layer, row in zip(self.encoder[1:], rows[1:], strict=False):
            x = layer(x, row, statistics)
        rows = rows[len(self.encoder) :]
        for i in range(0, len(self.trunk), 2):
            x = x + self.trunk[i + 1](self.trunk[i](x, rows[i], statistics), rows[i + 1], statistics)
        rows = rows[len(self.trunk) :]
        for number, (layer, row) in enumerate(zip(self.decoder, rows, strict=True), 1):
            x = layer(x, row, statistics, last if number == len(self.decoder) else None)
        if recurrent_input is None:
            stylized = torch.sigmoid(self.last(x))
        else:
            stylized = self._blend_prior(x, recurrent_input[:, :3], recurrent_input[:, 3:4])
        return content + opacity(code) * (stylized - content)

    def _enter(self, content: Tensor, recurrent_input: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Apply the first convolution; the second result is added in the last layer of feature maps."""
        first = self.encoder[0].convolution
        assert isinstance(first, Convolution)
        if recurrent_input is None:
            return first(self._unshuffle(content)), None
        prior, mask, noise = torch.split(recurrent_input, [3, 1, NOISE_CHANNELS], dim=1)
        seen = torch.cat([prior * mask, mask, noise], dim=1)
        both = self._unshuffle(torch.cat([content, seen], dim=1))
        return joined(both, first, self.carried_first, 1), self.carried_last(seen)

    def _unshuffle(self, x: Tensor) -> Tensor:
        return F.pixel_unshuffle(x, self.architecture.unshuffle) if self.architecture.unshuffle > 1 else x

    def _blend_prior(self, features: Tensor, prior: Tensor, mask: Tensor) -> Tensor:
        """Blend the stylized frame with the warped previous output by a learned gate, and correct it.

        Gate and correction are in proportion to the mask. The correction restores the detail that repeated resampling
        takes from the copied pixels.
        """
        outputs = joined(features, self.last, self.correction, 0)
        stylized, correction, gate = torch.split(outputs, [3, 3, 1], dim=1)
        stylized = torch.sigmoid(stylized)
        share = GATE_CAP * torch.sigmoid(gate) * mask
        return (stylized + share * (prior - stylized) + share * correction).clamp(0, 1)

    def folded(self) -> StyleNetwork:
        """Return a copy with folded convolutions, which computes the same, faster, and cannot be trained."""
        net = copy.deepcopy(self).requires_grad_(False).eval()
        for layer in net.decoder:
            assert isinstance(layer, Layer)
            assert isinstance(layer.convolution, UpConvolution)
            layer.convolution = layer.convolution.folded()
        return net


def opacity(code: Tensor) -> Tensor:
    """Return the opacity of the stylized frame over the content, (N, 1, 1, 1) in 0..1, for codes (N, code_size).

    The curve is steep near 0 so that the untouched picture shows through weak codes only; from a third upwards the
    stylization at that strength is seen, not a cross-fade.
    """
    return 1 - (1 - code[:, -1:, None, None].clamp(0, 1)) ** 4


def macs_per_pixel(architecture: Architecture) -> float:
    """Count the multiply-accumulates of the convolutions for each pixel of the picture."""
    a, total, scale = architecture, 0.0, 1 / architecture.unshuffle**2
    inputs = 3 + (RECURRENT_CHANNELS if a.recurrent else 0)
    total += inputs * a.unshuffle**2 * a.widths[0] * a.kernel**2 * scale
    for narrow, wide in pairwise(a.widths):
        scale /= 4
        total += narrow * wide * 9 * scale
    total += 2 * a.blocks * a.widths[-1] ** 2 * 9 * scale
    for i, o in pairwise(a.decoder_widths):
        scale *= 4
        total += i * o * 9 * scale
    outputs = 7 if a.recurrent else 3
    total += RECURRENT_CHANNELS * a.head * 9 if a.recurrent else 0
    return total + a.head * outputs * a.kernel**2


def architecture(name: str) -> Architecture:
    """Return the sizes called `live`, `fast` or `fine`; raises UnknownNameError."""
    if name not in ARCHITECTURES:
        raise UnknownNameError.among("network", name, ARCHITECTURES)
    return ARCHITECTURES[name]
