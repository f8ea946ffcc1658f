"""Paint the pictures of a camera as they come: in a window, a virtual camera, a recording."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from videostyle.cli.options import add_settings, check_reports, given_settings, seconds, setting_names, warn
from videostyle.cli.terminal import shown_log
from videostyle.live.controls import KEYS, read_keys
from videostyle.live.plan import LivePlan
from videostyle.partial_files import reserve_output
from videostyle.settings import assemble

_SETTINGS = [
    "strength",
    "keep_colors",
    "network",
    "brush",
    "stabilize",
    "engine",
    "device",
    *setting_names("the output"),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; their defaults are those of the plan."""
    parser.epilog = "keys in the window:\n" + "\n".join(f"  {keys:12} {what}" for keys, what in KEYS)
    parser.add_argument(
        "--camera",
        metavar="0|DEVICE|URL|FILM",
        default=LivePlan.camera,
        help="a number, a device (/dev/video0), a stream (rtsp://...), or a film, which is played at its own speed; "
        "default: %(default)s",
    )
    parser.add_argument("--loop", action="store_true", help="repeat a film")
    parser.add_argument("--seconds", metavar="T", type=seconds, help="stop after this time; seconds or h:mm:ss.s")
    parser.add_argument(
        "--keys", metavar="'KEY@T ...'", default="", help="script of keys and times: '3@2 v@4.5 q@0:08'"
    )

    look = parser.add_argument_group("the painting")
    look.add_argument(
        "--style",
        metavar="NAME|PICTURE",
        action="append",
        help="a name from `videostyle styles`, a picture, whose style is predicted, or a style file; these are on "
        "keys 1, 2, ..., then the gallery; "
        f"default: {LivePlan.styles[0]}",
    )
    add_settings(parser, _SETTINGS, of=LivePlan)
    look.add_argument(
        "--no-gate", action="store_true", help="do not average the camera's noise where the picture is still"
    )

    rate = parser.add_argument_group("the frame rate")
    rate.add_argument(
        "--fps", metavar="N", type=float, default=LivePlan.fps, help="frame rate to keep; default: %(default)g"
    )
    rate.add_argument(
        "--size",
        metavar="WxH|SHORT",
        default=LivePlan.size,
        help="size of the output, or the camera's own if that is smaller; default: %(default)s",
    )
    rate.add_argument(
        "--fixed-size", action="store_true", help="always paint at that size, even if it is slower than --fps"
    )

    where = parser.add_argument_group("the outputs")
    where.add_argument("--headless", action="store_true", help="open no window")
    where.add_argument(
        "--virtual-camera",
        metavar="DEVICE",
        nargs="?",
        const="",
        help="write to a virtual camera, which other programs see as a webcam",
    )
    where.add_argument(
        "--ndi",
        metavar="NAME",
        nargs="?",
        const="",
        help="send to the network by NDI under this name, for anybody there to see; default name: videostyle",
    )
    where.add_argument("-o", "--output", metavar="FILE", help="record to this file, with the real times")
    where.add_argument(
        "--report",
        metavar="FILE.json",
        nargs="?",
        const="-",
        help="write frame rate, latency and dropped frames to a file, or print them",
    )
    where.add_argument("-q", "--quiet", action="store_true", help="print only warnings")


def run(args: argparse.Namespace) -> int:
    """Run until the end; return 130 after Ctrl-C."""
    plan = assemble(
        LivePlan,
        camera=args.camera,
        styles=tuple(args.style or LivePlan.styles),
        gate=not args.no_gate,
        fps=args.fps,
        size=args.size,
        adapt=not args.fixed_size,
        loop=args.loop,
        seconds=args.seconds,
        keys=read_keys(args.keys, seconds),
        window=not args.headless,
        virtual_camera=args.virtual_camera,
        ndi=args.ndi,
        output=args.output,
        **given_settings(args, _SETTINGS),
    )
    file = None if args.report in (None, "-") else Path(args.report)
    sources = [plan.camera, *plan.styles]
    check_reports([file], overwrite=args.overwrite, sources=sources, outputs=[plan.output])

    from videostyle.live.run import run as run_live

    with reserve_output(file, overwrite=args.overwrite, sources=sources) as write_report:
        with shown_log("videostyle: ", quiet=args.quiet):
            report = run_live(plan, measured=args.report is not None)
        warn(report.warnings)
        text = json.dumps(report.to_json(), indent=2)
        write_report(text + "\n")
    if args.report == "-":
        print(text)
    if not args.quiet:
        late = f", {report.latency_ms['median']:.0f} ms late" if report.latency_ms else ""
        print(
            f"videostyle: {report.frames['painted']} frames, {report.fps:.1f} frames/s{late}, "
            f"{report.frames['dropped']} dropped ({report.engine} on {report.device})",
            file=sys.stderr,
        )
    return 130 if report.interrupted else 0
