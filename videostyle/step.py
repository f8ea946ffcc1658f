"""The step from decoded frames to output frames: motion, stylizing, stabilizing, masks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from functools import partial

import cv2
import torch
from torch import Tensor

from videostyle.cuts import mark_cuts
from videostyle.engines import choose_device, choose_engine, has_own_threads, tensor_device
from videostyle.flow import choose_flow
from videostyle.io import open_source
from videostyle.masks import Mask, compose, mask_of_people
from videostyle.moments import Moments
from videostyle.ops.filters import shrink
from videostyle.ops.pixels import alpha_to_float, join_alpha, resize, same_pixels, split_alpha, to_float, to_pixels
from videostyle.people import PeopleMask
from videostyle.plan import FlowOptions, RenderPlan, StabilizeOptions
from videostyle.report import RenderReport, StageTimer
from videostyle.segmenters import load_segmenter
from videostyle.stabilize import load_stabilizer
from videostyle.stylizers import load_stylizer, passes_through
from videostyle.threads import prefetch
from videostyle.types import EnlargingStylizer, Frame, Moment, Motion, Source, Stylizer
from videostyle.weights import predicted_styles


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """A frame before stylizing."""

    content: Tensor
    """(1, 3, h, w) in 0..1, of the size at which the film is stabilized."""
    moment: Moment
    people: Tensor | None
    """Mask of the people (1, 1, h, w) in 0..1, if one is asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class _Stylized:
    """A frame after stylizing, before stabilizing."""

    content: Tensor
    layers: Tensor
    """(1 + regions, 3, h, w) in 0..1."""
    share: Tensor | None
    """Share of the film in each layer, (1 + regions, 1, 1, 1) in 0..1; None where none is enlarged."""
    motion: Motion | None
    people: Tensor | None


@dataclass(frozen=True, slots=True, eq=False)
class _Pending:
    """A frame that the stabilizer holds."""

    frame: Frame
    bare: tuple[bool, ...]
    """One flag per layer, True where it is the film itself: then there is nothing to stabilize."""
    share: Tensor | None
    people: Tensor | None


class Step:
    """The computation of one frame: motion and noise, the stylizer, the stabilizer.

    Films, cameras and pages share it; they differ in where frames come from, and in the threads of the three parts.
    """

    def __init__(
        self, stylizer: Stylizer, stabilize: StabilizeOptions, flow: FlowOptions, device: str, seed: int
    ) -> None:
        """Load the stabilizer and its `flow`; `seed` is that of the noise. Raises WeightsError, UnknownNameError."""
        self.stylizer = stylizer
        self.stabilizer = load_stabilizer(stabilize, flow, device, stylizer.recurrent)
        self._moments = Moments(stylizer, self.stabilizer, flow, device, with_motion=stabilize.amount > 0, seed=seed)

    def moment(self, content: Tensor, time: Fraction, is_cut: bool) -> Moment:
        """Return the motion and the noise of the next frame (1, 3, H, W), as `Moments` does."""
        return self._moments(content, time, is_cut)

    def stylize(self, content: Tensor, moment: Moment, *, jumps: bool = False) -> tuple[Tensor, Motion | None]:
        """Return the stylized layers, and the motion to stabilize them along.

        If the style `jumps`, the previous output is of another style, as after a cut.
        """
        if jumps:
            moment = replace(moment, is_cut=True, motion=None)
        return self.stylizer(content, moment), moment.motion

    def shrink(self, content: Tensor) -> Tensor:
        """Return a frame of a film (1, 3, H, W) in the size at which the film is stylized and stabilized."""
        if not isinstance(self.stylizer, EnlargingStylizer):
            return content
        return shrink(content, self.stylizer.stabilized_size(content.shape[2], content.shape[3]))

    def film_share(self, content: Tensor, time: Fraction) -> Tensor | None:
        """Return how much of the frame shows through each layer; None where layers are not enlarged."""
        return self.stylizer.film_share(content, time) if isinstance(self.stylizer, EnlargingStylizer) else None

    def enlarge(
        self, layers: Tensor, size: tuple[int, int], share: Tensor | None, film: Callable[[], Tensor]
    ) -> Tensor:
        """Return stabilized layers in the output's `size` (H, W); `film` returns the frame, if it is needed."""
        stylizer = self.stylizer
        if share is None or tuple(layers.shape[2:]) == size:
            return layers
        assert isinstance(stylizer, EnlargingStylizer)
        return stylizer.enlarge(layers, size, share, film() if stylizer.needs_film(share) else None)

    def blend(self, layers: Tensor, motion: Motion | None) -> Tensor:
        """Stabilize the layers of one frame at once, which a causal stabilizer can."""
        ((_, stabilized),) = self.stabilizer.stabilize([(None, layers, motion)])
        return stabilized


class FrameStylizer:
    """The parts that turn decoded frames into output frames, made once for a render."""

    def __init__(
        self,
        plan: RenderPlan,
        timer: StageTimer,
        video: Source | None = None,
        size: tuple[int, int] | None = None,
        stylizer: Stylizer | None = None,
        cuts_known: bool = False,
    ) -> None:
        """Load the parts.

        `video` is the source of the frames, if known; `size` the (width, height) of the output, None for the source's;
        `stylizer` replaces the one that the plan's style asks for.
        """
        self.live = video is not None and video.is_live
        # Frames that come from no file may be asked for one by one, each after the output of the one before.
        self.plan = plan = resolve(plan, live=video is None or self.live)
        self.size = size
        self.timer = timer
        self.cuts_known = cuts_known
        self.origin = (video and video.info.start) or Fraction(0)
        fps = (video and video.info.average_rate) or 24
        style = plan.style
        self.files = {path: Mask(open_source(path, fps), style.feather) for path in style.mask_files}
        self.device = plan.device
        self._tensors = tensor_device(plan.engine, plan.device)
        self.stylizes = not passes_through(style)
        self.people: PeopleMask | None = None
        if self.stylizes and style.segments_people:
            segmenter = load_segmenter(plan.segmenter, plan.flow.allow_download, self.device)
            self.people = PeopleMask(segmenter)
        self.engine = plan.engine if self.stylizes else ""
        stylizer = stylizer or load_stylizer(style, self.engine, self.device)
        # Without a style there is nothing to stabilize: the pass-through leaves every pixel as it is.
        stabilizes = self.stylizes and plan.stabilize.amount > 0
        options = plan.flow if stabilizes or stylizer.recurrent else FlowOptions(method="none")
        self.flow = options.method
        self.mode: str = plan.stabilize.mode if stabilizes else "none"
        stabilize = plan.stabilize if stabilizes else StabilizeOptions(0)
        self.step = Step(stylizer, stabilize, options, self._tensors, plan.style.seed)
        self.cuts: list[float] = []
        self.repeated = 0

    def report(self, count: int, size: tuple[int, int], seconds: float) -> RenderReport:
        """Return the report of `count` frames of `size` (width, height) that took so many seconds."""
        plan = self.plan
        return RenderReport(
            source=plan.source,
            output=plan.output,
            frames=count,
            repeated=self.repeated,
            seconds=round(seconds, 3),
            size=size,
            style=asdict(plan.style),
            engine=self.engine,
            device=self.device,
            flow=self.flow,
            stabilizer=self.mode,
            encoder={},
            cuts=self.cuts,
            stages={stage: round(worked, 3) for stage, worked in self.timer.seconds.items()},
            streams=[],
            warnings=[line for mask in self.files.values() for line in mask.warnings],
            predicted=predicted_styles(plan.style),
            settings=self.plan.to_json(),
        )

    def outputs(self, frames: Iterable[Frame], stack: ExitStack) -> Iterator[Frame]:
        """Yield the output frames, as many and with the times of `frames`; their threads end when `stack` is left."""
        depth = self.plan.queue_depth
        if not self.stylizes and self.size is None:
            yield from frames
            return
        if not self.engine or has_own_threads(self.engine):
            stack.enter_context(one_thread_each())
        for mask in self.files.values():
            stack.enter_context(mask.source)
        prepared = stack.enter_context(prefetch(self._prepare(frames), depth))
        stylized = stack.enter_context(prefetch(self._stylize(prepared), depth))
        pending = self.timer.around("stabilize", self._pending(stylized), -1)
        for one, stabilized in self.timer.around("stabilize", self.step.stabilizer.stabilize(pending)):
            frame = one.frame
            # The film's pixels are computed again instead of held; where nothing needs them, any will do.
            masked = bool(self.stylizes and self.plan.style.masks)
            with self.timer("stabilize"):
                size = self.size[::-1] if self.size else (frame.pixels.shape[1], frame.pixels.shape[2])
                stabilized = self.step.enlarge(stabilized, size, one.share, partial(self._content, frame))
                film = self._content(frame)[0] if masked or any(one.bare) else stabilized[0]
            layers = [film if bare else layer for bare, layer in zip(one.bare, stabilized, strict=True)]
            # Masks come after the stabilizer, so that it blends nothing across a mask's edge.
            picture = self._masked(self._time(frame), film, layers, one.people) if masked else layers[0]
            with self.timer("stabilize"):
                _, alpha = split_alpha(frame.pixels)
                if alpha is not None and self.size is not None:
                    alpha = to_pixels(resize(alpha_to_float(alpha), self.size[::-1]), alpha.dtype)[0]
                output = frame.with_pixels(join_alpha(to_pixels(picture, frame.pixels.dtype), alpha))
            yield output

    def _content(self, frame: Frame) -> Tensor:
        """Return the frame as (1, 3, H, W) in 0..1, of the output's size."""
        content = to_float(frame, self._tensors)
        return content if self.size is None else resize(content, self.size[::-1])

    def _prepare(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, _Prepared | None]]:
        """Yield each frame with its content and moment; None where it reuses the output of the frame before."""
        last: Frame | None = None
        for frame in frames if self.cuts_known else mark_cuts(frames, live=self.live):
            if frame.is_cut and frame.index > 0:
                self.cuts.append(round(frame.time, 3))
            with self.timer("flow"):
                if last is not None and self._repeats(frame, last):
                    self.repeated += 1
                    prepared = None
                else:
                    content = self.step.shrink(self._content(frame))
                    prepared = _Prepared(content, self.step.moment(content, self._time(frame), frame.is_cut), None)
            if prepared is not None and self.people is not None:
                with self.timer("segment"):
                    prepared = replace(prepared, people=self.people(prepared.content, prepared.moment))
            yield frame, prepared
            last = frame

    def _repeats(self, frame: Frame, last: Frame) -> bool:
        """Return True where a frame has the pixels and the style of the one before, bit for bit.

        Nearly the same will not do. Codecs leave few repeats exact, but the changes that they make and those of a
        cursor that moves by a pixel overlap (docs/notes/flow.md); and a frame stylized in vain costs time, one left out
        a movement.
        """
        if frame.is_cut:
            return False
        style, now, before = self.plan.style, self._time(frame), self._time(last)
        if any(line.around(now) != line.around(before) for line in (style.blends, style.strengths)):
            return False
        # Masks and alpha are the frame's own in any case.
        return same_pixels(frame.pixels, last.pixels)

    def _stylize(self, frames: Iterable[tuple[Frame, _Prepared | None]]) -> Iterator[tuple[Frame, _Stylized | None]]:
        before = Fraction(0)
        for frame, prepared in frames:
            now = self._time(frame)
            stylized = None
            if prepared is not None:
                jumps = self.plan.style.jumps(before, now)
                with self.timer("paint"):
                    content = prepared.content
                    layers, motion = self.step.stylize(content, prepared.moment, jumps=jumps)
                    share = self.step.film_share(content, now)
                stylized = _Stylized(content, layers, share, motion, prepared.people)
            yield frame, stylized
            before = now

    def _pending(
        self, frames: Iterable[tuple[Frame, _Stylized | None]]
    ) -> Iterator[tuple[_Pending, Tensor | None, Motion | None]]:
        bare: tuple[bool, ...] = ()
        share: Tensor | None = None
        people: Tensor | None = None
        for frame, stylized in frames:
            if stylized is None:
                yield _Pending(frame, bare, share, people), None, None
            else:
                bare = tuple(torch.equal(layer, stylized.content[0]) for layer in stylized.layers)
                share, people = stylized.share, stylized.people
                yield _Pending(frame, bare, share, people), stylized.layers, stylized.motion

    def _masked(self, time: Fraction, film: Tensor, layers: list[Tensor], people: Tensor | None) -> Tensor:
        style, size = self.plan.style, (film.shape[1], film.shape[2])

        def made(mask: str) -> Tensor:
            if mask in self.files:
                return self.files[mask].at(time, size).to(film.device)
            assert people is not None
            return mask_of_people(people, mask, size, style.feather).to(film.device)

        with self.timer("mask"):
            regions = [made(region.mask) for region in style.regions]
            return compose(film, layers, regions, None if style.mask is None else made(style.mask))

    def _time(self, frame: Frame) -> Fraction:
        """Return the seconds from the film's first frame."""
        return frame.pts * frame.time_base - self.origin


def resolve(plan: RenderPlan, *, live: bool) -> RenderPlan:
    """Return the plan with every "auto" but the codec's made concrete; `live` sources get no lookahead.

    The sink chooses the codec, from the picture's alpha and bit depth. Raises UsageError for a missing device.
    """
    device = choose_device(plan.device, plan.engine)
    engine = choose_engine(plan.engine, device)
    mode = plan.stabilize.mode if plan.stabilize.mode != "auto" else "causal" if live else "lookahead"
    return replace(
        plan,
        device=device,
        engine=engine,
        flow=replace(plan.flow, method=choose_flow(plan.flow, tensor_device(engine, device))),
        stabilize=replace(plan.stabilize, mode=mode),
    )


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let torch and OpenCV compute in the calling thread only.

    The stages already keep the cores busy side by side. When each also splits its own small operations over all
    cores, they wait for one another in spinning barriers: a stage of 10 ms then takes 200.
    """
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
