"""Paint a film, a GIF, a picture or an image sequence, and keep its sound, timing and colours."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from videostyle.errors import SinkError, UsageError
from videostyle.plan import (
    Blend,
    EncodeOptions,
    FlowOptions,
    Key,
    Region,
    RenderPlan,
    Span,
    StabilizeOptions,
    Style,
    Timeline,
)

if TYPE_CHECKING:
    from videostyle.pipeline import RenderReport
    from videostyle.types import Frame, Source

T = TypeVar("T")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; their defaults are those of the plan."""
    parser.add_argument("input", metavar="INPUT", help="film, GIF, picture, or image sequence such as shots/%%05d.png")
    parser.add_argument("-o", "--output", metavar="OUTPUT", help="default: INPUT's name with the style's, as .mp4")

    look = parser.add_argument_group("the painting")
    look.add_argument(
        "--style",
        metavar="NAME[:WEIGHT][@T[-T]]",
        action="append",
        required=True,
        help="a name from `videostyle styles`, a style file, or none; several are blended by their weights. With times "
        "of the film (whatever --start says) it glides from one to the next: scream@0:05 is reached at 0:05, "
        "scream@0:05-0:09 stays until 0:09; where the next begins just then it jumps",
    )
    look.add_argument(
        "--strength",
        metavar="0..1[@T[-T]]",
        action="append",
        help=f"from the film (0) to the painting (1), with times as --style; default: {Style.strength}",
    )
    look.add_argument("--keep-colors", action="store_true", help="keep the film's hues, take the painting's brush only")
    look.add_argument(
        "--brush",
        metavar="0.25..4",
        type=float,
        default=Style.brush,
        help="size of the marks; larger is coarser and faster; default: %(default)s",
    )
    look.add_argument(
        "--mask",
        metavar="FILE",
        help="paint where this picture, film or sequence is white, and leave the film where it is black",
    )
    look.add_argument(
        "--region",
        metavar="NAME=FILE",
        action="append",
        default=[],
        help="another painting where FILE is white, over those before it; each costs a pass of the network",
    )
    look.add_argument(
        "--mask-feather",
        metavar="PX",
        type=float,
        default=Style.feather,
        help="soften the edges of masks; default: %(default)s",
    )
    look.add_argument("--network", metavar="NAME", default=Style.network, help="size of network; default: %(default)s")
    look.add_argument(
        "--size", metavar="WxH|SHORT", help="paint at this size: 640x360 to fit inside, or the short side"
    )
    look.add_argument("--start", metavar="T", type=_seconds, default=Fraction(0), help="seconds or h:mm:ss.s")
    look.add_argument("--end", metavar="T", type=_seconds, help="seconds or h:mm:ss.s")

    steady = parser.add_argument_group("flicker")
    steady.add_argument("--flow", choices=["auto", "dis", "raft", "raft-large", "none"], default=FlowOptions.method)
    steady.add_argument("--flow-weights", metavar="FILE", type=Path, help="RAFT weights, where torchvision has none")
    steady.add_argument(
        "--download", action="store_true", help="let torchvision download RAFT weights if they are missing"
    )
    steady.add_argument(
        "--statistics",
        choices=["frame", "shot"],
        default=Style.statistics,
        help="normalise by each frame's own statistics, or by the shot's, so that nothing pumps; default: %(default)s",
    )
    steady.add_argument(
        "--stabilize", metavar="0..1", type=float, default=StabilizeOptions.amount, help="default: %(default)s"
    )
    steady.add_argument(
        "--stabilize-mode",
        choices=["auto", "causal", "lookahead"],
        default=StabilizeOptions.mode,
        help="from the frames before, or also from those after: steadier, and slower; auto: lookahead for films",
    )

    machine = parser.add_argument_group("the machine")
    machine.add_argument("--engine", choices=["auto", "torch", "openvino"], default=RenderPlan.engine)
    machine.add_argument("--device", metavar="auto|cpu|cuda[:N]", default=RenderPlan.device)

    out = parser.add_argument_group("the output")
    out.add_argument(
        "--codec", metavar="NAME", default=EncodeOptions.codec, help="h264, hevc, av1, vp9, prores, ffv1, gif..."
    )
    out.add_argument("--crf", metavar="N", type=int, help="quality: lower is better and larger")
    out.add_argument("--preset", metavar="P", help="the encoder's speed setting")
    out.add_argument("--pix-fmt", metavar="F", help="the encoder's pixel format, yuv420p10le for example")
    out.add_argument("--report", metavar="FILE.json", type=Path, help="write what was decided and how long it took")
    out.add_argument("--overwrite", action="store_true", help="replace OUTPUT if it exists")
    out.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no summary; warnings still")


def run(args: argparse.Namespace) -> int:
    """Paint as asked."""
    style = Style(
        blend=_along("--style", args.style, _blend),
        strength=_along("--strength", args.strength, _strength) if args.strength else Style.strength,
        keep_colors=args.keep_colors,
        network=args.network,
        brush=args.brush,
        statistics=args.statistics,
        mask=args.mask,
        regions=tuple(_region(text) for text in args.region),
        feather=args.mask_feather,
    )
    plan = RenderPlan(
        source=args.input,
        output=args.output or _default_output(args.input, style.names),
        style=style,
        flow=FlowOptions(args.flow, args.flow_weights, args.download),
        stabilize=StabilizeOptions(args.stabilize, args.stabilize_mode),
        encode=EncodeOptions(args.codec, args.crf, args.preset, args.pix_fmt, args.overwrite),
        span=Span(args.start, args.end),
        size=args.size,
        engine=args.engine,
        device=args.device,
    )
    if args.report is not None and not args.report.absolute().parent.is_dir():
        raise UsageError(f"{args.report}: the folder for the report does not exist")
    report = _render(plan, quiet=args.quiet)
    for warning in report.warnings:
        print(f"videostyle: {warning}", file=sys.stderr)
    if args.report is not None:
        try:
            args.report.write_text(json.dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise SinkError(f"{args.report}: the report cannot be written ({error.strerror})") from error
    if not args.quiet:
        flow = f", flow {report.flow}" if report.flow != "none" else ""
        print(
            f"{report.output}: {report.frames} frames, {report.fps:.1f} frames/s "
            f"({report.engine or 'nothing painted'} on {report.device}{flow})",
            file=sys.stderr,
        )
    print(report.output)
    return 0


def _render(plan: RenderPlan, *, quiet: bool) -> RenderReport:
    from tqdm import tqdm

    from videostyle.pipeline import render

    bar = tqdm(unit=" frames", disable=quiet or None, dynamic_ncols=True, smoothing=0.05, desc=Path(plan.source).name)

    def start(video: Source, plan: RenderPlan) -> None:
        bar.total = _expected(video, plan.span)
        # The network loads before the first frame: that is not painting speed.
        bar.unpause()

    def step(frame: Frame) -> None:
        bar.update()

    with bar:
        return render(plan, on_start=start, on_frame=step)


def _expected(video: Source, span: Span) -> int | None:
    """Frames to come, as far as the container tells."""
    info = video.info
    if info.frame_count is None or not info.duration:
        return info.frame_count
    end = min(span.end or info.duration, info.duration)
    return max(round(info.frame_count * (end - span.start) / info.duration), 1)


def _along(option: str, texts: list[str], read: Callable[[list[str]], T]) -> T | Timeline[T]:
    """What several VALUEs say together; with times, VALUE@T or VALUE@T-T, what those of each time say together."""
    timed: dict[tuple[Fraction, Fraction], list[str]] = {}
    untimed: list[str] = []
    for text in texts:
        value, at, times = text.rpartition("@")
        # An @ in a path is no time.
        if not at or os.sep in times or times.endswith(".safetensors"):
            untimed.append(text)
            continue
        start, dash, end = times.partition("-")
        try:
            first, last = _seconds(start), _seconds(end if dash else start)
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"{option} {text}: {error}") from None
        timed.setdefault((first, last - first), []).append(value)
    if untimed and timed:
        raise UsageError(f"{option} {untimed[0]}: has no time, and others have; give all a time (@0:05) or none")
    if untimed:
        return read(untimed)
    return Timeline(tuple(Key(read(values), *when) for when, values in sorted(timed.items())))


def _blend(texts: list[str]) -> Blend:
    return tuple(_weighted(text) for text in texts)


def _strength(texts: list[str]) -> float:
    if len(texts) > 1:
        raise UsageError(f"--strength {' and '.join(texts)}: only one at a time")
    try:
        return float(texts[0])
    except ValueError:
        raise UsageError(f"--strength {texts[0]}: is not a number") from None


def _region(text: str) -> Region:
    """The region in NAME=FILE."""
    name, _, mask = text.partition("=")
    if not name or not mask:
        raise UsageError(f"--region {text}: write a style and its mask, NAME=FILE")
    return Region(((name, 1.0),), mask)


def _weighted(text: str) -> tuple[str, float]:
    """Split NAME or NAME:WEIGHT; a colon in a path is not a weight."""
    found = re.fullmatch(r"(.+):([0-9.]+)", text)
    if found is None:
        return text, 1.0
    try:
        return found[1], float(found[2])
    except ValueError:
        raise UsageError(f"{text}: the weight after the colon is not a number") from None


def _seconds(text: str) -> Fraction:
    """Exact seconds from "12.5", "1:02" or "1:02:03.5"."""
    found = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time: write seconds, m:ss or h:mm:ss")
    return int(found[1] or 0) * 3600 + int(found[2] or 0) * 60 + Fraction(found[3])


def _default_output(source: str, styles: tuple[str, ...]) -> str:
    """Beside the input, in a container of the same kind where that makes sense."""
    path = Path(source)
    names = "+".join(Path(name).stem for name in styles)
    if path.is_dir() or "%" in path.name:
        return str(path.with_name(f"{path.name.partition('%')[0].rstrip('_-.') or path.parent.name}-{names}.mp4"))
    kept = {".mkv", ".mov", ".webm", ".gif", ".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".mp4"}
    suffix = path.suffix.lower() if path.suffix.lower() in kept else ".mp4"
    return str(path.with_name(f"{path.stem}-{names}{suffix}"))
