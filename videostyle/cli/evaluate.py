"""Measure a painted film: its flicker beside its source, the cost of stabilising, and the worst frames."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from contextlib import ExitStack
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videostyle.cli.options import check_reports, seconds, warn
from videostyle.cli.progress import ProgressBar
from videostyle.errors import SourceError, UsageError
from videostyle.metrics.options import EvaluateOptions
from videostyle.partial_files import reserve_output
from videostyle.plan import FlowOptions, RenderPlan, StabilizeOptions
from videostyle.plugins import available
from videostyle.style import Style
from videostyle.timeline import Span

if TYPE_CHECKING:
    from videostyle.metrics.lpips import Lpips
    from videostyle.metrics.probes import Probes
    from videostyle.metrics.scores import Evaluation
    from videostyle.types import FlowEstimator, Frame, Source

# Width in pixels of the pictures for the probes: temporal behaviour hardly depends on it.
_PROBE_WIDTH = 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("source", metavar="SOURCE", help="the film before it was painted")
    parser.add_argument("painted", metavar="PAINTED", help="the painted film")
    parser.add_argument(
        "--reference",
        metavar="PER_FRAME",
        help="the same film with every frame painted alone (stylize --stabilize 0): shows the cost of stabilising",
    )
    parser.add_argument(
        "--start",
        metavar="T",
        type=seconds,
        default=Fraction(0),
        help="start of the painted part of SOURCE; seconds or h:mm:ss.s",
    )
    parser.add_argument(
        "--end", metavar="T", type=seconds, help="end of the painted part of SOURCE; seconds or h:mm:ss.s"
    )
    parser.add_argument("--frames", metavar="N", type=int, help="compare at most this many frames")

    how = parser.add_argument_group("the measurement")
    how.add_argument(
        "--flow",
        choices=[name for name in available("videostyle.flow") if name != "none"],
        default="dis",
        help="evaluation flow, which estimates the film's motion; choose another than for stylize. dis is finer "
        "here than there; "
        "default: %(default)s",
    )
    how.add_argument("--flow-weights", metavar="FILE", type=Path, help="RAFT weights, if torchvision has none")
    how.add_argument(
        "--download", action="store_true", help="let torchvision download missing weights of RAFT or AlexNet"
    )
    how.add_argument(
        "--exact-flow", metavar="FOLDER", type=Path, help="true motion, as scripts/render_sample.py --flow writes it"
    )
    how.add_argument(
        "--gap",
        metavar="N",
        type=int,
        action="append",
        help="compare frames this far apart; several may be given; default: "
        + " and ".join(str(gap) for gap in EvaluateOptions.gaps),
    )
    how.add_argument(
        "--perceptual-every",
        metavar="N",
        type=int,
        default=EvaluateOptions.perceptual_every,
        help="compute style and content distances, and LPIPS, for every Nth frame; 0 for none; default: %(default)s",
    )
    how.add_argument("--lpips", action="store_true", help="warped LPIPS, too; needs videostyle[lpips]")
    how.add_argument(
        "--lpips-weights",
        metavar="FILE",
        type=Path,
        help="torchvision's AlexNet, if torch has not downloaded it already",
    )

    painter = parser.add_argument_group("the style network itself, on films made from two frames of SOURCE")
    painter.add_argument(
        "--style", metavar="NAME", help="test this style with noise, a change of light, a still film, and a cut"
    )
    painter.add_argument(
        "--still-frames", metavar="N", type=int, default=300, help="length of the still film; default: %(default)s"
    )
    painter.add_argument("--network", metavar="NAME", default=Style.network, help="default: %(default)s")
    painter.add_argument("--statistics", choices=["frame", "shot"], default=Style.statistics)
    painter.add_argument("--stabilize", metavar="0..1", type=float, default=StabilizeOptions.amount)
    painter.add_argument(
        "--engine",
        choices=["auto", *available("videostyle.engines")],
        default=RenderPlan.engine,
        help="runtime of the style network",
    )

    out = parser.add_argument_group("the output")
    out.add_argument(
        "--json", metavar="FILE|-", nargs="?", const="-", help="everything as JSON, in a file or instead of the table"
    )
    out.add_argument("--html", metavar="FILE", type=Path, help="a page with curves, the worst frames and explanations")
    out.add_argument("-y", "--overwrite", action="store_true", help="replace the files to be written if they exist")
    out.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no table")


def run(args: argparse.Namespace) -> int:
    """Evaluate, and print or write the results."""
    table = Path(args.json) if args.json not in (None, "-") else None
    read = [args.source, args.painted, args.reference, args.style, args.flow_weights, args.lpips_weights]
    check_reports([args.html, table], overwrite=args.overwrite, sources=read)
    if args.frames is not None and args.frames < 1:
        raise UsageError(f"--frames must be at least 1, got {args.frames}")
    if args.still_frames < 1:
        raise UsageError(f"--still-frames must be at least 1, got {args.still_frames}")
    with (
        reserve_output(args.html, overwrite=args.overwrite, sources=read) as write_page,
        reserve_output(table, overwrite=args.overwrite, sources=read) as write_table,
    ):
        evaluation, warnings = _evaluate(args)
        probes = _probe(args) if args.style else None
        warn(warnings)
        if args.html is not None:
            from videostyle.metrics.report import write_html

            write_page(write_html(evaluation, Path(args.painted).name, probes))
        result: dict[str, Any] = {**evaluation.to_json(), "probes": probes.to_json() if probes else None}
        write_table(json.dumps(result, indent=2) + "\n")
    if args.json == "-":
        print(json.dumps(result, indent=2))
    if args.json != "-" and not args.quiet:
        print(_table(evaluation, probes))
    return 0


def _evaluate(args: argparse.Namespace) -> tuple[Evaluation, list[str]]:
    """Return the evaluation, and warnings about the films."""
    from videostyle import weights
    from videostyle.io import open_source
    from videostyle.metrics.appearance import FeatureExtractor
    from videostyle.metrics.evaluation import evaluate
    from videostyle.metrics.exact import ExactFlowFolder
    from videostyle.threads import prefetch

    options = EvaluateOptions(
        tuple(dict.fromkeys(args.gap)) if args.gap else EvaluateOptions.gaps, args.perceptual_every
    )
    if args.exact_flow is not None and args.start:
        raise UsageError("--exact-flow counts frames from the film's first: leave out --start")
    exact = ExactFlowFolder(args.exact_flow) if args.exact_flow is not None else None
    extractor = FeatureExtractor(weights.load_loss_network("vgg19-small")) if options.perceptual_every else None
    lpips = _lpips(args) if args.lpips or args.lpips_weights is not None else None
    # The output of a part of a film begins at its own first frame.
    spans = [Span(args.start, args.end), Span(), Span()]
    paths = [path for path in (args.source, args.painted, args.reference) if path is not None]
    with ExitStack() as stack:
        opened: list[Source] = [open_source(path) for path in paths]
        sources = [stack.enter_context(source) for source in opened]
        flow, flow_name = _flow(args, max(sources[1].info.width, sources[1].info.height))
        films: list[Iterable[Frame]] = [
            stack.enter_context(prefetch(islice(source.frames(span), args.frames), 2))
            for source, span in zip(sources, spans, strict=False)
        ]
        total = args.frames or sources[1].info.frame_count
        bar = stack.enter_context(ProgressBar(unit="frames", total=total, quiet=args.quiet))
        evaluation = evaluate(
            films[0],
            films[1],
            films[2] if args.reference is not None else None,
            options,
            flow=flow,
            flow_name=flow_name,
            exact=exact,
            extractor=extractor,
            lpips=lpips,
            on_progress=bar,
        )
        return evaluation, [warning for source in sources for warning in source.warnings]


def _lpips(args: argparse.Namespace) -> Lpips:
    # Imports torchvision, which is needed for nothing else here.
    from videostyle.metrics.lpips import Lpips

    return Lpips(args.lpips_weights, args.download)


def _flow(args: argparse.Namespace, longest_side: int) -> tuple[FlowEstimator, str]:
    """Return the evaluation flow, and its name."""
    from videostyle.flow import load_flow
    from videostyle.metrics.evaluation import EVALUATION_FLOW
    from videostyle.metrics.temporal import EvaluationFlow

    if args.flow == "dis":
        return EvaluationFlow(), EVALUATION_FLOW
    options = FlowOptions(args.flow, args.flow_weights, args.download, longest_side)
    return load_flow(options, "cpu"), f"{args.flow.upper()} at full size"


def _probe(args: argparse.Namespace) -> Probes:
    from videostyle.metrics.probes import probe
    from videostyle.painter import paint_frames

    style = Style(((args.style, 1.0),), network=args.network, statistics=args.statistics)
    stabilize = StabilizeOptions(args.stabilize)

    def paint(frames: Iterable[Frame]) -> Iterable[Frame]:
        return paint_frames(frames, style, stabilize=stabilize, engine=args.engine)

    return probe(paint, *_two_pictures(args.source), args.still_frames)


def _two_pictures(path: str) -> tuple[Any, Any]:
    """Read the first frame of a film and the one in the middle, (1, 3, h, w) in 0..1."""
    from videostyle.io import open_source
    from videostyle.ops.filters import shrink
    from videostyle.ops.pixels import to_float

    pictures = []
    for half in (False, True):
        with open_source(path) as source:
            start = (source.info.duration or Fraction(0)) / 2 if half else Fraction(0)
            frame = next(iter(source.frames(Span(start))), None)
            if frame is None:
                raise SourceError(f"{path}: no frame at {float(start):g} s to try the style on")
            picture = to_float(frame)
            height, width = picture.shape[2:]
            wide = min(width, _PROBE_WIDTH)
            pictures.append(shrink(picture, (max(round(height * wide / width), 1), wide)))
    return pictures[0], pictures[1]


def _table(evaluation: Evaluation, probes: Probes | None) -> str:
    from videostyle.metrics.report import findings, rows

    versions = list(evaluation.scores)
    found = rows(evaluation)
    width = max(len(name) for name, _, _ in found)
    lines = [" " * width + "".join(f"{version:>11}" for version in versions)]
    for name, values, digits in found:
        cells = "".join(f"{format(values[one], digits) if one in values else '':>11}" for one in versions)
        lines.append(f"{name:{width}}{cells}".rstrip())
    return "\n".join([*lines, "", *findings(evaluation, probes), f"Motion found by {evaluation.flow_name}."])
