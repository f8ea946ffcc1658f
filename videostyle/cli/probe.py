"""Show the properties of a file: size, frame rate, colours, rotation, and every stream."""

from __future__ import annotations

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def run(args: argparse.Namespace) -> int:
    """Print the properties of the file."""
    from videostyle.io import probe
    from videostyle.io.info import describe, to_json

    info = probe(args.file)
    print(json.dumps(to_json(info), indent=2) if args.json else describe(info))
    return 0
