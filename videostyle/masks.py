"""Where paintings go: masks that run in step with the film, and the picture put together from its layers."""

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

# Codecs give black and white back as nearly black and nearly white: this near, they count as 0 and 1.
NEAR = 0.02


class Mask:
    """How much is painted where: the brightness of a picture or film, times its alpha if it has one.

    Of a film, the picture nearest in time counts; when it has ended, its last one.
    """

    def __init__(self, source: Source, feather: float) -> None:
        """`feather` is the deviation, in pixels of the painted picture, of the Gaussian that softens the mask."""
        self._told: dict[str, str] = {}
        self.source = source
        self._feather = feather
        self._frames: Iterator[Frame] = iter(())
        self._now: Frame | None = None
        self._next: Frame | None = None
        self._step = Fraction(0)
        self._drawn: tuple[Frame, Tensor] | None = None

    @property
    def warnings(self) -> list[str]:
        """What is not as it was surely meant, a line each."""
        return list(self._told.values())

    def at(self, time: Fraction, size: tuple[int, int]) -> Tensor:
        """(1, H, W) in 0..1 for a picture of `size` (H, W), `time` seconds into the film; times must not fall."""
        frame = self._nearest(time)
        if self._drawn is None or self._drawn[0] is not frame or self._drawn[1].shape[1:] != size:
            self._check_shape(frame, size)
            self._drawn = frame, draw(frame.pixels, size, self._feather)
        return self._drawn[1]

    def _check_shape(self, frame: Frame, size: tuple[int, int]) -> None:
        (height, width), (tall, wide) = frame.pixels.shape[1:], size
        # Half a pixel of the smaller picture is rounding.
        if abs(width * tall - height * wide) > max(width, height, wide, tall):
            self._told["shape"] = (
                f"{self.source.info.path}: {width}x{height} is another shape than what is painted, {wide}x{tall}; "
                "the mask is stretched to it"
            )

    def _nearest(self, time: Fraction) -> Frame:
        if self._now is None:
            # A second early, for the nearest picture may be one before; and a second before the end at the latest, so
            # that there is a last picture to stay.
            latest = Fraction(self.source.info.duration or 0)
            self._frames = self.source.frames(Span(max(min(time, latest) - 1, Fraction(0))))
            self._now, self._next = next(self._frames, None), next(self._frames, None)
            if self._now is None:
                raise SourceError(f"{self.source.info.path}: has no picture to use as a mask")
        while self._next is not None and self._time(self._next) - time <= time - self._time(self._now):
            self._step = self._time(self._next) - self._time(self._now)
            self._now, self._next = self._next, next(self._frames, None)
        ended = self._time(self._now) + self._step
        if self._step and self._next is None and time - ended > self._step / 2 and "end" not in self._told:
            self._told["end"] = (
                f"{self.source.info.path}: ends at {float(ended):.2f} s, before the film; its last picture stays"
            )
        return self._now

    def _time(self, frame: Frame) -> Fraction:
        return frame.pts * frame.time_base - (self.source.info.start or 0)


def draw(pixels: Tensor, size: tuple[int, int], feather: float) -> Tensor:
    """The mask (1, H, W) of `size` that a picture (3 or 4, h, w) of integers stands for."""
    colors, alpha = split_alpha(pixels)
    mask = luma(to_float(colors))
    if alpha is not None:
        mask = mask * alpha_to_float(alpha)
    mask = resize(mask, size)
    if feather > 0:
        soft = cv2.GaussianBlur(mask[0, 0].numpy(), (0, 0), feather, borderType=cv2.BORDER_REPLICATE)
        mask = stack_rows([soft])
    return ((mask[0] - NEAR) / (1 - 2 * NEAR)).clamp(0, 1)


def compose(film: Tensor, layers: Sequence[Tensor], regions: Sequence[Tensor], mask: Tensor | None) -> Tensor:
    """The picture (3, H, W) that layers (3, H, W) make.

    Each but the first lies over those before it where its region (1, H, W) is 1; all lie over the film where `mask`
    is. Where a mask is 0, what lies below is there bit for bit.
    """
    picture = layers[0]
    for layer, region in zip(layers[1:], regions, strict=True):
        picture = picture.lerp(layer, region)
    return picture if mask is None else film.lerp(picture, mask)
