"""Settings of a render, as plain data: every setting and its default is declared here, once.

The command line, job lists, the pages and the Python functions are made from these classes. This module imports
neither torch nor PyAV, so `videostyle --help` is instant and a plan can travel to another process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any, Literal

from videostyle.errors import SettingError
from videostyle.plugins import available
from videostyle.settings import assemble, check, disassemble, set_fields, setting
from videostyle.style import Style
from videostyle.timeline import Span, Timeline


def _installed(package: str, *more: str) -> Callable[[], tuple[str, ...]]:
    """Return a function that lists `more` and then the parts in a folder of modules."""
    return lambda: (*more, *available(package))


@dataclass(frozen=True)
class FlowOptions:
    """Settings of the optical flow estimator."""

    method: str = setting(
        "auto",
        "optical flow estimator; auto is RAFT on a GPU with weights at hand, DIS otherwise; none estimates no motion, "
        "and then nothing is stabilized",
        "flicker",
        name="flow",
        choices=_installed("videostyle.flow", "auto"),
    )
    weights: Path | None = setting(
        None,
        "a file with RAFT's weights; the default is torchvision's own",
        "flicker",
        name="flow_weights",
        metavar="FILE",
    )
    allow_download: bool = setting(
        False,
        "let torchvision download the weights that are missing: RAFT's, and those of --segmenter",
        "flicker",
        name="download",
    )
    longest_side: int = setting(
        512,
        "RAFT works on pictures scaled down to at most this many pixels; its cost grows with the square of the area",
        "flicker",
        name="flow_size",
        low=64,
        metavar="PX",
    )

    def __post_init__(self) -> None:
        set_fields(self, weights=None if self.weights is None else Path(self.weights))
        check(self)


@dataclass(frozen=True)
class SegmenterOptions:
    """Settings of the segmenter, which finds people for masks."""

    method: str = setting(
        "lraspp",
        "network that finds the people for --mask person and background: lraspp and deeplab are torchvision's, the "
        "second finer and slower; selfie is MediaPipe's, the fastest, for people near the camera",
        "the painting",
        name="segmenter",
        choices=_installed("videostyle.segmenters"),
    )
    weights: Path | None = setting(
        None,
        "a file with the weights of --segmenter; the default is torchvision's own, or those of an installed mediapipe",
        "the painting",
        name="segmenter_weights",
        metavar="FILE",
    )

    def __post_init__(self) -> None:
        set_fields(self, weights=None if self.weights is None else Path(self.weights))
        check(self)


@dataclass(frozen=True)
class StabilizeOptions:
    """Settings of the stabilizer."""

    amount: float = setting(
        1.0,
        "weight of the previous output, warped along the optical flow: 0 stylizes each frame alone, 1 flickers least",
        "flicker",
        name="stabilize",
        low=0,
        high=1,
    )
    mode: Literal["auto", "causal", "lookahead"] = setting(
        "auto",
        "causal: uses the frames before, and yields each frame at once. lookahead: uses those after it, too, which "
        "flickers less, is slower and some frames late. auto: lookahead for films, causal for live sources",
        "flicker",
        name="stabilize_mode",
        choices=lambda: ("auto", "causal", "lookahead"),
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class EncodeOptions:
    """Settings of the encoder."""

    codec: str = setting(
        "auto",
        "h264, hevc, av1, vp9, prores, ffv1, gif...; auto goes by the output's name",
        "the output",
        metavar="NAME",
    )
    crf: int | None = setting(
        None, "constant rate factor: lower is better and larger", "the output", low=0, metavar="N"
    )
    preset: str | None = setting(None, "the encoder's preset: how slowly it works", "the output", metavar="P")
    pix_fmt: str | None = setting(
        None, "the encoder's pixel format, yuv420p10le for example", "the output", metavar="F"
    )
    overwrite: bool = setting(False, "replace the files to be written if they exist", "the output")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class RenderSettings:
    """Settings of a render, without its source, output and span.

    The parts may be written briefly: `style="udnie"`, `stabilize=0.5`, `flow="none"`.
    """

    style: Style = field(default_factory=Style)
    segmenter: SegmenterOptions = field(default_factory=SegmenterOptions)
    flow: FlowOptions = field(default_factory=FlowOptions)
    stabilize: StabilizeOptions = field(default_factory=StabilizeOptions)
    encode: EncodeOptions = field(default_factory=EncodeOptions)
    size: str | None = setting(
        None,
        "paint at this size: 640x360 to fit inside, aspect kept, or 360 for the short side; default: the film's own",
        "the film",
        label="Size, the short side in pixels",
        metavar="WxH|SHORT",
    )
    engine: str = setting(
        "auto",
        "runtime of the style network; auto is OpenVINO on a CPU if it is installed, torch on cuda",
        "the machine",
        choices=_installed("videostyle.engines", "auto"),
    )
    device: str = setting(
        "auto",
        "where the network runs: cpu, cuda, tensorrt, mps or coreml (Apple), dml (DirectML), gpu or npu (Intel); with "
        "a number where there are several, cuda:1; auto is cuda if torch finds it, cpu otherwise",
        "the machine",
        metavar="auto|cpu|cuda[:N]|...",
    )
    queue_depth: int = setting(
        4,
        "frames that may wait between two stages: more of them even out the speed and take memory",
        "the machine",
        low=1,
        high=1024,
        metavar="N",
    )

    def __post_init__(self) -> None:
        if isinstance(self.size, int) and not isinstance(self.size, bool):
            set_fields(self, size=str(self.size))
        if isinstance(self.size, tuple | list) and len(self.size) == 2:
            set_fields(self, size=f"{self.size[0]}x{self.size[1]}")
        for name, kind, brief in (
            ("style", Style, (str, os.PathLike, Mapping, tuple, list, Timeline)),
            ("segmenter", SegmenterOptions, (str,)),
            ("flow", FlowOptions, (str,)),
            ("stabilize", StabilizeOptions, (Real,)),
            ("encode", EncodeOptions, ()),
        ):
            value = getattr(self, name)
            if isinstance(value, brief) and not isinstance(value, bool):
                set_fields(self, **{name: kind(value)})  # type: ignore[arg-type]
            elif not isinstance(value, kind):
                raise SettingError(name, f"cannot be {value!r}; write a {kind.__name__}")
        check(self)


@dataclass(frozen=True)
class RenderPlan(RenderSettings):
    """A render: one source, one output, and the settings."""

    source: str
    output: str
    span: Span = field(default_factory=Span, kw_only=True)

    def __post_init__(self) -> None:
        for name in ("source", "output"):
            value = getattr(self, name)
            if not isinstance(value, str | os.PathLike):
                raise SettingError(name, f"cannot be {value!r}; write the path of a file")
            set_fields(self, **{name: os.fspath(value)})
        if isinstance(self.span, tuple | list):
            set_fields(self, span=Span(*self.span))
        if not isinstance(self.span, Span):
            raise SettingError("span", f"cannot be {self.span!r}; write a Span")
        super().__post_init__()

    def to_json(self) -> dict[str, Any]:
        """Return every setting by its name in job lists, as JSON has it; `RenderPlan.of` makes the same plan of it."""
        return {"source": self.source, "output": self.output, **disassemble(self)}

    @classmethod
    def of(cls, source: str | os.PathLike[str], output: str | os.PathLike[str], /, **settings: Any) -> RenderPlan:
        """Make a plan from settings by their names on the command line and in job lists; raises UsageError.

        `RenderPlan.of("in.mp4", "out.mp4", style="udnie", strength=0.8, start="1:20", codec="hevc")`.
        """
        return assemble(cls, source=source, output=output, **settings)

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of all files that the plan reads; none of them may be written to."""
        named = [self.source, *self.style.mask_files, *self.style.names, self.segmenter.weights, self.flow.weights]
        return tuple(str(one) for one in named if one)
