"""What one step of training sees, drawn sample by sample.

Every sample has its own random numbers, by its place in the run alone. So a run is the same however often it was
interrupted, into however many parts its batches are cut, and on however many devices it is worked through.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from videostyle.ops import losses
from videostyle.ops.warp import warp
from videostyle.plan import TrainConfig

_NOISE, _GAIN = 0.012, 0.02
_FLAT = 1 / 255

Pair = tuple[Tensor, Tensor, Tensor, Tensor]
"""A picture (1, 3, S, S), the next one, the flow (1, 2, S, S) from the next one back, and where it holds."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Pictures to paint, each twice: as it is and as it looks a moment later."""

    content: Tensor
    """(N, 3, S, S) RGB in 0..1."""
    moved: Tensor
    """(N, 3, S, S): the same a moment later."""
    flow: Tensor
    """(N, 2, S, S) in pixels: moved(p) shows what content(p + flow(p)) shows."""
    valid: Tensor
    """(N, 1, S, S): 1 where the flow holds, 0 where what is seen was hidden or outside."""
    noise: Tensor
    """(N, 3, S, S): what a camera might add to the content."""
    style: Tensor
    """(N,) numbers of paintings, from 0."""
    strength: Tensor
    """(N,) in 0..1."""
    remembering: Tensor
    """(N, 1): 1 where the later picture is to be painted with the statistics of the earlier one."""

    def to(self, device: str) -> Batch:
        """The same on another device."""
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))


def draw(
    config: TrainConfig,
    step: int,
    places: range,
    photograph: Callable[[torch.Generator], Tensor],
    film: Callable[[torch.Generator], Pair] | None = None,
) -> Batch:
    """The samples at `places` of the batch of `step`: photographs that move, or pairs of frames from films.

    `photograph` gives a crop by a generator; `film`, if there is one, two frames that follow each other.
    """
    # Paintings are dealt like cards: all of them come up equally often.
    deals = torch.Generator().manual_seed(config.seed)
    count = len(config.paintings)
    first = step * config.batch
    samples = []
    for place in places:
        turn, card = divmod(first + place, count)
        style = torch.randperm(count, generator=deals.manual_seed(config.seed * 1_000_003 + turn))[card]
        generator = torch.Generator().manual_seed((config.seed + 1) * 1_000_000_007 + first + place)
        samples.append(_sample(config, style, generator, photograph, film))
    return Batch(*(torch.cat(values) for values in zip(*samples, strict=True)))


def _sample(
    config: TrainConfig,
    style: Tensor,
    generator: torch.Generator,
    photograph: Callable[[torch.Generator], Tensor],
    film: Callable[[torch.Generator], Pair] | None,
) -> tuple[Tensor, ...]:
    weak, strength, remember, by_film = torch.rand(4, generator=generator).unbind()
    remembering = (remember < config.remembered_share).float()
    noise = _NOISE * torch.randn(2, 3, config.crop, config.crop, generator=generator)
    if film is not None and by_film < config.film_share:
        content, moved, flow, valid = film(generator)
        if is_flat(content):
            content, moved = ((picture + noise[1:]).clamp(0, 1) for picture in (content, moved))
    else:
        content = photograph(generator)
        if is_flat(content):
            content = (content + noise[1:]).clamp(0, 1)
        flow, valid = losses.random_motion(1, config.crop, config.crop, generator)
        # Remembered statistics let a change of light through, and the painting is to follow it. A network that is asked
        # to hide it all the same forgets to tell light from dark.
        gain = 1 + (1 - remembering) * _GAIN * torch.randn((), generator=generator)
        moved = (warp(content, flow) * gain + noise[:1]).clamp(0, 1)
    strength = torch.where(weak < config.weak_share, strength, torch.ones(()))
    return content, moved, flow, valid, noise[1:], style[None], strength[None], remembering[None, None]


def is_flat(picture: Tensor) -> bool:
    """True for a picture (1, 3, S, S) of one colour, a white ground or a title's: such are trained on with grain.

    Every normalisation divides by their deviation, which is next to nothing. After a dozen layers their gradients are
    no numbers any more, and training would end.
    """
    return bool((picture.std((2, 3)) < _FLAT).all())
