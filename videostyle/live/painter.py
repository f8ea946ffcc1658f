"""The live loop: watch, paint, steady, each in a thread, with as few frames on the way as keep them all busy.

    camera ─▶ watch: scale, gate, cuts, motion ─▶ paint ─▶ steady ─▶ whoever asks
    thread    thread                              thread   caller

A frame is taken from the camera only when there is room for it, and then it is the newest. With n frames on the way
at most, one of them waits for n others at most: latency is bounded, and does not grow however slow the machine.
"""

from __future__ import annotations

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
from videostyle.engines import choose_device, choose_engine, has_own_threads
from videostyle.flow import choose_flow, load_flow
from videostyle.live.controls import Controls, Desk
from videostyle.live.gate import NoiseGate
from videostyle.live.ladder import Ladder
from videostyle.live.plan import LivePlan
from videostyle.moments import Moments
from videostyle.nets.style_network import opacity
from videostyle.ops.color import keep_colors
from videostyle.ops.pixels import to_float, to_pixels
from videostyle.plan import FlowOptions, StabilizeOptions
from videostyle.stabilize import CausalStabilizer
from videostyle.step import one_thread_each
from videostyle.style import Blend, Style
from videostyle.stylizers import load_stylizer
from videostyle.stylizers.feedforward import FeedForward
from videostyle.threads import cores, prefetch
from videostyle.timeline import Key, Timeline
from videostyle.types import Flow, Frame, Moment, Motion
from videostyle.weights import Codes, gallery, own_network, own_styles

# Seconds from one style, blend or strength to another.
GLIDE = Fraction(1, 2)
# Trust in what was painted before while it glides: with all of it, the new style would come half a second late.
GLIDING = 0.5
# More frames on the way than stages gain nothing.
STAGES = 3
# Where to begin on the ladder: at about the area two cores of a laptop can paint 24 times a second.
EASY = 640 * 360
# Seconds between two looks at whether somebody wants to quit while nothing comes.
_LOOK = 0.05


@dataclass(slots=True, eq=False)
class LiveFrame:
    """A frame on its way through the stages, and what came out."""

    film: Frame
    """As the camera gave it."""
    controls: Controls
    """What it is painted by."""
    content: Tensor
    """(1, 3, h, w) in 0..1, of the size painted at, without noise."""
    moment: Moment
    painting: Frame
    """Painted and steady, of the film's size; the film itself until then."""
    admitted: float
    """When it was taken from the camera, by `time.perf_counter`."""
    layers: Tensor | None = None
    """Painted afresh, as `content`."""
    seconds: dict[str, float] = field(default_factory=dict)
    """What each stage took."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height it was painted at."""
        return self.content.shape[3], self.content.shape[2]


class StyleMixer:
    """The codes of all styles, and what is between the one left and the one wanted."""

    def __init__(self, codes: Codes) -> None:
        """`codes` has a key for each style, in order."""
        self._identity = codes.identity
        self._styles = [key.value for key in codes.blends.keys]
        self._wanted: Tensor | None = None
        self._left = codes.identity
        self._since = Fraction(0)

    def at(self, controls: Controls, time: Fraction) -> tuple[Tensor, bool]:
        """The code (1, code_size) to paint with at `time`, and whether it is gliding."""
        wanted = self._code(controls)
        if self._wanted is None:
            self._wanted, self._since = wanted, time - GLIDE
        elif not torch.equal(wanted, self._wanted):
            self._left, self._wanted, self._since = self._between(time), wanted, time
        return self._between(time), time - self._since < GLIDE

    def _code(self, controls: Controls) -> Tensor:
        first = self._styles[controls.style]
        second = self._styles[(controls.style + 1) % len(self._styles)]
        return torch.lerp(self._identity, torch.lerp(first, second, controls.blend), controls.strength)

    def _between(self, time: Fraction) -> Tensor:
        assert self._wanted is not None
        way = float((time - self._since) / GLIDE)
        return self._wanted if way >= 1 else torch.lerp(self._left, self._wanted, max(way, 0.0))


class LivePainter:
    """Paints frames as they come, by the controls on the desk as they are then."""

    def __init__(
        self,
        plan: LivePlan,
        size: tuple[int, int],
        *,
        desk: Desk | None = None,
        stylizer: FeedForward | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """`size` is the frames' (width, height); `say` is told when another is painted at.

        `stylizer` has a code for each style in its timeline; by default it is loaded. Raises UnknownNameError,
        WeightsError.
        """
        self.plan = plan
        self.device = choose_device(plan.device)
        self.engine = choose_engine(plan.engine, self.device)
        names = style_names(plan)
        self._stylizer = stylizer or load_mixer(plan, names, self.engine, self.device)
        self._mixer = StyleMixer(self._stylizer.codes)
        self.desk = desk or Desk(Controls(names, strength=plan.strength, keep_colors=plan.keep_colors))
        flow = FlowOptions() if plan.stabilize else FlowOptions(method="none")
        self.flow = choose_flow(flow, self.device)
        self._stabilizer = CausalStabilizer(load_flow(flow, self.device), StabilizeOptions(plan.stabilize, "causal"))
        self._moments = Moments(
            self._stylizer,
            self._stabilizer,
            flow,
            self.device,
            steady=plan.stabilize > 0,
            seed=self._stylizer.style.seed,
        )
        self._gate = NoiseGate()
        self._say = say
        self.ladder = Ladder(size, plan.fps, EASY if plan.adapt else None)
        self._size = self.ladder.size
        self.room = min(cores(), STAGES)
        """Frames that may be on the way at once: as many as can be worked on."""
        self._script = list(plan.keys)
        self._steady = False
        self._keeps = self.desk.now.keep_colors

    def painted(
        self,
        frames: Iterable[Frame],
        *,
        stop: Callable[[], None] = lambda: None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> Generator[LiveFrame, None, None]:
        """Painted frames, until the frames end or the controls say quit; closing the iterator ends its threads.

        Frames' times are real: glides and the script of keys go by them. `stop` is called first of all at the end, so
        that `frames` need not wait for one more; `on_wait` some twenty times a second while nothing comes.
        """
        room = _InFlightLimit(self.room)
        with ExitStack() as stack:
            if has_own_threads(self.engine):
                stack.enter_context(one_thread_each())
            self._warm()
            watched = stack.enter_context(prefetch(self._watched(room.admitted(frames)), 1))
            fresh = stack.enter_context(prefetch(map(self._paint, watched), 1))
            stack.callback(room.close)
            stack.callback(stop)
            while True:
                while not fresh.wait(_LOOK):
                    on_wait()
                    if self.desk.now.quit:
                        return
                live = next(fresh, None)
                if live is None:
                    return
                yield self._steadied(live)
                room.leave()
                self._adapt(live)

    def _warm(self) -> None:
        """Compile the network before the first frame is waited for."""
        self._stylizer(torch.zeros(1, self._size[1], self._size[0], 3).permute(0, 3, 1, 2))

    def _watched(self, frames: Iterable[Frame]) -> Generator[LiveFrame, None, None]:
        for frame in mark_cuts(frames, live=True):
            started = time.perf_counter()
            self._press(frame)
            controls = self.desk.now
            if controls.quit:
                return
            content = to_float(resized(frame, self._size, cv2.INTER_AREA), self.device)
            if self.plan.gate:
                content = self._gate(content, frame.is_cut)
            at = frame.pts * frame.time_base
            moment = self._moments(content, at, frame.is_cut or (controls.steady and not self._steady))
            if not controls.steady:
                moment = replace(moment, motion=None)
            self._steady = controls.steady
            live = LiveFrame(frame, controls, content, moment, frame, started)
            live.seconds["watch"] = time.perf_counter() - started
            yield live

    def _press(self, frame: Frame) -> None:
        while self._script and self._script[0][0] <= frame.pts * frame.time_base:
            self.desk.press(self._script.pop(0)[1])

    def _paint(self, live: LiveFrame) -> LiveFrame:
        started = time.perf_counter()
        at = live.film.pts * live.film.time_base
        code, gliding = self._mixer.at(live.controls, at)
        seen = bool((opacity(code) > 0).all())
        live.layers = live.content
        if seen:
            self._stylizer.codes = Codes(code, Timeline.of(code), (), Timeline.of(1.0))
            if gliding and live.moment.motion is not None:
                back = live.moment.motion.backward
                live.moment = replace(live.moment, motion=Motion(Flow(back.vectors, back.confidence * GLIDING)))
            live.layers = self._stylizer(live.content, live.moment)
            if live.controls.keep_colors:
                live.layers = keep_colors(live.layers, live.content)
        if not seen or live.controls.keep_colors != self._keeps:
            # There is nothing to steady, or it is another painting at once.
            live.moment = replace(live.moment, motion=None)
        self._keeps = live.controls.keep_colors
        live.seconds["paint"] = time.perf_counter() - started
        return live

    def _steadied(self, live: LiveFrame) -> LiveFrame:
        started = time.perf_counter()
        assert live.layers is not None
        steady = live.film.with_pixels(to_pixels(self._stabilizer.blend(live.layers, live.moment.motion)[0]))
        _, height, width = live.film.pixels.shape
        live.painting = resized(steady, (width, height), cv2.INTER_CUBIC)
        live.seconds["steady"] = time.perf_counter() - started
        return live

    def _adapt(self, live: LiveFrame) -> None:
        # Two bounds on what is done side by side: the slowest stage; and with so many frames on the way, their stay.
        cost = max(*live.seconds.values(), (time.perf_counter() - live.admitted) / self.room)
        if self.plan.adapt and self.ladder.judge(cost):
            self._size = self.ladder.size
            self._say("painting at {}x{} to keep {:g} fps".format(*self._size, self.plan.fps))


class _InFlightLimit:
    """Lets so many frames be on the way at once."""

    def __init__(self, frames: int) -> None:
        self._free = threading.Semaphore(frames)
        self._closed = False

    def admitted(self, frames: Iterable[Frame]) -> Generator[Frame, None, None]:
        """The frames, each asked for only when there is room for it."""
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
        """A frame is done with."""
        self._free.release()

    def close(self) -> None:
        """Admit no more."""
        self._closed = True
        self._free.release()


def style_names(plan: LivePlan) -> tuple[str, ...]:
    """The plan's styles, then the rest of the gallery; the plan's alone where one has a network of its own."""
    own = {entry.name: entry.file for entry in own_styles() if entry.network == plan.network}
    if any(own_network(own.get(name, Path(name))).is_file() for name in plan.styles):
        return tuple(dict.fromkeys(plan.styles))
    shipped = [entry.name for entry in gallery() if entry.network == plan.network]
    return tuple(dict.fromkeys([*plan.styles, *shipped]))


def load_mixer(plan: LivePlan, names: tuple[str, ...], engine: str, device: str) -> FeedForward:
    """The network with the codes of all `names`, one key of its timeline each."""
    keys: tuple[Key[Blend], ...] = tuple(Key(((name, 1.0),), Fraction(n)) for n, name in enumerate(names))
    stylizer = load_stylizer(Style(Timeline(keys), brush=plan.brush, network=plan.network), engine, device)
    assert isinstance(stylizer, FeedForward)
    return stylizer


def resized(frame: Frame, size: tuple[int, int], interpolation: int) -> Frame:
    """The frame at another (width, height); itself where it has that."""
    _, height, width = frame.pixels.shape
    if (width, height) == size:
        return frame
    row = cv2.resize(frame.pixels.permute(1, 2, 0).numpy(), size, interpolation=interpolation)
    return frame.with_pixels(torch.from_numpy(row).permute(2, 0, 1))
