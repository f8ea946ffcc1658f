"""Show a few seconds of a film in the browser: the film, painted frame by frame, and stabilised, side by side."""

from __future__ import annotations

import argparse
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

from videostyle.cli.options import add_settings, read_plan, seconds, setting_names
from videostyle.cli.surroundings import check_open_files
from videostyle.errors import UsageError
from videostyle.plan import RenderPlan

# A server and one visitor, who plays films while another is painted, need about so many.
_OPEN_FILES = 40
# The excerpt is chosen on the page.
_SETTINGS = setting_names(without=["start", "end"])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; the page's controls begin with their values."""
    parser.add_argument("film", metavar="FILM", help="film, GIF or picture")
    parser.add_argument("--at", metavar="T", type=seconds, help="start of the excerpt; default: most motion")
    parser.add_argument(
        "--seconds", metavar="N", type=seconds, default=Fraction(4), help="length of the excerpt; default: %(default)s"
    )
    parser.add_argument(
        "-o", "--output", metavar="FOLDER", type=Path, help="folder of painted films; default: beside FILM"
    )
    add_settings(parser, _SETTINGS)
    add_server(parser)


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    from videostyle.io.info import check_readable

    check_readable(args.film)
    base = read_plan(args, names=_SETTINGS)
    if args.style is None and base.style.is_none:
        raise UsageError("give --style; `videostyle styles` lists them")
    if not Fraction(1, 2) <= args.seconds <= 15:
        raise UsageError(f"--seconds must be between 0.5 and 15, got {float(args.seconds):g}")
    if args.output is not None and not args.output.is_dir():
        raise UsageError(f"{args.output}: there is no such folder for the painted films; make it first")
    return serve_page(
        args,
        base,
        film=str(Path(args.film).resolve()),
        named=args.film,
        at=None if args.at is None else float(args.at),
        seconds=float(args.seconds),
        output=args.output,
    )


def add_server(parser: argparse.ArgumentParser) -> None:
    """Declare the address of the page; `serve_page` reads it."""
    page = parser.add_argument_group("the page")
    page.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at; at any other than this computer's own a token is required; default: %(default)s",
    )
    page.add_argument("--port", type=int, default=7860, help="port, 0 for a free one; default: %(default)s")
    page.add_argument("--no-browser", action="store_true", help="only print the address")


def serve_page(args: argparse.Namespace, base: RenderPlan, **settings: Any) -> int:
    """Serve a page with these `videostyle.web.page_files.Settings` until Ctrl-C, then remove its temporary files."""
    check_open_files(_OPEN_FILES)
    from videostyle.hosting import addresses, auth
    from videostyle.web import server
    from videostyle.web.storage import server_folder

    with server_folder() as work:
        server.require_gradio(work)
        from videostyle.web.blocks import build
        from videostyle.web.gateway import Visitors
        from videostyle.web.jobs import JobQueue
        from videostyle.web.page import Page
        from videostyle.web.page_files import Settings

        token = auth.new_token(args.host)
        listener = addresses.bind(args.host, args.port)
        page = Page(Settings(base, work, **settings), JobQueue())
        visitors = Visitors(page.sessions.leave, on_tick=page.sessions.sweep)
        try:
            app = server.application(build(page), work, token, visitors)
            url = addresses.address(listener, args.host, token)
            print(url, flush=True)
            print("videostyle: Ctrl-C ends it", file=sys.stderr, flush=True)
            if not args.no_browser:
                auth.open_browser(url)
            visitors.start()
            addresses.serve(app, listener)
        except KeyboardInterrupt:
            pass  # the normal end of a server
        finally:
            listener.close()
            visitors.close()
            page.sessions.close()
    return 0
