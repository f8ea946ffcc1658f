"""The finest detail of pictures: how much there is, and bringing it to a given amount."""

from __future__ import annotations

from torch import Tensor

from videostyle.ops.filters import box, enlarge, luma, mix, shrink, soften

# Detail is compared over squares of this many pixels, and amplified by this factor at most.
DETAIL_AREA = 4
MOST_GAIN = 1.5
# (1/255)², a detail energy that nobody sees: keeps noise in flat areas from being amplified.
DETAIL_FLOOR = 1.5e-5


def detail_energy(picture: Tensor) -> Tensor:
    """Compute the energy of the finest detail in luma, over some ten pixels: (N, 1, H / 4, W / 4)."""
    brightness = luma(picture)
    detail = soften(brightness).sub_(brightness)
    h, w = picture.shape[-2:]
    areas = -(-h // DETAIL_AREA), -(-w // DETAIL_AREA)
    return box(shrink(detail.square_(), areas), 1) + DETAIL_FLOOR


def restore_detail(picture: Tensor, energy: Tensor, gains: tuple[float, float] = (1, MOST_GAIN)) -> Tensor:
    """Bring the finest detail of `picture` (N, 3, H, W) to a local `energy`; the result is in 0..1.

    Detail is what a blur of one pixel removes; `energy` is the `detail_energy` of another picture. With its own the
    picture is returned as it is. `gains` are the least and the greatest factor of its detail: by default it is only
    amplified.
    """
    picture = picture.clamp(0, 1)
    gain = (energy / detail_energy(picture)).sqrt_().clamp_(*gains)
    h, w = picture.shape[-2:]
    # Away from the blurred picture by the share that is missing, towards it by the share that is too much.
    return mix(picture, soften(picture), enlarge(1 - gain, (h, w))).clamp_(0, 1)
