"""Serve an HTTP API that paints pictures and films, learns styles, and survives its own death."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from videostyle import interrupt
from videostyle.cli.options import add_settings
from videostyle.cli.surroundings import check_open_files
from videostyle.errors import MissingDependencyError, UsageError
from videostyle.service.plan import EXECUTORS, ROLES, ServicePlan

EXAMPLES = """examples:
  videostyle serve                                          # on this computer, at http://127.0.0.1:8000
  videostyle serve --new-key alice                          # print a key for a client
  videostyle serve --host 0.0.0.0                           # for others, who need keys
  curl -F file=@photo.jpg -F 'settings={"style": "udnie"}' http://127.0.0.1:8000/v1/images -o painted.jpg
"""
_OPEN_FILES = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; their defaults are those of the plan."""
    plan = ServicePlan
    parser.add_argument(
        "--data", metavar="FOLDER", type=Path, help="folder of the queue, uploads and results; default: the user's own"
    )
    parser.add_argument(
        "--files",
        metavar="FOLDER",
        type=Path,
        help="folder of uploads and results, where the queue's disk is not theirs; default: in --data",
    )
    parser.add_argument(
        "--storage",
        metavar="URL",
        default="",
        help="object store for the files of waiting and finished jobs, as s3://bucket/prefix; default: the folder",
    )
    server = parser.add_argument_group("the server")
    server.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at; at any other than this computer's own, clients need keys; default: %(default)s",
    )
    server.add_argument("--port", type=int, default=8000, help="port, 0 for a free one; default: %(default)s")
    server.add_argument(
        "--role",
        choices=ROLES,
        default="all",
        help="api: answer requests only; worker: carry out the jobs of another process's queue only; default: both",
    )
    server.add_argument(
        "--workers", metavar="N", type=int, default=plan.workers, help="processes for jobs; default: %(default)s"
    )
    server.add_argument(
        "--painters",
        metavar="N",
        type=int,
        default=plan.painters,
        help="processes for pictures that clients wait for; default: %(default)s",
    )
    server.add_argument(
        "--executor",
        choices=EXECUTORS,
        default=plan.executor,
        help="thread: paint on this computer; ray: pictures by up to --painters replicas of Ray Serve, and films in "
        "segments, on a cluster that sees --files; default: %(default)s",
    )
    server.add_argument("--address", metavar="HOST:PORT", help="of the Ray cluster; auto on a node of it")
    add_settings(parser, ["engine", "device"])
    keys = parser.add_argument_group("keys")
    keys.add_argument("--new-key", metavar="NAME", help="make a key for a client, print it once, and end")
    keys.add_argument(
        "--scope",
        metavar="read|paint|admin",
        action="append",
        help="what the new key may do; may be given several times; default: read and paint",
    )
    keys.add_argument("--keys", action="store_true", help="list the keys' names and scopes, and end")
    keys.add_argument("--revoke-key", metavar="NAME", help="remove a key, and end")
    limits = parser.add_argument_group("limits")
    for option, metavar, kind, default, text in (
        ("--max-upload", "MB", int, plan.largest // 10**6, "largest upload"),
        ("--max-picture", "MB", int, plan.largest_picture // 10**6, "largest picture that a client waits for"),
        ("--max-pixels", "MILLIONS", float, plan.pixels / 10**6, "pixels of a picture or a film's frame"),
        ("--max-minutes", "M", float, plan.minutes, "longest film"),
        ("--max-learn", "M", float, plan.learn_minutes, "longest time for learning a style"),
        ("--max-jobs", "N", int, plan.jobs, "jobs that may wait or run"),
        ("--max-jobs-each", "N", int, plan.jobs_each, "the same for one client"),
        ("--max-storage", "GB", float, plan.storage / 10**9, "uploads and results together"),
        ("--keep", "HOURS", float, plan.keep / 3600, "time for which results and uploads are kept"),
    ):
        limits.add_argument(option, metavar=metavar, type=kind, default=default, help=f"{text}; default: %(default)g")
    others = parser.add_argument_group("connections to others, all off unless given")
    others.add_argument("--allow-urls", action="store_true", help="let clients name a film by its public address")
    others.add_argument("--allow-webhooks", action="store_true", help="tell clients' public addresses when jobs end")
    others.add_argument(
        "--allow-network",
        metavar="CIDR",
        action="append",
        default=[],
        help="private network that both may connect to all the same, as 10.1.0.0/16",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C, or carry out what is asked about keys."""
    plan = _plan(args)
    if args.new_key is not None or args.keys or args.revoke_key is not None:
        return _manage_keys(args, plan)
    if args.scope:
        raise UsageError("--scope is for --new-key")
    check_open_files(_OPEN_FILES)
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        packages = "fastapi prometheus-client python-multipart uvicorn"
        raise MissingDependencyError(f"the service needs {error.name}: pip install {packages}") from error
    if args.role == "worker":
        return _work(plan)
    return _serve(args, plan)


def _plan(args: argparse.Namespace) -> ServicePlan:
    import platformdirs

    data = args.data or platformdirs.user_data_path("videostyle", appauthor=False) / "service"
    return ServicePlan(
        data=data.absolute(),
        workers=0 if args.role == "api" else args.workers,
        painters=args.painters,
        engine=args.engine or "auto",
        device=args.device or "auto",
        largest=args.max_upload * 10**6,
        largest_picture=args.max_picture * 10**6,
        pixels=round(args.max_pixels * 10**6),
        minutes=args.max_minutes,
        learn_minutes=args.max_learn,
        jobs=args.max_jobs,
        jobs_each=args.max_jobs_each,
        files=args.files.absolute() if args.files else None,
        executor=args.executor,
        address=args.address,
        objects=args.storage,
        storage=round(args.max_storage * 10**9),
        keep=args.keep * 3600,
        allow_urls=args.allow_urls,
        allow_webhooks=args.allow_webhooks,
        networks=tuple(args.allow_network),
    )


def _manage_keys(args: argparse.Namespace, plan: ServicePlan) -> int:
    from videostyle.service.database import Database
    from videostyle.service.keys import Keys

    plan.make_folders()
    keys = Keys(Database(plan.database))
    if args.revoke_key is not None:
        keys.revoke(args.revoke_key)
    if args.new_key is not None:
        key = keys.add(args.new_key, args.scope or ("read", "paint"))
        client = keys.find(key)
        assert client is not None
        print(key)
        print(keys.webhook_secret(client.id))
        print("videostyle: the key, and the secret that signs its webhooks; neither is shown again", file=sys.stderr)
    if args.keys:
        for client in keys.clients():
            print(f"{client.name}  {' '.join(sorted(client.scopes))}")
    return 0


def _work(plan: ServicePlan) -> int:
    """Supervise workers, without an API."""
    import time

    from videostyle.service.core import Workers, open_queue
    from videostyle.service.database import Database
    from videostyle.service.log import json_log

    plan.make_folders()
    interrupt.begin()
    workers, queue = Workers(plan), open_queue(plan, Database(plan.database))
    with json_log():
        try:
            while not interrupt.stop_requested():
                workers.supervise(queue)
                time.sleep(interrupt.POLL)
        finally:
            workers.close()
    return 0


def _serve(args: argparse.Namespace, plan: ServicePlan) -> int:
    from videostyle.hosting import addresses
    from videostyle.hosting.temporary import set_temporary_folder
    from videostyle.privacy import disable_telemetry

    disable_telemetry()
    interrupt.begin()
    listener = addresses.bind(args.host, args.port)
    try:
        from videostyle.service.app import application
        from videostyle.service.core import Service
        from videostyle.service.log import json_log

        service = Service(plan)
        local = addresses.is_loopback(args.host)
        if not local and not service.keys:
            raise UsageError(
                f"--host {args.host} lets others in, who need keys; make one first: videostyle serve --new-key NAME"
            )
        # Requests are kept here while they arrive, and not in a small folder in memory.
        set_temporary_folder(plan.temporary)
        app = application(service, require_keys=not local or bool(service.keys))
        print(addresses.address(listener, args.host, None), flush=True)
        print("videostyle: Ctrl-C ends it", file=sys.stderr, flush=True)
        with json_log():
            addresses.serve(app, listener)
    except KeyboardInterrupt:
        pass  # the normal end of a server
    finally:
        listener.close()
    return 0
