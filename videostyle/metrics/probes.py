"""Measures of what paints, not of what was painted: films of known truth are put in and what comes out is looked at.

No flow takes part, so none can flatter or fail. What paints is a function from frames to as many painted frames,
`videostyle.paint_frames` with a style for example, stabiliser and all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from videostyle.metrics.figures import plain, ratio
from videostyle.metrics.ghosts import Leftover
from videostyle.metrics.temporal import ExactMotion
from videostyle.ops.filters import luma
from videostyle.ops.pixels import to_float, to_pixels
from videostyle.ops.warp import warp
from videostyle.types import Frame

Paint = Callable[[Iterable[Frame]], Iterable[Frame]]

# A share of the way after which a response counts as arrived.
_ARRIVED = 0.9


@dataclass(frozen=True, slots=True)
class LightStep:
    """How a painting follows a film that suddenly becomes lighter."""

    gain: float
    """Change of the painting's mean brightness over that of the film's: 1 follows, 0 ignores it."""
    frames: int
    """After how many frames nine tenths of the way to the final picture are gone; 0 is at once."""
    redrawn: float
    """How the painting changed besides its mean brightness, root of the mean square, over the film's change: where this
    is large, brush marks were drawn anew."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How far the painting of a still film wanders from its first frame; differences are roots of mean squares."""

    last: float
    most: float
    brightness: float
    """Change of the mean brightness from the first frame to the last."""
    curve: tuple[float, ...]
    """The difference at every frame."""


@dataclass(frozen=True, slots=True)
class Probes:
    """What `probe` found out about a painter."""

    noise_gain: float
    light_step: LightStep
    drift: Drift
    after_cut: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain data; what could not be measured is None."""
        return plain(asdict(self))


def probe(paint: Paint, picture: Tensor, other: Tensor, still_frames: int = 300) -> Probes:
    """Every measure below that needs no exact motion, on two unlike pictures (1, 3, H, W) in 0..1 of one size."""
    return Probes(
        noise_gain=noise_gain(paint, picture),
        light_step=light_step(paint, picture),
        drift=drift(paint, picture, still_frames),
        after_cut=after_cut(paint, picture, other),
    )


def frames_of(pictures: Iterable[Tensor]) -> Iterator[Frame]:
    """Pictures (1, 3, H, W) in 0..1 as frames of 16 bits, 24 a second: faint noise must not drown in rounding."""
    for index, picture in enumerate(pictures):
        yield Frame(to_pixels(picture, torch.uint16)[0], index, Fraction(1, 24), 1, index)


def noise_gain(paint: Paint, picture: Tensor, count: int = 24, settle: int = 8, sigma: float = 1 / 255) -> float:
    """How much louder the noise of a still film becomes in its painting: deviation over time, out over in.

    Below 1 it is quietened. The first `settle` of the `count` frames are left out, until what remembers has settled.
    """
    generator = torch.Generator().manual_seed(0)
    noisy = [(picture + sigma * torch.randn(picture.shape, generator=generator)).clamp(0, 1) for _ in range(count)]
    given = torch.cat(noisy[settle:]).var(0).mean().item()
    painted = [to_float(frame) for frame in paint(frames_of(noisy))]
    return math.sqrt(ratio(torch.cat(painted[settle:]).var(0).mean().item(), given))


def light_step(paint: Paint, picture: Tensor, step: float = 0.1, before: int = 8, after: int = 32) -> LightStep:
    """The answer to a still film that becomes lighter by the factor 1 + `step` after `before` frames."""
    dark = picture * (1 / (1 + step))
    painted = [to_float(frame) for frame in paint(frames_of([dark] * before + [picture] * after))]
    change, wanted = luma(painted[-1] - painted[before - 1]).mean().item(), luma(picture - dark).mean().item()
    left = [(frame - painted[-1]).square().mean().sqrt().item() for frame in painted[before - 1 :]]
    # The last frame that is not there yet, counted from the first light one.
    late = max((number for number, distance in enumerate(left) if distance > (1 - _ARRIVED) * left[0]), default=0)
    moved = painted[-1] - painted[before - 1] - change
    return LightStep(ratio(change, wanted), late, ratio(moved.square().mean().sqrt().item(), wanted))


def drift(paint: Paint, picture: Tensor, count: int = 300) -> Drift:
    """How far the painting of `count` equal frames wanders from the first."""
    first, curve, brightness = None, [], 0.0
    for frame in paint(frames_of([picture] * count)):
        painted = to_float(frame)
        first = painted if first is None else first
        curve.append((painted - first).square().mean().sqrt().item())
        brightness = luma(painted - first).mean().item()
    return Drift(curve[-1], max(curve), brightness, tuple(curve))


def after_cut(paint: Paint, first: Tensor, second: Tensor, count: int = 8) -> tuple[float, ...]:
    """How much of a shot is left after a cut to another, frame by frame: 0 is nothing, 1 is all; energy is its square.

    Both shots are still; the second is also painted alone, which is what it should look like.
    """
    both = [to_float(frame) for frame in paint(frames_of([first] * count + [second] * count))]
    alone = [to_float(frame) for frame in paint(frames_of([second] * count))]
    shares = []
    for picture, fresh in zip(both[count:], alone, strict=True):
        left = Leftover()
        left.add(picture, fresh, both[count - 1])
        shares.append(left.share)
    return tuple(shares)


def ghosts(paint: Paint, fresh: Paint, pictures: Sequence[Tensor], motions: Sequence[ExactMotion]) -> float:
    """How much of what moved away is left in what it uncovered: 0 is nothing, 1 is all; energy is its square.

    `pictures` (1, 3, H, W) in 0..1 with the exact motion from each to the next; `fresh` paints without memory.
    """
    left = Leftover()
    before: Tensor | None = None
    painted, plain = paint(frames_of(pictures)), fresh(frames_of(pictures))
    for number, (steady, new) in enumerate(zip(painted, plain, strict=True)):
        picture = to_float(steady)
        if before is not None:
            motion = motions[number - 1]
            left.add(picture, to_float(new), warp(before, motion.vectors), motion.hidden)
        before = picture
    return left.share
