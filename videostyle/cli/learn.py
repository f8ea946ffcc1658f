"""Learn a painting of your own as a new style; after an interruption, the same command resumes."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from videostyle.cli.progress import ProgressBar
from videostyle.cli.terminal import print_path, shown_log
from videostyle.errors import UsageError
from videostyle.files import check_distinct
from videostyle.text import sanitize_line
from videostyle.train.plan import LearnPlan, TrainingStyle

_WITHOUT_PREDICTION = 10.0
"""Minutes of learning that begins from the gallery's codes, of a whole network, or from words."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; their defaults are those of the plan."""
    parser.add_argument(
        "paintings",
        metavar="PAINTING",
        type=Path,
        nargs="*",
        help="a picture of the painting; several are learned in turn",
    )
    parser.add_argument("--text", metavar="WORDS", help="learn a style from words, in place of a painting")
    parser.add_argument(
        "--clip", metavar="FOLDER", type=Path, help="weights of CLIP in the form of open_clip, for --text"
    )
    parser.add_argument("--name", help="name of the style for --style; default: PAINTING's name")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE.safetensors",
        type=Path,
        help="file of the style; default: among your own styles",
    )
    parser.add_argument("--title", default="", help="title for its card and the list of styles")
    parser.add_argument("--painter", default="", help="painter for its card and the list of styles")
    parser.add_argument("-y", "--overwrite", action="store_true", help="replace the style if it exists")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only warnings and the style's file")

    how = parser.add_argument_group("the training")
    how.add_argument(
        "--minutes",
        metavar="M",
        type=float,
        help="time for each painting; 0 predicts its code and trains nothing; default: "
        f"{LearnPlan.minutes:g}, or {_WITHOUT_PREDICTION:g} where learning cannot begin from a predicted code",
    )
    how.add_argument("--steps", metavar="N", type=int, help="number of steps, instead of --minutes")
    how.add_argument(
        "--size",
        metavar="PIXELS",
        type=int,
        default=TrainingStyle.size,
        help="longer side of the painting: larger makes larger marks; default: %(default)s",
    )
    how.add_argument(
        "--content",
        metavar="FOLDER|FILM",
        type=Path,
        help="photographs or a film like those to be painted; default: synthetic scenes",
    )
    how.add_argument("--network", metavar="NAME", default=LearnPlan.network, help="default: %(default)s")
    how.add_argument("--whole", action="store_true", help="train the whole network for this painting alone")
    how.add_argument(
        "--loss-network",
        metavar="NAME",
        help="network of the losses; default: vgg19 if it is installed, or vgg19-small",
    )
    how.add_argument("--loss-network-weights", metavar="FILE", type=Path, help="weights of the loss network")


def run(args: argparse.Namespace) -> int:
    """Learn the styles, and print how to use them."""
    from videostyle.train.learn import check_plan, learn

    if bool(args.paintings) == (args.text is not None):
        raise UsageError("learn takes a painting or --text: name one of them")
    if (args.text is None) != (args.clip is None):
        raise UsageError("--text needs --clip, the folder of CLIP's weights, and --clip needs --text")
    if args.text is not None:
        return _learn_text(args)
    if len(args.paintings) > 1 and (args.name or args.output or args.title):
        raise UsageError("--name, --output and --title are for one painting; learn several without them, or one by one")
    plans = [_plan(args, painting) for painting in args.paintings]
    check_distinct([plan.output for plan in plans])
    for plan in plans:
        check_plan(plan)
    for plan in plans:
        with shown_log(quiet=args.quiet), ProgressBar(quiet=True) as bar:
            output = learn(plan, bar)
        _print_style(args, plan.style.name, output)
    return 0


def _learn_text(args: argparse.Namespace) -> int:
    """Learn a style from words."""
    from videostyle.train.text import TextPlan, learn_from_text
    from videostyle.weights import styles_folder

    if args.whole or args.loss_network:
        raise UsageError("--whole and --loss-network are for paintings; leave them out with --text")
    name = args.name or (args.output.stem if args.output else "-".join(re.findall(r"\w+", args.text.lower())[:6]))
    output = args.output or styles_folder() / f"{name}.safetensors"
    plan = TextPlan(
        args.text, args.clip, name, output, args.content, args.network, _minutes(args), args.steps, args.overwrite
    )
    with shown_log(quiet=args.quiet):
        _print_style(args, name, learn_from_text(plan))
    return 0


def _print_style(args: argparse.Namespace, name: str, output: Path) -> None:
    if not args.quiet:
        print(f"now: videostyle stylize FILM --style {sanitize_line(args.output or name)}", file=sys.stderr)
    print_path(output)


def _minutes(args: argparse.Namespace) -> float:
    """Return the minutes that were given, or the default."""
    from videostyle.weights import predictor_digest

    if args.minutes is not None:
        return float(args.minutes)
    from_prediction = args.text is None and not args.whole and predictor_digest(args.network) is not None
    return LearnPlan.minutes if from_prediction else _WITHOUT_PREDICTION


def _plan(args: argparse.Namespace, painting: Path) -> LearnPlan:
    from videostyle.weights import styles_folder

    name = args.name or (args.output or painting).stem
    return LearnPlan(
        style=TrainingStyle(name, painting, args.title, args.painter, size=args.size),
        output=args.output or styles_folder() / f"{name}.safetensors",
        content=args.content,
        network=args.network,
        whole=args.whole,
        minutes=_minutes(args),
        steps=args.steps,
        loss_network=args.loss_network,
        loss_network_weights=args.loss_network_weights,
        overwrite=args.overwrite,
    )
