"""Live controls: settings that change between frames, the keys that change them, and scripts of keys."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from videostyle.errors import UnknownNameError, UsageError

# Shares of the next style that successive presses of `b` select.
BLENDS = (0.0, 0.25, 0.5, 0.75)
STEP = 0.1

KEYS = (
    ("1-9", "styles"),
    ("n p", "next, previous style"),
    ("+ - up down", "strength"),
    ("b", "blend with the next style: 1/4, 1/2, 3/4, none"),
    ("v", "before and after, side by side"),
    ("c", "keep the camera's colours"),
    ("s", "stabiliser on, off"),
    ("r", "record, stop recording"),
    ("space", "snapshot"),
    ("f", "full screen"),
    ("i", "figures: rate, latency, dropped"),
    ("h", "these keys"),
    ("q esc", "quit"),
)
"""Keys and their effects, for people."""


@dataclass(frozen=True, slots=True)
class Controls:
    """Settings that may change between two frames; each frame is stylized with one consistent set of them."""

    styles: tuple[str, ...]
    """Names of the styles to choose from."""
    style: int = 0
    """Index of the current style."""
    blend: float = 0.0
    """Share of the following style in the blend, 0..1."""
    strength: float = 1.0
    keep_colors: bool = False
    stabilize: bool = True
    split: bool = False
    """True for the split view: the film on the left, the stylized frame on the right."""
    record: bool = False
    snapshots: int = 0
    """Number of snapshots requested so far."""
    full_screen: bool = False
    figures: bool = False
    help: bool = False
    quit: bool = False

    def __post_init__(self) -> None:
        for name in ("blend", "strength"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        if not 0 <= self.style < len(self.styles):
            raise UsageError(f"style must be one of the {len(self.styles)} there are, got number {self.style}")

    @property
    def name(self) -> str:
        """Name of the current style or blend, for people."""
        name = self.styles[self.style]
        return f"{name} and {self.following}" if self.blend else name

    @property
    def following(self) -> str:
        """Name of the style after the current one; the first comes after the last."""
        return self.styles[(self.style + 1) % len(self.styles)]


def press(now: Controls, key: str) -> Controls:
    """Return the controls after a key, "1", "n", "up" or "space"; a key without a meaning changes nothing."""
    if len(key) == 1 and key in "123456789":
        number = int(key) - 1
        return replace(now, style=number, blend=0.0) if number < len(now.styles) else now
    count = len(now.styles)
    changes: dict[str, dict[str, Any]] = {
        "n": {"style": (now.style + 1) % count, "blend": 0.0},
        "p": {"style": (now.style - 1) % count, "blend": 0.0},
        "+": {"strength": min(round(now.strength + STEP, 3), 1.0)},
        "-": {"strength": max(round(now.strength - STEP, 3), 0.0)},
        "b": {"blend": next((share for share in BLENDS if share > now.blend), 0.0)},
        "v": {"split": not now.split},
        "c": {"keep_colors": not now.keep_colors},
        "s": {"stabilize": not now.stabilize},
        "r": {"record": not now.record},
        "space": {"snapshots": now.snapshots + 1},
        "f": {"full_screen": not now.full_screen},
        "i": {"figures": not now.figures},
        "h": {"help": not now.help},
        "q": {"quit": True},
    }
    changes |= {"up": changes["+"], "=": changes["+"], "down": changes["-"], "esc": changes["q"]}
    return replace(now, **changes.get(key, {}))


class LiveControls:
    """Holds the current controls: read by the painter at every frame, changed from any thread."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._lock = threading.Lock()

    @property
    def now(self) -> Controls:
        """Controls of the next frame."""
        return self._controls

    def press(self, key: str) -> Controls:
        """Press a key, and return the controls after it."""
        return self._change(lambda now: press(now, key))

    def set(self, **changes: Any) -> Controls:
        """Change fields of `Controls`, a style also by its name; raise UsageError for invalid values."""
        name = changes.get("style")
        if isinstance(name, str):
            if name not in self._controls.styles:
                raise UnknownNameError.among("style", name, self._controls.styles)
            changes["style"] = self._controls.styles.index(name)
        return self._change(lambda now: replace(now, **changes))

    def _change(self, change: Callable[[Controls], Controls]) -> Controls:
        with self._lock:
            self._controls = change(self._controls)
            return self._controls


Script = tuple[tuple[Fraction, str], ...]
"""Times in seconds and the keys pressed at them, in order."""


def read_keys(text: str, seconds: Callable[[str], Fraction]) -> Script:
    """Read a script of keys, KEY@T as in "3@2 v@4 q@0:08"; `seconds` reads a time. Raises UsageError."""
    known = {key for keys, _ in KEYS for key in keys.split()} - {"1-9"} | set("123456789=")
    script = []
    for word in text.split():
        key, _, time = word.rpartition("@")
        if key not in known:
            raise UsageError(f"--keys {word}: write KEY@TIME, 3@2 for example; keys are {', '.join(sorted(known))}")
        try:
            script.append((seconds(time), key))
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"--keys {word}: {error}") from None
    return tuple(sorted(script, key=lambda pressed: pressed[0]))
