"""Paint many films, in several styles, on several workers; after a stop of any kind, the same command resumes."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from videostyle.batch.plan import BatchPlan
from videostyle.cli import events
from videostyle.cli.options import add_settings, read_along, read_blend, read_plan, setting_names, warn
from videostyle.cli.progress import ProgressBar
from videostyle.cli.terminal import shown_log
from videostyle.errors import UsageError
from videostyle.plugins import available
from videostyle.style import Style


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; their defaults are those of the plan."""
    parser.add_argument(
        "input",
        metavar="JOBS.toml|FOLDER|GLOB",
        nargs="+",
        help="a job list (docs/guide/batch.md), films, folders of films, or patterns such as 'rushes/**/*.mov'",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUTDIR",
        type=Path,
        required=True,
        help="folder of the outputs, made if it does not exist",
    )
    parser.add_argument("--name", metavar="TEMPLATE", help="name of each output; default: {stem}-{style}{suffix}")
    work = parser.add_argument_group("the work")
    work.add_argument(
        "--workers", metavar="N", type=int, help="number of workers; default: one a GPU, or one for two cores"
    )
    work.add_argument(
        "--executor",
        choices=available("videostyle.batch.executors"),
        default=BatchPlan.executor,
        help="runs the work in processes on this machine, or on a Ray cluster; default: %(default)s",
    )
    work.add_argument(
        "--address", metavar="HOST:PORT", help="address of the Ray cluster; default: this machine's, or a new one"
    )
    work.add_argument(
        "--retries",
        metavar="N",
        type=int,
        default=BatchPlan.retries,
        help="further tries of a segment that fails; default: %(default)s",
    )
    work.add_argument(
        "--segment",
        metavar="FRAMES",
        type=int,
        default=BatchPlan.segment,
        help="short shots are joined up to this length; shorter: a kill loses less work; default: %(default)s",
    )
    work.add_argument(
        "--whole-shots",
        action="store_true",
        help="never split within a shot, however long: the output is that of a single run, to the last bit",
    )
    work.add_argument("--status", action="store_true", help="print the state of each film, and do nothing")
    add_settings(parser, setting_names())
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each film instead of the table")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no table; warnings still")


def run(args: argparse.Namespace) -> int:
    """Render the films; return 1 if any of them failed."""
    from videostyle.batch import schedule
    from videostyle.batch.summary import table, to_json

    plan = _plan(args)
    if args.status:
        results = schedule.status(plan)
    else:
        with ProgressBar(unit="frames", quiet=args.quiet) as bar, shown_log("videostyle: "):
            results = schedule.run(plan, on_progress=bar)
        for result in results:
            events.tell("result", **json.loads(to_json(result)))
            if result.state == "painted":
                warn(f"{result.output}: {warning}" for warning in result.warnings)
    if args.json:
        print("\n".join(to_json(result) for result in results))
    elif args.status or not args.quiet:
        print(table(results))
    return int(any(result.error for result in results))


def _plan(args: argparse.Namespace) -> BatchPlan:
    from videostyle.batch.jobs import NAME, plans, read_jobs

    base = read_plan(args, names=setting_names(without=["style"]))
    lists = [path for path in args.input if path.lower().endswith(".toml")]
    films = [path for path in args.input if path not in lists]
    # Here each --style makes an output of its own, and is not part of a blend.
    styles = [_styled(base.style, text) for text in args.style or ()]
    if films and not styles:
        raise UsageError("give --style, once for each painting; `videostyle styles` lists them")
    name = args.name or NAME
    wanted = [plan for path in lists for plan in read_jobs(Path(path), styles, args.output, base, name)]
    wanted += plans(films, styles, args.output, base, name)
    return BatchPlan(
        films=tuple(wanted),
        folder=args.output,
        workers=args.workers,
        executor=args.executor,
        address=args.address,
        retries=args.retries,
        segment=args.segment,
        whole_shots=args.whole_shots,
    )


def _styled(base: Style, text: str) -> Style:
    return replace(
        base, blend=read_along("--style", [text], read_blend), regions=() if text == "none" else base.regions
    )
