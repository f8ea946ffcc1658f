"""Objective of stylization by optimisation, and its gradient; computed in tiles where memory is short.

A Gram matrix is a sum over positions, so the gradient of a picture of any size can be computed exactly in tiles: the
sums are gathered tile by tile, the loss and its gradient are those of the sums, and a second pass over the tiles
propagates that gradient to the pixels. Each tile includes its receptive field, so the gradient is the whole picture's,
and there are no seams. It costs one more forward pass and the overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from videostyle.nets.vgg import LossNetwork
from videostyle.ops import losses
from videostyle.optimize.plan import GatysOptions

# The receptive field of relu5_1, the deepest layer, reaches 85 pixels to the right and below; a tile begins at a
# multiple of its stride.
STRIDE = 16
HALO = 96


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """Target of the style loss: the Gram matrices of a style image, and where in the picture they are wanted."""

    weight: float
    grams: dict[str, Tensor]
    """Gram matrices (1, C, C) by layer."""
    mask: Tensor | None = None
    """(1, 1, H, W) in 0..1, the region of the picture; None for all of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Anchor:
    """A picture to stay near, by its confidence: the painting of another frame, warped onto this one.

    The temporal loss of Ruder, Dosovitskiy and Brox 2016.
    """

    picture: Tensor
    """(1, 3, H, W)."""
    confidence: Tensor
    """(1, 1, H, W) in 0..1."""
    weight: float


class Terms(NamedTuple):
    """The weighted terms of the objective."""

    style: float
    content: float
    smooth: float
    near: float
    """Distance to the photograph, if the strength is below 1, and to anchors."""

    @property
    def total(self) -> float:
        return sum(self)


class Objective:
    """Computes the loss of pictures (1, 3, H, W) of one size.

    For a strength s below 1 the style has the weight s, the content 2 - s, and a fidelity term to the photograph is
    added, as when the networks are trained (`videostyle.train`).
    """

    def __init__(
        self,
        loss_network: LossNetwork,
        options: GatysOptions,
        content: Tensor,
        targets: Sequence[Target],
        anchors: Sequence[Anchor] = (),
        tile: int | None = None,
    ) -> None:
        """Compute the features of the photograph `content` (1, 3, H, W) in 0..1; `tile` is the side of the tiles."""
        self.loss_network = loss_network
        self.options = options
        self.photograph = content
        self.targets = targets
        self.anchors = anchors
        self.tiles = list(_tiles(content.shape[2], content.shape[3], tile))
        self._style = dict(options.style_layers)
        self._content = dict(options.content_layers)
        self._layers = tuple({**self._style, **self._content})
        size = content.shape[2], content.shape[3]
        self._masks = [_by_layer(target.mask, self._style, size) for target in targets]
        self._wanted: list[dict[str, Tensor]] = []
        energies: dict[str, float] = dict.fromkeys(self._content, 0.0)
        with torch.no_grad():
            for part in self.tiles:
                features = self.loss_network(part.of(content), tuple(self._content))
                inner = {layer: part.inside(layer, features[layer]).clone() for layer in self._content}
                for layer, found in inner.items():
                    energies[layer] += float((losses.at_least_float(found) ** 2).sum())
                self._wanted.append(inner)
        self._energies = {layer: max(energy, 1e-6) for layer, energy in energies.items()}

    def __call__(self, picture: Tensor) -> tuple[Terms, Tensor]:
        """Return the terms, and the gradient of their sum with respect to `picture` (1, 3, H, W).

        The picture may leave 0..1; the terms are those of the picture clamped to 0..1.
        """
        picture = picture.detach().requires_grad_()
        clamped = picture.clamp(0, 1)
        with torch.enable_grad():
            smooth = self.options.total_variation * losses.total_variation(clamped).sum()
            near = self._near(clamped)
            style, content, gradient = self._style_and_content(clamped)
            loss = smooth + near
            # The gradient of style and content is added at the clamped pixels, so that clamping affects all terms.
            (total,) = torch.autograd.grad(loss + (clamped * gradient).sum(), picture)
        return Terms(style, content, float(smooth.detach()), float(near.detach())), total

    def _near(self, picture: Tensor) -> Tensor:
        weak = 1 - self.options.strength
        near = 2 * weak**2 * losses.fidelity_distance(picture, self.photograph).sum()
        for anchor in self.anchors:
            difference = (picture - anchor.picture) ** 2 * anchor.confidence
            near = near + anchor.weight * difference.mean()
        return near

    def _style_and_content(self, picture: Tensor) -> tuple[float, float, Tensor]:
        """Return the style and content losses, and their gradient with respect to the picture."""
        # The pixels are a node of their own in the graph, where the gradients of the tiles are summed.
        pixels = picture.detach().requires_grad_()
        whole = len(self.tiles) == 1
        content = pixels.new_zeros(())
        with torch.set_grad_enabled(whole):
            sums = None
            for number in range(len(self.tiles)):
                found, part = self._tile_sums(number, pixels)
                sums = found if sums is None else [a + b for a, b in zip(sums, found, strict=True)]
                content = content + part
        assert sums is not None
        gathered = [one.detach().requires_grad_() for one in sums]
        style = self._style_loss(gathered)
        pull = torch.autograd.grad(style, gathered)
        if whole:
            surrogate = content + sum((one * towards).sum() for one, towards in zip(sums, pull, strict=True))
            (gradient,) = torch.autograd.grad(surrogate, pixels)
        else:
            gradient = torch.zeros_like(pixels)
            for number in range(len(self.tiles)):
                found, part = self._tile_sums(number, pixels)
                surrogate = part + sum((one * towards).sum() for one, towards in zip(found, pull, strict=True))
                gradient += torch.autograd.grad(surrogate, pixels)[0]
        return float(style.detach()), float(content.detach()), gradient

    def _tile_sums(self, number: int, pixels: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return a tile's share of the Gram sums, (1, C, C) by target and layer, and of the content distance."""
        tile = self.tiles[number]
        features = self.loss_network(tile.of(pixels), self._layers)
        sums = [_sum(tile, layer, features, masks) for masks in self._masks for layer in self._style]
        content = pixels.new_zeros(())
        for layer, weight in self._content.items():
            inner = losses.at_least_float(tile.inside(layer, features[layer]))
            difference = ((inner - losses.at_least_float(self._wanted[number][layer])) ** 2).sum()
            content = content + (2 - self.options.strength) * weight * difference / self._energies[layer]
        return sums, content

    def _style_loss(self, sums: Sequence[Tensor]) -> Tensor:
        loss = sums[0].new_zeros(())
        following = iter(sums)
        for target, masks in zip(self.targets, self._masks, strict=True):
            for layer, weight in self._style.items():
                found = next(following) / masks[layer].sum
                loss = loss + target.weight * weight * losses.gram_distance(found, target.grams[layer]).sum()
        return self.options.strength * loss


@torch.no_grad()
def style_image_grams(
    loss_network: LossNetwork,
    image: Tensor,
    layers: Sequence[str],
    part: Tensor | None = None,
    tile: int | None = None,
) -> dict[str, Tensor]:
    """Compute Gram matrices (1, C, C) by layer of a style image (1, 3, H, W) in 0..1, or of the mask `part` of it."""
    size = image.shape[2], image.shape[3]
    masks = _by_layer(part, layers, size)
    grams: dict[str, Tensor] = {}
    for one in _tiles(*size, tile):
        features = loss_network(one.of(image), layers)
        for layer in layers:
            share = _sum(one, layer, features, masks) / masks[layer].sum
            grams[layer] = grams[layer] + share if layer in grams else share
    return grams


class _Mask(NamedTuple):
    """A mask at the size of a layer's features."""

    map: Tensor | None
    """(1, 1, h, w); None for the whole picture."""
    sum: float
    """Sum over positions, by which a mean over the mask is divided."""


def _by_layer(mask: Tensor | None, layers: Iterable[str], size: tuple[int, int]) -> dict[str, _Mask]:
    found = {}
    for layer in layers:
        height, width = (side // _stride(layer) for side in size)
        if mask is None:
            found[layer] = _Mask(None, float(height * width))
        else:
            small = F.interpolate(mask, (height, width), mode="area")
            found[layer] = _Mask(small, max(float(small.sum()), 1.0))
    return found


def _sum(tile: _Tile, layer: str, features: dict[str, Tensor], masks: dict[str, _Mask]) -> Tensor:
    """Compute a tile's share of a Gram matrix (1, C, C), not yet divided by the number of positions.

    Positions are weighted by the mask (Gatys et al. 2017, spatial control).
    """
    inner = tile.inside(layer, features[layer])
    whole = masks[layer].map
    if whole is not None:
        inner = inner * tile.of_map(layer, whole).sqrt().to(inner.dtype)
    # `gram` divides by the positions of this tile.
    return losses.gram(inner) * (inner.shape[2] * inner.shape[3])


class _Tile(NamedTuple):
    """A part of a picture, with a margin of the receptive field."""

    outer: tuple[slice, slice]
    """Rows and columns of the picture."""
    inner: tuple[slice, slice]
    """Rows and columns of `outer` that the tile itself covers; a range that ends with the picture has no end."""

    def of(self, picture: Tensor) -> Tensor:
        return picture[:, :, self.outer[0], self.outer[1]]

    def inside(self, layer: str, features: Tensor) -> Tensor:
        """Return the part of the feature maps of `outer` that belongs to the tile itself."""
        rows, columns = (_scaled(part, layer) for part in self.inner)
        return features[:, :, rows, columns]

    def of_map(self, layer: str, whole: Tensor) -> Tensor:
        """Return the tile's own part of a map of the whole picture at a layer's size."""
        rows, columns = (
            _scaled(slice(outer.start + inner.start, None if inner.stop is None else outer.start + inner.stop), layer)
            for outer, inner in zip(self.outer, self.inner, strict=True)
        )
        return whole[:, :, rows, columns]


def _tiles(height: int, width: int, side: int | None) -> Iterator[_Tile]:
    for rows in _parts(height, side):
        for columns in _parts(width, side):
            yield _Tile((rows[0], columns[0]), (rows[1], columns[1]))


def _parts(length: int, side: int | None) -> Iterator[tuple[slice, slice]]:
    """Yield ranges of one dimension with their margins, and their place within these."""
    if side is None or length <= side + HALO:
        yield slice(0, length), slice(0, None)
        return
    starts = list(range(0, length, side))
    # A last tile of a few pixels would be nearly all overlap.
    if length - starts[-1] < HALO:
        starts.pop()
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        first = max(start - HALO, 0)
        last = length if following is None else min(following + HALO, length)
        yield slice(first, last), slice(start - first, None if following is None else following - first)


def _scaled(part: slice, layer: str) -> slice:
    stride = _stride(layer)
    return slice(part.start // stride, None if part.stop is None else part.stop // stride)


def _stride(layer: str) -> int:
    """Return the stride of a layer in pixels: 4 for relu3_1."""
    return 2 ** (int(layer.removeprefix("relu").partition("_")[0]) - 1)
