"""Paint a film, a GIF, a picture or an image sequence, and keep its sound, timing and colours."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from videostyle.cli import events
from videostyle.cli.options import (
    add_settings,
    check_reports,
    read_plan,
    render_with_progress,
    setting_names,
    warn,
)
from videostyle.cli.pipes import add_pipe_options, read_input_format, standard_input, standard_output
from videostyle.cli.terminal import print_path
from videostyle.errors import UsageError
from videostyle.files import PLACEHOLDER, make_folder
from videostyle.partial_files import reserve_output
from videostyle.plan import RenderPlan
from videostyle.style import Style
from videostyle.text import sanitize_line

if TYPE_CHECKING:
    from videostyle.io import InputFormat
    from videostyle.report import RenderReport

EXAMPLES = """examples:
  videostyle stylize film.mp4 --style great-wave
  videostyle stylize film.mp4 -o short.mp4 --style udnie --strength 0.7 --start 1:20 --end 1:35 --size 360
  videostyle stylize film.mp4 -o blend.mov --style great-wave:2 --style scream --codec prores
  ffmpeg -i film.mp4 -c copy -f nut - | videostyle stylize - -o - --style udnie | ffmpeg -i - painted.mp4
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; their defaults are those of the plan."""
    parser.add_argument(
        "input",
        metavar="INPUT",
        help="film, GIF, picture, image sequence such as shots/%%05d.png, or - for a film from standard input",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUTPUT",
        help="the file to write, a folder, made if it does not exist, or - for standard output; default: INPUT's name "
        "with the style's, beside INPUT",
    )
    add_pipe_options(parser)
    add_settings(parser, setting_names())
    parser.add_argument(
        "--report", metavar="FILE.json", type=Path, help="write the resolved settings and the times as JSON"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the output and the settings, and write nothing")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no summary; warnings still")


def run(args: argparse.Namespace) -> int:
    """Render the film."""
    input_format = read_input_format(args)
    plan = read_plan(args, args.input, args.output or "")
    if args.style is None and plan.style.is_none:
        raise UsageError("give --style; `videostyle styles` lists them")
    into = args.output if args.output and (args.output.endswith(os.sep) or os.path.isdir(args.output)) else None
    if args.format is not None and args.output != "-":
        why = "--format is for standard output, -o -; for a file"
        raise UsageError(f"{why} write an --output that ends in .mkv, .mov, .webm...")
    if args.dry_run and "-" in (args.input, args.output):
        raise UsageError("--dry-run is for files: what comes through a pipe can be read only once")
    if args.input == "-" and (into is not None or not args.output):
        raise UsageError("standard input has no name: give -o and the name of a file, or -o - for standard output")
    if into is not None or not args.output:
        plan = replace(plan, output=_default_output(args.input, plan.style, into))
    check_reports([args.report], overwrite=args.overwrite, sources=plan.files, outputs=[plan.output])
    if args.dry_run:
        print(_dry_run(plan))
        return 0
    if into is not None:
        make_folder(into)
    with reserve_output(args.report, overwrite=args.overwrite, sources=plan.files) as write_report:
        if "-" in (plan.source, plan.output):
            report = _render_piped(plan, args.format, input_format, quiet=args.quiet)
        else:
            report = render_with_progress(plan, quiet=args.quiet)
        warn(report.warnings)
        write_report(json.dumps(report.to_json(), indent=2) + "\n")
    if not args.quiet:
        flow = f", flow {report.flow}" if report.flow != "none" else ""
        count = "1 picture" if report.frames == 1 else f"{report.frames} frames, {report.fps:.1f} frames/s"
        print(
            f"{sanitize_line(report.output)}: {count} in {report.seconds:.1f} s "
            f"({report.engine or 'nothing painted'} on {report.device}{flow})",
            file=sys.stderr,
        )
    more = {"frames": report.frames, "fps": round(report.fps, 3), "seconds": round(report.seconds, 3)}
    if plan.output == "-":
        events.tell("result", output="-", **more)
    else:
        print_path(report.output, **more)
    return 0


def _render_piped(
    plan: RenderPlan, format: str | None, input_format: InputFormat | None, *, quiet: bool
) -> RenderReport:
    """Render from standard input, to standard output, or both."""
    from videostyle.io import PipeInput, PipeOutput, open_sink, open_source
    from videostyle.pipeline import fit

    with ExitStack() as stack:
        output: str | PipeOutput = plan.output
        if plan.output == "-":
            output = PipeOutput(stack.enter_context(standard_output()), format or "nut")
        pipe = PipeInput(standard_input(), format=input_format) if plan.source == "-" else None
        source = open_source(pipe or plan.source)
        size = fit(plan.size, source.info.width, source.info.height)
        streams = pipe or plan.source
        sink = open_sink(output, source.info, plan.encode, plan.span, size=size, copy_from=streams, sources=plan.files)
        plan = replace(plan, source=pipe.name if pipe else plan.source, output=str(output))
        return render_with_progress(plan, quiet=quiet, source=source, sink=sink)


def _default_output(source: str, style: Style, folder: str | None) -> str:
    from videostyle.io.names import output_name

    path = Path(source).with_name(output_name(source, style.label))
    return str(path if folder is None else Path(folder) / path.name)


def _dry_run(plan: RenderPlan) -> str:
    """Describe a render in lines; raise the errors that it would raise before its first frame."""
    from videostyle.files import check_output
    from videostyle.io import open_source
    from videostyle.pipeline import fit
    from videostyle.step import resolve
    from videostyle.web.command import arguments

    with open_source(plan.source) as video:
        info, plan = video.info, resolve(plan, live=False)
        # A folder that does not exist yet has no file in the way.
        if Path(plan.output).parent.exists() and not PLACEHOLDER.search(plan.output):
            check_output(plan.output, overwrite=plan.encode.overwrite, sources=plan.files)
        frames = info.frames_in(plan.span)
        wide, tall = fit(plan.size, info.width, info.height)
    lines = [
        f"reads            {sanitize_line(plan.source)}, {info.width}x{info.height}",
        f"writes           {sanitize_line(plan.output)}, {wide}x{tall}"
        + (f", about {frames} frames" if frames else ""),
    ]
    for word in arguments(plan)[3:]:
        if word.startswith("--"):
            lines.append(f"{word:16}")
        else:
            lines[-1] += f" {sanitize_line(word)}"
    return "\n".join(line.rstrip() for line in lines)
