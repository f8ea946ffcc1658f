"""Search weights of the losses for your paintings, in many short trainings; an interrupted search is resumed."""

from __future__ import annotations

import argparse
from pathlib import Path

from videostyle.cli.terminal import print_path, shown_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("config", metavar="CONFIG.toml", type=Path, help="as for train; see docs/guide/train.md")
    parser.add_argument("--trials", metavar="N", type=int, default=30, help="number of trainings; default: %(default)s")
    parser.add_argument("--steps", metavar="N", type=int, default=300, help="steps of each; default: %(default)s")
    parser.add_argument(
        "--within",
        metavar="SHARE",
        type=float,
        default=0.1,
        help="the best has the least flicker of those whose style and content distances are at most this share above "
        "those of the file's own weights; default: %(default)s",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no table; print only warnings and the file")


def run(args: argparse.Namespace) -> int:
    """Search, and print the best weights."""
    from videostyle.train.config import read_config, read_ranges
    from videostyle.train.tune import RANGES, tune

    config, ranges = read_config(args.config), {**RANGES, **read_ranges(args.config)}
    with shown_log(quiet=args.quiet):
        found = tune(config, trials=args.trials, steps=args.steps, ranges=ranges, within=args.within)
    if not args.quiet:
        print(found.table, end="")
    print_path(found.best)
    return 0
