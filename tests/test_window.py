"""The window of live, on a screen that SDL only pretends to have."""

from __future__ import annotations

import sys
from fractions import Fraction

import pytest
import torch

from videostyle.errors import MissingDependencyError, SinkError
from videostyle.io.window import Window
from videostyle.types import Frame

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
        assert (window._window.size, window._window.title) == ((64, 48), "film")
        assert {shown(window, x, y) for x in (0, 63) for y in (0, 47)} == {(200, 100, 50)}
        window.write(frame((1, 2, 3)))
        assert shown(window, 20, 20) == (1, 2, 3)


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
        for on in (True, False):
            window.full_screen(on)
            window.write(frame((0, 0, 0)))
            assert window.full is on
        assert window._window is not None
        assert window._window.size == (64, 48)


def test_a_screen_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "no such driver")
    with pytest.raises(SinkError, match="there is no screen to open a window on; use --headless"):
        Window("film")


def test_without_pygame_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(MissingDependencyError, match="a window needs pygame-ce: pip install pygame-ce"):
        Window("film")
