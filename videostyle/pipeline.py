"""The loop: decode, stylize, stabilise, encode. Everything else is a part it calls.

    decode ─▶ cuts, motion ─▶ paint ─▶ stabilise ─▶ encode, copy sound
    thread    thread          thread   caller       thread

Frames pass from thread to thread through bounded queues, so memory does not grow with the film's length. The stages
overlap: while one frame is painted, the motion of the next is estimated and the one before is encoded.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

import cv2
import torch
from torch import Tensor

from videostyle import interrupt
from videostyle.cuts import mark_cuts
from videostyle.engines import choose_device, choose_engine, has_own_threads
from videostyle.errors import SourceError, UsageError
from videostyle.flow import choose_flow
from videostyle.io import open_sink, open_source
from videostyle.masks import Mask, compose
from videostyle.moments import Moments
from videostyle.ops.pixels import alpha_to_float, join_alpha, resize, same_pixels, split_alpha, to_float, to_pixels
from videostyle.plan import FlowOptions, RenderPlan, StabilizeOptions
from videostyle.stabilize import load_stabilizer
from videostyle.stylizers import load_stylizer
from videostyle.threads import background, free_memory, latest, prefetch
from videostyle.types import Frame, Moment, Motion, Sink, Source, Stylizer

if TYPE_CHECKING:
    from typing import Self

T = TypeVar("T")

# Memory that painting takes at least, for each pixel and for each pixel that the network sees: measured with `fast`
# on pictures; films take two to three times as much, for the frames that are held to look ahead.
FILM_BYTES, NETWORK_BYTES = 100, 250


@dataclass(frozen=True, slots=True)
class RenderReport:
    """What a render decided and did; `to_json` is what `--report` writes."""

    source: str
    output: str
    frames: int
    repeated: int
    """Of these, how many repeat the one before to the last bit, and so have its painting."""
    seconds: float
    """From opening the source to the output's final name."""
    size: tuple[int, int]
    """Width and height of the painted frames."""
    style: dict[str, Any]
    engine: str
    """The engine that painted; "" where nothing was."""
    device: str
    flow: str
    """The flow estimator that stabilised; "none" where nothing was."""
    stabilizer: str
    """causal or lookahead; "none" where nothing was stabilised."""
    encoder: dict[str, Any]
    cuts: list[float]
    """Seconds at which a new shot begins, the first one's start left out."""
    stages: dict[str, float]
    """Seconds each stage worked, its waiting for other stages left out. They overlap: the sum exceeds `seconds`."""
    streams: list[str]
    """What became of the other streams of the source: copied or re-encoded; those dropped are among the warnings."""
    warnings: list[str]
    settings: dict[str, Any] = field(default_factory=dict)
    """Every setting by name, with what "auto" became; `RenderPlan.of` makes the same plan of it."""

    @property
    def fps(self) -> float:
        """Frames a second, decoding, encoding and start-up included."""
        return self.frames / self.seconds if self.seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """The report as plain data, its times in seconds."""
        return json.loads(json.dumps({**asdict(self), "fps": round(self.fps, 3)}, default=float))


@dataclass(slots=True)
class StageTimer:
    """Seconds worked by stage; each stage is one thread's, so no two write to the same entry."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, stage: str, sign: int = 1) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + sign * (time.perf_counter() - started)

    def around(self, stage: str, items: Iterable[T], sign: int = 1) -> Iterator[T]:
        """The items, with the time to make each counted.

        With a `sign` of -1 it is taken off: of a stage that is counted while it waits for its items.
        """
        iterator = iter(items)
        while True:
            with self(stage, sign):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item


@dataclass(frozen=True, slots=True, eq=False)
class _Moving:
    """A frame to be painted."""

    content: Tensor
    """(1, 3, H, W) in 0..1."""
    moment: Moment


@dataclass(frozen=True, slots=True, eq=False)
class _Painting:
    """A frame painted afresh."""

    content: Tensor
    layers: Tensor
    """(1 + regions, 3, H, W) in 0..1."""
    motion: Motion | None


@dataclass(frozen=True, slots=True, eq=False)
class _Due:
    """A frame whose painting is being steadied."""

    frame: Frame
    bare: tuple[bool, ...]
    """Which of its layers are the film itself: where nothing is painted there is nothing to steady either."""


class FramePainter:
    """The parts that turn frames into painted frames, made once for a render."""

    def __init__(
        self,
        plan: RenderPlan,
        clock: StageTimer,
        video: Source | None = None,
        size: tuple[int, int] | None = None,
        stylizer: Stylizer | None = None,
        cuts_known: bool = False,
    ) -> None:
        """`video` is where frames come from, if known; `size` the (width, height) to paint at, None for their own;
        `stylizer` paints instead of the one that the plan's style asks for.
        """
        self.live = video is not None and video.is_live
        # The caller may wait for frames one by one where they come from no file.
        self.plan = plan = resolve(plan, live=video is None or self.live)
        self.size = size
        self.clock = clock
        self.cuts_known = cuts_known
        self.origin = (video and video.info.start) or Fraction(0)
        rate = (video and video.info.average_rate) or 24
        style = plan.style
        self.mask = Mask(open_source(style.mask, rate), style.feather) if style.mask is not None else None
        self.regions = [Mask(open_source(region.mask, rate), style.feather) for region in style.regions]
        self.device = plan.device
        self.paints = not style.is_none
        self.engine = plan.engine if self.paints else ""
        self.stylizer = stylizer or load_stylizer(style, self.engine, self.device)
        # With nothing painted there is nothing to steady: the pass-through leaves every pixel as it is.
        steady = self.paints and plan.stabilize.amount > 0
        options = plan.flow if steady or self.stylizer.recurrent else FlowOptions(method="none")
        self.flow = options.method
        self.mode: str = plan.stabilize.mode if steady else "none"
        self.stabilizer = load_stabilizer(plan.stabilize if steady else StabilizeOptions(0), options, self.device)
        self.moments = Moments(
            self.stylizer, self.stabilizer, options, self.device, steady=steady, seed=plan.style.seed
        )
        self.cuts: list[float] = []
        self.repeated = 0

    def report(self, count: int, size: tuple[int, int], seconds: float) -> RenderReport:
        """What was decided and done for `count` frames of `size` (width, height), which took so many seconds."""
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
            stages={stage: round(worked, 3) for stage, worked in self.clock.seconds.items()},
            streams=[],
            warnings=[line for mask in self.masks for line in mask.warnings],
            settings=self.plan.to_json(),
        )

    @property
    def masks(self) -> list[Mask]:
        """That of the whole painting, where there is one, and those of its regions."""
        return [*([self.mask] if self.mask else []), *self.regions]

    def painted(self, frames: Iterable[Frame], stack: ExitStack) -> Iterator[Frame]:
        """Painted frames, as many and with the times of `frames`; their threads end when `stack` is left."""
        depth = self.plan.queue_depth
        if not self.paints and self.size is None:
            yield from frames
            return
        if not self.engine or has_own_threads(self.engine):
            stack.enter_context(one_thread_each())
        for mask in self.masks:
            stack.enter_context(mask.source)
        moving = stack.enter_context(prefetch(self._motions(frames), depth))
        fresh = stack.enter_context(prefetch(self._paintings(moving), depth))
        due = self.clock.around("stabilize", self._due(fresh), -1)
        for one, steady in self.clock.around("stabilize", self.stabilizer.stabilize(due)):
            frame = one.frame
            # Made again rather than held; where nothing needs it, anything will do.
            film = self._content(frame)[0] if self.masks or any(one.bare) else steady[0]
            layers = [film if bare else layer for bare, layer in zip(one.bare, steady, strict=True)]
            # After the stabiliser, so that nothing is carried from one side of a mask to the other.
            picture = self._masked(self._time(frame), film, layers) if self.paints and self.masks else layers[0]
            with self.clock("stabilize"):
                _, alpha = split_alpha(frame.pixels)
                if alpha is not None and self.size is not None:
                    alpha = to_pixels(resize(alpha_to_float(alpha), self.size[::-1]), alpha.dtype)[0]
                painted = frame.with_pixels(join_alpha(to_pixels(picture, frame.pixels.dtype), alpha))
            yield painted

    def _due(
        self, fresh: Iterable[tuple[Frame, _Painting | None]]
    ) -> Iterator[tuple[_Due, Tensor | None, Motion | None]]:
        bare: tuple[bool, ...] = ()
        for frame, painting in fresh:
            if painting is None:
                yield _Due(frame, bare), None, None
            else:
                bare = tuple(torch.equal(layer, painting.content[0]) for layer in painting.layers)
                yield _Due(frame, bare), painting.layers, painting.motion

    def _content(self, frame: Frame) -> Tensor:
        """(1, 3, H, W) in 0..1, of the size to paint at."""
        content = to_float(frame, self.device)
        return content if self.size is None else resize(content, self.size[::-1])

    def _motions(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, _Moving | None]]:
        """Each frame with what is to be painted; None where its painting is that of the frame before."""
        last: Frame | None = None
        for frame in frames if self.cuts_known else mark_cuts(frames, live=self.live):
            if frame.is_cut and frame.index > 0:
                self.cuts.append(round(frame.time, 3))
            with self.clock("flow"):
                if last is not None and self._repeats(frame, last):
                    self.repeated += 1
                    moving = None
                else:
                    content = self._content(frame)
                    moving = _Moving(content, self.moments(content, self._time(frame), frame.is_cut))
            yield frame, moving
            last = frame

    def _repeats(self, frame: Frame, last: Frame) -> bool:
        """True where a frame must come out as the one before: the same picture in the same style, to the last bit.

        Nearly the same will not do. Codecs leave few repeats exact, but what they change and what a cursor changes
        that moves by a pixel overlap (docs/notes/flow.md); and a frame painted in vain costs time, one left out a movement.
        """
        if frame.is_cut:
            return False
        style, now, before = self.plan.style, self._time(frame), self._time(last)
        if any(line.around(now) != line.around(before) for line in (style.blends, style.strengths)):
            return False
        # Masks and alpha are the frame's own in any case.
        return same_pixels(frame.pixels, last.pixels)

    def _paintings(self, frames: Iterable[tuple[Frame, _Moving | None]]) -> Iterator[tuple[Frame, _Painting | None]]:
        before = Fraction(0)
        for frame, moving in frames:
            now = self._time(frame)
            painting = None
            if moving is not None:
                # Where the style jumps, what was painted before is another painting, as after a cut.
                jumps = self.plan.style.jumps(before, now)
                with self.clock("paint"):
                    moment = replace(moving.moment, is_cut=True, motion=None) if jumps else moving.moment
                    layers = self.stylizer(moving.content, moment)
                painting = _Painting(moving.content, layers, moment.motion)
            yield frame, painting
            before = now

    def _masked(self, time: Fraction, film: Tensor, layers: list[Tensor]) -> Tensor:
        with self.clock("mask"):
            size = film.shape[1], film.shape[2]
            regions = [region.at(time, size).to(film.device) for region in self.regions]
            mask = self.mask.at(time, size).to(film.device) if self.mask else None
            return compose(film, layers, regions, mask)

    def _time(self, frame: Frame) -> Fraction:
        """Seconds from the film's first frame."""
        return frame.pts * frame.time_base - self.origin


def resolve(plan: RenderPlan, *, live: bool) -> RenderPlan:
    """The plan with every "auto" but the codec's replaced by what is chosen here; `live` frames cannot be waited for.

    The codec is chosen by who writes, from the picture's alpha and depth. Raises UsageError for a device that there is
    none of.
    """
    device = choose_device(plan.device)
    mode = plan.stabilize.mode if plan.stabilize.mode != "auto" else "causal" if live else "lookahead"
    return replace(
        plan,
        device=device,
        engine=choose_engine(plan.engine, device),
        flow=replace(plan.flow, method=choose_flow(plan.flow, device)),
        stabilize=replace(plan.stabilize, mode=mode),
    )


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let torch and OpenCV compute in the thread that asks.

    The stages already keep the cores busy side by side. When each also splits its own small operations over all
    cores, they wait for one another in spinning barriers: a stage that takes 10 ms then takes 200.
    """
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def render(
    plan: RenderPlan,
    *,
    source: Source | None = None,
    sink: Sink | None = None,
    stylizer: Stylizer | None = None,
    on_frame: Callable[[Frame], None] | None = None,
    on_start: Callable[[Source, RenderPlan], None] | None = None,
    cuts_known: bool = False,
) -> RenderReport:
    """Paint one film, holding a bounded number of frames.

    `source` and `sink` replace the plan's paths (a camera, a list in memory), `stylizer` what its style asks for
    (masks stay the style's). `on_start` is called once with the opened source, `on_frame` with each painted frame as it
    goes to the encoder, both in the caller's thread. With `cuts_known` the frames say themselves where shots begin, and
    no other cuts are looked for.
    Raises SourceError, SinkError, UsageError, WeightsError; on any of them, and on Ctrl-C, nothing is left under the
    output's name. Called in the main thread, it turns Ctrl-C into a request that the loop looks at.
    """
    started = time.perf_counter()
    with interrupt.deferring(), source or open_source(plan.source) as video:
        # The output is checked before the network is loaded: a mistyped folder should not take seconds to notice.
        size = fit(plan.size, video.info.width, video.info.height)
        on_cpu = not plan.style.is_none and choose_device(plan.device) == "cpu"
        _check_memory(size, FILM_BYTES + (NETWORK_BYTES / plan.style.brush**2 if on_cpu else 0))
        # Sound is copied from the file; frames from elsewhere have none.
        file = plan.source if source is None else None
        out = sink or open_sink(
            plan.output, video.info, plan.encode, plan.span, size=size, copy_from=file, sources=plan.files
        )
        clock = StageTimer()
        own = (video.info.width, video.info.height)
        painter = FramePainter(plan, clock, video, None if size == own else size, stylizer, cuts_known)
        if on_start is not None:
            on_start(video, plan)
        try:
            count = _run(painter, video, out, on_frame)
        except BaseException as error:
            partial = getattr(out, "partial", None)
            if partial:
                error.add_note(f"what was painted so far is in {partial}")
            raise
        report = painter.report(count, size, time.perf_counter() - started)
        return replace(
            report,
            encoder=dict(getattr(out, "settings", {})),
            streams=list(getattr(out, "streams", [])),
            warnings=[*video.warnings, *out.warnings, *report.warnings],
        )


def _check_memory(size: tuple[int, int], bytes_a_pixel: float) -> None:
    """Raise UsageError where painting at `size` takes more memory than there is: the system would end the process."""
    free = free_memory()
    need = size[0] * size[1] * bytes_a_pixel
    if free is not None and need > free:
        raise UsageError(
            f"{size[0]}x{size[1]} needs some {need / 2**30:.0f} GB of memory, and {free / 2**30:.1f} are free; "
            "choose a smaller size"
        )


def _run(painter: FramePainter, video: Source, out: Sink, on_frame: Callable[[Frame], None] | None) -> int:
    """The main loop; returns how many frames were written."""
    plan, clock, count = painter.plan, painter.clock, 0
    frames = clock.around("decode", video.frames(plan.span))
    # Entered in the order of the data and left in reverse: whatever ends the loop reaches the encoder first, then the
    # threads end from the last to the first, and nothing is closed under a thread that reads from it.
    with (
        latest(frames) if video.is_live else prefetch(frames, plan.queue_depth) as decoded,
        ExitStack() as threads,
        background(_Timed(out, clock), plan.queue_depth) as encoder,
    ):
        for frame in painter.painted(decoded, threads):
            interrupt.check()
            encoder.write(frame)
            count += 1
            if on_frame is not None:
                on_frame(frame)
        if count == 0:
            raise SourceError(nothing_in(plan, video))
    return count


def nothing_in(plan: RenderPlan, video: Source) -> str:
    """A line about a part of a film in which there is no frame."""
    begins, lasts = float(plan.span.start), video.info.duration
    if lasts is not None and begins >= lasts:
        return f"{plan.source}: lasts {float(lasts):.3g} s, so nothing is left from {begins:g} s on"
    return f"{plan.source}: no frame in the part asked for"


class _Timed:
    """A sink whose work is counted."""

    def __init__(self, sink: Sink, clock: StageTimer) -> None:
        self.sink = sink
        self.clock = clock
        self.warnings = sink.warnings

    def write(self, frame: Frame) -> None:
        with self.clock("encode"):
            self.sink.write(frame)

    def __enter__(self) -> Self:
        self.sink.__enter__()
        return self

    def __exit__(self, *why: Any) -> None:
        self.sink.__exit__(*why)


def fit(size: str | None, width: int, height: int) -> tuple[int, int]:
    """Width and height of the painted picture for a source of `width` by `height`.

    `size` is None (the source's own), "360" (the short side) or "640x360" (the largest that fits inside, aspect kept).
    Sizes are even, as most codecs need, unless they are the source's own. Raises UsageError for any other text.
    """
    if size is None:
        return width, height
    found = re.fullmatch(r"(\d+)(?:x(\d+))?", size.strip().lower())
    if found is None or int(found[1]) < 2 or (found[2] and int(found[2]) < 2):
        raise UsageError(f"size must look like 640x360 or 360 (the short side), got {size!r}")
    if found[2]:
        scale = min(Fraction(int(found[1]), width), Fraction(int(found[2]), height))
    else:
        scale = Fraction(int(found[1]), min(width, height))
    if scale == 1:
        return width, height
    wide, tall = (max(2 * round(side * scale / 2), 2) for side in (width, height))
    return wide, tall
