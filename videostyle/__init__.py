"""videostyle turns a movie into a painting that does not flicker.

    import videostyle
    videostyle.stylize("in.mp4", "out.mp4", style="great-wave")

The public names are imported when first used: `import videostyle` costs nothing.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Events are logged below "videostyle", and not shown unless the program sets up logging, as the command line does.
logging.getLogger(__name__).addHandler(logging.NullHandler())

if TYPE_CHECKING:
    from videostyle.batch.plan import BatchPlan
    from videostyle.batch.schedule import run as paint_batch
    from videostyle.errors import (
        MissingDependencyError,
        SettingError,
        SinkError,
        SourceError,
        TrainingError,
        UnknownNameError,
        UsageError,
        VideostyleError,
        WeightsError,
    )
    from videostyle.export import ExportReport, export_style
    from videostyle.io import open_sink, open_source, probe
    from videostyle.io.memory import MemorySink, MemorySource
    from videostyle.live.painter import LivePainter
    from videostyle.live.plan import LivePlan
    from videostyle.metrics.evaluation import evaluate
    from videostyle.metrics.options import EvaluateOptions
    from videostyle.metrics.scores import Evaluation
    from videostyle.optimize.keyframes import paint_keyframes
    from videostyle.optimize.plan import GatysOptions, KeyframePlan, PaintPlan, StyleImage
    from videostyle.optimize.stills import paint_picture
    from videostyle.painter import Painter, StylizedFrames, paint_frames, stylize, stylize_image
    from videostyle.pipeline import render
    from videostyle.plan import EncodeOptions, FlowOptions, RenderPlan, RenderSettings, StabilizeOptions
    from videostyle.progress import Progress
    from videostyle.report import RenderReport
    from videostyle.style import Region, Style
    from videostyle.timeline import Key, Span, Timeline, read_seconds
    from videostyle.train.learn import learn
    from videostyle.train.plan import LearnPlan, TrainingStyle
    from videostyle.types import Flow, Frame, Moment, Motion, Sink, Source, Stylizer, VideoInfo
    from videostyle.weights import gallery

_HOMES = {
    "paint_batch": "batch.schedule:run",
    "MissingDependencyError": "errors",
    "SettingError": "errors",
    "SinkError": "errors",
    "SourceError": "errors",
    "TrainingError": "errors",
    "UnknownNameError": "errors",
    "UsageError": "errors",
    "VideostyleError": "errors",
    "WeightsError": "errors",
    "ExportReport": "export",
    "export_style": "export",
    "open_sink": "io",
    "open_source": "io",
    "probe": "io",
    "MemorySink": "io.memory",
    "MemorySource": "io.memory",
    "LivePainter": "live.painter",
    "Evaluation": "metrics.scores",
    "evaluate": "metrics.evaluation",
    "EvaluateOptions": "metrics.options",
    "paint_keyframes": "optimize.keyframes",
    "paint_picture": "optimize.stills",
    "Progress": "progress",
    "RenderReport": "report",
    "StylizedFrames": "painter",
    "Painter": "painter",
    "paint_frames": "painter",
    "render": "pipeline",
    "stylize": "painter",
    "stylize_image": "painter",
    "BatchPlan": "batch.plan",
    "EncodeOptions": "plan",
    "FlowOptions": "plan",
    "GatysOptions": "optimize.plan",
    "Key": "timeline",
    "KeyframePlan": "optimize.plan",
    "LearnPlan": "train.plan",
    "LivePlan": "live.plan",
    "StyleImage": "optimize.plan",
    "TrainingStyle": "train.plan",
    "PaintPlan": "optimize.plan",
    "Region": "style",
    "RenderPlan": "plan",
    "RenderSettings": "plan",
    "Span": "timeline",
    "StabilizeOptions": "plan",
    "Style": "style",
    "Timeline": "timeline",
    "read_seconds": "timeline",
    "learn": "train.learn",
    "Flow": "types",
    "Frame": "types",
    "Moment": "types",
    "Motion": "types",
    "Sink": "types",
    "Source": "types",
    "Stylizer": "types",
    "VideoInfo": "types",
    "gallery": "weights",
}

__all__ = [
    "BatchPlan",
    "EncodeOptions",
    "EvaluateOptions",
    "Evaluation",
    "ExportReport",
    "Flow",
    "FlowOptions",
    "Frame",
    "GatysOptions",
    "Key",
    "KeyframePlan",
    "LearnPlan",
    "LivePainter",
    "LivePlan",
    "MemorySink",
    "MemorySource",
    "MissingDependencyError",
    "Moment",
    "Motion",
    "PaintPlan",
    "Painter",
    "Progress",
    "Region",
    "RenderPlan",
    "RenderReport",
    "RenderSettings",
    "SettingError",
    "Sink",
    "SinkError",
    "Source",
    "SourceError",
    "Span",
    "StabilizeOptions",
    "Style",
    "StyleImage",
    "StylizedFrames",
    "Stylizer",
    "Timeline",
    "TrainingError",
    "TrainingStyle",
    "UnknownNameError",
    "UsageError",
    "VideoInfo",
    "VideostyleError",
    "WeightsError",
    "__version__",
    "evaluate",
    "export_style",
    "gallery",
    "learn",
    "open_sink",
    "open_source",
    "paint_batch",
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
    home, _, other = _HOMES[name].partition(":")
    return getattr(import_module(f"videostyle.{home}"), other or name)


def __dir__() -> list[str]:
    return __all__
