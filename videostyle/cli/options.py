"""Options that several commands share, and the values they read; the defaults are those of the plan."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from videostyle.cli.progress import frames_bar
from videostyle.errors import UsageError
from videostyle.files import check_distinct, check_output
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
    read_seconds,
)
from videostyle.text import plain

if TYPE_CHECKING:
    from videostyle.pipeline import RenderReport
from videostyle.types import Frame, Source

T = TypeVar("T")


def add_look(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Declare what is painted and how: read it with `read_look`."""
    look = parser.add_argument_group("the painting")
    look.add_argument(
        "--style",
        metavar="NAME[:WEIGHT][@T[-T]]",
        action="append",
        required=required,
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


def read_look(args: argparse.Namespace) -> Style:
    """The style that the options of `add_look` ask for; raises UsageError."""
    return Style(
        blend=read_along("--style", args.style, read_blend),
        strength=read_along("--strength", args.strength, read_strength) if args.strength else Style.strength,
        keep_colors=args.keep_colors,
        network=args.network,
        brush=args.brush,
        statistics=args.statistics,
        seed=args.seed,
        mask=args.mask,
        regions=tuple(read_region(text) for text in args.region),
        feather=args.mask_feather,
    )


def add_span(parser: argparse.ArgumentParser) -> None:
    """Declare the part of the film and the size: read the part with `read_span`."""
    part = parser.add_argument_group("the film")
    part.add_argument(
        "--size", metavar="WxH|SHORT", help="paint at this size: 640x360 to fit inside, or the short side"
    )
    part.add_argument("--start", metavar="T", type=seconds, default=Fraction(0), help="seconds or h:mm:ss.s")
    part.add_argument("--end", metavar="T", type=seconds, help="seconds or h:mm:ss.s")


def read_span(args: argparse.Namespace) -> Span:
    """The part that the options of `add_span` ask for; raises UsageError."""
    return Span(args.start, args.end)


def add_flicker(parser: argparse.ArgumentParser, *, seed: bool = True) -> None:
    """Declare how the painting is steadied: read it with `read_flow` and `read_stabilize`.

    Without `seed` where the command has a seed of its own.
    """
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
    if seed:
        steady.add_argument(
            "--seed",
            metavar="N",
            type=int,
            default=Style.seed,
            help="another number gives another take: strokes hang on noise that it chooses; default: %(default)s",
        )
    steady.add_argument(
        "--stabilize", metavar="0..1", type=float, help=f"default: {StabilizeOptions.amount}, unless --flow is none"
    )
    steady.add_argument(
        "--stabilize-mode",
        choices=["auto", "causal", "lookahead"],
        default=StabilizeOptions.mode,
        help="from the frames before, or also from those after: steadier, and slower; auto: lookahead for films",
    )


def read_flow(args: argparse.Namespace) -> FlowOptions:
    """The motion estimator that the options of `add_flicker` ask for."""
    return FlowOptions(args.flow, args.flow_weights, args.download)


def read_stabilize(args: argparse.Namespace) -> StabilizeOptions:
    """The stabiliser that the options of `add_flicker` ask for."""
    amount = StabilizeOptions.amount if args.stabilize is None else args.stabilize
    return StabilizeOptions(amount, args.stabilize_mode)


def contradictions(args: argparse.Namespace) -> Iterator[str]:
    """What the options of `add_flicker` ask for in vain."""
    if args.flow == "none" and args.stabilize:
        yield f"--flow none estimates no motion, so --stabilize {args.stabilize:g} steadies nothing"
    if args.stabilize_mode != "auto" and (args.flow == "none" or args.stabilize == 0):
        why = "--flow none" if args.flow == "none" else "--stabilize 0"
        yield f"{why} steadies nothing, so --stabilize-mode {args.stabilize_mode} has no effect"
    if args.flow not in ("auto", "raft", "raft-large") and args.flow_weights is not None:
        yield f"--flow {args.flow} has no weights, so --flow-weights {args.flow_weights} is not read"


def add_machine(parser: argparse.ArgumentParser, engine: str = "--engine") -> None:
    """Declare where and with what to compute; `engine` is the name of the option for what runs the network."""
    machine = parser.add_argument_group("the machine")
    machine.add_argument(engine, dest="engine", choices=["auto", "torch", "openvino"], default=RenderPlan.engine)
    machine.add_argument("--device", metavar="auto|cpu|cuda[:N]", default=RenderPlan.device)


def add_encoding(parser: argparse.ArgumentParser) -> None:
    """Declare how the output is written: read it with `read_encoding`."""
    out = parser.add_argument_group("the output")
    out.add_argument(
        "--codec", metavar="NAME", default=EncodeOptions.codec, help="h264, hevc, av1, vp9, prores, ffv1, gif..."
    )
    out.add_argument("--crf", metavar="N", type=int, help="quality: lower is better and larger")
    out.add_argument("--preset", metavar="P", help="the encoder's speed setting")
    out.add_argument("--pix-fmt", metavar="F", help="the encoder's pixel format, yuv420p10le for example")
    out.add_argument("--overwrite", action="store_true", help="replace the files to be written if they exist")


def read_encoding(args: argparse.Namespace) -> EncodeOptions:
    """The encoding that the options of `add_encoding` ask for."""
    return EncodeOptions(args.codec, args.crf, args.preset, args.pix_fmt, args.overwrite)


def read_plan(args: argparse.Namespace, source: str, output: str, style: Style) -> RenderPlan:
    """The plan that the options of `add_span`, `add_flicker`, `add_machine` and `add_encoding` ask for.

    Options that contradict each other are named in a line each.
    """
    warn(contradictions(args))
    return RenderPlan(
        source=source,
        output=output,
        style=style,
        flow=read_flow(args),
        stabilize=read_stabilize(args),
        encode=read_encoding(args),
        span=read_span(args),
        size=args.size,
        engine=args.engine,
        device=args.device,
    )


def render_with_progress(plan: RenderPlan, *, quiet: bool) -> RenderReport:
    """Render, and say how far it is, in frames."""
    from videostyle.pipeline import render

    bar = frames_bar(Path(plan.source).name, quiet=quiet)

    def start(video: Source, plan: RenderPlan) -> None:
        bar.total = expected_frames(video, plan.span)
        # The network loads before the first frame: that is not painting speed.
        bar.unpause()

    def step(frame: Frame) -> None:
        bar.update()

    with bar:
        return render(plan, on_start=start, on_frame=step)


def expected_frames(video: Source, span: Span) -> int | None:
    """Frames to come, as far as the container tells."""
    return video.info.frames_in(span)


def warn(lines: Iterable[str]) -> None:
    """Tell the user, whatever else is kept quiet."""
    for line in lines:
        print(f"videostyle: {plain(line)}", file=sys.stderr)


def check_reports(
    reports: Iterable[Path | None],
    *,
    overwrite: bool,
    sources: Iterable[str | Path | None] = (),
    outputs: Iterable[str | Path | None] = (),
) -> None:
    """Raise UsageError or SinkError where a report may not be written, which nobody wants to learn when all is painted.

    It may be none of the `sources`, none of the other `outputs`, and no existing file unless told to `overwrite`. Write
    it inside `files.reserved`.
    """
    sources, reports = list(sources), list(reports)
    check_distinct([*outputs, *reports])
    for report in reports:
        if report is not None:
            check_output(report, overwrite=overwrite, sources=sources, special=True)


def read_along(option: str, texts: list[str], read: Callable[[list[str]], T]) -> T | Timeline[T]:
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
            first, last = seconds(start), seconds(end if dash else start)
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"{option} {text}: {error}") from None
        timed.setdefault((first, last - first), []).append(value)
    if untimed and timed:
        raise UsageError(f"{option} {untimed[0]}: has no time, and others have; give all a time (@0:05) or none")
    if untimed:
        return read(untimed)
    return Timeline(tuple(Key(read(values), *when) for when, values in sorted(timed.items())))


def read_blend(texts: list[str]) -> Blend:
    """The blend of several NAME or NAME:WEIGHT."""
    return tuple(read_weighted(text) for text in texts)


def read_strength(texts: list[str]) -> float:
    """The one strength among them; raises UsageError where there are more."""
    if len(texts) > 1:
        raise UsageError(f"--strength {' and '.join(texts)}: only one at a time")
    try:
        return float(texts[0])
    except ValueError:
        raise UsageError(f"--strength {texts[0]}: is not a number") from None


def read_region(text: str) -> Region:
    """The region in NAME=FILE."""
    name, mask = read_pair(text, f"--region {text}: write a style and its mask, NAME=FILE")
    return Region(((name, 1.0),), mask)


def read_pair(text: str, otherwise: str) -> tuple[str, str]:
    """What is before the first "=" and what after it; raises UsageError, saying `otherwise`, where either is empty."""
    name, _, value = text.partition("=")
    if not name or not value:
        raise UsageError(otherwise)
    return name, value


def read_weighted(text: str) -> tuple[str, float]:
    """Split NAME or NAME:WEIGHT; a colon in a path is not a weight."""
    found = re.fullmatch(r"(.+):([0-9.]+)", text)
    if found is None:
        return text, 1.0
    try:
        return found[1], float(found[2])
    except ValueError:
        raise UsageError(f"{text}: the weight after the colon is not a number") from None


def seconds(text: str) -> Fraction:
    """Exact seconds from "12.5", "1:02", "1:02:03.5" or "1/24"."""
    try:
        return read_seconds(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
