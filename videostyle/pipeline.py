"""The loop: decode, stylize, stabilize, encode. Everything else is a part it calls.

    decode ─▶ cuts, motion ─▶ stylize ─▶ stabilize, mask ─▶ encode, copy sound
    thread    thread          thread     caller             thread

Frames pass from thread to thread through bounded queues, so memory does not grow with the film's length. The stages
overlap: while one frame is stylized, the motion of the next is estimated and the one before is encoded.
"""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from videostyle import interrupt
from videostyle.engines import choose_device
from videostyle.errors import SourceError, UsageError
from videostyle.io import open_sink, open_source
from videostyle.plan import RenderPlan
from videostyle.progress import OnProgress, Progress, ignore
from videostyle.report import RenderReport, StageTimer
from videostyle.step import FrameStylizer
from videostyle.stylizers import passes_through
from videostyle.threads import background, free_memory, latest, prefetch
from videostyle.types import Frame, Sink, Source, Stylizer

if TYPE_CHECKING:
    from typing import Self

# Bytes of memory that a render takes at least, for each pixel of the output and for each pixel that the network sees:
# measured with `fast` on pictures. Films take two to three times as much, for the frames that lookahead holds.
FILM_BYTES, NETWORK_BYTES = 100, 250


def render(
    plan: RenderPlan,
    *,
    source: Source | None = None,
    sink: Sink | None = None,
    stylizer: Stylizer | None = None,
    on_progress: OnProgress = ignore,
    cuts_known: bool = False,
) -> RenderReport:
    """Render one film, holding a bounded number of frames.

    `source` and `sink` replace the plan's paths (a camera, a list in memory), `stylizer` the one that its style asks
    for (masks stay the style's). `on_progress` is called before the first frame, and with each output frame as it goes
    to the encoder. With `cuts_known`, `Frame.is_cut` is taken as it is and no
    cuts are detected. Raises SourceError, SinkError, UsageError, WeightsError; on any of them, and on Ctrl-C, no file
    is left under the output's name. In the main thread, Ctrl-C becomes a request that the loop reads.
    """
    started = time.perf_counter()
    with interrupt.deferring(), source or open_source(plan.source) as video:
        # The output is checked before the network is loaded: a mistyped folder should not take seconds to notice.
        size = fit(plan.size, video.info.width, video.info.height)
        on_cpu = not passes_through(plan.style) and choose_device(plan.device, plan.engine) == "cpu"
        _check_memory(size, FILM_BYTES + (NETWORK_BYTES / plan.style.brush**2 if on_cpu else 0))
        # Sound is copied from the file or pipe; frames from elsewhere have none.
        streams = plan.source if source is None else getattr(source, "pipe", None)
        out = sink or open_sink(
            plan.output, video.info, plan.encode, plan.span, size=size, copy_from=streams, sources=plan.files
        )
        timer = StageTimer()
        own = (video.info.width, video.info.height)
        stylize = FrameStylizer(plan, timer, video, None if size == own else size, stylizer, cuts_known)
        try:
            count = _run(stylize, video, out, on_progress)
        except BaseException as error:
            partial = getattr(out, "partial", None)
            if partial:
                error.add_note(f"what was painted so far is in {partial}")
            raise
        report = stylize.report(count, size, time.perf_counter() - started)
        return replace(
            report,
            encoder=dict(getattr(out, "settings", {})),
            streams=list(getattr(out, "streams", [])),
            warnings=[*video.warnings, *out.warnings, *report.warnings],
        )


def _check_memory(size: tuple[int, int], bytes_a_pixel: float) -> None:
    """Raise UsageError where a render at `size` needs more memory than is free: the system would end the process."""
    free = free_memory()
    need = size[0] * size[1] * bytes_a_pixel
    if free is not None and need > free:
        raise UsageError(
            f"{size[0]}x{size[1]} needs some {need / 2**30:.0f} GB of memory, and {free / 2**30:.1f} are free; "
            "choose a smaller size"
        )


def _run(stylize: FrameStylizer, video: Source, out: Sink, on_progress: OnProgress) -> int:
    """Run the main loop; return the number of frames written."""
    plan, timer, count = stylize.plan, stylize.timer, 0
    total = video.info.frames_in(plan.span)
    on_progress(Progress("painting", 0, total, "frames"))
    frames = timer.around("decode", video.frames(plan.span))
    # The contexts are entered in the order of the data and left in reverse: an error in the loop reaches the encoder
    # first, then the threads end from the last to the first, and nothing is closed under a thread that reads from it.
    with (
        latest(frames) if video.is_live else prefetch(frames, plan.queue_depth) as decoded,
        ExitStack() as threads,
        ExitStack() as waits,
        background(_Timed(out, timer), plan.queue_depth) as encoder,
    ):
        # Where the encoder has failed, no thread waits for a pipe that sends nothing.
        waits.callback(getattr(video, "stop", lambda: None))
        for frame in stylize.outputs(decoded, threads):
            interrupt.check()
            encoder.write(frame)
            count += 1
            on_progress(Progress("painting", count, total, "frames", latest=frame))
        if count == 0:
            raise SourceError(nothing_in(plan, video))
    return count


def nothing_in(plan: RenderPlan, video: Source) -> str:
    """Return the message for a part of a film that has no frame."""
    begins, lasts = float(plan.span.start), video.info.duration
    if lasts is not None and begins >= lasts:
        return f"{plan.source}: lasts {float(lasts):.3g} s, so nothing is left from {begins:g} s on"
    return f"{plan.source}: no frame in the part asked for"


class _Timed:
    """A sink whose time is counted as the stage "encode"."""

    def __init__(self, sink: Sink, timer: StageTimer) -> None:
        self.sink = sink
        self.timer = timer
        self.warnings = sink.warnings

    def write(self, frame: Frame) -> None:
        with self.timer("encode"):
            self.sink.write(frame)

    def __enter__(self) -> Self:
        self.sink.__enter__()
        return self

    def __exit__(self, *why: Any) -> None:
        self.sink.__exit__(*why)


def fit(size: str | None, width: int, height: int) -> tuple[int, int]:
    """Return the width and height of the output for a source of `width` by `height`.

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
