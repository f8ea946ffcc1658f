"""The live loop: watch, stylize and stabilize in a thread each, with as few frames in flight as keep them all busy.

    camera ─▶ watch: scale, gate, cuts, motion ─▶ stylize ─▶ stabilize ─▶ output
    thread    thread                              thread     caller

A frame is taken from the camera only when there is room for it, and then it is the newest. With at most n frames in
flight, a frame waits for n others at most: latency is bounded, and does not grow however slow the machine.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import cv2
import torch
from torch import Tensor

from videostyle.cuts import mark_cuts
from videostyle.engines import choose_device, choose_engine, has_own_threads, tensor_device
from videostyle.flow import choose_flow
from videostyle.live.controls import Controls, LiveControls
from videostyle.live.gate import NoiseGate
from videostyle.live.ladder import Ladder
from videostyle.live.plan import LivePlan
from videostyle.nets.style_network import opacity
from videostyle.ops.color import keep_colors
from videostyle.ops.pixels import to_float, to_pixels
from videostyle.plan import FlowOptions, StabilizeOptions
from videostyle.step import Step, one_thread_each
from videostyle.style import Blend, Style
from videostyle.stylizers import load_stylizer
from videostyle.stylizers.feedforward import FeedForward
from videostyle.threads import cores, prefetch
from videostyle.timeline import Key, Timeline
from videostyle.types import Flow, Frame, Moment, Motion
from videostyle.weights import Codes, gallery, own_network, own_styles

log = logging.getLogger(__name__)

# Seconds of the transition from one style, blend or strength to another.
TRANSITION = Fraction(1, 2)
# Factor of the confidence during a transition: at 1, the new style would come half a second late.
TRANSITION_CONFIDENCE = 0.5
# More frames in flight than stages gain nothing.
STAGES = 3
# Area in pixels at which the ladder begins: two cores of a laptop can stylize about this 24 times a second.
EASY = 640 * 360
# Seconds between two checks for a request to quit while no frame comes.
_POLL = 0.05


@dataclass(slots=True, eq=False)
class LiveFrame:
    """A frame in the live pipeline, with its intermediate and final results."""

    film: Frame
    """The camera's frame."""
    controls: Controls
    """The controls of this frame."""
    content: Tensor
    """(1, 3, h, w) in 0..1, the camera's picture without noise, at the size at which it is stylized."""
    moment: Moment
    stylized: Frame
    """The stylized and stabilized frame, of the film's size; the film itself until then."""
    admitted: float
    """Time when it was taken from the camera, by `time.perf_counter`."""
    layers: Tensor | None = None
    """The stylized frame before stabilization, shaped like `content`."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Seconds of each stage."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height at which it was stylized."""
        return self.content.shape[3], self.content.shape[2]


class StyleMixer:
    """Mixes the codes of all styles, with transitions when the controls change."""

    def __init__(self, codes: Codes) -> None:
        """Take `codes`, whose timeline has a key for each style, in order."""
        self._identity = codes.identity
        self._styles = [key.value for key in codes.blends.keys]
        self._target: Tensor | None = None
        self._origin = codes.identity
        self._since = Fraction(0)

    def at(self, controls: Controls, time: Fraction) -> tuple[Tensor, bool]:
        """Return the style code (1, code_size) at `time`, and True during a transition."""
        target = self._code(controls)
        if self._target is None:
            self._target, self._since = target, time - TRANSITION
        elif not torch.equal(target, self._target):
            self._origin, self._target, self._since = self._between(time), target, time
        return self._between(time), time - self._since < TRANSITION

    def _code(self, controls: Controls) -> Tensor:
        first = self._styles[controls.style]
        second = self._styles[(controls.style + 1) % len(self._styles)]
        return torch.lerp(self._identity, torch.lerp(first, second, controls.blend), controls.strength)

    def _between(self, time: Fraction) -> Tensor:
        assert self._target is not None
        way = float((time - self._since) / TRANSITION)
        return self._target if way >= 1 else torch.lerp(self._origin, self._target, max(way, 0.0))


class LivePainter:
    """Stylizes frames as they come, each with the controls at its time."""

    def __init__(
        self,
        plan: LivePlan,
        size: tuple[int, int],
        *,
        controls: LiveControls | None = None,
        stylizer: FeedForward | None = None,
    ) -> None:
        """Load the styles of `plan` for frames of `size` (width, height); changes of the size are logged.

        `stylizer` has a code for each style in its timeline; by default it is loaded. Raises UnknownNameError,
        WeightsError.
        """
        self.plan = plan
        self.device = choose_device(plan.device, plan.engine)
        self.engine = choose_engine(plan.engine, self.device)
        self._tensors = tensor_device(self.engine, self.device)
        names = style_names(plan)
        self._stylizer = stylizer or load_mixer(plan, names, self.engine, self.device)
        self._mixer = StyleMixer(self._stylizer.codes)
        self.controls = controls or LiveControls(Controls(names, strength=plan.strength, keep_colors=plan.keep_colors))
        # Noise moves with the surfaces without stabilization, too.
        flow = FlowOptions() if plan.stabilize or self._stylizer.recurrent else FlowOptions(method="none")
        self.flow = choose_flow(flow, self._tensors)
        stabilize = StabilizeOptions(plan.stabilize, "causal")
        self._step = Step(self._stylizer, stabilize, flow, self._tensors, self._stylizer.style.seed)
        self._gate = NoiseGate()
        self.ladder = Ladder(size, plan.fps, EASY if plan.adapt else None)
        self._size = self.ladder.size
        self.room = min(cores(), STAGES)
        """Frames that may be in flight at once: as many as can be processed in parallel."""
        self._script = list(plan.keys)
        self._stabilized_before = False
        self._kept_colors = self.controls.now.keep_colors

    def painted(
        self,
        frames: Iterable[Frame],
        *,
        stop: Callable[[], None] = lambda: None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> Generator[LiveFrame, None, None]:
        """Yield stylized frames until the frames end or the controls quit; closing the iterator ends its threads.

        Frames' times are real: transitions and the script of keys follow them. `stop` is called first at the end, so
        that `frames` need not wait for another one; `on_wait` some twenty times a second while no frame comes.
        """
        room = _InFlightLimit(self.room)
        with ExitStack() as stack:
            if has_own_threads(self.engine):
                stack.enter_context(one_thread_each())
            self._warm()
            watched = stack.enter_context(prefetch(self._watched(room.admitted(frames)), 1))
            fresh = stack.enter_context(prefetch(map(self._stylize, watched), 1))
            stack.callback(room.close)
            stack.callback(stop)
            while True:
                while not fresh.wait(_POLL):
                    on_wait()
                    if self.controls.now.quit:
                        return
                live = next(fresh, None)
                if live is None:
                    return
                yield self._stabilize(live)
                room.leave()
                self._adapt(live)

    def _warm(self) -> None:
        """Compile the network before the first frame is waited for."""
        self._stylizer(torch.zeros(1, self._size[1], self._size[0], 3).permute(0, 3, 1, 2))

    def _watched(self, frames: Iterable[Frame]) -> Generator[LiveFrame, None, None]:
        for frame in mark_cuts(frames, live=True):
            started = time.perf_counter()
            self._press(frame)
            controls = self.controls.now
            if controls.quit:
                return
            content = to_float(resized(frame, self._size, cv2.INTER_AREA), self._tensors)
            if self.plan.gate:
                content = self._gate(content, frame.is_cut)
            at = frame.pts * frame.time_base
            is_cut = frame.is_cut or (controls.stabilize and not self._stabilized_before)
            moment = self._step.moment(content, at, is_cut)
            if not controls.stabilize:
                moment = replace(moment, motion=None)
            self._stabilized_before = controls.stabilize
            live = LiveFrame(frame, controls, content, moment, frame, started)
            live.seconds["watch"] = time.perf_counter() - started
            yield live

    def _press(self, frame: Frame) -> None:
        while self._script and self._script[0][0] <= frame.pts * frame.time_base:
            self.controls.press(self._script.pop(0)[1])

    def _stylize(self, live: LiveFrame) -> LiveFrame:
        started = time.perf_counter()
        at = live.film.pts * live.film.time_base
        code, in_transition = self._mixer.at(live.controls, at)
        visible = bool((opacity(code) > 0).all())
        live.layers = live.content
        if visible:
            self._stylizer.codes = Codes(code, Timeline.of(code), (), Timeline.of(1.0))
            if in_transition and live.moment.motion is not None:
                back = live.moment.motion.backward
                flow = Flow(back.vectors, back.confidence * TRANSITION_CONFIDENCE)
                live.moment = replace(live.moment, motion=Motion(flow))
            live.layers, _ = self._step.stylize(live.content, live.moment)
            if live.controls.keep_colors:
                live.layers = keep_colors(live.layers, live.content)
        if not visible or live.controls.keep_colors != self._kept_colors:
            # The film itself needs no stabilization, and a switch of colours is a new picture.
            live.moment = replace(live.moment, motion=None)
        self._kept_colors = live.controls.keep_colors
        live.seconds["paint"] = time.perf_counter() - started
        return live

    def _stabilize(self, live: LiveFrame) -> LiveFrame:
        started = time.perf_counter()
        assert live.layers is not None
        stabilized = live.film.with_pixels(to_pixels(self._step.blend(live.layers, live.moment.motion)[0]))
        _, height, width = live.film.pixels.shape
        live.stylized = resized(stabilized, (width, height), cv2.INTER_CUBIC)
        live.seconds["steady"] = time.perf_counter() - started
        return live

    def _adapt(self, live: LiveFrame) -> None:
        # Two bounds on the throughput of the pipeline: the slowest stage, and the latency over the frames in flight.
        cost = max(*live.seconds.values(), (time.perf_counter() - live.admitted) / self.room)
        if self.plan.adapt and self.ladder.add(cost):
            self._size = self.ladder.size
            log.info("painting at {}x{} to keep {:g} fps".format(*self._size, self.plan.fps))


class _InFlightLimit:
    """Limits the number of frames that are in flight at once."""

    def __init__(self, frames: int) -> None:
        self._free = threading.Semaphore(frames)
        self._closed = False

    def admitted(self, frames: Iterable[Frame]) -> Generator[Frame, None, None]:
        """Yield the frames, requesting each only when there is room for it."""
        iterator = iter(frames)
        while True:
            self._free.acquire()
            if self._closed:
                return
            frame = next(iterator, None)
            if frame is None:
                return
            yield frame

    def leave(self) -> None:
        """Release the room of a finished frame."""
        self._free.release()

    def close(self) -> None:
        """Admit no more."""
        self._closed = True
        self._free.release()


def style_names(plan: LivePlan) -> tuple[str, ...]:
    """Return the plan's styles, then the gallery's; only the plan's if one has a network of its own."""
    own = {entry.name: entry.file for entry in own_styles() if entry.network == plan.network}
    if any(own_network(own.get(name, Path(name))).is_file() for name in plan.styles):
        return tuple(dict.fromkeys(plan.styles))
    shipped = [entry.name for entry in gallery() if entry.network == plan.network]
    return tuple(dict.fromkeys([*plan.styles, *shipped]))


def load_mixer(plan: LivePlan, names: tuple[str, ...], engine: str, device: str) -> FeedForward:
    """Load the network with the codes of all `names`, one key of its timeline each."""
    keys: tuple[Key[Blend], ...] = tuple(Key(((name, 1.0),), Fraction(n)) for n, name in enumerate(names))
    stylizer = load_stylizer(Style(Timeline(keys), brush=plan.brush, network=plan.network), engine, device)
    assert isinstance(stylizer, FeedForward)
    return stylizer


def resized(frame: Frame, size: tuple[int, int], interpolation: int) -> Frame:
    """Resize a frame to (width, height); return it unchanged if it has that size."""
    _, height, width = frame.pixels.shape
    if (width, height) == size:
        return frame
    row = cv2.resize(frame.pixels.permute(1, 2, 0).numpy(), size, interpolation=interpolation)
    return frame.with_pixels(torch.from_numpy(row).permute(2, 0, 1))
