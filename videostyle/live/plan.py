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
    """Settings of a live run: a camera, styles and outputs."""

    camera: str = "0"
    """A number or device, a network stream's URL, or a film that is played at its own speed."""
    styles: tuple[str, ...] = ("great-wave",)
    """Styles of the number keys; the first is the initial one, and the rest of the gallery follows them."""
    strength: float = like(Style, "strength", many=False, metavar=None)
    keep_colors: bool = like(Style, "keep_colors")
    network: str = like(Style, "network")
    brush: float = like(Style, "brush")
    stabilize: float = like(StabilizeOptions, "amount")
    """Amount of stabilization, which is always causal."""
    gate: bool = True
    """Average the camera's noise away where nothing moves."""
    fps: float = 24.0
    """Frame rate that the adaptive size keeps."""
    size: str = "640x360"
    """Size of the output, like `RenderPlan.size`; a smaller camera keeps its own size."""
    adapt: bool = True
    """Stylize at a smaller size if the machine is too slow for `fps`, and enlarge the result."""
    loop: bool = False
    """Repeat a film."""
    seconds: Fraction | None = None
    """Time after which to stop; None runs until the camera ends."""
    keys: tuple[tuple[Fraction, str], ...] = ()
    """Script of times in seconds and the keys pressed at them."""
    window: bool = True
    """Show the output in a window, which also takes keys."""
    virtual_camera: str | None = None
    """Virtual camera to write to; "" is the first one found, None is none."""
    ndi: str | None = None
    """Name of an NDI source on the network to send to; "" is videostyle, None is none."""
    output: str | None = None
    """File to record to from the first frame on."""
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
