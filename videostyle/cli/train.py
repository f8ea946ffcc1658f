"""Train a network on the paintings of a TOML file; an interrupted run is resumed."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

from videostyle.cli.progress import ProgressBar
from videostyle.cli.terminal import print_path, shown_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("config", metavar="CONFIG.toml", type=Path, help="see docs/guide/train.md")
    parser.add_argument("--steps", type=int, help="number of steps, instead of the file's")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only warnings and the folder")


def run(args: argparse.Namespace) -> int:
    """Train to the end of the configured steps."""
    from videostyle.train.config import read_config
    from videostyle.train.loop import train

    overrides = {} if args.steps is None else {"steps": args.steps}
    config = read_config(args.config, **overrides)
    first = os.environ.get("RANK", "0") == "0"  # the first of the processes that torchrun started
    with shown_log(level=logging.INFO if first else logging.CRITICAL, quiet=args.quiet), ProgressBar(quiet=True) as bar:
        folder = train(config, bar)
    if first:
        print_path(folder)
    return 0
