"""A window to watch, and the keys that are pressed in it."""

from __future__ import annotations

import os
import subprocess
import sys
from types import TracebackType
from typing import Self

import cv2

from videostyle.errors import MissingDependencyError, SinkError
from videostyle.types import Frame

# What X11, Windows and macOS call the arrow keys.
_NAMED = {
    **dict.fromkeys((65362, 2490368, 63232), "up"),
    **dict.fromkeys((65364, 2621440, 63233), "down"),
    **dict.fromkeys((65363, 2555904, 63235), "n"),
    **dict.fromkeys((65361, 2424832, 63234), "p"),
    32: "space",
    27: "esc",
}
_SHIFT_AND_LOCKS = 0xFFFF  # what is above says which of them are held
_FLAGS = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL


class Window:
    """Shows frames as they are written; belongs to the main thread."""

    def __init__(self, title: str) -> None:
        """Raises SinkError where there is no screen, MissingDependencyError where this OpenCV has no windows."""
        _check_screen()
        self.warnings: list[str] = []
        self._title = title
        self._shown = False
        self._full = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            cv2.destroyWindow(self._title)

    def write(self, frame: Frame) -> None:
        """Show `frame`; the first one opens the window, in its size."""
        picture = cv2.cvtColor(frame.pixels.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2BGR)
        if not self._shown:
            cv2.namedWindow(self._title, _FLAGS)
            cv2.resizeWindow(self._title, picture.shape[1], picture.shape[0])
            self._shown = True
        cv2.imshow(self._title, picture)

    def keys(self) -> list[str]:
        """The keys pressed since the last time, as `videostyle.live.controls.press` names them; "q" once closed."""
        if not self._shown:
            return []
        pressed = []
        while (code := cv2.waitKeyEx(1)) != -1:
            pressed.append(key_name(code))
        if cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1:
            pressed.append("q")
        return pressed

    def full_screen(self, on: bool) -> None:
        """Fill the screen, or stop that."""
        if self._shown and on != self._full:
            self._full = on
            how = cv2.WINDOW_FULLSCREEN if on else cv2.WINDOW_NORMAL
            cv2.setWindowProperty(self._title, cv2.WND_PROP_FULLSCREEN, how)


def key_name(code: int) -> str:
    """A name for what `cv2.waitKeyEx` returned."""
    plain = code if code in _NAMED else code & _SHIFT_AND_LOCKS
    return _NAMED.get(plain) or (chr(plain).lower() if plain < 128 else "")


def _check_screen() -> None:
    nowhere = "there is no screen to open a window on; use --headless, -o FILE or --virtual-camera"
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise SinkError(nowhere)
    # Qt ends the whole program where it cannot reach the screen, so that is tried in another one.
    code = "import cv2; cv2.namedWindow('videostyle'); cv2.destroyAllWindows()"
    tried = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    if "not implemented" in tried.stderr:
        raise MissingDependencyError(
            "this OpenCV has no windows: pip uninstall opencv-python-headless, then pip install opencv-python"
        )
    if tried.returncode:
        raise SinkError(nowhere)
