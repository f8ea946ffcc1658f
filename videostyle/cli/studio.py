"""Paint films, photos and the camera in the browser, and learn a painting."""

from __future__ import annotations

import argparse
from pathlib import Path

from videostyle.cli.options import add_settings, given_settings
from videostyle.cli.preview import add_server, serve_page
from videostyle.errors import UsageError
from videostyle.plan import RenderPlan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--folder",
        metavar="DIR",
        type=Path,
        action="append",
        default=[],
        help="folder of films and pictures to choose from; several may be given; no other file can be opened",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        help="folder of painted films; default: beside the film, and the current folder for uploads",
    )
    parser.add_argument(
        "--style", metavar="NAME|PICTURE", default="great-wave", help="initial style; default: %(default)s"
    )
    limits = parser.add_argument_group("uploads")
    limits.add_argument(
        "--max-upload", metavar="MB", type=int, default=2000, help="largest upload; default: %(default)s"
    )
    limits.add_argument(
        "--max-minutes", metavar="M", type=float, default=60, help="longest upload; default: %(default)s"
    )
    add_settings(parser, ["engine", "device"])
    add_server(parser)


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    for folder in (*args.folder, *filter(None, [args.output])):
        if not folder.is_dir():
            raise UsageError(f"{folder}: there is no such folder; check the name")
    if args.max_upload < 1 or not args.max_minutes > 0:
        raise UsageError("--max-upload must be at least 1 and --max-minutes above 0")
    base = RenderPlan.of("", "", style=args.style, **given_settings(args, ["engine", "device"]))
    return serve_page(
        args,
        base,
        folders=tuple(folder.resolve() for folder in args.folder),
        output=args.output and args.output.resolve(),
        minutes=args.max_minutes,
        largest=args.max_upload * 1_000_000,
    )
