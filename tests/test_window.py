"""The window of live, on a screen that SDL only pretends to have."""

from __future__ import annotations

import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import media
import pytest
import torch

from videostyle.errors import MissingDependencyError, SinkError
from videostyle.io.window import Window
from videostyle.live.controls import Controls
from videostyle.live.painter import LiveFrame
from videostyle.live.plan import LivePlan
from videostyle.live.run import HINT, HINTED, NAMED, Figures, View, run
from videostyle.live.screen import caption
from videostyle.types import Frame, Moment

pygame = pytest.importorskip("pygame")


@pytest.fixture(autouse=True)
def _a_screen_of_no_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


def frame(color: tuple[int, int, int], width: int = 64, height: int = 48) -> Frame:
    pixels = torch.tensor(color, dtype=torch.uint8)[:, None, None].expand(3, height, width)
    return Frame(pixels.clone(), 0, Fraction(1, 25), 1, 0)


def shown(window: Window, x: int, y: int) -> tuple[int, ...]:
    assert window._window is not None
    return tuple(window._window.get_surface().get_at((x, y)))[:3]


def test_a_frame_is_shown_in_its_colours_and_its_size() -> None:
    with Window("film") as window:
        window.write(frame((200, 100, 50)))
        assert window._window is not None
        window._window.size = (64, 48)
        window.write(frame((200, 100, 50)))
        assert window._window.title == "film"
        assert {shown(window, x, y) for x in (0, 63) for y in (0, 47)} == {(200, 100, 50)}
        window.write(frame((1, 2, 3)))
        assert shown(window, 20, 20) == (1, 2, 3)


@pytest.mark.parametrize("size", [(64, 48), (4096, 2304)])
def test_the_window_opens_at_two_thirds_of_the_screen(size: tuple[int, int]) -> None:
    with Window("film") as window:
        desktop = pygame.display.get_desktop_sizes()[0]
        window.write(frame((200, 100, 50), *size))
        assert window._window is not None
        own = window._window.size
        assert max(own[0] / desktop[0], own[1] / desktop[1]) == pytest.approx(2 / 3, abs=0.01)
        assert own[0] / own[1] == pytest.approx(size[0] / size[1], abs=0.01)


def test_text_is_drawn_in_the_size_that_is_shown() -> None:
    drawn: list[tuple[int, ...]] = []

    def overlay(frame: Frame) -> Frame:
        drawn.append(tuple(frame.pixels.shape))
        return caption(frame, ["h: all keys"])

    with Window("film") as window:
        window.write(frame((200, 100, 50)))
        assert window._window is not None
        window._window.size = (640, 480)
        window.write(frame((200, 100, 50)), overlay)
        assert drawn == [(3, 480, 640)]
        assert shown(window, 2, 2) != (200, 100, 50)
        assert shown(window, 600, 400) == (200, 100, 50)


def test_a_frame_keeps_its_proportions_in_a_wider_window() -> None:
    with Window("film") as window:
        window.write(frame((9, 9, 9)))
        assert window._window is not None
        window._window.size = (256, 96)
        window.write(frame((200, 100, 50)))
        assert [shown(window, x, 48) for x in (30, 70, 128, 180, 230)] == [
            (0, 0, 0), (200, 100, 50), (200, 100, 50), (200, 100, 50), (0, 0, 0)
        ]  # fmt: skip


def test_keys_have_the_names_that_controls_know() -> None:
    pressed = [
        (pygame.K_1, "1"), (pygame.K_s, "S"), (pygame.K_PLUS, "+"), (pygame.K_UP, ""), (pygame.K_DOWN, ""),
        (pygame.K_RIGHT, ""), (pygame.K_LEFT, ""), (pygame.K_SPACE, " "), (pygame.K_ESCAPE, "\x1b"),
        (pygame.K_LSHIFT, ""), (pygame.K_F5, ""), (pygame.K_RETURN, "\r"),
    ]  # fmt: skip
    with Window("film") as window:
        assert window.keys() == []
        window.write(frame((0, 0, 0)))
        window.keys()
        for key, letter in pressed:
            pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key, unicode=letter, mod=0))
            pygame.event.post(pygame.event.Event(pygame.KEYUP, key=key, unicode=letter, mod=0))
        assert window.keys() == ["1", "s", "+", "up", "down", "n", "p", "space", "esc"]
        pygame.event.post(pygame.event.Event(pygame.QUIT))
        assert window.keys() == ["q"]
        assert window.keys() == []


def test_the_window_fills_the_screen_and_goes_back() -> None:
    with Window("film") as window:
        window.full_screen(True)
        window.write(frame((0, 0, 0)))
        assert window._window is not None
        own = window._window.size
        for on in (True, False):
            window.full_screen(on)
            window.write(frame((0, 0, 0)))
            assert window.full is on
        assert window._window is not None
        assert window._window.size == own


def test_a_screen_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "no such driver")
    with pytest.raises(SinkError, match="there is no screen to open a window on; use --headless"):
        Window("film")


def test_without_pygame_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(MissingDependencyError, match="a window needs pygame-ce: pip install pygame-ce"):
        Window("film")


# What is written into it


def lines(view: View, controls: Controls, second: float) -> list[str]:
    """The text over a frame of the camera at that second."""
    seen = replace(frame((0, 0, 0)), pts=round(25 * second))
    live = LiveFrame(seen, controls, torch.zeros(1, 3, 48, 64), Moment(), seen, 0.0)
    return view.lines(live, Figures(), 0)


def test_keys_are_hinted_at_first_and_the_style_named_when_it_changes() -> None:
    now = Controls(("dots", "lines"))
    view = View(now)
    assert lines(view, now, 3) == [HINT, "dots, strength 1.0"]
    assert lines(view, now, 3.1 + NAMED) == [HINT]
    assert lines(view, now, 3.1 + HINTED) == []
    assert lines(view, replace(now, style=1), 20) == ["lines, strength 1.0"]
    assert lines(view, replace(now, style=1), 20.1 + NAMED) == []


def test_the_help_names_the_styles_of_the_digits() -> None:
    now = Controls(("dots", "lines", "waves", "mine"), help=True)
    told = lines(View(now), now, 0)
    assert told[:2] == ["1 dots   2 lines   3 waves", "4 mine"]
    assert "q esc: quit" in told
    assert HINT not in told


def test_no_key_is_lost_between_two_frames(toy_gallery: Path, tmp_path: Path) -> None:
    film = media.film(tmp_path / "film.mp4", 10)
    plan = LivePlan(camera=str(film), styles=("dots",), engine="torch", loop=True, seconds=Fraction(30), adapt=False)
    seen: list[float] = []

    def press(live: LiveFrame, shown: Frame) -> None:
        if not seen:
            for letter in "---":
                pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_MINUS, unicode=letter, mod=0))
        seen.append(live.controls.strength)
        if seen[-1] < 1:
            pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_q, unicode="q", mod=0))

    run(plan, on_frame=press)
    assert set(seen) == {1.0, 0.7}
