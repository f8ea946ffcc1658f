"""Optimizers of pixels, L-BFGS and Adam, as iterators: the caller inspects each step and decides when to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from videostyle.optimize.objective import Terms
from videostyle.optimize.plan import GatysOptions

Evaluate = Callable[[Tensor], tuple[Terms, Tensor]]

# L-BFGS keeps two pictures a step in its history: this many bytes at most.
_HISTORY_BYTES = 2**30
# Approximate length of the first step, in 0..1 of brightness: there is no estimate of the curvature yet.
_FIRST_STEP = 0.03
# Frequency below which steps grow, in cycles per pixel, and the window of the local gradient, in pixels.
_CORNER = 0.12
_NEIGHBOURHOOD = 15
# Share of the median that is added to the local gradient, so that steps stay finite where it is zero.
_FLAT = 0.05


class Step(NamedTuple):
    """A picture that was evaluated, and its losses."""

    picture: Tensor
    """(1, 3, H, W); may leave 0..1."""
    terms: Terms


class Pixels:
    """Coordinates that are the pixels themselves, minus those of `origin` (1, 3, H, W)."""

    history = 100

    def __init__(self, origin: Tensor) -> None:
        self._origin = origin

    def picture(self, coordinates: Tensor) -> Tensor:
        return self._origin + coordinates

    def gradient(self, gradient: Tensor) -> Tensor:
        """Convert a gradient with respect to the pixels to one with respect to the coordinates."""
        return gradient


class Conditioned:
    """Preconditioned coordinates, in which the objective is about equally steep in all directions: fewer steps.

    With respect to pixels the objective is steep in fine detail and shallow in low frequencies, steep where the picture
    has texture and shallow where it is plain, and L-BFGS needs dozens of steps to learn that. Here a step is filtered,
    with a gain that falls with frequency up to fine detail, and divided by the square root of the local gradient: both
    were found by comparing gradients with the remaining distance to the optimum.
    """

    # Older steps are outdated.
    history = 20

    def __init__(self, origin: Tensor, gradient: Tensor) -> None:
        """Set the coordinates of the picture `origin` (1, 3, H, W) to 0; `gradient` is the objective's there."""
        self._origin = origin
        height, width = origin.shape[2:]
        frequency = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width))
        # The mean is treated as the longest wave that fits.
        gain = (1 + _CORNER / frequency.clamp_min(1 / max(height, width))).sqrt()
        self._gain = (gain / gain.mean()).to(origin)
        energy = gradient.square().mean(1, keepdim=True)
        local = F.avg_pool2d(energy, _NEIGHBOURHOOD, 1, _NEIGHBOURHOOD // 2, count_include_pad=False).sqrt()
        scale = (local / local.median().clamp_min(torch.finfo(local.dtype).tiny) + _FLAT).rsqrt()
        # L-BFGS begins with the gradient over the sum of its absolute values.
        self._scale = scale / scale.mean() * (_FIRST_STEP * origin.numel())

    def picture(self, coordinates: Tensor) -> Tensor:
        return self._origin + self._scale * self._filter(coordinates)

    def gradient(self, gradient: Tensor) -> Tensor:
        """Convert a gradient with respect to the pixels to one with respect to the coordinates."""
        return self._filter(self._scale * gradient)

    def _filter(self, values: Tensor) -> Tensor:
        # The filter is its own transpose, because the gain is real and symmetric.
        return torch.fft.irfft2(torch.fft.rfft2(values) * self._gain, s=values.shape[2:])


def descend(evaluate: Evaluate, start: Tensor, options: GatysOptions) -> Iterator[Step]:
    """Yield a picture for each evaluation, `start` (1, 3, H, W) first, without end; the loss mostly decreases."""
    return _lbfgs(evaluate, start, options) if options.method == "lbfgs" else _adam(evaluate, start, options)


def _lbfgs(evaluate: Evaluate, start: Tensor, options: GatysOptions) -> Iterator[Step]:
    """Run L-BFGS (Liu and Nocedal 1989) without line search, as Gatys' code does: some steps increase the loss."""
    terms, gradient = evaluate(start)
    yield Step(start, terms)
    space = Conditioned(start, gradient) if options.precondition else Pixels(start)
    variables = torch.zeros_like(start).requires_grad_()
    history = max(min(space.history, _HISTORY_BYTES // (2 * start.nbytes)), 5)
    # One evaluation a call: torch keeps the history from call to call.
    optimizer = torch.optim.LBFGS(
        [variables], max_iter=1, max_eval=1, history_size=history, tolerance_grad=0, tolerance_change=0
    )
    while True:
        variables.grad = space.gradient(gradient)
        total = torch.tensor(terms.total)
        optimizer.step(lambda total=total: total)
        picture = space.picture(variables.detach())
        terms, gradient = evaluate(picture)
        yield Step(picture, terms)


def _adam(evaluate: Evaluate, start: Tensor, options: GatysOptions) -> Iterator[Step]:
    """Run Adam (Kingma and Ba 2015) with a warm-up of the learning rate while its estimates are still coarse."""
    pixels = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([pixels], lr=options.lr, betas=(0.9, 0.99))
    rise = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / max(options.warmup, 1), 1.0))
    while True:
        terms, pixels.grad = evaluate(pixels)
        yield Step(pixels.detach().clone(), terms)
        optimizer.step()
        rise.step()
        with torch.no_grad():
            # The loss clamps to 0..1, so pixels outside would have no gradient to return by.
            pixels.clamp_(0, 1)
