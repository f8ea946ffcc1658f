"""Settings of `live`, as plain data."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from fractions import Fraction

from videostyle.errors import UsageError
from videostyle.plan import EncodeOptions, RenderSettings, StabilizeOptions
from videostyle.settings import check, check_number, like, set_fields
from videostyle.style import Style


@dataclass(frozen=True)
class LivePlan:
    """What comes from a camera, painted as it comes."""

    camera: str = "0"
    """A number or device, a network stream's URL, or a film that is played at its own speed."""
    styles: tuple[str, ...] = ("great-wave",)
    """The first is painted to begin with. All are one key away, and after them the rest of the gallery."""
    strength: float = like(Style, "strength", many=False, metavar=None)
    keep_colors: bool = like(Style, "keep_colors")
    network: str = like(Style, "network")
    brush: float = like(Style, "brush")
    stabilize: float = like(StabilizeOptions, "amount")
    """Always causal."""
    gate: bool = True
    """Average the camera's noise away where nothing moves."""
    fps: float = 24.0
    """Frames a second that the size painted at is chosen for."""
    size: str = "640x360"
    """As `RenderPlan.size`, for what comes out; a smaller camera keeps its own size."""
    adapt: bool = True
    """Paint smaller where the machine is too slow for `fps`, and enlarge that."""
    loop: bool = False
    """Begin a film again at its end."""
    seconds: Fraction | None = None
    """Stop after so long."""
    keys: tuple[tuple[Fraction, str], ...] = ()
    """Keys that are pressed by themselves, and when, in seconds."""
    window: bool = True
    """Show it in a window, which also takes keys."""
    virtual_camera: str | None = None
    """The virtual camera to feed; "" is any there is, None is none."""
    output: str | None = None
    """A file to record to from the first frame on."""
    encode: EncodeOptions = field(default_factory=EncodeOptions)
    engine: str = like(RenderSettings, "engine")
    device: str = like(RenderSettings, "device")

    def __post_init__(self) -> None:
        if isinstance(self.styles, str | os.PathLike):
            set_fields(self, styles=(os.fspath(self.styles),))
        if not self.styles:
            raise UsageError("name at least one style")
        check(self)
        check_number("fps", self.fps, 1, 240)
        if self.seconds is not None and self.seconds <= 0:
            raise UsageError(f"seconds must be above 0, got {float(self.seconds):g}")
