"""Masks that run in step with the film, and the compositing of stylized layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import cv2
from torch import Tensor

from videostyle.errors import SourceError
from videostyle.ops.filters import luma, stack_rows
from videostyle.ops.pixels import alpha_to_float, resize, split_alpha, to_float
from videostyle.timeline import Span
from videostyle.types import Frame, Source

# Lossy codecs decode black and white as nearly black and nearly white: values this near to 0 and 1 count as these.
NEAR = 0.02


class Mask:
    """The opacity of the stylized layer at each pixel: the luma of a picture or film, times its alpha if it has one.

    Of a mask film, the frame nearest in time is used; after its end, its last frame.
    """

    def __init__(self, source: Source, feather: float) -> None:
        """Read the mask from `source`, blurred by a Gaussian of deviation `feather`, in pixels of the output."""
        self._warnings: dict[str, str] = {}
        self.source = source
        self._feather = feather
        self._frames: Iterator[Frame] = iter(())
        self._now: Frame | None = None
        self._next: Frame | None = None
        self._step = Fraction(0)
        self._drawn: tuple[Frame, Tensor] | None = None

    @property
    def warnings(self) -> list[str]:
        """One line for each likely mistake: a mask of another shape, or one that ends before the film."""
        return list(self._warnings.values())

    def at(self, time: Fraction, size: tuple[int, int]) -> Tensor:
        """Return the mask (1, H, W) in 0..1 for `size` (H, W) at `time` seconds into the film; times must not fall."""
        frame = self._nearest(time)
        if self._drawn is None or self._drawn[0] is not frame or self._drawn[1].shape[1:] != size:
            self._check_shape(frame, size)
            self._drawn = frame, mask_from_pixels(frame.pixels, size, self._feather)
        return self._drawn[1]

    def _check_shape(self, frame: Frame, size: tuple[int, int]) -> None:
        (height, width), (tall, wide) = frame.pixels.shape[1:], size
        # Half a pixel of the smaller picture is rounding.
        if abs(width * tall - height * wide) > max(width, height, wide, tall):
            self._warnings["shape"] = (
                f"{self.source.info.path}: the mask is {width}x{height}, another shape than the frames, "
                f"{wide}x{tall}; it is stretched to these"
            )

    def _nearest(self, time: Fraction) -> Frame:
        if self._now is None:
            # Reading begins a second early, because the nearest frame may be an earlier one; and a second before the
            # end at the latest, so that there is a last frame to keep.
            latest = Fraction(self.source.info.duration or 0)
            self._frames = self.source.frames(Span(max(min(time, latest) - 1, Fraction(0))))
            self._now, self._next = next(self._frames, None), next(self._frames, None)
            if self._now is None:
                raise SourceError(f"{self.source.info.path}: has no frame to use as a mask")
        while self._next is not None and self._time(self._next) - time <= time - self._time(self._now):
            self._step = self._time(self._next) - self._time(self._now)
            self._now, self._next = self._next, next(self._frames, None)
        ended = self._time(self._now) + self._step
        if self._step and self._next is None and time - ended > self._step / 2 and "end" not in self._warnings:
            self._warnings["end"] = (
                f"{self.source.info.path}: the mask ends at {float(ended):.2f} s, before the film; "
                "its last frame is used from there on"
            )
        return self._now

    def _time(self, frame: Frame) -> Fraction:
        return frame.pts * frame.time_base - (self.source.info.start or 0)


def mask_from_pixels(pixels: Tensor, size: tuple[int, int], feather: float) -> Tensor:
    """Return the mask (1, H, W) in 0..1 of `size` (H, W) for the integer pixels (3 or 4, h, w) of a picture."""
    colors, alpha = split_alpha(pixels)
    mask = luma(to_float(colors))
    if alpha is not None:
        mask = mask * alpha_to_float(alpha)
    mask = _feathered(resize(mask, size), feather)
    return ((mask[0] - NEAR) / (1 - 2 * NEAR)).clamp(0, 1)


def mask_of_people(people: Tensor, which: str, size: tuple[int, int], feather: float) -> Tensor:
    """Return the mask (1, H, W) in 0..1 of `size` (H, W) that `which` of `style.SEGMENTED` means.

    `people` (1, 1, h, w) in 0..1 is the mask of the people, of any size.
    """
    mask = resize(people, size)
    if which == "background":
        mask = 1 - mask
    return _feathered(mask, feather)[0].clamp(0, 1)


def _feathered(mask: Tensor, feather: float) -> Tensor:
    """Blur a mask (1, 1, H, W) by a Gaussian of deviation `feather`, in pixels."""
    if feather <= 0:
        return mask
    soft = cv2.GaussianBlur(mask[0, 0].numpy(force=True), (0, 0), feather, borderType=cv2.BORDER_REPLICATE)
    return stack_rows([soft])


def compose(film: Tensor, layers: Sequence[Tensor], regions: Sequence[Tensor], mask: Tensor | None) -> Tensor:
    """Composite stylized layers (3, H, W) over the film's frame (3, H, W).

    Each layer but the first is blended over those before it by its region (1, H, W) in 0..1, and the result over the
    film by `mask`. Where a mask is 0, the pixels below it are returned bit for bit.
    """
    picture = layers[0]
    for layer, region in zip(layers[1:], regions, strict=True):
        picture = picture.lerp(layer, region)
    return picture if mask is None else film.lerp(picture, mask)
