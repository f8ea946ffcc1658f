"""What can be changed while it is painted, the keys that change it, and keys pressed by a script."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from videostyle.errors import UnknownNameError, UsageError

# A press of `b` leads from one share of the next style to the next of these.
BLENDS = (0.0, 0.25, 0.5, 0.75)
STEP = 0.1

KEYS = (
    ("1-9", "styles"),
    ("n p", "next, previous style"),
    ("+ - up down", "strength"),
    ("b", "blend with the next style: 1/4, 1/2, 3/4, not"),
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
"""Keys and what they do, for people."""


@dataclass(frozen=True, slots=True)
class Controls:
    """All that may be changed between two frames; each frame is painted by one of these, whole."""

    styles: tuple[str, ...]
    """The names there are to choose from."""
    style: int = 0
    """Which of them."""
    blend: float = 0.0
    """Share of the style that follows it."""
    strength: float = 1.0
    keep_colors: bool = False
    steady: bool = True
    split: bool = False
    """The film on the left, its painting on the right."""
    record: bool = False
    snapshots: int = 0
    """How many were asked for so far."""
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
        """What is painted, for people."""
        name = self.styles[self.style]
        return f"{name} and {self.following}" if self.blend else name

    @property
    def following(self) -> str:
        """The style after this one; after the last comes the first."""
        return self.styles[(self.style + 1) % len(self.styles)]


def press(now: Controls, key: str) -> Controls:
    """The controls after a key: "1", "n", "up", "space"; a key without a meaning changes nothing."""
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
        "s": {"steady": not now.steady},
        "r": {"record": not now.record},
        "space": {"snapshots": now.snapshots + 1},
        "f": {"full_screen": not now.full_screen},
        "i": {"figures": not now.figures},
        "h": {"help": not now.help},
        "q": {"quit": True},
    }
    changes |= {"up": changes["+"], "=": changes["+"], "down": changes["-"], "esc": changes["q"]}
    return replace(now, **changes.get(key, {}))


class Desk:
    """The controls as they are now: read by the painter at every frame, changed from any thread."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._lock = threading.Lock()

    @property
    def now(self) -> Controls:
        """What the next frame will be painted by."""
        return self._controls

    def press(self, key: str) -> Controls:
        """Press a key; returns the controls it led to."""
        return self._change(lambda now: press(now, key))

    def set(self, **changes: Any) -> Controls:
        """Change fields of `Controls`, a style also by its name; raises UsageError for values that make no sense."""
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
"""Keys and the seconds at which they are pressed, in order."""


def read_keys(text: str, seconds: Callable[[str], Fraction]) -> Script:
    """The script in "3@2 v@4 q@0:08", KEY@T; `seconds` reads a time. Raises UsageError."""
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
