"""A window that shows frames, and the keys that are pressed in it, by SDL."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

import cv2
import torch

from videostyle.errors import MissingDependencyError, SinkError
from videostyle.types import Frame

if TYPE_CHECKING:
    import pygame

_NO_SCREEN = "there is no screen to open a window on; use --headless, -o FILE or --virtual-camera"
# pygame prints a greeting on standard output, and SDL treats SIGTERM as a closed window.
_ENVIRONMENT = {"PYGAME_HIDE_SUPPORT_PROMPT": "1", "SDL_NO_SIGNAL_HANDLERS": "1"}


_OPENS_AT = 2 / 3
"""Share of the screen that the window fills at first, in one direction."""


class Window:
    """Shows the frames that are written to it, in their proportions; it must be used in the main thread."""

    def __init__(self, title: str) -> None:
        """Connect to the screen; raise SinkError where there is none, MissingDependencyError without pygame."""
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            import pygame
        except ImportError as error:
            raise MissingDependencyError(
                "a window needs pygame-ce: pip install pygame-ce; or use --headless"
            ) from error
        self._pygame = pygame
        screens = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
        if sys.platform == "linux" and not any(os.environ.get(name) for name in screens):
            raise SinkError(_NO_SCREEN)  # SDL would take the whole screen of a console
        try:
            pygame.display.init()
        except pygame.error as error:
            raise SinkError(_NO_SCREEN) from error
        self.warnings: list[str] = []
        self._title = title
        self._window: pygame.Window | None = None
        self.full = False
        """True while the window fills the screen."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._window is not None:
            self._window.destroy()
        self._pygame.display.quit()

    def write(self, frame: Frame, overlay: Callable[[Frame], Frame] = lambda frame: frame) -> None:
        """Show `frame` as large as the window allows; the first frame opens the window, in the middle of the screen.

        `overlay` draws into the frame once it has the size at which it is shown, so that text is sharp in any window.
        Raises SinkError where no window can be opened.
        """
        pygame = self._pygame
        picture = frame.pixels[:3].permute(1, 2, 0).numpy()
        height, width = picture.shape[:2]
        try:
            if self._window is None:
                desktop = pygame.display.get_desktop_sizes()[0]
                opening = _OPENS_AT * min(desktop[0] / width, desktop[1] / height)
                size = max(round(width * opening), 1), max(round(height * opening), 1)
                self._window = pygame.Window(self._title, size, pygame.WINDOWPOS_CENTERED, resizable=True)
            screen = self._window.get_surface()
            scale = min(screen.width / width, screen.height / height)
            size = max(round(width * scale), 1), max(round(height * scale), 1)
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
            drawn = overlay(frame.with_pixels(torch.from_numpy(picture).permute(2, 0, 1)))
            screen.fill("black")
            corner = (screen.width - size[0]) // 2, (screen.height - size[1]) // 2
            screen.blit(pygame.image.frombuffer(drawn.pixels.permute(1, 2, 0).numpy().tobytes(), size, "RGB"), corner)
            self._window.flip()
        except pygame.error as error:
            raise SinkError(f"the window cannot be shown ({error}); use --headless") from error

    def keys(self) -> list[str]:
        """List the keys pressed since the last call, as named by `videostyle.live.controls.press`; "q" if closed."""
        if self._window is None:
            return []
        return [name for event in self._pygame.event.get() if (name := self._name(event))]

    def _name(self, event: pygame.Event) -> str:
        """Return the name of the key of an event; "" where no key was pressed."""
        pygame = self._pygame
        if event.type in (pygame.QUIT, pygame.WINDOWCLOSE):
            return "q"
        if event.type != pygame.KEYDOWN:
            return ""
        named = {
            pygame.K_UP: "up",
            pygame.K_DOWN: "down",
            pygame.K_RIGHT: "n",
            pygame.K_LEFT: "p",
            pygame.K_SPACE: "space",
            pygame.K_ESCAPE: "esc",
        }
        # The letter in the keyboard's own layout: + is on another key in every country.
        letter: str = event.unicode
        return named.get(event.key) or (letter.lower() if letter.isprintable() else "")

    def full_screen(self, on: bool) -> None:
        """Switch full screen on or off."""
        if self._window is not None and on != self.full:
            self.full = on
            if on:
                self._window.set_fullscreen(desktop=True)
            else:
                self._window.set_windowed()
