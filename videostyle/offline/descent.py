"""Two ways downhill, step by step: the caller looks at each step, keeps what it likes and stops when it wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from videostyle.offline.objective import Terms
from videostyle.plan import GatysOptions

Evaluate = Callable[[Tensor], tuple[Terms, Tensor]]

# L-BFGS remembers two pictures a step: so many bytes at most, and no more than 100 steps, as Gatys' code does.
_MEMORY = 2**30
_REMEMBERED = 100


class Step(NamedTuple):
    """A picture that was judged."""

    picture: Tensor
    """(1, 3, H, W); may leave 0..1, and is changed by the next step."""
    terms: Terms


def descend(evaluate: Evaluate, start: Tensor, options: GatysOptions) -> Iterator[Step]:
    """Pictures that get better, mostly, from `start` (1, 3, H, W) itself on: one for each evaluation, without end."""
    return _lbfgs(evaluate, start) if options.method == "lbfgs" else _adam(evaluate, start, options)


def _lbfgs(evaluate: Evaluate, start: Tensor) -> Iterator[Step]:
    """L-BFGS (Liu and Nocedal 1989) without line search, as Gatys' code runs it: some steps go wrong."""
    pixels = start.clone().requires_grad_()
    remembered = max(min(_REMEMBERED, _MEMORY // (2 * pixels.nbytes)), 5)
    # One evaluation a call: torch keeps its memory from call to call.
    optimizer = torch.optim.LBFGS(
        [pixels], max_iter=1, max_eval=1, history_size=remembered, tolerance_grad=0, tolerance_change=0
    )
    while True:
        terms, pixels.grad = evaluate(pixels)
        yield Step(pixels.detach(), terms)
        total = torch.tensor(terms.total)
        optimizer.step(lambda total=total: total)  # type: ignore[no-untyped-call]


def _adam(evaluate: Evaluate, start: Tensor, options: GatysOptions) -> Iterator[Step]:
    """Adam (Kingma and Ba 2015), its rate rising over the first steps, when its estimates of scale are still coarse."""
    pixels = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([pixels], lr=options.rate, betas=(0.9, 0.99))
    rise = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / max(options.warmup, 1), 1.0))
    while True:
        terms, pixels.grad = evaluate(pixels)
        yield Step(pixels.detach(), terms)
        optimizer.step()
        rise.step()
        with torch.no_grad():
            # Nothing is judged outside, so nothing would come back from there.
            pixels.clamp_(0, 1)
