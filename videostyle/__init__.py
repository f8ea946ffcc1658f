"""videostyle turns a movie into a painting that does not flicker.

    import videostyle
    videostyle.stylize("in.mp4", "out.mp4", style="great-wave")

The public names are imported when first used: `import videostyle` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from videostyle.errors import (
        MissingDependencyError,
        SinkError,
        SourceError,
        TrainingError,
        UnknownNameError,
        UsageError,
        VideostyleError,
        WeightsError,
    )
    from videostyle.io import open_sink, open_source, probe
    from videostyle.live.painter import LivePainter
    from videostyle.metrics.evaluation import Evaluation, evaluate
    from videostyle.metrics.options import EvaluateOptions
    from videostyle.offline import paint_keyframes, paint_picture
    from videostyle.painter import Painter, paint_frames, stylize, stylize_image
    from videostyle.pipeline import RenderReport, render
    from videostyle.plan import (
        EncodeOptions,
        FlowOptions,
        GatysOptions,
        Key,
        KeyframePlan,
        LivePlan,
        Original,
        PaintPlan,
        Region,
        RenderPlan,
        Span,
        StabilizeOptions,
        Style,
        Timeline,
        read_seconds,
    )
    from videostyle.types import Frame, VideoInfo
    from videostyle.weights import gallery

_HOMES = {
    "MissingDependencyError": "errors",
    "SinkError": "errors",
    "SourceError": "errors",
    "TrainingError": "errors",
    "UnknownNameError": "errors",
    "UsageError": "errors",
    "VideostyleError": "errors",
    "WeightsError": "errors",
    "open_sink": "io",
    "open_source": "io",
    "probe": "io",
    "LivePainter": "live.painter",
    "Evaluation": "metrics.evaluation",
    "evaluate": "metrics.evaluation",
    "EvaluateOptions": "metrics.options",
    "paint_keyframes": "offline",
    "paint_picture": "offline",
    "RenderReport": "pipeline",
    "Painter": "painter",
    "paint_frames": "painter",
    "render": "pipeline",
    "stylize": "painter",
    "stylize_image": "painter",
    "EncodeOptions": "plan",
    "FlowOptions": "plan",
    "GatysOptions": "plan",
    "Key": "plan",
    "KeyframePlan": "plan",
    "LivePlan": "plan",
    "Original": "plan",
    "PaintPlan": "plan",
    "Region": "plan",
    "RenderPlan": "plan",
    "Span": "plan",
    "StabilizeOptions": "plan",
    "Style": "plan",
    "Timeline": "plan",
    "read_seconds": "plan",
    "Frame": "types",
    "VideoInfo": "types",
    "gallery": "weights",
}

__all__ = [
    "EncodeOptions",
    "EvaluateOptions",
    "Evaluation",
    "FlowOptions",
    "Frame",
    "GatysOptions",
    "Key",
    "KeyframePlan",
    "LivePainter",
    "LivePlan",
    "MissingDependencyError",
    "Original",
    "PaintPlan",
    "Painter",
    "Region",
    "RenderPlan",
    "RenderReport",
    "SinkError",
    "SourceError",
    "Span",
    "StabilizeOptions",
    "Style",
    "Timeline",
    "TrainingError",
    "UnknownNameError",
    "UsageError",
    "VideoInfo",
    "VideostyleError",
    "WeightsError",
    "__version__",
    "evaluate",
    "gallery",
    "open_sink",
    "open_source",
    "paint_frames",
    "paint_keyframes",
    "paint_picture",
    "probe",
    "read_seconds",
    "render",
    "stylize",
    "stylize_image",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'videostyle' has no attribute {name!r}")
    return getattr(import_module(f"videostyle.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
