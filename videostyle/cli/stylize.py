"""Paint a film, a GIF, a picture or an image sequence, and keep its sound, timing and colours."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from videostyle.cli.options import (
    add_settings,
    check_reports,
    read_plan,
    render_with_progress,
    setting_names,
    warn,
)
from videostyle.cli.terminal import print_path
from videostyle.files import reserved
from videostyle.plan import Style
from videostyle.text import plain


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; their defaults are those of the plan."""
    parser.add_argument("input", metavar="INPUT", help="film, GIF, picture, or image sequence such as shots/%%05d.png")
    parser.add_argument("-o", "--output", metavar="OUTPUT", help="default: INPUT's name with the style's, as .mp4")
    add_settings(parser, setting_names(), required=["style"])
    parser.add_argument("--report", metavar="FILE.json", type=Path, help="write what was decided and how long it took")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no summary; warnings still")


def run(args: argparse.Namespace) -> int:
    """Paint as asked."""
    plan = read_plan(args, args.input, args.output or "")
    if not plan.output:
        plan = replace(plan, output=_beside(args.input, plan.style))
    check_reports([args.report], overwrite=args.overwrite, sources=plan.files, outputs=[plan.output])
    with reserved(args.report, overwrite=args.overwrite, sources=plan.files) as write_report:
        report = render_with_progress(plan, quiet=args.quiet)
        warn(report.warnings)
        write_report(json.dumps(report.to_json(), indent=2) + "\n")
    if not args.quiet:
        flow = f", flow {report.flow}" if report.flow != "none" else ""
        print(
            f"{plain(report.output)}: {report.frames} frames, {report.fps:.1f} frames/s "
            f"({report.engine or 'nothing painted'} on {report.device}{flow})",
            file=sys.stderr,
        )
    print_path(report.output)
    return 0


def _beside(source: str, style: Style) -> str:
    from videostyle.io.names import painted_name

    return str(Path(source).with_name(painted_name(source, style.label)))
