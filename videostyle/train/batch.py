"""What one step of training sees, drawn sample by sample.

Every sample has its own random numbers, by its place in the run alone. So a run is the same however often it was
interrupted, into however many parts its batches are cut, and on however many devices it is worked through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from videostyle.train.data import Crops, title_card
from videostyle.train.motion import Clip, moving, still
from videostyle.train.plan import TrainConfig

_NOISE = 0.012
_FLAT = 1 / 255
_BLUR = (8.0, 30.0)  # deviations in pixels that leave nothing but a slow change of colour
# Lengths of roll-outs are chosen from these, and the configuration's longest, with equal probability.
_LENGTHS = (0, 1, 1, 2, 3, 5, 8)
GAPS = (4, 8)
"""Frames between the judged one and earlier ones that it is compared with, beside the one before it."""
_DISTURBANCES = (0.0, 0.3, 0.6)  # deviations in pixels by which the flow that warps a prior is wrong
_CORRUPTED_SHARE = 0.3


class FilmClips(Protocol):
    """Gives `length` + 1 frames of a film in a row, by a generator."""

    def __call__(self, generator: torch.Generator, length: int) -> Clip: ...


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Clips of N samples, all of the same length; the last frame is the one that is judged."""

    frames: list[Tensor]
    """(N, 3, S, S) RGB in 0..1 each."""
    noise: list[Tensor]
    """(N, NOISE_CHANNELS, S, S) each."""
    flows: list[Tensor]
    """(N, 2, S, S) in pixels, from each frame but the first to the one before it."""
    valid: list[Tensor]
    """(N, 1, S, S): 1 where that flow holds."""
    errors: list[Tensor]
    """(N, 2, S, S) in pixels: by how much the flow that warps a prior is to be wrong."""
    far: list[tuple[int, Tensor, Tensor]]
    """Distance in frames, the flow from the last frame so far back, and where it holds."""
    corruption: Tensor
    """(N, 5): of the priors, see `corrupted`; all zeros for those that stay as they are."""
    speckle: Tensor
    """(N, 3, S, S): white noise of deviation 1 for the priors that are corrupted, zeros for the others."""
    style: Tensor
    """(N,) numbers of paintings, from 0."""
    strength: Tensor
    """(N,) in 0..1."""
    remembering: Tensor
    """(N, 1): 1 where frames are painted with the normalisation statistics of the frame before."""

    @property
    def content(self) -> Tensor:
        """The frame that is judged."""
        return self.frames[-1]

    def to(self, device: str) -> Batch:
        """The same on another device."""

        def moved(tensors: list[Tensor]) -> list[Tensor]:
            return [tensor.to(device) for tensor in tensors]

        return Batch(
            frames=moved(self.frames),
            noise=moved(self.noise),
            flows=moved(self.flows),
            valid=moved(self.valid),
            errors=moved(self.errors),
            far=[(step, flow.to(device), valid.to(device)) for step, flow, valid in self.far],
            corruption=self.corruption.to(device),
            speckle=self.speckle.to(device),
            style=self.style.to(device),
            strength=self.strength.to(device),
            remembering=self.remembering.to(device),
        )


def roll_out_length(config: TrainConfig, step: int, steadying: bool) -> int:
    """How many frames are painted before the judged one in this step: none until steadying begins."""
    if not steadying:
        return 0
    generator = torch.Generator().manual_seed((config.seed + 7) * 1_000_000_007 + step)
    lengths = [*(length for length in _LENGTHS if length <= config.roll_out), config.roll_out]
    return lengths[int(torch.randint(len(lengths), (), generator=generator))]


def draw(
    config: TrainConfig, step: int, places: range, crops: Crops, films: FilmClips | None = None, length: int = 0
) -> Batch:
    """The samples at `places` of the batch of `step`: clips of `length` + 1 frames, of photographs that move or films.

    `crops` gives photographs by a generator; `films`, if there is one, frames that follow each other.
    """
    # Paintings are dealt like cards: all of them come up equally often.
    deals = torch.Generator().manual_seed(config.seed)
    count = len(config.styles)
    first = step * config.batch
    clips, rows = [], []
    for place in places:
        turn, card = divmod(first + place, count)
        style = torch.randperm(count, generator=deals.manual_seed(config.seed * 1_000_003 + turn))[card]
        generator = torch.Generator().manual_seed((config.seed + 1) * 1_000_000_007 + first + place)
        clip, row = _sample(config, style, generator, crops, films, length)
        clips.append(clip)
        rows.append(row)

    def joined(tensors: list[list[Tensor]]) -> list[Tensor]:
        return [torch.cat(list(same)) for same in zip(*tensors, strict=True)]

    errors, corruption, speckle, styles, strength, remembering = (
        torch.cat(values) for values in zip(*rows, strict=True)
    )
    return Batch(
        frames=joined([clip.frames for clip in clips]),
        noise=joined([clip.noise for clip in clips]),
        flows=joined([clip.flows for clip in clips]),
        valid=joined([clip.valid for clip in clips]),
        errors=[
            F.interpolate(error, (config.crop, config.crop), mode="bicubic", align_corners=True)
            for error in errors.unbind(1)[:length]
        ],
        far=[
            (same[0][0], torch.cat([flow for _, flow, _ in same]), torch.cat([valid for _, _, valid in same]))
            for same in zip(*(clip.far for clip in clips), strict=True)
        ],
        corruption=corruption,
        speckle=speckle,
        style=styles,
        strength=strength,
        remembering=remembering,
    )


def _sample(
    config: TrainConfig,
    style: Tensor,
    generator: torch.Generator,
    crops: Crops,
    films: FilmClips | None,
    length: int,
) -> tuple[Clip, tuple[Tensor, ...]]:
    weak, strength, remember, by_film, ground, corrupted = torch.rand(6, generator=generator).unbind()
    random = np.random.default_rng(int(torch.randint(2**31, (), generator=generator)))

    def blur() -> float | None:
        return random.uniform(*_BLUR) if ground >= 1 - config.flat_share else None

    def photograph() -> np.ndarray:
        return crops.picture(generator, blurred=blur())

    if films is not None and by_film < config.film_share:
        clip = films(generator, length)
    elif length:
        clip = moving(photograph, config.crop, length, random, GAPS)
    elif ground < config.card_share:
        clip = still(title_card(config.crop, random), random)
    else:
        clip = still(crops(generator, blurred=blur()), random)
    frames = [
        (frame + _NOISE * torch.randn(frame.shape, generator=generator)).clamp(0, 1) if is_flat(frame) else frame
        for frame in clip.frames
    ]
    clip = Clip(frames, clip.noise, clip.flows, clip.valid, clip.far)
    errors = torch.randn(1, max(length, 1), 2, 12, 12, generator=generator)
    errors *= _DISTURBANCES[int(torch.randint(len(_DISTURBANCES), (), generator=generator))]
    corruption = torch.randn(1, 5, generator=generator) * (corrupted < _CORRUPTED_SHARE)
    speckle = torch.zeros(1, 3, config.crop, config.crop)
    if length and corruption.any():
        speckle = torch.randn(speckle.shape, generator=generator)
    strength = torch.where(weak < config.weak_share, strength, torch.ones(()))
    remembering = (remember < config.remembered_share).float()
    return clip, (errors, corruption, speckle, style[None], strength[None], remembering[None, None])


def is_flat(picture: Tensor) -> bool:
    """True for a picture (1, 3, S, S) of one colour, a white ground or a title's: such are trained on with grain.

    Every normalisation divides by their deviation, which is next to nothing. After a dozen layers their gradients are
    no numbers any more, and training would end.
    """
    return bool((picture.std((2, 3)) < _FLAT).all())
