"""Live: keys, sizes, the noise gate, the loop, and recordings that are whole however it ends."""

from __future__ import annotations

import itertools
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import media
import moving
import numpy as np
import pytest
import torch
from command import failing

import videostyle
import videostyle.live.run
from videostyle.cli import main
from videostyle.cli.options import seconds
from videostyle.errors import SinkError, SourceError, UnknownNameError, UsageError
from videostyle.io.camera import TICK, CameraSource
from videostyle.live.controls import BLENDS, Controls, LiveControls, press, read_keys
from videostyle.live.gate import MOVING, NoiseGate
from videostyle.live.ladder import HISTORY, LATER, SETTLING, SOON, Ladder
from videostyle.live.painter import TRANSITION, LivePainter, StyleMixer, load_mixer, style_names
from videostyle.live.plan import LivePlan
from videostyle.live.recorder import Recorder
from videostyle.live.run import run
from videostyle.live.screen import caption, split
from videostyle.painter import paint_frames
from videostyle.plan import EncodeOptions, StabilizeOptions
from videostyle.style import Style
from videostyle.timeline import Span
from videostyle.types import ALONE, Frame, Moment

SIZE = (64, 48)
PLAN = LivePlan(styles=("dots", "lines", "waves"), engine="torch", gate=False, adapt=False, window=False)


@pytest.fixture(autouse=True)
def _no_thread_is_left_alive() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


# Controls


NOW = Controls(("dots", "lines", "waves"))


@pytest.mark.parametrize(
    ("keys", "changes"),
    [
        ("2", {"style": 1}),
        ("9", {}),
        ("n n n", {}),
        ("p", {"style": 2}),
        ("-", {"strength": 0.9}),
        ("down down up", {"strength": 0.9}),
        ("+", {}),
        ("- - - - - - - - - - - -", {"strength": 0.0}),
        ("b", {"blend": BLENDS[1]}),
        ("b b b b", {}),
        ("b n", {"style": 1}),
        ("v c s", {"split": True, "keep_colors": True, "stabilize": False}),
        ("r f i h", {"record": True, "full_screen": True, "figures": True, "help": True}),
        ("v v", {}),
        ("space space", {"snapshots": 2}),
        ("esc", {"quit": True}),
        ("q", {"quit": True}),
        ("x", {}),
    ],
)
def test_keys(keys: str, changes: dict[str, object]) -> None:
    now = NOW
    for key in keys.split():
        now = press(now, key)
    assert now == replace(NOW, **changes)


def test_a_desk_takes_keys_and_values_from_any_thread() -> None:
    live_controls = LiveControls(NOW)
    threads = [threading.Thread(target=lambda: [live_controls.press("space") for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert live_controls.now.snapshots == 800
    assert live_controls.set(style="waves", strength=0.3).name == "waves"
    with pytest.raises(UnknownNameError, match="did you mean dots"):
        live_controls.set(style="dotz")
    with pytest.raises(UsageError, match="strength must be between"):
        live_controls.set(strength=2)
    assert live_controls.now == replace(NOW, snapshots=800, style=2, strength=0.3)


def test_a_script_of_keys() -> None:
    assert read_keys("q@0:08 3@2 space@2.5", seconds) == (
        (Fraction(2), "3"),
        (Fraction(5, 2), "space"),
        (Fraction(8), "q"),
    )
    assert read_keys("", seconds) == ()
    for bad, why in (("3", "write KEY@TIME"), ("x@2", "write KEY@TIME"), ("n@noon", "is not a time")):
        with pytest.raises(UsageError, match=why):
            read_keys(bad, seconds)


# The size that holds the rate


def climb(ladder: Ladder, cost_at_full: float, frames: int) -> list[tuple[int, int]]:
    """Sizes after each of so many frames of a painter that needs `cost_at_full` seconds for the full size."""
    full = ladder.sizes[0][0] * ladder.sizes[0][1]
    sizes = []
    for _ in range(frames):
        ladder.add(cost_at_full * ladder.size[0] * ladder.size[1] / full)
        sizes.append(ladder.size)
    return sizes


def test_a_fast_painter_keeps_the_full_size() -> None:
    assert set(climb(Ladder((640, 360), 24), 1 / 25, 500)) == {(640, 360)}


def test_a_slow_painter_steps_down_once_and_stays() -> None:
    sizes = climb(Ladder((640, 360), 24), 1.2 / 24, 2000)
    assert sizes[SETTLING + SOON // 2] == (640, 360)
    assert set(sizes[SETTLING + SOON :]) == {(512, 288)}


def test_far_too_slow_a_painter_steps_down_after_a_few_frames_to_the_least() -> None:
    sizes = climb(Ladder((640, 360), 24), 3.0, 20)
    assert sizes[SETTLING + 3] == sizes[-1] == (256, 144)


def test_one_slow_frame_is_no_reason() -> None:
    ladder = Ladder((640, 360), 24)
    climb(ladder, 1 / 30, 40)
    ladder.add(0.4)
    assert set(climb(ladder, 1 / 30, 40)) == {(640, 360)}


def test_many_slow_frames_are() -> None:
    ladder = Ladder((640, 360), 24)
    for number in range(40):
        ladder.add(3 / 24 if number % 4 == 0 else 0.7 / 24)
    assert ladder.size != (640, 360)


def test_it_climbs_again_late_and_rung_by_rung() -> None:
    ladder = Ladder((640, 360), 24, easy=416 * 234)
    sizes = climb(ladder, 0.2 / 24, LATER + SETTLING)
    assert sizes[-2] == (416, 234)
    assert sizes[-1] == (512, 288)
    assert climb(ladder, 0.2 / 24, LATER + SETTLING)[-1] == (640, 360)


def test_what_a_ladder_remembers_does_not_grow_with_the_days() -> None:
    """Climbs in vain for longer and longer: what they wait for is counted, and not kept."""
    ladder = Ladder((640, 360), 24)
    for _ in range(20 * HISTORY):
        ladder.add(1.2 / 24 if ladder.rung == 0 else 0.4 / 24)
    assert ladder._patience > 2 * HISTORY
    assert len(ladder._costs) <= HISTORY


def test_a_climb_in_vain_is_tried_less_and_less_often() -> None:
    """A painter whose cost does not go by the area, so that it looks well from below."""
    ladder = Ladder((640, 360), 24)
    climbs = []
    for number in range(3000):
        before = ladder.rung
        ladder.add(1.2 / 24 if ladder.rung == 0 else 0.4 / 24)
        if ladder.rung < before:
            climbs.append(number)
    waits = [later - earlier for earlier, later in itertools.pairwise(climbs)]
    assert len(waits) >= 3
    assert all(later > 1.7 * earlier for earlier, later in itertools.pairwise(waits))


# The noise gate


def noisy(picture: torch.Tensor, count: int, deviation: float, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        ((picture + deviation * torch.randn(picture.shape, generator=generator)).clamp(0, 1) * 255).round() / 255
        for _ in range(count)
    ]


def unrest(pictures: list[torch.Tensor]) -> float:
    return float(np.mean([(a - b).abs().mean() for a, b in itertools.pairwise(pictures)]))


@pytest.mark.parametrize("deviation", [1 / 255, 3 / 255])
def test_a_still_noisy_camera_becomes_a_still_picture(deviation: float) -> None:
    still = moving.pan(1, (0, 0))[0] * 0.8 + 0.1
    frames = noisy(still, 60, deviation)
    gate = NoiseGate()
    calm = [gate(frame) for frame in frames]
    assert unrest(calm[30:]) < 0.2 * unrest(frames[30:])
    assert (calm[-1] - still).abs().mean() < 0.4 * (frames[-1] - still).abs().mean()


def test_what_moves_passes_unchanged() -> None:
    """A still noisy room, and a textured thing that walks through it."""
    room = moving.pan(1, (0, 0))[0] * 0.3 + 0.1
    thing = moving.texture(40, 30, seed=3)
    frames = noisy(room, 40, 2 / 255)
    gate = NoiseGate()
    for number, frame in enumerate(frames):
        x = 10 + 3 * number
        frame[0, :, 40:80, x : x + 30] = torch.from_numpy(thing).permute(2, 0, 1) * 0.5 + 0.5
        calm = gate(frame)
        if number > 5:
            assert torch.allclose(calm[0, :, 38:82, x - 2 : x + 32], frame[0, :, 38:82, x - 2 : x + 32], atol=1e-6)
            # Nothing of it stays where it was.
            gone = (slice(None), slice(36, 84), slice(max(x - 16, 0), x - 3))
            assert (calm[0][gone] - room[0][gone]).abs().mean() < 1.5 * 2 / 255


def test_a_pan_passes_nearly_unchanged() -> None:
    frames = moving.pan(48, (2.0, 0.5))
    gate = NoiseGate()
    calm = [gate(frame) for frame in frames]
    assert max((a - b).abs().mean() for a, b in zip(calm, frames, strict=True)) < 1 / 255


def test_a_faint_pan_is_not_taken_for_noise() -> None:
    """It begins where all was still, with less contrast than some cameras have noise."""
    faint = [0.08 * picture + 0.4 for picture in moving.pan(20, (3.0, 0.0))]
    gate = NoiseGate()
    for frame in [faint[0]] * 10:
        gate(frame)
    assert max((gate(frame) - frame).abs().mean() for frame in faint[1:]) < 0.2 / 255


def test_slow_light_is_followed() -> None:
    still = moving.pan(1, (0, 0))[0] * 0.5
    gate = NoiseGate()
    for number, frame in enumerate(noisy(still, 80, 1 / 255)):
        lit = frame + number / 255
        assert abs((gate(lit) - lit).mean()) < MOVING * 1.5 / 255


def test_a_cut_and_another_size_begin_anew() -> None:
    frames = noisy(moving.pan(1, (0, 0))[0], 3, 1 / 255)
    gate = NoiseGate()
    gate(frames[0])
    assert not torch.equal(gate(frames[1]), frames[1])
    assert torch.equal(gate(frames[2], is_cut=True), frames[2])
    small = frames[0][..., ::2, ::2]
    assert torch.equal(gate(small), small)


# Styles


def test_the_palette_is_what_was_named_and_then_the_gallery(toy_gallery: Path) -> None:
    assert style_names(LivePlan(styles=("waves",))) == ("waves", "dots", "lines")
    with pytest.raises(UnknownNameError, match="did you mean dots"):
        LivePainter(replace(PLAN, styles=("dotz",)), SIZE)


def test_styles_glide(toy_gallery: Path) -> None:
    codes = load_mixer(PLAN, PLAN.styles, "torch", "cpu").codes
    first, second = (key.value for key in codes.blends.keys[:2])
    mixer = StyleMixer(codes)
    code, in_transition = mixer.at(NOW, Fraction(7))
    assert torch.equal(code, first)
    assert not in_transition
    other = press(NOW, "2")
    code, in_transition = mixer.at(other, Fraction(8))
    assert torch.equal(code, first)
    assert in_transition
    half, _ = mixer.at(other, 8 + TRANSITION / 2)
    assert torch.allclose(half, (first + second) / 2)
    # Turned back half-way, it goes on from where it is.
    assert torch.allclose(mixer.at(NOW, 8 + TRANSITION / 2)[0], half)
    code, in_transition = mixer.at(NOW, 8 + 2 * TRANSITION)
    assert torch.equal(code, first)
    assert not in_transition
    weak = replace(NOW, strength=0.0)
    mixer.at(weak, Fraction(20))
    assert torch.equal(mixer.at(weak, Fraction(21))[0], codes.identity)
    blended = replace(NOW, blend=0.25)
    mixer.at(blended, Fraction(30))
    assert torch.allclose(mixer.at(blended, Fraction(31))[0], torch.lerp(first, second, 0.25))


# The loop


def wall(count: int, rate: int = 24, size: tuple[int, int] = SIZE) -> Iterator[Frame]:
    """A wall passing by, as a camera would show it."""
    for number, picture in enumerate(moving.pan(60, (1.0, 0.0), size=size[::-1])[:count]):
        yield Frame((picture[0] * 255).to(torch.uint8), round(number / rate / TICK), TICK, None, number)


def test_live_paints_what_a_causal_render_paints(toy_gallery: Path) -> None:
    style = Style((("dots", 1.0),))
    rendered = paint_frames(wall(8), style, stabilize=StabilizeOptions(mode="causal"), engine="torch")
    painter = LivePainter(PLAN, SIZE)
    # The stabiliser alone is told of cuts by another rule; here there are none but the first.
    for live, frame in zip(painter.painted(wall(8)), rendered, strict=True):
        assert torch.equal(live.stylized.pixels, frame.pixels)
        assert live.stylized.pts == frame.pts


def test_changes_take_effect_on_the_next_frame(toy_gallery: Path) -> None:
    keys = read_keys("c@0.2 v@0.4 s@0.6 2@0.8 q@1.5", seconds)
    painter = LivePainter(replace(PLAN, keys=keys), SIZE)
    lives = list(painter.painted(wall(60)))
    assert 34 <= len(lives) <= 36  # whoever says quit does not wait for what is on the way
    for live in lives:
        now, at = live.controls, live.film.time
        assert now.keep_colors == (at >= 0.2)
        assert now.split == (at >= 0.4)
        assert now.stabilize == (at < 0.6)
        assert now.style == (at >= 0.8)
    plain = list(LivePainter(PLAN, SIZE).painted(wall(len(lives))))
    differ = [not torch.equal(a.stylized.pixels, b.stylized.pixels) for a, b in zip(lives, plain, strict=True)]
    assert differ == [number >= 5 for number in range(len(lives))]  # 0.2 s are 4.8 frames


def test_at_strength_none_the_camera_is_seen(toy_gallery: Path) -> None:
    for live in LivePainter(replace(PLAN, strength=0.0), SIZE).painted(wall(3)):
        assert torch.equal(live.stylized.pixels, live.film.pixels)


def test_the_gate_stills_the_painting_of_a_still_room(toy_gallery: Path) -> None:
    def flicker(gate: bool) -> float:
        pictures = noisy(moving.pan(1, (0, 0), size=SIZE[::-1])[0], 40, 3 / 255)
        frames = [Frame((p[0] * 255).to(torch.uint8), n * 3750, TICK, None, n) for n, p in enumerate(pictures)]
        painter = LivePainter(replace(PLAN, gate=gate, stabilize=0.0), SIZE)
        return unrest([live.stylized.pixels.float() for live in painter.painted(frames)][20:])

    assert flicker(True) < 0.35 * flicker(False)


class Slow:
    """Paints after a while, and not before it is let."""

    recurrent = False
    style = Style()

    def __init__(self, plan: LivePlan, wait: float = 0.0) -> None:
        self.codes = load_mixer(plan, plan.styles, "torch", "cpu").codes
        self.wait = wait

    def __call__(self, content: torch.Tensor, moment: Moment = ALONE) -> torch.Tensor:
        time.sleep(self.wait)
        return content


def test_however_slow_few_frames_are_on_the_way(toy_gallery: Path) -> None:
    """So latency is bounded by so many paintings, and memory by so many frames."""
    given = 0

    def endless() -> Iterator[Frame]:
        nonlocal given
        for number in itertools.count():
            given += 1
            yield Frame(torch.full((3, 48, 64), number % 250, dtype=torch.uint8), number * 3750, TICK, None, number)

    painter = LivePainter(PLAN, SIZE, stylizer=Slow(PLAN, 0.01))  # type: ignore[arg-type]
    for room in (1, 3):
        given, painter.room = 0, room
        for number, live in enumerate(itertools.islice(painter.painted(endless()), 30), 1):
            assert given - number <= room
            assert live.film.index == number - 1
            if number == 20:
                break


def test_a_slow_painter_shows_the_newest_and_drops_the_rest(toy_gallery: Path, tmp_path: Path) -> None:
    path = media.film(tmp_path / "a.mp4", 30)
    with CameraSource(str(path)) as camera:
        painter = LivePainter(PLAN, SIZE, stylizer=Slow(PLAN, 0.1))  # type: ignore[arg-type]
        painter.room = 2
        late, count = [], 0
        for live in painter.painted(camera.frames(), stop=camera.stop):
            late.append(time.monotonic() - camera.started - live.film.time)
            count += 1
    assert camera.dropped >= 10
    assert count + camera.dropped == camera.captured == 30
    # It does not get later and later; on a slow machine all is late alike.
    assert np.median(late[-4:]) < 3 * np.median(late) + 0.1


def test_the_size_painted_at_changes_and_the_size_shown_does_not(
    toy_gallery: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "videostyle")
    plan = replace(PLAN, adapt=True, fps=200)
    size = (200, 160)
    painter = LivePainter(plan, size, stylizer=Slow(plan, 0.02))  # type: ignore[arg-type]
    lives = list(painter.painted(wall(40, size=size)))
    assert lives[0].size == size
    assert lives[-1].size == painter.ladder.size == painter.ladder.sizes[-1]
    assert caplog.messages[-1] == f"painting at {painter.ladder.size[0]}x{painter.ladder.size[1]} to keep 200 fps"
    assert painter.ladder.size == (160, 128)
    assert {live.stylized.pixels.shape for live in lives} == {(3, 160, 200)}


def test_large_pictures_begin_small(toy_gallery: Path) -> None:
    plan = replace(PLAN, adapt=True)
    assert LivePainter(plan, (1280, 720)).ladder.size == (640, 360)
    assert LivePainter(replace(plan, adapt=False), (1280, 720)).ladder.size == (1280, 720)


def test_leaving_early_waits_for_nothing(toy_gallery: Path) -> None:
    stopped = threading.Event()

    def hanging() -> Iterator[Frame]:
        yield from wall(2)
        stopped.wait(60)

    stylized = LivePainter(PLAN, SIZE).painted(hanging(), stop=stopped.set)
    assert next(stylized).stylized.pixels.shape == (3, 48, 64)
    stylized.close()
    assert stopped.is_set()


def test_quitting_while_nothing_comes(toy_gallery: Path) -> None:
    stopped = threading.Event()
    painter = LivePainter(PLAN, SIZE)

    def hanging() -> Iterator[Frame]:
        yield from wall(2)
        stopped.wait(60)

    waits = 0

    def on_wait() -> None:
        nonlocal waits
        waits += 1
        if waits == 3:
            painter.controls.press("q")

    assert len(list(painter.painted(hanging(), stop=stopped.set, on_wait=on_wait))) <= 2


# Recordings


def shade(number: int, pts: int) -> Frame:
    return Frame(torch.full((3, 48, 64), 20 * number, dtype=torch.uint8), pts, TICK, None, number)


def test_a_recording_has_real_times_from_its_own_beginning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "videostyle")
    recorder = Recorder(str(tmp_path / "a.mp4"), "camera", SIZE, 24, EncodeOptions())
    pts = [90_000, 93_003, 99_999, 120_000, 120_500]
    for number, one in enumerate(pts):
        recorder(shade(number, one), record=True)
    recorder(shade(9, 130_000), record=False)
    for number in range(2):
        recorder(shade(number, 140_000 + 3750 * number), record=True)
    recorder.close()
    assert recorder.files == [str(tmp_path / "a.mp4"), str(tmp_path / "a-2.mp4")]
    assert media.times(tmp_path / "a.mp4") == [Fraction(one - pts[0], 90_000) for one in pts]
    assert media.times(tmp_path / "a-2.mp4") == [0, Fraction(3750, 90_000)]
    assert caplog.messages == [line.format(tmp_path) for line in ("recording {}/a.mp4", "recorded {}/a.mp4")] + [
        line.format(tmp_path) for line in ("recording {}/a-2.mp4", "recorded {}/a-2.mp4")
    ]


def test_a_recording_that_another_run_is_writing_is_named_and_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "a.mp4")
    first, second = (Recorder(path, "camera", SIZE, 24, EncodeOptions()) for _ in range(2))
    frame = Frame(torch.zeros(3, *SIZE[::-1], dtype=torch.uint8), 0, TICK)
    first(frame, True)
    with pytest.raises(SinkError, match="another run is writing it"):
        second(frame, True)
    second.close()
    first.close()
    assert second.files == []
    assert [len(media.times(one)) for one in first.files] == [1]


def test_snapshots_have_names_of_their_own(tmp_path: Path) -> None:
    recorder = Recorder(str(tmp_path / "a.mp4"), "camera", SIZE, 24, EncodeOptions())
    recorder.snapshot(shade(3, 0))
    recorder.snapshot(shade(4, 9))
    assert [cv2.imread(path)[0, 0, 0] for path in recorder.snapshots] == [60, 80]
    recorder.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-2.png", "a.png"]


def test_a_snapshot_that_fails_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "videostyle")
    (tmp_path / "gone").mkdir()
    recorder = Recorder(str(tmp_path / "gone" / "a.mp4"), "camera", SIZE, 24, EncodeOptions())
    (tmp_path / "gone").rmdir()
    recorder.snapshot(shade(3, 0))
    assert "no snapshot" in caplog.messages[0]


# All of it


def live(film: Path, output: Path | None = None, **more: object) -> LivePlan:
    return replace(PLAN, camera=str(film), output=None if output is None else str(output), **more)  # type: ignore[arg-type]


def test_a_film_as_camera_is_painted_and_recorded(toy_gallery: Path, tmp_path: Path) -> None:
    film = media.film(tmp_path / "film.mp4", 40)
    keys = read_keys("2@0.4 v@0.8 space@1", seconds)
    report = run(live(film, tmp_path / "out.mp4", keys=keys, virtual_camera=None))
    frames = report.frames
    assert frames["painted"] + frames["dropped"] == frames["captured"] == 40
    assert frames["painted"] >= 3
    times = media.times(tmp_path / "out.mp4")
    assert len(times) == frames["painted"]
    assert times == sorted(set(times))
    # Those of the film, but for the frames that were dropped.
    assert all(abs(time * 25 - round(time * 25)) < Fraction(1, 1000) for time in times)
    assert report.size == SIZE
    assert report.recordings == [str(tmp_path / "out.mp4")]
    assert report.snapshots == [str(tmp_path / "out.png")]
    assert set(report.stages) == {"watch", "paint", "steady"}
    assert set(report.latency_ms) == {"median", "95%", "worst"}
    assert 1 <= report.on_the_way <= 3
    json.dumps(report.to_json())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mp4", "out.mp4", "out.png"]


def test_time_runs_out(toy_gallery: Path, tmp_path: Path) -> None:
    film = media.film(tmp_path / "film.mp4", 5)
    times: list[float] = []
    run(live(film, loop=True, seconds=Fraction(1, 2)), on_frame=lambda live, shown: times.append(live.film.time))
    assert times
    assert max(times) < 0.5


def test_split_shows_the_film_on_the_left(toy_gallery: Path) -> None:
    (one,) = LivePainter(PLAN, SIZE).painted(wall(1))
    both = split(one.film, one.stylized).pixels
    assert torch.equal(both[..., :31], one.film.pixels[..., :31])
    assert torch.equal(both[..., 33:], one.stylized.pixels[..., 33:])
    named = caption(one.stylized, ["h: these keys"]).pixels
    assert not torch.equal(named, one.stylized.pixels)
    assert torch.equal(caption(one.stylized, []).pixels, one.stylized.pixels)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SourceError("camera: the camera is gone"), OSError("no idea")])
def test_a_recording_is_whole_however_it_ends(toy_gallery: Path, tmp_path: Path, error: BaseException) -> None:
    film = media.film(tmp_path / "film.mp4", 8)
    count = 0

    def fail(live: object, shown: Frame) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise error

    plan = live(film, tmp_path / "out.mp4", loop=True, seconds=Fraction(60))
    if isinstance(error, KeyboardInterrupt):
        assert run(plan, on_frame=fail).interrupted
    else:
        with pytest.raises(type(error), match=str(error)):
            run(plan, on_frame=fail)
    assert len(media.times(tmp_path / "out.mp4")) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mp4", "out.mp4"]


def test_a_camera_that_fails_leaves_the_recording_whole(
    toy_gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unplugged(CameraSource):
        def frames(self, span: Span = Span()) -> Iterator[Frame]:  # noqa: B008
            yield from wall(5)
            raise SourceError("camera: the camera is gone; is it still plugged in?")

    monkeypatch.setattr(videostyle.live.run, "CameraSource", Unplugged)
    film = media.film(tmp_path / "film.mp4", 8)
    with pytest.raises(SourceError, match="still plugged in"):
        run(live(film, tmp_path / "out.mp4"))
    assert len(media.times(tmp_path / "out.mp4")) == 5


def test_a_full_disk_is_told(toy_gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from videostyle.io.writer import VideoSink

    def full(self: VideoSink, frame: Frame) -> None:
        raise SinkError("out.mp4: the disk is full")

    monkeypatch.setattr(VideoSink, "write", full)
    film = media.film(tmp_path / "film.mp4", 8)
    with pytest.raises(SinkError, match="the disk is full"):
        run(live(film, tmp_path / "out.mp4", loop=True, seconds=Fraction(60)))


# The command


@pytest.mark.parametrize(
    ("argv", "status", "message"),
    [
        (["--camera", "{folder}/missing.mp4", "--headless"], 1, "missing.mp4: no such file"),
        (["--camera", "98", "--headless"], 1, "no such camera; plug it in, or name another with --camera"),
        (["--camera", "{film}", "--headless", "--style", "dotz"], 2, "no style named 'dotz'; did you mean dots"),
        (["--camera", "{film}", "--headless", "--strength", "2"], 2, "strength must be between 0 and 1"),
        (["--camera", "{film}", "--headless", "--fps", "0"], 2, "fps must be between 1 and 240"),
        (["--camera", "{film}", "--headless", "--seconds", "0"], 2, "seconds must be above 0"),
        (["--camera", "{film}", "--headless", "--brush", "9"], 2, "brush must be between 0.25 and 4"),
        (["--camera", "{film}", "--headless", "--size", "big"], 2, "size must look like"),
        (["--camera", "{film}", "--headless", "--keys", "3"], 2, "--keys 3: write KEY@TIME"),
        (["--camera", "{film}", "--headless", "-o", "{film}"], 2, "is the input itself"),
        (["--camera", "{film}", "--headless", "-o", "{folder}/none/a.mp4"], 1, "there is no folder"),
        (["--camera", "{film}", "--headless", "-o", "{folder}/a.xyz"], 2, "xyz"),
        (["--camera", "{film}", "--headless", "--report", "{folder}/none/r.json"], 1, "there is no folder"),
        (["--camera", "{film}", "--headless", "--virtual-camera", "/dev/none"], 1, "no virtual camera to send to"),
        (["--camera", "{film}"], 1, "there is no screen to open a window on; use --headless"),
    ],
)
def test_mistakes_get_one_clear_line(
    toy_gallery: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    argv: list[str],
    status: int,
    message: str,
) -> None:
    if "--virtual-camera" in argv:
        pytest.importorskip("pyvirtualcam")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if sys.platform != "linux" and argv[-1] == "{film}":
        pytest.skip("there is always a screen")
    film = media.film(tmp_path / "film.mp4", 3)
    got, text = failing(
        capsys, "live", "--style", "dots", *(word.format(film=film, folder=tmp_path) for word in argv), "-q"
    )
    assert got == status
    assert message in text
    assert len(text.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_a_missing_package_is_named(
    toy_gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    film = media.film(tmp_path / "film.mp4", 3)
    status, text = failing(capsys, "live", "--camera", str(film), "--style", "dots", "--headless", "--virtual-camera")
    assert status == 1
    assert "pip install pyvirtualcam" in text


def test_a_virtual_camera_is_fed(toy_gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[np.ndarray] = []

    class Camera:
        device = "/dev/video7"

        def __init__(self, width: int, height: int, fps: float, *, device: str | None) -> None:
            assert (width, height, device) == (64, 48, "/dev/video7")

        def send(self, picture: np.ndarray) -> None:
            assert picture.shape == (48, 64, 3)
            assert picture.flags["C_CONTIGUOUS"]
            sent.append(picture)

        def close(self) -> None:
            sent.append(np.zeros(0))

    module = type(sys)("pyvirtualcam")
    module.Camera = Camera  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyvirtualcam", module)
    film = media.film(tmp_path / "film.mp4", 5)
    report = run(live(film, virtual_camera="/dev/video7"))
    assert len(sent) == report.frames["painted"] + 1
    assert sent[-1].size == 0


def test_a_report_is_printed_and_written(toy_gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = media.film(tmp_path / "film.mp4", 5)
    argv = ["live", "--camera", str(film), "--style", "dots", "--headless", "--engine", "torch"]
    assert main([*argv, "--report"]) == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert told["frames"]["painted"] >= 1
    assert "frames/s" in captured.err
    assert main([*argv, "--report", str(tmp_path / "r.json"), "-q"]) == 0
    assert json.loads((tmp_path / "r.json").read_text())["size"] == [64, 48]
    assert capsys.readouterr().err == ""
    assert main([*argv, "-q"]) == 0
    assert "nothing is shown or kept; add -o FILE" in capsys.readouterr().err


def test_ctrl_c_is_a_way_to_end(toy_models: Path, tmp_path: Path) -> None:
    film, output = media.film(tmp_path / "film.mp4", 10), tmp_path / "out" / "out.mp4"
    output.parent.mkdir()
    argv = [sys.executable, "-m", "videostyle", "live", "--camera", str(film), "--loop", "--headless"]
    argv += ["--style", "dots", "--engine", "torch", "-o", str(output), "--report"]
    process = subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "VIDEOSTYLE_MODELS": str(toy_models)},
    )
    assert process.stderr is not None
    assert "recording" in process.stderr.readline()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    told = json.loads(out)
    assert told["interrupted"]
    assert [path.name for path in output.parent.iterdir()] == ["out.mp4"]
    assert len(media.times(output)) == told["frames"]["painted"]
