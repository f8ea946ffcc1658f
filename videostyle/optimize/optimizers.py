"""Two ways downhill, step by step: the caller looks at each step, keeps what it likes and stops when it wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from videostyle.optimize.objective import Terms
from videostyle.optimize.plan import GatysOptions

Evaluate = Callable[[Tensor], tuple[Terms, Tensor]]

# L-BFGS remembers two pictures a step: so many bytes at most.
_MEMORY = 2**30
# How far the first step goes, in 0..1 of brightness, about: there is no curvature to go by yet.
_FIRST_STEP = 0.03
# The frequency below which steps grow, in cycles per pixel, and the window in which gradients are compared, in pixels.
_CORNER = 0.12
_NEIGHBOURHOOD = 15
# Added to the gradients that are usual, as a share of their median, so that where there are none steps are not endless.
_FLAT = 0.05


class Step(NamedTuple):
    """A picture that was judged."""

    picture: Tensor
    """(1, 3, H, W); may leave 0..1."""
    terms: Terms


class Pixels:
    """Coordinates that are the pixels themselves, less those of `origin` (1, 3, H, W)."""

    remembered = 100

    def __init__(self, origin: Tensor) -> None:
        self._origin = origin

    def picture(self, coordinates: Tensor) -> Tensor:
        return self._origin + coordinates

    def gradient(self, gradient: Tensor) -> Tensor:
        """With respect to the coordinates, from that with respect to the pixels."""
        return gradient


class Conditioned:
    """Coordinates in which the objective is about as steep one way as another, so that fewer steps lead down.

    Among pixels it is steep in fine detail and shallow in broad light, steep where the picture is lively and shallow
    where it is plain, and L-BFGS spends its first dozens of steps on finding that out. Here a step is filtered, with a
    gain that falls with frequency as far as fine detail and no further, and divided by the square root of the gradient
    that is usual in the neighbourhood: both found by comparing gradients with the way that was still to go from there.
    """

    # Older steps are stale before they are of use.
    remembered = 20

    def __init__(self, origin: Tensor, gradient: Tensor) -> None:
        """`origin` (1, 3, H, W) is the picture whose coordinates are 0, `gradient` the objective's there."""
        self._origin = origin
        height, width = origin.shape[2:]
        frequency = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width))
        # The mean counts as the longest wave that there is room for.
        gain = (1 + _CORNER / frequency.clamp_min(1 / max(height, width))).sqrt()
        self._gain = (gain / gain.mean()).to(origin)
        energy = gradient.square().mean(1, keepdim=True)
        usual = F.avg_pool2d(energy, _NEIGHBOURHOOD, 1, _NEIGHBOURHOOD // 2, count_include_pad=False).sqrt()
        scale = (usual / usual.median().clamp_min(torch.finfo(usual.dtype).tiny) + _FLAT).rsqrt()
        # L-BFGS begins with the gradient over the sum of its absolute values.
        self._scale = scale / scale.mean() * (_FIRST_STEP * origin.numel())

    def picture(self, coordinates: Tensor) -> Tensor:
        return self._origin + self._scale * self._filter(coordinates)

    def gradient(self, gradient: Tensor) -> Tensor:
        """With respect to the coordinates, from that with respect to the pixels."""
        return self._filter(self._scale * gradient)

    def _filter(self, values: Tensor) -> Tensor:
        # Its own transpose: the gain is real and the same both ways.
        return torch.fft.irfft2(torch.fft.rfft2(values) * self._gain, s=values.shape[2:])


def descend(evaluate: Evaluate, start: Tensor, options: GatysOptions) -> Iterator[Step]:
    """Pictures that get better, mostly, from `start` (1, 3, H, W) itself on: one for each evaluation, without end."""
    return _lbfgs(evaluate, start, options) if options.method == "lbfgs" else _adam(evaluate, start, options)


def _lbfgs(evaluate: Evaluate, start: Tensor, options: GatysOptions) -> Iterator[Step]:
    """L-BFGS (Liu and Nocedal 1989) without line search, as Gatys' code runs it: some steps go wrong."""
    terms, gradient = evaluate(start)
    yield Step(start, terms)
    space = Conditioned(start, gradient) if options.precondition else Pixels(start)
    variables = torch.zeros_like(start).requires_grad_()
    remembered = max(min(space.remembered, _MEMORY // (2 * start.nbytes)), 5)
    # One evaluation a call: torch keeps its memory from call to call.
    optimizer = torch.optim.LBFGS(
        [variables], max_iter=1, max_eval=1, history_size=remembered, tolerance_grad=0, tolerance_change=0
    )
    while True:
        variables.grad = space.gradient(gradient)
        total = torch.tensor(terms.total)
        optimizer.step(lambda total=total: total)  # type: ignore[no-untyped-call]
        picture = space.picture(variables.detach())
        terms, gradient = evaluate(picture)
        yield Step(picture, terms)


def _adam(evaluate: Evaluate, start: Tensor, options: GatysOptions) -> Iterator[Step]:
    """Adam (Kingma and Ba 2015), its rate rising over the first steps, when its estimates of scale are still coarse."""
    pixels = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([pixels], lr=options.lr, betas=(0.9, 0.99))
    rise = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / max(options.warmup, 1), 1.0))
    while True:
        terms, pixels.grad = evaluate(pixels)
        yield Step(pixels.detach().clone(), terms)
        optimizer.step()
        rise.step()
        with torch.no_grad():
            # Nothing is judged outside, so nothing would come back from there.
            pixels.clamp_(0, 1)
