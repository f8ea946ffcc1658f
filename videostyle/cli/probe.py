"""Show the properties of a file: size, frame rate, colours, rotation, and every stream."""

from __future__ import annotations

import argparse
import json

from videostyle.cli.pipes import add_input_format, read_input_format, standard_input


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", metavar="FILE", help="a film or picture, or - for a film from standard input")
    add_input_format(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def run(args: argparse.Namespace) -> int:
    """Print the properties of the file."""
    from videostyle.io import PipeInput, open_source, probe
    from videostyle.io.info import describe, to_json

    input_format = read_input_format(args)
    if args.file == "-":
        with open_source(PipeInput(standard_input(), format=input_format)) as source:
            info = source.info
    else:
        info = probe(args.file)
    print(json.dumps(to_json(info), indent=2) if args.json else describe(info))
    return 0
