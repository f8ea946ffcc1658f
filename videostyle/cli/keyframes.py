"""Paint keyframes of a film by optimisation or by hand, and propagate them along its motion through every shot."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from videostyle.cli.options import add_settings, read_plan, read_weighted, setting_names, warn
from videostyle.cli.paint import add_gatys, read_gatys
from videostyle.cli.progress import ProgressBar
from videostyle.cli.terminal import print_path
from videostyle.errors import UsageError
from videostyle.optimize.plan import KeyframePlan, StyleImage
from videostyle.text import sanitize_line

# Optimisation has settings of its own in place of a style's.
_SETTINGS = setting_names("the film", "flicker", "the machine", "the output", without=["seed"])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; their defaults are those of the plan."""
    parser.add_argument("film", metavar="FILM")
    parser.add_argument("-o", "--output", metavar="OUTPUT", help="the painted film")
    parser.add_argument(
        "--style",
        metavar="PAINTING[:WEIGHT]",
        action="append",
        default=[],
        help="a picture to paint the keyframes after; several are mixed by their weights",
    )
    parser.add_argument(
        "--every",
        metavar="N|auto",
        default="auto",
        help="place a keyframe every N frames, or where much of the picture is new",
    )
    parser.add_argument("--export", metavar="FOLDER", type=Path, help="only write the keyframes there, to paint over")
    parser.add_argument("--keys", metavar="FOLDER", type=Path, help="the folder of the keyframes, painted by hand")
    parser.add_argument(
        "--propagate",
        choices=["warp", "learned", "both"],
        default=KeyframePlan.propagate,
        help="propagate them along the motion, by a network tuned to them, or along the motion and, where it fails, by "
        "the network; default: %(default)s",
    )
    parser.add_argument(
        "--tune-steps",
        metavar="N",
        type=int,
        default=KeyframePlan.tune_steps,
        help="steps of tuning the network; default: %(default)s",
    )
    add_gatys(parser)
    add_settings(parser, _SETTINGS)
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no summary; warnings still")


def run(args: argparse.Namespace) -> int:
    """Export the keyframes, or paint and propagate them."""
    from videostyle.optimize.keyframes import export_keyframes, paint_keyframes

    if args.every != "auto" and not (args.every.isdigit() and int(args.every)):
        raise UsageError(f"--every must be auto or a number of frames, got {args.every}")
    every = None if args.every == "auto" else int(args.every)
    if args.export is None and args.output is None:
        raise UsageError("name the painted film with -o, or a folder for the keyframes with --export")
    film = read_plan(args, args.film, args.output or "", _SETTINGS)
    if args.export is not None:
        with ProgressBar(quiet=args.quiet) as bar:
            files = export_keyframes(film, args.export, every, bar)
        if not args.quiet:
            print(
                f"{len(files)} keyframes in {sanitize_line(args.export)}; paint over them, then: --keys",
                file=sys.stderr,
            )
        print_path(args.export)
        return 0
    plan = KeyframePlan(
        film,
        tuple(StyleImage(Path(name), weight) for name, weight in map(read_weighted, args.style)),
        read_gatys(args),
        every,
        args.keys,
        args.propagate,
        args.tune_steps,
    )
    with ProgressBar(quiet=args.quiet) as bar:
        report = paint_keyframes(plan, bar)
    warn(report.warnings)
    if not args.quiet:
        print(
            f"{sanitize_line(report.render.output)}: {report.render.frames} frames from {len(report.keys)} keyframes, "
            f"which are in {sanitize_line(report.folder)}",
            file=sys.stderr,
        )
    print_path(report.render.output)
    return 0
