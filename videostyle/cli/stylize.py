"""Paint a film, a GIF, a picture or an image sequence, and keep its sound, timing and colours."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from videostyle.cli.options import (
    add_encoding,
    add_flicker,
    add_look,
    add_machine,
    add_span,
    read_look,
    read_plan,
    render_with_progress,
)
from videostyle.errors import SinkError, UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; their defaults are those of the plan."""
    parser.add_argument("input", metavar="INPUT", help="film, GIF, picture, or image sequence such as shots/%%05d.png")
    parser.add_argument("-o", "--output", metavar="OUTPUT", help="default: INPUT's name with the style's, as .mp4")
    add_look(parser)
    add_span(parser)
    add_flicker(parser)
    add_machine(parser)
    add_encoding(parser)
    parser.add_argument("--report", metavar="FILE.json", type=Path, help="write what was decided and how long it took")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no summary; warnings still")


def run(args: argparse.Namespace) -> int:
    """Paint as asked."""
    style = read_look(args)
    plan = read_plan(args, args.input, args.output or _default_output(args.input, style.names), style)
    if args.report is not None and not args.report.absolute().parent.is_dir():
        raise UsageError(f"{args.report}: the folder for the report does not exist")
    report = render_with_progress(plan, quiet=args.quiet)
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


def _default_output(source: str, styles: tuple[str, ...]) -> str:
    """Beside the input, in a container of the same kind where that makes sense."""
    path = Path(source)
    names = "+".join(Path(name).stem for name in styles)
    if path.is_dir() or "%" in path.name:
        return str(path.with_name(f"{path.name.partition('%')[0].rstrip('_-.') or path.parent.name}-{names}.mp4"))
    kept = {".mkv", ".mov", ".webm", ".gif", ".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".mp4"}
    suffix = path.suffix.lower() if path.suffix.lower() in kept else ".mp4"
    return str(path.with_name(f"{path.stem}-{names}{suffix}"))
