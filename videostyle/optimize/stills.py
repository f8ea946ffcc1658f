"""Stylization of one picture by optimisation, from coarse to fine."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from videostyle import interrupt, weights
from videostyle.engines import choose_device
from videostyle.errors import UsageError
from videostyle.io import open_sink, open_source
from videostyle.io.images import EXTENSIONS, is_picture, read_picture
from videostyle.io.style_image import read_style_image
from videostyle.masks import mask_from_pixels
from videostyle.nets.vgg import has_bf16
from videostyle.ops.color import keep_colors, match_colors
from videostyle.ops.pixels import alpha_to_float, join_alpha, resize, split_alpha, to_float, to_pixels
from videostyle.optimize.objective import HALO, STRIDE, Anchor, Objective, Target, Terms, style_image_grams
from videostyle.optimize.optimizers import descend
from videostyle.optimize.plan import GatysOptions, PaintPlan, StyleImage
from videostyle.plan import EncodeOptions
from videostyle.progress import OnProgress, Progress, ignore
from videostyle.timeline import Span

# Least side of a tile in pixels; smaller tiles are nearly all overlap.
_SMALLEST_TILE = 64
# Number of cached sets of Gram matrices, some megabytes each.
_GRAMS = 16
# Least number of steps of a scale, and the window over which the loss must improve for it to go on.
_PATIENCE = 20
# Numbers stored per pixel for the features of a picture and their gradients: measured, with all of the default layers.
# The budget is this many bytes of the CPU's memory, or this share of a GPU's free memory.
_NUMBERS = 700
_CPU_BUDGET = 4 * 2**30
_GPU_SHARE = 0.7


class Step(NamedTuple):
    """State of a picture after a step: the `latest` of its progress."""

    number: int
    """Number of the step, from 1."""
    share: float
    """Share of all the work that is done, in 0..1: steps on small pictures count less."""
    terms: Terms
    picture: Tensor
    """(1, 3, h, w) in 0..1, the best picture of this scale so far."""


@dataclass(frozen=True, slots=True, eq=False)
class StylizedPicture:
    """A picture stylized by optimisation."""

    picture: Tensor
    """(1, 3, H, W) in 0..1."""
    scales: list[tuple[int, int]]
    """Width and height of each scale."""
    curve: list[tuple[int, Terms]]
    """Scale number and terms of each step."""


@dataclass(frozen=True, slots=True)
class PaintReport:
    """Report on a stylized still."""

    output: str
    size: tuple[int, int]
    """Width and height."""
    steps: int
    seconds: float
    terms: Terms
    """Terms of the picture that was kept."""
    curve: list[tuple[int, Terms]]
    warnings: list[str] = field(default_factory=list)


class Gatys:
    """Stylizes pictures with the same style images, whose Gram matrices are computed once for each size."""

    def __init__(self, style_images: Sequence[StyleImage], options: GatysOptions, device: str = "cpu") -> None:
        """Load the style images and the loss network; raise SourceError, UsageError or WeightsError."""
        self.options = options
        self.style_images = style_images
        self.device = device
        self.warnings: list[str] = []
        self._style_pictures = [read_painting(one) for one in style_images]
        loss_network = weights.load_loss_network(options.loss_network, options.loss_network_weights)
        loss_network.pooling = options.pooling
        self._half = has_bf16(device) if options.half is None else options.half
        kind = torch.bfloat16 if self._half else torch.float32
        self._loss_network = loss_network.to(device, kind).to(memory_format=torch.channels_last)
        self._grams: OrderedDict[tuple[int, int, bytes], dict[str, Tensor]] = OrderedDict()
        self._tile = options.tile

    def __call__(
        self,
        content: Tensor,
        start: Tensor | None = None,
        anchors: Sequence[Anchor] = (),
        on_progress: OnProgress = ignore,
        fresh: Tensor | None = None,
    ) -> StylizedPicture:
        """Stylize `content` (1, 3, H, W) in 0..1, beginning with `start` (of its own size; None: the content itself).

        `fresh`, (1, 1, H, W) in 0..1, masks the parts where `start` is not stylized yet: the style loss is applied to
        them separately, too. That of the whole picture could be met by the stylized parts alone, and leave these bare.
        If memory is too short, the work goes on in tiles, with a line in `warnings`.
        """
        options = self.options
        content = content.to(self.device).contiguous()
        if options.strength == 0:
            return StylizedPicture(content, [], [])
        scales = list(_scales(content.shape[2], content.shape[3], options.smallest))
        # Coarse scales set the layout only: their detail is blurred when they are enlarged.
        steps = [(options.steps + 1) // 2] * (len(scales) - 1) + [options.steps]
        work = [count * height * width for count, (height, width) in zip(steps, scales, strict=True)]
        curve: list[tuple[int, Terms]] = []
        start = content if start is None else start.to(self.device)
        begun = picture = resize(start, scales[0])
        for number, (size, count) in enumerate(zip(scales, steps, strict=True)):
            done, whole = sum(work[:number]), sum(work)
            # The change made by a scale is enlarged, not its picture, which keeps the detail of the start.
            before, begun = begun, resize(start, size)
            picture = resize(picture, size) + begun - resize(before, size)
            for step in self._descent(content, picture, anchors, fresh, size, count, curve, number):
                picture = step.picture
                step = step._replace(number=len(curve), share=(done + work[number] * step.share) / whole)
                on_progress(_progress(step))
                interrupt.check()
        if options.keep_colors == "luminance":
            picture = keep_colors(picture, content)
        return StylizedPicture(picture, [(width, height) for height, width in scales], curve)

    def _descent(
        self,
        content: Tensor,
        start: Tensor,
        anchors: Sequence[Anchor],
        fresh: Tensor | None,
        size: tuple[int, int],
        count: int,
        curve: list[tuple[int, Terms]],
        number: int,
    ) -> Iterator[Step]:
        """Optimize one scale step by step, adding to `curve`; begin again in smaller tiles when memory runs out."""
        tile = self._tile or self._affordable(*size)
        while True:
            try:
                objective = self._objective(content, anchors, fresh, size, tile)
                best, picture, history = float("inf"), start, []
                for step in descend(objective, start.contiguous(), self.options):
                    history.append(min(step.terms.total, best))
                    if step.terms.total < best:
                        best, picture = step.terms.total, step.picture.clamp(0, 1)
                        terms = step.terms
                    curve.append((number, step.terms))
                    yield Step(len(curve), len(history) / count, terms, picture)
                    if len(history) >= count or _done(history, self.options.tolerance):
                        return
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
                    raise
                smaller = (tile or max(size)) // 2 // STRIDE * STRIDE
                if smaller < _SMALLEST_TILE:
                    raise UsageError(
                        "there is too little memory to paint even in tiles; choose a smaller size"
                    ) from error
                self._tile = tile = smaller
                self.warnings.append(f"memory ran out at {size[1]}x{size[0]}: painting in tiles of {tile} pixels")
                if self.device != "cpu":
                    torch.cuda.empty_cache()

    def _affordable(self, height: int, width: int) -> int | None:
        """Return the side of the tiles that memory allows; None if the whole picture fits."""
        budget = _CPU_BUDGET if self.device == "cpu" else int(_GPU_SHARE * torch.cuda.mem_get_info(self.device)[0])
        pixels = budget / (_NUMBERS * (2 if self._half else 4))
        if height * width <= pixels:
            return None
        return max(int(pixels**0.5 - 2 * HALO) // STRIDE * STRIDE, _SMALLEST_TILE)

    def _objective(
        self,
        content: Tensor,
        anchors: Sequence[Anchor],
        fresh: Tensor | None,
        size: tuple[int, int],
        tile: int | None,
    ) -> Objective:
        scaled = [Anchor(resize(one.picture, size), resize(one.confidence, size), one.weight) for one in anchors]
        targets = self._targets(content, size, tile)
        if fresh is not None:
            mask = resize(fresh.to(self.device), size)
            targets += [replace(one, mask=mask if one.mask is None else one.mask * mask) for one in targets]
        return Objective(self._loss_network, self.options, resize(content, size), targets, scaled, tile)

    def _targets(self, content: Tensor, size: tuple[int, int], tile: int | None) -> list[Target]:
        regions = [
            None if one.region is None else mask_from_pixels(read_picture(one.region), size, 0)[None].to(self.device)
            for one in self.style_images
        ]
        painted = [region for region in regions if region is not None]
        rest = (1 - torch.cat(painted).amax(0, keepdim=True)) if painted else None
        places = [one.region for one in self.style_images]
        together = {place: sum(one.weight for one in self.style_images if one.region == place) for place in places}
        targets = []
        for number, (one, region) in enumerate(zip(self.style_images, regions, strict=True)):
            grams = self._style_grams(number, content, max(size), tile)
            targets.append(Target(one.weight / together[one.region], grams, rest if region is None else region))
        return targets

    def _style_grams(self, number: int, content: Tensor, longer: int, tile: int | None) -> dict[str, Tensor]:
        painting, part = self._style_pictures[number]
        height, width = painting.shape[2:]
        # Style images are never enlarged: there are no marks finer than their own pixels.
        scale = min(longer * self.options.brush / max(height, width), 1.0)
        # Deep layers need a few positions for their statistics.
        size = tuple(max(round(side * scale), min(side, 2 * STRIDE)) for side in (height, width))
        matched = self.options.keep_colors == "match"
        key = (number, max(size), _fingerprint(content) if matched else b"")
        if key not in self._grams:
            picture = resize(painting, (size[0], size[1])).to(self.device)
            if matched:
                picture = match_colors(picture, content)
            mask = None if part is None else resize(part, (size[0], size[1])).to(self.device)
            layers = [layer for layer, _ in self.options.style_layers]
            self._grams[key] = style_image_grams(self._loss_network, picture, layers, mask, tile)
            # If colours are matched to each frame, the matrices of previous frames are of no more use.
            while len(self._grams) > max(_GRAMS, len(self.style_images)):
                self._grams.popitem(last=False)
        self._grams.move_to_end(key)
        return self._grams[key]


def paint_picture(plan: PaintPlan, on_progress: OnProgress = ignore) -> PaintReport:
    """Stylize one still by optimisation: `videostyle paint`, in Python.

    `plan.content` may be a film, too: its first frame is used. Ctrl-C keeps the best picture so far, under the output's
    name. Raises SourceError, SinkError, UsageError, WeightsError.
    """
    began = time.monotonic()
    check_paintings(plan.style_images)
    for one in plan.style_images:
        if Path(plan.content).exists() and one.image.exists() and Path(plan.content).samefile(one.image):
            raise UsageError(f"{plan.content}: is both the picture and the painting; give two different files")
    if not is_picture(plan.output):
        raise UsageError(f"{plan.output}: is not the name of a picture; it should end in {', '.join(EXTENSIONS)}")
    with open_source(plan.content) as source:
        frame = next(source.frames(Span()))
        longer = max(source.info.width, source.info.height)
        factor = 1.0 if plan.size is None else plan.size / longer
        width, height = (max(round(side * factor), 1) for side in (source.info.width, source.info.height))
        if min(width, height) < 2 * STRIDE:
            raise UsageError(f"{width}x{height} is too small to paint; at least {2 * STRIDE} pixels a side are needed")
        options = EncodeOptions(overwrite=plan.overwrite)
        sink = open_sink(plan.output, replace(source.info, frame_count=1), options, sources=plan.files)
        device = choose_device(plan.device, "torch")
        gatys = Gatys(plan.style_images, plan.options, device)
        content = resize(to_float(frame), (height, width))
        start = _start(plan, content)
        best: Step | None = None

        def step(progress: Progress) -> None:
            nonlocal best
            best = progress.latest
            on_progress(progress)

        def write(picture: Tensor) -> None:
            _, alpha = split_alpha(frame.pixels)
            if alpha is not None:
                alpha = to_pixels(resize(alpha_to_float(alpha), (height, width)), alpha.dtype)[0]
            pixels = to_pixels(resize(picture.cpu(), (height, width))[0], frame.pixels.dtype)
            sink.write(frame.with_pixels(join_alpha(pixels, alpha)))

        with interrupt.deferring(), ExitStack() as stack:
            stack.enter_context(sink)
            try:
                painted = gatys(content, start, on_progress=step)
            except KeyboardInterrupt as error:
                if best is not None:
                    write(best.picture)
                    stack.close()  # the sink is left normally: the picture takes its name
                    error.add_note(f"the best so far, of {best.number} steps, is in {plan.output}")
                raise
            write(painted.picture)
    kept = best.terms if best is not None else Terms(0.0, 0.0, 0.0, 0.0)
    seconds = round(time.monotonic() - began, 3)
    warnings = [*source.warnings, *gatys.warnings, *sink.warnings]
    return PaintReport(plan.output, (width, height), len(painted.curve), seconds, kept, painted.curve, warnings)


def _progress(step: Step) -> Progress:
    height, width = step.picture.shape[2:]
    note = f"{width}x{height}, style {step.terms.style:.3f}, content {step.terms.content:.3f}"
    return Progress("painting", step.share, note=note, latest=step)


def check_paintings(style_images: Sequence[StyleImage]) -> None:
    """Raise UsageError if the name of a style is given in place of a picture."""
    for name in (str(one.image) for one in style_images if not one.image.exists()):
        if any(name == entry.name for entry in (*weights.gallery(), *weights.own_styles())):
            raise UsageError(
                f"{name}: is a style, and this command needs pictures; give the painting's file, or use the style: "
                f"videostyle stylize --style {name}"
            )


def _start(plan: PaintPlan, content: Tensor) -> Tensor | None:
    if plan.start == "content":
        return None
    if plan.start == "noise":
        return torch.rand(content.shape, generator=torch.Generator().manual_seed(plan.options.seed))
    return resize(to_float(read_picture(plan.start)), (content.shape[2], content.shape[3]))


def read_painting(one: StyleImage) -> tuple[Tensor, Tensor | None]:
    """Read a style image (1, 3, H, W) in 0..1, and the mask (1, 1, H, W) of its part that is used, or None."""
    painting, part = read_style_image(str(one.image))
    if one.part is not None:
        mask = mask_from_pixels(read_picture(str(one.part)), (painting.shape[2], painting.shape[3]), 0)[None]
        part = mask if part is None else part * mask
    if part is not None and not part.sum() > 0:
        raise UsageError(f"{one.part or one.image}: nothing of the painting is left to look at")
    return painting, part


def _scales(height: int, width: int, smallest: int) -> Iterator[tuple[int, int]]:
    """Yield heights and widths from coarse to fine, each about twice the one before."""
    longer, shorter = max(height, width), min(height, width)
    halvings = 0
    # The coarsest scale is `smallest`, or larger if the deepest features would have too few positions.
    while longer / 2 ** (halvings + 1) >= smallest and shorter / 2 ** (halvings + 1) >= 3 * STRIDE:
        halvings += 1
    for halving in range(halvings, -1, -1):
        yield round(height / 2**halving), round(width / 2**halving)


def _done(history: Sequence[float], tolerance: float) -> bool:
    return len(history) > _PATIENCE and history[-1] > (1 - tolerance) * history[-1 - _PATIENCE]


def _fingerprint(content: Tensor) -> bytes:
    return resize(content, (8, 8)).cpu().numpy().tobytes()
