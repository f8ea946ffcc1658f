"""Paint films, photos and the camera in the browser, and learn a painting."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from videostyle import interrupt
from videostyle.cli.options import add_settings
from videostyle.cli.preview import add_server
from videostyle.cli.surroundings import check_open_files
from videostyle.errors import MissingDependencyError, UsageError

# A server, its processes' pipes and some visitors, each of whom loads a page and plays films.
_OPEN_FILES = 200
_KEEP = 30.0  # days


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("film", metavar="FILM", type=Path, nargs="?", help="film or picture to open at once")
    parser.add_argument(
        "--folder",
        metavar="DIR",
        type=Path,
        action="append",
        default=[],
        help="folder of films and pictures to choose from; several may be given; no other file can be opened",
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, help="folder that results may be saved to; default: downloads only"
    )
    parser.add_argument("--style", metavar="NAME", default="great-wave", help="initial style; default: %(default)s")
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        help="folder of jobs, uploads and own styles, which are there again at the next start; default: the user's own",
    )
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--max-upload", metavar="MB", type=int, default=2000, help="largest upload; default: %(default)s"
    )
    limits.add_argument("--max-minutes", metavar="M", type=float, default=60, help="longest film; default: %(default)s")
    limits.add_argument(
        "--keep",
        metavar="DAYS",
        type=float,
        default=_KEEP,
        help="time for which results and uploads are kept; default: %(default)g",
    )
    add_settings(parser, ["engine", "device"])
    add_server(parser)


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    for folder in (*args.folder, *filter(None, [args.output])):
        if not folder.is_dir():
            raise UsageError(f"{folder}: there is no such folder; check the name")
    if args.max_upload < 1 or not args.max_minutes > 0 or not args.keep > 0:
        raise UsageError("--max-upload must be at least 1, --max-minutes and --keep above 0")
    if args.film is not None:
        from videostyle.io.info import check_readable

        check_readable(str(args.film))
    check_open_files(_OPEN_FILES)
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        packages = "fastapi prometheus-client python-multipart uvicorn"
        raise MissingDependencyError(f"the studio needs {error.name}: pip install {packages}") from error
    return _serve(args)


def _serve(args: argparse.Namespace) -> int:
    import platformdirs

    from videostyle.hosting import addresses, auth
    from videostyle.hosting.temporary import set_temporary_folder
    from videostyle.privacy import disable_telemetry

    disable_telemetry()
    interrupt.begin()
    listener = addresses.bind(args.host, args.port)
    try:
        from videostyle.service.core import Service
        from videostyle.service.plan import ServicePlan
        from videostyle.studio.app import application
        from videostyle.studio.library import Library
        from videostyle.style import Style
        from videostyle.stylizers import check_style

        check_style(Style(args.style))
        data = args.data or platformdirs.user_data_path("videostyle", appauthor=False) / "studio"
        service = Service(
            ServicePlan(
                data=data.absolute(),
                engine=args.engine or "auto",
                device=args.device or "auto",
                largest=args.max_upload * 10**6,
                minutes=args.max_minutes,
                storage=10**15,  # the disk's own room is the limit
                keep=args.keep * 86_400,
            )
        )
        # Requests are kept here while they arrive, and not in a small folder in memory.
        set_temporary_folder(service.plan.temporary)
        output = args.output and args.output.resolve()
        library = Library(args.folder, args.film and args.film.absolute(), output, args.style)
        token = auth.new_token(args.host)
        app = application(service, library, token)
        url = addresses.address(listener, args.host, token)
        print(url, flush=True)
        print("videostyle: Ctrl-C ends it", file=sys.stderr, flush=True)
        if not args.no_browser:
            auth.open_browser(url)
        addresses.serve(app, listener)
    except KeyboardInterrupt:
        pass  # the normal end of a server
    finally:
        listener.close()
    return 0
