"""Batches of training, drawn sample by sample.

The random numbers of a sample depend on its place in the run alone. So a run is the same however often it was
interrupted, into however many parts its batches are divided, and on however many devices it runs.
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
"""Distances, in frames, from the last frame to the earlier ones of the temporal term, beside the one before it."""
_DISTURBANCES = (0.0, 0.3, 0.6)  # deviations in pixels of the error of the flow that warps a prior
_CORRUPTED_SHARE = 0.3


class FilmClips(Protocol):
    """Function that returns `length` + 1 consecutive frames of a film, chosen by a generator."""

    def __call__(self, generator: torch.Generator, length: int) -> Clip: ...


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Clips of N samples, all of the same length; the loss is computed on the last frame."""

    frames: list[Tensor]
    """Content frames, (N, 3, S, S) RGB in 0..1 each."""
    noise: list[Tensor]
    """Noise of each frame, (N, NOISE_CHANNELS, S, S)."""
    flows: list[Tensor]
    """Backward flows, (N, 2, S, S) in pixels, from each frame but the first to the one before it."""
    valid: list[Tensor]
    """Validity masks of the backward flows, (N, 1, S, S): 1 where the flow holds."""
    errors: list[Tensor]
    """Errors added to the flows that warp a prior, (N, 2, S, S) in pixels."""
    far: list[tuple[int, Tensor, Tensor]]
    """Distance in frames, the flow from the last frame to the one so far before it, and its validity mask."""
    corruption: Tensor
    """(N, 5): corruption of the priors, see `corrupted`; all zeros for priors that are not corrupted."""
    speckle: Tensor
    """(N, 3, S, S): white noise of deviation 1 for the priors that are corrupted, zeros for the others."""
    style: Tensor
    """(N,) numbers of styles, from 0."""
    strength: Tensor
    """(N,) strengths in 0..1."""
    shared_norm: Tensor
    """(N, 1): 1 for samples whose frames share norm statistics with the frame before, else 0."""

    @property
    def content(self) -> Tensor:
        """Content frame that the loss is computed on, the last one."""
        return self.frames[-1]

    def to(self, device: str) -> Batch:
        """Return a copy on another device."""

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
            shared_norm=self.shared_norm.to(device),
        )


def roll_out_length(config: TrainConfig, step: int, temporal: bool) -> int:
    """Draw the number of frames stylized before the last one in this step; 0 unless `temporal` training has begun."""
    if not temporal:
        return 0
    generator = torch.Generator().manual_seed((config.seed + 7) * 1_000_000_007 + step)
    lengths = [*(length for length in _LENGTHS if length <= config.roll_out), config.roll_out]
    return lengths[int(torch.randint(len(lengths), (), generator=generator))]


def draw(
    config: TrainConfig, step: int, places: range, crops: Crops, films: FilmClips | None = None, length: int = 0
) -> Batch:
    """Draw the samples at `places` of the batch of `step`: clips of `length` + 1 frames, from photographs or films.

    `crops` returns photographs and `films`, if there is one, consecutive frames; each is chosen by a generator.
    """
    # Styles are dealt like cards: all of them are drawn equally often.
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

    errors, corruption, speckle, styles, strength, shared_norm = (
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
        shared_norm=shared_norm,
    )


def _sample(
    config: TrainConfig,
    style: Tensor,
    generator: torch.Generator,
    crops: Crops,
    films: FilmClips | None,
    length: int,
) -> tuple[Clip, tuple[Tensor, ...]]:
    weak, strength, sharing, by_film, ground, corrupted = torch.rand(6, generator=generator).unbind()
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
    shared_norm = (sharing < config.running_norm_share).float()
    return clip, (errors, corruption, speckle, style[None], strength[None], shared_norm[None, None])


def is_flat(picture: Tensor) -> bool:
    """Return True for a picture (1, 3, S, S) of one colour, such as a white ground; grain is added to such pictures.

    Every normalisation divides by their deviation, which is near zero. After a dozen layers their gradients would not
    be finite any more, and training would end.
    """
    return bool((picture.std((2, 3)) < _FLAT).all())
