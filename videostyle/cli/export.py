"""Export a style network to a file that other programs paint with: ONNX, or OpenVINO's IR."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from videostyle.cli.options import read_blend
from videostyle.cli.terminal import print_path
from videostyle.text import sanitize_line

EXAMPLES = """examples:
  videostyle export great-wave -o wave.onnx
  videostyle export udnie:2 scream -o blend.onnx --no-defaults    for onnxruntime-web
  videostyle export great-wave --network fine -o fine.xml         with its weights in fine.bin

One file paints every style of its network; docs/guide/export.md shows how."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "style",
        metavar="STYLE[:WEIGHT]",
        nargs="+",
        help="the default style: a name from `videostyle styles`, a style file or a picture; several are blended",
    )
    parser.add_argument(
        "-o", "--output", metavar="OUTPUT", required=True, type=Path, help="the file to write, .onnx or .xml"
    )
    parser.add_argument("--network", metavar="NAME", default="fast", help="the style network; default: %(default)s")
    parser.add_argument(
        "--no-defaults",
        action="store_true",
        help="let the caller give every input: for runtimes that cannot override default values, as onnxruntime-web",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the files to be written if they exist")
    parser.add_argument("-q", "--quiet", action="store_true", help="no summary")


def run(args: argparse.Namespace) -> int:
    """Export the network with this style as its default."""
    from videostyle.export import export_style

    report = export_style(
        read_blend(args.style),
        args.output,
        network=args.network,
        defaults=not args.no_defaults,
        overwrite=args.overwrite,
    )
    if not args.quiet:
        print(
            f"{sanitize_line(report.output)}: {report.format}, {report.bytes / 1e6:.1f} MB, network {report.network}, "
            f"codes of {len(report.styles)} styles",
            file=sys.stderr,
        )
    print_path(report.output)
    return 0
