"""Paint one picture after one or more paintings by optimising its pixels: slow, sharp, without learning a style."""

from __future__ import annotations

import argparse
import io
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from videostyle.cli.options import check_reports, read_pair, read_weighted, warn
from videostyle.cli.progress import ProgressBar
from videostyle.cli.terminal import print_path
from videostyle.errors import MissingDependencyError, UsageError
from videostyle.files import check_sequence
from videostyle.optimize.plan import GatysOptions, PaintPlan, StyleImage
from videostyle.partial_files import reserve_output
from videostyle.progress import Progress
from videostyle.text import sanitize_line

if TYPE_CHECKING:
    from videostyle.optimize.stills import PaintReport, Step


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; their defaults are those of the plan."""
    parser.add_argument("content", metavar="CONTENT", help="the picture to paint")
    add_style_images(parser)
    parser.add_argument("-o", "--output", metavar="OUTPUT", required=True, help="a picture's name, .png for example")
    parser.add_argument("--size", metavar="N", type=int, help="longer side in pixels; default: the picture's own")
    parser.add_argument(
        "--start",
        metavar="content|noise|FILE",
        default=PaintPlan.start,
        help="initial picture; default: %(default)s",
    )
    parser.add_argument(
        "--region",
        metavar="PAINTING=MASK",
        action="append",
        default=[],
        help="use another painting where the picture MASK is white",
    )
    parser.add_argument(
        "--part",
        metavar="PAINTING=MASK",
        action="append",
        default=[],
        help="use only the part of PAINTING where MASK is white",
    )
    add_gatys(parser)
    parser.add_argument("--device", metavar="auto|cpu|cuda[:N]", default=PaintPlan.device)
    parser.add_argument("--save-every", metavar="N", type=int, help="write every Nth step beside OUTPUT")
    parser.add_argument("--curve", metavar="FILE.png", type=Path, help="draw the loss over the steps")
    parser.add_argument("-y", "--overwrite", action="store_true", help="replace the files to be written if they exist")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no summary; warnings still")


def add_style_images(parser: argparse.ArgumentParser) -> None:
    """Declare the style images."""
    parser.add_argument(
        "style", metavar="PAINTING[:WEIGHT]", nargs="+", help="pictures to paint after, mixed by their weights"
    )


def add_gatys(parser: argparse.ArgumentParser) -> None:
    """Declare the options of optimisation; `read_gatys` reads them."""
    default = GatysOptions()
    how = parser.add_argument_group("the optimiser")
    how.add_argument(
        "--steps", metavar="N", type=int, default=default.steps, help="steps at full size; default: %(default)s"
    )
    how.add_argument("--strength", metavar="0..1", type=float, default=default.strength, help="default: %(default)s")
    how.add_argument(
        "--keep-colors",
        choices=["luminance", "match"],
        nargs="?",
        const="luminance",
        default="no",
        help="luminance: keep the picture's hues; match: give the painting the picture's colours beforehand",
    )
    how.add_argument(
        "--brush", metavar="0.1..4", type=float, default=default.brush, help="size of the marks; default: %(default)s"
    )
    how.add_argument("--method", choices=["lbfgs", "adam"], default=default.method, help="default: %(default)s")
    how.add_argument(
        "--lr", metavar="R", type=float, default=default.lr, help="learning rate of Adam; default: %(default)s"
    )
    how.add_argument(
        "--loss-network",
        metavar="NAME",
        default=default.loss_network,
        help="network of the losses: vgg19-small comes with videostyle, vgg19 is downloaded by torchvision; "
        "default: %(default)s",
    )
    how.add_argument(
        "--loss-network-weights", metavar="FILE", type=Path, help="weights of the loss network, from a file"
    )
    how.add_argument("--pooling", choices=["max", "average"], default=default.pooling, help="default: %(default)s")
    how.add_argument(
        "--style-layers",
        metavar="LAYER:W,...",
        type=_layers,
        default=default.style_layers,
        help=f"default: {_written(default.style_layers)}",
    )
    how.add_argument(
        "--content-layers",
        metavar="LAYER:W,...",
        type=_layers,
        default=default.content_layers,
        help=f"default: {_written(default.content_layers)}",
    )
    how.add_argument(
        "--smooth",
        metavar="W",
        type=float,
        default=default.total_variation,
        help="weight of the total variation; default: %(default)s",
    )
    how.add_argument(
        "--tile", metavar="N", type=int, help="work in tiles of N pixels; default: only if memory is short"
    )
    how.add_argument("--seed", metavar="N", type=int, default=default.seed)


def read_gatys(args: argparse.Namespace) -> GatysOptions:
    """Read the options that `add_gatys` declares; raise UsageError."""
    return GatysOptions(
        loss_network=args.loss_network,
        loss_network_weights=args.loss_network_weights,
        pooling=args.pooling,
        style_layers=args.style_layers,
        content_layers=args.content_layers,
        total_variation=args.smooth,
        strength=args.strength,
        keep_colors=args.keep_colors,
        brush=args.brush,
        method=args.method,
        steps=args.steps,
        lr=args.lr,
        tile=args.tile,
        seed=args.seed,
    )


def run(args: argparse.Namespace) -> int:
    """Stylize the picture."""
    style_images = [StyleImage(Path(name), weight) for name, weight in map(read_weighted, args.style)]
    style_images += [
        StyleImage(Path(name), region=mask) for name, mask in (_pair("--region", one) for one in args.region)
    ]
    for name, mask in (_pair("--part", one) for one in args.part):
        if not any(one.image == Path(name) for one in style_images):
            raise UsageError(f"--part {name}={mask}: {name} is not one of the paintings")
        style_images = [replace(one, part=Path(mask)) if one.image == Path(name) else one for one in style_images]
    if args.save_every is not None and args.save_every < 1:
        raise UsageError(f"--save-every must be at least 1, got {args.save_every}")
    plan = PaintPlan(
        args.content,
        args.output,
        tuple(style_images),
        args.size,
        args.start,
        read_gatys(args),
        args.device,
        args.overwrite,
    )
    check_reports([args.curve], overwrite=args.overwrite, sources=plan.files, outputs=[plan.output])
    with reserve_output(args.curve, overwrite=args.overwrite, sources=plan.files) as write_curve:
        report = _paint(plan, args.save_every, args.quiet)
        warn(report.warnings)
        if args.curve is not None:
            write_curve(drawn_curve(report, args.curve))
    if not args.quiet:
        print(
            f"{sanitize_line(report.output)}: {report.size[0]}x{report.size[1]}, "
            f"{report.steps} steps in {report.seconds:.0f} s, loss {report.terms.total:.4f}",
            file=sys.stderr,
        )
    print_path(report.output)
    return 0


def _paint(plan: PaintPlan, save_every: int | None, quiet: bool) -> PaintReport:
    from videostyle.io.images import write_picture
    from videostyle.optimize.stills import paint_picture

    path = Path(plan.output)
    if save_every is not None:
        steps = path.with_name(f"{path.stem}-%04d{path.suffix}")
        check_sequence(steps, overwrite=plan.overwrite, sources=plan.files)

    def watch(progress: Progress) -> None:
        bar(progress)
        step: Step = progress.latest
        if save_every is not None and step.number % save_every == 0:
            saved = path.with_name(f"{path.stem}-{step.number:04d}{path.suffix}")
            write_picture(saved, step.picture[0], overwrite=plan.overwrite)

    with ProgressBar(Path(plan.content).name, unit="", quiet=quiet) as bar:
        return paint_picture(plan, watch)


def drawn_curve(report: PaintReport, picture: Path) -> bytes:
    """Draw the losses over the steps, logarithmic, with a line at the start of each scale; return the picture file."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("--curve needs matplotlib: pip install matplotlib") from error
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    steps = range(1, len(report.curve) + 1)
    for name in ("total", "style", "content"):
        axes.plot(steps, [getattr(terms, name) for _, terms in report.curve], label=name)
    for step, ((before, _), (now, _)) in enumerate(zip(report.curve, report.curve[1:], strict=False), 2):
        if now != before:
            axes.axvline(step, color="gray", linewidth=0.7)
    axes.set(xlabel="step", ylabel="loss", yscale="log", title="grey lines: the next scale begins")
    axes.grid(alpha=0.3)
    axes.legend()
    data = io.BytesIO()
    try:
        figure.savefig(data, dpi=100, format=picture.suffix.removeprefix(".") or "png")
    except ValueError as error:
        raise UsageError(f"{picture}: {error}") from error
    return data.getvalue()


def _pair(option: str, text: str) -> tuple[str, str]:
    return read_pair(text, f"{option} {text}: write a painting and its mask, PAINTING=MASK")


def _layers(text: str) -> tuple[tuple[str, float], ...]:
    """Read layers and weights from "relu1_1:1,relu2_1:0.5"; a missing weight is 1."""
    layers = []
    for part in text.split(","):
        found = re.fullmatch(r"(relu[1-5]_[1-4])(?::([0-9.]+))?", part.strip())
        if found is None:
            raise argparse.ArgumentTypeError(f"{part!r} is not a layer and its weight: write relu4_2 or relu4_2:0.5")
        layers.append((found[1], float(found[2] or 1)))
    return tuple(layers)


def _written(layers: tuple[tuple[str, float], ...]) -> str:
    return ",".join(f"{name}:{weight:g}" for name, weight in layers)
