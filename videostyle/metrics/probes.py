"""Probes of a stylizer: films with known properties are stylized, and the output is measured.

No optical flow is needed, so errors of flow have no influence. A probe takes a function from frames to as many stylized
frames, for example `videostyle.paint_frames` with a style, stabilizer included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from videostyle.metrics.figures import ratio, to_plain
from videostyle.metrics.ghosts import GhostShare
from videostyle.metrics.temporal import ExactMotion
from videostyle.ops.filters import luma
from videostyle.ops.pixels import to_float, to_pixels
from videostyle.ops.warp import warp
from videostyle.types import Frame

Stylize = Callable[[Iterable[Frame]], Iterable[Frame]]

# Share of the final change at which a step response counts as settled.
_SETTLED = 0.9


@dataclass(frozen=True, slots=True)
class LightStep:
    """Step response of the output to a film that suddenly becomes lighter."""

    gain: float
    """Change of the output's mean brightness over that of the film: 1 follows it, 0 ignores it."""
    frames: int
    """Frames until nine tenths of the change to the final picture are done; 0 is at once."""
    redrawn: float
    """Change of the output apart from its mean brightness, root of the mean square, over the film's change: where this
    is large, strokes were drawn anew."""


@dataclass(frozen=True, slots=True)
class Drift:
    """Drift of the output of a still film from its first frame; differences are roots of mean squares."""

    last: float
    most: float
    brightness: float
    """Change of the mean brightness from the first frame to the last."""
    curve: tuple[float, ...]
    """Difference at every frame."""


@dataclass(frozen=True, slots=True)
class Probes:
    """Results of `probe`."""

    noise_gain: float
    light_step: LightStep
    drift: Drift
    after_cut: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Convert to plain data; nan becomes None."""
        return to_plain(asdict(self))


def probe(stylize: Stylize, picture: Tensor, other: Tensor, still_frames: int = 300) -> Probes:
    """Run every probe that needs no exact motion on two different pictures (1, 3, H, W) in 0..1 of one size."""
    return Probes(
        noise_gain=noise_gain(stylize, picture),
        light_step=light_step(stylize, picture),
        drift=drift(stylize, picture, still_frames),
        after_cut=after_cut(stylize, picture, other),
    )


def frames_of(pictures: Iterable[Tensor]) -> Iterator[Frame]:
    """Yield pictures (1, 3, H, W) in 0..1 as 16-bit frames at 24 fps; 8 bits would round faint noise away."""
    for index, picture in enumerate(pictures):
        yield Frame(to_pixels(picture, torch.uint16)[0], index, Fraction(1, 24), 1, index)


def noise_gain(stylize: Stylize, picture: Tensor, count: int = 24, settle: int = 8, sigma: float = 1 / 255) -> float:
    """Measure the gain of noise in a still film: deviation over time, output over input.

    Below 1 the noise is reduced. The first `settle` of the `count` frames are left out, until recurrent state and
    stabilizer have settled.
    """
    generator = torch.Generator().manual_seed(0)
    noisy = [(picture + sigma * torch.randn(picture.shape, generator=generator)).clamp(0, 1) for _ in range(count)]
    given = torch.cat(noisy[settle:]).var(0).mean().item()
    outputs = [to_float(frame) for frame in stylize(frames_of(noisy))]
    return math.sqrt(ratio(torch.cat(outputs[settle:]).var(0).mean().item(), given))


def light_step(stylize: Stylize, picture: Tensor, step: float = 0.1, before: int = 8, after: int = 32) -> LightStep:
    """Measure the response to a still film that becomes lighter by the factor 1 + `step` after `before` frames."""
    dark = picture * (1 / (1 + step))
    outputs = [to_float(frame) for frame in stylize(frames_of([dark] * before + [picture] * after))]
    change, wanted = luma(outputs[-1] - outputs[before - 1]).mean().item(), luma(picture - dark).mean().item()
    left = [(frame - outputs[-1]).square().mean().sqrt().item() for frame in outputs[before - 1 :]]
    # The last frame that has not settled, counted from the first light one.
    late = max((number for number, distance in enumerate(left) if distance > (1 - _SETTLED) * left[0]), default=0)
    moved = outputs[-1] - outputs[before - 1] - change
    return LightStep(ratio(change, wanted), late, ratio(moved.square().mean().sqrt().item(), wanted))


def drift(stylize: Stylize, picture: Tensor, count: int = 300) -> Drift:
    """Measure the drift of the output of `count` equal frames from the first."""
    first, curve, brightness = None, [], 0.0
    for frame in stylize(frames_of([picture] * count)):
        output = to_float(frame)
        first = output if first is None else first
        curve.append((output - first).square().mean().sqrt().item())
        brightness = luma(output - first).mean().item()
    return Drift(curve[-1], max(curve), brightness, tuple(curve))


def after_cut(stylize: Stylize, first: Tensor, second: Tensor, count: int = 8) -> tuple[float, ...]:
    """Measure the share of a shot left after a cut, frame by frame: 0 is none, 1 is all; energy is its square.

    Both shots are still; the second is also stylized alone, as the target.
    """
    both = [to_float(frame) for frame in stylize(frames_of([first] * count + [second] * count))]
    alone = [to_float(frame) for frame in stylize(frames_of([second] * count))]
    shares = []
    for picture, fresh in zip(both[count:], alone, strict=True):
        left = GhostShare()
        left.add(picture, fresh, both[count - 1])
        shares.append(left.share)
    return tuple(shares)


def ghosts(stylize: Stylize, fresh: Stylize, pictures: Sequence[Tensor], motions: Sequence[ExactMotion]) -> float:
    """Measure the ghosts in disocclusions, the share of the occluder left: 0 is none, 1 is all; energy is its square.

    `pictures` (1, 3, H, W) in 0..1 have the exact motion from each to the next; `fresh` stylizes frame by frame.
    """
    left = GhostShare()
    before: Tensor | None = None
    outputs, unblended = stylize(frames_of(pictures)), fresh(frames_of(pictures))
    for number, (output, new) in enumerate(zip(outputs, unblended, strict=True)):
        picture = to_float(output)
        if before is not None:
            motion = motions[number - 1]
            left.add(picture, to_float(new), warp(before, motion.vectors), motion.hidden)
        before = picture
    return left.share
